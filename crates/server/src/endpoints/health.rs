//! Health checks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::json;
use crate::app::App;
use crate::failure::{Failure, Kind};

/// Says that the process runs.
pub async fn live() -> Result<Response, Failure> {
    json(&json!({"live": true}))
}

/// Says that requests are taken: from the warm-up, which precedes the first connection, until the server is stopped.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    check(&app)?;
    json(&json!({"ready": true}))
}

pub fn check(app: &App) -> Result<(), Failure> {
    match app.is_ready.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err(Failure::new(Kind::Unhealthy, "the server is being stopped")),
    }
}
