//! Tests of the server over real connections.

mod client;
mod failures;
mod operations;
mod protocols;
