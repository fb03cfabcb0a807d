// What the kernels share that give a block one row: its values in registers, sums over the block, layer
// normalisation and rounding to 8 bits.
//
// A block has 128 threads. Each holds chunks of eight values, which are 16 bytes of halves, at distances of 128
// chunks, so that neighbouring threads read neighbouring chunks. Sums run in one order, whatever else is computed.
#pragma once
#include "ptx.cuh"

constexpr int ROW_THREADS = 128, CHUNK_VALUES = 8;
// Blocks of a multiprocessor: 64 registers for each thread, which suffice without spills.
constexpr int ROW_BLOCKS = 8;

// A thread's part of a row.
template <int CHUNKS>
struct Row {
  float values[CHUNKS][CHUNK_VALUES];
};

// Calls `function(chunk, column)` for the thread's chunks, of which `column` is the first value.
template <int CHUNKS, typename Function>
DEVICE void for_each_chunk(int dim, Function function) {
#pragma unroll
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    const int column = (threadIdx.x + chunk * ROW_THREADS) * CHUNK_VALUES;
    if (column < dim) function(chunk, column);
  }
}

struct Sum {
  DEVICE float operator()(float a, float b) const { return a + b; }
};
struct Least {
  DEVICE float operator()(float a, float b) const { return fminf(a, b); }
};
struct Largest {
  DEVICE float operator()(float a, float b) const { return fmaxf(a, b); }
};

// Combines a value of each thread of the block, by way of shared memory: one value of each warp.
template <typename Combine>
DEVICE float over_block(float value, float (&warps)[4], Combine combine) {
  static_assert(ROW_THREADS == 4 * 32, "four warps");
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(~0u, value, distance));
  }
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  value = combine(combine(warps[0], warps[1]), combine(warps[2], warps[3]));
#ifndef BUG_LAYER_NORM_MISSING_BARRIER
  __syncthreads();  // The next reduction writes there again.
#endif
  return value;
}

// Normalises a row: (x − mean) / √(variance + eps) · weight + bias. The variance is summed from deviations: the
// difference of two large sums would lose digits.
template <int CHUNKS>
DEVICE void normalise(Row<CHUNKS>& row, float (&warps)[4], const float* __restrict__ weight,
                      const float* __restrict__ bias, int dim, float eps) {
  float sum = 0.f;
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int) {
#pragma unroll
    for (float value : row.values[chunk]) sum += value;
  });
  const float mean = over_block(sum, warps, Sum()) / dim;
  sum = 0.f;
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int) {
#pragma unroll
    for (float& value : row.values[chunk]) {
      value -= mean;
      sum += value * value;
    }
  });
  const float variance = over_block(sum, warps, Sum()) / dim;
  const float inverse = 1.f / sqrtf(variance + eps);
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int column) {
#pragma unroll
    for (int i = 0; i < CHUNK_VALUES; i += 4) {
      const float4 scale = *reinterpret_cast<const float4*>(weight + column + i);
      const float4 shift = *reinterpret_cast<const float4*>(bias + column + i);
      float* values = row.values[chunk] + i;
      values[0] = values[0] * inverse * scale.x + shift.x;
      values[1] = values[1] * inverse * scale.y + shift.y;
      values[2] = values[2] * inverse * scale.z + shift.z;
      values[3] = values[3] * inverse * scale.w + shift.w;
    }
  });
}

DEVICE void unpack_chunk(float (&values)[CHUNK_VALUES], const __half* from) {
  const uint4 halves = *reinterpret_cast<const uint4*>(from);
  const u32 pairs[4] = {halves.x, halves.y, halves.z, halves.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float2 pair = unpack_halves(pairs[i]);
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

template <int CHUNKS>
DEVICE void load_row(Row<CHUNKS>& row, const __half* from, int dim) {
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int column) { unpack_chunk(row.values[chunk], from + column); });
}

template <int CHUNKS>
DEVICE void store_row(const Row<CHUNKS>& row, __half* to, int dim) {
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int column) {
    const float(&values)[CHUNK_VALUES] = row.values[chunk];
    *reinterpret_cast<uint4*>(to + column) =
        make_uint4(pack_halves(values[0], values[1]), pack_halves(values[2], values[3]),
                   pack_halves(values[4], values[5]), pack_halves(values[6], values[7]));
  });
}

// Rounds a row to 8 bits: value `i` is then (to[i] − zero point) · scale, and `row_scale` becomes {scale, zero
// point}. The range from the least to the largest value, zero included, becomes 0 to 255, so that zero is
// expressed exactly. Every step is rounded as in src/cpu/quantise.rs, for the same integers: no product is fused
// with a sum.
template <int CHUNKS>
DEVICE void quantise(const Row<CHUNKS>& row, float (&warps)[4], u8* to, float2* row_scale, int dim) {
  constexpr float END = 255.f, SMALLEST_NORMAL = 1.17549435e-38f;
  float least = 0.f, largest = 0.f;
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int) {
#pragma unroll
    for (float value : row.values[chunk]) {
      least = fminf(least, value);
      largest = fmaxf(largest, value);
    }
  });
  least = over_block(least, warps, Least());
  largest = over_block(largest, warps, Largest());
  const float step = __fdiv_rn(__fsub_rn(largest, least), END);
  // Steps too small to divide by count as none: all values become zero.
  const float scale = step >= SMALLEST_NORMAL ? step : 0.f;
  const float inverse = scale > 0.f ? __frcp_rn(scale) : 0.f;
  const float zero_point = fminf(rintf(__fmul_rn(-least, inverse)), END);
  for_each_chunk<CHUNKS>(dim, [&](int chunk, int column) {
    u32 bytes[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < CHUNK_VALUES; i++) {
      const float value = __fadd_rn(__fmul_rn(row.values[chunk][i], inverse), zero_point);
      const int rounded = __float2int_rn(fminf(fmaxf(value, 0.f), END));
      bytes[i / 4] |= static_cast<u32>(rounded) << (i % 4 * 8);
    }
    *reinterpret_cast<uint2*>(to + column) = make_uint2(bytes[0], bytes[1]);
  });
  if (threadIdx.x == 0) *row_scale = make_float2(scale, zero_point);
}
