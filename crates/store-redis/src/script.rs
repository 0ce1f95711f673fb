//! The scripts that change what is stored, each on one hash slot.

use std::{fmt, sync::LazyLock};

use redis::{Cmd, cmd};

/// What a script answers with, as in `scripts/layout.lua`.
pub(crate) mod answer {
    pub(crate) const NOT_FOUND: i64 = 0;
    pub(crate) const DONE: i64 = 1;
    pub(crate) const ALREADY: i64 = 2;
    pub(crate) const UNREADABLE: i64 = 3;
    pub(crate) const CONFLICT: i64 = 4;
    pub(crate) const TAKEN: i64 = 5;
}

/// A script, and the digest by which a server knows it that has run it before.
pub(crate) struct Script {
    body: &'static str,
    digest: LazyLock<String>,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: Script = {
            const BODY: &str = concat!(include_str!("scripts/layout.lua"), include_str!($file));
            Script {
                body: BODY,
                digest: LazyLock::new(|| redis::Script::new(BODY).get_hash().into()),
            }
        };
    };
}

script!(ADMIT, "scripts/admit.lua");
script!(CASCADE, "scripts/cascade.lua");
script!(CLAIM, "scripts/claim.lua");
script!(LOOK, "scripts/look.lua");
script!(PURGE, "scripts/purge.lua");
script!(REPLACE, "scripts/replace.lua");
script!(RESERVE, "scripts/reserve.lua");
script!(REVOKE, "scripts/revoke.lua");
script!(TOUCH, "scripts/touch.lua");

/// How a script is called.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) script: &'static Script,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
}

impl Call {
    /// By the digest alone.
    pub(crate) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", &self.script.digest)
    }

    /// With the whole script, which the server then knows.
    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", self.script.body)
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
        f.debug_tuple("Script").field(&*self.digest).finish()
    }
}
