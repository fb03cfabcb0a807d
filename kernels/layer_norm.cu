// Layer normalisation of tokens' vectors. The residual has been added by the epilogue of the product before
// (linear.cu): the sum is rounded to halves once either way, and here a row less is read.
//
// Launch: a block of 128 threads for each row, no dynamic shared memory.
// Shapes: states [rows, dim] of halves, normalised in place; weight and bias [dim].
// Requires: dim a multiple of 8, at most 2048; all pointers aligned to 16 bytes.
#include "row.cuh"

constexpr int CHUNKS = 2;

extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    layer_norm(__half* __restrict__ states, const float* __restrict__ weight, const float* __restrict__ bias, int dim,
               float eps) {
  states += static_cast<size_t>(blockIdx.x) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  load_row(row, states, dim);
  normalise(row, warps, weight, bias, dim, eps);
  store_row(row, states, dim);
}

// Also rounds the normalised values, before they become halves, to 8 bits: quantised [rows, dim], and
// row_scales [rows] of {scale, zero point}.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    layer_norm_quantise(__half* __restrict__ states, const float* __restrict__ weight, const float* __restrict__ bias,
                        u8* __restrict__ quantised, float2* __restrict__ row_scales, int dim, float eps) {
  const size_t first = static_cast<size_t>(blockIdx.x) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  load_row(row, states + first, dim);
  normalise(row, warps, weight, bias, dim, eps);
  store_row(row, states + first, dim);
  quantise(row, warps, quantised + first, row_scales + blockIdx.x, dim);
}
