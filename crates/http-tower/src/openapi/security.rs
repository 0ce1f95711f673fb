//! The security scheme of the endpoints.

use http::{HeaderName, header};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

/// The name of the security scheme.
pub(super) const NAME: &str = "api_key";

/// Returns the scheme of a service that reads tokens from this header.
pub(super) fn scheme(token_header: &HeaderName) -> SecurityScheme {
    if *token_header == header::AUTHORIZATION {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: `Authorization: Bearer <token>`."));
        SecurityScheme::Http(bearer.build())
    } else {
        let description = "An API key, as the whole value of the header.";
        let value = ApiKeyValue::with_description(token_header.as_str(), description);
        SecurityScheme::ApiKey(ApiKey::Header(value))
    }
}
