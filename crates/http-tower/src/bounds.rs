//! Upper bounds of the parts of a request.

/// The maximum length of a request body, in bytes.
pub(crate) const MAX_BODY_LENGTH: usize = 16 * 1024;

/// The maximum length of the header value that contains the token, in bytes.
pub(crate) const MAX_CREDENTIALS_LENGTH: usize = 512;

/// The maximum length of `search`, in characters.
pub(crate) const MAX_SEARCH_LENGTH: usize = 1024;

/// The maximum number of query parameters that are read without an error. No service accepts more,
/// so a longer query has an error among the parameters that are read.
pub(crate) const MAX_QUERY_PARAMETERS: usize = 16;

/// The maximum number of invalid fields that an error response lists.
pub(crate) const MAX_FIELD_ERRORS: usize = 32;

/// The maximum length of an unknown field name that an error response repeats, in bytes. It is
/// shorter than a token.
pub(crate) const MAX_REPEATED_NAME: usize = 32;

/// The maximum number of trusted proxies between a client and this server.
pub(crate) const MAX_PROXIES: usize = 16;

/// The maximum length of the lines of `Forwarded` or `X-Forwarded-For` together, in bytes.
pub(crate) const MAX_FORWARDED_LENGTH: usize = 4096;

/// The maximum number of entity tags in `If-Match`. The endpoint may read the key once for each.
pub(crate) const MAX_ENTITY_TAGS: usize = 16;
