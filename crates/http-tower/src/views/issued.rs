//! A key in the response that issues it, with its token.

use bytes::Bytes;
use keywright_core::{
    Environment, Issued, Key, KeyId, Metadata, Name, Permissions, Timestamp, Token,
};
use serde::Serialize;

use super::wiping_buffer::WipingBuffer;
#[cfg(feature = "openapi")]
use crate::schema;

/// The JSON of a created key with its whole token, for hosts that create keys by other means than
/// [`ApiKeys`](crate::ApiKeys).
///
/// It is wiped from memory on drop. Like the token, it cannot be printed or copied, and only
/// [`expose`](Self::expose) gives access to its text.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct IssuedJson(WipingBuffer);

impl IssuedJson {
    /// Serialises a key and its token.
    ///
    /// # Errors
    ///
    /// Those of [`serde_json`]. No key is known to cause one.
    pub fn new(issued: &Issued) -> Result<Self, serde_json::Error> {
        let mut view = IssuedView::new(&issued.key, Some(&issued.token));
        view.confirmed = (!issued.confirmed).then_some(false);
        let mut json = WipingBuffer::new();
        serde_json::to_writer(&mut json, &view)?;
        Ok(Self(json))
    }

    /// Returns the JSON, in UTF-8. The caller must protect it as it would protect the token.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Converts the JSON into the body of a response. The body is wiped when the server drops it.
    pub(crate) fn into_bytes(self) -> Bytes {
        struct Body(IssuedJson);
        impl AsRef<[u8]> for Body {
            fn as_ref(&self) -> &[u8] {
                self.0.expose()
            }
        }
        Bytes::from_owner(Body(self))
    }
}

/// A created key. `secret` is `null` in the response to a repeated request. `confirmed` is present
/// only if it is `false`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyCreated))]
pub(crate) struct IssuedView<'a> {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyId))]
    id: KeyId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyName))]
    name: &'a Name,
    /// The whole token. No other response contains it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    secret: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyTime))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyEnvironment))]
    environment: Environment,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyPermissions))]
    permissions: &'a Permissions,
    /// The time at which the key expires, or `null` if it never does.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyTime>, required = true))]
    expires_at: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyMetadata>, required = true))]
    metadata: Option<&'a Metadata>,
    /// The key that created this one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyId>, required = true))]
    parent_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    confirmed: Option<bool>,
}

impl<'a> IssuedView<'a> {
    pub(crate) fn new(key: &'a Key, token: Option<&'a Token>) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            secret: token.map(Token::expose),
            created_at: key.created_at(),
            environment: key.environment,
            permissions: &key.permissions,
            expires_at: key.expires_at,
            metadata: key.metadata.as_ref(),
            parent_id: key.parent,
            confirmed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keywright_core::{
        Caller, Config, Keywright, MemoryStore, NewKey, Prefix, Scheme, Workspace,
    };

    use super::*;

    #[tokio::test]
    async fn only_an_unconfirmed_key_has_the_member_confirmed() {
        let config = Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
        let store = Arc::new(MemoryStore::new());
        let keys = Keywright::open(config, store).await.unwrap();
        let operator = Caller::new(Workspace::parse("acme").unwrap(), Permissions::all());
        let new = NewKey::new(Name::parse("CI").unwrap());
        let mut issued = keys.issuer().create(&operator, new).await.unwrap();
        let confirmed = |issued: &Issued| {
            let json = IssuedJson::new(issued).unwrap();
            let json: serde_json::Value = serde_json::from_slice(json.expose()).unwrap();
            json.get("confirmed").cloned()
        };
        assert_eq!(confirmed(&issued), None);
        issued.confirmed = false;
        assert_eq!(confirmed(&issued), Some(false.into()));
    }
}
