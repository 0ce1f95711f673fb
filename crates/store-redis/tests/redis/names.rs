//! What the keys in Redis are called, written down once more: a store finds what earlier ones wrote.

use keywright_core::KeyId;

pub(crate) fn record(id: &KeyId) -> String {
    of_key('r', id)
}

pub(crate) fn last_use(id: &KeyId) -> String {
    of_key('u', id)
}

pub(crate) fn children(id: &KeyId) -> String {
    of_key('c', id)
}

pub(crate) const INDEX: &str = "kw:i:{default}";

fn of_key(what: char, id: &KeyId) -> String {
    let id = str::from_utf8(id.as_bytes()).unwrap();
    format!("kw:{what}:{{{}}}:{id}", &id[8..11])
}
