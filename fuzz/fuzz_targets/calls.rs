//! Runs sequences of actions in two processes over one store in memory. Every outcome must equal
//! the model's.

#![no_main]

use keywright_assurance::{
    action::{
        Action, Actor, Idempotency, KeyChange, KeyRequest, Page, PresentedToken, RequestedExpiry,
        RequiredVersion, Step,
    },
    model::Model,
    system::{MemoryBackend, System},
    vocabulary::{
        ADDRESSES, ALLOWED_IPS, ATTRIBUTES, DAY, HOSTS, HOUR, METADATA, NAMES, OWNERS, PERMISSIONS,
        PROCESSES, REQUIRED, SEARCHES, SLOTS, WORKSPACES,
    },
};
use keywright_core::{Change, Environment, Reach, Status};
use libfuzzer_sys::fuzz_target;

/// The maximum number of steps in a sequence. Further input is ignored.
const MAX_STEPS: usize = 100;

fuzz_target!(|bytes: &[u8]| {
    let mut model = Model::new();
    let mut system = System::new(MemoryBackend::default());
    let mut input = Input(bytes);
    for _ in 0..MAX_STEPS {
        let Some(step) = input.step() else {
            break;
        };
        model.apply(&step);
        system.step(&step, &model);
    }
    system.check_all(&model);
});

/// The input, of which each byte makes one choice.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn step(&mut self) -> Option<Step> {
        let first = self.byte()?;
        // Usually the first process.
        let process = usize::from(first & 0xf0 == 0xf0) % PROCESSES;
        let action = match first & 0x0f {
            0..3 => Action::Create {
                by: self.actor()?,
                into: self.slot()?,
                new: self.new_key()?,
                idempotency: self.idempotency()?,
            },
            3 | 4 => Action::Rotate {
                by: self.actor()?,
                key: self.slot()?,
                into: self.slot()?,
                overlap: self.choose(&[0, 1, HOUR, 2 * HOUR, DAY, 40 * DAY])?,
                lifetime: self.optional(&[1, 0, HOUR, 3 * HOUR, DAY, 40 * DAY])?,
                idempotency: self.idempotency()?,
            },
            5 | 6 => Action::Update {
                by: self.actor()?,
                key: self.slot()?,
                update: self.key_change()?,
            },
            7 => Action::Revoke {
                by: self.actor()?,
                key: self.slot()?,
                reach: self.choose(&[Reach::Key, Reach::Descendants])?,
            },
            8 => Action::Find {
                by: self.actor()?,
                key: self.slot()?,
            },
            9 => Action::List {
                by: self.actor()?,
                owner: self.optional(&OWNERS)?,
                status: self.optional(&Status::ALL)?,
                search: self.optional(&SEARCHES)?,
                limit: self.choose(&[1, 2, 3, 100])?,
                page: match self.byte()? {
                    page @ 0..3 => Page::Number(u32::from(page)),
                    cursor => Page::Cursor(usize::from(cursor)),
                },
            },
            10 | 11 => Action::Verify {
                token: self.presented()?,
                from: self.optional(&ADDRESSES)?,
            },
            12 => Action::Introspect {
                by: self.actor()?,
                token: self.presented()?,
                from: self.optional(&ADDRESSES)?,
                permission: self.optional(&REQUIRED)?,
            },
            13 => {
                Action::Wait(self.choose(&[1, HOUR, 2 * HOUR, DAY - 1, DAY, DAY + 1, 40 * DAY])?)
            }
            14 => Action::Purge {
                workspace: self.optional(&WORKSPACES)?,
                revoked: self.optional(&[0, HOUR, DAY, DAY + 1, 2 * DAY])?,
                expired: self.optional(&[0, HOUR, DAY, DAY + 1, 2 * DAY])?,
            },
            _ => match self.byte()? & 15 {
                0 => Action::First,
                1 | 2 => Action::Flush,
                3..6 => Action::SetAttributes {
                    by: usize::from(self.byte()?) % HOSTS.len(),
                    key: self.slot()?,
                    attributes: self.optional(&ATTRIBUTES)?,
                },
                6 | 7 => Action::RevokeAll {
                    by: self.actor()?,
                    owner: self.optional(&OWNERS)?,
                },
                how => Action::Reopen {
                    all: how & 1 != 0,
                    argon2: how & 2 != 0,
                    limited: how & 4 != 0,
                },
            },
        };
        Some(Step { process, action })
    }

    fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn choose<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let byte = usize::from(self.byte()?);
        choices.get(byte % choices.len()).copied()
    }

    /// Chooses a value, or none if the byte is out of range.
    fn optional<T: Copy>(&mut self, choices: &[T]) -> Option<Option<T>> {
        Some(choices.get(usize::from(self.byte()?)).copied())
    }

    fn slot(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) % SLOTS)
    }

    fn actor(&mut self) -> Option<Actor> {
        let byte = usize::from(self.byte()?);
        Some(if byte < 128 {
            Actor::Host(byte % HOSTS.len())
        } else {
            Actor::Key(byte % SLOTS)
        })
    }

    fn new_key(&mut self) -> Option<KeyRequest> {
        Some(KeyRequest {
            name: self.choose(&NAMES)?,
            environment: self.optional(&[Environment::Live, Environment::Test])?,
            permissions: self.optional(&PERMISSIONS)?,
            expiry: match self.byte()? {
                0 => RequestedExpiry::Now,
                1 => RequestedExpiry::In(0),
                2 => RequestedExpiry::In(-HOUR),
                byte @ 3..9 => RequestedExpiry::In(
                    [1, HOUR, 2 * HOUR, 3 * HOUR, DAY, 40 * DAY][usize::from(byte) - 3],
                ),
                _ => RequestedExpiry::Inherited,
            },
            metadata: self.optional(&METADATA)?,
            allowed_ips: self.optional(&ALLOWED_IPS)?,
        })
    }

    fn key_change(&mut self) -> Option<KeyChange> {
        Some(KeyChange {
            name: self.optional(&NAMES)?,
            permissions: self.optional(&PERMISSIONS)?,
            metadata: self.change(&METADATA)?,
            enabled: self.optional(&[false, true])?,
            expires_in: self.change(&[1, 0, -HOUR, HOUR, 3 * HOUR, DAY, 40 * DAY])?,
            allowed_ips: self.change(&ALLOWED_IPS)?,
            version: match self.byte()? {
                0 => RequiredVersion::Older,
                1..64 => RequiredVersion::AsRead,
                _ => RequiredVersion::Any,
            },
        })
    }

    /// Chooses a new value, or the removal of the value if the byte is the largest. Other bytes
    /// that are out of range keep the value.
    fn change<T: Copy>(&mut self, choices: &[T]) -> Option<Change<T>> {
        let byte = self.byte()?;
        Some(match choices.get(usize::from(byte)) {
            Some(value) => Change::Set(*value),
            None if byte == u8::MAX => Change::Clear,
            None => Change::Keep,
        })
    }

    fn idempotency(&mut self) -> Option<Option<Idempotency>> {
        let byte = self.byte()?;
        Some((byte < 128).then_some(Idempotency {
            key: byte & 3,
            request: byte >> 2 & 1,
        }))
    }

    fn presented(&mut self) -> Option<PresentedToken> {
        let byte = self.byte()?;
        let slot = usize::from(byte) % SLOTS;
        Some(match byte / 32 {
            0 => PresentedToken::OtherSecret(slot),
            1 => PresentedToken::OtherEnvironment(slot),
            2 => PresentedToken::Damaged(slot),
            _ => PresentedToken::Token(slot),
        })
    }
}
