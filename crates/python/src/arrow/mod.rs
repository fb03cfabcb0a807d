//! Arrow tables: classification of a text column, over Arrow's C data interface.

mod column;
mod export;
mod import;

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use distilbert::{Classifier, ClassifyOptions, InputError, unique_labels};
use pyo3::prelude::*;

use self::column::Column;
pub use self::export::ArrowTable;
use self::import::Source;
use crate::engine::Engine;
use crate::errors::table_exception;
use crate::steps::in_steps;

/// Columns, a tuple in Python: that of the texts; those that are added for the best label and its score; and the prefix of
/// those with each label's score, if these are wanted.
#[derive(FromPyObject)]
pub struct Output(String, String, String, Option<String>);

/// Returns a table with all columns of another one and the predictions for its texts. Nulls stay null.
pub fn classify(
    py: Python<'_>,
    engine: &Engine,
    table: &Bound<'_, PyAny>,
    output: &Output,
    call: (&ClassifyOptions, Option<&Bound<'_, PyAny>>),
) -> PyResult<ArrowTable> {
    let mut source = Source::new(table)?;
    let schema = output.schema(&source.schema(), &engine.labels).map_err(failure)?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = py.detach(|| source.next()).map_err(failure)? {
        let found = answers(py, &engine.classifier, (&batch, rows), output, call)?;
        rows += batch.num_rows();
        let columns = [batch.columns(), &found].concat();
        batches.push(RecordBatch::try_new(schema.clone(), columns).map_err(failure)?);
    }
    Ok(ArrowTable::new(schema, batches))
}

/// Returns the exception for an error of Arrow.
fn failure(error: ArrowError) -> PyErr {
    table_exception(&error.to_string())
}

impl Output {
    /// Returns the schema with the columns that are added.
    fn schema(&self, of: &Schema, labels: &[String]) -> Result<SchemaRef, ArrowError> {
        let Self(text, label, score, prefix) = self;
        let missing = |_| {
            let names: Vec<_> = of.fields().iter().map(|field| field.name().as_str()).collect();
            let names = names.join(", ");
            ArrowError::SchemaError(format!("there is no column `{text}`, only {names}"))
        };
        of.index_of(text).map_err(missing)?;
        let mut added = vec![
            Field::new(label, DataType::Utf8, true),
            Field::new(score, DataType::Float32, true),
        ];
        if let Some(prefix) = prefix {
            let name = |label: &str| format!("{prefix}{label}");
            let field = |label: &Cow<'_, str>| Field::new(name(label), DataType::Float32, true);
            added.extend(unique_labels(labels).iter().map(field));
        }
        let mut fields = of.fields().to_vec();
        for field in added {
            if fields.iter().any(|other| other.name() == field.name()) {
                let name = field.name();
                let message = format!(
                    "there is already a column `{name}`: choose another name for the added one"
                );
                return Err(ArrowError::SchemaError(message));
            }
            fields.push(Arc::new(field));
        }
        Ok(Arc::new(Schema::new_with_metadata(fields, of.metadata().clone())))
    }
}

/// Classifies the texts of a batch, and returns the columns to add. `before` is the number of rows in earlier batches.
fn answers(
    py: Python<'_>,
    classifier: &Classifier,
    (batch, before): (&RecordBatch, usize),
    Output(name, _, _, prefix): &Output,
    (options, progress): (&ClassifyOptions, Option<&Bound<'_, PyAny>>),
) -> PyResult<Vec<ArrayRef>> {
    let index = batch.schema_ref().index_of(name).map_err(failure)?;
    let column = py.detach(|| Column::of(batch.column(index), name)).map_err(failure)?;
    let mut found = Answers::new(column.texts(), prefix.as_ref().map(|_| classifier.labels()));
    in_steps(
        py,
        column.texts(),
        |text| column.text(text).len(),
        progress,
        |step| {
            let texts: Vec<_> = step.clone().map(|text| column.text(text)).collect();
            let results = classifier.classify_each(&texts, options)?;
            for (text, result) in step.zip(results) {
                // An error counts texts from the start of the step, which `in_steps` adds; users count the table's rows.
                let rows =
                    |error: InputError| error.in_part(before + column.first_row(text) - text);
                found.push(&result.map_err(rows)?);
            }
            Ok(())
        },
    )?;
    Ok(py.detach(|| found.columns(classifier.labels(), &column)))
}

/// Predictions for the texts of a column.
struct Answers {
    best: Vec<usize>,
    top: Vec<f32>,
    /// Scores of all labels, text by text.
    scores: Option<Vec<f32>>,
}

impl Answers {
    /// Makes room for the predictions, with the scores of these labels if there are any.
    fn new(texts: usize, scores: Option<&[String]>) -> Self {
        let scores = scores.map(|labels| Vec::with_capacity(texts * labels.len()));
        Self { best: Vec::with_capacity(texts), top: Vec::with_capacity(texts), scores }
    }

    fn push(&mut self, found: &distilbert::Prediction) {
        self.best.push(found.index());
        self.top.push(found.score());
        if let Some(scores) = &mut self.scores {
            scores.extend_from_slice(found.scores());
        }
    }

    /// Returns the predictions row by row: labels, their scores, and each label's score if wanted.
    fn columns(&self, labels: &[String], column: &Column<'_>) -> Vec<ArrayRef> {
        let rows = column.rows();
        let mut label = StringBuilder::with_capacity(rows, 8 * rows);
        for text in column.places() {
            label.append_option(text.map(|text| &labels[self.best[text]]));
        }
        let floats = |value: &dyn Fn(usize) -> f32| {
            let mut floats = Float32Builder::with_capacity(rows);
            column.places().for_each(|text| floats.append_option(text.map(value)));
            Arc::new(floats.finish()) as ArrayRef
        };
        let mut columns =
            vec![Arc::new(label.finish()) as ArrayRef, floats(&|text: usize| self.top[text])];
        if let Some(scores) = &self.scores {
            let score = |label: usize| floats(&|text: usize| scores[text * labels.len() + label]);
            columns.extend((0..labels.len()).map(score));
        }
        columns
    }
}
