//! The names of the keys in Redis, independent of the store's code: a change of a name breaks
//! stores that exist.

use keywright_core::{EventId, KeyId, Owner, store::Alias};

pub(crate) fn record(id: &KeyId) -> String {
    of_key('r', id)
}

pub(crate) fn last_use(id: &KeyId) -> String {
    of_key('u', id)
}

pub(crate) fn received(id: &KeyId) -> String {
    of_key('c', id)
}

pub(crate) fn event(id: &EventId) -> String {
    let id = str::from_utf8(id.as_bytes()).unwrap();
    format!("kw:l:{{{}}}:{id}", &id[8..11])
}

pub(crate) fn events_of_key(id: &KeyId) -> String {
    of_key('k', id)
}

pub(crate) fn alias(alias: &Alias) -> String {
    let hex = alias.as_bytes().iter().map(|byte| format!("{byte:02x}"));
    format!("kw:a:{}", hex.collect::<String>())
}

pub(crate) const EVENT_INDEX: &str = "kw:w:{default}";

pub(crate) fn event_index_of_owner(owner: &Owner) -> String {
    format!("kw:y:{{default}}:{owner}")
}

pub(crate) const INDEX: &str = "kw:i:{default}";

pub(crate) fn index_of_owner(owner: &Owner) -> String {
    format!("kw:o:{{default}}:{owner}")
}

pub(crate) fn test_index_of_owner(owner: &Owner) -> String {
    format!("kw:p:{{default}}:{owner}")
}

fn of_key(kind: char, id: &KeyId) -> String {
    let id = str::from_utf8(id.as_bytes()).unwrap();
    format!("kw:{kind}:{{{}}}:{id}", &id[8..11])
}
