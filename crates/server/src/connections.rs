//! [`Acceptor`]: accepts connections, and closes idle ones when there are too many.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::generation::Generations;

/// Time to wait after the system refused a connection, such as for want of file descriptors, and between attempts to
/// find an idle connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Largest header of a request, and largest part of a body that is read ahead.
const BUFFER: usize = 64 << 10;

/// Accepts connections for the current generation of the service.
pub struct Acceptor {
    listener: TcpListener,
    generations: Arc<Generations>,
    protocol: http1::Builder,
    places: Arc<Places>,
    graceful: GracefulShutdown,
}

impl Acceptor {
    pub fn new(listener: TcpListener, generations: Arc<Generations>) -> Self {
        let settings = &generations.app().settings;
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(settings.header_timeout);
        protocol.max_buf_size(BUFFER);
        let places = Arc::new(Places::new(settings.max_connections));
        Self { listener, generations, protocol, places, graceful: GracefulShutdown::new() }
    }

    /// Accepts connections until `stop` is ready, and returns those that are open.
    pub async fn run(self, stop: impl Future<Output = ()>) -> GracefulShutdown {
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = async {
                let accepted = self.listener.accept().await;
                (accepted, self.places.enter().await)
            };
            let (accepted, seat) = tokio::select! {
                () = &mut stop => return self.graceful,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.serve(stream, seat);
                    // What has arrived is read before the next connection is accepted. Otherwise a flood of connections
                    // takes every place, and those that have sent a whole request are closed like silent ones.
                    tokio::task::yield_now().await;
                }
                Err(error) => self.refused(&error).await,
            }
        }
    }

    async fn refused(&self, error: &io::Error) {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(PAUSE).await;
    }

    fn serve(&self, stream: TcpStream, seat: Seat) {
        // Answers are small and complete: they should not wait for more.
        let _ = stream.set_nodelay(true);
        let place = seat.place.clone();
        let generations = self.generations.clone();
        let answer = {
            let place = place.clone();
            service_fn(move |request: Request<Incoming>| {
                let place = place.clone();
                let request = request.map(|body| Watched { body, place: place.clone() });
                let service = TowerToHyperService::new(generations.router());
                async move {
                    let response = service.call(request).await;
                    place.rest();
                    response
                }
            })
        };
        let connection = self.protocol.serve_connection(TokioIo::new(stream), answer);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away or times out is no error of the server.
            tokio::select! {
                _ = connection => {}
                () = place.leave.notified() => {}
            }
            drop(seat);
        });
    }
}

/// The places of connections.
struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Arc<Place>>>,
}

/// The place of one connection.
struct Place {
    opened: Instant,
    /// Microseconds from `opened` to the last answer, 0 before the first, or `BUSY`.
    idle_from: AtomicU64,
    /// Tells the connection to close.
    leave: Notify,
}

/// Value of a place whose connection is not idle, or is being closed.
const BUSY: u64 = u64::MAX;

impl Place {
    /// Marks the connection as waiting for an answer, so that it is not closed in favor of others.
    fn work(&self) {
        self.idle_from.store(BUSY, Ordering::Relaxed);
    }

    /// Marks the connection as idle from now on.
    fn rest(&self) {
        let now = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(BUSY - 1);
        self.idle_from.store(now.max(1), Ordering::Relaxed);
    }

    /// Returns the rank of an idle connection: those that have not been answered yet are closed before others, and those
    /// that have been idle for long before others.
    fn rank(&self) -> Option<(bool, Instant)> {
        match self.idle_from.load(Ordering::Relaxed) {
            BUSY => None,
            from => Some((from > 0, self.opened + Duration::from_micros(from))),
        }
    }
}

/// A taken place, which is free again once this is dropped.
struct Seat {
    place: Arc<Place>,
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self { free, taken: Mutex::default() }
    }

    /// Takes a place. If there is none, an idle connection is closed: clients that open connections and don't complete a
    /// request can't keep out others.
    async fn enter(self: &Arc<Self>) -> Seat {
        loop {
            if self.free.available_permits() == 0 {
                self.close_one();
            }
            let permit = self.free.clone().acquire_owned();
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = tokio::time::timeout(PAUSE, permit).await {
                return self.seat(permit);
            }
        }
    }

    fn seat(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Seat {
        let (opened, idle_from, leave) = (Instant::now(), AtomicU64::new(0), Notify::new());
        let place = Arc::new(Place { opened, idle_from, leave });
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(place.clone());
        Seat { place, places: self.clone(), _permit: permit }
    }

    fn close_one(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = taken.iter().filter_map(|place| Some((place.rank()?, place)));
        if let Some((_, place)) = idle.min_by_key(|(rank, _)| *rank) {
            // It is not chosen again.
            place.work();
            place.leave.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = taken.iter().position(|place| Arc::ptr_eq(place, &self.place)) {
            taken.swap_remove(index);
        }
    }
}

/// A request's body, at whose end the connection starts to wait for an answer. Until then it counts as idle, since a
/// client may send a body as slowly as it likes.
struct Watched {
    body: Incoming,
    place: Arc<Place>,
}

impl Body for Watched {
    type Data = <Incoming as Body>::Data;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if self.body.is_end_stream() || frame.is_none() {
            self.place.work();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
