//! Logits of token ids in NumPy arrays.

use std::fmt::Display;

use distilbert::{Classifier, InputError, TokenBatch};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::exception;
use crate::steps::in_steps;

/// Ids or mask: a C-contiguous matrix of one of the integer types that tokenizers use.
enum Matrix<'py> {
    I64(PyReadonlyArray2<'py, i64>),
    I32(PyReadonlyArray2<'py, i32>),
    U32(PyReadonlyArray2<'py, u32>),
    U8(PyReadonlyArray2<'py, u8>),
    Bool(PyReadonlyArray2<'py, bool>),
}

/// Evaluates an expression with the slice of a matrix.
macro_rules! with_slice {
    ($matrix:expr, $name:literal, $slice:ident => $body:expr) => {
        match $matrix {
            Matrix::I64(array) => {
                let $slice = slice(array, $name)?;
                $body
            }
            Matrix::I32(array) => {
                let $slice = slice(array, $name)?;
                $body
            }
            Matrix::U32(array) => {
                let $slice = slice(array, $name)?;
                $body
            }
            Matrix::U8(array) => {
                let $slice = slice(array, $name)?;
                $body
            }
            Matrix::Bool(array) => {
                let $slice = slice(array, $name)?;
                $body
            }
        }
    };
}

/// Computes the logits, an array of shape `[rows, labels]`. The ids are packed from the array's own memory.
pub fn logits<'py>(
    py: Python<'py>,
    classifier: &Classifier,
    input_ids: &Bound<'py, PyAny>,
    attention_mask: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let ids = Matrix::of(input_ids, "input_ids")?;
    let mask = attention_mask.map(|mask| Matrix::of(mask, "attention_mask")).transpose()?;
    let (rows, len) = ids.shape();
    if let Some(found) = mask.as_ref().map(Matrix::shape).filter(|found| *found != (rows, len)) {
        let error = InputError::PaddedShape { ids: rows * len, mask: found.0 * found.1, len };
        return Err(exception(error.into()));
    }
    if rows * len == 0 {
        return Err(exception(InputError::EmptyBatch.into()));
    }
    let logits = match &mask {
        Some(mask) => with_slice!(&ids, "input_ids", ids => {
            with_slice!(mask, "attention_mask", mask => compute(py, classifier, (ids, Some(mask)), len)?)
        }),
        None => with_slice!(&ids, "input_ids", ids => {
            compute::<_, bool>(py, classifier, (ids, None), len)?
        }),
    };
    let logits = PyArray1::from_vec(py, logits);
    Ok(logits.reshape([rows, classifier.labels().len()])?.into_any())
}

/// Computes the logits of rows of `len` ids each, in steps, for which alone the ids are packed.
fn compute<I: Value, M: Value>(
    py: Python<'_>,
    classifier: &Classifier,
    (ids, mask): (&[I], Option<&[M]>),
    len: usize,
) -> PyResult<Vec<f32>> {
    let rows = ids.len() / len;
    let mut logits = Vec::with_capacity(rows * classifier.labels().len());
    let mut part = Vec::new();
    in_steps(
        py,
        rows,
        // Tokens have some four bytes.
        |_| len.saturating_mul(4),
        None,
        |rows| {
            let values = rows.start * len..rows.end * len;
            let ids = &ids[values.clone()];
            // Attached, so that no Python code changes the arrays meanwhile.
            let batch = Python::attach(|_| match mask {
                Some(mask) => TokenBatch::from_padded(ids, &mask[values], len),
                None => TokenBatch::from_padded(ids, &vec![true; ids.len()], len),
            })?;
            classifier.logits_into(&batch, &mut part)?;
            logits.extend_from_slice(&part);
            Ok(())
        },
    )?;
    Ok(logits)
}

/// Type of ids and masks.
trait Value: Copy + TryInto<u32> + Display + Sync {}

impl<T: Copy + TryInto<u32> + Display + Sync> Value for T {}

impl<'py> Matrix<'py> {
    fn of(array: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        macro_rules! try_types {
            ($($variant:ident),+) => {
                $(if let Ok(array) = array.extract() { return Ok(Self::$variant(array)); })+
            };
        }
        try_types!(I64, I32, U32, U8, Bool);
        let found = array.getattr("dtype").and_then(|dtype| dtype.str());
        let found = found.map_or_else(|_| array.get_type().to_string(), |dtype| dtype.to_string());
        let message = format!(
            "{name} should be a matrix of int64, int32, uint32, uint8 or bool, found {found}"
        );
        Err(PyTypeError::new_err(message))
    }

    fn shape(&self) -> (usize, usize) {
        let shape = match self {
            Self::I64(array) => array.shape(),
            Self::I32(array) => array.shape(),
            Self::U32(array) => array.shape(),
            Self::U8(array) => array.shape(),
            Self::Bool(array) => array.shape(),
        };
        (shape[0], shape[1])
    }
}

/// Returns the elements of a matrix, row by row.
fn slice<'a, T: numpy::Element>(
    array: &'a PyReadonlyArray2<'_, T>,
    name: &str,
) -> PyResult<&'a [T]> {
    // `numpy.ascontiguousarray` in the package's Python files makes it so.
    let contiguous = array.is_c_contiguous().then(|| array.as_slice());
    match contiguous {
        Some(Ok(slice)) => Ok(slice),
        _ => Err(PyTypeError::new_err(format!("{name} should be contiguous"))),
    }
}
