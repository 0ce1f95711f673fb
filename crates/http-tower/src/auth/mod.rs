//! The bearer-auth layer.

mod authenticator;
mod layer;
mod service;

pub(crate) use self::authenticator::Authenticator;
pub use self::{
    layer::{AuthLayer, RealmError},
    service::Auth,
};
