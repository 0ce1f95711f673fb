//! The terminal on standard output: its width, and whether it shows colours.

use std::io::{IsTerminal, stdout};

use anstream::{AutoStream, ColorChoice};
use rustix::termios::tcgetwinsize;

/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: usize = 80;

/// Returns the number of columns of the terminal, or `None` if standard output is not a terminal.
pub(crate) fn width() -> Option<usize> {
    let out = stdout();
    if !out.is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    Some(match columns {
        0 => DEFAULT_WIDTH,
        columns => columns,
    })
}

/// Whether to print colours: on a terminal, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` is set.
/// With `CLICOLOR_FORCE`, always. A CI server, which sets `CI`, counts as a terminal with colours.
pub(crate) fn has_colours() -> bool {
    AutoStream::choice(&stdout()) != ColorChoice::Never
}
