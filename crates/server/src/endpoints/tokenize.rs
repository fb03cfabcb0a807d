//! `POST /tokenize` of text-embeddings-inference.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use distilbert::{Error, Tokenizer};
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::{Texts, texts};
use crate::model::Model;
use crate::openapi::{Failures, TokenizeBody};
use crate::prediction::{MAX_INLINE_BYTES, check_texts};

/// A token of a text.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": 2054, "text": "What", "special": false, "start": 0, "stop": 4}))]
pub struct SimpleToken {
    /// Token id.
    id: u32,
    /// Part of the text, or the vocabulary entry of a special token.
    text: String,
    /// `true` for tokens that are not part of the text, such as `[CLS]`.
    special: bool,
    /// Start in the text, in bytes of UTF-8; null for special tokens.
    #[schema(required)]
    start: Option<usize>,
    /// End in the text, in bytes of UTF-8, exclusive; null for special tokens.
    #[schema(required)]
    stop: Option<usize>,
}

/// Splits texts into tokens
///
/// The answer is a list of lists, even for one text. Texts are not truncated.
#[utoipa::path(
    post, path = "/tokenize", tag = "text-embeddings-inference",
    request_body = TokenizeBody,
    responses((status = 200, description = "Tokens of each text", body = Vec<Vec<SimpleToken>>), Failures),
)]
pub async fn tokenize(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let mut fields = app.fields(body).await?;
    let model = app.model_or_first(fields.string("model")?.as_deref())?;
    let Texts { texts, is_single } = texts("inputs", fields.require("inputs")?)?;
    let adds_special = fields.flag("add_special_tokens")?.unwrap_or(true);
    check_texts(&app, "inputs", &texts)?;
    let bytes: usize = texts.iter().map(String::len).sum();
    let work = {
        let model = model.clone();
        move || tokenize_all(&model, &texts, is_single, adds_special)
    };
    let all = if bytes <= MAX_INLINE_BYTES {
        work()?
    } else {
        let task = tokio::task::spawn_blocking(work);
        task.await.map_err(|error| Failure::new(Kind::Backend, error.to_string()))??
    };
    json(&all)
}

fn tokenize_all(
    model: &Model,
    texts: &[String],
    is_single: bool,
    adds_special: bool,
) -> Result<Vec<Vec<SimpleToken>>, Failure> {
    let tokenizer = model.classifier().tokenizer().map_err(Error::from)?;
    let tokens = |(index, text): (usize, &String)| {
        tokens(tokenizer, text, adds_special).map_err(|error| {
            let field = if is_single { "inputs".to_owned() } else { format!("inputs[{index}]") };
            Failure::from(error).about(&field)
        })
    };
    texts.iter().enumerate().map(tokens).collect()
}

fn tokens(
    tokenizer: &Tokenizer,
    text: &str,
    adds_special: bool,
) -> Result<Vec<SimpleToken>, Error> {
    let encoding = tokenizer.encode(text)?;
    // From characters to bytes.
    let starts: Vec<usize> =
        text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect();
    let own = encoding.ids.iter().zip(&encoding.offsets).map(|(&id, &(start, end))| {
        let (start, stop) = (starts[start], starts[end]);
        let text = text[start..stop].to_owned();
        SimpleToken { id, text, special: false, start: Some(start), stop: Some(stop) }
    });
    if !adds_special {
        return Ok(own.collect());
    }
    let all = tokenizer.with_special_tokens(&encoding.ids);
    let before = tokenizer.special_tokens_before();
    let special = |&id: &u32| SimpleToken {
        id,
        text: tokenizer.spelling(id),
        special: true,
        start: None,
        stop: None,
    };
    let (first, rest) = all.split_at(before);
    let last = &rest[encoding.ids.len()..];
    Ok(first.iter().map(special).chain(own).chain(last.iter().map(special)).collect())
}
