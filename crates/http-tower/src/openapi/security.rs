//! The security schemes of the endpoints.

use http::{HeaderName, header};
use keywright_core::Permission;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

/// The name of the first security scheme. The others have a number after it.
const NAME: &str = "api_key";

/// The security schemes of a service, one for each header that it reads tokens from.
#[derive(Clone, Copy)]
pub(super) struct Schemes<'a>(&'a [&'a HeaderName]);

impl<'a> Schemes<'a> {
    pub(super) const fn new(token_headers: &'a [&'a HeaderName]) -> Self {
        Self(token_headers)
    }

    /// Returns the schemes with their names.
    pub(super) fn iter(self) -> impl Iterator<Item = (String, SecurityScheme)> {
        let schemes = self.0.iter().map(|header| scheme(header));
        self.names().zip(schemes)
    }

    /// Returns the requirements of an operation: any one of the schemes, with the permission.
    pub(super) fn requirements(
        self,
        permission: Option<&Permission>,
    ) -> impl Iterator<Item = SecurityRequirement> {
        self.names()
            .map(move |name| SecurityRequirement::new(name, permission.map(Permission::as_str)))
    }

    fn names(self) -> impl Iterator<Item = String> {
        (1..=self.0.len()).map(|number| match number {
            1 => NAME.to_owned(),
            number => format!("{NAME}_{number}"),
        })
    }
}

/// Returns the scheme of a token in this header.
fn scheme(header: &HeaderName) -> SecurityScheme {
    if *header == header::AUTHORIZATION {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: `Authorization: Bearer <token>`."));
        SecurityScheme::Http(bearer.build())
    } else {
        let description = "An API key, as the whole value of the header.";
        let value = ApiKeyValue::with_description(header.as_str(), description);
        SecurityScheme::ApiKey(ApiKey::Header(value))
    }
}
