//! `distilbert serve`: predictions over HTTP.

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use distilbert::Classifier;
use distilbert::batcher::BatcherBuilder;
use distilbert_server::{Model, Server, Settings};

use crate::args::engine::EngineOptions;
use crate::args::model_folder::{ModelFolder, locate};
use crate::failure::Failure;
use crate::render::terminal;

/// Environment variable with the key that requests must present: it is not an option, because other users of the
/// machine could read that.
const API_KEY: &str = "DISTILBERT_API_KEY";

/// Serve predictions over HTTP, until SIGTERM or Ctrl-C
///
/// Endpoints: /predict, /info, /health and /metrics as in text-embeddings-inference, /v2/models/NAME/infer as in
/// KServe, and /models/NAME as in Hugging Face's inference API.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert serve --precision int8
  distilbert serve --model models/emotion --model other=path/to/checkpoint --port 9000
  curl -d '{\"inputs\": \"What a shock!\"}' http://127.0.0.1:8080/predict

If the environment variable DISTILBERT_API_KEY is set, requests must present that key.")]
pub struct Arguments {
    /// Model folder, or name on the Hugging Face Hub; can be repeated. The name in URLs is the last part of either,
    /// unless given as NAME=MODEL; the first model answers /predict [default: the bundled emotion model]
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

    /// Maximum number of tokens of texts that are computed together; a longer text is computed alone
    #[arg(long, value_name = "N", default_value_t = BatcherBuilder::DEFAULT_BATCH_TOKENS)]
    batch_tokens: usize,

    /// Maximum number of waiting texts per model; further ones are refused with status 429
    #[arg(long, value_name = "N", default_value_t = BatcherBuilder::DEFAULT_MAX_QUEUED_REQUESTS)]
    max_queue: usize,

    /// Maximum number of texts per request
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_texts)]
    max_texts: usize,

    /// Maximum size of a request, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Settings::default().max_body_bytes)]
    max_body: usize,

    /// Maximum number of open connections; others wait
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_connections)]
    max_connections: usize,

    /// Seconds after which a request fails with status 504
    #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().request_timeout.as_secs())]
    timeout: u64,

    /// Seconds that requests in progress have to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().grace_period.as_secs())]
    grace_period: u64,

    /// Log as JSON
    #[arg(long)]
    log_json: bool,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    start_log(arguments.log_json);
    let mut models = Vec::new();
    for (name, folder) in sources(&arguments.models)? {
        // One thread per call: the workers of the queue run in parallel.
        let builder = arguments.engine.apply(Classifier::builder(folder)).threads(1);
        let model = Model::with_queue(name, builder.build()?, |queue| {
            let queue = match arguments.engine.threads() {
                Some(threads) => queue.workers(threads),
                None => queue,
            };
            queue.batch_tokens(arguments.batch_tokens).max_queued_requests(arguments.max_queue)
        });
        models.push(model?);
    }
    let settings = Settings {
        address: SocketAddr::new(arguments.host, arguments.port),
        api_key: std::env::var(API_KEY).ok().filter(|key| !key.is_empty()),
        max_body_bytes: arguments.max_body,
        max_texts: arguments.max_texts,
        max_connections: arguments.max_connections,
        request_timeout: Duration::from_secs(arguments.timeout),
        grace_period: Duration::from_secs(arguments.grace_period),
        ..Settings::default()
    };
    let server = Server::bind(models, settings)?;
    terminal::print_note(format_args!("listening on http://{}", server.address()));
    server.run()?;
    Ok(ExitCode::SUCCESS)
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
