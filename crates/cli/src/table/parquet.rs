//! Parquet files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};

use super::column::{ColumnSpec, Place};
use crate::failure::Failure;

/// Number of rows decoded together.
const BATCH_ROWS: usize = 1024;

/// Open Parquet file.
pub struct ParquetFile {
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl ParquetFile {
    /// Opens a file and reads its schema.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file =
            File::open(path).map_err(|source| Failure::Read { path: path.into(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let builder = builder.map_err(|error| failure(path, error))?;
        Ok(Self { builder: builder.with_batch_size(BATCH_ROWS) })
    }

    /// Returns the names and types of the columns.
    pub fn schema(&self) -> &Arc<Schema> {
        self.builder.schema()
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Returns the index of a column; `None` if it is optional and missing.
    pub fn find(&self, path: &Path, spec: &ColumnSpec<'_>) -> Result<Option<usize>, Failure> {
        let fields = self.schema().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        match spec.in_header(&names).map_err(|reason| failure(path, reason))? {
            Place::Index(index) => Ok(Some(index)),
            Place::Key(_) | Place::Absent => Ok(None),
        }
    }

    /// Reads the rows after the first `skip`.
    pub fn batches(self, path: &Path, skip: usize) -> Result<ParquetRecordBatchReader, Failure> {
        self.builder.with_offset(skip).build().map_err(|error| failure(path, error))
    }
}

/// Returns the error that a Parquet file cannot be read or written.
pub fn failure(path: &Path, error: impl ToString) -> Failure {
    Failure::Parquet { path: path.into(), reason: error.to_string() }
}

/// Returns the texts of a column.
pub fn texts(column: &ArrayRef) -> Result<StringArray, String> {
    let texts = cast(column, &DataType::Utf8).map_err(|error| error.to_string())?;
    let texts = texts.as_string_opt::<i32>().ok_or("the column does not contain texts")?;
    Ok(texts.clone())
}

/// Reader of some columns, row by row, as objects.
pub struct Reader {
    batches: ParquetRecordBatchReader,
    names: Vec<String>,
    batch: Option<RecordBatch>,
    /// Next row of the batch.
    row: usize,
    /// Number of batches read.
    batches_read: u64,
    /// Number of rows of the file.
    rows: u64,
}

impl Reader {
    /// Opens a file and finds its columns.
    pub fn open(path: &Path, specs: &[ColumnSpec<'_>]) -> Result<(Self, Vec<Place>), Failure> {
        let mut file = ParquetFile::open(path)?;
        let columns = specs.iter().map(|spec| file.find(path, spec));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let name = |column: usize| file.schema().field(column).name().clone();
        let places = columns.iter().map(|column| match column {
            Some(column) => Place::Key(name(*column)),
            None => Place::Absent,
        });
        let places = places.collect();
        let columns: Vec<usize> = columns.into_iter().flatten().collect();
        let names = columns.iter().copied().map(name).collect();
        let mask = ProjectionMask::roots(file.builder.parquet_schema(), columns);
        file.builder = file.builder.with_projection(mask);
        let rows = file.rows();
        let batches = file.batches(path, 0)?;
        Ok((Self { batches, names, batch: None, row: 0, batches_read: 0, rows }, places))
    }

    /// Reads the values of the next row; `None` at the end.
    pub fn next_object(&mut self, path: &Path) -> Result<Option<Map<String, Value>>, Failure> {
        loop {
            match &self.batch {
                Some(batch) if self.row < batch.num_rows() => {
                    let row = self.row;
                    let members = self.names.iter().map(|name| {
                        let column = batch.column_by_name(name);
                        let value = column.map_or(Ok(Value::Null), |column| value(column, row));
                        Ok((name.clone(), value.map_err(|reason| failure(path, reason))?))
                    });
                    let values = members.collect::<Result<_, Failure>>()?;
                    self.row += 1;
                    return Ok(Some(values));
                }
                _ => match self.batches.next() {
                    None => return Ok(None),
                    Some(batch) => {
                        self.batch = Some(batch.map_err(|error| failure(path, error))?);
                        self.row = 0;
                        self.batches_read += 1;
                    }
                },
            }
        }
    }

    /// Returns the number of batches consumed completely.
    pub fn buffers(&self) -> u64 {
        let is_partly_read = self.batch.as_ref().is_some_and(|batch| self.row < batch.num_rows());
        self.batches_read - u64::from(is_partly_read)
    }

    /// Returns the number of rows of the file.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// Returns a cell as JSON: text, also for numbers, or a list of texts.
fn value(column: &ArrayRef, row: usize) -> Result<Value, String> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let cell = column.slice(row, 1);
    let items = match cell.data_type() {
        DataType::List(_) => cell.as_list::<i32>().value(0),
        DataType::LargeList(_) => cell.as_list::<i64>().value(0),
        _ => return Ok(Value::from(texts(&cell)?.value(0))),
    };
    let items = texts(&items)?;
    Ok(items.iter().map(Value::from).collect())
}
