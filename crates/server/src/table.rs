//! Formats tables that fit the width of a terminal.

use std::borrow::Cow;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::terminal;

/// The blanks between two columns.
const GAP: usize = 2;

/// The width up to which each main column of text grows before any grows further.
const COMFORTABLE: usize = 24;

/// The lowest rank of the columns that only a wide terminal shows.
const EXTRA: u8 = 10;

/// A column of a table.
pub(crate) struct Column {
    pub(crate) header: &'static str,
    /// The columns with the highest rank are the first that a narrow terminal leaves out. A column
    /// of rank 0 always remains, and one of rank 10 or more appears only on a wide terminal.
    rank: u8,
    /// The width to which the text may be shortened. `None` for text that is never cut, such as an
    /// id.
    shortest: Option<usize>,
}

impl Column {
    /// Returns a column of ids, dates or words, which are never cut.
    pub(crate) const fn whole(header: &'static str, rank: u8) -> Self {
        Self {
            header,
            rank,
            shortest: None,
        }
    }

    /// Returns a column of text, which may be shortened to this width.
    pub(crate) const fn text(header: &'static str, rank: u8, shortest: usize) -> Self {
        Self {
            header,
            rank,
            shortest: Some(shortest),
        }
    }
}

/// The text of a cell, without control characters, and its style.
pub(crate) struct Cell {
    pub(crate) text: String,
    style: Style,
}

impl Cell {
    pub(crate) const fn styled(text: String, style: Style) -> Self {
        Self { text, style }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(text, Style::new())
    }
}

/// The width and the colours of the output.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    /// The width in characters, or `None` if it is unlimited.
    pub(crate) width: Option<usize>,
    pub(crate) has_colours: bool,
}

impl Output {
    /// Returns the width and colours of standard output. With `wide`, the width is unlimited.
    pub(crate) fn standard(wide: bool) -> Self {
        Self {
            width: terminal::width().filter(|_| !wide),
            has_colours: terminal::has_colours(),
        }
    }

    /// Returns a text in a style, or unchanged without colours.
    pub(crate) fn paint(self, text: &str, style: Style) -> String {
        if self.has_colours {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Returns a header and a line for each row.
pub(crate) fn table<const N: usize>(
    columns: &[Column; N],
    rows: &[[Cell; N]],
    output: Output,
) -> String {
    let widest = |index: usize, column: &Column| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let widths = cells.map(|cell| cell.text.width());
        widths.chain([column.header.width()]).max().unwrap_or(0)
    };
    let mut natural = [0; N];
    for (index, (width, column)) in natural.iter_mut().zip(columns).enumerate() {
        *width = widest(index, column);
    }
    let layout = Layout::new(columns, natural, output);
    let lines = rows.iter().map(|row| layout.line(row));
    std::iter::once(layout.header()).chain(lines).collect()
}

/// The columns of a table that are shown, and their widths.
pub(crate) struct Layout<'a, const N: usize> {
    columns: &'a [Column; N],
    /// `None` for a column that does not fit.
    widths: [Option<usize>; N],
    output: Output,
}

impl<'a, const N: usize> Layout<'a, N> {
    /// Chooses the columns that fit. Without a limit, each has its `natural` width.
    pub(crate) fn new(columns: &'a [Column; N], natural: [usize; N], output: Output) -> Self {
        let mut widths = natural.map(Some);
        if let Some(space) = output.width {
            widths = [None; N];
            fit(columns, &natural, &mut widths, space);
        }
        Self {
            columns,
            widths,
            output,
        }
    }

    /// Returns the line of the headers.
    pub(crate) fn header(&self) -> String {
        let mut headers = self.columns.iter();
        self.line(&[(); N].map(|()| {
            let header = headers.next().map_or("", |column| column.header);
            Cell::styled(header.to_owned(), Style::new().bold())
        }))
    }

    /// Returns the line of a row. Each cell but the last is padded to the width of its column.
    pub(crate) fn line(&self, cells: &[Cell; N]) -> String {
        let mut line = String::new();
        let mut padding = 0;
        for ((column, width), cell) in self.columns.iter().zip(self.widths).zip(cells) {
            let Some(width) = width else { continue };
            let text = match column.shortest {
                Some(_) if self.output.width.is_some() => shortened(&cell.text, width),
                _ => Cow::from(&cell.text),
            };
            line.extend(std::iter::repeat_n(' ', padding));
            line.push_str(&self.output.paint(&text, cell.style));
            padding = width.saturating_sub(text.width()).saturating_add(GAP);
        }
        line.push('\n');
        line
    }
}

/// Chooses columns by rank while they fit, and gives the rest of the space to columns of text.
///
/// The text of the main columns gets a comfortable width before the others are shown.
fn fit<const N: usize>(
    columns: &[Column; N],
    natural: &[usize; N],
    widths: &mut [Option<usize>; N],
    space: usize,
) {
    let mut by_rank: Vec<_> = columns.iter().zip(natural).zip(widths).collect();
    by_rank.sort_by_key(|((column, _), _)| column.rank);
    let first_extra = by_rank.partition_point(|((column, _), _)| column.rank < EXTRA);
    let (main, extra) = by_rank.split_at_mut(first_extra);
    // The first column needs no gap.
    let mut left = space.saturating_add(GAP);
    let mut all_fit = true;
    for ((column, natural), width) in &mut *main {
        let least = column.shortest.unwrap_or(**natural).min(**natural);
        let rest = left.checked_sub(least.saturating_add(GAP));
        if rest.is_none() && column.rank > 0 {
            all_fit = false;
            break;
        }
        left = rest.unwrap_or(0);
        **width = Some(least);
    }
    let grow = |limit: usize, natural: usize, width: &mut Option<usize>, left: &mut usize| {
        if let Some(width) = width {
            let growth = limit.min(natural).saturating_sub(*width).min(*left);
            *width += growth;
            *left -= growth;
        }
    };
    for ((_, natural), width) in &mut *main {
        grow(COMFORTABLE, **natural, width, &mut left);
    }
    for ((column, natural), width) in extra.iter_mut().take_while(|_| all_fit) {
        let least = column
            .shortest
            .map_or(**natural, |_| COMFORTABLE.min(**natural));
        let Some(rest) = left.checked_sub(least.saturating_add(GAP)) else {
            break;
        };
        left = rest;
        **width = Some(least);
    }
    for ((_, natural), width) in &mut by_rank {
        grow(usize::MAX, **natural, width, &mut left);
    }
}

/// Returns the beginning of a text, and `…` in place of what exceeds `width` columns.
pub(crate) fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return text.into();
    }
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let kept = ends
        .filter_map(|end| text.get(..end))
        .take_while(|kept| kept.width() < width)
        .last()
        .unwrap_or_default();
    // A joiner would join the next character, which is `…`.
    format!("{}…", kept.trim_end_matches('\u{200d}')).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::whole("ID", 0),
        Column::whole("DATE", 2),
        Column::text("OWNER", 3, 6),
        Column::text("NAME", 1, 4),
    ];

    fn lines(width: usize) -> Vec<String> {
        let row = |name: &str| {
            ["key_0", "2026-11-28", "user:anna", name].map(|text| Cell::from(text.to_owned()))
        };
        let output = Output {
            width: Some(width),
            has_colours: false,
        };
        let names = [
            "漢字漢字漢字",
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
            "n",
        ];
        table(&COLUMNS, &names.map(row), output)
            .lines()
            .map(String::from)
            .collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_columns_disappear_by_rank() {
        let headers = [
            (200, "ID     DATE        OWNER      NAME"),
            (42, "ID     DATE        OWNER      NAME"),
            (31, "ID     DATE        OWNER   NAME"),
            (30, "ID     DATE        NAME"),
            (23, "ID     DATE        NAME"),
            (22, "ID     NAME"),
            (11, "ID     NAME"),
            (10, "ID"),
            (5, "ID"),
            (1, "ID"),
        ];
        for (width, header) in headers {
            let lines = lines(width);
            assert_eq!(lines[0], header, "{width}");
            for line in &lines {
                assert!(line.width() <= width.max(5), "{width}: {line}");
                assert!(!line.contains("key_…") && !line.contains("2026…"), "{line}");
            }
        }
    }

    #[test]
    fn a_column_that_only_wide_terminals_show_shortens_no_other() {
        let columns = [
            Column::whole("ID", 0),
            Column::text("EXTRA", EXTRA, 5),
            Column::text("NAME", 1, 4),
        ];
        let header = |width| {
            let cells = ["key_0".to_owned(), "x".repeat(10), "n".repeat(30)];
            let output = Output {
                width: Some(width),
                has_colours: false,
            };
            let table = table(&columns, &[cells.map(Cell::from)], output);
            table.lines().next().unwrap().to_owned()
        };
        // 5 + 2 + 10 + 2 + 24 columns.
        assert_eq!(header(43), "ID     EXTRA       NAME");
        assert_eq!(header(42), "ID     NAME");
    }

    #[test]
    fn wide_and_combining_characters_take_their_columns() {
        assert_eq!(
            lines(31),
            [
                "ID     DATE        OWNER   NAME",
                "key_0  2026-11-28  user:…  漢…",
                "key_0  2026-11-28  user:…  e\u{301}e\u{301}e\u{301}…",
                "key_0  2026-11-28  user:…  n",
            ]
        );
        assert_eq!(shortened("漢字", 4), "漢字");
        assert_eq!(shortened("漢字", 3), "漢…");
        assert_eq!(
            shortened("👩\u{200d}👩\u{200d}👧 family", 3),
            "👩\u{200d}👩\u{200d}👧…"
        );
        assert_eq!(shortened("ab", 0), "…");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let output = Output {
            width: None,
            has_colours: true,
        };
        let columns = [Column::whole("A", 0), Column::whole("B", 1)];
        let red = Style::new().fg_color(Some(anstyle::AnsiColor::Red.into()));
        let row = [Cell::styled("xyz".into(), red), Cell::from("b".to_owned())];
        let text = table(&columns, &[row], output);
        assert_eq!(
            text,
            "\u{1b}[1mA\u{1b}[0m    \u{1b}[1mB\u{1b}[0m\n\u{1b}[31mxyz\u{1b}[0m  b\n"
        );
    }
}
