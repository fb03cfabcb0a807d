//! [`Server`]: accepts connections until it is stopped.

use std::future::{Future, pending};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use distilbert::batcher::Shutdown;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::app::App;
use crate::connections::Acceptor;
use crate::generation::Generations;
use crate::model::Model;
use crate::settings::Settings;

/// Number of connections that the system holds until they are accepted.
const BACKLOG: i32 = 4096;

/// Time for the answers to requests that are given up when the grace period ends.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

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
    /// Listens on the address in the settings. Connections wait until [`run`](Self::run).
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
        // The standard library's backlog is so short that a burst of connections makes others wait for a second.
        SockRef::from(&listener).listen(BACKLOG).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let models = models.into_iter().map(Arc::new).collect();
        Ok(Self { listener, address, models, settings })
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process is told to end (SIGTERM or SIGINT on Unix, Ctrl-C elsewhere), and then finishes the
    /// requests in progress within the grace period. A second signal ends the grace period. On Unix, SIGHUP reloads the
    /// [models that have a source](Model::load).
    ///
    /// # Errors
    /// [`ServerError::Start`] if threads or signals cannot be set up.
    pub fn run(self) -> Result<(), ServerError> {
        let runtime = runtime()?;
        let (sender, events) = unbounded_channel();
        {
            let _context = runtime.enter();
            listen_to_signals(&sender).map_err(ServerError::Start)?;
        }
        let served = runtime.block_on(self.serve(events));
        // An explanation that is being computed is not waited for.
        runtime.shutdown_background();
        served.map_err(ServerError::Start)
    }

    /// Serves like [`run`](Self::run) until `stop` is ready, and ignores signals.
    ///
    /// # Errors
    /// [`ServerError::Start`] if threads cannot be started.
    pub fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let runtime = runtime()?;
        let (sender, events) = unbounded_channel();
        let stop = async {
            stop.await;
            let _ = sender.send(Event::Stop);
            pending().await
        };
        let served = runtime.block_on(async {
            tokio::select! {
                served = self.serve(events) => served,
                never = stop => never,
            }
        });
        runtime.shutdown_background();
        served.map_err(ServerError::Start)
    }

    async fn serve(self, mut events: UnboundedReceiver<Event>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let grace_period = self.settings.grace_period;
        let generations = Arc::new(Generations::new(App::new(self.models, self.settings)));
        let (stop, stopped) = oneshot::channel::<()>();
        let acceptor = Acceptor::new(listener, generations.clone());
        let acceptor = tokio::spawn(acceptor.run(async { drop(stopped.await) }));
        while let Some(Event::Reload) = events.recv().await {
            let generations = generations.clone();
            tokio::task::spawn_blocking(move || generations.reload());
        }
        drop(stop);
        let connections = acceptor.await.map_err(io::Error::other)?;
        let app = generations.app();
        app.is_ready.store(false, Ordering::Relaxed);
        tracing::info!("finishing requests in progress");
        let mut finished = std::pin::pin!(connections.shutdown());
        let shutdown = tokio::select! {
            () = &mut finished => Shutdown::Drain,
            () = end(&mut events, Instant::now() + grace_period) => Shutdown::Abort,
        };
        let finish = move || app.models.iter().for_each(|model| model.batcher().shutdown(shutdown));
        tokio::task::spawn_blocking(finish).await.map_err(io::Error::other)?;
        if shutdown == Shutdown::Abort {
            // The requests that are given up are told so.
            let _ = tokio::time::timeout(LAST_ANSWERS, finished).await;
        }
        Ok(())
    }
}

/// A request to the server from outside of HTTP.
#[derive(Clone, Copy, Debug)]
enum Event {
    Reload,
    Stop,
}

/// Cores for each thread that reads requests and writes answers. On two cores, a second such thread costs a fifth more
/// time, and computing takes more than ten times as long as the rest. Not measured on more cores.
const CORES_PER_HTTP_THREAD: usize = 4;

fn runtime() -> Result<Runtime, ServerError> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(cores.div_ceil(CORES_PER_HTTP_THREAD)).thread_name("http").enable_all();
    builder.build().map_err(ServerError::Start)
}

/// Waits for the end of the grace period, or to be told to stop again.
async fn end(events: &mut UnboundedReceiver<Event>, end: Instant) {
    let again = async { while let Some(Event::Reload) = events.recv().await {} };
    match tokio::time::timeout_at(end.into(), again).await {
        Ok(()) => tracing::warn!("stopped again: abandoning requests in progress"),
        Err(_) => tracing::warn!("the grace period ended before all requests did"),
    }
}

/// Sends an event for each signal, from the time of the call.
#[cfg(unix)]
fn listen_to_signals(sender: &UnboundedSender<Event>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    for (kind, event) in [
        (SignalKind::terminate(), Event::Stop),
        (SignalKind::interrupt(), Event::Stop),
        (SignalKind::hangup(), Event::Reload),
    ] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(event).is_ok() {}
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn listen_to_signals(sender: &UnboundedSender<Event>) -> io::Result<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && sender.send(Event::Stop).is_ok() {}
    });
    Ok(())
}
