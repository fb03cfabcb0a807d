// The classification head. Its first layer is a linear_*_bias_relu kernel (linear.cu); this file gathers the rows that
// the head reads and computes the classifier, a linear layer with a handful of outputs.
#include "ptx.cuh"

constexpr int THREADS = 128;

// Gathers the row of each sequence's first token, `row_bytes` bytes each.
//
// Launch: one block of 128 threads per sequence, no dynamic shared memory.
// Shapes: rows, one per token; sequence_ends [sequences], the exclusive end of each sequence among the packed tokens;
// first_rows, one per sequence. The rows of empty sequences are not written.
// Requires: row_bytes is a multiple of 8; pointers are aligned to 8 bytes.
extern "C" __global__ void __launch_bounds__(THREADS)
    gather_first_rows(const u8* __restrict__ rows, const int* __restrict__ sequence_ends, u8* __restrict__ first_rows,
                      int row_bytes) {
  const int start = blockIdx.x == 0 ? 0 : sequence_ends[blockIdx.x - 1];
  if (start >= sequence_ends[blockIdx.x]) return;
  const uint2* from = reinterpret_cast<const uint2*>(rows + static_cast<size_t>(start) * row_bytes);
  uint2* to = reinterpret_cast<uint2*>(first_rows + static_cast<size_t>(blockIdx.x) * row_bytes);
  for (int i = threadIdx.x; i < row_bytes / 8; i += THREADS) to[i] = from[i];
}

template <typename Value>
DEVICE Value sum_of_warp(Value value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

// Returns the label that this thread's warp computes.
DEVICE int label_of_warp() { return blockIdx.x * (THREADS / 32) + threadIdx.x / 32; }

// Returns the dot product of eight f16 values.
DEVICE float product(uint4 input, uint4 weight) {
  const u32 inputs[4] = {input.x, input.y, input.z, input.w}, weights[4] = {weight.x, weight.y, weight.z, weight.w};
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float2 a = unpack_halves(inputs[i]), b = unpack_halves(weights[i]);
    sum = fmaf(a.x, b.x, sum);
    sum = fmaf(a.y, b.y, sum);
  }
  return sum;
}

// Classifier in f16: logits = input · weightᵀ + bias, accumulated in f32.
//
// Launch: grid (ceil(labels / 4), rows), 128 threads, no dynamic shared memory.
// Shapes: input [rows, inputs] and weight [labels, inputs] in f16; bias [labels] and logits [rows, labels] in f32.
// Requires: inputs is a multiple of 8; input and weight are aligned to 16 bytes.
extern "C" __global__ void __launch_bounds__(THREADS)
    classifier_f16(const __half* __restrict__ input, const __half* __restrict__ weight, const float* __restrict__ bias,
                   float* __restrict__ logits, int labels, int inputs) {
  const int label = label_of_warp();
  if (label >= labels) return;
  const uint4* a = reinterpret_cast<const uint4*>(input + static_cast<size_t>(blockIdx.y) * inputs);
  const uint4* b = reinterpret_cast<const uint4*>(weight + static_cast<size_t>(label) * inputs);
  float sum = 0.f;
  for (int i = threadIdx.x % 32; i < inputs / 8; i += 32) sum += product(a[i], b[i]);
  sum = sum_of_warp(sum);
  if (threadIdx.x % 32 == 0) logits[static_cast<size_t>(blockIdx.y) * labels + label] = sum + bias[label];
}

// Returns the exact dot product of four bytes, unsigned in `input` and signed in `weight`.
DEVICE int product(u32 input, u32 weight) {
  int sum = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    sum += static_cast<int>(input >> (8 * i) & 0xff) * static_cast<signed char>(weight >> (8 * i));
  }
  return sum;
}

// Per-output data; the layout is that of `Column` in linear.cu.
struct __align__(16) Column {
  float scale;
  int sum;
  float bias;
  int unused;
};

// Classifier in int8.
//
// Launch: as classifier_f16.
// Shapes: input [rows, inputs] in u8, row_scales [rows] of {scale, zero point}; weight [labels, inputs] in s8, columns
// [labels] of `Column`; logits [rows, labels] in f32.
// Requires: inputs is a multiple of 16; input, weight and columns are aligned to 16 bytes.
extern "C" __global__ void __launch_bounds__(THREADS)
    classifier_int8(const u8* __restrict__ input, const float2* __restrict__ row_scales,
                    const signed char* __restrict__ weight, const Column* __restrict__ columns,
                    float* __restrict__ logits, int labels, int inputs) {
  const int label = label_of_warp();
  if (label >= labels) return;
  const uint4* a = reinterpret_cast<const uint4*>(input + static_cast<size_t>(blockIdx.y) * inputs);
  const uint4* b = reinterpret_cast<const uint4*>(weight + static_cast<size_t>(label) * inputs);
  int sum = 0;
  for (int i = threadIdx.x % 32; i < inputs / 16; i += 32) {
    const uint4 x = a[i], w = b[i];
    sum += product(x.x, w.x) + product(x.y, w.y) + product(x.z, w.z) + product(x.w, w.w);
  }
  sum = sum_of_warp(sum);
  if (threadIdx.x % 32 != 0) return;
  const float2 row = row_scales[blockIdx.y];
  const Column column = columns[label];
  logits[static_cast<size_t>(blockIdx.y) * labels + label] =
      static_cast<float>(sum - static_cast<int>(row.y) * column.sum) * (row.x * column.scale) + column.bias;
}
