//! [`Server`]: accepts connections until it is stopped.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use distilbert::batcher::Shutdown;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::app::{App, router};
use crate::model::Model;
use crate::settings::Settings;

/// Time to wait after the system has refused a connection, for example because file descriptors ran out.
const PAUSE: Duration = Duration::from_millis(50);

/// Errors from starting or running a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No model was given.
    #[error("there are no models to serve")]
    NoModels,

    /// Two models have the same name.
    #[error("two models have the name `{name}`")]
    SameName {
        /// Name that both have.
        name: String,
    },

    /// The server cannot listen on the address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address that was requested.
        address: SocketAddr,
        /// Error reported by the operating system.
        source: io::Error,
    },

    /// The threads or the signals of the runtime cannot be set up.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
}

/// An HTTP server for one or more models, which listens as soon as it is created and answers once it runs.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    address: SocketAddr,
    models: Vec<Arc<Model>>,
    settings: Settings,
}

impl Server {
    /// Listens on the address of the settings. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`ServerError::NoModels`] or [`ServerError::SameName`] for the models, [`ServerError::Listen`] if the address is
    /// in use or does not belong to this machine.
    pub fn bind(models: Vec<Model>, settings: Settings) -> Result<Self, ServerError> {
        if models.is_empty() {
            return Err(ServerError::NoModels);
        }
        for (index, model) in models.iter().enumerate() {
            if models[..index].iter().any(|other| other.name() == model.name()) {
                return Err(ServerError::SameName { name: model.name().to_owned() });
            }
        }
        let failed = |source| ServerError::Listen { address: settings.address, source };
        let listener = StdListener::bind(settings.address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let models = models.into_iter().map(Arc::new).collect();
        Ok(Self { listener, address, models, settings })
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process is told to stop (SIGTERM or SIGINT on Unix, Ctrl-C elsewhere), and then finishes the
    /// requests in progress within the grace period.
    ///
    /// # Errors
    /// [`ServerError::Start`] if threads or signals cannot be set up.
    pub fn run(self) -> Result<(), ServerError> {
        let runtime = runtime().map_err(ServerError::Start)?;
        let stop = {
            let _context = runtime.enter();
            signaled().map_err(ServerError::Start)?
        };
        runtime.block_on(self.serve(stop)).map_err(ServerError::Start)
    }

    /// Serves like [`run`](Self::run) until `stop` is ready, and ignores signals.
    ///
    /// # Errors
    /// [`ServerError::Start`] if threads cannot be started.
    pub fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let runtime = runtime().map_err(ServerError::Start)?;
        runtime.block_on(self.serve(stop)).map_err(ServerError::Start)
    }

    async fn serve(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let grace_period = self.settings.grace_period;
        let app = Arc::new(App::new(self.models, self.settings));
        let connections = accept(&app, listener, stop).await;
        app.is_ready.store(false, Ordering::Relaxed);
        tracing::info!("finishing requests in progress");
        let end = Instant::now() + grace_period;
        if tokio::time::timeout_at(end.into(), connections.shutdown()).await.is_err() {
            tracing::warn!("the grace period ended before all requests did");
        }
        let finish = move || {
            for model in &app.models {
                let left = end.saturating_duration_since(Instant::now());
                model.batcher().shutdown(Shutdown::DrainFor(left));
            }
        };
        tokio::task::spawn_blocking(finish).await.map_err(io::Error::other)
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_name("http").enable_all().build()
}

/// Accepts connections until `stop` is ready, and returns those that are open.
async fn accept(
    app: &Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> GracefulShutdown {
    let service = TowerToHyperService::new(router(app.clone()));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(app.settings.header_timeout);
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(app.settings.max_connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => return connections,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small and complete, so they should be sent at once.
                let _ = stream.set_nodelay(true);
                let connection = protocol.serve_connection(TokioIo::new(stream), service.clone());
                let connection = connections.watch(connection);
                tokio::spawn(async move {
                    // A client that disconnects or times out is not a server error.
                    let _ = connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Waits for the signal to end, from the time of the call.
#[cfg(unix)]
fn signaled() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signaled() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
