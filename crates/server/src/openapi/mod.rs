//! The description of the API, OpenAPI 3.1.

mod bodies;
mod failures;

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{HeaderBuilder, OpenApi, RefOr, Required};
use utoipa::{OpenApi as _, PartialSchema};
use utoipa_axum::router::UtoipaMethodRouter;

pub use self::bodies::{
    ClassifyBody, ExplainBody, Explained, InferBody, InstancesBody, PredictBody, TokenizeBody,
};
pub use self::failures::{Failures, NoModel, Refused, Stopping};
use crate::failure::ErrorBody;

/// Name of the way in which requests present the key.
const KEY: &str = "key";

/// Headers of answers with predictions.
const COSTS: &[(&str, &str)] = &[
    ("x-compute-tokens", "Number of tokens, special tokens included"),
    ("x-compute-characters", "Number of characters"),
    ("x-total-time", "Time from the arrival of the body to the answer, in milliseconds"),
    ("x-tokenization-time", "Time of tokenization, in milliseconds"),
    ("x-queue-time", "Longest wait for a worker, in milliseconds"),
    ("x-inference-time", "Longest computation of a batch, in milliseconds"),
];

/// Paths whose answers have no such headers.
const COSTLESS: &[&str] = &["/explain", "/tokenize"];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "distilbert",
        description = "DistilBERT text classification over HTTP, in the protocols of servers that you may already \
            call.\n\n\
            Requests for predictions take `truncate`, `truncation_direction`, `raw_scores`, `function_to_apply` and \
            `top_k`, at the top level or in `parameters`. Every response has an `x-request-id`, which is taken from \
            the request if it has one. Every error is a JSON object with a message and a stable code.",
    ),
    components(schemas(ErrorBody, bodies::Options)),
    tags(
        (name = "text-embeddings-inference"),
        (name = "Hugging Face"),
        (name = "infinity and vLLM"),
        (name = "Open Inference Protocol v2"),
        (name = "Vertex AI and KServe v1"),
        (name = "Explanations"),
        (name = "Server"),
    ),
)]
struct Base;

/// Returns the description without endpoints.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// Serves and describes endpoints at another path.
pub fn at<S>(
    path: &str,
    (schemas, paths, methods): UtoipaMethodRouter<S>,
) -> UtoipaMethodRouter<S> {
    let mut moved = Paths::new();
    for mut item in paths.paths.into_values() {
        for operation in operations(&mut item) {
            // Ids are unique.
            let id = operation.operation_id.take().unwrap_or_default();
            operation.operation_id = Some(id + &path.replace(|c: char| !c.is_alphanumeric(), "_"));
            if path.contains("{version}") {
                let version = ParameterBuilder::new()
                    .name("version")
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .description(Some("Version of the model: 1"))
                    .schema(Some(String::schema()));
                operation.parameters.get_or_insert_default().push(version.build().into());
            }
        }
        moved.paths.insert(path.to_owned(), item);
    }
    (schemas, moved, methods)
}

/// Completes the description with what holds for many endpoints.
pub fn complete(api: &mut OpenApi) {
    // The router has no pattern for a verb at the end of a path.
    let v1 = api.paths.paths.get_mut("/v1/models/{name}").and_then(|item| item.post.take());
    let mut verb = PathItem::default();
    verb.post = v1;
    api.paths.paths.insert("/v1/models/{name}:predict".to_owned(), verb);

    let items = api.paths.paths.iter_mut().filter(|(path, _)| !COSTLESS.contains(&path.as_str()));
    for operation in items.flat_map(|(_, item)| operations(item)) {
        let is_prediction = operation.responses.responses.contains_key("504");
        if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200")
            && is_prediction
        {
            for (name, meaning) in COSTS {
                let header =
                    HeaderBuilder::new().schema(Some(u64::schema())).description(Some(*meaning));
                answer.headers.insert((*name).to_owned(), header.build().into());
            }
        }
    }
    let key = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    api.components.get_or_insert_default().add_security_scheme(KEY, key);
    // A server without a key accepts every request.
    api.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new(KEY, [""; 0])]);
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post].into_iter().flatten()
}
