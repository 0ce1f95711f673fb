//! The path at which the service is mounted.

/// The mount point of the service.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    base: String,
    request_paths: RequestPaths,
}

/// The form of the paths in requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestPaths {
    /// A router has removed the base.
    BelowBase,
    /// They begin with the base.
    Whole,
}

impl Mount {
    pub(crate) fn new(base: &str, request_paths: RequestPaths) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            request_paths,
        }
    }

    /// The path of the mount point, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns the path of a request relative to the mount point, without a slash at its beginning,
    /// or `None` if it is not below the mount point.
    pub(crate) fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = match self.request_paths {
            RequestPaths::BelowBase => path,
            RequestPaths::Whole => path.strip_prefix(self.base.as_str())?,
        };
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }
}
