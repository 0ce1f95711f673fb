//! The path at which the service is mounted.

use keywright_core::KeyId;

/// The mount point of the service.
#[derive(Debug, Clone)]
pub(super) struct Mount {
    base: String,
    request_paths: RequestPaths,
}

/// The form of the paths in requests.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestPaths {
    /// A router has removed the base.
    BelowBase,
    /// They begin with the base.
    Whole,
}

impl Mount {
    pub(super) fn new(base: &str, request_paths: RequestPaths) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            request_paths,
        }
    }

    /// The path of the mount point, without a slash at its end.
    #[cfg(feature = "openapi")]
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Returns the path of a request relative to the mount point, or `None` if it is not below it.
    pub(super) fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.request_paths {
            RequestPaths::BelowBase => Some(path),
            RequestPaths::Whole => path
                .strip_prefix(self.base.as_str())
                .filter(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Returns the path of a key, as clients see it.
    pub(super) fn path_of(&self, id: &KeyId) -> String {
        format!("{}/{id}", self.base)
    }
}
