// Rows of halves to 8 bits, for products in 8 bits: what attention and the feed-forward network's activation give.
//
// Launch: a block of 128 threads for each row, no dynamic shared memory.
// Shapes: values and quantised [rows, dim]; row_scales [rows] of {scale, zero point}.
// Requires: dim a multiple of 8, at most 4096; all pointers aligned to 16 bytes.
#include "row.cuh"

constexpr int CHUNKS = 4;

extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    quantise(const __half* __restrict__ values, u8* __restrict__ quantised, float2* __restrict__ row_scales, int dim) {
  const size_t first = static_cast<size_t>(blockIdx.x) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  load_row(row, values + first, dim);
  quantise(row, warps, quantised + first, row_scales + blockIdx.x, dim);
}
