//! Rows that are damaged, texts that PostgreSQL cannot store, and defaults of the role.

use std::sync::Arc;

use keywright_core::{
    Environment, KeyUpdate, ListEvents, ListKeys, Metadata, Name, Reach, Timestamp,
    store::{KeyStore as _, StoreErrorKind},
};
use keywright_store_postgres::PostgresStore;

use crate::{
    sample::{create, eventually, is_accepted, new_key, open, operator, workspace},
    schema::{Schema, id_text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_damaged_in_any_column_is_corrupt() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let now = Timestamp::from_millis(1_700_000_000_000).unwrap();
    // Lists do not read the last three.
    for (column, value) in [
        ("name", "' CI'"),
        ("name", "''"),
        ("permissions", "'no, permissions'"),
        ("owner", "''"),
        ("allowed_ips", "'10.0.0.1/8'"),
        ("parent", "'short'"),
        ("successor", "repeat('-', 16)"),
        ("predecessor", "''"),
        ("rotated_by", "repeat('x', 17)"),
        ("expires_at", "-9223372036854775808"),
        ("revoked_at", "9223372036854775807"),
        ("last_used_at", "-1000000000000000"),
        ("metadata", "'['"),
        ("attributes", "'{\"a\":'"),
        ("hash", "'$argon2id$'"),
        ("tag", "'\\x01'"),
        ("version", "-1"),
    ] {
        let what = format!("{column} = {value}");
        let id = create(&keys).await.key.id;
        let text = id_text(&id);
        let damage = format!("UPDATE {{schema}}.keys SET {column} = {value} WHERE id = '{text}'");
        assert_eq!(schema.execute(&damage).await, 1);
        let found = store.find(&id).await.unwrap_err();
        assert_eq!(found.kind(), StoreErrorKind::Corrupt, "{what}");
        for reach in [Reach::Key, Reach::Descendants] {
            let revoked = store.revoke(&workspace(), &id, reach, now, None).await;
            let error = revoked.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}");
        }
        if !["hash", "tag", "version"].contains(&column) {
            let list = ListKeys::new();
            let listed = store
                .list(&workspace(), Environment::Live, &list, now)
                .await;
            let error = listed.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}");
        }
        // Other keys are not affected.
        let other = create(&keys).await;
        assert_eq!(is_accepted(&keys, &other.token).await, Some(true));
        let delete = format!("DELETE FROM {{schema}}.keys WHERE id = '{text}'");
        schema.execute(&delete).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_a_character_that_postgres_cannot_store_finds_nothing() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    // The only text of a key that can contain it has it escaped.
    let metadata = Metadata::parse(r#"{"a":"\u0000"}"#).unwrap();
    let new = new_key().with_metadata(metadata.clone());
    let issued = keys.issuer().create(&operator(), new).await.unwrap();
    let record = store.find(&issued.key.id).await.unwrap().unwrap();
    assert_eq!(record.key.metadata, Some(metadata));
    for search in ["\0", "C\0I"] {
        let list = ListKeys::new().with_search(search);
        let page = keys.issuer().list(&operator(), list).await.unwrap();
        assert!(page.keys.is_empty());
    }
    let all = ListKeys::new().with_search("ci");
    let page = keys.issuer().list(&operator(), all).await.unwrap();
    assert_eq!(page.keys.len(), 1);
}

/// Defaults that a host may have set for its role, and that change what statements do.
const DEFAULTS: [&str; 12] = [
    "default_transaction_read_only = on",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "statement_timeout = '30s'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '30s'",
    "synchronous_commit = off",
    "search_path = nowhere",
    "bytea_output = escape",
    "datestyle = 'German'",
    "standard_conforming_strings = off",
    "array_nulls = off",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_of_the_role_do_not_affect_the_store() {
    let schema = Schema::new().await;
    let role = format!("role_{}", schema.name);
    schema
        .execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN"))
        .await;
    for default in DEFAULTS {
        schema
            .execute(&format!("ALTER ROLE {role} SET {default}"))
            .await;
    }
    let url = schema
        .cluster
        .url()
        .replace("keywright@", &format!("{role}@"));
    let connect = async || {
        let store = PostgresStore::connect(&url, schema.config.clone()).await;
        Arc::new(store.unwrap())
    };
    let (ours, theirs) = (open(&connect().await).await, open(&connect().await).await);
    let parent = create(&ours).await;
    assert_eq!(is_accepted(&ours, &parent.token).await, Some(true));
    assert_eq!(is_accepted(&theirs, &parent.token).await, Some(true));
    ours.flush().await.unwrap();
    let rename = KeyUpdate::new().with_name(Name::parse("Renamed").unwrap());
    ours.issuer()
        .update(&operator(), &parent.key.id, &rename)
        .await
        .unwrap();
    let list = ListKeys::new().with_search("renamed");
    let page = ours.issuer().list(&operator(), list).await.unwrap();
    assert_eq!(page.total, Some(1));
    ours.issuer()
        .revoke(&operator(), &parent.key.id, Reach::Descendants)
        .await
        .unwrap();
    assert_eq!(is_accepted(&ours, &parent.token).await, Some(false));
    // The feed works as well: the other store has a copy.
    eventually("the rejection", async || {
        is_accepted(&theirs, &parent.token).await == Some(false)
    })
    .await;
    let log = ListEvents::new().with_key(parent.key.id);
    let events = ours.issuer().events(&operator(), log).await.unwrap();
    assert_eq!(events.events.len(), 3);
}
