//! [`Rows`]: rows of a row-major buffer.

/// Rows of a row-major buffer, `stride` values apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T = f32> {
    pub values: &'a [T],
    pub stride: usize,
    pub count: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Returns a range of columns of a row.
    #[inline(always)]
    pub fn columns(&self, row: usize, columns: std::ops::Range<usize>) -> &'a [T] {
        let start = row * self.stride;
        &self.values[start + columns.start..start + columns.end]
    }
}

/// Returns the rows that begin in `values`, `stride` values apart.
pub(crate) fn rows(values: &[f32], stride: usize) -> Rows<'_> {
    Rows { values, stride, count: values.len().div_ceil(stride) }
}
