//! [`Sums`]: the relevance that operations absorb.

use crate::attribution::Shares;
use crate::cpu::sequences::Sequences;

/// Relevance that operations absorb, separated by the tasks that add to it.
#[derive(Default)]
pub(super) struct Sums {
    /// Shares of each row: the head, and what the last layer does with first tokens.
    pub rows: Vec<Shares>,
    /// Shares of each token.
    pub tokens: Vec<Shares>,
    /// Shares of each row and head of attention.
    pub heads: Vec<Shares>,
}

impl Sums {
    /// Zeroes all shares.
    pub fn reset(&mut self, rows: usize, tokens: usize, heads: usize) {
        for (sums, len) in
            [(&mut self.rows, rows), (&mut self.tokens, tokens), (&mut self.heads, rows * heads)]
        {
            sums.clear();
            sums.resize(len, Shares::default());
        }
    }

    /// Writes the total of each row.
    pub fn write_rows(&self, sequences: &Sequences, to: &mut [Shares]) {
        let heads = self.heads.len() / self.rows.len();
        for (row, (tokens, to)) in sequences.iter().zip(to).enumerate() {
            *to = self.rows[row];
            self.tokens[tokens].iter().for_each(|&shares| *to += shares);
            self.heads[row * heads..(row + 1) * heads].iter().for_each(|&shares| *to += shares);
        }
    }
}
