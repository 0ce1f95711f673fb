//! The program `keywright`, as it was built from the sources as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::SystemTime,
};

/// The path of the program, in the profile of the test that asks. `cargo test --workspace` has built it;
/// where a test is run by itself, it is built now unless it is newer than all of its sources.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn keywright() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().expect("a test has a path");
        // target/PROFILE/deps/TEST
        let folder = test.ancestors().nth(2).expect("a test lies below target/");
        let program = folder.join("keywright");
        if !is_current(&program) {
            build(folder);
        }
        program
    });
    &PROGRAM
}

/// Whether it is newer than all that it is made of.
fn is_current(program: &Path) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = fs::read_dir(root.join("crates")).expect("there are crates");
    let crates = crates.flat_map(|entry| {
        let path = entry.expect("the folder can be read").path();
        [path.join("src"), path.join("Cargo.toml")]
    });
    let all = crates.chain([root.join("Cargo.toml"), root.join("Cargo.lock")]);
    modified(program).is_some_and(|built| all.map(|path| newest(&path)).max() <= Some(Some(built)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// When a file, or the latest file in a folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    let inside = inside.map(|entry| newest(&entry.path())).max().flatten();
    modified(path).max(inside)
}

fn build(folder: &Path) {
    let target = folder.parent().expect("a profile lies below target/");
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
        .expect("cargo runs");
    assert!(built.success(), "the program keywright cannot be built");
}
