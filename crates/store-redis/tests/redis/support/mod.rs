//! Real servers, each in a folder of its own, which end with the test.

mod cluster;
mod server;

pub(crate) use self::{
    cluster::Cluster,
    server::{Server, free_port},
};
