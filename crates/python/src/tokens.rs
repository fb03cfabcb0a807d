//! Logits of token ids in NumPy arrays.

use distilbert::{Classifier, Error, InputError, TokenBatch};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::exception;

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
    let shape = ids.shape();
    if let Some(found) = mask.as_ref().map(Matrix::shape).filter(|found| *found != shape) {
        let (ids, mask) = (shape.0 * shape.1, found.0 * found.1);
        let error = InputError::PaddedShape { ids, mask, len: shape.1 };
        return Err(exception(error.into()));
    }
    let batch = pack(&ids, mask.as_ref(), shape)?.map_err(exception)?;
    let logits = py.detach(|| classifier.logits(&batch)).map_err(exception)?;
    let logits = PyArray1::from_vec(py, logits);
    Ok(logits.reshape([batch.rows(), classifier.labels().len()])?.into_any())
}

/// Packs the ids whose mask is 1; without a mask, all of them.
fn pack(
    ids: &Matrix<'_>,
    mask: Option<&Matrix<'_>>,
    (rows, len): (usize, usize),
) -> PyResult<Result<TokenBatch, Error>> {
    Ok(match mask {
        Some(mask) => with_slice!(ids, "input_ids", ids => {
            with_slice!(mask, "attention_mask", mask => TokenBatch::from_padded(ids, mask, len))
        }),
        None => with_slice!(ids, "input_ids", ids => {
            TokenBatch::from_padded(ids, &vec![true; rows * len], len)
        }),
    })
}

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
