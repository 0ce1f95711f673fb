//! An answer over HTTP, with all of its bytes.

/// What a server has sent until it closed the connection.
pub(crate) struct Answer(pub(crate) Vec<u8>);

impl Answer {
    /// 0 if there was no answer.
    pub(crate) fn status(&self) -> u16 {
        let line = self
            .0
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        line.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn body(&self) -> &str {
        let text = std::str::from_utf8(&self.0).unwrap();
        text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// A member of a JSON body that is a string.
    pub(crate) fn text(&self, member: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(self.body()).unwrap();
        body[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {}", self.body()))
            .to_owned()
    }
}
