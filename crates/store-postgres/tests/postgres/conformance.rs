//! The conformance suite.

use std::sync::Arc;

use keywright_core::{EventId, KeyId, conformance::Harness, conformance_tests, store::KeyStore};
use tokio::runtime::Runtime;

use crate::{bouncer::Bouncer, sample::store_at, schema::Schema};

/// A store in a schema, and the runtime of its handles.
pub(crate) struct InSchema {
    runtime: Runtime,
    schema: Schema,
    bouncer: Option<Bouncer>,
}

impl InSchema {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let schema = runtime.block_on(Schema::new());
        Self {
            runtime,
            schema,
            bouncer: None,
        }
    }

    pub(crate) fn behind_bouncer() -> Self {
        let direct = Self::new();
        let bouncer = Bouncer::start(&direct.schema.cluster, 4);
        Self {
            bouncer: Some(bouncer),
            ..direct
        }
    }
}

impl Harness for InSchema {
    fn open(&self) -> Arc<dyn KeyStore> {
        let url = match &self.bouncer {
            Some(bouncer) => bouncer.url(),
            None => self.schema.cluster.url(),
        };
        self.runtime
            .block_on(store_at(&url, 4, &self.schema.config))
    }

    fn damage(&self, id: &KeyId) -> bool {
        let id = id.to_string().replace("key_", "");
        let sql =
            format!("UPDATE {{schema}}.keys SET permissions = 'no, permissions' WHERE id = '{id}'");
        self.runtime.block_on(self.schema.execute(&sql)) == 1
    }

    fn damage_event(&self, id: &EventId) -> bool {
        let id = id.to_string().replace("evt_", "");
        let sql = format!("UPDATE {{schema}}.events SET event = '{{}}' WHERE id = '{id}'");
        self.runtime.block_on(self.schema.execute(&sql)) == 1
    }
}

conformance_tests!(InSchema::new());
