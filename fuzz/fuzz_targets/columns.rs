//! The columns of a record that are texts in every database.

use keywright_core::{
    AllowedIps, Attributes, Metadata, Name, Owner, Permissions, Workspace, store::StoredHash,
};

/// Whether a text is valid for its column. Other targets test the formats of the texts.
pub(crate) fn is_valid_text(column: &str, text: &str) -> bool {
    match column {
        "workspace" => Workspace::parse(text).is_ok(),
        "name" => text.trim() == text && Name::parse(text).is_ok(),
        "permissions" => text.parse::<Permissions>().is_ok(),
        "owner" => Owner::parse(text).is_ok(),
        "metadata" => Metadata::parse(text).is_ok(),
        "attributes" => Attributes::parse(text).is_ok(),
        // A set has a single form, in which it is written.
        "allowed_ips" => AllowedIps::parse(text.split(',')).is_ok_and(|allowed_ips| {
            let networks = allowed_ips.iter().map(|network| network.to_string());
            text.split(',').eq(networks)
        }),
        "hash" => StoredHash::parse(text).is_ok(),
        _ => unreachable!("{column} is not a text in every database"),
    }
}

/// Whether bytes are an id.
pub(crate) fn is_id(bytes: &[u8]) -> bool {
    bytes.len() == 16 && bytes.iter().all(u8::is_ascii_alphanumeric)
}
