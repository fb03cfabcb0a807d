// Multi-head attention over packed sequences with an online softmax; scores stay in registers.
//
// Kernels: attention_HEAD computes all queries; attention_first_HEAD, for the last layer, computes only the query of
// each sequence's first token. HEAD, the head size, is 16, 32, 64 or 128.
//
// Launch: grid (ceil(longest sequence / 64), or 1 for attention_first; heads; sequences), 128 threads, no dynamic
// shared memory. Blocks past the end of their sequence return at once, so the grid may be larger than needed.
//
// Shapes: query, key and value are rows of f16, `query_stride` and `key_stride` elements apart, in which head `h` is
// the columns from h · HEAD on. There is one key and one value per token, and one query per token or per sequence.
// sequence_ends [sequences] holds the exclusive end of each sequence among the packed tokens; the next sequence begins
// there. context is [rows of queries, heads · HEAD].
// Requires: strides are multiples of 8; all pointers are aligned to 16 bytes.
//
// The keys of a sequence are processed in order, in tiles of a fixed size, so the result depends on no other sequence,
// and both kernels give the first token the same bits. Keys past the end of a sequence are skipped.
#include "ptx.cuh"

constexpr int WARPS = 4, THREADS = WARPS * 32, WARP_QUERIES = 16, QUERIES = WARPS * WARP_QUERIES;

// Constants of a head size. Keys and values are double-buffered, so that the next tile is fetched during computation;
// shared memory is at most 48 KiB.
template <int SIZE_>
struct Head {
  static constexpr int SIZE = SIZE_, CHUNKS = SIZE / 8;
  static constexpr int KEYS = SIZE > 64 ? 32 : 64;
  // Resident blocks per multiprocessor for which the registers suffice without spills.
  static constexpr int BLOCKS = SIZE <= 32 ? 4 : SIZE == 64 ? 3 : 2;
  // log2(e) / √SIZE, since the softmax is computed with powers of 2.
  static constexpr float SCALE = 1.44269504f * (SIZE == 16    ? 0.25f
                                                : SIZE == 32  ? 0.17677670f
                                                : SIZE == 64  ? 0.125f
                                                              : 0.08838835f);
};

// Shared memory of a block.
template <typename H>
struct Tiles {
  u8 queries[QUERIES * H::SIZE * sizeof(__half)];
  u8 keys[2][H::KEYS * H::SIZE * sizeof(__half)], values[2][H::KEYS * H::SIZE * sizeof(__half)];
};

// Operands of a block: one head of up to 64 query rows of one sequence.
struct Operands {
  const __half *query, *key, *value;
  __half* context;
  int query_stride, key_stride, context_stride;
  // Number of queries of the block, at most 64.
  int queries;
  // Number of keys of the sequence.
  int keys;
};

// State of a warp's 16 queries. In each 16x8 tile, lane `l` holds two neighboring columns of rows `l / 4` and
// `l / 4 + 8`.
template <typename H>
struct State {
  u32 queries[H::CHUNKS / 2][4];
  float sums[H::CHUNKS][4] = {};
  // Largest score so far, and the sum of this lane's exponentials, for each of the two rows.
  float largest[2], total[2] = {};
};

// Reductions over the four lanes that share a row.
DEVICE float largest_of_row(float value) {
  value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
  return fmaxf(value, __shfl_xor_sync(~0u, value, 2));
}
DEVICE float sum_of_row(float value) {
  value += __shfl_xor_sync(~0u, value, 1);
  return value + __shfl_xor_sync(~0u, value, 2);
}

// Computes the scores of a warp's queries with a tile of keys.
template <typename H>
DEVICE void score(float (&scores)[H::KEYS / 8][4], const State<H>& state, const u8* keys) {
#pragma unroll
  for (int i = 0; i < H::CHUNKS / 2; i++) {
#pragma unroll
    for (int j = 0; j < H::KEYS / 16; j++) {
      u32 b[4];
      load_b<H::CHUNKS>(b, keys, j * 16, i * 2);
      mma(scores[2 * j], state.queries[i], b[0], b[1]);
      mma(scores[2 * j + 1], state.queries[i], b[2], b[3]);
    }
  }
}

// Replaces the scores by exponentials relative to the largest score so far, and rescales the earlier sums to it.
template <typename H>
DEVICE void exponentials(float (&scores)[H::KEYS / 8][4], State<H>& state, int keys) {
  const float NONE = __int_as_float(0xff800000);  // Minus infinity.
  const int column = threadIdx.x % 4 * 2;
  float largest[2] = {state.largest[0], state.largest[1]};
#pragma unroll
  for (int j = 0; j < H::KEYS / 8; j++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (j * 8 + column + i % 2 >= keys) scores[j][i] = NONE;
      largest[i / 2] = fmaxf(largest[i / 2], scores[j][i]);
    }
  }
#pragma unroll
  for (int row = 0; row < 2; row++) {
    // Every tile has at least one key, so the largest score is finite from here on.
    largest[row] = largest_of_row(largest[row]);
    const float factor = exp2_approximate((state.largest[row] - largest[row]) * H::SCALE);
    state.largest[row] = largest[row];
    state.total[row] *= factor;
#pragma unroll
    for (int j = 0; j < H::CHUNKS; j++) {
      state.sums[j][2 * row] *= factor;
      state.sums[j][2 * row + 1] *= factor;
    }
    const float offset = -largest[row] * H::SCALE;
#pragma unroll
    for (int j = 0; j < H::KEYS / 8; j++) {
#pragma unroll
      for (int i = 2 * row; i < 2 * row + 2; i++) {
        scores[j][i] = exp2_approximate(fmaf(scores[j][i], H::SCALE, offset));
        state.total[row] += scores[j][i];
      }
    }
  }
}

// Accumulates the weighted values of a tile. Two 16x8 accumulators have the layout of the next `mma`'s first operand.
template <typename H>
DEVICE void add_values(State<H>& state, const float (&weights)[H::KEYS / 8][4], const u8* values) {
#pragma unroll
  for (int i = 0; i < H::KEYS / 16; i++) {
    const float(&left)[4] = weights[2 * i], (&right)[4] = weights[2 * i + 1];
    const u32 a[4] = {pack_halves(left[0], left[1]), pack_halves(left[2], left[3]), pack_halves(right[0], right[1]),
                      pack_halves(right[2], right[3])};
#pragma unroll
    for (int j = 0; j < H::CHUNKS / 2; j++) {
      u32 b[4];
      load_b_transposed<H::CHUNKS>(b, values, i * 16, j * 2);
      mma(state.sums[2 * j], a, b[0], b[1]);
      mma(state.sums[2 * j + 1], a, b[2], b[3]);
    }
  }
}

// Stores a warp's rows through the part of shared memory that held its queries, so that stores are 16 bytes wide.
template <typename H>
DEVICE void store(const State<H>& state, u8* tile, int first_row, const Operands& operands) {
  const int lane = threadIdx.x % 32;
  __syncwarp();
#pragma unroll
  for (int row = 0; row < 2; row++) {
    const float share = 1.f / sum_of_row(state.total[row]);
#pragma unroll
    for (int j = 0; j < H::CHUNKS; j++) {
      u8* chunk = tile + swizzled<H::CHUNKS>(first_row + row * 8 + lane / 4, j);
      reinterpret_cast<u32*>(chunk)[lane % 4] =
          pack_halves(state.sums[j][2 * row] * share, state.sums[j][2 * row + 1] * share);
    }
  }
  __syncwarp();
#pragma unroll
  for (int index = lane; index < WARP_QUERIES * H::CHUNKS; index += 32) {
    const int row = first_row + index / H::CHUNKS, chunk = index % H::CHUNKS;
    if (row >= operands.queries) continue;
    __half* to = operands.context + static_cast<size_t>(row) * operands.context_stride + chunk * 8;
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(tile + swizzled<H::CHUNKS>(row, chunk));
  }
}

template <typename H>
DEVICE void attention(Tiles<H>& tiles, const Operands& operands) {
  const int first_row = threadIdx.x / 32 * WARP_QUERIES;
  const size_t query_bytes = operands.query_stride * sizeof(__half), key_bytes = operands.key_stride * sizeof(__half);
  const TileSource<QUERIES, H::CHUNKS, THREADS> queries(operands.query, query_bytes);
  const TileSource<H::KEYS, H::CHUNKS, THREADS> keys(operands.key, key_bytes), values(operands.value, key_bytes);
  const auto load = [&](int buffer, int first_key) {
    keys.load(tiles.keys[buffer], first_key * key_bytes, operands.keys - first_key);
    values.load(tiles.values[buffer], first_key * key_bytes, operands.keys - first_key);
    cp_async_commit();
  };
  queries.load(tiles.queries, 0, operands.queries);
  load(0, 0);

  State<H> state;
  state.largest[0] = state.largest[1] = __int_as_float(0xff800000);
  // Warps past the last query of a sequence only take part in copies.
  const bool computes = first_row < operands.queries;
  int buffer = 0;
  for (int first_key = 0; first_key < operands.keys; first_key += H::KEYS, buffer ^= 1) {
    cp_async_wait<0>();
    // All threads' copies of this tile have arrived, and no thread still reads the previous buffer, which is refilled.
    __syncthreads();
    const int next_key = first_key + H::KEYS;
    if (next_key < operands.keys) load(buffer ^ 1, next_key);
    if (!computes) continue;
    if (first_key == 0) {
#pragma unroll
      for (int i = 0; i < H::CHUNKS / 2; i++) load_a<H::CHUNKS>(state.queries[i], tiles.queries, first_row, i * 2);
    }
    float scores[H::KEYS / 8][4] = {};
    score(scores, state, tiles.keys[buffer]);
    exponentials(scores, state, operands.keys - first_key);
    add_values(state, scores, tiles.values[buffer]);
  }
  if (computes) store(state, tiles.queries, first_row, operands);
}

// Token range of sequence blockIdx.z.
struct Tokens {
  int start, count;
};
DEVICE Tokens tokens_of_sequence(const int* sequence_ends) {
  const int start = blockIdx.z == 0 ? 0 : sequence_ends[blockIdx.z - 1];
  return {start, sequence_ends[blockIdx.z] - start};
}

// Returns the operands of head blockIdx.y for the keys of `tokens` and the queries from row `query_row` on.
template <typename H>
DEVICE Operands operands(const __half* query, const __half* key, const __half* value, __half* context,
                         int query_stride, int key_stride, Tokens tokens, int query_row, int queries) {
  const int column = blockIdx.y * H::SIZE, context_stride = gridDim.y * H::SIZE;
  const size_t key_offset = static_cast<size_t>(tokens.start) * key_stride + column;
  return {query + static_cast<size_t>(query_row) * query_stride + column,
          key + key_offset,
          value + key_offset,
          context + static_cast<size_t>(query_row) * context_stride + column,
          query_stride,
          key_stride,
          context_stride,
          queries,
          tokens.count};
}

#define ATTENTION(SIZE)                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS, Head<SIZE>::BLOCKS)                                           \
      attention_##SIZE(const __half* __restrict__ query, const __half* __restrict__ key,                              \
                       const __half* __restrict__ value, const int* __restrict__ sequence_ends,                       \
                       __half* __restrict__ context, int query_stride, int key_stride) {                              \
    __shared__ __align__(128) Tiles<Head<SIZE>> tiles;                                                                \
    const Tokens tokens = tokens_of_sequence(sequence_ends);                                                          \
    const int first = blockIdx.x * QUERIES;                                                                           \
    if (first >= tokens.count) return;                                                                                \
    attention(tiles, operands<Head<SIZE>>(query, key, value, context, query_stride, key_stride, tokens,               \
                                          tokens.start + first, min(tokens.count - first, QUERIES)));                 \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(THREADS, Head<SIZE>::BLOCKS)                                           \
      attention_first_##SIZE(const __half* __restrict__ query, const __half* __restrict__ key,                        \
                             const __half* __restrict__ value, const int* __restrict__ sequence_ends,                 \
                             __half* __restrict__ context, int query_stride, int key_stride) {                        \
    __shared__ __align__(128) Tiles<Head<SIZE>> tiles;                                                                \
    const Tokens tokens = tokens_of_sequence(sequence_ends);                                                          \
    if (blockIdx.x > 0 || tokens.count <= 0) return;                                                                  \
    attention(tiles, operands<Head<SIZE>>(query, key, value, context, query_stride, key_stride, tokens, blockIdx.z, 1));\
  }

ATTENTION(16)
ATTENTION(32)
ATTENTION(64)
ATTENTION(128)
