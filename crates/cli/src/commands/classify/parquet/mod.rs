//! Classification of a Parquet file, part by part in constant memory.
//!
//! A Parquet file cannot be appended to, because its index is at its end. Predictions are therefore written in parts, each
//! a complete file in a folder beside the output. At the end, the input's columns are copied without being decoded, and
//! the predictions are added to each of its row groups, so that an output doesn't depend on the parts.

mod merge;
mod parts;

use std::path::Path;

use distilbert::Prediction;

use self::merge::Target;
#[cfg(feature = "fuzzing")]
pub use self::merge::with_added;
use self::parts::Parts;
use super::answers::Answers;
use super::file::FileJob;
use super::rows::AddedColumns;
use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::table::column::Place;
use crate::table::parquet::{ParquetFile, Texts, failure};

/// Rows at which a part is complete.
const PART_ROWS: usize = 16 << 10;

/// Bytes of text at which a part ends early: long texts take long to classify.
const PART_BYTES: usize = 16 << 20;

/// Classifies every row of `job.input`.
pub fn run(
    answers: &mut Answers<'_>,
    added: &AddedColumns,
    job: &FileJob<'_>,
    output: &Path,
) -> Result<(), Failure> {
    let &FileJob { input, options, table, .. } = job;
    let file = ParquetFile::open(input)?;
    let column = file.find(input, &table.text_column())?;
    let column = column.ok_or_else(|| failure(input, "there is no text column"))?;
    let place = Place::Cell { index: 0, name: file.name(column).to_owned() };
    Texts::check(file.data_type(column), &place)
        .and_then(|()| file.check_compression(column))
        .map_err(|reason| failure(input, reason))?;
    if let Some(reason) = added.conflict(file.names()) {
        return Err(failure(input, reason));
    }
    let target = Target::new(&file, added).map_err(|reason| failure(input, reason))?;
    let parts = Parts::new(output, &file, added);
    let parts = parts.map_err(|source| Failure::Read { path: input.into(), source })?;
    parts.check_input(input)?;
    let continues = options.continues(&parts.folder)?;
    if options.continues(output)? {
        target.check_complete(output, file.rows())?;
        return parts.remove();
    }
    if output.is_dir() {
        let source = std::io::ErrorKind::IsADirectory.into();
        return Err(Failure::Write { path: output.into(), source });
    }
    if output.exists() && !output.is_file() {
        return Err(Failure::NotRegular { path: output.into() });
    }
    if !continues {
        parts.remove()?;
    }
    parts.create()?;
    let (part, rows) = parts.find(file.rows())?;
    let mut run = Run { answers, input, column, place, rows };
    if rows > 0 {
        run.check_last(&parts, part, &file)?;
    }
    run.answers.progress = RowProgress::new(Some(file.rows()));
    run.answers.progress.advance(0, rows);
    run.run(&file, &parts, part)?;
    target.merge(&file, &parts)?;
    parts.remove()
}

/// Run over the rows.
struct Run<'a, 'c> {
    answers: &'a mut Answers<'c>,
    input: &'a Path,
    column: usize,
    place: Place,
    /// Number of rows classified.
    rows: u64,
}

impl Run<'_, '_> {
    /// Classifies the remaining rows, after part number `part`.
    fn run(&mut self, file: &ParquetFile, parts: &Parts<'_>, part: usize) -> Result<(), Failure> {
        let (mut part, mut predictions, mut bytes) = (part, Vec::new(), 0);
        for batch in file.batches(self.input, &[self.column], self.rows)? {
            let batch = batch.map_err(|error| failure(self.input, error))?;
            let texts =
                Texts::new(batch.column(0)).map_err(|reason| failure(self.input, reason))?;
            let texts: Vec<_> = (0..texts.len()).map(|row| self.text(&texts, row)).collect();
            bytes += texts.iter().flatten().map(|text| text.len()).sum::<usize>();
            predictions.extend(self.classify(&texts)?);
            if predictions.len() >= PART_ROWS || bytes >= PART_BYTES {
                part += 1;
                parts.write(part, &predictions)?;
                predictions.clear();
                bytes = 0;
            }
        }
        if !predictions.is_empty() {
            parts.write(part + 1, &predictions)?;
        }
        if self.rows != file.rows() {
            let reason = format!("expected {} rows, found {}", file.rows(), self.rows);
            return Err(failure(self.input, reason));
        }
        Ok(())
    }

    fn classify(
        &mut self,
        texts: &[Result<&str, String>],
    ) -> Result<Vec<Option<Prediction>>, Failure> {
        let (input, before) = (self.input, self.rows);
        let predictions = self.answers.predict(texts, |index, rejection| Failure::Row {
            path: input.into(),
            line: None,
            row: before + index as u64 + 1,
            reason: rejection.to_string(),
        })?;
        self.rows += texts.len() as u64;
        self.answers.progress.advance(texts.len(), self.rows);
        Ok(predictions)
    }

    /// Returns the text of a row.
    fn text<'t>(&self, texts: &'t Texts, row: usize) -> Result<&'t str, String> {
        match texts.get(row) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err("no text".to_owned()),
            Err(reason) => Err(format!("{} {reason}", self.place)),
        }
    }

    /// Checks that the last row of a part is what this run would write.
    fn check_last(
        &self,
        parts: &Parts<'_>,
        part: usize,
        file: &ParquetFile,
    ) -> Result<(), Failure> {
        let batch = file.batches(self.input, &[self.column], self.rows - 1)?.next().transpose();
        let batch = batch.map_err(|error| failure(self.input, error))?;
        let batch =
            batch.ok_or_else(|| failure(self.input, "the file ends before its last row"))?;
        let texts = Texts::new(&batch.column(0).slice(0, 1));
        let texts = texts.map_err(|reason| failure(self.input, reason))?;
        let prediction = self.answers.predict_again(self.text(&texts, 0))?;
        let expected = prediction.map(|found| (found.label().to_owned(), found.score()));
        if parts.last(part)? != expected {
            let reason = format!("row {} differs", self.rows);
            return Err(Failure::OtherOutput { path: parts.folder.clone(), reason });
        }
        Ok(())
    }
}
