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

/// Reports that the process is running
#[utoipa::path(
    get, path = "/v2/health/live", tag = "Server", security(()),
    responses((status = 200, description = "The process is running", body = Live)),
)]
pub async fn live() -> Result<Response, Failure> {
    json(&Live { live: true })
}

/// Reports that requests are accepted
///
/// Requests are accepted until the server is stopped. Models are warmed up before the first connection.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "Server", security(()),
    responses((status = 200, description = "Requests are accepted", body = Ready), Stopping),
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
