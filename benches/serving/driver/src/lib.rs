//! Load on an HTTP server, and the latencies that it shows.
//!
//! A closed loop has a number of connections, each of which sends its next request once the last is answered. An open
//! loop sends requests at random times with a mean rate, whatever the server does. Its latencies count from the time at
//! which a request was due, not from when a connection was free to send it: a server that stalls delays all requests
//! that are due meanwhile, and every one of them is recorded as late.

mod connection;
mod load;
mod tally;

pub use connection::{Connection, Failure, Reply};
pub use load::{Rate, Target, closed, open};
pub use tally::Tally;
