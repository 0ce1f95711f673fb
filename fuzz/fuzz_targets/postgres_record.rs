//! Fuzzes the records in PostgreSQL. A row is read as a record exactly if each value is valid for
//! its column, and writing the record yields the same row. The rows come from a server that sends
//! them in both formats of the protocol, because a row of the driver has no other source.

#![no_main]

mod columns;
// The store's own source files, because the reader is not public.
#[path = "../../crates/store-postgres/src/error.rs"]
#[expect(dead_code, reason = "the store uses the rest")]
mod error;
#[path = "../../crates/store-postgres/src/record.rs"]
#[expect(dead_code, reason = "the store uses the rest")]
mod record;
#[path = "../../crates/store-postgres/src/values.rs"]
#[expect(dead_code, reason = "the store uses the rest")]
mod values;

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, BufReader, BufWriter, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use columns::{is_id, is_valid_text};
use keywright_core::{
    Timestamp,
    store::{Alias, StoreError, StoreErrorKind, Tag},
};
use libfuzzer_sys::fuzz_target;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgRow, PgSslMode},
};
use tokio::runtime::{Builder, Runtime};

const ID: &str = "0U5lKtf600000000";

/// The columns, in their order in the input, with their types.
const COLUMNS: [(&str, Type); 21] = [
    ("id", Type::Text),
    ("workspace", Type::Text),
    ("test", Type::Bool),
    ("name", Type::Text),
    ("permissions", Type::Text),
    ("parent", Type::Text),
    ("successor", Type::Text),
    ("rotated_by", Type::Text),
    ("expires_at", Type::Integer),
    ("revoked_at", Type::Integer),
    ("last_used_at", Type::Integer),
    ("metadata", Type::Text),
    ("hash", Type::Text),
    ("tag", Type::Text),
    ("version", Type::Integer),
    ("owner", Type::Text),
    ("enabled", Type::Bool),
    ("predecessor", Type::Text),
    ("allowed_ips", Type::Text),
    ("attributes", Type::Text),
    ("alias", Type::Text),
];

/// The columns that a list does not read.
const CREDENTIAL: [&str; 3] = ["hash", "tag", "version"];

/// The type of a column, with its number in PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool = 16,
    Bytes = 17,
    Integer = 20,
    SmallInteger = 23,
    Text = 25,
}

/// The value of one column.
#[derive(PartialEq, Debug)]
enum Cell {
    Null,
    Bool(bool),
    Bytes(Vec<u8>),
    Integer(i64),
    SmallInteger(i32),
    /// A text, which need not be UTF-8.
    Text(Vec<u8>),
}

thread_local! {
    static CLIENT: RefCell<Client> = RefCell::new(Client::new());
}

fuzz_target!(|bytes: &[u8]| {
    let row = row(bytes);
    CLIENT.with_borrow_mut(|client| {
        for is_binary in [false, true] {
            check(&client.fetch(&row, is_binary), &row);
        }
    });
});

/// Compares a row as it was read with the values that were sent.
fn check(read: &PgRow, row: &[Cell]) {
    let cells = || row.iter().zip(COLUMNS.map(|(column, _)| column));
    let is_readable = |(cell, column)| CREDENTIAL.contains(&column) || is_valid((cell, column));
    let id = check_error(record::id(read));
    assert_eq!(id.is_some(), is_valid((&row[0], "id")));
    let key = check_error(record::key(read));
    assert_eq!(key.is_some(), cells().all(is_readable));
    let whole = check_error(record::record(read));
    assert_eq!(whole.is_some(), cells().all(is_valid));
    let Some(whole) = whole else { return };
    assert_eq!((Some(whole.key.id), Some(&whole.key)), (id, key.as_ref()));
    let written = record::rows([&whole].into_iter()).to_table("n");
    let mut written = parse(&written);
    // The time of the last use has a statement for itself.
    let used = whole.key.last_used_at.map(Timestamp::as_millis);
    written.insert("last_used_at", used.map_or(Cell::Null, Cell::Integer));
    // These are read in hexadecimal.
    for column in ["tag", "alias"] {
        if let Some(Cell::Bytes(bytes)) = written.get(column) {
            written.insert(column, Cell::Text(hexadecimal(bytes).into()));
        }
    }
    for (cell, column) in cells() {
        // The input may have the permissions in another order, or repeat a permission.
        if column != "permissions" {
            assert_eq!(written.get(column), Some(cell), "{column}");
        }
    }
}

/// Returns a result. An error must be damage.
fn check_error<T>(result: error::Result<T>) -> Option<T> {
    result
        .map_err(|error| {
            let error = StoreError::from(error);
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
        })
        .ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses the rows of an SQL table with one row, which consists of literals.
fn parse(table: &str) -> HashMap<&str, Cell> {
    let (row, columns) = table.rsplit_once(")) AS n (").expect("the table is named");
    let mut row = row.strip_prefix("(VALUES (").expect("the table has a row");
    let columns = columns.strip_suffix(')').expect("the columns are named");
    let cells = columns.split(", ").map(|column| {
        let (cell, rest) = literal(row);
        row = rest.strip_prefix(", ").unwrap_or(rest);
        (column, cell)
    });
    let cells = cells.collect();
    assert!(row.is_empty(), "{row}");
    cells
}

/// Parses a literal, as PostgreSQL does, and returns the rest.
fn literal(sql: &str) -> (Cell, &str) {
    let hexadecimal = |sql: &'_ str| -> Option<(Vec<u8>, usize)> {
        let (hex, _) = sql.strip_prefix("decode('")?.split_once("', 'hex')")?;
        let byte = |start| u8::from_str_radix(&hex[start..start + 2], 16);
        let bytes = (0..hex.len())
            .step_by(2)
            .map(byte)
            .collect::<Result<_, _>>();
        Some((bytes.ok()?, "decode('', 'hex')".len() + hex.len()))
    };
    if let Some(text) = sql.strip_prefix('\'') {
        let (text, rest) = text.split_once('\'').expect("the text ends");
        // In some configurations, a backslash begins an escape.
        assert!(!rest.starts_with('\'') && !text.contains('\\'), "{sql}");
        return (Cell::Text(text.into()), rest);
    }
    if let Some(text) = sql.strip_prefix("convert_from(") {
        let (bytes, length) = hexadecimal(text).expect("the text is hexadecimal");
        let rest = text[length..].strip_prefix(", 'UTF8')");
        return (Cell::Text(bytes), rest.expect("the encoding is UTF-8"));
    }
    if let Some((bytes, length)) = hexadecimal(sql) {
        return (Cell::Bytes(bytes), &sql[length..]);
    }
    let end = sql.find(',').unwrap_or(sql.len());
    let cell = match &sql[..end] {
        "NULL" => Cell::Null,
        "true" => Cell::Bool(true),
        "false" => Cell::Bool(false),
        number => Cell::Integer(number.parse().expect("a number is left")),
    };
    (cell, &sql[end..])
}

/// Whether a value is valid for its column.
fn is_valid((cell, column): (&Cell, &str)) -> bool {
    let text = match cell {
        Cell::Text(bytes) => str::from_utf8(bytes).ok(),
        _ => None,
    };
    let integer = match cell {
        Cell::Integer(number) => Some(*number),
        _ => None,
    };
    let is_null = *cell == Cell::Null;
    match column {
        "id" => text.is_some_and(|text| is_id(text.as_bytes())),
        "parent" | "successor" | "predecessor" | "rotated_by" => {
            is_null || text.is_some_and(|text| is_id(text.as_bytes()))
        }
        "test" | "enabled" => matches!(cell, Cell::Bool(_)),
        "tag" => text.is_some_and(|text| is_hexadecimal(text, Tag::LENGTH)),
        "alias" => is_null || text.is_some_and(|text| is_hexadecimal(text, Alias::LENGTH)),
        "version" => integer.is_some_and(|number| number >= 0),
        "expires_at" | "revoked_at" | "last_used_at" => {
            let times = 0..=Timestamp::MAX.as_millis();
            is_null || integer.is_some_and(|time| times.contains(&time))
        }
        "owner" | "metadata" | "attributes" | "allowed_ips" => {
            is_null || text.is_some_and(|text| is_valid_text(column, text))
        }
        _ => text.is_some_and(|text| is_valid_text(column, text)),
    }
}

/// Whether a text is this many bytes in hexadecimal, as `encode` of PostgreSQL writes them.
fn is_hexadecimal(text: &str, bytes: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 2 * bytes && text.bytes().all(is_digit)
}

/// Decodes a row. For each column there is a byte for the type, followed by the value, or a byte
/// that selects a valid value. Columns that are missing at the end are valid.
fn row(mut bytes: &[u8]) -> Vec<Cell> {
    let cells = COLUMNS.map(|(column, _)| cell(&mut bytes).unwrap_or_else(|| valid_cell(column)));
    cells.into()
}

fn cell(bytes: &mut &[u8]) -> Option<Cell> {
    let kind = bytes.split_off_first()?;
    Some(match kind {
        0 => Cell::Null,
        1 => Cell::Integer(i64::from_be_bytes(eight(bytes))),
        2 => Cell::Bool(false),
        3 => Cell::Text(piece(bytes)),
        4 => Cell::Bytes(piece(bytes)),
        5 => Cell::Bool(true),
        6 => Cell::SmallInteger(i32::from_be_bytes(*eight(bytes).first_chunk()?)),
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

fn valid_cell(column: &str) -> Cell {
    let text = |text: &str| Cell::Text(text.into());
    match column {
        "id" => text(ID),
        "workspace" => text("acme"),
        "test" | "enabled" => Cell::Bool(true),
        "owner" => text("user:42"),
        "name" => text("Straße"),
        "permissions" => text("api_keys:read,calls:*"),
        "metadata" | "attributes" => text("{\"team\":1}"),
        "allowed_ips" => text("192.0.2.0/24,2001:db8::1"),
        "hash" => {
            text("$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
        }
        "tag" => text(&"07".repeat(Tag::LENGTH)),
        "alias" => text(&"a7".repeat(Alias::LENGTH)),
        "version" => Cell::Integer(3),
        "expires_at" => Cell::Integer(1_709_287_200_000),
        _ => Cell::Null,
    }
}

impl Cell {
    fn type_of(&self) -> Option<Type> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => Type::Bool,
            Self::Bytes(_) => Type::Bytes,
            Self::Integer(_) => Type::Integer,
            Self::SmallInteger(_) => Type::SmallInteger,
            Self::Text(_) => Type::Text,
        })
    }

    /// Returns the value in a format of the protocol. `None` is null.
    fn encode(&self, is_binary: bool) -> Option<Vec<u8>> {
        Some(match (self, is_binary) {
            (Self::Null, _) => return None,
            (Self::Bool(value), true) => vec![u8::from(*value)],
            (Self::Bool(value), false) => vec![if *value { b't' } else { b'f' }],
            (Self::Bytes(bytes), false) => format!("\\x{}", hexadecimal(bytes)).into_bytes(),
            (Self::Bytes(bytes), true) | (Self::Text(bytes), _) => bytes.clone(),
            (Self::Integer(number), true) => number.to_be_bytes().into(),
            (Self::Integer(number), false) => number.to_string().into_bytes(),
            (Self::SmallInteger(number), true) => number.to_be_bytes().into(),
            (Self::SmallInteger(number), false) => number.to_string().into_bytes(),
        })
    }
}

/// The reply to any statement.
#[derive(Default)]
struct Reply {
    description: Vec<u8>,
    row: Vec<u8>,
}

/// A connection to a server that replies with any row.
struct Client {
    runtime: Runtime,
    connection: PgConnection,
    reply: Arc<Mutex<Reply>>,
}

impl Client {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("the port is known").port();
        let reply = Arc::<Mutex<Reply>>::default();
        let replies = Arc::clone(&reply);
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("the client connects");
            // The end of the target closes the connection.
            let _ = serve(&stream, &replies);
        });
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the runtime starts");
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username("fuzz")
            .ssl_mode(PgSslMode::Disable);
        let connection = runtime
            .block_on(PgConnection::connect_with(&options))
            .expect("the server accepts the connection");
        Self {
            runtime,
            connection,
            reply,
        }
    }

    fn fetch(&mut self, row: &[Cell], is_binary: bool) -> PgRow {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = Reply {
            description: description(row),
            row: data_row(row, is_binary),
        };
        let connection = &mut self.connection;
        let row = if is_binary {
            let query = sqlx::query("SELECT").persistent(false);
            self.runtime.block_on(query.fetch_one(connection))
        } else {
            let query = sqlx::raw_sql("SELECT");
            self.runtime.block_on(query.fetch_one(connection))
        };
        row.expect("the server returns a row")
    }
}

/// Encodes the message `RowDescription`. The driver knows the format of a row without it.
fn description(row: &[Cell]) -> Vec<u8> {
    let mut message = length(COLUMNS.len()).to_vec();
    for (cell, (column, own)) in row.iter().zip(COLUMNS) {
        message.extend(column.as_bytes());
        // The end of the name, and no table.
        message.extend([0; 7]);
        message.extend((cell.type_of().unwrap_or(own) as u32).to_be_bytes());
        // A variable size, no modifier, and the format.
        message.extend([0xff; 6]);
        message.extend([0; 2]);
    }
    message
}

/// Encodes the message `DataRow`.
fn data_row(row: &[Cell], is_binary: bool) -> Vec<u8> {
    let mut message = length(row.len()).to_vec();
    for cell in row {
        match cell.encode(is_binary) {
            None => message.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                let length = i32::try_from(value.len()).expect("a value is short");
                message.extend(length.to_be_bytes());
                message.extend(value);
            }
        }
    }
    message
}

fn length(count: usize) -> [u8; 2] {
    u16::try_from(count).expect("a row is short").to_be_bytes()
}

/// Serves a connection of the PostgreSQL protocol.
fn serve(stream: &TcpStream, reply: &Mutex<Reply>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let mut output = BufWriter::new(stream);
    // The first message has no type.
    read_body(&mut input)?;
    write(&mut output, b'R', &[0; 4])?;
    write(&mut output, b'Z', b"I")?;
    output.flush()?;
    loop {
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        read_body(&mut input)?;
        let reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
        match kind[0] {
            b'P' => write(&mut output, b'1', b"")?,
            b'B' => write(&mut output, b'2', b"")?,
            b'C' => write(&mut output, b'3', b"")?,
            b'D' => {
                // There are no parameters.
                write(&mut output, b't', &[0; 2])?;
                write(&mut output, b'T', &reply.description)?;
            }
            b'E' => write_row(&mut output, &reply)?,
            b'S' => write(&mut output, b'Z', b"I")?,
            b'Q' => {
                write(&mut output, b'T', &reply.description)?;
                write_row(&mut output, &reply)?;
                write(&mut output, b'Z', b"I")?;
            }
            _ => return Ok(()),
        }
        if [b'S', b'Q'].contains(&kind[0]) {
            output.flush()?;
        }
    }
}

fn read_body(input: &mut impl Read) -> io::Result<()> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let rest = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
    io::copy(&mut input.take(rest), &mut io::sink())?;
    Ok(())
}

fn write_row(output: &mut impl Write, reply: &Reply) -> io::Result<()> {
    write(output, b'D', &reply.row)?;
    write(output, b'C', b"SELECT 1\0")
}

fn write(output: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    output.write_all(&[kind])?;
    let length = u32::try_from(body.len() + 4).expect("a message is short");
    output.write_all(&length.to_be_bytes())?;
    output.write_all(body)
}
