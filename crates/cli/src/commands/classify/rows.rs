//! Rows of a table with predictions appended.

use std::borrow::Cow;

use distilbert::{Classifier, Prediction, unique_labels};
use serde::Serialize;

use crate::render::json::object;
use crate::render::prediction::scores_by_label;
use crate::table::delimited::{self, Record, Syntax};
use crate::table::{Content, Object, Row, Table};

/// Columns added to a table.
pub struct AddedColumns {
    /// Prefix of their names.
    prefix: String,
    /// Unique labels of the model.
    labels: Vec<String>,
    /// `true` if the score of every label is added.
    scores: bool,
}

impl AddedColumns {
    pub fn new(classifier: &Classifier, prefix: &str, scores: bool) -> Self {
        let labels = unique_labels(classifier.labels());
        let labels = labels.into_iter().map(Cow::into_owned).collect();
        Self { prefix: prefix.to_owned(), labels, scores }
    }

    /// Prefixes a name.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Returns the names of the columns: the label, the score, and the scores of the labels.
    pub fn names(&self) -> Vec<String> {
        let scores = if self.scores { &self.labels[..] } else { &[] };
        let scores = scores.iter().map(|label| self.name(&format!("score_{label}")));
        [self.name("label"), self.name("score")].into_iter().chain(scores).collect()
    }

    /// Returns the reason if the table already has one of the columns.
    pub fn conflict<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        let columns = self.names();
        let mut names = names.into_iter();
        names.find(|name| columns.iter().any(|column| column == name)).map(conflict)
    }
}

/// Returns the message that a table already has a column.
fn conflict(name: &str) -> String {
    format!(
        "there is already a column or key `{name}`: pass a --prefix for the added columns, such as predicted_"
    )
}

/// Writer of rows with predictions.
pub struct RowWriter {
    syntax: Option<Syntax>,
    header: Option<Vec<String>>,
    added: AddedColumns,
}

impl RowWriter {
    /// Creates a writer for the rows of a table.
    ///
    /// # Errors
    /// Returns the reason if the table already has one of the columns.
    pub fn new(table: &Table, added: AddedColumns) -> Result<Self, String> {
        let header = table.header().map(<[String]>::to_vec);
        let names = header.iter().flatten().map(String::as_str);
        match added.conflict(names) {
            Some(reason) => Err(reason),
            None => Ok(Self { syntax: table.syntax(), header, added }),
        }
    }

    /// Returns the reason if a row is an object that already has one of the added keys.
    pub fn conflict(&self, row: &Row) -> Option<String> {
        let Content::Object(object) = &row.content else { return None };
        let names = ["label", "score", "scores"];
        let names = &names[..if self.added.scores { 3 } else { 2 }];
        names
            .iter()
            .map(|name| self.added.name(name))
            .find(|name| object.has(name))
            .map(|name| conflict(&name))
    }

    /// Writes the header, if the table has one.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        if let (Some(header), Some(syntax)) = (&self.header, self.syntax) {
            let columns = self.added.names();
            let names = header.iter().chain(&columns);
            write_fields(out, syntax, names.map(String::as_bytes));
        }
    }

    /// Writes a row with its prediction, or with empty fields if it has none.
    pub fn write(&self, row: &Row, prediction: Option<&Prediction>, out: &mut Vec<u8>) {
        match (&row.content, self.syntax) {
            (Content::Fields(record), Some(syntax)) => {
                let record = fit_width(record, row.width, syntax);
                let added = self.fields(prediction);
                write_fields(
                    out,
                    syntax,
                    record.fields().chain(added.iter().map(String::as_bytes)),
                );
            }
            (Content::Object(object), _) => self.write_object(object, prediction, out),
            // Tables with fields have a syntax.
            (Content::Fields(_), None) => {}
            #[cfg(feature = "parquet")]
            (Content::Cells(_), _) => {}
        }
    }

    /// Returns `true` if a written row has no prediction.
    pub fn lacks_prediction(&self, written: &Written<'_>) -> bool {
        match written {
            Written::Record(record) => {
                let label = record.len().checked_sub(self.added.names().len());
                label.and_then(|label| record.field(label)).is_none_or(<[u8]>::is_empty)
            }
            Written::Line(line) => line.ends_with(self.members(None).as_bytes()),
        }
    }

    /// Returns the added fields.
    fn fields(&self, prediction: Option<&Prediction>) -> Vec<String> {
        let Some(prediction) = prediction else {
            return vec![String::new(); self.added.names().len()];
        };
        let mut fields = vec![prediction.label().to_owned(), prediction.score().to_string()];
        if self.added.scores {
            fields.extend(prediction.scores().iter().map(f32::to_string));
        }
        fields
    }

    /// Writes an object without changing its own text. A line that is not an object becomes the member `row` of one.
    fn write_object(&self, object: &Object, prediction: Option<&Prediction>, out: &mut Vec<u8>) {
        if object.is_valid() {
            let line = object.line.trim_ascii_end();
            // An object ends with a brace.
            out.extend_from_slice(&line[..line.len() - 1]);
            if !object.is_empty() {
                out.push(b',');
            }
        } else {
            let row = to_json(&String::from_utf8_lossy(&object.line));
            out.extend_from_slice(format!("{{\"row\":{row},").as_bytes());
        }
        out.extend_from_slice(self.members(prediction).as_bytes());
        out.push(b'\n');
    }

    /// Returns the members appended to an object, and its closing brace.
    fn members(&self, prediction: Option<&Prediction>) -> String {
        let label = prediction.map(Prediction::label);
        let score = prediction.map(Prediction::score);
        let mut members = vec![
            (self.added.name("label"), to_json(&label)),
            (self.added.name("score"), to_json(&score)),
        ];
        if self.added.scores {
            let scores = prediction.map(|prediction| Scores(scores_by_label(prediction)));
            members.push((self.added.name("scores"), to_json(&scores)));
        }
        let members = members.iter().map(|(name, value)| format!("{}:{value}", to_json(name)));
        members.collect::<Vec<_>>().join(",") + "}"
    }
}

/// Object from label to score.
#[derive(Serialize)]
#[serde(transparent)]
struct Scores<'a>(#[serde(serialize_with = "object")] Vec<(Cow<'a, str>, f32)>);

/// Returns a value as JSON.
fn to_json(value: &impl Serialize) -> String {
    // Strings, numbers and objects with string keys always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

/// Row of an output.
pub enum Written<'a> {
    Record(&'a Record),
    Line(&'a [u8]),
}

fn write_fields<'f>(out: &mut Vec<u8>, syntax: Syntax, fields: impl Iterator<Item = &'f [u8]>) {
    // Writing to memory cannot fail.
    let _ = delimited::write(out, syntax, fields);
}

/// Returns a record with `width` fields: missing fields become empty, and excess fields are joined with the last one, so
/// that nothing is lost.
fn fit_width(record: &Record, width: Option<usize>, syntax: Syntax) -> Record {
    let width = width.unwrap_or(record.len());
    let mut fitted = Record::default();
    record.fields().take(width.min(record.len()).saturating_sub(1)).for_each(|f| fitted.push(f));
    let rest: Vec<&[u8]> = record.fields().skip(fitted.len()).collect();
    let delimiter = match syntax {
        Syntax::Csv { delimiter } => delimiter,
        // A tab would start another field.
        Syntax::Tsv => b' ',
    };
    fitted.push(&rest.join(&delimiter));
    while fitted.len() < width {
        fitted.push(b"");
    }
    fitted
}
