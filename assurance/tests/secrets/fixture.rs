//! A library with known secrets, and the secrets to search for.

use std::sync::Arc;

use keywright_assurance::canary::Canaries;
use keywright_core::{
    Attributes, Caller, Config, Issued, Keywright, Name, NewKey, Pepper, PepperId, PepperRing,
    Permissions, Prefix, Scheme, Workspace, store::KeyStore,
};
use pollster::block_on;

pub(crate) const PEPPER: &[u8; 40] = b"\x91pepper of forty bytes, kept elsewhere\xf3\x07";
pub(crate) const PASSWORD: &str = "the-Passw0rd-of-Redis_4711";

/// The attributes of keys. Clients must not see them.
pub(crate) const ATTRIBUTES: &str = r#"{"plan":"attributes-of-the-host-0815"}"#;

/// The library over a store, and a key that it issued and verified.
pub(crate) struct Fixture {
    pub(crate) keys: Keywright,
    pub(crate) operator: Caller,
    pub(crate) issued: Issued,
    pub(crate) canaries: Canaries,
}

pub(crate) fn prefix() -> Prefix {
    Prefix::parse("sk").unwrap()
}

pub(crate) fn peppers() -> PepperRing {
    let pepper = Pepper::new(PepperId::parse("p1").unwrap(), PEPPER).unwrap();
    PepperRing::default().with_newest(pepper).unwrap()
}

pub(crate) fn config() -> Config {
    Config::new(prefix())
        .with_scheme(Scheme::HmacSha256)
        .with_peppers(peppers())
}

pub(crate) fn new_key() -> NewKey {
    NewKey::new(Name::parse("CI").unwrap())
}

/// A search for the pepper and the password.
pub(crate) fn constant_canaries() -> Canaries {
    let mut canaries = Canaries::new();
    canaries.add("the pepper", PEPPER);
    canaries.add("the password", PASSWORD.as_bytes());
    canaries
}

/// A search for the attributes.
pub(crate) fn attribute_canaries() -> Canaries {
    let mut canaries = Canaries::new();
    canaries.add("the attributes", ATTRIBUTES.as_bytes());
    canaries
}

impl Fixture {
    pub(crate) fn over(store: Arc<dyn KeyStore>) -> Self {
        let keys = block_on(Keywright::open(config(), store)).unwrap();
        let operator = Caller::new(Workspace::parse("acme").unwrap(), Permissions::all())
            .with_attributes(Attributes::parse(ATTRIBUTES).unwrap());
        let issued = block_on(keys.issuer().create(&operator, new_key())).unwrap();
        block_on(keys.verifier().verify(issued.token.expose().as_bytes())).unwrap();
        let mut canaries = constant_canaries();
        canaries.add_token("the token", issued.token.expose());
        Self {
            keys,
            operator,
            issued,
            canaries,
        }
    }

    pub(crate) fn token(&self) -> &str {
        self.issued.token.expose()
    }
}
