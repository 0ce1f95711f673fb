//! What the tests and the fuzz targets that try to break the whole have in common.

pub mod canary;
pub mod program;
