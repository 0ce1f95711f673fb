//! Tests of files that the model checks compile with other primitives, and so hold no tests.

mod lease;
mod record;
