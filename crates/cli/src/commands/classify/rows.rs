//! Rows of a table as they were, with a prediction added to each.

use distilbert::{Classifier, Prediction};
use serde_json::{Value, json};

use crate::render::report::number;
use crate::table::delimited::{self, Record, Syntax};
use crate::table::{Content, Object, Row, Table};

/// Columns that are added to a table.
pub struct Added {
    /// What their names begin with.
    prefix: String,
    labels: Vec<String>,
    /// Whether every label's score is added.
    scores: bool,
}

impl Added {
    pub fn new(classifier: &Classifier, prefix: &str, scores: bool) -> Self {
        Self { prefix: prefix.to_owned(), labels: classifier.labels().to_vec(), scores }
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Their names: the label's, the score's, and those of the labels' scores.
    pub fn columns(&self) -> Vec<String> {
        let scores = if self.scores { &self.labels[..] } else { &[] };
        let scores = scores.iter().map(|label| self.name(&format!("score_{label}")));
        [self.name("label"), self.name("score")].into_iter().chain(scores).collect()
    }

    /// A name that the table has already.
    pub fn taken<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        let columns = self.columns();
        let mut names = names.into_iter();
        names.find(|name| columns.iter().any(|column| column == name)).map(taken)
    }
}

/// Why a table cannot have a column more.
fn taken(name: &str) -> String {
    format!("there is a `{name}` already: give new names a --prefix, such as predicted_")
}

/// How predictions are added to the rows of a table.
pub struct RowWriter {
    syntax: Option<Syntax>,
    header: Option<Vec<String>>,
    added: Added,
}

impl RowWriter {
    /// # Errors
    /// Why the table cannot have these columns more.
    pub fn new(table: &Table, added: Added) -> Result<Self, String> {
        let header = table.header().map(<[String]>::to_vec);
        let names = header.iter().flatten().map(String::as_str);
        match added.taken(names) {
            Some(taken) => Err(taken),
            None => Ok(Self { syntax: table.syntax(), header, added }),
        }
    }

    /// Why the row, an object, cannot have what is added.
    pub fn refusal(&self, row: &Row) -> Option<String> {
        let Content::Object(object) = &row.content else { return None };
        let names = ["label", "score", "scores"];
        let names = &names[..if self.added.scores { 3 } else { 2 }];
        names
            .iter()
            .map(|name| self.added.name(name))
            .find(|name| object.has(name))
            .map(|n| taken(&n))
    }

    /// Writes the names of the columns, if the table has them.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        if let (Some(header), Some(syntax)) = (&self.header, self.syntax) {
            let columns = self.added.columns();
            let names = header.iter().chain(&columns);
            write_fields(out, syntax, names.map(String::as_bytes));
        }
    }

    /// Writes a row with its prediction, or with empty fields in place of one.
    pub fn write(&self, row: &Row, prediction: Option<&Prediction>, out: &mut Vec<u8>) {
        match (&row.content, self.syntax) {
            (Content::Fields(record), Some(syntax)) => {
                let record = of_width(record, row.width, syntax);
                let added = self.fields(prediction);
                write_fields(
                    out,
                    syntax,
                    record.fields().chain(added.iter().map(String::as_bytes)),
                );
            }
            (Content::Object(object), _) => self.write_object(object, prediction, out),
            // A table without objects has a syntax.
            (Content::Fields(_), None) => {}
        }
    }

    /// Whether a row that was written has no prediction.
    pub fn is_without_prediction(&self, written: &Written<'_>) -> bool {
        match written {
            Written::Record(record) => {
                let label = record.len().checked_sub(self.added.columns().len());
                label.and_then(|label| record.field(label)).is_none_or(<[u8]>::is_empty)
            }
            Written::Line(line) => line.ends_with(self.members(None).as_bytes()),
        }
    }

    fn fields(&self, prediction: Option<&Prediction>) -> Vec<String> {
        let Some(prediction) = prediction else {
            return vec![String::new(); self.added.columns().len()];
        };
        let mut fields = vec![prediction.label().to_owned(), prediction.score().to_string()];
        if self.added.scores {
            fields.extend(prediction.scores().iter().map(f32::to_string));
        }
        fields
    }

    /// The object with its own text unchanged. A line that is no object becomes the member `row` of one.
    fn write_object(&self, object: &Object, prediction: Option<&Prediction>, out: &mut Vec<u8>) {
        if object.is_valid() {
            let line = object.line.trim_ascii_end();
            // What parses as an object ends in a brace.
            out.extend_from_slice(&line[..line.len() - 1]);
            if !object.is_empty() {
                out.push(b',');
            }
        } else {
            let row = json!(String::from_utf8_lossy(&object.line));
            out.extend_from_slice(format!("{{\"row\":{row},").as_bytes());
        }
        out.extend_from_slice(self.members(prediction).as_bytes());
        out.push(b'\n');
    }

    /// The members that end an object.
    fn members(&self, prediction: Option<&Prediction>) -> String {
        let label = prediction.map_or(Value::Null, |prediction| json!(prediction.label()));
        let score = prediction.map_or(Value::Null, |prediction| number(prediction.score()));
        let (label_name, score_name) =
            (json!(self.added.name("label")), json!(self.added.name("score")));
        let mut members = format!("{label_name}:{label},{score_name}:{score}");
        if self.added.scores {
            let scores = prediction.map_or(Value::Null, |prediction| {
                let scores = prediction.scores().iter().map(|&score| number(score));
                Value::Object(self.added.labels.iter().cloned().zip(scores).collect())
            });
            members += &format!(",{}:{scores}", json!(self.added.name("scores")));
        }
        members + "}"
    }
}

/// A row as it was written.
pub enum Written<'a> {
    Record(&'a Record),
    Line(&'a [u8]),
}

fn write_fields<'f>(out: &mut Vec<u8>, syntax: Syntax, fields: impl Iterator<Item = &'f [u8]>) {
    // Memory takes all that is written.
    let _ = delimited::write(out, syntax, fields);
}

/// The record with as many fields as the others have: empty ones are added, and those too many become part of
/// the last, so that nothing is lost.
fn of_width(record: &Record, width: Option<usize>, syntax: Syntax) -> Record {
    let width = width.unwrap_or(record.len());
    let mut fitted = Record::default();
    record.fields().take(width.min(record.len()).saturating_sub(1)).for_each(|f| fitted.push(f));
    let rest: Vec<&[u8]> = record.fields().skip(fitted.len()).collect();
    let delimiter = match syntax {
        Syntax::Csv { delimiter } => delimiter,
        // A tab would begin another field.
        Syntax::Tsv => b' ',
    };
    fitted.push(&rest.join(&delimiter));
    while fitted.len() < width {
        fitted.push(b"");
    }
    fitted
}
