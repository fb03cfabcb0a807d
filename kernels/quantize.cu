// Quantizes rows of f16 to 8 bits, as int8 GEMMs read them. The inputs are the outputs of attention and of the
// feed-forward activation; other rows are quantized by the kernel that normalizes them.
//
// Launch: one block of 128 threads per row, no dynamic shared memory.
// Shapes: values [rows, dim] in f16; quantized [rows, dim] in u8; row_scales [rows] of {scale, zero point}.
// Requires: dim is a multiple of 8 and at most 4096; all pointers are aligned to 16 bytes.
#include "row.cuh"

constexpr int CHUNKS = 4;

extern "C" __global__ void __launch_bounds__(ROW_THREADS, ROW_BLOCKS)
    quantize(const __half* __restrict__ values, u8* __restrict__ quantized, float2* __restrict__ row_scales, int dim) {
  const size_t first = static_cast<size_t>(blockIdx.x) * dim;
  __shared__ float warps[4];
  Row<CHUNKS> row;
  load_row(row, values + first, dim);
  quantize(row, warps, quantized + first, row_scales + blockIdx.x, dim);
}
