//! [`Settings`]: address, limits and timeouts of a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Settings of a [`Server`](crate::Server).
///
/// ```
/// use std::time::Duration;
///
/// use distilbert_server::Settings;
///
/// let settings = Settings { request_timeout: Duration::from_secs(2), ..Settings::default() };
/// assert!(settings.address.ip().is_loopback());
/// ```
#[derive(Clone)]
pub struct Settings {
    /// Address to listen on; by default port 8080 of the loopback interface. With port 0, the system chooses one.
    pub address: SocketAddr,
    /// Key that requests must present as `Authorization: Bearer …`, except those for health, metrics and the pages; by
    /// default none.
    pub api_key: Option<String>,
    /// Maximum size of a request's body, in bytes; by default 2,000,000.
    pub max_body_bytes: usize,
    /// Maximum number of texts per request; by default 32.
    pub max_texts: usize,
    /// Maximum number of open connections; by default 512. To make room for another, one without a complete request is
    /// closed.
    pub max_connections: usize,
    /// Time limit for the header of a request and for an idle connection; by default 10 seconds.
    pub header_timeout: Duration,
    /// Time limit for the body of a request; by default 10 seconds.
    pub body_timeout: Duration,
    /// Time after which a request fails if it has not been answered, counted from its body; by default 10 seconds.
    pub request_timeout: Duration,
    /// Time allowed for requests in progress to finish when the server is stopped; by default 20 seconds.
    pub grace_period: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            api_key: None,
            max_body_bytes: 2_000_000,
            max_texts: 32,
            max_connections: 512,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            grace_period: Duration::from_secs(20),
        }
    }
}

impl std::fmt::Debug for Settings {
    /// Leaves out the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("address", &self.address)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("max_body_bytes", &self.max_body_bytes)
            .field("max_texts", &self.max_texts)
            .field("max_connections", &self.max_connections)
            .field("header_timeout", &self.header_timeout)
            .field("body_timeout", &self.body_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("grace_period", &self.grace_period)
            .finish()
    }
}
