//! What the tests and the fuzz targets that try to break the whole have in common.

pub mod act;
pub mod canary;
pub mod model;
pub mod program;
pub mod system;
pub mod words;
