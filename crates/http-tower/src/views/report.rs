//! A report in a response.

use keywright_core::{Report, ReportSection, Timestamp};
use serde::Serialize;

use super::key::KeyView;

/// A report as the API returns it: the active and disabled keys that deserve attention.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyReport))]
pub struct ReportView<'a> {
    pub(crate) sections: ReportSections<'a>,
    pub(crate) meta: ReportMeta<'a>,
}

/// The sections of a report. A key may be in several of them.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyReportSections))]
pub(crate) struct ReportSections<'a> {
    /// Keys that never expire.
    pub(crate) never_expire: ReportSectionView<'a>,
    /// Keys that expire within 30 days.
    pub(crate) expire_soon: ReportSectionView<'a>,
    /// Keys that were never used.
    pub(crate) never_used: ReportSectionView<'a>,
    /// Keys whose last use was more than 90 days ago.
    pub(crate) unused: ReportSectionView<'a>,
    /// Keys with the permission `*`.
    pub(crate) all_permissions: ReportSectionView<'a>,
    /// Keys that were used after they were replaced in a rotation.
    pub(crate) replaced_but_used: ReportSectionView<'a>,
    /// Keys that were imported from another system and not used since.
    pub(crate) imported_unused: ReportSectionView<'a>,
}

/// One section of a report.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyReportSection))]
pub(crate) struct ReportSectionView<'a> {
    /// The number of keys in the section.
    pub(crate) count: u64,
    /// The newest of them, up to 20.
    #[cfg_attr(feature = "openapi", schema(max_items = 20))]
    pub(crate) data: Vec<KeyView<'a>>,
}

/// The keys that a report covers.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyReportMeta))]
pub(crate) struct ReportMeta<'a> {
    /// The number of keys that were read, of any status.
    #[serde(rename = "keysRead")]
    pub(crate) keys_read: u64,
    /// The `cursor` with which the next report continues, or `null` if this one covers all keys up
    /// to the oldest.
    #[serde(rename = "nextCursor")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub(crate) next_cursor: Option<&'a str>,
}

impl<'a> ReportView<'a> {
    /// Returns the view of a report at the time `now`.
    #[must_use]
    pub fn new(report: &'a Report, now: Timestamp) -> Self {
        let section = |section: &'a ReportSection| ReportSectionView {
            count: section.count,
            data: section
                .keys
                .iter()
                .map(|key| KeyView::new(key, now))
                .collect(),
        };
        Self {
            sections: ReportSections {
                never_expire: section(&report.never_expire),
                expire_soon: section(&report.expire_soon),
                never_used: section(&report.never_used),
                unused: section(&report.unused),
                all_permissions: section(&report.all_permissions),
                replaced_but_used: section(&report.replaced_but_used),
                imported_unused: section(&report.imported_unused),
            },
            meta: ReportMeta {
                keys_read: report.keys_read,
                next_cursor: report.next.as_deref(),
            },
        }
    }
}
