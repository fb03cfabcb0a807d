//! [`Connection`]: one client's connection, kept open between requests.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Time after which a request without an answer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that got no response.
#[derive(Debug)]
pub enum Failure {
    /// The connection could not be opened, or broke.
    Broken(String),
    /// No answer came within a minute.
    Unanswered,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(reason) => write!(formatter, "the connection broke: {reason}"),
            Self::Unanswered => write!(formatter, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for Failure {}

fn broken(error: impl fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Whole body.
    pub body: Bytes,
}

/// A connection that is opened by its first request and again after it broke.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Returns a connection to an address, which is not open yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// Posts a JSON body and waits for the response.
    ///
    /// # Errors
    /// Fails if the connection breaks or nothing comes within a minute. The next request then opens a new connection.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Reply, Failure> {
        self.request(Method::POST, path, body).await
    }

    /// Gets a path.
    ///
    /// # Errors
    /// Fails like [`post`](Self::post).
    pub async fn get(&mut self, path: &str) -> Result<Reply, Failure> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    async fn request(&mut self, method: Method, path: &str, body: Bytes) -> Result<Reply, Failure> {
        let mut sender = self.sender().await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(broken)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
            Ok(Reply { status, body })
        };
        let reply = tokio::time::timeout(PATIENCE, exchange).await;
        let reply = reply.unwrap_or(Err(Failure::Unanswered))?;
        self.sender = Some(sender);
        Ok(reply)
    }

    /// Takes the open connection, or opens one.
    async fn sender(&mut self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.address).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its errors reach the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}
