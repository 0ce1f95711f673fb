//! Upper bounds of the parts of a request.

/// Longest request body, in bytes.
pub(crate) const MAX_BODY_LENGTH: usize = 16 * 1024;

/// Longest value of the header that contains the token, in bytes.
pub(crate) const MAX_CREDENTIALS_LENGTH: usize = 512;

/// Longest `search` of a list, in characters.
pub(crate) const MAX_SEARCH_LENGTH: usize = 1024;

/// Most query parameters that are read. No endpoint has as many, so a query with more has an error
/// among those that are read.
pub(crate) const MAX_QUERY_PARAMETERS: usize = 16;

/// Most invalid fields that an error response lists.
pub(crate) const MAX_FIELD_ERRORS: usize = 32;

/// Longest unknown field name that an error response repeats, in bytes. It is shorter than a token.
pub(crate) const MAX_REPEATED_NAME: usize = 32;

/// Longest request id that is accepted from a client, in bytes. It is shorter than the secret of a
/// token, which some client will send as its request id.
pub(crate) const MAX_REQUEST_ID_LENGTH: usize = 40;
