//! Predictions of a run, in a folder beside its output.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use distilbert::Prediction;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::super::rows::AddedColumns;
use crate::failure::Failure;
use crate::files::{self, Source};
use crate::table::parquet::{ParquetFile, failure, write_failure};

/// Key of the input's fingerprint in the metadata of a part.
const INPUT: &str = "distilbert:input";

/// Parts of an output, each with the added columns of some rows.
pub struct Parts<'a> {
    pub folder: PathBuf,
    pub output: &'a Path,
    schema: Arc<Schema>,
    /// Fingerprint of the input.
    input: String,
}

/// Column of a part.
pub enum Values {
    Labels(Vec<Option<String>>),
    Scores(Vec<Option<f32>>),
}

impl<'a> Parts<'a> {
    /// Describes the parts of an output.
    ///
    /// # Errors
    /// Fails if the input cannot be read.
    pub fn new(output: &'a Path, input: &ParquetFile, added: &AddedColumns) -> io::Result<Self> {
        let mut folder = output.as_os_str().to_owned();
        folder.push(".parts");
        let input = fingerprint(&input.file)?;
        Ok(Self { folder: folder.into(), output, schema: Arc::new(schema(added)), input })
    }

    /// Checks that the input is not in the folder, which is removed in the end.
    pub fn check_input(&self, input: &Path) -> Result<(), Failure> {
        let input = [Source::new(input)];
        self.files().iter().try_for_each(|file| files::check_output(file, &input))
    }

    /// Creates the folder.
    pub fn create(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder).map_err(|source| self.unwritable(source))
    }

    /// Returns the path of a part, counted from 1.
    pub fn path(&self, part: usize) -> PathBuf {
        self.folder.join(format!("{part:06}.parquet"))
    }

    /// Returns the number of existing parts and of their rows.
    pub fn find(&self, input_rows: u64) -> Result<(usize, u64), Failure> {
        let starts = self.starts()?;
        let rows = starts.last().copied().unwrap_or(0);
        if rows > input_rows {
            return Err(self.other("it has more rows than the input"));
        }
        Ok((starts.len() - 1, rows))
    }

    /// Returns the number of rows before each part, and that of all.
    pub fn starts(&self) -> Result<Vec<u64>, Failure> {
        let mut starts = vec![0];
        for part in 1.. {
            let path = self.path(part);
            if !path.exists() {
                break;
            }
            let file = ParquetFile::open(&path)?;
            self.check(&file)?;
            starts.push(starts[part - 1] + file.rows());
        }
        Ok(starts)
    }

    /// Checks that a part has the expected columns and was written from the same input.
    fn check(&self, part: &ParquetFile) -> Result<(), Failure> {
        let fields = self.schema.fields();
        let is_same = |(column, name): (usize, &str)| {
            fields[column].name() == name && fields[column].data_type() == part.data_type(column)
        };
        if part.names().count() != fields.len() || !part.names().enumerate().all(is_same) {
            return Err(self.other("its columns differ"));
        }
        let metadata = part.metadata().file_metadata().key_value_metadata();
        let input = metadata.into_iter().flatten().find(|pair| pair.key == INPUT);
        if input.and_then(|pair| pair.value.as_ref()) != Some(&self.input) {
            return Err(self.other("the input differs"));
        }
        Ok(())
    }

    /// Writes a part, which gets its final name only once it is complete.
    pub fn write(&self, part: usize, predictions: &[Option<Prediction>]) -> Result<(), Failure> {
        let path = self.path(part);
        let partial = path.with_extension("partial");
        let rows = RecordBatch::try_new(self.schema.clone(), self.arrays(predictions));
        let rows = rows.map_err(|error| failure(&partial, error))?;
        let file = create(&partial)?;
        let metadata = vec![KeyValue::new(INPUT.to_owned(), self.input.clone())];
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(metadata))
            .build();
        let mut writer = ArrowWriter::try_new(file, self.schema.clone(), Some(properties))
            .map_err(|error| write_failure(&partial, error))?;
        writer.write(&rows).map_err(|error| write_failure(&partial, error))?;
        writer.close().map_err(|error| write_failure(&partial, error))?;
        fs::rename(&partial, &path).map_err(|source| self.unwritable(source))
    }

    /// Returns the added columns.
    fn arrays(&self, predictions: &[Option<Prediction>]) -> Vec<ArrayRef> {
        let each = || predictions.iter().map(Option::as_ref);
        let labels: StringArray = each().map(|row| row.map(Prediction::label)).collect();
        let scores: Float32Array = each().map(|row| row.map(Prediction::score)).collect();
        let by_label = (0..self.schema.fields().len() - 2).map(|label| -> ArrayRef {
            let scores = each().map(|row| row.map(|prediction| prediction.scores()[label]));
            Arc::new(scores.collect::<Float32Array>())
        });
        [Arc::new(labels) as ArrayRef, Arc::new(scores)].into_iter().chain(by_label).collect()
    }

    /// Reads a column of a part.
    pub fn read(&self, part: usize, column: usize) -> Result<Values, Failure> {
        let path = self.path(part);
        let (mut labels, mut scores) = (Vec::new(), Vec::new());
        for batch in ParquetFile::open(&path)?.batches(&path, &[column], 0)? {
            let batch = batch.map_err(|error| failure(&path, error))?;
            match batch.column(0) {
                found if *found.data_type() == DataType::Utf8 => {
                    labels.extend(found.as_string::<i32>().iter().map(|l| l.map(str::to_owned)));
                }
                found => scores.extend(found.as_primitive::<Float32Type>()),
            }
        }
        Ok(if column == 0 { Values::Labels(labels) } else { Values::Scores(scores) })
    }

    /// Returns the label and the score of the last row of a part.
    pub fn last(&self, part: usize) -> Result<Option<(String, f32)>, Failure> {
        match (self.read(part, 0)?, self.read(part, 1)?) {
            (Values::Labels(mut labels), Values::Scores(mut scores)) => {
                Ok(labels.pop().flatten().zip(scores.pop().flatten()))
            }
            _ => Ok(None),
        }
    }

    /// Removes the parts, and the folder unless it contains other files.
    pub fn remove(&self) -> Result<(), Failure> {
        for file in self.files() {
            fs::remove_file(file).map_err(|source| self.unwritable(source))?;
        }
        match fs::remove_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.map_err(|source| self.unwritable(source)),
        }
    }

    /// Returns the files of the folder that are parts.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let is_part = |path: &PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let is_number = stem.len() >= 6 && stem.bytes().all(|byte| byte.is_ascii_digit());
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("parquet") => is_number,
                Some("partial") => is_number || stem == "merged",
                _ => false,
            }
        };
        entries.map(|entry| entry.path()).filter(is_part).collect()
    }

    /// Returns the error that the parts were written by another run.
    fn other(&self, reason: &str) -> Failure {
        Failure::OtherOutput { path: self.folder.clone(), reason: reason.to_owned() }
    }

    /// Returns the error that the folder cannot be written.
    fn unwritable(&self, source: io::Error) -> Failure {
        Failure::Write { path: self.folder.clone(), source }
    }
}

/// Creates a file under a temporary name.
pub fn create(partial: &Path) -> Result<File, Failure> {
    let failure = |source| Failure::Write { path: partial.into(), source };
    // Whatever has the name, such as a link, is replaced and not followed.
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failure(error)),
        _ => {}
    }
    File::create_new(partial).map_err(failure)
}

/// Returns the added columns with their types.
fn schema(added: &AddedColumns) -> Schema {
    let types = [DataType::Utf8].into_iter().chain(std::iter::repeat(DataType::Float32));
    let columns = added.names().into_iter().zip(types);
    Schema::new(
        columns.map(|(name, data_type)| Field::new(name, data_type, true)).collect::<Vec<_>>(),
    )
}

/// Returns a hash of a file's size and footer, which lists the sizes and offsets of all columns.
fn fingerprint(mut file: &File) -> io::Result<String> {
    const END: u64 = 8;
    let size = file.seek(SeekFrom::End(0))?;
    let mut end = [0; END as usize];
    file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
    file.read_exact(&mut end)?;
    let len = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]])) + END;
    let mut footer = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(len)))?;
    file.take(len).read_to_end(&mut footer)?;
    // FNV-1a, which is the same in every version of the program.
    let bytes = footer.iter().chain(&size.to_le_bytes()).copied().collect::<Vec<u8>>();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    Ok(format!("{hash:016x}"))
}
