//! Operations of the x86-64 sets on registers of eight values.

use std::arch::x86_64::*;

use crate::cpu::gemm::tile::fits;
use crate::cpu::simd::SQUARE;

/// Implements [`Isa::transpose_square`](crate::cpu::simd::Isa::transpose_square).
///
/// # Safety
/// The machine has AVX.
#[inline(always)]
pub(super) unsafe fn transpose_square(
    from: &[f32],
    from_stride: usize,
    to: &mut [f32],
    to_stride: usize,
) {
    assert!(fits(from.len(), SQUARE, from_stride, SQUARE), "the rows reach past their slice");
    assert!(to_stride >= SQUARE, "the columns overlap");
    assert!(fits(to.len(), SQUARE, to_stride, SQUARE), "the columns reach past their slice");
    // SAFETY: the machine has AVX (caller); row `index` of either slice is in it (above).
    unsafe {
        let mut rows = [_mm256_setzero_ps(); SQUARE];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = _mm256_loadu_ps(from.as_ptr().add(index * from_stride));
        }
        // In each half of a register: values of two rows in turn, then of four.
        let mut pairs = rows;
        for row in (0..SQUARE).step_by(2) {
            pairs[row] = _mm256_unpacklo_ps(rows[row], rows[row + 1]);
            pairs[row + 1] = _mm256_unpackhi_ps(rows[row], rows[row + 1]);
        }
        let mut fours = pairs;
        for row in (0..SQUARE).step_by(4) {
            fours[row] = _mm256_shuffle_ps::<0x44>(pairs[row], pairs[row + 2]);
            fours[row + 1] = _mm256_shuffle_ps::<0xEE>(pairs[row], pairs[row + 2]);
            fours[row + 2] = _mm256_shuffle_ps::<0x44>(pairs[row + 1], pairs[row + 3]);
            fours[row + 3] = _mm256_shuffle_ps::<0xEE>(pairs[row + 1], pairs[row + 3]);
        }
        let (upper, lower) = fours.split_at(SQUARE / 2);
        for index in 0..SQUARE / 2 {
            let left = _mm256_permute2f128_ps::<0x20>(upper[index], lower[index]);
            let right = _mm256_permute2f128_ps::<0x31>(upper[index], lower[index]);
            _mm256_storeu_ps(to.as_mut_ptr().add(index * to_stride), left);
            _mm256_storeu_ps(to.as_mut_ptr().add((index + SQUARE / 2) * to_stride), right);
        }
    }
}

/// Returns the sum of eight lanes. Every set with 16 lanes ends with this order of additions, so that their sums have
/// the same bits.
///
/// # Safety
/// The machine has AVX.
#[inline(always)]
pub(super) unsafe fn sum(a: __m256) -> f32 {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
