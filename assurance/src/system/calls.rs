//! Each call, and what must come of it.

use futures_executor::block_on;
use keywright_core::{
    Caller, Environment, Expiry, IdempotencyKey, IssueError, IssueOutcome, Issued, KeyId,
    ListStart, NewKey, NewRotation, Rename, TokenRef,
};

use super::{
    Cursor, Stage, System,
    check::refusal,
    world::{self, metadata, name, permissions, time},
};
use crate::{
    act::{Act, End, New, Once, Page, Presented, Slot, Who},
    model::{Answer, Model, Number, Query, Refusal},
    words::{HOSTS, span},
};

impl<S: Stage> System<S> {
    /// Makes one call.
    pub(super) fn call(&mut self, at: usize, act: &Act, model: &Model) {
        let keys = self.processes[at].keys().clone();
        let issuer = keys.issuer();
        match act {
            Act::Create {
                by,
                into,
                new,
                once,
            } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let new = new_key(new, model);
                let outcome = match once.map(request) {
                    None => block_on(issuer.create(&caller, new)).map(IssueOutcome::Issued),
                    Some((word, body)) => block_on(issuer.create_once(&caller, new, &word, &body)),
                };
                self.made(at, *into, outcome, model);
            }
            Act::Rotate {
                by,
                key,
                into,
                overlap,
                end,
                once,
            } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let id = self.id(*key);
                let mut rotation = NewRotation::new();
                rotation.overlap = span(*overlap);
                rotation.expires_at = end.map(|millis| time(model.now() + millis));
                let outcome = match once.map(request) {
                    None => {
                        block_on(issuer.rotate(&caller, &id, &rotation)).map(IssueOutcome::Issued)
                    }
                    Some((word, body)) => {
                        block_on(issuer.rotate_once(&caller, &id, &rotation, &word, &body))
                    }
                };
                self.made(at, *into, outcome, model);
            }
            Act::Rename {
                by,
                key,
                name: new,
                metadata: notes,
            } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let rename = Rename::new(new.map(name), notes.map(metadata));
                let renamed = block_on(issuer.rename(&caller, &self.id(*key), &rename));
                self.shown(at, renamed.as_ref(), model);
            }
            Act::Revoke { by, key, reach } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let revoked = block_on(issuer.revoke(&caller, &self.id(*key), *reach));
                let answer = match revoked {
                    Ok(revocation) => Answer::Revoked {
                        first: revocation.first,
                        count: revocation.count,
                    },
                    Err(error) => Answer::Refused(refusal(&error)),
                };
                assert_eq!(answer, *model.answer());
            }
            Act::Find { by, key } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let found = block_on(issuer.find(&caller, &self.id(*key)));
                self.shown(at, found.as_ref(), model);
            }
            Act::List {
                by,
                status,
                search,
                limit,
                page,
            } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let mut wanted = keywright_core::ListKeys::new();
                wanted.status = *status;
                wanted.search = search.map(str::to_owned);
                wanted.limit = *limit;
                let cursor = match page {
                    Page::Cursor(number) => number.checked_rem(self.cursors.len()),
                    Page::Number(_) => None,
                };
                wanted.start = match (page, cursor) {
                    (Page::Number(number), _) => ListStart::page(*number, *limit),
                    (_, Some(cursor)) => ListStart::After(self.cursors[cursor].text.clone()),
                    (_, None) => ListStart::After("none".into()),
                };
                let listed = block_on(issuer.list(&caller, wanted));
                self.listed(at, (*page, cursor, *limit), listed, model);
            }
            Act::Verify(token) => {
                let Answer::Verified(expected) = *model.answer() else {
                    panic!("a verification has a verdict");
                };
                let outcome = block_on(keys.verifier().verify(self.token(*token).as_bytes()));
                self.assert_verdict(at, &outcome, expected, model);
            }
            Act::Introspect { by, token } => {
                let Some(caller) = self.caller(*by) else {
                    return;
                };
                let token = self.token(*token);
                match (
                    block_on(issuer.introspect(&caller, token.as_bytes())),
                    model.answer(),
                ) {
                    (Ok(told), Answer::Introspected(expected)) => {
                        self.assert_told(at, &told, *expected, model);
                    }
                    (Err(error), expected) => assert_refused(&error, expected),
                    (Ok(told), expected) => panic!("{told:?} and not {expected:?}"),
                }
            }
            Act::Purge { workspace, age } => {
                let before = time(model.now() - age);
                let purged = issuer.purge(workspace.map(world::workspace), before);
                let purged = block_on(purged).expect("a store that works");
                assert_eq!(Answer::Purged(purged), *model.answer());
            }
            Act::First => {
                let first = issuer.create_first(world::workspace("acme"), NewKey::new(name("1")));
                assert!(block_on(first).expect("a store that works").is_none());
            }
            Act::Flush => block_on(keys.flush()).expect("a store that works"),
            Act::Reopen { .. } | Act::Wait(_) => {}
        }
    }

    /// `None` if there never was such a key.
    fn caller(&self, who: Who) -> Option<Caller> {
        match who {
            Who::Host(number) => Some(world::caller(&HOSTS[number])),
            Who::Key(slot) => {
                let number = self.slots.get(&slot)?;
                Some(self.owned[*number].caller.clone())
            }
        }
    }

    /// What is presented.
    fn token(&self, presented: Presented) -> String {
        let other = &self.first.token;
        let token = match self.slots.get(&presented.slot()) {
            Some(number) => self.owned[*number].token.clone(),
            None => world::token(&world::unknown_id(), Environment::Live, other),
        };
        let prefix = world::prefix();
        let parsed = TokenRef::parse(token.as_bytes(), &prefix).expect("a token");
        match presented {
            Presented::OtherSecret(_) => world::token(parsed.id(), parsed.environment(), other),
            Presented::OtherEnvironment(_) => {
                let environment = match parsed.environment() {
                    Environment::Live => Environment::Test,
                    Environment::Test => Environment::Live,
                };
                world::token(parsed.id(), environment, &token)
            }
            Presented::Damaged(_) => {
                let mut damaged = token;
                let last = damaged.pop();
                damaged.push(if last == Some('0') { '1' } else { '0' });
                damaged
            }
            Presented::Token(_) => token,
        }
    }

    /// That a key was made, or one shown that was made before, or it was refused.
    fn made(
        &mut self,
        at: usize,
        into: Slot,
        outcome: Result<IssueOutcome, IssueError>,
        model: &Model,
    ) {
        match (outcome, model.answer()) {
            (Ok(IssueOutcome::Issued(issued)), Answer::Issued(number)) => {
                self.issued(into, &issued, *number, model);
            }
            (Ok(IssueOutcome::Replayed(key)), Answer::Replayed(number)) => {
                self.assert_is(at, &key, *number, model);
            }
            (Ok(IssueOutcome::Issued(issued)), expected) => {
                panic!("{:?} was made and not {expected:?}", issued.key)
            }
            (Ok(IssueOutcome::Replayed(key)), expected) => {
                panic!("{key:?} was shown again and not {expected:?}")
            }
            (Err(error), expected) => assert_refused(&error, expected),
        }
    }

    fn issued(&mut self, into: Slot, issued: &Issued, number: Number, model: &Model) {
        assert!(issued.confirmed);
        assert_eq!(self.owned.len(), number);
        assert!(self.owned.iter().all(|other| other.id != issued.key.id));
        self.own(into, issued);
        assert_eq!(issued.key, super::check::key(&self.owned, number, model));
    }

    /// That a key was shown, or refused.
    fn shown(&self, at: usize, shown: Result<&keywright_core::Key, &IssueError>, model: &Model) {
        match (shown, model.answer()) {
            (Ok(key), Answer::Key(number)) => self.assert_is(at, key, *number, model),
            (Err(error), expected) => assert_refused(error, expected),
            (Ok(key), expected) => panic!("{key:?} and not {expected:?}"),
        }
    }

    /// That a page has exactly the keys that it must have, and knows whether there are more.
    fn listed(
        &mut self,
        at: usize,
        (page, cursor, limit): (Page, Option<usize>, u32),
        listed: Result<keywright_core::Page, IssueError>,
        model: &Model,
    ) {
        let Answer::Listed(query, numbers) = model.answer() else {
            match listed {
                Err(error) => assert_refused(&error, model.answer()),
                Ok(listed) => panic!("{listed:?} and not {:?}", model.answer()),
            }
            return;
        };
        let mut numbers = numbers.clone();
        numbers.sort_by_key(|number| std::cmp::Reverse(self.owned[*number].id));
        let total = numbers.len() as u64;
        let limit = limit as usize;
        let rest: Vec<Number> = match (page, cursor.map(|cursor| &self.cursors[cursor])) {
            (Page::Number(page), _) => {
                let before = page.saturating_sub(1) as usize * limit;
                numbers.into_iter().skip(before).collect()
            }
            (Page::Cursor(_), Some(cursor)) if cursor.query == *query => {
                let is_after = |number: &Number| self.owned[*number].id < cursor.after;
                numbers.into_iter().filter(is_after).collect()
            }
            (Page::Cursor(_), _) => {
                let error = listed.expect_err("a cursor of another list");
                assert_eq!(refusal(&error), Refusal::Cursor);
                return;
            }
        };
        let listed = listed.expect("a page");
        let shown: Vec<KeyId> = listed.keys.iter().map(|key| key.id).collect();
        let expected: Vec<KeyId> = rest
            .iter()
            .take(limit)
            .map(|number| self.owned[*number].id)
            .collect();
        assert_eq!(shown, expected);
        for (key, number) in listed.keys.iter().zip(&rest) {
            self.assert_is(at, key, *number, model);
        }
        assert_eq!(listed.next.is_some(), rest.len() > limit);
        assert_eq!(
            listed.total,
            matches!(page, Page::Number(_)).then_some(total)
        );
        self.keep_cursor(query.clone(), &shown, listed.next);
    }

    fn keep_cursor(&mut self, query: Query, shown: &[KeyId], cursor: Option<String>) {
        if let (Some(text), Some(after)) = (cursor, shown.last()) {
            self.cursors.push(Cursor {
                query,
                after: *after,
                text,
            });
        }
    }
}

fn assert_refused(error: &IssueError, expected: &Answer) {
    assert_eq!(Answer::Refused(refusal(error)), *expected, "{error:?}");
}

fn new_key(new: &New, model: &Model) -> NewKey {
    let mut key = NewKey::new(name(new.name));
    key.environment = new.environment;
    key.permissions = new.permissions.map(permissions);
    key.metadata = new.metadata.map(metadata);
    key.expiry = match new.end {
        End::Inherited => Expiry::Inherited,
        End::Now => Expiry::Now,
        End::In(millis) => Expiry::At(time(model.now() + millis)),
    };
    key
}

/// An idempotency key, and the request that it is for.
fn request(once: Once) -> (IdempotencyKey, Vec<u8>) {
    let key = IdempotencyKey::parse(&format!("idempotency-{}", once.key)).expect("a key");
    (key, format!("request {}", once.request).into_bytes())
}
