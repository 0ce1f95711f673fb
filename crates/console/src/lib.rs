//! A console for API keys: the web component `<keywright-keys>`, and a page around it.
//!
//! [`Console`] is a [tower] service that serves both. A host embeds the component in its own
//! settings page; the `keywright` server shows the page at `/console`. The component is a client of
//! the HTTP API of `keywright-http-tower`, and has no rights except those of the person or key that
//! uses it.
//!
//! ```
//! use axum::Router;
//! use keywright_console::Console;
//!
//! let console = Console::nested("/console").for_api("/v1/api-keys");
//! let app: Router = Router::new().nest_service("/console", console);
//! ```
//!
//! The files have no dependencies and no build step. `GUIDE.md` in the repository shows how to
//! embed the component in plain HTML, React and Vue, and `examples/settings.rs` is a complete host.
//!
//! [tower]: https://docs.rs/tower

mod assets;
mod mount;
mod page;
mod service;

/// The programs in the README of this crate.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The public interface is:
pub use crate::service::Console;
