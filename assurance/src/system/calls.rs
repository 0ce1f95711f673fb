//! Makes each call, and compares its outcome with the model's.

use futures_executor::block_on;
use keywright_core::{
    Caller, Environment, Expiry, IdempotencyKey, IntrospectionRequest, IssueError, IssueOutcome,
    Issued, KeyId, ListStart, NewKey, NewRotation, TokenRef, Verified, Verifier, VerifyError,
};

use super::{
    backend::Backend,
    check::rejection,
    convert::{self, address, allowed_ips, metadata, name, owner, permission, permissions, time},
    state::{ListCursor, System},
};
use crate::{
    action::{Action, Actor, Idempotency, KeyRequest, Page, PresentedToken, RequestedExpiry, Slot},
    model::{CallOutcome, ListQuery, Model, Number, Rejection},
    vocabulary::{HOSTS, duration},
};

impl<B: Backend> System<B> {
    /// Makes one call.
    pub(super) fn call(&mut self, process: usize, action: &Action, model: &Model) {
        let keys = self.processes[process].keys().clone();
        let issuer = keys.issuer();
        match action {
            Action::Create {
                by,
                into,
                new,
                idempotency,
            } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let new = new_key(new, model);
                let outcome = match idempotency.map(idempotent_request) {
                    None => block_on(issuer.create(&caller, new)).map(IssueOutcome::Issued),
                    Some((key, body)) => block_on(issuer.create_once(&caller, new, &key, &body)),
                };
                self.check_creation(process, *into, outcome, model);
            }
            Action::Rotate {
                by,
                key,
                into,
                overlap,
                lifetime,
                idempotency,
            } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let id = self.id(*key);
                let mut rotation = NewRotation::new();
                rotation.overlap = duration(*overlap);
                rotation.expires_at = lifetime.map(|millis| time(model.now() + millis));
                let outcome = match idempotency.map(idempotent_request) {
                    None => {
                        block_on(issuer.rotate(&caller, &id, &rotation)).map(IssueOutcome::Issued)
                    }
                    Some((key, body)) => {
                        block_on(issuer.rotate_once(&caller, &id, &rotation, &key, &body))
                    }
                };
                self.check_creation(process, *into, outcome, model);
            }
            Action::Update { by, key, update } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let updated = self.update(process, &caller, *key, update, model);
                self.check_versioned(process, updated, model);
            }
            Action::SetAttributes {
                by,
                key,
                attributes,
            } => {
                let caller = with_request(convert::caller(&HOSTS[*by]), model);
                let attributes = attributes.map(convert::attributes);
                let updated = block_on(issuer.set_attributes(&caller, &self.id(*key), attributes));
                self.check_versioned(process, updated, model);
            }
            Action::Revoke { by, key, reach } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let revoked = block_on(issuer.revoke(&caller, &self.id(*key), *reach));
                let outcome = match revoked {
                    Ok(revocation) => CallOutcome::Revoked {
                        first: revocation.first,
                        count: revocation.count,
                    },
                    Err(error) => CallOutcome::Rejected(rejection(&error)),
                };
                assert_eq!(outcome, *model.expected());
            }
            Action::RevokeAll {
                by,
                owner: wanted_owner,
            } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let wanted_owner = wanted_owner.map(owner);
                let outcome = match block_on(issuer.revoke_all(&caller, wanted_owner.as_ref())) {
                    Ok(count) => CallOutcome::RevokedAll(count),
                    Err(error) => CallOutcome::Rejected(rejection(&error)),
                };
                assert_eq!(outcome, *model.expected());
            }
            Action::Find { by, key } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let found = block_on(issuer.find(&caller, &self.id(*key)));
                self.check_versioned(process, found, model);
            }
            Action::List {
                by,
                owner: wanted_owner,
                status,
                search,
                limit,
                page,
            } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let mut wanted = keywright_core::ListKeys::new();
                wanted.owner = wanted_owner.map(owner);
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
                self.check_page(process, (*page, cursor, *limit), listed, model);
            }
            Action::Verify { token, from } => {
                let CallOutcome::Verified(expected) = *model.expected() else {
                    panic!("the outcome of a verification is a verdict");
                };
                let slot = token.slot();
                let token = self.token(*token);
                let outcome = verify(keys.verifier(), &token, *from);
                self.assert_verdict(process, &outcome, expected, model);
                if let (Ok(verified), Some(number)) = (outcome, self.slots.get(&slot)) {
                    self.owned[*number].caller = Caller::from(verified.key());
                }
            }
            Action::Introspect {
                by,
                token,
                from,
                permission: required,
            } => {
                let Some(caller) = self.caller(*by, model) else {
                    return;
                };
                let token = self.token(*token);
                let mut request = IntrospectionRequest::new();
                request.client_ip = from.map(address);
                request.permission = required.map(permission);
                let introspected = issuer.introspect(&caller, token.as_bytes(), &request);
                match (block_on(introspected), model.expected()) {
                    (Ok(introspection), CallOutcome::Introspected(expected)) => {
                        self.assert_introspection(process, &introspection, *expected, model);
                    }
                    (Err(error), expected) => assert_rejected(&error, expected),
                    (Ok(introspection), expected) => {
                        panic!("{introspection:?}, expected {expected:?}")
                    }
                }
            }
            Action::Purge {
                workspace,
                revoked,
                expired,
            } => {
                let before = |age: Option<i64>| age.map(|age| time(model.now() - age));
                let workspace = workspace.map(convert::workspace);
                let purged = issuer.purge(workspace, before(*revoked), before(*expired));
                let purged = block_on(purged).expect("the store works");
                assert_eq!(CallOutcome::Purged(purged), *model.expected());
            }
            Action::Events { by, .. } => {
                if let Some(caller) = self.caller(*by, model) {
                    self.list_events(process, &caller, action, model);
                }
            }
            Action::PurgeEvents { workspace, age } => {
                self.purge_events(process, *workspace, *age, model);
            }
            Action::First => {
                let operator = convert::caller(&HOSTS[0]);
                let first = issuer.create_first(&operator, NewKey::new(name("1")));
                assert!(block_on(first).expect("the store works").is_none());
            }
            Action::Flush => block_on(keys.flush()).expect("the store works"),
            Action::Reopen { .. } | Action::Wait(_) => {}
        }
    }

    /// Returns the caller of an action, or `None` if its slot is empty.
    fn caller(&self, actor: Actor, model: &Model) -> Option<Caller> {
        let caller = match actor {
            Actor::Host(number) => convert::caller(&HOSTS[number]),
            Actor::Key(slot) => {
                let number = self.slots.get(&slot)?;
                self.owned[*number].caller.clone()
            }
        };
        Some(with_request(caller, model))
    }

    /// Builds the token that a request presents.
    fn token(&self, presented: PresentedToken) -> String {
        let other = &self.marker.token;
        let token = match self.slots.get(&presented.slot()) {
            Some(number) => self.owned[*number].token.clone(),
            None => convert::token(&convert::unknown_id(), Environment::Live, other),
        };
        let prefix = convert::prefix();
        let parsed = TokenRef::parse(token.as_bytes(), &prefix).expect("the token is well formed");
        match presented {
            PresentedToken::OtherSecret(_) => {
                convert::token(parsed.id(), parsed.environment(), other)
            }
            PresentedToken::OtherEnvironment(_) => {
                let environment = match parsed.environment() {
                    Environment::Live => Environment::Test,
                    Environment::Test => Environment::Live,
                };
                convert::token(parsed.id(), environment, &token)
            }
            PresentedToken::Damaged(_) => {
                let mut damaged = token;
                let last = damaged.pop();
                damaged.push(if last == Some('0') { '1' } else { '0' });
                damaged
            }
            PresentedToken::Token(_) => token,
        }
    }

    /// Checks that a request created a key, returned the key that an earlier request created, or
    /// was rejected, as the model expects.
    fn check_creation(
        &mut self,
        process: usize,
        into: Slot,
        outcome: Result<IssueOutcome, IssueError>,
        model: &Model,
    ) {
        match (outcome, model.expected()) {
            (Ok(IssueOutcome::Issued(issued)), CallOutcome::Issued(number)) => {
                self.check_issued(process, into, &issued, *number, model);
            }
            (Ok(IssueOutcome::Replayed(key)), CallOutcome::Replayed(number)) => {
                self.assert_key(process, &key, *number, model);
            }
            (Ok(IssueOutcome::Issued(issued)), expected) => {
                panic!("{:?} was created, expected {expected:?}", issued.key)
            }
            (Ok(IssueOutcome::Replayed(key)), expected) => {
                panic!("{key:?} was returned again, expected {expected:?}")
            }
            (Err(error), expected) => assert_rejected(&error, expected),
        }
    }

    fn check_issued(
        &mut self,
        process: usize,
        into: Slot,
        issued: &Issued,
        number: Number,
        model: &Model,
    ) {
        assert!(issued.confirmed);
        assert_eq!(self.owned.len(), number);
        assert!(self.owned.iter().all(|other| other.id != issued.key.id));
        self.add(process, into, issued);
        assert_eq!(issued.key, self.expected_key(number, model));
    }

    /// Checks that a page contains exactly the expected keys, and has a cursor only if more keys
    /// follow.
    fn check_page(
        &mut self,
        process: usize,
        (page, cursor, limit): (Page, Option<usize>, u32),
        listed: Result<keywright_core::Page, IssueError>,
        model: &Model,
    ) {
        let CallOutcome::Listed(query, numbers) = model.expected() else {
            match listed {
                Err(error) => assert_rejected(&error, model.expected()),
                Ok(listed) => panic!("{listed:?}, expected {:?}", model.expected()),
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
                let error = listed.expect_err("the cursor belongs to another list");
                assert_eq!(rejection(&error), Rejection::Cursor);
                return;
            }
        };
        let listed = listed.expect("the list succeeds");
        let shown: Vec<KeyId> = listed.keys.iter().map(|key| key.id).collect();
        let expected: Vec<KeyId> = rest
            .iter()
            .take(limit)
            .map(|number| self.owned[*number].id)
            .collect();
        assert_eq!(shown, expected);
        for (key, number) in listed.keys.iter().zip(&rest) {
            self.assert_key(process, key, *number, model);
        }
        assert_eq!(listed.next.is_some(), rest.len() > limit);
        assert_eq!(
            listed.total,
            matches!(page, Page::Number(_)).then_some(total)
        );
        self.keep_cursor(query.clone(), &shown, listed.next);
    }

    fn keep_cursor(&mut self, query: ListQuery, shown: &[KeyId], cursor: Option<String>) {
        if let (Some(text), Some(after)) = (cursor, shown.last()) {
            self.cursors.push(ListCursor {
                query,
                after: *after,
                text,
            });
        }
    }
}

pub(super) fn assert_rejected(error: &IssueError, expected: &CallOutcome) {
    assert_eq!(
        CallOutcome::Rejected(rejection(error)),
        *expected,
        "{error:?}"
    );
}

/// Verifies a token that a client at this address, or at an unknown address, has presented.
pub(super) fn verify(
    verifier: &Verifier,
    token: &str,
    from: Option<&str>,
) -> Result<Verified, VerifyError> {
    match from {
        Some(from) => block_on(verifier.verify_from(token.as_bytes(), address(from))),
        None => block_on(verifier.verify(token.as_bytes())),
    }
}

/// Returns the caller with the request that it makes.
fn with_request(mut caller: Caller, model: &Model) -> Caller {
    let request = model.request();
    if let Some(number) = request.number {
        caller = caller.with_request_id(convert::request_id(number));
    }
    if let Some(from) = request.from {
        caller = caller.with_client_ip(address(from));
    }
    caller
}

fn new_key(new: &KeyRequest, model: &Model) -> NewKey {
    let mut key = NewKey::new(name(new.name));
    key.environment = new.environment;
    key.permissions = new.permissions.map(permissions);
    key.metadata = new.metadata.map(metadata);
    key.allowed_ips = new.allowed_ips.map(allowed_ips);
    key.expiry = match new.expiry {
        RequestedExpiry::Inherited => Expiry::Inherited,
        RequestedExpiry::Now => Expiry::Now,
        RequestedExpiry::In(millis) => Expiry::At(time(model.now() + millis)),
    };
    key
}

/// Returns the idempotency key, and the body of the request that it is sent with.
fn idempotent_request(idempotency: Idempotency) -> (IdempotencyKey, Vec<u8>) {
    let key = IdempotencyKey::parse(&format!("idempotency-{}", idempotency.key))
        .expect("the idempotency key is valid");
    (key, format!("request {}", idempotency.request).into_bytes())
}
