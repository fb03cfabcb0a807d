//! Word plus position embedding, normalised.

use super::isa::Isa;
use super::layer_norm::prepare_and_normalise_rows;
use crate::model::Embeddings;

/// Writes the embedding of each token, a row of `dim` values, to `output`. The ids and positions are
/// within the tables.
pub(crate) fn embed<I: Isa, W: Send>(
    isa: I,
    workers: &mut [W],
    embeddings: &Embeddings,
    input_ids: &[u32],
    positions: &[u32],
    output: &mut [f32],
) {
    prepare_and_normalise_rows(isa, workers, &embeddings.layer_norm, output, |token, row| {
        let dim = row.len();
        let word = &embeddings.word[input_ids[token] as usize * dim..][..dim];
        let position = &embeddings.position[positions[token] as usize * dim..][..dim];
        for ((value, word), position) in row.iter_mut().zip(word).zip(position) {
            *value = word + position;
        }
    });
}
