// The PTX instructions that the kernels use and CUDA C++ has no names for, and the layout of tiles in
// shared memory that they read without bank conflicts. For sm_80 and newer.
#pragma once
#include <cuda_fp16.h>

#define DEVICE __device__ __forceinline__

typedef unsigned char u8;
typedef unsigned int u32;

DEVICE u32 shared_address(const void* pointer) {
  return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// Four 8x8 matrices of 16-bit elements, or 8x16 of bytes. Lane `i` gives the row `i % 8` of matrix `i / 8`.
DEVICE void ldmatrix(u32 (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}

// The same, each matrix transposed.
DEVICE void ldmatrix_transposed(u32 (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}

// sums += a · b: 16x8 sums over 16 halves.
DEVICE void mma(float (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// sums += a · b: 16x8 exact sums over 32 bytes, unsigned in `a` and signed in `b`.
DEVICE void mma(int (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts to copy 16 bytes to shared memory. Unless `valid`, writes zeros there and reads nothing.
DEVICE void cp_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}

// Ends a group of copies.
DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most the latest `PENDING` of this thread's groups are under way.
template <int PENDING>
DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" : : "n"(PENDING) : "memory");
}

// 2^x, at most 2 units in the last place from exact; exactly 0 for minus infinity. The softmax rounds what
// becomes of it to halves, so that the exact function, which costs more, would change nothing.
DEVICE float exp2_approximate(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Two halves, the first in the lower bits.
DEVICE u32 pack_halves(float first, float second) {
  const __half2 halves = __floats2half2_rn(first, second);
  return *reinterpret_cast<const u32*>(&halves);
}

DEVICE float2 unpack_halves(u32 halves) {
  return __half22float2(*reinterpret_cast<const __half2*>(&halves));
}

constexpr int CHUNK_BYTES = 16;

// Where a tile in shared memory, with rows of `CHUNKS` chunks of 16 bytes (2, 4, 8 or 16), keeps a chunk: the
// offset in bytes. The chunks of a row are permuted such that the same chunk of eight rows that follow one
// another, which is what ldmatrix reads, is in all 32 banks once; so is what eight lanes copy to whole rows.
template <int CHUNKS>
DEVICE u32 swizzled(u32 row, u32 chunk) {
  constexpr u32 ROWS_OF_128_BYTES = CHUNKS < 8 ? 8 / CHUNKS : 1;
  constexpr u32 PERMUTED = CHUNKS < 8 ? CHUNKS : 8;
  return (row * CHUNKS + (chunk ^ (row / ROWS_OF_128_BYTES % PERMUTED))) * CHUNK_BYTES;
}

// What a thread copies to tiles of `ROWS` rows of `CHUNKS` chunks, as one of the block's `THREADS`.
template <int ROWS, int CHUNKS, int THREADS>
struct TileSource {
  // Rows of the tile between those of a thread's chunks.
  static constexpr int STEP = THREADS / CHUNKS;
  static_assert(ROWS % STEP == 0, "every thread copies as many chunks");
  static_assert(STEP % 8 == 0, "a thread's rows are permuted alike");

  // The thread's first chunk.
  const u8* from;
  size_t row_bytes;

  DEVICE TileSource(const void* rows, size_t row_bytes)
      : from(static_cast<const u8*>(rows) + threadIdx.x / CHUNKS * row_bytes + threadIdx.x % CHUNKS * CHUNK_BYTES),
        row_bytes(row_bytes) {}

  // Starts to copy the tile that begins `offset` bytes after the first. Its rows from `row_count` on become zero.
  DEVICE void load(u8* tile, size_t offset, int row_count) const {
    const int row = threadIdx.x / CHUNKS;
    u8* to = tile + swizzled<CHUNKS>(row, threadIdx.x % CHUNKS);
#pragma unroll
    for (int i = 0; i < ROWS / STEP; i++) {
      cp_async(to + i * STEP * CHUNKS * CHUNK_BYTES, from + offset + i * STEP * row_bytes, row + i * STEP < row_count);
    }
  }
};

// The fragment of 16 rows by two chunks of a tile from `row` and `chunk` on: the first operand of `mma`.
template <int CHUNKS>
DEVICE void load_a(u32 (&fragment)[4], const u8* tile, u32 row, u32 chunk) {
  const u32 lane = threadIdx.x % 32;
  ldmatrix(fragment, tile + swizzled<CHUNKS>(row + lane % 16, chunk + lane / 16));
}

// The fragments of two times 8 rows by two chunks: second operands of `mma`, whose columns are the tile's rows.
template <int CHUNKS>
DEVICE void load_b(u32 (&fragments)[4], const u8* tile, u32 row, u32 chunk) {
  const u32 lane = threadIdx.x % 32;
  ldmatrix(fragments, tile + swizzled<CHUNKS>(row + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2));
}

// The fragments of 16 rows by two times one chunk of halves: second operands whose columns are the tile's columns.
template <int CHUNKS>
DEVICE void load_b_transposed(u32 (&fragments)[4], const u8* tile, u32 row, u32 chunk) {
  const u32 lane = threadIdx.x % 32;
  ldmatrix_transposed(fragments, tile + swizzled<CHUNKS>(row + lane % 16, chunk + lane / 16));
}
