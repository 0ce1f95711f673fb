//! How a file is opened as a store.

use crate::lock::Sharing;

/// How a file is opened as a store. See [`SqliteStore::open_with`](crate::SqliteStore::open_with).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct SqliteConfig {
    sharing: Sharing,
    in_existing_database: bool,
}

impl SqliteConfig {
    /// A file for the store alone, which is [shared](Sharing::Shared) with other handles and
    /// processes. A file that does not exist is created.
    pub const fn new() -> Self {
        Self {
            sharing: Sharing::Shared,
            in_existing_database: false,
        }
    }

    /// The database of the host: the store creates its tables next to the tables of the host.
    ///
    /// The file must exist, and keeps its mode, its `application_id` and its `user_version`. It is
    /// switched to a write-ahead log, which stays in the file. Create the tables of the host first:
    /// a file without a table whose header says that it has a log is rejected, since it looks like
    /// a copy that was made without the log.
    ///
    /// A file that already contains a store can also be opened without this.
    pub const fn in_existing_database() -> Self {
        Self {
            sharing: Sharing::Shared,
            in_existing_database: true,
        }
    }

    /// Sets who else may open the file at the same time.
    ///
    /// The connections of the host are not handles of the store: it may use them with every choice.
    pub const fn with_sharing(self, sharing: Sharing) -> Self {
        Self { sharing, ..self }
    }

    pub(crate) const fn sharing(self) -> Sharing {
        self.sharing
    }

    /// Whether the store may create its tables next to the tables of a host.
    pub(crate) const fn is_in_existing_database(self) -> bool {
        self.in_existing_database
    }
}

impl From<Sharing> for SqliteConfig {
    fn from(sharing: Sharing) -> Self {
        Self::new().with_sharing(sharing)
    }
}
