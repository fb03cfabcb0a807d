//! Tests of the server over real connections.

mod client;
mod failures;
mod operations;
mod pages;
mod parameters;
mod protocols;
mod shapes;
mod tensors;
