//! The types that responses serialise: keys without their secret or hash.

mod introspection;
mod issued;
mod key;
mod key_page;
mod revocation;
mod wiping_buffer;

pub use self::{
    introspection::IntrospectionView, issued::IssuedJson, key::KeyView, key_page::KeyPageView,
};
#[cfg(feature = "openapi")]
pub(crate) use self::{introspection::Validity, key_page::PageMeta};
pub(crate) use self::{issued::IssuedView, revocation::RevocationView};
