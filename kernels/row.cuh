// Building blocks of the kernels that process one row per block: row values in registers, reductions over the block,
// layer normalization and quantization.
//
// A block has 128 threads. Each thread holds chunks of eight values (16 bytes of f16), 128 chunks apart, so that
// neighboring threads read neighboring chunks. Every reduction has a fixed order.
#pragma once
#include "ptx.cuh"

constexpr int ROW_THREADS = 128, CHUNK_VALUES = 8;
// Resident blocks per multiprocessor. This leaves 64 registers per thread, which is enough to avoid spills.
constexpr int ROW_BLOCKS = 8;

// The part of a row that one thread holds.
template <int CHUNKS>
struct Row {
  float values[CHUNKS][CHUNK_VALUES];
};

// Calls `function(chunk, column)` for each of the thread's chunks; `column` is the index of its first value.
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

// Reduces one value per thread over the block, through one shared value per warp.
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
  __syncthreads();  // The next reduction overwrites `warps`.
  return value;
}

// Layer-normalizes a row: (x − mean) / √(variance + eps) · weight + bias. The variance is the mean of squared
// deviations, because E[x²] − E[x]² would lose digits.
template <int CHUNKS>
DEVICE void normalize(Row<CHUNKS>& row, float (&warps)[4], const float* __restrict__ weight,
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

// Quantizes a row to 8 bits: value `i` is approximated by (to[i] − zero point) · scale, and `row_scale` receives {scale,
// zero point}. The range of the values, extended to include zero, maps to 0..=255, so that zero is represented
// exactly. Every step rounds as in src/cpu/ops/quantize.rs and no product is fused with a sum, so both backends
// produce the same integers.
template <int CHUNKS>
DEVICE void quantize(const Row<CHUNKS>& row, float (&warps)[4], u8* to, float2* row_scale, int dim) {
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
  // A subnormal step would overflow the reciprocal, so it counts as zero and all values become zero.
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
