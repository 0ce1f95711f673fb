//! The rows that compare two benchmarks.

use super::{Reference, Row, Target};

const API_KEYS_SIMPLIFIED: &str = "api-keys-simplified 0.5.1";

pub(crate) const ROWS: &[Row] = &[
    Row {
        number: "1",
        work: "verify a token, 1,000 cached keys, `argon2id`",
        ours: "verify/keywright-1000",
        reference: PARSE_AND_CHECK,
        second_reference: Some(Reference {
            label: API_KEYS_SIMPLIFIED,
            name: "verify/api-keys-simplified",
        }),
        target: Target::Time(0.5),
    },
    Row {
        number: "1",
        work: "verify a token, 1,000,000 cached keys in random order, `argon2id`",
        ours: "verify/keywright-1000000",
        reference: Reference {
            label: "prefixed-api-key 0.3.0, parse, look-up in a `HashMap` behind an `RwLock`, and check",
            name: "verify/prefixed-api-key-1000000",
        },
        second_reference: None,
        target: Target::Time(1.0),
    },
    Row {
        number: "2",
        work: "reject a malformed token",
        ours: "verify/keywright-malformed",
        reference: PARSE_AND_CHECK,
        second_reference: None,
        target: Target::None,
    },
    Row {
        number: "2",
        work: "reject a token with a wrong checksum",
        ours: "verify/keywright-bad-checksum",
        reference: PARSE_AND_CHECK,
        second_reference: None,
        target: Target::Time(0.2),
    },
    Row {
        number: "2",
        work: "reject a wrong secret for a cached key",
        ours: "verify/keywright-wrong-secret",
        reference: PARSE_AND_CHECK,
        second_reference: None,
        target: Target::Time(0.5),
    },
    Row {
        number: "3",
        work: "reject a wrong secret for a key that is not cached, `argon2id`, SQLite, 64 tasks",
        ours: "cold/keywright-wrong-secret",
        reference: Reference {
            label: "read of one record from the store, 64 tasks",
            name: "cold/find",
        },
        second_reference: None,
        target: Target::Time(1.15),
    },
    Row {
        number: "4",
        work: "mint a token, including the `hmac-sha256` hash and the tag of its secret",
        ours: "mint/keywright",
        reference: Reference {
            label: "its parts: 32 bytes of the system, ChaCha20, SHA-256, two HMACs, CRC-32",
            name: "mint/parts",
        },
        second_reference: Some(Reference {
            label: "prefixed-api-key 0.3.0",
            name: "mint/prefixed-api-key",
        }),
        target: Target::Time(1.25),
    },
    Row {
        number: "5",
        work: "first verification of a key, `hmac-sha256`, SQLite, 64 tasks",
        ours: "cold/keywright-64",
        reference: Reference {
            label: "rusqlite, prepared `SELECT` by primary key, one thread",
            name: "cold/select",
        },
        second_reference: None,
        target: Target::Rate(0.9),
    },
    Row {
        number: "5",
        work: "first verification of a key, `hmac-sha256`, SQLite, 1 task",
        ours: "cold/keywright-1",
        reference: Reference {
            label: "the same `SELECT` through `spawn_blocking`",
            name: "cold/select-blocking",
        },
        second_reference: None,
        target: Target::Time(1.1),
    },
    Row {
        number: "6",
        work: "first verification of a key, `argon2id`",
        ours: "first-verification/keywright",
        reference: Reference {
            label: "argon2, reusing its memory",
            name: "first-verification/argon2",
        },
        second_reference: Some(Reference {
            label: API_KEYS_SIMPLIFIED,
            name: "first-verification/api-keys-simplified",
        }),
        target: Target::Time(1.05),
    },
    Row {
        number: "7",
        work: "create a key durably, `hmac-sha256`, SQLite, 1 task",
        ours: "durable-create/keywright-1",
        reference: Reference {
            label: "rusqlite, one `INSERT` per transaction through `spawn_blocking`",
            name: "durable-create/rusqlite-blocking",
        },
        second_reference: None,
        target: Target::Time(1.1),
    },
    Row {
        number: "7",
        work: "create a key durably, `hmac-sha256`, SQLite, 64 tasks",
        ours: "durable-create/keywright-64",
        reference: Reference {
            label: "rusqlite, one `INSERT` per transaction, one thread",
            name: "durable-create/rusqlite",
        },
        second_reference: None,
        target: Target::Rate(12.0),
    },
    Row {
        number: "8",
        work: "first verification of a key, `hmac-sha256`, Redis, 64 tasks",
        ours: "redis-verification/keywright",
        reference: Reference {
            label: "redis, one `MGET` of both values, decoded, and one HMAC",
            name: "redis-verification/redis-rs",
        },
        second_reference: None,
        target: Target::Rate(1.0),
    },
    Row {
        number: "9",
        work: "create a key, `hmac-sha256`, Redis, 64 tasks",
        ours: "redis-create/keywright",
        reference: Reference {
            label: "redis, one `EVALSHA` with the same writes, and the hash",
            name: "redis-create/redis-rs",
        },
        second_reference: None,
        target: Target::Rate(0.9),
    },
    Row {
        number: "10",
        work: "`GET /v1/whoami` with a cached key, SQLite, 64 connections",
        ours: "whoami/keywright",
        reference: Reference {
            label: "the same route without the layer",
            name: "whoami/no-layer",
        },
        second_reference: None,
        target: Target::Rate(0.95),
    },
    Row {
        number: "11",
        work: "`POST /v1/api-keys`, `hmac-sha256`, durable on SQLite, 64 connections",
        ours: "create-over-http/keywright",
        reference: Reference {
            label: "axum, JSON echo of the same size",
            name: "create-over-http/axum-echo",
        },
        second_reference: None,
        target: Target::Rate(0.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, near the start",
        ours: "page/large-start",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, in the middle",
        ours: "page/large-middle",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, at the end",
        ours: "page/large-end",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, all pages in scattered order",
        ours: "page/large",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 keys of an owner by cursor, SQLite, workspace of 1,000,000 keys and 5 owners, all pages in scattered order",
        ours: "page/owner-large",
        reference: Reference {
            label: "a workspace of 1,000 keys and 5 owners",
            name: "page/owner-small",
        },
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 events by cursor, SQLite, workspace of 1,000,000 events, all pages in scattered order",
        ours: "page/events-large",
        reference: Reference {
            label: "a workspace of 1,000 events",
            name: "page/events-small",
        },
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "13",
        work: "first verification in a SQLite file of 10,000,000 keys, 64 tasks",
        ours: "scale/large-verify",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-verify",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "read a page of 100 by cursor in a SQLite file of 10,000,000 keys, workspaces of 1,000",
        ours: "scale/large-page",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-page",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key durably in a SQLite file of 10,000,000 keys, 1 task",
        ours: "scale/large-create-1",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-create-1",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key durably in a SQLite file of 10,000,000 keys, 64 tasks",
        ours: "scale/large-create-64",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-create-64",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "first verification with 1,000,000 keys in PostgreSQL, 64 tasks",
        ours: "scale-postgres-1000000/large-verify",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-verify",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "read a page of 100 by cursor with 1,000,000 keys in PostgreSQL, workspaces of 1,000",
        ours: "scale-postgres-1000000/large-page",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-page",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key with 1,000,000 keys in PostgreSQL, 1 task",
        ours: "scale-postgres-1000000/large-create-1",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-create-1",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key with 1,000,000 keys in PostgreSQL, 64 tasks",
        ours: "scale-postgres-1000000/large-create-64",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-create-64",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "15",
        work: "first verification of a key, `hmac-sha256`, PostgreSQL, 64 tasks",
        ours: "postgres-verification/keywright-64",
        reference: Reference {
            label: "sqlx, `fetch_one` by primary key, 64 tasks, the same pool",
            name: "postgres-verification/sqlx-64",
        },
        second_reference: None,
        target: Target::Rate(4.0),
    },
    Row {
        number: "15",
        work: "first verification of a key, `hmac-sha256`, PostgreSQL, 1 task",
        ours: "postgres-verification/keywright-1",
        reference: Reference {
            label: "sqlx, `fetch_one` by primary key",
            name: "postgres-verification/sqlx-1",
        },
        second_reference: None,
        target: Target::Time(1.15),
    },
    Row {
        number: "16",
        work: "create a key with its event, `hmac-sha256`, PostgreSQL, 64 tasks",
        ours: "postgres-create/keywright-64",
        reference: Reference {
            label: "sqlx, one `INSERT` per transaction, 64 tasks, the same pool",
            name: "postgres-create/sqlx-64",
        },
        second_reference: None,
        target: Target::Rate(5.0),
    },
    Row {
        number: "16",
        work: "create a key with its event, `hmac-sha256`, PostgreSQL, 1 task",
        ours: "postgres-create/keywright-1",
        reference: Reference {
            label: "sqlx, one `INSERT` per transaction",
            name: "postgres-create/sqlx-1",
        },
        second_reference: None,
        target: Target::Time(1.2),
    },
    Row {
        number: "17",
        work: "create a key with an event, SQLite, 64 tasks",
        ours: "events-sqlite/create",
        reference: Reference {
            label: "without events",
            name: "events-sqlite/create-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "revoke a key with an event, SQLite, 64 tasks",
        ours: "events-sqlite/revoke",
        reference: Reference {
            label: "without events",
            name: "events-sqlite/revoke-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "create a key with an event, Redis, 64 tasks",
        ours: "events-redis/create",
        reference: Reference {
            label: "without events",
            name: "events-redis/create-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "revoke a key with an event, Redis, 64 tasks",
        ours: "events-redis/revoke",
        reference: Reference {
            label: "without events",
            name: "events-redis/revoke-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "create a key with an event, PostgreSQL, 64 tasks",
        ours: "events-postgres/create",
        reference: Reference {
            label: "without events",
            name: "events-postgres/create-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "revoke a key with an event, PostgreSQL, 64 tasks",
        ours: "events-postgres/revoke",
        reference: Reference {
            label: "without events",
            name: "events-postgres/revoke-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "`POST /v1/api-keys` with an event, durable on SQLite, 64 connections",
        ours: "create-over-http/keywright",
        reference: Reference {
            label: "without events",
            name: "create-over-http/without-events",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "18",
        work: "revoke a key while 8 other stores poll, PostgreSQL, 64 tasks",
        ours: "feed/polling",
        reference: Reference {
            label: "no other store",
            name: "feed/none",
        },
        second_reference: None,
        target: Target::Rate(0.95),
    },
    Row {
        number: "21",
        work: "verify an imported token, 1,000 cached keys, imported with SHA-256",
        ours: "verify/keywright-imported",
        reference: HOT_KEY,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "21",
        work: "verify an imported token, 1,000 cached keys, imported with bcrypt",
        ours: "verify/keywright-imported-bcrypt",
        reference: HOT_KEY,
        second_reference: None,
        target: Target::Time(1.5),
    },
];

const HOT_KEY: Reference = Reference {
    label: "a token of this library, 1,000 cached keys",
    name: "verify/keywright-1000",
};

const PARSE_AND_CHECK: Reference = Reference {
    label: "prefixed-api-key 0.3.0, parse and check",
    name: "verify/prefixed-api-key",
};

const PAGE_OF_FEW: Reference = Reference {
    label: "a workspace of 1,000 keys, all pages in scattered order",
    name: "page/small",
};
