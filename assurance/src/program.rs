//! The program `keywright`, built from the current sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::SystemTime,
};

/// Returns the path of the program, in the same profile as the calling test.
///
/// `cargo test --workspace` builds the program before the tests. For a test that is run alone, this
/// function builds it, unless it is newer than all of its sources.
///
/// # Panics
///
/// If the program cannot be built.
#[must_use]
pub fn keywright() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        // target/PROFILE/deps/TEST
        let folder = test.ancestors().nth(2).expect("a test is below target/");
        let program = folder.join("keywright");
        if !is_current(&program) {
            build(folder);
        }
        program
    });
    &PROGRAM
}

/// Whether the program is newer than all of its sources.
fn is_current(program: &Path) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = fs::read_dir(root.join("crates")).expect("the folder of the crates exists");
    let crates = crates.flat_map(|entry| {
        let path = entry.expect("the folder of the crates is readable").path();
        [path.join("src"), path.join("Cargo.toml")]
    });
    let all = crates.chain([root.join("Cargo.toml"), root.join("Cargo.lock")]);
    modified(program).is_some_and(|built| all.map(|path| newest(&path)).max() <= Some(Some(built)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The modification time of a file, or of the most recent file in a folder.
fn newest(path: &Path) -> Option<SystemTime> {
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    let inside = inside.map(|entry| newest(&entry.path())).max().flatten();
    modified(path).max(inside)
}

fn build(folder: &Path) {
    let target = folder.parent().expect("a profile is below target/");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "keywright", "--locked"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(built.success(), "could not build the program keywright");
}
