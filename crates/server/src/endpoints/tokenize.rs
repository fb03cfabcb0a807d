//! `POST /tokenize` of text-embeddings-inference.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use distilbert::{Error, Tokenizer};
use serde::Serialize;
use serde_json::to_writer;
use utoipa::ToSchema;

use super::typed;
use crate::app::App;
use crate::bodies::held;
use crate::failure::Failure;
use crate::fields::{Texts, texts};
use crate::model::Model;
use crate::offload::{self, MAX_INLINE_BYTES};
use crate::openapi::{Failures, TokenizeBody};
use crate::prediction::check_texts;

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
    let model = app.model_or_first(fields.string("model")?.as_deref())?.clone();
    let Texts { texts, is_single } = texts("inputs", fields.require("inputs")?)?;
    let adds_special = fields.flag("add_special_tokens")?.unwrap_or(true);
    check_texts(&app, "inputs", &texts)?;
    let bytes: usize = texts.iter().map(String::len).sum();
    let work = move || tokenize_all(&model, &texts, is_single, adds_special);
    if bytes <= MAX_INLINE_BYTES {
        return Ok(typed(Body::from(work()?), "application/json"));
    }
    let turn = app.tokenized.reserve(bytes, app.settings.request_timeout).await?;
    let answer = offload::run(bytes, work).await?;
    Ok(typed(held(answer.into(), turn), "application/json"))
}

/// Returns the JSON of all tokens. Each is written as it is found: an answer has many times the bytes of its texts, and
/// tokens in memory have several times more.
fn tokenize_all(
    model: &Model,
    texts: &[String],
    is_single: bool,
    adds_special: bool,
) -> Result<Vec<u8>, Failure> {
    let tokenizer = model.classifier().tokenizer().map_err(Error::from)?;
    let mut answer = vec![b'['];
    for (index, text) in texts.iter().enumerate() {
        let mut list = List { answer, tokenizer };
        list.answer.extend(if index > 0 { &b",["[..] } else { b"[" });
        list.all(text, adds_special).map_err(|error| {
            let field = if is_single { "inputs".to_owned() } else { format!("inputs[{index}]") };
            Failure::from(error).about(&field)
        })?;
        answer = list.answer;
        answer.push(b']');
    }
    answer.push(b']');
    Ok(answer)
}

/// List of a text's tokens at the end of an answer.
struct List<'t> {
    answer: Vec<u8>,
    tokenizer: &'t Tokenizer,
}

impl List<'_> {
    fn all(&mut self, text: &str, adds_special: bool) -> Result<(), Error> {
        let special = match adds_special {
            true => self.tokenizer.with_special_tokens(&[]),
            false => Vec::new(),
        };
        let before = self.tokenizer.special_tokens_before().min(special.len());
        let (before, after) = special.split_at(before);
        before.iter().for_each(|&id| self.special(id));
        let tokenizer = self.tokenizer;
        tokenizer.each_token(text, |id, place| {
            let Range { start, end } = place.clone();
            let text = text[place].to_owned();
            let (start, stop) = (Some(start), Some(end));
            self.push(&SimpleToken { id, text, special: false, start, stop });
        })?;
        after.iter().for_each(|&id| self.special(id));
        Ok(())
    }

    fn special(&mut self, id: u32) {
        let text = self.tokenizer.spelling(id);
        self.push(&SimpleToken { id, text, special: true, start: None, stop: None });
    }

    fn push(&mut self, token: &SimpleToken) {
        if self.answer.last() != Some(&b'[') {
            self.answer.push(b',');
        }
        // Neither writing to memory nor these fields can fail.
        let _ = to_writer(&mut self.answer, token);
    }
}
