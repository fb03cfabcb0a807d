//! [`Bodies`]: reads bodies, within the limits on their size and time and on the memory of all large ones together.
//! [`Answers`]: the memory of all large answers together.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, Kind};
use crate::fields::bad;
use crate::settings::Settings;

/// Number of bytes that are read of a body without a reservation. Clients that send slowly never get further.
const SMALL: usize = 64 << 10;

/// Number of bodies of the largest size for which there is memory at a time.
const LARGEST_BODIES: usize = 32;

/// Bytes of a permit.
const UNIT: usize = 1 << 10;

/// Reads the bodies of requests. Connections that all send a large one can't take more memory than it allows.
pub struct Bodies {
    pool: Pool,
    limit: usize,
    timeout: Duration,
}

/// A body that has been received.
pub struct Received {
    pub bytes: Vec<u8>,
    pub reservation: Reservation,
}

/// Memory of a large body and of what is made of it, until this is dropped.
pub type Reservation = Option<OwnedSemaphorePermit>;

/// Memory that is shared, in permits of [`UNIT`] bytes.
struct Pool(Arc<Semaphore>);

impl Pool {
    /// Creates a pool for this many bodies of the largest size.
    fn new(settings: &Settings, bodies: usize) -> Self {
        let permits = settings.max_body_bytes.div_ceil(UNIT).saturating_mul(bodies);
        Self(Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))))
    }

    /// Waits until there is memory for a body or a part of one.
    async fn reserve(&self, bytes: usize) -> Reservation {
        let permits = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.0.clone().acquire_many_owned(permits).await.ok()
    }
}

impl Bodies {
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.max_body_bytes;
        Self { pool: Pool::new(settings, LARGEST_BODIES), limit, timeout: settings.body_timeout }
    }

    /// Reads a whole body.
    pub async fn read(&self, body: Body) -> Result<Received, Failure> {
        if body.size_hint().lower() > self.limit as u64 {
            return Err(self.too_large());
        }
        let received = tokio::time::timeout(self.timeout, self.receive(body)).await;
        received.unwrap_or_else(|_| {
            Err(Failure::new(Kind::RequestTimeout, "the body did not arrive in time"))
        })
    }

    async fn receive(&self, body: Body) -> Result<Received, Failure> {
        let most = body.size_hint().upper().and_then(|most| usize::try_from(most).ok());
        let most = most.unwrap_or(self.limit).min(self.limit);
        let mut body = Limited::new(body, self.limit);
        let mut bytes = Vec::with_capacity(most.min(SMALL));
        let mut reservation = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => self.too_large(),
                false => bad(format!("the body cannot be read: {error}")),
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if reservation.is_none() && bytes.len() + data.len() > SMALL {
                reservation = self.pool.reserve(most).await;
                bytes.reserve_exact(most - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Received { bytes, reservation })
    }

    fn too_large(&self) -> Failure {
        Failure::new(Kind::TooLarge, format!("the body has more than {} bytes", self.limit))
    }
}

/// Number of bodies of the largest size whose texts may be in memory at a time as tokens, which take many times more.
const LARGEST_ANSWERS: usize = 4;

/// Limits the memory of all large answers, which is in proportion to the texts that they are about.
pub struct Answers(Pool);

impl Answers {
    pub fn new(settings: &Settings) -> Self {
        Self(Pool::new(settings, LARGEST_ANSWERS))
    }

    /// Waits until there is memory for the answer to this many bytes of text, which are part of a body.
    pub async fn reserve(&self, bytes: usize, wait: Duration) -> Result<Reservation, Failure> {
        tokio::time::timeout(wait, self.0.reserve(bytes))
            .await
            .map_err(|_| Failure::new(Kind::Overloaded, "too many large answers are being sent"))
    }
}

/// Returns a body whose memory is reserved until it has been sent.
pub fn held(body: Body, reservation: Reservation) -> Body {
    Body::new(Held { body, _reservation: reservation })
}

struct Held {
    body: Body,
    _reservation: Reservation,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn read(bodies: &Bodies, bytes: usize) -> Result<Received, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(bodies.read(Body::from(vec![7; bytes])))
    }

    #[test]
    fn large_bodies_share_memory_and_small_ones_need_none() {
        let bodies = Bodies::new(&Settings {
            max_body_bytes: LIMIT,
            body_timeout: Duration::from_millis(20),
            ..Settings::default()
        });
        let held: Vec<_> =
            (0..LARGEST_BODIES).map(|_| read(&bodies, LIMIT).unwrap().reservation).collect();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(read(&bodies, LIMIT / 2).err().unwrap().kind, Kind::RequestTimeout);
        let small = read(&bodies, SMALL).unwrap();
        assert!(small.reservation.is_none() && small.bytes.len() == SMALL);
        drop(held);
        assert_eq!(read(&bodies, LIMIT / 2).unwrap().bytes, [7; LIMIT / 2]);
        assert_eq!(read(&bodies, LIMIT + 1).err().unwrap().kind, Kind::TooLarge);
    }

    #[test]
    fn large_answers_share_memory_until_they_are_sent() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answers = Answers::new(&Settings { max_body_bytes: LIMIT, ..Settings::default() });
        let reserve = |bytes| runtime.block_on(answers.reserve(bytes, Duration::from_millis(20)));
        let mut sent: Vec<_> = (0..LARGEST_ANSWERS)
            .map(|_| held(Body::from("answer"), reserve(LIMIT).unwrap()))
            .collect();
        assert_eq!(sent[0].size_hint().exact(), Some(6));
        assert_eq!(reserve(1).err().unwrap().kind, Kind::Overloaded);
        sent.pop();
        assert!(reserve(LIMIT).is_ok());
    }
}
