//! Shapes: the sizes for which graphs are captured.

use super::kernels::attention::BLOCK_QUERIES;

/// Granularity of token counts: the rows of the smallest GEMM tile.
const MIN_STEP: usize = 16;

/// Size of a sub-batch, as far as launches depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub tokens: usize,
    pub sequences: usize,
    /// Number of attention query blocks of the longest sequence.
    pub query_blocks: usize,
}

impl Shape {
    pub fn new(tokens: usize, sequences: usize, longest: usize) -> Self {
        Self { tokens, sequences, query_blocks: longest.div_ceil(BLOCK_QUERIES) }
    }

    /// Rounds the shape up, so that batches of similar size share a graph.
    ///
    /// Token counts are rounded to multiples of 16 up to 128 tokens, and to eighths of the next power of
    /// two above. This adds fewer than 16 tokens or less than a quarter. For an added sequence, which has no
    /// tokens, attention returns at once, and the last layer and the head compute one row.
    pub fn rounded(self) -> Self {
        Self {
            tokens: rounded_tokens(self.tokens),
            sequences: self.sequences.next_power_of_two(),
            query_blocks: self.query_blocks.next_power_of_two(),
        }
    }
}

/// Rounds a token count as [`Shape::rounded`] does.
pub fn rounded_tokens(tokens: usize) -> usize {
    let step = (tokens.next_power_of_two() / 8).max(MIN_STEP);
    tokens.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_adds_less_than_a_quarter() {
        for tokens in 1..5000 {
            let rounded = rounded_tokens(tokens);
            assert!(rounded >= tokens && rounded.is_multiple_of(MIN_STEP));
            assert!(rounded - tokens < MIN_STEP.max(tokens / 4), "{tokens} became {rounded}");
            assert_eq!(rounded_tokens(rounded), rounded);
        }
    }

    #[test]
    fn similar_sizes_share_a_shape() {
        let mut tokens: Vec<_> = (1..=4096).map(rounded_tokens).collect();
        tokens.dedup();
        assert!(tokens.len() < 40, "{tokens:?}");
        let shape = Shape::new(100, 3, 65).rounded();
        assert_eq!(shape, Shape { tokens: 112, sequences: 4, query_blocks: 2 });
    }
}
