//! The options of `keywright serve`, and the options that every command shares.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use keywright_core::{Prefix, Scheme};

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct LibraryOptions {
    /// Store: sqlite:PATH[?sharing=strict|exclusive], redis://HOST:PORT or memory:
    #[arg(
        long,
        env = "KEYWRIGHT_STORE",
        value_name = "URL",
        default_value = "sqlite:keywright.db",
        hide_env_values = true,
        global = true
    )]
    pub(crate) store: String,

    /// Prefix of every token; choose your own before you create keys
    #[arg(long, env = "KEYWRIGHT_PREFIX", default_value = "sk", global = true)]
    pub(crate) prefix: Prefix,

    /// Hash for the secrets of new keys; keys with another hash still verify
    #[arg(long, env = "KEYWRIGHT_HASH", value_enum, default_value_t = Hash::Argon2id, global = true)]
    pub(crate) hash: Hash,

    /// Number of verified keys to cache, usually about 400 bytes each; 0 disables the cache
    #[arg(
        long,
        env = "KEYWRIGHT_CACHE",
        value_name = "KEYS",
        default_value_t = 100_000,
        global = true
    )]
    pub(crate) cache: usize,

    /// Bytes that the cached keys may take; a key with maximal metadata takes 12 KiB
    #[arg(
        long,
        env = "KEYWRIGHT_CACHE_BYTES",
        value_name = "BYTES",
        default_value_t = 67_108_864,
        global = true
    )]
    pub(crate) cache_bytes: usize,

    /// File of peppers: a line `ID HEX-KEY` each, newest last, keys of 32 to 64 bytes
    #[arg(
        long,
        env = "KEYWRIGHT_PEPPER_FILE",
        value_name = "PATH",
        global = true
    )]
    pub(crate) pepper_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Hash {
    /// Argon2id with 19 MiB and 2 passes, about 15 ms of CPU time a key
    Argon2id,
    /// HMAC-SHA-256, about 1 µs, and as strong for secrets of 256 random bits
    HmacSha256,
}

impl From<Hash> for Scheme {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Argon2id => Self::default(),
            Hash::HmacSha256 => Self::HmacSha256,
        }
    }
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// Address and port to listen on
    #[arg(
        long,
        env = "KEYWRIGHT_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,

    /// Management requests a minute for each caller; 0 disables the limit
    ///
    /// `POST /v1/api-keys/verify` does not count.
    #[arg(
        long,
        env = "KEYWRIGHT_RATE_LIMIT",
        value_name = "N",
        default_value_t = 600,
        allow_negative_numbers = true
    )]
    pub(crate) rate_limit: u32,

    /// When to create the first key of an empty store and print its token
    ///
    /// The key has all permissions in the workspace `default`. Its token is printed
    /// only once, alone on a line of standard output.
    #[arg(
        long,
        verbatim_doc_comment,
        env = "KEYWRIGHT_FIRST_KEY",
        value_name = "WHEN",
        value_enum,
        default_value_t = FirstKey::Auto
    )]
    pub(crate) first_key: FirstKey,

    /// Format of the log on standard error
    #[arg(
        long,
        env = "KEYWRIGHT_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Text
    )]
    pub(crate) log_format: LogFormat,

    /// Lowest level to log
    #[arg(
        long,
        env = "KEYWRIGHT_LOG_LEVEL",
        value_name = "LEVEL",
        value_enum,
        default_value_t = LogLevel::Info
    )]
    pub(crate) log_level: LogLevel,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FirstKey {
    /// If standard output is a terminal: collected logs should contain no token
    Auto,
    /// Always
    Print,
    /// Never
    None,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object on each line
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}
