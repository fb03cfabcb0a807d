//! Methods of an [`Isa`](super::Isa) that are the same for every register width.

/// Implements the methods of [`Isa`](super::Isa) that are the same for every register width.
///
/// A vector is an array of registers, and `parts` lists their indices. The set's file defines `LANES`, the `WIDTH` of a
/// register, the number `PARTS` of registers per vector, `PANEL` and the trait `Columns`. Its token is generic over an
/// [`IntegerUnit`](super::integers::IntegerUnit) `U`, and proves that the machine has the intrinsics passed to the
/// macro.
macro_rules! vector_methods {
    (
        parts: $($part:literal)*,
        splat: $splat:path,
        load: $load:path,
        store: $store:path,
        add: $add:path,
        sub: $sub:path,
        mul: $mul:path,
        div: $div:path,
        mul_add: $mul_add:path,
        min: $min:path,
        max: $max:path,
    ) => {
        #[inline(always)]
        fn tile_f32(
            self,
            input: TileRows<'_, f32>,
            panel: &[f32],
            ahead: Ahead<'_>,
            output: TileOutput<'_, f32>,
        ) {
            let operands = Operands::new(input, panel, ahead, output, (PANEL, 1));
            // SAFETY: the token proves the set's instructions; `Operands` has checked the rest.
            unsafe { f32::PRODUCTS[operands.rows - 1](&operands) };
        }

        #[inline(always)]
        fn tile_f16(
            self,
            input: TileRows<'_, f32>,
            panel: &[f16],
            ahead: Ahead<'_>,
            output: TileOutput<'_, f32>,
        ) {
            let operands = Operands::new(input, panel, ahead, output, (PANEL, 1));
            // SAFETY: the token proves the set's instructions; `Operands` has checked the rest.
            unsafe { f16::PRODUCTS[operands.rows - 1](&operands) };
        }

        #[inline(always)]
        fn tile_int8(
            self,
            input: TileRows<'_, u8>,
            panel: &[i8],
            ahead: Ahead<'_>,
            output: TileOutput<'_, i32>,
        ) {
            let operands = Operands::new(input, panel, ahead, output, (PANEL, U::GROUP));
            // SAFETY: the token proves the set's instructions and the unit's; `Operands` has checked the
            // rest. A weight outside its range would only make the sums wrong.
            unsafe { U::multiply(&operands) };
        }

        #[inline(always)]
        fn has_bf16(self) -> bool {
            U::Bf16::is_detected()
        }

        #[inline(always)]
        fn tile_bf16(
            self,
            input: TileRows<'_, bf16>,
            panel: &[bf16],
            ahead: Ahead<'_>,
            output: TileOutput<'_, f32>,
        ) {
            let step = (PANEL, U::Bf16::GROUP);
            if !U::Bf16::is_detected() {
                return bfloat::emulate(input, panel, output, step);
            }
            let operands = Operands::new(input, panel, ahead, output, step);
            // SAFETY: the token proves the set's instructions, and the unit is detected; `Operands` has checked the
            // rest.
            unsafe { U::Bf16::multiply(&operands) };
        }

        #[inline(always)]
        fn narrow_row(self, from: &[f32], to: &mut [bf16]) {
            if !U::Bf16::is_detected() {
                return bfloat::narrow_row(from, to);
            }
            // SAFETY: the token proves the set's instructions, and the unit is detected.
            unsafe { U::Bf16::narrow_row(from, to) };
        }

        #[inline(always)]
        fn transpose_square(
            self,
            from: &[f32],
            from_stride: usize,
            to: &mut [f32],
            to_stride: usize,
        ) {
            // SAFETY: the token proves the set's instructions.
            unsafe { transpose_square(from, from_stride, to, to_stride) };
        }

        #[inline(always)]
        fn splat(self, value: f32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$splat(value); PARTS] }
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> Self::F32 {
            let from = &from[..LANES];
            // SAFETY: the token proves the instruction; `from` holds `LANES` values.
            unsafe { [$($load(from.as_ptr().add($part * WIDTH))),*] }
        }

        #[inline(always)]
        fn store(self, value: Self::F32, to: &mut [f32]) {
            let to = &mut to[..LANES];
            // SAFETY: the token proves the instruction; `to` has room for `LANES` values.
            unsafe { $($store(to.as_mut_ptr().add($part * WIDTH), value[$part]));* }
        }

        #[inline(always)]
        fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($add(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($sub(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($mul(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($div(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($min(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($max(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($mul_add(a[$part], b[$part], c[$part])),*] }
        }
    };
}

pub(super) use vector_methods;
