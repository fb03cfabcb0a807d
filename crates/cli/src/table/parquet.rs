//! Parquet: batches of rows, column by column.

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

use super::column::{Place, Wanted};
use crate::failure::Failure;

/// Rows that are decoded together.
const ROWS: usize = 1024;

/// A file that is open, and its columns' names and types.
pub struct ParquetFile {
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl ParquetFile {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file =
            File::open(path).map_err(|source| Failure::File { path: path.into(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let builder = builder.map_err(|error| fault(path, error))?;
        Ok(Self { builder: builder.with_batch_size(ROWS) })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        self.builder.schema()
    }

    pub fn rows(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Where a column is, unless it is optional and nowhere.
    pub fn find(&self, path: &Path, wanted: &Wanted<'_>) -> Result<Option<usize>, Failure> {
        let fields = self.schema().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        match wanted.under(&names).map_err(|reason| fault(path, reason))? {
            Place::Index(index) => Ok(Some(index)),
            Place::Key(_) | Place::Nowhere => Ok(None),
        }
    }

    /// The rows after the first few.
    pub fn batches(self, path: &Path, skip: usize) -> Result<ParquetRecordBatchReader, Failure> {
        self.builder.with_offset(skip).build().map_err(|error| fault(path, error))
    }
}

pub fn fault(path: &Path, error: impl ToString) -> Failure {
    Failure::Parquet { path: path.into(), reason: error.to_string() }
}

/// The texts of a column; `None` where it has none.
pub fn texts(column: &ArrayRef) -> Result<StringArray, String> {
    let texts = cast(column, &DataType::Utf8).map_err(|error| error.to_string())?;
    let texts = texts.as_string_opt::<i32>().ok_or("it holds no texts")?;
    Ok(texts.clone())
}

/// Reads some columns row by row, as objects.
pub struct Reader {
    batches: ParquetRecordBatchReader,
    names: Vec<String>,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    row: usize,
    /// Batches before this one.
    taken: u64,
    rows: u64,
}

impl Reader {
    pub fn open(path: &Path, wanted: &[Wanted<'_>]) -> Result<(Self, Vec<Place>), Failure> {
        let mut file = ParquetFile::open(path)?;
        let columns = wanted.iter().map(|column| file.find(path, column));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let name = |column: usize| file.schema().field(column).name().clone();
        let places = columns.iter().map(|column| match column {
            Some(column) => Place::Key(name(*column)),
            None => Place::Nowhere,
        });
        let places = places.collect();
        let columns: Vec<usize> = columns.into_iter().flatten().collect();
        let names = columns.iter().copied().map(name).collect();
        let mask = ProjectionMask::roots(file.builder.parquet_schema(), columns);
        file.builder = file.builder.with_projection(mask);
        let rows = file.rows();
        let batches = file.batches(path, 0)?;
        Ok((Self { batches, names, batch: None, row: 0, taken: 0, rows }, places))
    }

    /// The next row's values of the columns that are wanted.
    pub fn next_object(&mut self, path: &Path) -> Result<Option<Map<String, Value>>, Failure> {
        loop {
            match &self.batch {
                Some(batch) if self.row < batch.num_rows() => {
                    let row = self.row;
                    let members = self.names.iter().map(|name| {
                        let column = batch.column_by_name(name);
                        let value = column.map_or(Ok(Value::Null), |column| value(column, row));
                        Ok((name.clone(), value.map_err(|reason| fault(path, reason))?))
                    });
                    let values = members.collect::<Result<_, Failure>>()?;
                    self.row += 1;
                    return Ok(Some(values));
                }
                _ => match self.batches.next() {
                    None => return Ok(None),
                    Some(batch) => {
                        self.batch = Some(batch.map_err(|error| fault(path, error))?);
                        self.row = 0;
                        self.taken += 1;
                    }
                },
            }
        }
    }

    /// How many batches have been taken whole.
    pub fn buffers(&self) -> u64 {
        let is_begun = self.batch.as_ref().is_some_and(|batch| self.row < batch.num_rows());
        self.taken - u64::from(is_begun)
    }

    /// Rows of the file.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// A text, a number as it is written, or a list of them.
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
