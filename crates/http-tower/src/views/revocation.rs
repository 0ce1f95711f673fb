//! The result of a revocation in a response.

use serde::Serialize;

/// The confirmation that a key was revoked.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyRevoked))]
pub(crate) struct RevocationView {
    message: &'static str,
    /// With `cascade=true`, the number of keys that were revoked, including this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    revoked: Option<u64>,
}

impl RevocationView {
    pub(crate) const fn new(revoked: Option<u64>) -> Self {
        let message = "API key revoked.";
        Self { message, revoked }
    }
}
