//! [`Source`]: a table from another library.

use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{RecordBatch, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use super::failure;

/// Batches of a table.
pub enum Source {
    Stream(RecordBatchStreamReader),
    Batch(SchemaRef, Option<RecordBatch>),
}

impl Source {
    /// Takes a table from its capsules: that of `__arrow_c_stream__`, or the pair of `__arrow_c_array__`.
    pub fn new(table: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(stream) = table.cast::<PyCapsule>() {
            let stream = pointer::<FFI_ArrowArrayStream>(stream, c"arrow_array_stream")?;
            // SAFETY: by the PyCapsule interface, a capsule of this name points to a stream that the consumer may move
            // from, and the capsule outlives this call. `from_raw` leaves a released stream behind.
            let reader = unsafe { RecordBatchStreamReader::from_raw(stream.as_ptr()) };
            return reader.map(Self::Stream).map_err(failure);
        }
        let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
            table.cast::<PyTuple>()?.extract()?;
        let schema = pointer::<FFI_ArrowSchema>(&schema, c"arrow_schema")?;
        let array = pointer::<FFI_ArrowArray>(&array, c"arrow_array")?;
        // SAFETY: as above; the schema is only read while its capsule exists, and the array is moved out of the capsule.
        let found = unsafe {
            let array = FFI_ArrowArray::from_raw(array.as_ptr());
            batch(array, schema.as_ref())
        };
        let found = found.map_err(failure)?;
        Ok(Self::Batch(found.schema(), Some(found)))
    }

    pub fn schema(&self) -> SchemaRef {
        match self {
            Self::Stream(reader) => reader.schema(),
            Self::Batch(schema, _) => schema.clone(),
        }
    }

    /// Returns the next batch.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self {
            Self::Stream(reader) => reader.next().transpose(),
            Self::Batch(_, batch) => Ok(batch.take()),
        }
    }
}

/// Returns the pointer in a capsule.
fn pointer<T>(capsule: &Bound<'_, PyCapsule>, name: &CStr) -> PyResult<NonNull<T>> {
    Ok(capsule.pointer_checked(Some(name))?.cast())
}

/// Imports a batch.
///
/// # Safety
/// The array has to be one that the schema describes, as the C data interface defines.
unsafe fn batch(
    array: FFI_ArrowArray,
    schema: &FFI_ArrowSchema,
) -> Result<RecordBatch, ArrowError> {
    // SAFETY: the caller's duty.
    let data = unsafe { from_ffi(array, schema) }?;
    if !matches!(data.data_type(), DataType::Struct(_)) || data.null_count() > 0 {
        let found = data.data_type();
        return Err(ArrowError::SchemaError(format!("expected a record batch, found {found}")));
    }
    let schema = Schema::try_from(schema)?;
    let rows = data.len();
    let (_, columns, _) = StructArray::from(data).into_parts();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
}
