//! The shared parts of the assurance tests and the fuzz targets: a reference model, the system
//! under test, controlled inputs, and a search for leaked secrets.

pub mod action;
pub mod canary;
pub mod inputs;
pub mod model;
pub mod program;
pub mod system;
pub mod vocabulary;
