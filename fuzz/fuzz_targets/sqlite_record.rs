//! Fuzzes the records in SQLite. A row is read as a record exactly if each value is valid for its
//! column, and writing the record yields the same row.

#![no_main]

mod columns;
// The store's own source files, because the reader is not public.
#[path = "../../crates/store-sqlite/src/error.rs"]
#[expect(dead_code, reason = "the store uses the rest")]
mod error;
#[path = "../../crates/store-sqlite/src/record.rs"]
#[expect(dead_code, reason = "the store uses the rest")]
mod record;

use std::cell::RefCell;

use columns::{is_id, is_valid_text};
use keywright_core::{
    KeyId, Timestamp,
    store::{Alias, Tag},
};
use libfuzzer_sys::fuzz_target;
use record::NewRow;
use rusqlite::{Connection, params_from_iter, types::Value};

const ID: &[u8; KeyId::LENGTH] = b"0U5lKtf600000000";

/// The columns, in their order in the input.
const COLUMNS: [&str; 21] = [
    "id",
    "workspace",
    "environment",
    "name",
    "permissions",
    "parent",
    "successor",
    "rotated_by",
    "expires_at",
    "revoked_at",
    "last_used_at",
    "metadata",
    "hash",
    "tag",
    "version",
    "owner",
    "enabled",
    "predecessor",
    "allowed_ips",
    "attributes",
    "alias",
];

/// The columns that a list does not read.
const CREDENTIAL: [&str; 3] = ["hash", "tag", "version"];

thread_local! {
    static FILE: RefCell<Connection> = RefCell::new(file());
}

fuzz_target!(|bytes: &[u8]| {
    FILE.with_borrow_mut(|file| {
        let transaction = file.transaction().expect("the transaction starts");
        check(&transaction, &row(bytes));
    });
});

/// Creates a database whose columns accept values of every type, like a damaged file.
fn file() -> Connection {
    let file = Connection::open_in_memory().expect("the database opens");
    let table = format!("CREATE TABLE keywright_keys ({})", COLUMNS.join(", "));
    file.execute(&table, ()).expect("the table is new");
    file
}

fn check(file: &Connection, row: &[Cell]) {
    // A text that is not UTF-8 can only be bound as a blob.
    let places = row.iter().zip(1..).map(|(cell, place)| match cell {
        Cell::Text(_) => format!("CAST(?{place} AS TEXT)"),
        Cell::Value(_) => format!("?{place}"),
    });
    let insert = format!(
        "INSERT INTO keywright_keys VALUES ({})",
        places.collect::<Vec<_>>().join(", ")
    );
    let values = row.iter().map(|cell| match cell {
        Cell::Text(bytes) => Value::Blob(bytes.clone()),
        Cell::Value(value) => value.clone(),
    });
    file.execute(&insert, params_from_iter(values))
        .expect("the row is written");

    // Read the row as a list does, whatever its id.
    let listed = {
        let select = concat!("SELECT ", record::key_columns!(), " FROM keywright_keys");
        file.query_one(select, (), record::key)
    };
    let is_readable = |(cell, column)| CREDENTIAL.contains(&column) || is_valid((cell, column));
    assert_eq!(listed.is_ok(), row.iter().zip(COLUMNS).all(is_readable));

    let id = KeyId::from_bytes(ID).expect("the id is valid");
    match record::find(file, &id) {
        Ok(None) => assert_ne!(row[0], Cell::Value(Value::Blob(ID.into()))),
        Ok(Some(record)) => {
            assert!(row.iter().zip(COLUMNS).all(is_valid));
            assert_eq!(record.key.id, id);
            assert_eq!(Some(&record.key), listed.as_ref().ok());
            assert_eq!(record.key.imported, record.alias.is_some());
            if let Some(alias) = &record.alias {
                let found = record::find_by_alias(file, alias).expect("the row is readable");
                assert_eq!(found.as_ref(), Some(&record));
            }
            file.execute("DELETE FROM keywright_keys", ())
                .expect("the row is deleted");
            let again = NewRow::new(&record).expect("the row is written");
            again.insert(file).expect("the row is written");
            let written = file
                .query_one("SELECT * FROM keywright_keys", (), |row| {
                    (0..COLUMNS.len())
                        .map(|column| row.get(column))
                        .collect::<rusqlite::Result<Vec<Value>>>()
                })
                .expect("the row is written");
            for ((written, read), column) in written.into_iter().zip(row).zip(COLUMNS) {
                // The input may have the permissions in another order, or repeat a permission.
                if column != "permissions" {
                    assert_eq!(&Cell::from(written), read, "{column}");
                }
            }
        }
        Err(error) => {
            assert!(!row.iter().zip(COLUMNS).all(is_valid));
            assert!(
                matches!(error, rusqlite::Error::FromSqlConversionFailure(..)),
                "the store does not report this as damage: {error:?}"
            );
        }
    }
}

/// The value of one column.
#[derive(PartialEq, Debug)]
enum Cell {
    /// A text, which need not be UTF-8.
    Text(Vec<u8>),
    /// Anything else.
    Value(Value),
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.into_bytes()),
            other => Self::Value(other),
        }
    }
}

impl Cell {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => str::from_utf8(bytes).ok(),
            Self::Value(_) => None,
        }
    }

    fn blob(&self) -> Option<&[u8]> {
        match self {
            Self::Value(Value::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Value(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        *self == Self::Value(Value::Null)
    }
}

/// Whether a value is valid for its column.
fn is_valid((cell, column): (&Cell, &str)) -> bool {
    match column {
        "id" => cell.blob().is_some_and(is_id),
        "parent" | "successor" | "predecessor" | "rotated_by" => {
            cell.is_null() || cell.blob().is_some_and(is_id)
        }
        "workspace" | "name" | "permissions" | "hash" => {
            cell.text().is_some_and(|text| is_valid_text(column, text))
        }
        "owner" | "metadata" | "attributes" | "allowed_ips" => {
            cell.is_null() || cell.text().is_some_and(|text| is_valid_text(column, text))
        }
        "environment" | "enabled" => cell
            .integer()
            .is_some_and(|number| [0, 1].contains(&number)),
        "tag" => cell.blob().is_some_and(|bytes| bytes.len() == Tag::LENGTH),
        "alias" => {
            cell.is_null()
                || cell
                    .blob()
                    .is_some_and(|bytes| bytes.len() == Alias::LENGTH)
        }
        "version" => cell.integer().is_some_and(|number| number >= 0),
        _ => {
            let times = 0..=Timestamp::MAX.as_millis();
            cell.is_null() || cell.integer().is_some_and(|time| times.contains(&time))
        }
    }
}

/// Decodes a row. For each column there is a byte for the type, followed by the value, or a byte
/// that selects a valid value. Columns that are missing at the end are valid.
fn row(mut bytes: &[u8]) -> Vec<Cell> {
    (0..COLUMNS.len())
        .map(|column| cell(&mut bytes).unwrap_or_else(|| valid_cell(column)))
        .collect()
}

fn cell(bytes: &mut &[u8]) -> Option<Cell> {
    let kind = bytes.split_off_first()?;
    Some(match kind {
        0 => Cell::Value(Value::Null),
        1 => Cell::Value(Value::Integer(i64::from_be_bytes(eight(bytes)))),
        2 => {
            let number = f64::from_be_bytes(eight(bytes));
            // SQLite stores NaN as null.
            let number = if number.is_nan() { 0.0 } else { number };
            Cell::Value(Value::Real(number))
        }
        3 => Cell::Text(piece(bytes)),
        4 => Cell::Value(Value::Blob(piece(bytes))),
        _ => return None,
    })
}

fn eight(bytes: &mut &[u8]) -> [u8; 8] {
    let mut eight = [0; 8];
    let given = bytes.split_off(..bytes.len().min(8)).unwrap_or_default();
    eight[..given.len()].copy_from_slice(given);
    eight
}

/// Decodes a length byte and takes that many bytes, or as many as there are.
fn piece(bytes: &mut &[u8]) -> Vec<u8> {
    let length = bytes.split_off_first().copied().unwrap_or_default();
    let length = usize::from(length).min(bytes.len());
    bytes.split_off(..length).unwrap_or_default().to_vec()
}

fn valid_cell(column: usize) -> Cell {
    match COLUMNS[column] {
        "id" => Cell::Value(Value::Blob(ID.into())),
        "workspace" => Cell::Text(b"acme".into()),
        "environment" | "enabled" => Cell::Value(Value::Integer(1)),
        "owner" => Cell::Text(b"user:42".into()),
        "name" => Cell::Text("Straße".into()),
        "permissions" => Cell::Text(b"api_keys:read,calls:*".into()),
        "metadata" | "attributes" => Cell::Text(b"{\"team\":1}".into()),
        "allowed_ips" => Cell::Text(b"192.0.2.0/24,2001:db8::1".into()),
        "hash" => Cell::Text(
            b"$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
                .into(),
        ),
        "tag" => Cell::Value(Value::Blob([7; Tag::LENGTH].into())),
        "alias" => Cell::Value(Value::Blob([0xa7; Alias::LENGTH].into())),
        "version" => Cell::Value(Value::Integer(3)),
        "expires_at" => Cell::Value(Value::Integer(1_709_287_200_000)),
        _ => Cell::Value(Value::Null),
    }
}
