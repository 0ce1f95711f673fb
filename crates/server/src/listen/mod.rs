//! The addresses that the server listens on, and their sockets.

mod address;
mod bind;
mod inherited;
mod socket;

pub(crate) use self::{
    address::ListenAddress,
    bind::bind,
    inherited::{Inherited, Sockets},
    socket::{Socket, Stream, display_all},
};
