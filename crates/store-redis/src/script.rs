//! The Lua scripts that read and change data in one hash slot.

use std::{
    fmt::{self, Write as _},
    sync::LazyLock,
};

use redis::{Cmd, cmd};

use crate::record::layout;

/// The numbers that scripts return.
pub(crate) mod code {
    pub(crate) const NOT_FOUND: i64 = 0;
    pub(crate) const DONE: i64 = 1;
    pub(crate) const ALREADY_REVOKED: i64 = 2;
    pub(crate) const CORRUPT: i64 = 3;
    pub(crate) const CONFLICT: i64 = 4;
    pub(crate) const ALREADY_EXISTS: i64 = 5;
    pub(crate) const ACTIVE: i64 = 6;
}

/// A script: the constants below, `scripts/record.lua` and a file for the script itself.
pub(crate) struct Script(LazyLock<Source>);

struct Source {
    body: String,
    /// The SHA-1 digest that identifies the script to a server that has cached it.
    digest: String,
}

impl Source {
    fn new(body: &str) -> Self {
        let body = [&constants(), include_str!("scripts/record.lua"), body].concat();
        let digest = redis::Script::new(&body).get_hash().into();
        Self { body, digest }
    }
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: Script =
            Script(LazyLock::new(|| Source::new(include_str!($file))));
    };
}

script!(ADD_ENTRY, "scripts/add_entry.lua");
script!(REGISTER, "scripts/register.lua");
script!(CASCADE, "scripts/cascade.lua");
script!(CLAIM, "scripts/claim.lua");
script!(CLAIM_ALIAS, "scripts/claim_alias.lua");
script!(EXPORT_RESERVATIONS, "scripts/export_reservations.lua");
script!(FREE_ALIAS, "scripts/free_alias.lua");
script!(IMPORT, "scripts/import.lua");
script!(INSERT, "scripts/insert.lua");
script!(PURGE, "scripts/purge.lua");
script!(READ_LINEAGE, "scripts/read_lineage.lua");
script!(REPLACE, "scripts/replace.lua");
script!(RESERVE, "scripts/reserve.lua");
script!(REVOKE, "scripts/revoke.lua");
script!(SET_CLAIM, "scripts/set_claim.lua");
script!(STORE_EVENT, "scripts/store_event.lua");
script!(STORE_TOMBSTONE, "scripts/store_tombstone.lua");
script!(TOUCH, "scripts/touch.lua");

/// Returns the constants that Rust and Lua share, as Lua source.
///
/// Each fixed field of a record has two: the positions of its first and last byte, counted from 1.
fn constants() -> String {
    let numbers = [
        ("NOT_FOUND", code::NOT_FOUND),
        ("DONE", code::DONE),
        ("ALREADY_REVOKED", code::ALREADY_REVOKED),
        ("CORRUPT", code::CORRUPT),
        ("CONFLICT", code::CONFLICT),
        ("ALREADY_EXISTS", code::ALREADY_EXISTS),
        ("ACTIVE", code::ACTIVE),
        ("FORMAT_VERSION", layout::FORMAT_VERSION.into()),
        ("NO_TEXT", layout::NO_TEXT.into()),
        ("TEXTS", layout::TEXTS.into()),
    ];
    let strings = [
        ("NO_TIME", &layout::NO_TIME.to_be_bytes()[..]),
        ("TOMBSTONE", layout::TOMBSTONE),
    ];
    let fields = [
        ("FORMAT", layout::FORMAT.range()),
        ("VERSION", layout::VERSION.range()),
        ("EXPIRES_AT", layout::EXPIRES_AT.range()),
        ("REVOKED_AT", layout::REVOKED_AT.range()),
        ("PARENT", layout::PARENT.range()),
        ("SUCCESSOR", layout::SUCCESSOR.range()),
        ("ROTATED_BY", layout::ROTATED_BY.range()),
        ("WORKSPACE_LENGTH", layout::WORKSPACE_LENGTH.range()),
        ("OWNER_LENGTH", layout::OWNER_LENGTH.range()),
    ];
    let mut lua = String::new();
    // Writing to a string cannot fail.
    for (name, number) in numbers {
        let _ = writeln!(lua, "local {name} = {number}");
    }
    for (name, bytes) in strings {
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
        let _ = writeln!(lua, "local {name} = '{escaped}'");
    }
    for (name, range) in fields {
        let (first, last) = (range.start + 1, range.end);
        let _ = writeln!(lua, "local {name}_FIRST, {name}_LAST = {first}, {last}");
    }
    lua
}

/// A call of a script.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) script: &'static Script,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
}

impl Call {
    /// Calls the script by its digest. It fails with `NOSCRIPT` on a server that has not run it
    /// yet.
    pub(crate) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", &self.script.0.digest)
    }

    /// Calls the script by its source, which the server then caches.
    pub(crate) fn by_source(&self) -> Cmd {
        self.command("EVAL", &self.script.0.body)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len());
        for argument in self.keys.iter().chain(&self.arguments) {
            command.arg(argument.as_slice());
        }
        command
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.0.digest).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lua_gets_the_codes_and_the_positions_of_the_fields() {
        let expected = r"
            local NOT_FOUND = 0
            local DONE = 1
            local ALREADY_REVOKED = 2
            local CORRUPT = 3
            local CONFLICT = 4
            local ALREADY_EXISTS = 5
            local ACTIVE = 6
            local FORMAT_VERSION = 1
            local NO_TEXT = 65535
            local TEXTS = 7
            local NO_TIME = '\255\255\255\255\255\255\255\255'
            local TOMBSTONE = '\000'
            local FORMAT_FIRST, FORMAT_LAST = 1, 1
            local VERSION_FIRST, VERSION_LAST = 4, 11
            local EXPIRES_AT_FIRST, EXPIRES_AT_LAST = 12, 19
            local REVOKED_AT_FIRST, REVOKED_AT_LAST = 20, 27
            local PARENT_FIRST, PARENT_LAST = 28, 43
            local SUCCESSOR_FIRST, SUCCESSOR_LAST = 44, 59
            local ROTATED_BY_FIRST, ROTATED_BY_LAST = 76, 91
            local WORKSPACE_LENGTH_FIRST, WORKSPACE_LENGTH_LAST = 108, 108
            local OWNER_LENGTH_FIRST, OWNER_LENGTH_LAST = 109, 109
        ";
        let lines: Vec<&str> = expected.trim().lines().map(str::trim).collect();
        assert_eq!(constants().lines().collect::<Vec<_>>(), lines);
    }
}
