//! Reads the pepper file.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use keywright_core::{Pepper, PepperId, PepperRing};
use zeroize::Zeroizing;

/// Reads a file with one pepper a line, `ID HEX-KEY`, the newest last.
///
/// Empty lines and lines that begin with `#` are ignored. No error contains a byte of a key.
pub(crate) fn read(path: &Path) -> Result<PepperRing> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
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
    use super::*;

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
