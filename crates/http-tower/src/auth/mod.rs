//! The layer that authenticates the callers of the host's routes.

mod authenticator;
mod layer;
mod on_reject;
mod rejection;
mod service;

pub(crate) use self::authenticator::{Authenticator, require};
pub use self::{
    layer::{AuthLayer, RealmError},
    rejection::Rejection,
    service::Auth,
};
