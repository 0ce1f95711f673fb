//! `keywright man` and `keywright completions`: generated from the definition of the command line.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, builder::PathBufValueParser};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    clean_value::{choice, clean},
    cli, output,
};

#[derive(Args)]
pub(crate) struct CompletionsOptions {
    /// Shell that reads the completions
    #[arg(value_enum, value_parser = choice::<Shell>())]
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct ManOptions {
    /// Folder for the pages of all commands; it is created if it does not exist
    #[arg(long, value_name = "PATH", value_parser = clean(PathBufValueParser::new()))]
    dir: Option<PathBuf>,
}

/// Prints the completions of a shell.
pub(crate) fn print_completions(options: &CompletionsOptions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut cli::command(), "keywright", &mut script);
    output::write(&script).map(drop)
}

/// Prints the page of the program, or writes the pages of all commands into a folder.
pub(crate) fn print(options: &ManOptions) -> Result<()> {
    let Some(folder) = &options.dir else {
        let mut page = Vec::new();
        Man::new(cli::command()).render(&mut page)?;
        return output::write(&page).map(drop);
    };
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(cli::command(), folder))
        .with_context(|| format!("cannot write manual pages into {}", folder.display()))
}
