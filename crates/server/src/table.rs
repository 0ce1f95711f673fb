//! Formats tables.

/// Returns a line for the header and for each row.
pub(crate) fn with_header<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let header = std::iter::once(header.map(String::from));
    align(&header.chain(rows).collect::<Vec<_>>())
}

/// Aligns all columns but the last.
pub(crate) fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rows.iter().map(|row| line(&widths, row)).collect()
}

/// Returns a line with the cells of a row. All cells but the last are padded to their widths, and
/// separated by two spaces.
pub(crate) fn line<const N: usize>(widths: &[usize; N], row: &[String; N]) -> String {
    let mut text = String::new();
    for (width, cell) in widths.iter().zip(row).take(N.saturating_sub(1)) {
        text.push_str(&format!("{cell:<width$}  "));
    }
    text.extend(row.last().map(String::as_str));
    text.push('\n');
    text
}

/// Returns at most `length` characters of a text, and `…` in place of the rest.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept = text.chars().take(length.saturating_sub(1));
    kept.chain(['…']).collect()
}
