//! `distilbert serve`: predictions over HTTP.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use distilbert::batcher::BatcherBuilder;
use distilbert::{Classifier, Error};
use distilbert_server::{Model, Server, Settings};

use crate::args::engine::EngineOptions;
use crate::args::model_folder::{ModelFolder, locate};
use crate::failure::Failure;
use crate::render::terminal;

/// Environment variable with the key that requests must present. The key itself is not an option, which other users of
/// the machine could read.
const API_KEY: &str = "DISTILBERT_API_KEY";

/// Longest expected wait of a text, in milliseconds, unless set otherwise.
const MAX_WAIT: u64 = 500;

/// Help of the option --threads, which other commands describe as the threads of one computation.
const THREADS: &str = "Number of workers for each model: threads that each compute a batch of their own [default: the \
                       number of physical cores; 2 on a GPU]";

/// Serve predictions over HTTP, until SIGTERM or Ctrl-C; SIGHUP reloads the models
///
/// Endpoints follow the protocols of text-embeddings-inference (such as /predict), KServe (/v2/models/NAME/infer),
/// Hugging Face's inference API (/models/NAME) and others; the server's /docs page lists them all.
#[derive(Args)]
#[command(mut_arg("threads", |threads| threads.help(THREADS)))]
#[command(after_help = "Examples:
  distilbert serve --precision int8
  distilbert serve --model models/emotion --model other=path/to/checkpoint --port 9000
  curl -d '{\"inputs\": \"What a shock!\"}' http://127.0.0.1:8080/predict

If --api-key-file is given or DISTILBERT_API_KEY is set, requests must present that key.")]
pub struct Arguments {
    /// Model folder, or name on the Hugging Face Hub; can be repeated. The name in URLs is the last part of the path or
    /// name, unless given as NAME=MODEL; the first model answers /predict [default: the bundled emotion model]
    #[arg(long = "model", value_name = "[NAME=]MODEL")]
    models: Vec<String>,

    #[command(flatten)]
    engine: EngineOptions,

    /// Address to listen on; 0.0.0.0 listens on all interfaces
    #[arg(long, default_value_t = Settings::default().address.ip())]
    host: IpAddr,

    /// Port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = Settings::default().address.port())]
    port: u16,

    /// Maximum number of tokens per batch; a longer text forms a batch of its own
    #[arg(long, value_name = "N", default_value_t = BatcherBuilder::DEFAULT_BATCH_TOKENS)]
    batch_tokens: usize,

    /// Maximum number of waiting texts per model; further ones are refused with status 429
    #[arg(long, value_name = "N", default_value_t = BatcherBuilder::DEFAULT_MAX_QUEUED_REQUESTS)]
    max_queue: usize,

    /// Longest expected wait of a text, in milliseconds; texts that would wait longer are refused with status 429
    #[arg(long, value_name = "MS", default_value_t = MAX_WAIT)]
    max_wait: u64,

    /// Maximum number of texts per request
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_texts)]
    max_texts: usize,

    /// Maximum size of a request, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Settings::default().max_body_bytes)]
    max_body: usize,

    /// Maximum number of open connections; to make room for another, one without a complete request is closed
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_connections)]
    max_connections: usize,

    /// Seconds after which a request fails with status 504
    #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().request_timeout.as_secs())]
    timeout: u64,

    /// Seconds allowed for requests in progress to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().grace_period.as_secs())]
    grace_period: u64,

    /// File with the key that requests must present; by default, the environment variable DISTILBERT_API_KEY
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Number of threads that compute a batch, for comparisons
    #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
    threads_per_batch: usize,

    /// Log as JSON
    #[arg(long)]
    log_json: bool,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    start_log(arguments.log_json);
    let settings = Settings {
        address: SocketAddr::new(arguments.host, arguments.port),
        api_key: api_key(arguments.api_key_file.as_deref())?,
        max_body_bytes: arguments.max_body,
        max_texts: arguments.max_texts,
        max_connections: arguments.max_connections,
        request_timeout: Duration::from_secs(arguments.timeout),
        grace_period: Duration::from_secs(arguments.grace_period),
        ..Settings::default()
    };
    let sources = sources(&arguments.models)?;
    let arguments = Arc::new(arguments);
    let models = sources.into_iter().map(|(name, folder)| model(name, folder, &arguments));
    let server = Server::bind(models.collect::<Result<_, _>>()?, settings)?;
    terminal::print_note(format_args!("listening on http://{}", server.address()));
    server.run()?;
    Ok(ExitCode::SUCCESS)
}

/// Loads a model so that it can be reloaded.
fn model(name: String, folder: PathBuf, arguments: &Arc<Arguments>) -> Result<Model, Error> {
    let (own, queues) = (arguments.clone(), arguments.clone());
    let load = move || {
        let builder = own.engine.apply(Classifier::builder(&folder));
        // By default one thread per call: the workers of the queue run in parallel.
        builder.threads(own.threads_per_batch).build()
    };
    let configure = move |queue: BatcherBuilder| {
        let queue = match queues.engine.threads() {
            Some(threads) => queue.workers(threads),
            None => queue,
        };
        queue
            .batch_tokens(queues.batch_tokens)
            .max_queued_requests(queues.max_queue)
            .max_wait(Duration::from_millis(queues.max_wait))
    };
    Model::load(name, load, configure)
}

/// Returns the key that requests must present, if any.
fn api_key(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(path) = file else {
        return Ok(std::env::var(API_KEY).ok().filter(|key| !key.is_empty()));
    };
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let key = std::fs::read_to_string(path).map_err(failed)?;
    let key = key.trim();
    match key.is_empty() {
        // Without a key, everybody would have access.
        true => Err(failed(io::Error::new(io::ErrorKind::InvalidData, "the file has no key"))),
        false => Ok(Some(key.to_owned())),
    }
}

/// Returns the name and the folder of each model.
fn sources(models: &[String]) -> Result<Vec<(String, PathBuf)>, Failure> {
    if models.is_empty() {
        let folder = ModelFolder::default().find()?;
        return Ok(vec![(last_part(&folder.to_string_lossy()), folder)]);
    }
    let source = |model: &String| {
        let (name, path) = match model.split_once('=') {
            Some((name, path)) if !name.contains('/') => (name.to_owned(), path),
            _ => (last_part(model), model.as_str()),
        };
        Ok((name, locate(path.as_ref())?))
    };
    models.iter().map(source).collect()
}

/// Returns the last part of a path or of a name on the Hub.
fn last_part(path: &str) -> String {
    let mut parts = path.split(['/', '\\']).filter(|part| !part.is_empty());
    parts.next_back().unwrap_or("model").to_owned()
}

/// Logs to standard error.
fn start_log(is_json: bool) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // An existing logger stays in place.
    let _ = if is_json { log.json().try_init() } else { log.try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_or_the_last_part() {
        let folder = std::env::temp_dir();
        let path = folder.to_str().unwrap().trim_end_matches('/');
        let found = sources(&[path.to_owned(), format!("other={path}/")]).unwrap();
        assert_eq!(found[0].0, path.rsplit('/').next().unwrap());
        assert_eq!(found[1].0, "other");
    }
}
