//! The configuration of the store.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::{open_error::OpenError, schema_name::SchemaName};

/// The largest bound that [`with_staleness_bound`](PostgresConfig::with_staleness_bound) accepts.
pub(crate) const MAX_STALENESS_BOUND: Duration = Duration::from_secs(60);

/// Configuration of the store.
///
/// | method | default |
/// | --- | --- |
/// | [`with_schema`](Self::with_schema) | `keywright` |
/// | [`with_staleness_bound`](Self::with_staleness_bound) | 500 ms |
/// | [`with_strict`](Self::with_strict) | off |
/// | [`with_feed_options`](Self::with_feed_options) | those of the pool |
#[derive(Clone, Debug)]
#[must_use]
pub struct PostgresConfig {
    pub(crate) schema: SchemaName,
    pub(crate) staleness_bound: Duration,
    pub(crate) strict: bool,
    pub(crate) feed_options: Option<PgConnectOptions>,
}

impl PostgresConfig {
    /// The smallest bound that [`with_staleness_bound`](Self::with_staleness_bound) accepts.
    const MIN_STALENESS_BOUND: Duration = Duration::from_millis(200);

    /// The bound without [`with_staleness_bound`](Self::with_staleness_bound).
    pub const DEFAULT_STALENESS_BOUND: Duration = Duration::from_millis(500);

    /// Creates a configuration with the defaults.
    pub fn new() -> Self {
        Self {
            schema: SchemaName::default(),
            staleness_bound: Self::DEFAULT_STALENESS_BOUND,
            strict: false,
            feed_options: None,
        }
    }

    /// Sets the schema that contains the tables. Every statement names it in quotes, so the search
    /// path has no effect, and the name may be a reserved word.
    ///
    /// # Errors
    ///
    /// [`OpenError::Schema`] unless the name is 1 to 63 characters of `a-z0-9_`, begins with no
    /// digit, and is not one of PostgreSQL's own schemas.
    pub fn with_schema(mut self, name: &str) -> Result<Self, OpenError> {
        self.schema = SchemaName::parse(name).ok_or(OpenError::Schema)?;
        Ok(self)
    }

    /// Sets how long a verifier may accept a key after another process has revoked it. A bound
    /// below 200 ms or above one minute is clamped. The store polls for changes five times within
    /// the bound.
    pub fn with_staleness_bound(mut self, bound: Duration) -> Self {
        self.staleness_bound = bound.clamp(Self::MIN_STALENESS_BOUND, MAX_STALENESS_BOUND);
        self
    }

    /// Sets the options of the connection for the feed of changes, which the store opens in
    /// addition to those of the pool. For example, they can bypass a pooler. They must name the
    /// same database.
    pub fn with_feed_options(mut self, options: PgConnectOptions) -> Self {
        self.feed_options = Some(options);
        self
    }

    /// Reads the record of the key on each verification, so that no verification accepts a key that
    /// was revoked before. The store does not poll for changes. While it is used, it connects every
    /// ten minutes to delete old rows of the table `changes`.
    pub fn with_strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self::new()
    }
}
