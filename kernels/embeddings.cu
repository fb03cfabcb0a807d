// Embeddings: the sum of each token's word and position embedding, layer-normalized.
//
// Launch: one block of 128 threads per token, no dynamic shared memory.
// Shapes: input_ids and positions [tokens]; word [words, dim] and position [positions, dim]; weight and bias [dim];
// states [tokens, dim] in f16.
// Requires: every id is below `words` and every position below `positions`; dim is a multiple of 8 and at most 2048;
// tables, vectors and outputs are aligned to 16 bytes.
#include "row.cuh"

constexpr int CHUNKS = 2;

// Embeddings from tables in f16.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    embeddings_f16(const u32* __restrict__ input_ids, const u32* __restrict__ positions,
                   const __half* __restrict__ word, const __half* __restrict__ position,
                   const float* __restrict__ weight, const float* __restrict__ bias, __half* __restrict__ states,
                   int dim, float eps) {
  word += static_cast<size_t>(input_ids[blockIdx.x]) * dim;
  position += static_cast<size_t>(positions[blockIdx.x]) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int column) {
    float(&values)[CHUNK_VALUES] = row.values[chunk];
    float others[CHUNK_VALUES];
    unpack_chunk(values, word + column);
    unpack_chunk(others, position + column);
#pragma unroll
    for (int i = 0; i < CHUNK_VALUES; i++) values[i] += others[i];
  });
  normalize(row, warps, weight, bias, dim, eps);
  store_row(row, states + static_cast<size_t>(blockIdx.x) * dim, dim);
}

// Returns signed byte `i` of a chunk of eight.
DEVICE float signed_byte(uint2 chunk, int i) {
  const u32 bytes = i < 4 ? chunk.x : chunk.y;
  return static_cast<signed char>(bytes >> (i % 4 * 8));
}

// Embeddings from tables of s8 rows, each with its own scale: word_scales [words], position_scales [positions]. Also
// quantizes the normalized f32 values, before they are rounded to f16: quantized [tokens, dim] in u8 and row_scales
// [tokens] of {scale, zero point}.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    embeddings_int8(const u32* __restrict__ input_ids, const u32* __restrict__ positions,
                    const signed char* __restrict__ word, const float* __restrict__ word_scales,
                    const signed char* __restrict__ position, const float* __restrict__ position_scales,
                    const float* __restrict__ weight, const float* __restrict__ bias, __half* __restrict__ states,
                    u8* __restrict__ quantized, float2* __restrict__ row_scales, int dim, float eps) {
  const u32 word_row = input_ids[blockIdx.x], position_row = positions[blockIdx.x];
  const float word_scale = word_scales[word_row], position_scale = position_scales[position_row];
  word += static_cast<size_t>(word_row) * dim;
  position += static_cast<size_t>(position_row) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int column) {
    const uint2 words = *reinterpret_cast<const uint2*>(word + column);
    const uint2 places = *reinterpret_cast<const uint2*>(position + column);
#pragma unroll
    for (int i = 0; i < CHUNK_VALUES; i++) {
      row.values[chunk][i] = signed_byte(words, i) * word_scale + signed_byte(places, i) * position_scale;
    }
  });
  normalize(row, warps, weight, bias, dim, eps);
  const size_t first = static_cast<size_t>(blockIdx.x) * dim;
  store_row(row, states + first, dim);
  quantize(row, warps, quantized + first, row_scales + blockIdx.x, dim);
}
