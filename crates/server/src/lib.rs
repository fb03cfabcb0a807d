//! HTTP service for DistilBERT text classification, built on [`distilbert::Batcher`].
//!
//! It speaks the protocols of text-embeddings-inference (such as `/predict`), of KServe (the Open Inference Protocol,
//! `/v2/models/{name}/infer`), of Hugging Face's inference API (`/models/{name}`), and of infinity, vLLM and Vertex
//! AI.
//!
//! ```no_run
//! use distilbert::Classifier;
//! use distilbert_server::{Model, Server, Settings};
//!
//! let classifier = Classifier::builder("models/emotion").threads(1).build()?;
//! let server = Server::bind(vec![Model::new("emotion", classifier)?], Settings::default())?;
//! println!("listening on http://{}", server.address());
//! server.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod app;
mod bodies;
mod connections;
mod endpoints;
mod failure;
mod fields;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod json;
mod meters;
mod model;
mod offload;
mod openapi;
mod page;
mod parameters;
mod prediction;
mod server;
mod settings;

pub use self::model::Model;
pub use self::server::{Server, ServerError};
pub use self::settings::Settings;
