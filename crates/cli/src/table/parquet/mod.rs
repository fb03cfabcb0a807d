//! Parquet files.

mod cells;
mod pages;

use std::fs::{self, File};
use std::io;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use distilbert::boundary::guarded;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

pub use self::cells::{Items, Texts};
use self::pages::{Pages, largest_ratio};
use super::column::{ColumnSpec, Place};
use super::row::Cell;
use crate::failure::Failure;

/// Maximum number of rows decoded together.
const BATCH_ROWS: u64 = 1024;

/// Bytes of a column that are decoded together, to limit memory.
const BATCH_BYTES: u64 = 16 << 20;

/// Open Parquet file.
///
/// Values are read by the file's own types. The Arrow types that some writers store beside them are ignored, so that a
/// category is read as its values.
pub struct ParquetFile {
    pub file: File,
    about: ArrowReaderMetadata,
}

impl ParquetFile {
    /// Opens a file and reads its schema.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = open_regular(path)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let about = guarded("parquet", || ArrowReaderMetadata::load(&file, options));
        let about = about.map_err(|error| failure(path, error))?;
        check_rows(about.metadata()).map_err(|error| failure(path, error))?;
        Ok(Self { about, file })
    }

    /// Returns the file's own description of its columns and row groups.
    pub fn metadata(&self) -> &ParquetMetaData {
        self.about.metadata()
    }

    /// Returns the names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.about.schema().fields().iter().map(|field| field.name().as_str())
    }

    /// Returns the name of a column.
    pub fn name(&self, column: usize) -> &str {
        self.about.schema().field(column).name()
    }

    /// Returns the type of a column.
    pub fn data_type(&self, column: usize) -> &DataType {
        self.about.schema().field(column).data_type()
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Returns the index of a column; `None` if it is optional and missing.
    pub fn find(&self, path: &Path, spec: &ColumnSpec<'_>) -> Result<Option<usize>, Failure> {
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        match spec.in_header(&names).map_err(|reason| failure(path, reason))? {
            Place::Index(index) => Ok(Some(index)),
            _ => Ok(None),
        }
    }

    /// Checks that this program can decompress a column.
    ///
    /// # Errors
    /// Returns the reason if it can't.
    pub fn check_compression(&self, column: usize) -> Result<(), String> {
        let mask = ProjectionMask::roots(self.about.parquet_schema(), [column]);
        for group in self.metadata().row_groups() {
            let mut chunks = group.columns().iter().enumerate();
            let unknown = chunks.find(|(leaf, chunk)| {
                let codec = chunk.compression();
                mask.leaf_included(*leaf)
                    && matches!(codec, Compression::LZO | Compression::BROTLI(_))
            });
            if let Some((_, chunk)) = unknown {
                let (name, codec) = (self.name(column), chunk.compression());
                return Err(format!("`{name}` is compressed with {codec}, which cannot be read"));
            }
        }
        Ok(())
    }

    /// Returns the number of rows to decode together: fewer if they are long.
    fn batch_rows(&self, columns: &ProjectionMask) -> usize {
        let mut rows = BATCH_ROWS;
        for group in self.metadata().row_groups() {
            let chunks = group.columns().iter().enumerate();
            let sizes =
                chunks.filter(|(leaf, _)| columns.leaf_included(*leaf)).map(|(_, chunk)| {
                    // The size before the values were encoded, if the file states it.
                    let plain = chunk.unencoded_byte_array_data_bytes().unwrap_or(0);
                    u64::try_from(chunk.uncompressed_size().max(plain)).unwrap_or(0)
                });
            let largest = sizes.max().unwrap_or(0);
            let average = largest / u64::try_from(group.num_rows()).unwrap_or(1).max(1);
            rows = rows.min(BATCH_BYTES / average.max(1));
        }
        usize::try_from(rows.max(1)).unwrap_or(1)
    }

    /// Returns the largest number of bytes that a byte of these columns can stand for.
    fn ratio(&self, columns: &ProjectionMask) -> u64 {
        let groups = self.metadata().row_groups().iter();
        let chunks = groups.flat_map(|group| group.columns().iter().enumerate());
        let read = chunks.filter(|(leaf, _)| columns.leaf_included(*leaf));
        read.map(|(_, chunk)| largest_ratio(chunk.compression())).max().unwrap_or(1)
    }

    /// Reads some columns, in the order of the file, of the rows after the first `skip`.
    pub fn batches(&self, path: &Path, columns: &[usize], skip: u64) -> Result<Batches, Failure> {
        let file = self.file.try_clone();
        let file = file.map_err(|source| Failure::Read { path: path.into(), source })?;
        let mask = ProjectionMask::roots(self.about.parquet_schema(), columns.iter().copied());
        let file = Pages::new(file, self.ratio(&mask));
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.about.clone());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let rows = self.batch_rows(&mask);
        let builder = builder.with_batch_size(rows).with_projection(mask).with_offset(skip);
        let batches = guarded("parquet", || builder.build());
        Ok(Batches(Some(batches.map_err(|error| failure(path, error))?)))
    }
}

/// Decoded rows of a file, batch by batch. An error is the last item.
pub struct Batches(Option<ParquetRecordBatchReader>);

impl Iterator for Batches {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.0.as_mut()?;
        let next = guarded("parquet", || reader.next().transpose()).transpose()?;
        if next.is_err() {
            self.0 = None;
        }
        Some(next)
    }
}

/// Checks that the row counts of the row groups aren't negative and that their sum, which `parquet` computes without a check,
/// doesn't overflow.
///
/// # Errors
/// Returns the reason if they aren't.
fn check_rows(about: &ParquetMetaData) -> Result<(), String> {
    let mut all = 0i64;
    for (index, group) in about.row_groups().iter().enumerate() {
        let rows = group.num_rows();
        let sum = all.checked_add(rows).filter(|_| rows >= 0);
        all = sum.ok_or_else(|| {
            format!("row group {index} should have 0 to {} rows, found {rows}", i64::MAX - all)
        })?;
    }
    Ok(())
}

/// Opens a file that is read at any position, as a pipe can't be.
///
/// # Errors
/// [`Failure::Read`]; [`Failure::NotRegular`].
fn open_regular(path: &Path) -> Result<File, Failure> {
    let failure = |source| Failure::Read { path: path.into(), source };
    // Opening a named pipe would wait for a writer.
    let about = fs::metadata(path).map_err(failure)?;
    if about.is_dir() {
        return Err(failure(io::ErrorKind::IsADirectory.into()));
    }
    if !about.is_file() {
        return Err(Failure::NotRegular { path: path.into() });
    }
    File::open(path).map_err(failure)
}

/// Returns the error that a Parquet file cannot be read or written.
pub fn failure(path: &Path, error: impl ToString) -> Failure {
    Failure::Parquet { path: path.into(), reason: error.to_string() }
}

/// Returns the error that a Parquet file cannot be written, with the cause if it is the file system's.
pub fn write_failure(path: &Path, error: ParquetError) -> Failure {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(source) => Failure::Write { path: path.into(), source: *source },
            Err(cause) => failure(path, cause),
        },
        other => failure(path, other),
    }
}

/// Reader of some columns, row by row.
pub struct Reader {
    batches: Batches,
    /// Index in a batch of each requested column.
    columns: Vec<usize>,
    /// Cells of the requested columns.
    items: Vec<Items>,
    /// Number of rows in the batch.
    len: usize,
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
        let file = ParquetFile::open(path)?;
        let columns = specs.iter().map(|spec| file.find(path, spec));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut read: Vec<usize> = columns.iter().copied().flatten().collect();
        read.sort_unstable();
        read.dedup();
        let (mut places, mut indices) = (Vec::new(), Vec::new());
        for column in columns {
            let Some(column) = column else {
                places.push(Place::Absent);
                continue;
            };
            let name = file.name(column).to_owned();
            let place = Place::Cell { index: indices.len(), name };
            Items::check(file.data_type(column), &place)
                .and_then(|()| file.check_compression(column))
                .map_err(|reason| failure(path, reason))?;
            places.push(place);
            indices.extend(read.binary_search(&column));
        }
        let batches = file.batches(path, &read, 0)?;
        let rows = file.rows();
        let reader = Self {
            batches,
            columns: indices,
            items: Vec::new(),
            len: 0,
            row: 0,
            batches_read: 0,
            rows,
        };
        Ok((reader, places))
    }

    /// Reads the cells of the next row; `None` at the end.
    pub fn next_cells(
        &mut self,
        path: &Path,
    ) -> Result<Option<Vec<Result<Cell<'static>, String>>>, Failure> {
        while self.row == self.len {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            self.start(&batch.map_err(|error| failure(path, error))?)
                .map_err(|error| failure(path, error))?;
        }
        let row = self.row;
        self.row += 1;
        Ok(Some(self.items.iter().map(|items| items.cell(row)).collect()))
    }

    /// Starts with the rows of a batch.
    fn start(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let items = self.columns.iter().map(|&column| Items::new(batch.column(column)));
        self.items = items.collect::<Result<_, _>>()?;
        (self.len, self.row) = (batch.num_rows(), 0);
        self.batches_read += 1;
        Ok(())
    }

    /// Returns the number of batches consumed completely.
    pub fn buffers(&self) -> u64 {
        self.batches_read - u64::from(self.row < self.len)
    }

    /// Returns the number of rows of the file.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}
