//! What is asked of a server, and what its answer means for the next attempt.

use redis::{Cmd, ErrorKind, RedisError, Value, cmd};

use crate::{error::Error, script::Call, slot};

/// Commands on one slot.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) slot: u16,
    pub(crate) effect: Effect,
    commands: Commands,
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
enum Commands {
    Plain(Vec<Cmd>),
    Script(Call),
}

impl Effect {
    /// Whether replicas are to have what is changed.
    pub(crate) const fn is_confirmed(self) -> bool {
        matches!(self, Self::Repeatable | Self::Once)
    }
}

impl Request {
    pub(crate) fn new(name: &[u8], effect: Effect, commands: Vec<Cmd>) -> Self {
        Self {
            slot: slot::of(name),
            effect,
            commands: Commands::Plain(commands),
        }
    }

    pub(crate) fn script(call: Call, effect: Effect) -> Self {
        Self {
            slot: call.keys.first().map_or(0, |name| slot::of(name)),
            effect,
            commands: Commands::Script(call),
        }
    }

    /// The commands as they are sent. A script is sent `in_full` to a server that does not know it;
    /// each command that is `asked` for is one for which a slot on its way was asked for.
    pub(crate) fn commands(&self, in_full: bool, asked: bool) -> Vec<Cmd> {
        let commands = match &self.commands {
            Commands::Plain(commands) => commands.clone(),
            Commands::Script(call) if in_full => vec![call.in_full()],
            Commands::Script(call) => vec![call.by_digest()],
        };
        if !asked {
            return commands;
        }
        commands
            .into_iter()
            .flat_map(|command| [cmd("ASKING"), command])
            .collect()
    }
}

/// What an answer means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is one.
    Answered(Vec<Value>),
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

/// Judges the answers, of which those of a request that was `asked` have one to `ASKING` before each.
pub(crate) fn judge(answers: Vec<Value>, asked: bool) -> Verdict {
    let answers: Vec<Value> = if asked {
        answers.into_iter().skip(1).step_by(2).collect()
    } else {
        answers
    };
    for answer in &answers {
        if let Value::ServerError(error) = answer {
            return judge_error(error.clone().into());
        }
    }
    Verdict::Answered(answers)
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
