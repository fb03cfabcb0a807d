//! [`Tiles`]: a matrix of which each task gets a block of rows by a block of columns.

use std::ops::Range;

use super::disjoint::{DisjointMut, Split};
use crate::cpu::sequences::Sequences;

/// Blocks of the rows of a matrix.
#[derive(Clone, Copy)]
pub(crate) enum RowBlocks<'a> {
    /// Blocks of `block` rows, of which the last may have fewer.
    Even { rows: usize, block: usize },
    /// The tokens of each sequence.
    Sequences(&'a Sequences),
}

impl RowBlocks<'_> {
    fn len(self) -> usize {
        match self {
            Self::Even { rows, block } => rows.div_ceil(block),
            Self::Sequences(sequences) => sequences.len(),
        }
    }

    fn get(self, index: usize) -> Range<usize> {
        match self {
            Self::Even { rows, block } => index * block..rows.min((index + 1) * block),
            Self::Sequences(sequences) => sequences.tokens_of(index),
        }
    }
}

/// Blocks of columns: `width` each from `origin` on, cut to `range`.
#[derive(Clone)]
pub(crate) struct ColumnBlocks {
    pub range: Range<usize>,
    pub origin: usize,
    pub width: usize,
}

impl ColumnBlocks {
    /// Returns `count` blocks of `width` columns.
    pub fn even(count: usize, width: usize) -> Self {
        Self { range: 0..count * width, origin: 0, width }
    }

    fn len(&self) -> usize {
        (self.range.end - self.origin).div_ceil(self.width)
    }

    fn get(&self, index: usize) -> Range<usize> {
        let start = self.origin + index * self.width;
        self.range.start.max(start)..self.range.end.min(start + self.width)
    }
}

/// A row-major matrix in tiles: every block of rows by every block of columns, with columns changing fastest.
pub(crate) struct Tiles<'a, T = f32> {
    values: DisjointMut<'a, T>,
    stride: usize,
    rows: RowBlocks<'a>,
    columns: ColumnBlocks,
}

impl<'a, T> Tiles<'a, T> {
    /// Splits a matrix whose rows are `stride` values apart.
    ///
    /// # Panics
    /// If rows overlap.
    pub fn new(
        (values, stride): (&'a mut [T], usize),
        rows: RowBlocks<'a>,
        columns: ColumnBlocks,
    ) -> Self {
        assert!(columns.range.end <= stride, "the rows overlap");
        assert!(columns.origin <= columns.range.start, "columns before the first block");
        Self { values: DisjointMut::new(values), stride, rows, columns }
    }
}

// SAFETY: blocks of rows do not overlap, and neither do blocks of columns, which end before the next row begins.
unsafe impl<'a, T: Send> Split for Tiles<'a, T> {
    type Part = Tile<'a, T>;

    fn parts(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    unsafe fn part(&self, index: usize) -> Tile<'a, T> {
        let (row, column) = (index / self.columns.len(), index % self.columns.len());
        let (rows, columns) = (self.rows.get(row), self.columns.get(column));
        if let Some(last) = rows.clone().last() {
            let end = last.checked_mul(self.stride).and_then(|end| end.checked_add(columns.end));
            let is_inside = end.is_some_and(|end| end <= self.values.len);
            assert!(is_inside, "the tile reaches past the matrix");
        }
        let &DisjointMut { start, len, borrow } = &self.values;
        Tile { values: DisjointMut { start, len, borrow }, stride: self.stride, rows, columns }
    }
}

/// A block of rows by a block of columns of a matrix, for one task.
pub(crate) struct Tile<'a, T = f32> {
    values: DisjointMut<'a, T>,
    stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T> Tile<'_, T> {
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Returns the tile's columns of a row of the matrix.
    ///
    /// # Panics
    /// If the row is not in the tile.
    #[cfg(any(all(test, not(loom)), feature = "explain"))]
    #[inline(always)]
    pub fn row(&mut self, row: usize) -> &mut [T] {
        self.part(row, self.columns.clone())
    }

    /// Returns some of the tile's columns of a row of the matrix; both are counted in the matrix.
    ///
    /// # Panics
    /// If they are not in the tile.
    #[inline(always)]
    pub fn part(&mut self, row: usize, columns: Range<usize>) -> &mut [T] {
        let Range { start, end } = columns;
        assert!(self.rows.start <= row && row < self.rows.end, "the row is not in the tile");
        assert!(
            self.columns.start <= start && start <= end && end <= self.columns.end,
            "the columns are not in the tile"
        );
        // SAFETY: the tile lies in the matrix (`Tiles::part`), whose tiles do not overlap and are handed out once;
        // `&mut self` makes this the only reference to it.
        unsafe {
            let start_of_row = self.values.start.add(row * self.stride);
            std::slice::from_raw_parts_mut(start_of_row.add(start), end - start)
        }
    }

    /// Returns the address of a value to prefetch, which need not be in the tile.
    #[inline(always)]
    pub fn address(&self, row: usize, column: usize) -> *const T {
        self.values.start.wrapping_add(row * self.stride + column)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::cpu::parallel::threads::Threads;

    fn add_one(values: &mut [u32]) {
        values.iter_mut().for_each(|value| *value += 1);
    }

    #[test]
    fn tiles_cover_the_columns_of_every_row_once_and_nothing_else() {
        let threads = Threads::new(2).unwrap();
        let sequences: Sequences = [3, 1, 4].into_iter().collect();
        let columns =
            [ColumnBlocks { range: 5..11, origin: 4, width: 4 }, ColumnBlocks::even(3, 4)];
        for columns in columns {
            for rows in [RowBlocks::Even { rows: 8, block: 3 }, RowBlocks::Sequences(&sequences)] {
                const STRIDE: usize = 13;
                let mut values = vec![0; 8 * STRIDE];
                threads.run(|mut leader| {
                    let tiles = Tiles::new((&mut values, STRIDE), rows, columns.clone());
                    leader.for_each(tiles, |_, mut tile| {
                        for row in tile.rows() {
                            add_one(tile.row(row));
                        }
                    });
                });
                for (index, &value) in values.iter().enumerate() {
                    assert_eq!(value, u32::from(columns.range.contains(&(index % STRIDE))));
                }
            }
        }
    }

    #[test]
    #[should_panic = "the columns are not in the tile"]
    fn a_tile_refuses_the_columns_of_another() {
        let mut values = [0; 16];
        let rows = RowBlocks::Even { rows: 2, block: 1 };
        let tiles = Tiles::new((&mut values, 8), rows, ColumnBlocks::even(2, 4));
        Threads::CALLER.run(|mut leader| {
            leader.for_each(tiles, |index, mut tile| {
                tile.part(index / 2, 4 * (1 - index % 2)..5);
            });
        });
    }
}
