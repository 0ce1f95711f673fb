//! Values as SQL literals, and rows of them.
//!
//! Statements are sent without parameters: the driver prepares a statement with parameters in a
//! message of its own, and a pooler may use another connection for the next message.

/// Rows to be written.
pub(crate) struct Values<const N: usize> {
    columns: [&'static str; N],
    rows: Vec<[Option<String>; N]>,
}

impl<const N: usize> Values<N> {
    /// Creates rows of literals, where `None` is null.
    pub(crate) const fn new(columns: [&'static str; N], rows: Vec<[Option<String>; N]>) -> Self {
        Self { columns, rows }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the columns and rows of an `INSERT`. A column that is null in all rows is omitted.
    pub(crate) fn to_insert(&self) -> String {
        let used: Vec<usize> = (0..N)
            .filter(|&column| self.rows.iter().any(|row| cell(row, column).is_some()))
            .collect();
        let columns = used.iter().filter_map(|&column| self.columns.get(column));
        let columns: Vec<&str> = columns.copied().collect();
        format!("({}) {}", columns.join(", "), self.rows_of(&used))
    }

    /// Returns a table for a `FROM`, with this name and all columns.
    pub(crate) fn to_table(&self, name: &str) -> String {
        let all: Vec<usize> = (0..N).collect();
        let columns = self.columns.join(", ");
        format!("({}) AS {name} ({columns})", self.rows_of(&all))
    }

    fn rows_of(&self, columns: &[usize]) -> String {
        let row = |row: &[Option<String>; N]| {
            let cells = columns.iter().map(|&column| cell(row, column));
            let cells: Vec<&str> = cells.map(|cell| cell.unwrap_or("NULL")).collect();
            format!("({})", cells.join(", "))
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        format!("VALUES {}", rows.join(", "))
    }
}

fn cell<const N: usize>(row: &[Option<String>; N], column: usize) -> Option<&str> {
    row.get(column)?.as_deref()
}

/// Returns a text as a literal. Text with a character that could end the literal or begin an
/// escape, or that is not ASCII, is written in hexadecimal.
pub(crate) fn text(text: &str) -> String {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\'' && byte != b'\\';
    if text.bytes().all(is_plain) {
        format!("'{text}'")
    } else {
        format!("convert_from({}, 'UTF8')", bytes(text.as_bytes()))
    }
}

/// Returns bytes as an expression.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map(char::from);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    let digits: String = digits.flatten().collect();
    format!("decode('{digits}', 'hex')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_literal() {
        assert_eq!(text(r#"{"a": [1, "b"]}"#), r#"'{"a": [1, "b"]}'"#);
        for hostile in [
            "'",
            "a\\",
            "a\0b",
            "a\nb",
            "é",
            "\u{2bc}",
            "''; DROP TABLE keys; --",
        ] {
            let literal = text(hostile);
            let inner = literal
                .strip_prefix("convert_from(decode('")
                .and_then(|rest| rest.strip_suffix("', 'hex'), 'UTF8')"))
                .unwrap();
            assert!(
                inner.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{literal}"
            );
        }
    }

    #[test]
    fn a_column_that_is_null_in_all_rows_is_not_inserted() {
        let row = |a: &str, c: Option<&str>| [Some(text(a)), None, c.map(text)];
        let values = Values::new(["a", "b", "c"], vec![row("1", None), row("2", Some("x"))]);
        assert_eq!(values.to_insert(), "(a, c) VALUES ('1', NULL), ('2', 'x')");
        assert_eq!(
            values.to_table("n"),
            "(VALUES ('1', NULL, NULL), ('2', NULL, 'x')) AS n (a, b, c)"
        );
    }
}
