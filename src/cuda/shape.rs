//! What a graph is captured for.

/// Queries that a block of the attention kernel takes.
const BLOCK_QUERIES: usize = 64;

/// Kernels that give a block some rows take at least so many.
const LEAST_STEP: usize = 16;

/// The size of a packed batch, as far as launches depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub tokens: usize,
    pub sequences: usize,
    /// Blocks of queries of the longest sequence.
    pub query_blocks: usize,
}

impl Shape {
    pub fn new(tokens: usize, sequences: usize, longest: usize) -> Self {
        Self { tokens, sequences, query_blocks: longest.div_ceil(BLOCK_QUERIES) }
    }

    /// The shape that is computed for it, so that batches of about the same size share a graph. Up to 128
    /// tokens come in steps of 16, more in eighths of the next power of two: fewer than a quarter as many
    /// again are computed in vain. Of a sequence without tokens, attention's blocks return at once, and the
    /// last layer and the head compute one row.
    pub fn rounded(self) -> Self {
        Self {
            tokens: rounded_tokens(self.tokens),
            sequences: self.sequences.next_power_of_two(),
            query_blocks: self.query_blocks.next_power_of_two(),
        }
    }
}

pub fn rounded_tokens(tokens: usize) -> usize {
    let step = (tokens.next_power_of_two() / 8).max(LEAST_STEP);
    tokens.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_computed_in_vain() {
        for tokens in 1..5000 {
            let rounded = rounded_tokens(tokens);
            assert!(rounded >= tokens && rounded.is_multiple_of(LEAST_STEP));
            assert!(rounded - tokens < LEAST_STEP.max(tokens / 4), "{tokens} became {rounded}");
            assert_eq!(rounded_tokens(rounded), rounded);
        }
    }

    #[test]
    fn sizes_share_shapes() {
        let mut tokens: Vec<_> = (1..=4096).map(rounded_tokens).collect();
        tokens.dedup();
        assert!(tokens.len() < 40, "{tokens:?}");
        let shape = Shape::new(100, 3, 65).rounded();
        assert_eq!(shape, Shape { tokens: 112, sequences: 4, query_blocks: 2 });
    }
}
