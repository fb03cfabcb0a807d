//! The output: the input's columns as they are stored, and the predictions.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use distilbert::boundary::guarded;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{ColumnOrder, Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::column::writer::{ColumnCloseResult, ColumnWriterImpl};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::types::{Type, TypePtr};

use super::super::rows::AddedColumns;
use super::parts::{self, Parts, Values};
use crate::failure::Failure;
use crate::table::parquet::{ParquetFile, write_failure};

/// Schema and properties of an output.
pub struct Target {
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    /// Number of added columns.
    added: usize,
}

impl Target {
    /// Plans the output for an input.
    ///
    /// # Errors
    /// Returns the reason if a column can't be copied.
    pub fn new(input: &ParquetFile, added: &AddedColumns) -> Result<Self, String> {
        check_columns(input)?;
        let metadata = input.metadata().file_metadata();
        let names = added.names();
        let root = metadata.schema();
        let mut fields = root.get_fields().to_vec();
        for (column, name) in names.iter().enumerate() {
            fields.push(Arc::new(added_type(column, name).map_err(|error| error.to_string())?));
        }
        let schema = Type::group_type_builder(root.name()).with_fields(fields).build();
        let mut pairs = metadata.key_value_metadata().cloned().unwrap_or_default();
        for pair in &mut pairs {
            if pair.key == ARROW_SCHEMA_META_KEY {
                pair.value =
                    pair.value.take().map(|schema| with_added(&schema, &names)).transpose()?;
            }
        }
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // The input's statistics may have to be read by the rules of its writer.
            .set_created_by(metadata.created_by().unwrap_or_default().to_owned())
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_sorting_columns(sorting(input.metadata().row_groups()));
        if metadata.key_value_metadata().is_some() {
            properties = properties.set_key_value_metadata(Some(pairs));
        }
        Ok(Self {
            schema: Arc::new(schema.map_err(|error| error.to_string())?),
            properties: Arc::new(properties.build()),
            added: names.len(),
        })
    }

    /// Checks an output that exists under its final name and is therefore complete.
    ///
    /// # Errors
    /// [`Failure::OtherOutput`] if its columns or its number of rows differ.
    pub fn check_complete(&self, output: &Path, rows: u64) -> Result<(), Failure> {
        let file = ParquetFile::open(output)?;
        let other = |reason: String| Failure::OtherOutput { path: output.into(), reason };
        if file.metadata().file_metadata().schema() != self.schema.as_ref() {
            return Err(other("its columns differ".to_owned()));
        }
        if file.rows() != rows {
            let reason = format!("it has {} rows, but the input has {rows}", file.rows());
            return Err(other(reason));
        }
        Ok(())
    }

    /// Writes the output.
    pub fn merge(&self, input: &ParquetFile, parts: &Parts<'_>) -> Result<(), Failure> {
        let partial = parts.folder.join("merged.partial");
        let written = self.write(input, parts, &partial);
        let written = written.and_then(|()| {
            fs::rename(&partial, parts.output)
                .map_err(|source| Failure::Write { path: parts.output.into(), source })
        });
        if written.is_err() {
            // An incomplete file is useless, and a full disk needs the space.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn write(&self, input: &ParquetFile, parts: &Parts<'_>, partial: &Path) -> Result<(), Failure> {
        let failure = |error| write_failure(partial, error);
        let file = parts::create(partial)?;
        let writer = SerializedFileWriter::new(file, self.schema.clone(), self.properties.clone());
        let mut writer = writer.map_err(failure)?;
        let mut predictions = Predictions::new(parts, self.added)?;
        let mut start = 0;
        for group in input.metadata().row_groups() {
            let mut out = writer.next_row_group().map_err(failure)?;
            copy_columns(input, group, &mut out).map_err(failure)?;
            let end = start + u64::try_from(group.num_rows()).unwrap_or(0);
            for column in 0..self.added {
                let missing = || failure(ParquetError::General("a column is missing".to_owned()));
                let mut writer = out.next_column().map_err(failure)?.ok_or_else(missing)?;
                predictions.write(column, start..end, |values, range| {
                    write_values(&mut writer, values, range).map_err(failure)
                })?;
                writer.close().map_err(failure)?;
            }
            out.close().map_err(failure)?;
            start = end;
        }
        writer.close().map(drop).map_err(failure)
    }
}

/// Checks that each column chunk is a range of the file.
fn check_columns(input: &ParquetFile) -> Result<(), String> {
    let groups = input.metadata().row_groups();
    if groups.len() > i16::MAX as usize {
        return Err(format!("expected at most {} row groups, found {}", i16::MAX, groups.len()));
    }
    let size = input.file.metadata().map_err(|error| error.to_string())?.len();
    for chunk in groups.iter().flat_map(RowGroupMetaData::columns) {
        let path = chunk.column_path().string();
        if chunk.file_path().is_some() {
            return Err(format!("column `{path}` is stored in another file"));
        }
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let range = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
        let end = range.and_then(|(start, len)| start.checked_add(len));
        if end.is_none_or(|end| end > size) {
            return Err(format!("column `{path}` extends beyond the end of the file"));
        }
    }
    Ok(())
}

/// Returns the type of an added column.
fn added_type(column: usize, name: &str) -> ParquetResult<Type> {
    let is_label = column == 0;
    let physical = if is_label { PhysicalType::BYTE_ARRAY } else { PhysicalType::FLOAT };
    Type::primitive_type_builder(name, physical)
        .with_logical_type(is_label.then_some(LogicalType::String))
        .with_repetition(Repetition::OPTIONAL)
        .build()
}

/// Adds the columns to the Arrow schema that some writers store.
pub fn with_added(encoded: &str, names: &[String]) -> Result<String, String> {
    let invalid =
        |reason: &dyn std::fmt::Display| format!("invalid {ARROW_SCHEMA_META_KEY}: {reason}");
    let bytes = BASE64.decode(encoded).map_err(|error| invalid(&error))?;
    let read = || arrow_ipc::convert::try_schema_from_ipc_buffer(&bytes);
    let schema = guarded("arrow-ipc", read).map_err(|error| invalid(&error))?;
    let mut fields = schema.fields().to_vec();
    for (column, name) in names.iter().enumerate() {
        let data_type = if column == 0 { DataType::Utf8 } else { DataType::Float32 };
        fields.push(Arc::new(Field::new(name, data_type, true)));
    }
    Ok(encode_arrow_schema(&Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// Returns the order of the rows, if it is that of all row groups.
fn sorting(groups: &[RowGroupMetaData]) -> Option<Vec<parquet::file::metadata::SortingColumn>> {
    let first = groups.first()?.sorting_columns()?;
    groups.iter().all(|group| group.sorting_columns() == Some(first)).then(|| first.clone())
}

/// Copies the columns of a row group without decoding them.
fn copy_columns(
    input: &ParquetFile,
    group: &RowGroupMetaData,
    out: &mut SerializedRowGroupWriter<'_, File>,
) -> ParquetResult<()> {
    let orders = input.metadata().file_metadata().column_orders();
    for (index, chunk) in group.columns().iter().enumerate() {
        let order = orders.and_then(|orders| orders.get(index).copied());
        let metadata = without_unordered_statistics(chunk.clone(), order)?;
        let result = ColumnCloseResult {
            bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or(0),
            rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        out.append_column(&input.file, result)?;
    }
    Ok(())
}

/// Drops statistics whose order is not the one that the output states.
fn without_unordered_statistics(
    chunk: ColumnChunkMetaData,
    order: Option<ColumnOrder>,
) -> ParquetResult<ColumnChunkMetaData> {
    let column = chunk.column_descr();
    let written = ColumnOrder::column_order_for_type(
        column.logical_type_ref(),
        column.converted_type(),
        column.physical_type(),
    );
    if order == Some(written) { Ok(chunk) } else { chunk.into_builder().clear_statistics().build() }
}

/// Predictions in the parts, read column by column.
struct Predictions<'a> {
    parts: &'a Parts<'a>,
    /// Number of rows before each part, and that of all.
    starts: Vec<u64>,
    /// Values of each column in the part that was read last.
    columns: Vec<Option<(usize, Values)>>,
}

impl<'a> Predictions<'a> {
    fn new(parts: &'a Parts<'a>, columns: usize) -> Result<Self, Failure> {
        Ok(Self { parts, starts: parts.starts()?, columns: (0..columns).map(|_| None).collect() })
    }

    /// Passes the values of some rows to `write`, part by part.
    fn write(
        &mut self,
        column: usize,
        rows: std::ops::Range<u64>,
        mut write: impl FnMut(&Values, std::ops::Range<usize>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut next = rows.start;
        while next < rows.end {
            let part = self.starts.partition_point(|&start| start <= next);
            let &[start, end] = &self.starts[part - 1..=part] else { break };
            let cached = &mut self.columns[column];
            if cached.as_ref().is_none_or(|(found, _)| *found != part) {
                *cached = Some((part, self.parts.read(part, column)?));
            }
            let until = end.min(rows.end);
            if let Some((_, values)) = cached {
                write(values, (next - start) as usize..(until - start) as usize)?;
            }
            next = until;
        }
        Ok(())
    }
}

/// Appends values to a column.
fn write_values(
    writer: &mut SerializedColumnWriter<'_>,
    values: &Values,
    rows: std::ops::Range<usize>,
) -> ParquetResult<()> {
    match values {
        Values::Labels(labels) => {
            let labels = labels[rows].iter().map(|l| l.as_deref().map(ByteArray::from));
            write_optional(writer.typed::<ByteArrayType>(), labels)
        }
        Values::Scores(scores) => {
            write_optional(writer.typed::<FloatType>(), scores[rows].iter().copied())
        }
    }
}

fn write_optional<T: parquet::data_type::DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: impl Iterator<Item = Option<T::T>>,
) -> ParquetResult<()> {
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    writer.write_batch(&values, Some(&levels), None).map(drop)
}
