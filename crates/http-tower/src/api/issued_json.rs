//! The answer to whoever has a key issued.

use bytes::Bytes;
use keywright_core::{
    Environment, Issued, Key, KeyId, Metadata, Name, Permissions, Timestamp, Token,
};
use serde::Serialize;
use zeroize::Zeroizing;

#[cfg(feature = "openapi")]
use crate::openapi;

/// The JSON that answers the creation of a key, with the whole token in it: for hosts that create
/// keys in a way of their own. It is wiped from memory on drop, and like the token it cannot be
/// printed or copied; the one way to the text is [`expose`](Self::expose).
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct IssuedJson(Zeroizing<Vec<u8>>);

/// A key that was created; `secret` is `null` in the answer to a repeat, and `confirmed` is there only
/// where it is `false`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyCreated))]
pub(crate) struct Created<'a> {
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyId))]
    id: KeyId,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyName))]
    name: &'a Name,
    /// The whole token, seen here and nowhere else.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    secret: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyTime))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyEnvironment))]
    environment: Environment,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyPermissions))]
    permissions: &'a Permissions,
    /// When it ends; `null` for never.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyTime>, required = true))]
    expires_at: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyMetadata>, required = true))]
    metadata: Option<&'a Metadata>,
    /// The key that created it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyId>, required = true))]
    parent_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed: Option<bool>,
}

impl<'a> Created<'a> {
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

impl IssuedJson {
    /// Serialises a key and its token.
    ///
    /// # Errors
    ///
    /// Those of [`serde_json`]; there is no key for which they are known to occur.
    pub fn new(issued: &Issued) -> Result<Self, serde_json::Error> {
        let key = &issued.key;
        let mut created = Created::new(key, Some(&issued.token));
        created.confirmed = (!issued.confirmed).then_some(false);
        // The buffer never grows, since growing would leave the secret in freed memory. Escaping at
        // most doubles a name, which has no control characters.
        let permissions = key.permissions.iter();
        let capacity = 1024
            + key.name.as_str().len() * 2
            + permissions
                .map(|permission| permission.as_str().len() + 3)
                .sum::<usize>()
            + key
                .metadata
                .as_ref()
                .map_or(0, |metadata| metadata.as_json().len());
        let mut json = Zeroizing::new(Vec::with_capacity(capacity));
        serde_json::to_writer(&mut *json, &created)?;
        debug_assert!(json.capacity() == capacity, "the buffer has grown");
        Ok(Self(json))
    }

    /// The JSON, in UTF-8. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The same as the body of an answer, wiped when the server has sent it.
    pub(super) fn into_bytes(self) -> Bytes {
        struct Body(IssuedJson);
        impl AsRef<[u8]> for Body {
            fn as_ref(&self) -> &[u8] {
                self.0.expose()
            }
        }
        Bytes::from_owner(Body(self))
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
    async fn a_key_that_is_not_confirmed_says_so() {
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
