//! A key as another system has kept it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::ImportError;
use crate::{AllowedIps, Environment, Metadata, Name, Owner, Permission, Permissions, Timestamp};

/// A key as another system has kept it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignKey {
    /// The hash of the token, as the other system has kept it.
    pub hash: String,
    /// The public part of the token, for a format that finds keys by it.
    pub public_part: Option<String>,
    /// The name of the key.
    pub name: Name,
    /// The permissions of the key.
    pub permissions: Permissions,
    /// The owner of the key.
    pub owner: Option<Owner>,
    /// The environment of the key.
    pub environment: Environment,
    /// When the other system created the key. `None` stands for the time of the import.
    pub created_at: Option<Timestamp>,
    /// The time from which the key is rejected.
    pub expires_at: Option<Timestamp>,
    /// Whether the key is enabled. `false` for a paused key.
    pub enabled: bool,
    /// The addresses from which the key may be used.
    pub allowed_ips: Option<AllowedIps>,
    /// The client's notes.
    pub metadata: Option<Metadata>,
}

impl ForeignKey {
    /// Creates a key with this hash, name and permissions, which never expires.
    #[must_use]
    pub fn new(hash: impl Into<String>, name: Name, permissions: Permissions) -> Self {
        Self {
            hash: hash.into(),
            public_part: None,
            name,
            permissions,
            owner: None,
            environment: Environment::Live,
            created_at: None,
            expires_at: None,
            enabled: true,
            allowed_ips: None,
            metadata: None,
        }
    }

    /// Parses a JSON object:
    ///
    /// | field | | value |
    /// | --- | --- | --- |
    /// | `hash` | required | the hash, as the other system has kept it |
    /// | `public_part` or `lookup` | for some formats | the public part of the token |
    /// | `name` | required | the name |
    /// | `permissions` | required | an array of permissions |
    /// | `owner` | | the owner |
    /// | `environment` | | `live` (the default) or `test` |
    /// | `created_at`, `expires_at` | | a time, such as `2024-03-01T10:00:00Z` |
    /// | `enabled` | | `false` for a paused key |
    /// | `allowed_ips` | | an array of addresses and prefixes |
    /// | `metadata` | | an object |
    ///
    /// A field that is `null` is the same as one that is missing.
    ///
    /// # Errors
    ///
    /// [`ImportError::NotAnObject`], [`ImportError::DuplicateField`],
    /// [`ImportError::UnknownField`] or [`ImportError::Invalid`].
    pub fn parse(json: &str) -> Result<Self, ImportError> {
        let Object { members, duplicate } =
            serde_json::from_str(json).map_err(|_| ImportError::NotAnObject)?;
        if let Some(name) = duplicate {
            return Err(ImportError::DuplicateField(printable(&name)));
        }
        let mut fields = Fields(members);
        let key = Self {
            hash: fields.required("hash", Ok)?,
            public_part: match fields.text("public_part", Ok)? {
                None => fields.text("lookup", Ok)?,
                part => part,
            },
            name: fields.required("name", |text| {
                Name::parse(&text).map_err(|error| error.to_string())
            })?,
            permissions: fields.permissions()?,
            owner: fields.text("owner", |text| {
                Owner::parse(&text).map_err(|error| error.to_string())
            })?,
            environment: fields
                .text("environment", |text| {
                    text.parse::<Environment>()
                        .map_err(|error| error.to_string())
                })?
                .unwrap_or(Environment::Live),
            created_at: fields.text("created_at", |text| {
                Timestamp::parse(&text).map_err(|error| error.to_string())
            })?,
            expires_at: fields.text("expires_at", |text| {
                Timestamp::parse(&text).map_err(|error| error.to_string())
            })?,
            enabled: fields.flag("enabled")?.unwrap_or(true),
            allowed_ips: fields.allowed_ips()?,
            metadata: fields.metadata()?,
        };
        fields.finish()?;
        Ok(key)
    }
}

/// A JSON object, and the name of a member that it has twice. Parsers differ in which of two
/// `expires_at` they use.
struct Object {
    members: Map<String, Value>,
    duplicate: Option<String>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut members = Map::new();
        let mut duplicate = None;
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.insert(name.clone(), value).is_some() {
                duplicate = Some(name);
            }
        }
        Ok(Object { members, duplicate })
    }
}

/// Returns the name of a member for an error. A name that is no plain word might be a token.
fn printable(name: &str) -> String {
    let is_word = name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word { name } else { "a member" }.to_owned()
}

/// The members of an object that were not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field).filter(|value| !value.is_null())
    }

    fn text<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> Result<Option<T>, ImportError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => read(text)
                .map(Some)
                .map_err(|reason| ImportError::invalid(field, reason)),
            Some(_) => Err(ImportError::invalid(field, "must be a string")),
        }
    }

    fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> Result<T, ImportError> {
        self.text(field, read)?
            .ok_or_else(|| ImportError::invalid(field, "missing"))
    }

    fn flag(&mut self, field: &'static str) -> Result<Option<bool>, ImportError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(ImportError::invalid(field, "must be true or false")),
        }
    }

    fn texts(&mut self, field: &'static str) -> Result<Option<Vec<String>>, ImportError> {
        let wrong = || ImportError::invalid(field, "must be an array of strings");
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }

    fn permissions(&mut self) -> Result<Permissions, ImportError> {
        const FIELD: &str = "permissions";
        let texts = self.texts(FIELD)?;
        let texts = texts.ok_or_else(|| ImportError::invalid(FIELD, "missing"))?;
        let permissions: Result<Vec<Permission>, _> =
            texts.iter().map(|text| Permission::parse(text)).collect();
        permissions
            .map_err(|error| ImportError::invalid(FIELD, error))
            .and_then(|permissions| {
                Permissions::new(permissions).map_err(|error| ImportError::invalid(FIELD, error))
            })
    }

    fn allowed_ips(&mut self) -> Result<Option<AllowedIps>, ImportError> {
        const FIELD: &str = "allowed_ips";
        let texts = self.texts(FIELD)?;
        let parse = |texts: Vec<String>| texts.join(",").parse::<AllowedIps>();
        texts
            .map(parse)
            .transpose()
            .map_err(|error| ImportError::invalid(FIELD, error))
    }

    fn metadata(&mut self) -> Result<Option<Metadata>, ImportError> {
        const FIELD: &str = "metadata";
        match self.take(FIELD) {
            None => Ok(None),
            Some(Value::Object(object)) => Metadata::new(&object)
                .map(Some)
                .map_err(|error| ImportError::invalid(FIELD, error)),
            Some(_) => Err(ImportError::invalid(FIELD, "must be an object")),
        }
    }

    /// Rejects members that were not read, such as a misspelt field.
    fn finish(mut self) -> Result<(), ImportError> {
        self.0.retain(|_, value| !value.is_null());
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(ImportError::UnknownField(printable(name))),
        }
    }
}

impl fmt::Debug for ForeignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignKey")
            .field("name", &self.name)
            .field("permissions", &self.permissions)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}
