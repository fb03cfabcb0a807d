//! [`SelectedIsa`]: an instruction set as a value, chosen at run time.

#[cfg(target_arch = "aarch64")]
use super::aarch64::{Dotprod, I8mm, Neon, Widening};
use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Amx, Avx2, Avx512, AvxVnni, Vnni, avx2, avx512};
use super::{InstructionSet, Isa, Kernel};

macro_rules! selected_isa {
    ($($(#[$condition:meta])? $name:ident($token:ty) = $detect:expr;)*) => {
        /// Proof token of a detected instruction set.
        #[derive(Clone, Copy)]
        pub(crate) enum SelectedIsa {
            $($(#[$condition])? $name($token),)*
        }

        impl InstructionSet {
            /// Returns the set's token if this machine has it.
            pub(crate) fn detect(self) -> Option<SelectedIsa> {
                match self {
                    $($(#[$condition])? Self::$name => $detect.map(SelectedIsa::$name),)*
                    #[allow(unreachable_patterns, reason = "sets of other architectures")]
                    _ => None,
                }
            }
        }

        impl SelectedIsa {
            /// Evaluates a kernel compiled with the set's instructions. Meant for whole tasks: the choice costs a
            /// jump and a call.
            pub fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
                match self {
                    $($(#[$condition])? Self::$name(isa) => isa.dispatch(kernel),)*
                }
            }
        }
    };
}

selected_isa! {
    Portable(Portable) = Some(Portable);
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2<avx2::Pairs>) = Avx2::detect();
    #[cfg(target_arch = "x86_64")]
    AvxVnni(Avx2<AvxVnni>) = Avx2::detect();
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512<avx512::Pairs>) = Avx512::detect();
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512<Vnni>) = Avx512::detect();
    #[cfg(target_arch = "x86_64")]
    Avx512Amx(Avx512<Amx>) = Avx512::detect();
    #[cfg(target_arch = "aarch64")]
    Neon(Neon<Widening>) = Neon::detect();
    #[cfg(target_arch = "aarch64")]
    Dotprod(Neon<Dotprod>) = Neon::detect();
    #[cfg(target_arch = "aarch64")]
    I8mm(Neon<I8mm>) = Neon::detect();
}

/// Sizes of a set's tiles, for code above the kernels.
#[derive(Clone, Copy)]
pub(crate) struct TileShape {
    /// Columns of a packed panel.
    pub panel: usize,
    /// Rows of a full tile of floats.
    pub tile_rows: usize,
    /// Rows of a full tile of integers.
    pub int8_tile_rows: usize,
    /// Inputs of one step of a panel of integers.
    pub int8_group: usize,
    /// Rows of a full tile of bf16.
    pub bf16_tile_rows: usize,
    /// Inputs of one step of a panel of bf16.
    pub bf16_group: usize,
}

impl TileShape {
    #[inline(always)]
    pub fn of<I: Isa>() -> Self {
        Self {
            panel: I::PANEL,
            tile_rows: I::TILE_ROWS,
            int8_tile_rows: I::INT8_TILE_ROWS,
            int8_group: I::INT8_GROUP,
            bf16_tile_rows: I::BF16_TILE_ROWS,
            bf16_group: I::BF16_GROUP,
        }
    }
}

impl SelectedIsa {
    /// Returns the sizes of the set's tiles.
    pub fn shape(self) -> TileShape {
        struct Shape;
        impl Kernel for Shape {
            type Output = TileShape;

            fn eval<I: Isa>(self, _: I) -> TileShape {
                TileShape::of::<I>()
            }
        }
        self.dispatch(Shape)
    }

    /// Returns `true` if this machine has an instruction for products of bf16 in addition to the set's.
    pub fn has_bf16(self) -> bool {
        struct HasBf16;
        impl Kernel for HasBf16 {
            type Output = bool;

            fn eval<I: Isa>(self, isa: I) -> bool {
                isa.has_bf16()
            }
        }
        self.dispatch(HasBf16)
    }
}
