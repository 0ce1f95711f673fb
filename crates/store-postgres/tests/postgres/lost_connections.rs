//! The connection is lost at each message of a change.

use keywright_core::{
    IssueError, Issued, KeyUpdate, Keywright, NewRotation, Reach,
    store::{KeyStore as _, Record},
};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    proxy::{Cut, Proxy},
    sample::{create, is_unknown, new_key, open, operator, revoke, store_at},
    schema::Schema,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Create,
    Update,
    Revoke,
    RevokeDescendants,
    Rotate,
}

impl Step {
    /// Makes the change through a store whose connection is cut, to `issued` or to a new key.
    async fn run(self, keys: &Keywright, issued: &Issued) -> Result<(), IssueError> {
        let (issuer, caller, id) = (keys.issuer(), operator(), &issued.key.id);
        match self {
            Self::Create => issuer.create(&caller, new_key()).await.map(drop),
            Self::Update => {
                let update = KeyUpdate::new().with_enabled(false);
                issuer.update(&caller, id, &update).await.map(drop)
            }
            Self::Revoke => revoke(keys, id).await.map(drop),
            Self::RevokeDescendants => {
                let revoked = issuer.revoke(&caller, id, Reach::Descendants).await;
                revoked.map(drop)
            }
            Self::Rotate => issuer
                .rotate(&caller, id, &NewRotation::new())
                .await
                .map(drop),
        }
    }

    /// Whether the change was made, by the record of the key.
    fn is_made(self, record: &Record) -> bool {
        match self {
            Self::Create => true,
            Self::Update => !record.key.enabled,
            Self::Revoke | Self::RevokeDescendants => record.key.revoked_at.is_some(),
            Self::Rotate => record.key.successor.is_some(),
        }
    }
}

/// Returns the numbers of keys and of events in a schema.
async fn counts(schema: &Schema, pool: &PgPool) -> (i64, i64) {
    let sql = format!(
        "SELECT (SELECT count(*) FROM {0}.keys), (SELECT count(*) FROM {0}.events)",
        schema.name
    );
    let counts = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(pool).await;
    counts.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_connection_is_lost_is_made_or_not_made() {
    let schema = Schema::new().await;
    for step in [
        Step::Create,
        Step::Update,
        Step::Revoke,
        Step::RevokeDescendants,
        Step::Rotate,
    ] {
        for cut in [Cut::Before, Cut::After] {
            lose_at_each_message(&schema, step, cut).await;
        }
    }
}

/// Makes changes whose connection is cut at the first message, the second, and so on, until one is
/// made without being cut.
async fn lose_at_each_message(schema: &Schema, step: Step, cut: Cut) {
    let (pool, witness) = (schema.pool(1).await, schema.store().await);
    let proxy = Proxy::start(&schema.cluster);
    // A strict store has no other connection, whose messages would be counted.
    let config = schema.config.clone().with_strict();
    let keys = open(&store_at(&proxy.url(), 1, &config).await).await;
    let mut unknown = 0;
    for message in 1.. {
        let issued = create(&keys).await;
        let before = counts(schema, &pool).await;
        proxy.cut(cut, message);
        let result = step.run(&keys, &issued).await;
        let was_cut = proxy.was_cut();
        let after = counts(schema, &pool).await;
        let context = format!("{step:?}, {cut:?} message {message}: {result:?}");
        assert!(result.is_ok() || is_unknown(&result), "{context}");

        let record = witness.find(&issued.key.id).await.unwrap().unwrap();
        let is_made = match step {
            Step::Create => after.0 > before.0,
            _ => step.is_made(&record),
        };
        let (mut keys, events) = (0, i64::from(is_made));
        if matches!(step, Step::Create | Step::Rotate) {
            keys = events;
        }
        assert_eq!(after, (before.0 + keys, before.1 + events), "{context}");
        assert!(is_made || result.is_err(), "{context}");
        unknown += u32::from(is_made && result.is_err());
        if !was_cut {
            assert!(result.is_ok(), "{context}");
            break;
        }
    }
    // The commit that succeeded without a reply.
    assert_eq!(unknown, u32::from(cut == Cut::After), "{step:?}, {cut:?}");
}
