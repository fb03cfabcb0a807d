//! Health checks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::json;
use crate::app::App;
use crate::failure::{Failure, Kind};

/// Reports that the process is running.
pub async fn live() -> Result<Response, Failure> {
    json(&json!({"live": true}))
}

/// Reports that requests are accepted, which holds until the server is stopped. Models are warmed up before the first
/// connection.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    check(&app)?;
    json(&json!({"ready": true}))
}

pub fn check(app: &App) -> Result<(), Failure> {
    match app.is_ready.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err(Failure::new(Kind::Unhealthy, "the server is shutting down")),
    }
}
