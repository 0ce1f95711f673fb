//! The system under test: the library in two processes over one store, compared with the model call
//! by call.

mod backend;
mod calls;
mod check;
mod convert;
mod events;
mod marker;
mod memory;
mod process;
mod state;
mod step;
mod update;

pub use self::{backend::Backend, memory::MemoryBackend, state::System};
