//! Sequences of calls in two processes over one store in memory: every answer is that of the reference.

#![no_main]

use keywright_assurance::{
    act::{Act, End, New, Once, Page, Presented, Step, Who},
    model::Model,
    system::{Memory, System},
    words::{DAY, HANDLES, HOSTS, HOUR, METADATA, NAMES, PERMISSIONS, SEARCHES, SLOTS, WORKSPACES},
};
use keywright_core::{Environment, Reach, Status};
use libfuzzer_sys::fuzz_target;

/// Most steps of a sequence: what comes after is not looked at.
const MOST: usize = 100;

fuzz_target!(|bytes: &[u8]| {
    let mut model = Model::new();
    let mut system = System::new(Memory::default());
    let mut input = Input(bytes);
    for _ in 0..MOST {
        let Some(step) = input.step() else {
            break;
        };
        model.apply(&step);
        system.step(&step, &model);
    }
    system.check_all(&model);
});

/// Bytes, of which each chooses one thing.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn step(&mut self) -> Option<Step> {
        let first = self.byte()?;
        // The first process, as a rule.
        let at = usize::from(first & 0xf0 == 0xf0) % HANDLES;
        let act = match first & 0x0f {
            0..3 => Act::Create {
                by: self.who()?,
                into: self.slot()?,
                new: self.new_key()?,
                once: self.once()?,
            },
            3 | 4 => Act::Rotate {
                by: self.who()?,
                key: self.slot()?,
                into: self.slot()?,
                overlap: self.of(&[0, 1, HOUR, 2 * HOUR, DAY, 40 * DAY])?,
                end: self.perhaps(&[1, 0, HOUR, 3 * HOUR, DAY, 40 * DAY])?,
                once: self.once()?,
            },
            5 => Act::Rename {
                by: self.who()?,
                key: self.slot()?,
                name: self.perhaps(&NAMES)?,
                metadata: self.perhaps(&METADATA)?,
            },
            6 | 7 => Act::Revoke {
                by: self.who()?,
                key: self.slot()?,
                reach: self.of(&[Reach::Key, Reach::Descendants])?,
            },
            8 => Act::Find {
                by: self.who()?,
                key: self.slot()?,
            },
            9 => Act::List {
                by: self.who()?,
                status: self.perhaps(&[Status::Active, Status::Expired, Status::Revoked])?,
                search: self.perhaps(&SEARCHES)?,
                limit: self.of(&[1, 2, 3, 100])?,
                page: match self.byte()? {
                    page @ 0..3 => Page::Number(u32::from(page)),
                    cursor => Page::Cursor(usize::from(cursor)),
                },
            },
            10 | 11 => Act::Verify(self.presented()?),
            12 => Act::Introspect {
                by: self.who()?,
                token: self.presented()?,
            },
            13 => Act::Wait(self.of(&[1, HOUR, 2 * HOUR, DAY - 1, DAY, DAY + 1, 40 * DAY])?),
            14 => Act::Purge {
                workspace: self.perhaps(&WORKSPACES)?,
                age: self.of(&[0, HOUR, DAY, DAY + 1, 2 * DAY])?,
            },
            _ => match self.byte()? & 7 {
                0 => Act::First,
                1..4 => Act::Flush,
                how => Act::Reopen {
                    all: how & 1 != 0,
                    argon2: how & 2 != 0,
                },
            },
        };
        Some(Step { at, act })
    }

    fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> Option<T> {
        let byte = usize::from(self.byte()?);
        these.get(byte % these.len()).copied()
    }

    /// None of them for a byte beyond them.
    fn perhaps<T: Copy>(&mut self, these: &[T]) -> Option<Option<T>> {
        Some(these.get(usize::from(self.byte()?)).copied())
    }

    fn slot(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) % SLOTS)
    }

    fn who(&mut self) -> Option<Who> {
        let byte = usize::from(self.byte()?);
        Some(if byte < 128 {
            Who::Host(byte % HOSTS.len())
        } else {
            Who::Key(byte % SLOTS)
        })
    }

    fn new_key(&mut self) -> Option<New> {
        Some(New {
            name: self.of(&NAMES)?,
            environment: self.perhaps(&[Environment::Live, Environment::Test])?,
            permissions: self.perhaps(&PERMISSIONS)?,
            end: match self.byte()? {
                0 => End::Now,
                1 => End::In(0),
                2 => End::In(-HOUR),
                byte @ 3..9 => {
                    End::In([1, HOUR, 2 * HOUR, 3 * HOUR, DAY, 40 * DAY][usize::from(byte) - 3])
                }
                _ => End::Inherited,
            },
            metadata: self.perhaps(&METADATA)?,
        })
    }

    fn once(&mut self) -> Option<Option<Once>> {
        let byte = self.byte()?;
        Some((byte < 128).then_some(Once {
            key: byte & 3,
            request: byte >> 2 & 1,
        }))
    }

    fn presented(&mut self) -> Option<Presented> {
        let byte = self.byte()?;
        let slot = usize::from(byte) % SLOTS;
        Some(match byte / 32 {
            0 => Presented::OtherSecret(slot),
            1 => Presented::OtherEnvironment(slot),
            2 => Presented::Damaged(slot),
            _ => Presented::Token(slot),
        })
    }
}
