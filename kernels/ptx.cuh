// Wrappers for PTX instructions that CUDA C++ does not expose, and the swizzled layout of tiles in shared memory that
// avoids bank conflicts. Requires sm_80 or newer.
#pragma once
#include <cuda_fp16.h>

#define DEVICE __device__ __forceinline__

typedef unsigned char u8;
typedef unsigned int u32;

DEVICE u32 shared_address(const void* pointer) {
  return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// Loads four 8x8 matrices of 16-bit elements, or 8x16 of bytes. Lane `i` passes row `i % 8` of matrix `i / 8`.
DEVICE void ldmatrix(u32 (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}

// Like `ldmatrix`, with each matrix transposed.
DEVICE void ldmatrix_transposed(u32 (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}

// sums += a · b: 16x8 f32 sums over 16 f16 inputs.
DEVICE void mma(float (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// sums += a · b: 16x8 exact s32 sums over 32 bytes, unsigned in `a` and signed in `b`.
DEVICE void mma(int (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts an asynchronous copy of 16 bytes to shared memory. If not `valid`, writes zeros and reads nothing.
DEVICE void cp_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}

// Closes the current group of asynchronous copies.
DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most the latest `PENDING` of this thread's copy groups are in flight.
template <int PENDING>
DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" : : "n"(PENDING) : "memory");
}

// Approximates 2^x to within 2 ULP; returns exactly 0 for minus infinity. The softmax rounds its result to f16, so the
// exact function would cost more and change nothing.
DEVICE float exp2_approximate(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Packs two values as f16, the first in the lower bits.
DEVICE u32 pack_halves(float first, float second) {
  const __half2 halves = __floats2half2_rn(first, second);
  return *reinterpret_cast<const u32*>(&halves);
}

DEVICE float2 unpack_halves(u32 halves) {
  return __half22float2(*reinterpret_cast<const __half2*>(&halves));
}

constexpr int CHUNK_BYTES = 16;

// Returns the byte offset of a chunk in a swizzled tile whose rows have `CHUNKS` chunks of 16 bytes (2, 4, 8 or 16).
// The chunks of each row are permuted so that the same chunk of eight consecutive rows, which ldmatrix reads, covers
// all 32 banks exactly once. The same holds for eight lanes that copy whole rows.
template <int CHUNKS>
DEVICE u32 swizzled(u32 row, u32 chunk) {
  constexpr u32 ROWS_OF_128_BYTES = CHUNKS < 8 ? 8 / CHUNKS : 1;
  constexpr u32 PERMUTED = CHUNKS < 8 ? CHUNKS : 8;
  return (row * CHUNKS + (chunk ^ (row / ROWS_OF_128_BYTES % PERMUTED))) * CHUNK_BYTES;
}

// One thread's share of copying tiles of `ROWS` rows of `CHUNKS` chunks with `THREADS` threads.
template <int ROWS, int CHUNKS, int THREADS>
struct TileSource {
  // Distance in rows between consecutive chunks of a thread.
  static constexpr int STEP = THREADS / CHUNKS;
  static_assert(ROWS % STEP == 0, "every thread copies the same number of chunks");
  static_assert(STEP % 8 == 0, "all rows of a thread have the same permutation");

  // First chunk of this thread.
  const u8* from;
  size_t row_bytes;

  DEVICE TileSource(const void* rows, size_t row_bytes)
      : from(static_cast<const u8*>(rows) + threadIdx.x / CHUNKS * row_bytes + threadIdx.x % CHUNKS * CHUNK_BYTES),
        row_bytes(row_bytes) {}

  // Starts copying the tile that begins `offset` bytes after the first. Rows from `row_count` on are filled with zeros.
  DEVICE void load(u8* tile, size_t offset, int row_count) const {
    const int row = threadIdx.x / CHUNKS;
    u8* to = tile + swizzled<CHUNKS>(row, threadIdx.x % CHUNKS);
#pragma unroll
    for (int i = 0; i < ROWS / STEP; i++) {
      cp_async(to + i * STEP * CHUNKS * CHUNK_BYTES, from + offset + i * STEP * row_bytes, row + i * STEP < row_count);
    }
  }
};

// Loads the fragment of 16 rows by two chunks that begins at `row` and `chunk`: the first operand of `mma`.
template <int CHUNKS>
DEVICE void load_a(u32 (&fragment)[4], const u8* tile, u32 row, u32 chunk) {
  const u32 lane = threadIdx.x % 32;
  ldmatrix(fragment, tile + swizzled<CHUNKS>(row + lane % 16, chunk + lane / 16));
}

// Loads two fragments of 8 rows by two chunks: second operands of `mma`, whose columns are the rows of the tile.
template <int CHUNKS>
DEVICE void load_b(u32 (&fragments)[4], const u8* tile, u32 row, u32 chunk) {
  const u32 lane = threadIdx.x % 32;
  ldmatrix(fragments, tile + swizzled<CHUNKS>(row + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2));
}

// Loads two fragments of 16 rows by one chunk of f16: second operands whose columns are the columns of the tile.
template <int CHUNKS>
DEVICE void load_b_transposed(u32 (&fragments)[4], const u8* tile, u32 row, u32 chunk) {
  const u32 lane = threadIdx.x % 32;
  ldmatrix_transposed(fragments, tile + swizzled<CHUNKS>(row + lane % 16, chunk + lane / 16));
}
