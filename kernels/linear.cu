// Linear layers on tensor cores: output = epilogue(input · weightᵀ + bias).
//
// Kernels: linear_TYPE_EPILOGUE_SHAPE, for example linear_f16_bias_gelu_64x64.
//
//   TYPE       f16    inputs and weights in f16, accumulated in f32
//              int8   inputs in u8 with one scale and zero point per row, weights in s8 with one scale per output,
//                     accumulated exactly in s32
//   EPILOGUE   bias, bias_gelu, bias_relu, or bias_residual, which adds the previous contents of the output
//   SHAPE      tile of a block, rows x outputs: 16x32 (64 threads), 32x32 (128), 64x64 (128), 128x128 (256)
//
// Launch: grid (ceil(outputs / tile outputs), ceil(rows / tile rows)), no dynamic shared memory. Large tiles read less
// memory, small tiles occupy more multiprocessors. The host picks the larger of 64x64 and 128x128 whose grid still has
// a block for each multiprocessor, and 16x32 or 32x32 otherwise.
//
// Shapes: input [rows, inputs]; weight [outputs, inputs]; output [rows, output_stride] in f16, of which the first
// `outputs` columns are written. f16: bias [outputs] in f32. int8: row_scales [rows] of {scale, zero point}, columns
// [outputs] of `Column`.
// To compute a range of outputs, pass weight, bias (or columns) and output offset to the first of them.
// Requires: inputs and outputs are multiples of 64; output_stride is even; all pointers are aligned to 16 bytes, the
// output to 4.
//
// Each output is accumulated over the inputs in order, 32 bytes per instruction, in a single accumulator, for every
// tile and number of rows. A row's bits therefore depend neither on its batch nor on the chosen tile. Splitting the
// inputs among blocks (split-K) would break this.
#include "ptx.cuh"

// Geometry shared by both types: a slab is 64 bytes of each row of a block's tiles, the input of two instructions.
constexpr int SLAB_CHUNKS = 4, SLAB_BYTES = SLAB_CHUNKS * CHUNK_BYTES;

// Tile of a block, tile of a warp, and number of slabs in shared memory. Shared memory is at most 48 KiB, so that two
// blocks fit on a multiprocessor of every architecture and no function attribute is needed. Small tiles are bound by
// memory latency and keep more slabs in flight.
template <int ROWS_, int OUTPUTS_, int WARP_ROWS_, int WARP_OUTPUTS_, int STAGES_>
struct Shape {
  static constexpr int ROWS = ROWS_, OUTPUTS = OUTPUTS_, STAGES = STAGES_;
  static constexpr int WARP_ROWS = WARP_ROWS_, WARP_OUTPUTS = WARP_OUTPUTS_;
  static constexpr int ROW_TILES = WARP_ROWS / 16, OUTPUT_TILES = WARP_OUTPUTS / 8;
  static constexpr int OUTPUT_WARPS = OUTPUTS / WARP_OUTPUTS;
  static constexpr int THREADS = ROWS / WARP_ROWS * OUTPUT_WARPS * 32;
  static constexpr int INPUT_SLAB_BYTES = ROWS * SLAB_BYTES;
  static constexpr int STAGE_BYTES = INPUT_SLAB_BYTES + OUTPUTS * SLAB_BYTES;
};
using Shape16x32 = Shape<16, 32, 16, 16, 8>;
using Shape32x32 = Shape<32, 32, 16, 16, 8>;
using Shape64x64 = Shape<64, 64, 32, 32, 4>;
using Shape128x128 = Shape<128, 128, 64, 32, 3>;

enum class Epilogue { Bias, BiasGelu, BiasRelu, BiasResidual };

// Epilogue data of f16: converts f32 sums to outputs.
struct F16 {
  using Sum = float;
  struct RowData {};
  struct ColumnData {
    float bias;
  };
  const float* bias;

  DEVICE RowData row(int) const { return {}; }
  DEVICE ColumnData column(int column) const { return {bias[column]}; }
  static DEVICE float value(float sum, RowData, ColumnData column) { return sum + column.bias; }
};

// Per-output data of int8, in the layout that the host writes (`Column` in src/cuda/kernels/linear.rs).
struct __align__(16) Column {
  float scale;
  // Sum of the output's weights.
  int sum;
  float bias;
  int unused;
};

// Epilogue data of int8: converts s32 sums to outputs.
struct Int8 {
  using Sum = int;
  struct RowData {
    float scale;
    int zero_point;
  };
  using ColumnData = Column;
  const float2* row_scales;
  const Column* columns;

  DEVICE RowData row(int row) const {
    const float2 scale = row_scales[row];
    return {scale.x, static_cast<int>(scale.y)};
  }
  DEVICE ColumnData column(int column) const { return columns[column]; }
  static DEVICE float value(int sum, RowData row, const ColumnData& column) {
    return static_cast<float>(sum - row.zero_point * column.sum) * (row.scale * column.scale) + column.bias;
  }
};

// Exact GELU: x · Φ(x).
DEVICE float gelu(float x) {
  constexpr float FRAC_1_SQRT_2 = 0.70710678f;
  const float half = 0.5f * x;
  return half * erff(x * FRAC_1_SQRT_2) + half;
}

template <Epilogue EPILOGUE>
DEVICE float activate(float x) {
  if (EPILOGUE == Epilogue::BiasGelu) return gelu(x);
  if (EPILOGUE == Epilogue::BiasRelu) return fmaxf(x, 0.f);
  return x;
}

// Origin of a block's and a warp's part of the output.
template <typename S>
struct Place {
  const u32 block_row = blockIdx.y * S::ROWS, block_output = blockIdx.x * S::OUTPUTS;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const u32 warp_row = warp / S::OUTPUT_WARPS * S::WARP_ROWS, warp_output = warp % S::OUTPUT_WARPS * S::WARP_OUTPUTS;
};

// Sources of a block's slabs.
template <typename S>
struct Slabs {
  TileSource<S::ROWS, SLAB_CHUNKS, S::THREADS> input;
  TileSource<S::OUTPUTS, SLAB_CHUNKS, S::THREADS> weight;
  int rows, outputs;

  // Starts copying slab `slab` of both operands to a stage, as one copy group.
  DEVICE void load(u8* stage, int slab) const {
    const size_t offset = slab * SLAB_BYTES;
    if (offset < input.row_bytes) {
      input.load(stage, offset, rows);
      weight.load(stage + S::INPUT_SLAB_BYTES, offset, outputs);
    }
    cp_async_commit();
  }
};

// Accumulates the products of one slab into a warp's sums.
template <typename S, typename Sum>
DEVICE void multiply_slab(Sum (&sums)[S::ROW_TILES][S::OUTPUT_TILES][4], const u8* stage, const Place<S>& place) {
  const u8* weights = stage + S::INPUT_SLAB_BYTES;
#pragma unroll
  for (int chunk = 0; chunk < SLAB_CHUNKS; chunk += 2) {
    u32 a[S::ROW_TILES][4], b[S::OUTPUT_TILES / 2][4];
#pragma unroll
    for (int i = 0; i < S::ROW_TILES; i++) load_a<SLAB_CHUNKS>(a[i], stage, place.warp_row + i * 16, chunk);
#pragma unroll
    for (int j = 0; j < S::OUTPUT_TILES / 2; j++) load_b<SLAB_CHUNKS>(b[j], weights, place.warp_output + j * 16, chunk);
#pragma unroll
    for (int i = 0; i < S::ROW_TILES; i++) {
#pragma unroll
      for (int j = 0; j < S::OUTPUT_TILES; j++) {
        const u32 first = b[j / 2][j % 2 * 2], second = b[j / 2][j % 2 * 2 + 1];
        mma(sums[i][j], a[i], first, second);
      }
    }
  }
}

// Applies the epilogue to a warp's sums and stores the outputs. In each 16x8 tile, lane `l` holds two neighboring
// outputs of rows `l / 4` and `l / 4 + 8`.
template <typename S, Epilogue EPILOGUE, typename Type>
DEVICE void store(const Type& type, const typename Type::Sum (&sums)[S::ROW_TILES][S::OUTPUT_TILES][4],
                  const Place<S>& place, __half* output, int rows, int outputs, int output_stride) {
  const int first_row = place.block_row + place.warp_row + place.lane / 4;
  const int first_output = place.block_output + place.warp_output + place.lane % 4 * 2;
  // `outputs` is a multiple of 64, so the outputs of a warp are either all in range or all out of range.
  if (S::OUTPUTS > 64 && first_output >= outputs) return;
  typename Type::ColumnData columns[S::OUTPUT_TILES][2];
#pragma unroll
  for (int j = 0; j < S::OUTPUT_TILES; j++) {
    columns[j][0] = type.column(first_output + j * 8);
    columns[j][1] = type.column(first_output + j * 8 + 1);
  }
#pragma unroll
  for (int i = 0; i < S::ROW_TILES * 2; i++) {
    const int row = first_row + i * 8;
    if (row >= rows) return;
    const typename Type::RowData row_data = type.row(row);
    __half* to = output + static_cast<size_t>(row) * output_stride + first_output;
#pragma unroll
    for (int j = 0; j < S::OUTPUT_TILES; j++) {
      const typename Type::Sum* pair = sums[i / 2][j] + i % 2 * 2;
      float first = activate<EPILOGUE>(Type::value(pair[0], row_data, columns[j][0]));
      float second = activate<EPILOGUE>(Type::value(pair[1], row_data, columns[j][1]));
      u32* halves = reinterpret_cast<u32*>(to + j * 8);
      if (EPILOGUE == Epilogue::BiasResidual) {
        const float2 before = unpack_halves(*halves);
        first += before.x;
        second += before.y;
      }
      *halves = pack_halves(first, second);
    }
  }
}

// Computes a block's tile of the output. Rows of the input and of the weights have `row_bytes` bytes.
template <typename S, Epilogue EPILOGUE, typename Type>
DEVICE void linear(const Type& type, const void* input, const void* weight, __half* output, int rows, int outputs,
                   size_t row_bytes, int output_stride) {
  __shared__ __align__(128) u8 stages[S::STAGES][S::STAGE_BYTES];
  const Place<S> place;
  const Slabs<S> slabs = {{static_cast<const u8*>(input) + place.block_row * row_bytes, row_bytes},
                          {static_cast<const u8*>(weight) + place.block_output * row_bytes, row_bytes},
                          rows - static_cast<int>(place.block_row),
                          outputs - static_cast<int>(place.block_output)};
#pragma unroll
  for (int slab = 0; slab < S::STAGES - 1; slab++) slabs.load(stages[slab], slab);

  typename Type::Sum sums[S::ROW_TILES][S::OUTPUT_TILES][4] = {};
  const int count = row_bytes / SLAB_BYTES;
  int stage = 0, free_stage = S::STAGES - 1;
  for (int slab = 0; slab < count; slab++) {
    cp_async_wait<S::STAGES - 2>();
    // All threads' copies of this slab have arrived, and no thread still reads the previous stage, which is refilled.
    __syncthreads();
    slabs.load(stages[free_stage], slab + S::STAGES - 1);
    multiply_slab<S>(sums, stages[stage], place);
    free_stage = stage;
    stage = stage + 1 < S::STAGES ? stage + 1 : 0;
  }
  store<S, EPILOGUE>(type, sums, place, output, rows, outputs, output_stride);
}

#define LINEAR(NAME, EPILOGUE, SHAPE)                                                                               \
  extern "C" __global__ void __launch_bounds__(Shape##SHAPE::THREADS, 2) linear_f16_##NAME##_##SHAPE(               \
      const __half* __restrict__ input, const __half* __restrict__ weight, const float* __restrict__ bias,          \
      __half* __restrict__ output, int rows, int outputs, int inputs, int output_stride) {                          \
    linear<Shape##SHAPE, EPILOGUE>(F16{bias}, input, weight, output, rows, outputs, inputs * sizeof(__half),        \
                                   output_stride);                                                                  \
  }                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(Shape##SHAPE::THREADS, 2) linear_int8_##NAME##_##SHAPE(              \
      const u8* __restrict__ input, const float2* __restrict__ row_scales, const signed char* __restrict__ weight,  \
      const Column* __restrict__ columns, __half* __restrict__ output, int rows, int outputs, int inputs,           \
      int output_stride) {                                                                                          \
    linear<Shape##SHAPE, EPILOGUE>(Int8{row_scales, columns}, input, weight, output, rows, outputs, inputs,         \
                                   output_stride);                                                                  \
  }

#define LINEAR_OF_ALL_SHAPES(NAME, EPILOGUE) \
  LINEAR(NAME, EPILOGUE, 16x32)              \
  LINEAR(NAME, EPILOGUE, 32x32)              \
  LINEAR(NAME, EPILOGUE, 64x64)              \
  LINEAR(NAME, EPILOGUE, 128x128)

LINEAR_OF_ALL_SHAPES(bias, Epilogue::Bias)
LINEAR_OF_ALL_SHAPES(bias_gelu, Epilogue::BiasGelu)
LINEAR_OF_ALL_SHAPES(bias_relu, Epilogue::BiasRelu)
LINEAR_OF_ALL_SHAPES(bias_residual, Epilogue::BiasResidual)
