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

/// Whether it is newer than every file that cargo says it was made of.
fn is_current(program: &Path) -> bool {
    let time = |path: &Path| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
    let Some(built) = time(program) else {
        return false;
    };
    let Ok(rule) = fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    // `program: source source …`, with a backslash before each space inside a path.
    let sources = rule.split_once(": ").map_or("", |(_, sources)| sources);
    let sources = sources.trim().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|path| path.replace('\0', " "));
    sources.all(|source| time(Path::new(&source)).is_some_and(|changed| changed <= built))
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
