//! Tests of files that contain no tests themselves, because the model checks compile them with
//! other primitives.

mod lease;
mod record;
