//! The operands of a tile, checked once so that kernels need not.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice};

/// Maximum number of steps over which floats are summed before the sums are added to the total.
///
/// A panel's part of 256 steps (16 KiB on AVX2) stays in L1 while the rows pass by, and shorter
/// chains round less: at the 6×768 size the largest error of a logit falls from 1.7e-5 to 0.8e-5.
pub(crate) const FLOAT_DEPTH_BLOCK: usize = 256;

/// Rows of the left operand: `rows` runs of `depth` values, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct TileRows<'a, A> {
    pub values: &'a [A],
    pub stride: usize,
    pub rows: usize,
    pub depth: usize,
}

/// Output of a tile: `rows` runs of one panel's width, `stride` apart.
pub(crate) struct TileOutput<'a, S> {
    pub values: &'a mut [S],
    pub stride: usize,
    /// `true` if the products are added to the output.
    pub accumulate: bool,
}

/// Memory to prefetch while a tile is computed. Only its address is used.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'a> {
    start: *const u8,
    bytes: usize,
    borrow: PhantomData<&'a [u8]>,
}

impl<'a> Ahead<'a> {
    #[inline(always)]
    pub fn new<W>(weights: &'a [W]) -> Self {
        Self { start: weights.as_ptr().cast(), bytes: size_of_val(weights), borrow: PhantomData }
    }
}

/// Operands of the innermost loop of a tile, bounds checked: `rows` rows at `input`, `input_stride`
/// apart, times `steps` steps of a panel, to as many rows at `output`, `output_stride` apart.
///
/// Kernels may rely on the following: each row of `input` has `steps` groups of `GROUP` values; `panel` has `steps`
/// steps of `PANEL · GROUP` values, step `k` being the weights of each column for group `k` of the inputs; `output` has
/// room for runs of `PANEL` values, which belong to no other tile.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "the portable set fetches nothing ahead")
)]
#[derive(Clone, Copy)]
pub(crate) struct Operands<A, W, S> {
    pub input: *const A,
    pub input_stride: usize,
    pub rows: usize,
    pub steps: usize,
    pub panel: *const W,
    /// Memory to prefetch, `ahead_step` bytes further at each step.
    pub ahead: *const u8,
    pub ahead_step: usize,
    pub output: *mut S,
    pub output_stride: usize,
    pub accumulate: bool,
    /// Memory in which a tile that widens the panel's weights keeps them, if not null: as many as the panel has.
    pub kept: *mut S,
}

/// Returns weights that a tile has kept.
///
/// # Safety
/// Each of them has been written.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only AVX-512 keeps widened weights")
)]
#[inline(always)]
pub(crate) unsafe fn kept<S>(values: &[MaybeUninit<S>]) -> &[S] {
    // SAFETY: the values are initialized (caller), and `MaybeUninit` has their layout.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
}

/// Returns `true` if `len` values have room for `rows` rows, at least one, of `width` values that begin `stride` apart.
#[inline(always)]
pub(crate) fn fits(len: usize, rows: usize, stride: usize, width: usize) -> bool {
    let end = (rows - 1).checked_mul(stride).and_then(|start| start.checked_add(width));
    end.is_some_and(|end| end <= len)
}

impl<A, W, S> Operands<A, W, S> {
    /// Checks the bounds for a set whose panels have `width` columns and whose steps are of `group`
    /// inputs.
    #[inline(always)]
    pub fn new(
        input: TileRows<'_, A>,
        panel: &[W],
        ahead: Ahead<'_>,
        output: TileOutput<'_, S>,
        (width, group): (usize, usize),
    ) -> Self {
        let TileRows { values, stride, rows, depth } = input;
        assert!(rows > 0 && depth > 0 && depth % group == 0, "a tile has rows and whole steps");
        assert!(fits(values.len(), rows, stride, depth), "the rows reach past the input");
        assert_eq!(panel.len(), depth * width, "the panel's depth differs from the rows'");
        assert!(output.stride >= width, "the rows overlap");
        assert!(
            fits(output.values.len(), rows, output.stride, width),
            "the tile reaches past the output"
        );
        let steps = depth / group;
        Self {
            input: values.as_ptr(),
            input_stride: stride,
            rows,
            steps,
            panel: panel.as_ptr(),
            ahead: ahead.start,
            ahead_step: ahead.bytes.div_ceil(steps),
            output: output.values.as_mut_ptr(),
            output_stride: output.stride,
            accumulate: output.accumulate,
            kept: ptr::null_mut(),
        }
    }

    /// Sets where the widened weights of a panel of this many weights are kept.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "only AVX-512 keeps widened weights")
    )]
    #[inline(always)]
    pub fn keeping(self, panel: usize, kept: &mut [MaybeUninit<S>]) -> Self {
        assert_eq!(kept.len(), panel, "there is not room for each weight");
        Self { kept: kept.as_mut_ptr().cast(), ..self }
    }
}
