//! Classification of a Parquet file, part by part in constant memory.
//!
//! A Parquet file cannot be appended to, because its index is at its end. Rows are therefore written in parts, each a
//! complete file in a folder beside the output, and merged at the end. The boundaries of the parts depend only on the
//! rows, so that a resumed output is byte-identical.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use distilbert::Prediction;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::answers::Answers;
use super::file::FileJob;
use super::rows::AddedColumns;
use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::table::parquet::{ParquetFile, failure, texts};

/// Maximum number of rows of a part: enough for a compact file.
const PART_ROWS: usize = 16 << 10;

/// Bytes of text at which a part ends early, to limit memory.
const PART_BYTES: usize = 16 << 20;

/// Number of rows between progress updates.
const CHUNK: usize = 1 << 10;

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
    let fields = file.schema().fields();
    if let Some(reason) = added.conflict(fields.iter().map(|field| field.name().as_str())) {
        return Err(failure(input, reason));
    }
    let schema = Arc::new(with_columns(file.schema(), added));
    let parts = Parts { folder: parts_folder(output), output, schema };

    let continues = options.continues(&parts.folder)?;
    if options.continues(output)? {
        return parts.check_complete(file.rows());
    }
    if !continues && parts.folder.exists() {
        fs::remove_dir_all(&parts.folder).map_err(|source| parts.unwritable(source))?;
    }
    fs::create_dir_all(&parts.folder).map_err(|source| parts.unwritable(source))?;
    let (mut part, rows) = parts.find(file.rows())?;
    let mut run = Run { answers, input, column, rows };
    if rows > 0 {
        run.check_last(&parts, part, ParquetFile::open(input)?)?;
    }
    run.answers.progress = RowProgress::new(Some(file.rows()));
    run.answers.progress.advance(0, rows);

    let mut pending = Pending { input, column, batches: Vec::new(), rows: 0, bytes: 0 };
    for batch in file.batches(input, usize::try_from(rows).unwrap_or(usize::MAX))? {
        let mut batch = batch.map_err(|error| failure(input, error))?;
        while let Some((complete, rest)) = pending.push(batch)? {
            part += 1;
            parts.write(part, &run.classify(&complete, added, &parts.schema)?)?;
            batch = rest;
        }
    }
    if pending.rows > 0 {
        part += 1;
        let last = pending.take(&[])?;
        parts.write(part, &run.classify(&last, added, &parts.schema)?)?;
    }
    parts.merge(part)
}

/// Returns the schema with the added columns.
fn with_columns(schema: &Schema, added: &AddedColumns) -> Schema {
    let types = [DataType::Utf8].into_iter().chain(std::iter::repeat(DataType::Float32));
    let columns = added.names().into_iter().zip(types);
    let columns = columns.map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(columns).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// Returns the folder of the parts, beside the output.
fn parts_folder(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}

/// Rows of the next part that have been read.
struct Pending<'a> {
    input: &'a Path,
    column: usize,
    batches: Vec<RecordBatch>,
    rows: usize,
    /// Bytes of text.
    bytes: usize,
}

impl Pending<'_> {
    /// Adds rows. Returns a complete part and the remaining rows, if a part is complete.
    fn push(&mut self, batch: RecordBatch) -> Result<Option<(RecordBatch, RecordBatch)>, Failure> {
        let texts =
            texts(batch.column(self.column)).map_err(|reason| failure(self.input, reason))?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            self.bytes += if texts.is_null(row) { 0 } else { texts.value(row).len() };
            if self.rows == PART_ROWS || self.bytes >= PART_BYTES {
                let complete = self.take(&[batch.slice(0, row + 1)])?;
                return Ok(Some((complete, batch.slice(row + 1, batch.num_rows() - row - 1))));
            }
        }
        self.batches.push(batch);
        Ok(None)
    }

    /// Returns all rows as one batch, so that the file does not depend on how they were read.
    fn take(&mut self, last: &[RecordBatch]) -> Result<RecordBatch, Failure> {
        self.batches.extend_from_slice(last);
        let batches = std::mem::take(&mut self.batches);
        (self.rows, self.bytes) = (0, 0);
        let schema = batches[0].schema();
        concat_batches(&schema, &batches).map_err(|error| failure(self.input, error))
    }
}

/// Run over the rows.
struct Run<'a, 'c> {
    answers: &'a mut Answers<'c>,
    input: &'a Path,
    column: usize,
    /// Number of rows classified.
    rows: u64,
}

impl Run<'_, '_> {
    /// Returns rows with their predictions.
    fn classify(
        &mut self,
        rows: &RecordBatch,
        added: &AddedColumns,
        schema: &Arc<Schema>,
    ) -> Result<RecordBatch, Failure> {
        let texts =
            texts(rows.column(self.column)).map_err(|reason| failure(self.input, reason))?;
        let texts: Vec<_> = (0..texts.len()).map(|row| text(&texts, row)).collect();
        let mut predictions = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            let (input, before) = (self.input, self.rows);
            predictions.extend(self.answers.predict(chunk, |index, rejection| Failure::Row {
                path: input.into(),
                line: None,
                row: before + index as u64 + 1,
                reason: rejection.to_string(),
            })?);
            self.rows += chunk.len() as u64;
            self.answers.progress.advance(chunk.len(), self.rows);
        }
        let columns = rows.columns().iter().cloned().chain(arrays(&predictions, added)).collect();
        RecordBatch::try_new(schema.clone(), columns).map_err(|error| failure(self.input, error))
    }

    /// Checks that the last row of a part is what this run would write.
    fn check_last(&self, parts: &Parts<'_>, part: usize, file: ParquetFile) -> Result<(), Failure> {
        let other = |reason: String| Failure::OtherOutput { path: parts.folder.clone(), reason };
        let last = |file: ParquetFile, path: &Path| {
            let skip = file.rows().saturating_sub(1) as usize;
            let batch = file.batches(path, skip)?.next();
            batch.transpose().map_err(|error| failure(path, error))
        };
        let path = parts.path(part);
        let written = last(ParquetFile::open(&path)?, &path)?;
        let skip = usize::try_from(self.rows - 1).unwrap_or(usize::MAX);
        let row = file.batches(self.input, skip)?.next().transpose();
        let row = row.map_err(|error| failure(self.input, error))?.map(|batch| batch.slice(0, 1));
        let (Some(written), Some(row)) = (written, row) else {
            return Err(other("its rows differ".to_owned()));
        };
        let texts = texts(row.column(self.column)).map_err(|reason| failure(self.input, reason))?;
        let prediction = self.answers.predict_again(text(&texts, 0))?;
        let label = prediction.as_ref().map(Prediction::label);
        let score = prediction.as_ref().map(Prediction::score);
        let columns = row.num_columns();
        let expected = row.columns().iter().cloned().chain([
            Arc::new(StringArray::from(vec![label])) as ArrayRef,
            Arc::new(Float32Array::from(vec![score])),
        ]);
        if !written.columns()[..columns + 2].iter().cloned().eq(expected) {
            return Err(other(format!("row {} differs", self.rows)));
        }
        Ok(())
    }
}

/// Returns the text of a row.
fn text(texts: &StringArray, row: usize) -> Result<&str, String> {
    if texts.is_null(row) { Err("no text".to_owned()) } else { Ok(texts.value(row)) }
}

/// Returns the added columns.
fn arrays(predictions: &[Option<Prediction>], added: &AddedColumns) -> Vec<ArrayRef> {
    let each = || predictions.iter().map(Option::as_ref);
    let labels: StringArray = each().map(|prediction| prediction.map(Prediction::label)).collect();
    let scores: Float32Array = each().map(|prediction| prediction.map(Prediction::score)).collect();
    let by_label = (0..added.names().len() - 2).map(|label| -> ArrayRef {
        let scores = each().map(|row| row.map(|prediction| prediction.scores()[label]));
        Arc::new(scores.collect::<Float32Array>())
    });
    [Arc::new(labels) as ArrayRef, Arc::new(scores)].into_iter().chain(by_label).collect()
}

/// Parts of an output, in a folder beside it.
struct Parts<'a> {
    folder: PathBuf,
    output: &'a Path,
    schema: Arc<Schema>,
}

impl Parts<'_> {
    /// Returns the path of a part, counted from 1.
    fn path(&self, part: usize) -> PathBuf {
        self.folder.join(format!("{part:06}.parquet"))
    }

    /// Returns the number of existing parts and of their rows.
    fn find(&self, input_rows: u64) -> Result<(usize, u64), Failure> {
        let mut rows = 0;
        for part in 1.. {
            let path = self.path(part);
            if !path.exists() {
                return Ok((part - 1, rows));
            }
            let file = ParquetFile::open(&path)?;
            rows += file.rows();
            self.check_columns(&file, &path)?;
            if rows > input_rows {
                let reason = "it has more rows than the input".to_owned();
                return Err(Failure::OtherOutput { path: self.folder.clone(), reason });
            }
        }
        Ok((0, 0))
    }

    /// Checks that a file has the expected columns.
    fn check_columns(&self, file: &ParquetFile, path: &Path) -> Result<(), Failure> {
        if file.schema().fields() == self.schema.fields() {
            return Ok(());
        }
        let reason = "its columns differ".to_owned();
        Err(Failure::OtherOutput { path: path.into(), reason })
    }

    /// Checks an output that exists under its final name and is therefore complete.
    fn check_complete(&self, rows: u64) -> Result<(), Failure> {
        let file = ParquetFile::open(self.output)?;
        self.check_columns(&file, self.output)?;
        if file.rows() != rows {
            let reason = format!("it has {} rows, but the input has {rows}", file.rows());
            return Err(Failure::OtherOutput { path: self.output.into(), reason });
        }
        self.remove()
    }

    /// Writes a part, which gets its final name only once it is complete.
    fn write(&self, part: usize, rows: &RecordBatch) -> Result<(), Failure> {
        let path = self.path(part);
        let partial = path.with_extension("partial");
        let mut writer = self.writer(&partial)?;
        writer.write(rows).map_err(|error| failure(&partial, error))?;
        writer.close().map_err(|error| failure(&partial, error))?;
        fs::rename(&partial, &path).map_err(|source| self.unwritable(source))
    }

    /// Merges the parts into the output.
    fn merge(&self, parts: usize) -> Result<(), Failure> {
        let partial = self.folder.join("merged.partial");
        let mut writer = self.writer(&partial)?;
        for part in 1..=parts {
            let path = self.path(part);
            for batch in ParquetFile::open(&path)?.batches(&path, 0)? {
                let batch = batch.map_err(|error| failure(&path, error))?;
                writer.write(&batch).map_err(|error| failure(&partial, error))?;
            }
            writer.flush().map_err(|error| failure(&partial, error))?;
        }
        writer.close().map_err(|error| failure(&partial, error))?;
        fs::rename(&partial, self.output)
            .map_err(|source| Failure::Write { path: self.output.into(), source })?;
        self.remove()
    }

    /// Creates a Parquet file.
    fn writer(&self, path: &Path) -> Result<ArrowWriter<File>, Failure> {
        let file =
            File::create(path).map_err(|source| Failure::Write { path: path.into(), source })?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        ArrowWriter::try_new(file, self.schema.clone(), Some(properties))
            .map_err(|error| failure(path, error))
    }

    /// Removes the folder of the parts.
    fn remove(&self) -> Result<(), Failure> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|source| self.unwritable(source))?;
        }
        Ok(())
    }

    /// Returns the error that the folder of the parts cannot be written.
    fn unwritable(&self, source: std::io::Error) -> Failure {
        Failure::Write { path: self.folder.clone(), source }
    }
}
