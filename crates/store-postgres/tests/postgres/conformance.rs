//! The conformance suite.

use std::sync::Arc;

use keywright_core::{EventId, KeyId, conformance::Harness, conformance_tests, store::KeyStore};
use tokio::runtime::Runtime;

use crate::schema::Schema;

/// A store in a schema, and the runtime of its handles.
struct InSchema {
    runtime: Runtime,
    schema: Schema,
}

impl InSchema {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let schema = runtime.block_on(Schema::new());
        Self { runtime, schema }
    }
}

impl Harness for InSchema {
    fn open(&self) -> Arc<dyn KeyStore> {
        self.runtime.block_on(self.schema.store())
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
