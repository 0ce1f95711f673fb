//! Reads the pepper file.

use std::{fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result, bail};
use keywright_core::{Pepper, PepperId, PepperRing};
use zeroize::Zeroizing;

/// Reads a file with one pepper a line, `ID HEX-KEY`, the newest last.
///
/// Empty lines and lines that begin with `#` are ignored. No error contains a byte of a key. A file
/// that other users can read or change is rejected, as ssh rejects such a private key.
pub(crate) fn read(path: &Path) -> Result<PepperRing> {
    let mut file = File::open(path)?;
    // Check the opened file, not a symbolic link to it.
    let metadata = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    check_access(path, metadata.mode(), metadata.uid(), user)?;
    let length = usize::try_from(metadata.len()).unwrap_or_default();
    // Reserve room for the whole file and for one more byte, which detects its end. If the buffer
    // grew, it would leave peppers behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(length + 1));
    file.read_to_string(&mut text)?;
    let mut ring = PepperRing::default();
    let mut count = 0;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        ring = parse_line(line)
            .and_then(|pepper| Ok(ring.with_newest(pepper)?))
            .with_context(|| format!("line {}", index + 1))?;
        count += 1;
    }
    if count == 0 {
        bail!("the file is empty; create a pepper with: echo \"p1 $(openssl rand -hex 32)\"");
    }
    Ok(ring)
}

/// Checks that only `user` can read and change a file with this mode and owner.
///
/// If root owns the file, its group may read it: root often gives a secret to the group of a
/// service. PostgreSQL has the same rule.
fn check_access(path: &Path, mode: u32, owner: u32, user: u32) -> Result<()> {
    const ROOT: u32 = 0;
    let path = path.display();
    if owner != user && owner != ROOT {
        bail!("it belongs to another user ({owner}); run chown {user} {path}");
    }
    let open = if owner == ROOT && user != ROOT {
        0o037
    } else {
        0o077
    };
    if mode & open != 0 {
        let mode = mode & 0o777;
        bail!("permissions {mode:04o} for '{path}' are too open; run chmod 600 {path}");
    }
    Ok(())
}

fn parse_line(line: &str) -> Result<Pepper> {
    let (id, key) = line
        .split_once(char::is_whitespace)
        .context("expected ID HEX-KEY")?;
    let key = hex(key.trim()).context("the key is not hexadecimal")?;
    Ok(Pepper::new(PepperId::parse(id)?, &key)?)
}

fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        let digit = |index: usize| char::from(*pair.get(index)?).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    fn a_pepper_file_that_others_can_read_or_change_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peppers");
        fs::write(&path, format!("p1 {}", "0f".repeat(32))).unwrap();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        for (mode, is_accepted) in [
            (0o400, true),
            (0o600, true),
            (0o700, true),
            (0o644, false),
            (0o640, false),
            (0o604, false),
            (0o620, false),
            (0o602, false),
            (0o610, false),
            (0o666, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            for name in [&path, &link] {
                let result = read(name);
                assert_eq!(result.is_ok(), is_accepted, "{mode:o}: {result:?}");
                if let Err(error) = result {
                    let error = error.to_string();
                    let name = name.display();
                    assert!(error.contains(&format!("{mode:04o}")), "{error}");
                    assert!(error.contains(&format!("chmod 600 {name}")), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_pepper_file_must_belong_to_the_user_or_to_root() {
        let check = |mode, owner, user| check_access(Path::new("f"), mode, owner, user).is_ok();
        assert!(check(0o600, 1000, 1000));
        assert!(!check(0o640, 1000, 1000));
        assert!(!check(0o600, 1001, 1000));
        assert!(!check(0o600, 1001, 0));
        // Root gives the secret to the group of a service.
        assert!(check(0o440, 0, 1000));
        assert!(check(0o640, 0, 1000));
        for mode in [0o644, 0o660, 0o650, 0o604] {
            assert!(!check(mode, 0, 1000), "{mode:o}");
        }
        assert!(!check(0o640, 0, 0));
    }

    fn read_text(text: &str) -> Result<PepperRing> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        read(file.path())
    }

    #[test]
    fn each_line_is_a_pepper() {
        let key = "0f".repeat(32);
        assert!(read_text(&format!("# old\nold {key}\n\n  new   {key}  \n")).is_ok());
    }

    #[test]
    fn an_error_contains_no_byte_of_the_key() {
        let key = "ab".repeat(32);
        for bad in [
            key.clone(),
            format!("a {}", "ab".repeat(31)),
            format!("a {}", "ab".repeat(65)),
            format!("a {key}a"),
            format!("a {}zz", "ab".repeat(31)),
            format!("NO {key}"),
            format!("x {key}\nx {key}"),
            "# nothing".into(),
        ] {
            let error = format!("{:#}", read_text(&bad).unwrap_err());
            assert!(!error.contains("abab"), "{error}");
        }
    }
}
