//! Values of a tensor that is a view of a larger one, with gaps between them.

use half::{bf16, f16};

use crate::error::Result;
use crate::model::matrix::{Data, Values};

/// Copies the values of a matrix to row-major order. The distances between its rows and between its columns are
/// `strides`, in values; no two values overlap.
///
/// # Errors
/// Fails like [`Region::read`](super::Region::read); values are not checked.
pub(super) fn gather<'a>(
    values: Values<'a>,
    [rows, columns]: [usize; 2],
    [row_stride, column_stride]: [usize; 2],
) -> Result<Values<'a>> {
    let Values { name, data } = values;
    let (region, size) = match &data {
        Data::F32(region) => (*region, size_of::<f32>()),
        Data::F16(region) | Data::Bf16(region) => (*region, size_of::<f16>()),
        Data::Int8 { .. } | Data::Computed(_) => return Ok(Values { name, data }),
    };
    let widen = |bytes: &[u8]| match &data {
        Data::F16(_) => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Data::Bf16(_) => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        _ => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
    };
    // Lines along the smaller stride, so that each byte is read once.
    let by_rows = row_stride >= column_stride;
    let (lines, len, line_stride, stride) = match by_rows {
        true => (rows, columns, row_stride, column_stride),
        false => (columns, rows, column_stride, row_stride),
    };
    let mut found = vec![0.0; rows * columns];
    let mut bytes = vec![0; ((len - 1) * stride + 1) * size];
    for line in 0..lines {
        region.read(&name, line * line_stride * size, &mut bytes)?;
        for (index, value) in bytes.chunks(stride.max(1) * size).take(len).enumerate() {
            let at = if by_rows { line * columns + index } else { index * columns + line };
            found[at] = widen(value);
        }
    }
    Ok(Values { name, data: Data::Computed(found) })
}
