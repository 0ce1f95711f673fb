//! The bearer-auth layer.

mod authenticator;
mod future;
mod layer;
mod service;

pub(crate) use self::authenticator::Authenticator;
pub use self::{
    future::ResponseFuture,
    layer::{AuthLayer, RealmError},
    service::Auth,
};
