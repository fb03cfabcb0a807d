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
    /// Shares of each row and head of attention, the sums over all layers.
    heads: Vec<Shares>,
    /// Shares of each row and head of one layer, which may have fewer.
    layer_heads: Vec<Shares>,
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

    /// Calls `add` with zeroed shares, one for each row and head of a layer of `heads` heads, and keeps what it adds.
    pub fn add_layer_heads(&mut self, heads: usize, add: impl FnOnce(&mut [Shares])) {
        let Self { rows, heads: all, layer_heads, .. } = self;
        layer_heads.clear();
        layer_heads.resize(rows.len() * heads, Shares::default());
        add(layer_heads);
        let most = all.len() / rows.len();
        for (all, layer) in all.chunks_exact_mut(most).zip(layer_heads.chunks_exact(heads)) {
            all.iter_mut().zip(layer).for_each(|(sum, &shares)| *sum += shares);
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
