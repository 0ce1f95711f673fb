//! The bytes of an HTTP response.

/// The bytes that a server sent until it closed the connection.
pub(crate) struct RawResponse(pub(crate) Vec<u8>);

impl RawResponse {
    /// Returns the status code, or 0 if there was no response.
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

    /// Returns a string member of the JSON body.
    pub(crate) fn text(&self, member: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(self.body()).unwrap();
        body[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {}", self.body()))
            .to_owned()
    }
}
