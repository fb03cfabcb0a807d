//! An HTTP service around a [`Batcher`]: one text in, its label and score out.
//!
//! ```sh
//! cargo run --release --example service
//! curl -d 'What a shock!' http://127.0.0.1:8080/classify
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use distilbert::batcher::SubmitOptions;
use distilbert::{Batcher, BatcherError, Classifier};

async fn classify(
    State(batcher): State<Arc<Batcher>>,
    text: String,
) -> Result<String, (StatusCode, String)> {
    let options = SubmitOptions::default().timeout(Duration::from_secs(2));
    // If the client goes away, axum drops this future, and the request is canceled.
    let prediction = async { batcher.submit_with(&text, &options)?.await }.await.map_err(status)?;
    Ok(format!("{} {:.3}\n", prediction.label(), prediction.score()))
}

fn status(error: distilbert::Error) -> (StatusCode, String) {
    use distilbert::Error::{Batcher, Input};
    let status = match &error {
        Input(_) => StatusCode::BAD_REQUEST,
        Batcher(BatcherError::Overloaded { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Batcher(BatcherError::Expired { .. }) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{error}\n"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let classifier = Classifier::builder("models/emotion").threads(1).build()?;
    let batcher = Arc::new(Batcher::builder(classifier).build()?);
    let service = Router::new().route("/classify", post(classify)).with_state(batcher);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
        axum::serve(listener, service).await
    })?;
    Ok(())
}
