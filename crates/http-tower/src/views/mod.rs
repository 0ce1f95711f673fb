//! The types that responses serialise: keys without their secret or hash.

mod event_page;
mod introspection;
mod issued;
mod key;
mod key_page;
mod report;
mod revocation;
mod wiping_buffer;

pub use self::{
    event_page::EventPageView, introspection::IntrospectionView, issued::IssuedJson, key::KeyView,
    key_page::KeyPageView, report::ReportView,
};
#[cfg(feature = "openapi")]
pub(crate) use self::{
    introspection::Validity,
    key_page::PageMeta,
    report::{ReportMeta, ReportSectionView, ReportSections},
};
pub(crate) use self::{issued::IssuedView, revocation::RevocationView};
