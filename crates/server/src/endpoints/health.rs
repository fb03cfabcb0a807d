//! Health checks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::openapi::Stopping;

/// State of the process.
#[derive(Serialize, ToSchema)]
pub struct Live {
    /// `true`.
    live: bool,
}

/// State of the server.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `true`.
    ready: bool,
}

/// Says that the process runs
#[utoipa::path(
    get, path = "/v2/health/live", tag = "Server", security(()),
    responses((status = 200, description = "The process runs", body = Live)),
)]
pub async fn live() -> Result<Response, Failure> {
    json(&Live { live: true })
}

/// Says that requests are taken
///
/// Requests are taken from the warm-up, which precedes the first connection, until the server is stopped.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "Server", security(()),
    responses((status = 200, description = "Requests are taken", body = Ready), Stopping),
)]
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    check(&app)?;
    json(&Ready { ready: true })
}

pub fn check(app: &App) -> Result<(), Failure> {
    match app.is_ready.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err(Failure::new(Kind::Unhealthy, "the server is shutting down")),
    }
}
