//! A Parquet file of any size, classified part by part in constant memory.
//!
//! A Parquet file cannot be gone on with, for its index is at its end. So rows are written in parts, each a whole
//! file in a folder beside the output, and put together when all are there. Where a part ends depends on the
//! rows alone, and with it every byte of the output.

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
use super::file::FileOptions;
use super::rows::Added;
use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::table::column::Wanted;
use crate::table::parquet::{ParquetFile, fault, texts};

/// A part ends with whichever comes first: enough rows for Parquet to be compact, or as much text as
/// memory should hold.
const PART_ROWS: usize = 16 << 10;
const PART_BYTES: usize = 16 << 20;

/// Rows between two reports of progress.
const CHUNK: usize = 1 << 10;

pub fn run(
    answers: &mut Answers<'_>,
    added: &Added,
    input: &Path,
    output: &Path,
    options: &FileOptions,
    wanted: &Wanted<'_>,
) -> Result<(), Failure> {
    let file = ParquetFile::open(input)?;
    let column = file.find(input, wanted)?.ok_or_else(|| fault(input, "no column of texts"))?;
    let fields = file.schema().fields();
    if let Some(taken) = added.taken(fields.iter().map(|field| field.name().as_str())) {
        return Err(fault(input, taken));
    }
    let schema = Arc::new(with_columns(file.schema(), added));
    let parts = Parts { folder: parts_folder(output), output, schema };

    let goes_on = options.goes_on(&parts.folder)?;
    if options.goes_on(output)? {
        return parts.check_whole(file.rows());
    }
    if !goes_on && parts.folder.exists() {
        fs::remove_dir_all(&parts.folder).map_err(|source| parts.unwritable(source))?;
    }
    fs::create_dir_all(&parts.folder).map_err(|source| parts.unwritable(source))?;
    let (mut part, rows) = parts.found(file.rows())?;
    let mut job = Job { answers, input, column, rows };
    if rows > 0 {
        job.check_last(&parts, part, ParquetFile::open(input)?)?;
    }
    job.answers.progress = RowProgress::new(Some(file.rows()));
    job.answers.progress.set(0, rows);

    let mut pending = Pending { input, column, batches: Vec::new(), rows: 0, bytes: 0 };
    for batch in file.batches(input, usize::try_from(rows).unwrap_or(usize::MAX))? {
        let mut batch = batch.map_err(|error| fault(input, error))?;
        while let Some((whole, rest)) = pending.push(batch)? {
            part += 1;
            parts.write(part, &job.classify(&whole, added, &parts.schema)?)?;
            batch = rest;
        }
    }
    if pending.rows > 0 {
        part += 1;
        let last = pending.take(&[])?;
        parts.write(part, &job.classify(&last, added, &parts.schema)?)?;
    }
    parts.put_together(part)
}

/// The schema of rows with predictions.
fn with_columns(schema: &Schema, added: &Added) -> Schema {
    let types = [DataType::Utf8].into_iter().chain(std::iter::repeat(DataType::Float32));
    let columns = added.columns().into_iter().zip(types);
    let columns = columns.map(|(name, of)| Arc::new(Field::new(name, of, true)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(columns).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn parts_folder(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}

/// The rows of the next part, as far as they have been read.
struct Pending<'a> {
    input: &'a Path,
    column: usize,
    batches: Vec<RecordBatch>,
    rows: usize,
    /// Bytes of text.
    bytes: usize,
}

impl Pending<'_> {
    /// Adds rows, and gives a part that is whole with the rows after it.
    fn push(&mut self, batch: RecordBatch) -> Result<Option<(RecordBatch, RecordBatch)>, Failure> {
        let texts = texts(batch.column(self.column)).map_err(|reason| fault(self.input, reason))?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            self.bytes += if texts.is_null(row) { 0 } else { texts.value(row).len() };
            if self.rows == PART_ROWS || self.bytes >= PART_BYTES {
                let whole = self.take(&[batch.slice(0, row + 1)])?;
                return Ok(Some((whole, batch.slice(row + 1, batch.num_rows() - row - 1))));
            }
        }
        self.batches.push(batch);
        Ok(None)
    }

    /// All rows in one piece, so that the file does not depend on how they were read.
    fn take(&mut self, last: &[RecordBatch]) -> Result<RecordBatch, Failure> {
        self.batches.extend_from_slice(last);
        let batches = std::mem::take(&mut self.batches);
        (self.rows, self.bytes) = (0, 0);
        let schema = batches[0].schema();
        concat_batches(&schema, &batches).map_err(|error| fault(self.input, error))
    }
}

struct Job<'a, 'c> {
    answers: &'a mut Answers<'c>,
    input: &'a Path,
    column: usize,
    /// Rows that are done.
    rows: u64,
}

impl Job<'_, '_> {
    /// The rows with their predictions.
    fn classify(
        &mut self,
        rows: &RecordBatch,
        added: &Added,
        schema: &Arc<Schema>,
    ) -> Result<RecordBatch, Failure> {
        let texts = texts(rows.column(self.column)).map_err(|reason| fault(self.input, reason))?;
        let texts: Vec<_> = (0..texts.len()).map(|row| text(&texts, row)).collect();
        let mut predictions = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            let (input, before) = (self.input, self.rows);
            predictions.extend(self.answers.predict(chunk, |index, refusal| Failure::Row {
                path: input.into(),
                line: None,
                row: before + index as u64 + 1,
                reason: refusal.to_string(),
            })?);
            self.rows += chunk.len() as u64;
            self.answers.progress.set(chunk.len(), self.rows);
        }
        let columns = rows.columns().iter().cloned().chain(arrays(&predictions, added)).collect();
        RecordBatch::try_new(schema.clone(), columns).map_err(|error| fault(self.input, error))
    }

    /// Checks that the last row of a part is what it would be now.
    fn check_last(&self, parts: &Parts<'_>, part: usize, file: ParquetFile) -> Result<(), Failure> {
        let other = |reason: String| Failure::OtherOutput { path: parts.folder.clone(), reason };
        let last = |file: ParquetFile, path: &Path| {
            let skip = file.rows().saturating_sub(1) as usize;
            let batch = file.batches(path, skip)?.next();
            batch.transpose().map_err(|error| fault(path, error))
        };
        let path = parts.path(part);
        let written = last(ParquetFile::open(&path)?, &path)?;
        let skip = usize::try_from(self.rows - 1).unwrap_or(usize::MAX);
        let row = file.batches(self.input, skip)?.next().transpose();
        let row = row.map_err(|error| fault(self.input, error))?.map(|batch| batch.slice(0, 1));
        let (Some(written), Some(row)) = (written, row) else {
            return Err(other("it has other rows".to_owned()));
        };
        let texts = texts(row.column(self.column)).map_err(|reason| fault(self.input, reason))?;
        let prediction = self.answers.again(text(&texts, 0))?;
        let label = prediction.as_ref().map(Prediction::label);
        let score = prediction.as_ref().map(Prediction::score);
        let columns = row.num_columns();
        let expected = row.columns().iter().cloned().chain([
            Arc::new(StringArray::from(vec![label])) as ArrayRef,
            Arc::new(Float32Array::from(vec![score])),
        ]);
        if !written.columns()[..columns + 2].iter().cloned().eq(expected) {
            return Err(other(format!("row {} is another", self.rows)));
        }
        Ok(())
    }
}

fn text(texts: &StringArray, row: usize) -> Result<&str, String> {
    if texts.is_null(row) { Err("no text".to_owned()) } else { Ok(texts.value(row)) }
}

/// The columns that are added.
fn arrays(predictions: &[Option<Prediction>], added: &Added) -> Vec<ArrayRef> {
    let each = || predictions.iter().map(Option::as_ref);
    let labels: StringArray = each().map(|found| found.map(Prediction::label)).collect();
    let scores: Float32Array = each().map(|found| found.map(Prediction::score)).collect();
    let of_labels = (0..added.columns().len() - 2).map(|label| -> ArrayRef {
        let scores = each().map(|found| found.map(|found| found.scores()[label]));
        Arc::new(scores.collect::<Float32Array>())
    });
    [Arc::new(labels) as ArrayRef, Arc::new(scores)].into_iter().chain(of_labels).collect()
}

/// The parts of an output, in a folder beside it.
struct Parts<'a> {
    folder: PathBuf,
    output: &'a Path,
    schema: Arc<Schema>,
}

impl Parts<'_> {
    /// A part's file, counted from 1.
    fn path(&self, part: usize) -> PathBuf {
        self.folder.join(format!("{part:06}.parquet"))
    }

    /// How many parts there are, and how many rows they have.
    fn found(&self, most: u64) -> Result<(usize, u64), Failure> {
        let mut rows = 0;
        for part in 1.. {
            let path = self.path(part);
            if !path.exists() {
                return Ok((part - 1, rows));
            }
            let file = ParquetFile::open(&path)?;
            rows += file.rows();
            self.check_columns(&file, &path)?;
            if rows > most {
                let reason = "it has more rows than the input".to_owned();
                return Err(Failure::OtherOutput { path: self.folder.clone(), reason });
            }
        }
        Ok((0, 0))
    }

    fn check_columns(&self, file: &ParquetFile, path: &Path) -> Result<(), Failure> {
        if file.schema().fields() == self.schema.fields() {
            return Ok(());
        }
        let reason = "it has other columns".to_owned();
        Err(Failure::OtherOutput { path: path.into(), reason })
    }

    /// Checks an output that is there under its own name, and so is whole.
    fn check_whole(&self, rows: u64) -> Result<(), Failure> {
        let file = ParquetFile::open(self.output)?;
        self.check_columns(&file, self.output)?;
        if file.rows() != rows {
            let reason = format!("it has {} rows, the input {rows}", file.rows());
            return Err(Failure::OtherOutput { path: self.output.into(), reason });
        }
        self.remove()
    }

    /// Writes a part. It has its name only when it is whole.
    fn write(&self, part: usize, rows: &RecordBatch) -> Result<(), Failure> {
        let path = self.path(part);
        let partial = path.with_extension("partial");
        let mut writer = self.writer(&partial)?;
        writer.write(rows).map_err(|error| fault(&partial, error))?;
        writer.close().map_err(|error| fault(&partial, error))?;
        fs::rename(&partial, &path).map_err(|source| self.unwritable(source))
    }

    /// Makes the output of its parts.
    fn put_together(&self, parts: usize) -> Result<(), Failure> {
        let partial = self.folder.join("whole.partial");
        let mut writer = self.writer(&partial)?;
        for part in 1..=parts {
            let path = self.path(part);
            for batch in ParquetFile::open(&path)?.batches(&path, 0)? {
                let batch = batch.map_err(|error| fault(&path, error))?;
                writer.write(&batch).map_err(|error| fault(&partial, error))?;
            }
            writer.flush().map_err(|error| fault(&partial, error))?;
        }
        writer.close().map_err(|error| fault(&partial, error))?;
        fs::rename(&partial, self.output)
            .map_err(|source| Failure::Write { path: self.output.into(), source })?;
        self.remove()
    }

    fn writer(&self, path: &Path) -> Result<ArrowWriter<File>, Failure> {
        let file =
            File::create(path).map_err(|source| Failure::Write { path: path.into(), source })?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        ArrowWriter::try_new(file, self.schema.clone(), Some(properties))
            .map_err(|error| fault(path, error))
    }

    fn remove(&self) -> Result<(), Failure> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|source| self.unwritable(source))?;
        }
        Ok(())
    }

    fn unwritable(&self, source: std::io::Error) -> Failure {
        Failure::Write { path: self.folder.clone(), source }
    }
}
