//! Permissions and sets of permissions.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A permission: `*`, or 1 to 4 segments of `[a-z0-9_.-]{1,32}` joined by `:`, of which the last
/// may be `*`. At most 64 bytes.
///
/// Hosts choose the names of their permissions. Only `api_keys:…`, `api_keys.own:…` and
/// `api_keys.self:…` are reserved, for the operations of this library.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(Cow<'static, str>);

impl Permission {
    /// `*`: all permissions.
    pub const ALL: Self = Self(Cow::Borrowed("*"));
    /// `api_keys.own:read`: list and find the keys of the caller's [`Owner`](crate::Owner).
    pub const API_KEYS_OWN_READ: Self = Self(Cow::Borrowed("api_keys.own:read"));
    /// `api_keys.own:verify`: introspect the tokens of the caller's owner.
    pub const API_KEYS_OWN_VERIFY: Self = Self(Cow::Borrowed("api_keys.own:verify"));
    /// `api_keys.own:write`: create keys, and update, rotate and revoke those of the caller's
    /// owner.
    pub const API_KEYS_OWN_WRITE: Self = Self(Cow::Borrowed("api_keys.own:write"));
    /// `api_keys:read`: list and find keys.
    pub const API_KEYS_READ: Self = Self(Cow::Borrowed("api_keys:read"));
    /// `api_keys.self:rotate`: rotate the calling key. Without it, a thief of a key cannot renew
    /// the key.
    pub const API_KEYS_SELF_ROTATE: Self = Self(Cow::Borrowed("api_keys.self:rotate"));
    /// `api_keys:verify`: introspect tokens.
    pub const API_KEYS_VERIFY: Self = Self(Cow::Borrowed("api_keys:verify"));
    /// `api_keys:write`: create, update, rotate and revoke keys.
    pub const API_KEYS_WRITE: Self = Self(Cow::Borrowed("api_keys:write"));

    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 64;

    const MAX_SEGMENTS: usize = 4;
    const MAX_SEGMENT_LENGTH: usize = 32;

    /// Parses a permission.
    ///
    /// # Errors
    ///
    /// [`PermissionError::Malformed`] if the text does not follow the syntax.
    pub fn parse(text: &str) -> Result<Self, PermissionError> {
        let is_name = |segment: &[u8]| {
            (1..=Self::MAX_SEGMENT_LENGTH).contains(&segment.len())
                && segment.iter().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(byte)
                })
        };
        // Not `str::split`, which is slower for a text that short.
        let segments = text.as_bytes().split(|byte| *byte == b':');
        let well_formed = text.len() <= Self::MAX_LENGTH
            && segments.clone().count() <= Self::MAX_SEGMENTS
            && segments
                .rev()
                .enumerate()
                .all(|(place, segment)| is_name(segment) || (place == 0 && segment == b"*"));
        if well_formed {
            Ok(Self(Cow::Owned(text.into())))
        } else {
            Err(PermissionError::Malformed)
        }
    }

    /// Returns the permission as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this permission includes `other`. `*` covers every permission, `calls:*` covers
    /// every permission that begins with `calls:`, and any other permission covers only itself.
    ///
    /// ```
    /// use keywright_core::Permission;
    ///
    /// let calls = Permission::parse("calls:*")?;
    /// assert!(calls.covers(&Permission::parse("calls:read")?));
    /// assert!(!calls.covers(&Permission::parse("*")?));
    /// # Ok::<(), keywright_core::error::PermissionError>(())
    /// ```
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => other.as_str().starts_with(stem),
            None => self == other,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(Permission, PermissionError);

/// A set of at most 64 permissions, in alphabetical order. The empty set permits nothing.
///
/// ```
/// use keywright_core::Permissions;
///
/// let caller: Permissions = "calls:*,api_keys:write".parse()?;
/// let wanted: Permissions = "calls:read".parse()?;
/// assert_eq!(caller.first_not_covered(&wanted), None);
/// # Ok::<(), keywright_core::error::PermissionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
// Not `Arc<[Permission]>`, because one word is enough in each cached key.
pub struct Permissions(Arc<Vec<Permission>>);

impl Permissions {
    /// The maximum number of permissions in a set.
    pub const MAX_COUNT: usize = 64;

    /// Creates a set. Duplicates count once.
    ///
    /// # Errors
    ///
    /// [`PermissionError::TooMany`] if the set has more than [`MAX_COUNT`](Self::MAX_COUNT)
    /// permissions.
    pub fn new(permissions: impl IntoIterator<Item = Permission>) -> Result<Self, PermissionError> {
        let mut set: Vec<Permission> = permissions.into_iter().collect();
        set.sort();
        set.dedup();
        if set.len() > Self::MAX_COUNT {
            return Err(PermissionError::TooMany);
        }
        set.shrink_to_fit();
        Ok(Self(Arc::new(set)))
    }

    /// Returns the set that contains only `*` and covers every permission.
    #[must_use]
    pub fn all() -> Self {
        Self(Arc::new(vec![Permission::ALL]))
    }

    /// Whether a permission in the set covers `wanted`.
    #[must_use]
    pub fn covers(&self, wanted: &Permission) -> bool {
        self.0.iter().any(|permission| permission.covers(wanted))
    }

    /// Returns the first permission of `wanted` that this set does not cover.
    #[must_use]
    pub fn first_not_covered<'a>(&self, wanted: &'a Self) -> Option<&'a Permission> {
        wanted.0.iter().find(|permission| !self.covers(permission))
    }

    /// Returns the permissions in alphabetical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Permission> {
        self.0.iter()
    }
}

impl FromStr for Permissions {
    type Err = PermissionError;

    /// Parses permissions separated by commas. The empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, PermissionError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let list: Result<Vec<_>, _> = text.split(',').map(Permission::parse).collect();
        Self::new(list?)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, permission) in self.0.iter().enumerate() {
            write!(f, "{}{permission}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A serde error would quote a value that is not a list, and that value may be a token.
        let permissions = Vec::<Permission>::deserialize(deserializer)
            .map_err(|_| de::Error::custom(PermissionError::Malformed))?;
        Self::new(permissions).map_err(de::Error::custom)
    }
}

/// An error from parsing a permission or creating a set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// The text does not follow the syntax of [`Permission`].
    #[error(
        "a permission must be * or 1 to 4 segments of a-z 0-9 _ . - joined by :, at most 64 bytes"
    )]
    Malformed,
    /// The set has more than [`Permissions::MAX_COUNT`] permissions.
    #[error("a key has at most 64 permissions")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(text: &str) -> Permission {
        Permission::parse(text).unwrap()
    }

    #[test]
    fn permissions_follow_the_syntax() {
        let longest = format!("{}:{}", "a".repeat(31), "b".repeat(32));
        for good in [
            "*",
            "a",
            "calls:read",
            "a:b:c:d",
            "a:b:c:*",
            "x_y.z-0:9",
            &longest,
        ] {
            assert!(Permission::parse(good).is_ok(), "{good}");
        }
        let long_segment = "a".repeat(33);
        let long = format!("{}:{}:a", "a".repeat(31), "b".repeat(31));
        for bad in [
            "",
            ":",
            "a:",
            ":a",
            "a::b",
            "*:a",
            "a:*:b",
            "a*",
            "A",
            "a b",
            "a,b",
            "a:b:c:d:e",
            "é",
            "**",
            &long_segment,
            &long,
        ] {
            assert!(Permission::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_permission_covers_itself_and_what_its_wildcard_includes() {
        for (has, wants) in [
            ("*", "*"),
            ("*", "a"),
            ("*", "a:*"),
            ("a:*", "a:b"),
            ("a:*", "a:b:c"),
            ("a:*", "a:*"),
            ("a:*", "a:b:*"),
            ("a", "a"),
            ("a:b", "a:b"),
        ] {
            assert!(
                permission(has).covers(&permission(wants)),
                "{has} covers {wants}"
            );
        }
        for (has, wants) in [
            ("a:*", "a"),
            ("a:*", "ab:c"),
            ("a:*", "*"),
            ("a", "a:b"),
            ("a", "*"),
            ("a:b", "a:*"),
            ("a:b:*", "a:*"),
        ] {
            assert!(
                !permission(has).covers(&permission(wants)),
                "{has} does not cover {wants}"
            );
        }
    }

    #[test]
    fn a_set_is_sorted_without_duplicates_and_has_at_most_64_permissions() {
        let set: Permissions = "b,a,b".parse().unwrap();
        assert_eq!(set.to_string(), "a,b");
        let many = |count| Permissions::new((0..count).map(|n| permission(&format!("p{n}"))));
        assert!(many(64).is_ok());
        assert_eq!(many(65), Err(PermissionError::TooMany));
    }

    #[test]
    fn the_empty_set_covers_nothing_and_is_covered_by_all() {
        let none = Permissions::default();
        assert!(!none.covers(&permission("a")));
        assert_eq!(none.first_not_covered(&none), None);
        assert_eq!(
            none.first_not_covered(&Permissions::all()),
            Some(&permission("*"))
        );
    }

    #[test]
    fn json_lists_follow_the_same_rules() {
        let read = |json: &str| serde_json::from_str::<Permissions>(json).ok();
        let set = read(r#"["b:*","a"]"#).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["a","b:*"]"#);
        let many: Vec<String> = (0..65).map(|number| format!("p{number}")).collect();
        let many = serde_json::to_string(&many).unwrap();
        for wrong in [r#"["A"]"#, r#""a""#, "[1]", &many] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
