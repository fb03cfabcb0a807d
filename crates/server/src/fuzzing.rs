//! [`Service`]: the endpoints without a network, for the fuzz targets; not part of the API.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};

use crate::app::{App, router};
use crate::model::Model;
use crate::settings::Settings;

/// The endpoints of a server.
#[derive(Debug)]
pub struct Service {
    router: Router,
    runtime: Runtime,
}

impl Service {
    /// Creates the service of some models, at least one.
    ///
    /// # Panics
    /// Panics if the system refuses a runtime.
    #[must_use]
    pub fn new(models: Vec<Model>, settings: Settings) -> Self {
        let models = models.into_iter().map(Arc::new).collect();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system should provide a runtime");
        Self { router: router(Arc::new(App::new(models, settings))), runtime }
    }

    /// Answers a request with a status and a body; `None` if it is not a valid request of HTTP.
    pub fn answer(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<(u16, Vec<u8>)> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).ok()?;
        let service = TowerToHyperService::new(self.router.clone());
        self.runtime.block_on(async {
            let response = service.call(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?;
            Some((status, body.to_bytes().into()))
        })
    }
}
