//! A key in the response that issues it, with its token.

use bytes::Bytes;
use keywright_core::{Issued, Key, Timestamp};
use serde::Serialize;

use super::{key::KeyView, wiping_buffer::WipingBuffer};

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
        let mut json = WipingBuffer::new();
        serde_json::to_writer(&mut json, &IssuedView::issued(issued))?;
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
    /// The whole token. No other response contains it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    secret: Option<&'a str>,
    #[serde(flatten)]
    key: KeyView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    confirmed: Option<bool>,
}

impl<'a> IssuedView<'a> {
    /// Returns the view of a key that was just created.
    fn issued(issued: &'a Issued) -> Self {
        Self {
            secret: Some(issued.token.expose()),
            // The status at the time of the creation, whenever this is called.
            key: KeyView::new(&issued.key, issued.key.created_at()),
            confirmed: (!issued.confirmed).then_some(false),
        }
    }

    /// Returns the view of a key that an earlier request created, at the time `now`.
    pub(crate) fn replayed(key: &'a Key, now: Timestamp) -> Self {
        Self {
            secret: None,
            key: KeyView::new(key, now),
            confirmed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keywright_core::{
        Caller, Config, Keywright, MemoryStore, Name, NewKey, Permissions, Prefix, Scheme,
        Workspace,
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
