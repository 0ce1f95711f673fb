//! What is asked of a server, and what its answer means for the next attempt.

use redis::{Cmd, ErrorKind, RedisError, Value, cmd};

use crate::{error::Error, script::Call, slot};

/// A command on one slot.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) slot: u16,
    pub(crate) effect: Effect,
    command: Command,
}

/// What becomes of the store when a request is made twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing is changed.
    Reads,
    /// Nothing is changed; that the keys are on two servers is told at once.
    ReadsTogether,
    /// The second time changes nothing more, and is answered like the first.
    Repeatable,
    /// The same, and replicas need not confirm it.
    Unconfirmed,
    /// Only the first time is answered as it should be.
    Once,
}

#[derive(Clone, Debug)]
enum Command {
    Plain(Cmd),
    Script(Call),
}

impl Effect {
    /// Whether replicas are to have what is changed.
    pub(crate) const fn is_confirmed(self) -> bool {
        matches!(self, Self::Repeatable | Self::Once)
    }
}

impl Request {
    pub(crate) fn new(name: &[u8], effect: Effect, command: Cmd) -> Self {
        Self {
            slot: slot::of(name),
            effect,
            command: Command::Plain(command),
        }
    }

    pub(crate) fn script(call: Call, effect: Effect) -> Self {
        Self {
            slot: call.keys.first().map_or(0, |name| slot::of(name)),
            effect,
            command: Command::Script(call),
        }
    }

    /// The command as it is sent: a script `in_full` to a server that does not know it, and after
    /// `ASKING` to one that a slot is on its way to.
    pub(crate) fn commands(&self, in_full: bool, asked: bool) -> Vec<Cmd> {
        let command = match &self.command {
            Command::Plain(command) => command.clone(),
            Command::Script(call) if in_full => call.in_full(),
            Command::Script(call) => call.by_digest(),
        };
        if asked {
            vec![cmd("ASKING"), command]
        } else {
            vec![command]
        }
    }
}

/// What an answer means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is one.
    Answered(Value),
    /// Another server has the slot, from now on.
    Moved(String),
    /// Another server may have the key, this time.
    Ask(String),
    /// The server does not know the script.
    NoScript,
    /// Nothing was done, and it may be done soon.
    Later(Error),
    /// Nothing was done, nor will it be.
    Failed(Error),
}

/// Judges the last of the answers; the one to `ASKING` tells nothing.
pub(crate) fn judge(mut answers: Vec<Value>) -> Verdict {
    match answers.pop() {
        Some(Value::ServerError(error)) => judge_error(error.into()),
        Some(answer) => Verdict::Answered(answer),
        None => Verdict::Failed(Error::Unexpected("answer")),
    }
}

fn judge_error(error: RedisError) -> Verdict {
    let address = |error: &RedisError| {
        let detail = error.detail()?;
        detail.split_whitespace().nth(1).map(String::from)
    };
    match error.code() {
        Some("MOVED") => match address(&error) {
            Some(address) => Verdict::Moved(address),
            None => Verdict::Later(error.into()),
        },
        Some("ASK") => match address(&error) {
            Some(address) => Verdict::Ask(address),
            None => Verdict::Later(error.into()),
        },
        Some("NOSCRIPT") => Verdict::NoScript,
        Some(
            "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "READONLY"
            | "TRYAGAIN",
        ) => Verdict::Later(error.into()),
        _ => Verdict::Failed(error.into()),
    }
}

/// Whether another attempt to connect would end the same way.
pub(crate) fn is_final(error: &Error) -> bool {
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
    use crate::server::Unfit;

    fn error(said: &str) -> Error {
        match redis::parse_redis_value(format!("-{said}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => Error::Redis(error.into()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_is_not_let_in_is_told_at_once_and_not_at_the_deadline() {
        for said in [
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOAUTH Authentication required.",
            "NOPERM User keys has no permissions to run the 'info' command",
        ] {
            assert!(is_final(&error(said)), "{said}");
        }
        let refused = (
            ErrorKind::AuthenticationFailed,
            "Password authentication failed",
        );
        assert!(is_final(&RedisError::from(refused).into()));
        assert!(is_final(&Unfit::NoAppendOnlyFile.into()));
        for said in [
            "LOADING Redis is loading the dataset in memory",
            "ERR max number of clients reached",
        ] {
            assert!(!is_final(&error(said)), "{said}");
        }
        assert!(!is_final(&Error::TimedOut));
    }
}
