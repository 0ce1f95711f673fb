//! The query of a request for a decision.

use keywright_core::Permission;

use crate::{
    bounds::MAX_QUERY_PARAMETERS,
    error::ApiError,
    query::{UNKNOWN, for_each_repeatable},
};

/// Parses the required permissions.
///
/// Another parameter, or a permission that is malformed, is an error: a proxy with a typo in its
/// configuration must not let every key through.
pub(super) fn permissions(query: Option<&str>) -> Result<Vec<Permission>, ApiError> {
    let mut permissions = Vec::new();
    for_each_repeatable(query.map(before_uri), &["permission"], |name, value| {
        match name {
            "permission" if permissions.len() == MAX_QUERY_PARAMETERS => {
                return Err("at most 16 permissions can be required");
            }
            "permission" => {
                let permission = Permission::parse(value);
                permissions.push(permission.map_err(|_| "permission is not a valid permission")?);
            }
            _ => return Err(UNKNOWN),
        }
        Ok(())
    })?;
    Ok(permissions)
}

/// Returns the query up to the parameter `uri`, which ends what the proxy has written. The client
/// has written the rest, so it is not read.
fn before_uri(query: &str) -> &str {
    if query.starts_with("uri=") {
        return "";
    }
    query.split_once("&uri=").map_or(query, |(own, _)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the permissions that a query requires, joined by a space.
    fn required(query: &str) -> Option<String> {
        let permissions = permissions(Some(query)).ok()?;
        let permissions: Vec<_> = permissions.iter().map(Permission::as_str).collect();
        Some(permissions.join(" "))
    }

    #[test]
    fn a_permission_may_be_repeated_and_anything_else_is_an_error() {
        assert!(permissions(None).is_ok_and(|permissions| permissions.is_empty()));
        let sixteen = ["permission=a"; 16].join("&");
        for (query, expected) in [
            ("", Some("")),
            ("permission=calls:read", Some("calls:read")),
            ("permission=calls%3Aread", Some("calls:read")),
            ("permission=a&permission=b:*", Some("a b:*")),
            ("permission=*", Some("*")),
            (&sixteen, Some(&*["a"; 16].join(" "))),
            (&format!("{sixteen}&permission=a"), None),
            ("permision=calls:read", None),
            ("Permission=calls:read", None),
            ("permission[]=calls:read", None),
            ("permissions=calls:read", None),
            ("permission", None),
            ("permission=", None),
            ("permission=calls:read,calls:write", None),
            ("permission=calls:read calls:write", None),
            ("permission=Calls:read", None),
            ("permission=calls:read&x", None),
            ("permission=calls:read;x", None),
            ("permission=calls:read%ff", None),
        ] {
            assert_eq!(required(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn nothing_after_uri_is_read() {
        for (query, expected) in [
            ("permission=a&uri=/calls?permission=b&x=%ff", Some("a")),
            ("permission=a&uri=", Some("a")),
            ("permission=a&uri=/x&uri=/y", Some("a")),
            ("uri=/calls&permission=b&uri=/x", Some("")),
            // Without `uri`, the path of the client becomes a part of the permission.
            ("permission=a/calls", None),
            ("permission=a&url=/calls", None),
            ("permission=a&%75ri=/calls", None),
            ("permission=a&uri", None),
        ] {
            assert_eq!(required(query).as_deref(), expected, "{query}");
        }
    }
}
