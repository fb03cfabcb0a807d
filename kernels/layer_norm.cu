// Layer normalization of hidden states, in place.
//
// The epilogue of the preceding GEMM (linear.cu) has already added the residual. The sum is rounded to f16 once either
// way, and this kernel reads one row less.
//
// Launch: one block of 128 threads per row, no dynamic shared memory.
// Shapes: states [rows, dim] in f16; weight and bias [dim] in f32.
// Requires: dim is a multiple of 8 and at most 2048; all pointers are aligned to 16 bytes.
#include "row.cuh"

constexpr int CHUNKS = 2;

extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    layer_norm(__half* __restrict__ states, const float* __restrict__ weight, const float* __restrict__ bias, int dim,
               float eps) {
  states += static_cast<size_t>(blockIdx.x) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  load_row(row, states, dim);
  normalize(row, warps, weight, bias, dim, eps);
  store_row(row, states, dim);
}

// Layer normalization that also quantizes the normalized f32 values, before they are rounded to f16: quantized
// [rows, dim] in u8 and row_scales [rows] of {scale, zero point}.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    layer_norm_quantize(__half* __restrict__ states, const float* __restrict__ weight, const float* __restrict__ bias,
                        u8* __restrict__ quantized, float2* __restrict__ row_scales, int dim, float eps) {
  const size_t first = static_cast<size_t>(blockIdx.x) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  load_row(row, states + first, dim);
  normalize(row, warps, weight, bias, dim, eps);
  store_row(row, states + first, dim);
  quantize(row, warps, quantized + first, row_scales + blockIdx.x, dim);
}
