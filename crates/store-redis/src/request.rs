//! A request to the server that has a slot, and the meaning of the server's reply.

use redis::{Cmd, ErrorKind, RedisError, Value, cmd};

use crate::{error::Error, script::Call, slot};

/// A command or script call in one slot.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) slot: u16,
    pub(crate) effect: Effect,
    pub(crate) lane: Lane,
    command: Command,
}

/// The queue and the connection that a request uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// For verifications, and for operations on a single key.
    Single,
    /// For lists, cascades and purges. No verification waits behind their many requests.
    Walk,
}

/// Whether a request changes data, and whether it may be sent again when its reply was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// A read.
    Read,
    /// A read of several names. It fails at once if they are on two servers because their slot is
    /// being migrated.
    ReadTogether,
    /// A write that may be repeated: the repetition changes nothing and returns the same reply.
    Idempotent,
    /// An idempotent write that replicas need not confirm.
    IdempotentUnconfirmed,
    /// A write that must not be repeated: the reply to a repetition would be wrong.
    Once,
    /// Such a write of several names. It fails at once if they are on two servers because their
    /// slot is being migrated.
    OnceTogether,
}

#[derive(Clone, Debug)]
enum Command {
    Plain(Cmd),
    Script(Call),
}

impl Effect {
    /// Whether the change must be confirmed by replicas, if any are configured.
    pub(crate) const fn needs_confirmation(self) -> bool {
        matches!(self, Self::Idempotent | Self::Once | Self::OnceTogether)
    }

    /// Whether the request must not be sent again when its reply was lost.
    pub(crate) const fn is_once(self) -> bool {
        matches!(self, Self::Once | Self::OnceTogether)
    }

    /// Whether the request fails at once if its names are on two servers.
    pub(crate) const fn is_together(self) -> bool {
        matches!(self, Self::ReadTogether | Self::OnceTogether)
    }
}

impl Request {
    pub(crate) fn new(name: &[u8], effect: Effect, command: Cmd) -> Self {
        Self {
            slot: slot::of(name),
            effect,
            lane: Lane::Single,
            command: Command::Plain(command),
        }
    }

    pub(crate) fn script(call: Call, effect: Effect) -> Self {
        Self {
            slot: call.keys.first().map_or(0, |name| slot::of(name)),
            effect,
            lane: Lane::Single,
            command: Command::Script(call),
        }
    }

    pub(crate) const fn in_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Returns the commands to send.
    ///
    /// `by_source` sends a script's source to a server that has not cached it. `asking` sends
    /// `ASKING` first, for a server that is importing the slot.
    pub(crate) fn commands(&self, by_source: bool, asking: bool) -> Vec<Cmd> {
        let command = match &self.command {
            Command::Plain(command) => command.clone(),
            Command::Script(call) if by_source => call.by_source(),
            Command::Script(call) => call.by_digest(),
        };
        if asking {
            vec![cmd("ASKING"), command]
        } else {
            vec![command]
        }
    }
}

/// The meaning of a server's reply to a [`Request`].
#[derive(Debug)]
pub(crate) enum Reply {
    /// The request was done.
    Value(Value),
    /// The server at this address has the slot from now on.
    Moved(String),
    /// The server at this address may have the name. Only this request goes there.
    Ask(String),
    /// The server has not cached the script.
    NoScript,
    /// Nothing was done, and a later attempt may succeed.
    Retry(Error),
    /// Nothing was done, and a later attempt would also fail.
    Failed(Error),
}

impl Reply {
    /// Interprets the last of the values. The one before it replies to `ASKING`.
    pub(crate) fn from_values(mut values: Vec<Value>) -> Self {
        match values.pop() {
            Some(Value::ServerError(error)) => Self::from_error(error.into()),
            Some(value) => Self::Value(value),
            None => Self::Failed(Error::Malformed("reply")),
        }
    }

    fn from_error(error: RedisError) -> Self {
        let address = |error: &RedisError| {
            let detail = error.detail()?;
            detail.split_whitespace().nth(1).map(String::from)
        };
        match error.code() {
            Some("MOVED") => match address(&error) {
                Some(address) => Self::Moved(address),
                None => Self::Retry(error.into()),
            },
            Some("ASK") => match address(&error) {
                Some(address) => Self::Ask(address),
                None => Self::Retry(error.into()),
            },
            Some("NOSCRIPT") => Self::NoScript,
            Some(
                "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "READONLY"
                | "TRYAGAIN",
            ) => Self::Retry(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}

/// Whether another attempt to connect would fail with the same error.
pub(crate) fn is_permanent(error: &Error) -> bool {
    match error {
        Error::Unfit(_) => true,
        Error::Redis(error) => {
            matches!(
                error.kind(),
                ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
            ) || matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Unfit;

    fn server_error(text: &str) -> Error {
        match redis::parse_redis_value(format!("-{text}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => Error::Redis(error.into()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_authentication_error_is_permanent_and_not_retried_until_the_deadline() {
        for text in [
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOAUTH Authentication required.",
            "NOPERM User keys has no permissions to run the 'info' command",
        ] {
            assert!(is_permanent(&server_error(text)), "{text}");
        }
        let rejected = (
            ErrorKind::AuthenticationFailed,
            "Password authentication failed",
        );
        assert!(is_permanent(&RedisError::from(rejected).into()));
        assert!(is_permanent(&Unfit::NoAppendOnlyFile.into()));
        for text in [
            "LOADING Redis is loading the dataset in memory",
            "ERR max number of clients reached",
        ] {
            assert!(!is_permanent(&server_error(text)), "{text}");
        }
        assert!(!is_permanent(&Error::TimedOut));
    }
}
