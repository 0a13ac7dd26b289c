//! Tests of the program as a whole, in one binary that is linked once.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod suite;
