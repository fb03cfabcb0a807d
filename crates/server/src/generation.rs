//! [`Generations`]: the models that answer, which a reload replaces while requests are in progress.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Router;

use crate::app::{App, router};
use crate::model::Model;

/// The service with the models of the last reload. A request keeps those with which it began.
pub struct Generations {
    current: RwLock<(Arc<App>, Router)>,
    /// The turn of a reload.
    reloading: Mutex<()>,
}

impl Generations {
    pub fn new(app: App) -> Self {
        Self { current: RwLock::new(service(app)), reloading: Mutex::new(()) }
    }

    pub fn app(&self) -> Arc<App> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub fn router(&self) -> Router {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Loads every model again, and replaces those for which it succeeds. Blocks the thread until then.
    pub fn reload(&self) {
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let app = self.app();
        let models: Vec<_> = app.models.iter().map(reloaded).collect();
        let next = service(app.with_models(models.clone()));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        for (new, old) in models.iter().zip(&app.models) {
            if !Arc::ptr_eq(new, old) {
                tracing::info!(model = new.name(), "reloaded the model");
            }
        }
    }
}

fn service(app: App) -> (Arc<App>, Router) {
    let app = Arc::new(app);
    (app.clone(), router(app))
}

/// Returns the model as it is now on disk; the old one if that fails, or if the model has no source.
fn reloaded(model: &Arc<Model>) -> Arc<Model> {
    match model.reload() {
        None => model.clone(),
        Some(Ok(new)) => Arc::new(new),
        Some(Err(error)) => {
            let error = chain(&error);
            tracing::error!(
                model = model.name(),
                error,
                "cannot reload the model, keeping the old one"
            );
            model.clone()
        }
    }
}

/// Returns the message of an error and its sources.
fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message += &format!(": {error}");
        source = error.source();
    }
    message
}
