//! `exp` and `erf` over vectors. The coefficients are minimax fits made for this crate.

use crate::cpu::simd::Isa;

/// `e^x`, at most 2 units in the last place from exact for `x` from −87 to 88; zero below that,
/// where the exact value is denormal.
///
/// `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`, then `e^x = 2^n · e^r`.
#[inline(always)]
pub(crate) fn exp<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    /// Rounds to an integer when added and subtracted: it pushes the fraction out of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    /// `ln 2` in two parts, the first with few enough bits that `n` times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// `(e^r − 1 − r) / r²`, relative error of the result 3e-9.
    const TAIL: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_711, 0.001_381_461];
    /// Bounds within which the result is a normal number and finite.
    const LOWEST: f32 = -87.0;
    const HIGHEST: f32 = 88.0;

    let lowest = isa.splat(LOWEST);
    let clamped = isa.min(isa.max(x, lowest), isa.splat(HIGHEST));
    let round = isa.splat(ROUND);
    let n = isa.sub(isa.mul_add(clamped, isa.splat(std::f32::consts::LOG2_E), round), round);
    let r = isa.mul_add(n, isa.splat(-LN_2_HIGH), clamped);
    let r = isa.mul_add(n, isa.splat(-LN_2_LOW), r);
    let tail = polynomial(isa, r, &TAIL);
    let one_plus_r = isa.add(isa.splat(1.0), r);
    let power = isa.mul_add(isa.mul(tail, r), r, one_plus_r);
    let result = isa.mul(power, isa.power_of_two(n));
    isa.keep_if_less(lowest, x, result)
}

/// The error function, at most 4e-7 from exact and at most 1.
#[inline(always)]
pub(crate) fn erf<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    /// Smallest argument whose `erf` rounds to 1.
    const SATURATION: f32 = 3.92;
    /// `erf(x)/x` as a quotient of polynomials in `x²`, relative error 2e-8.
    const NUMERATOR: [f32; 6] = [
        std::f32::consts::FRAC_2_SQRT_PI,
        0.190_393_85,
        0.052_746_86,
        0.003_765_027_5,
        2.848_616e-4,
        2.050_078_8e-6,
    ];
    const DENOMINATOR: [f32; 6] =
        [1.0, 0.502_064_9, 0.114_103_72, 0.014_968_036, 0.001_162_378_4, 3.809_053e-5];

    let x = isa.min(isa.max(x, isa.splat(-SATURATION)), isa.splat(SATURATION));
    let square = isa.mul(x, x);
    let numerator = isa.mul(x, polynomial(isa, square, &NUMERATOR));
    let quotient = isa.div(numerator, polynomial(isa, square, &DENOMINATOR));
    isa.min(isa.max(quotient, isa.splat(-1.0)), isa.splat(1.0))
}

/// Horner's rule; `coefficients[0]` is the constant.
#[inline(always)]
fn polynomial<I: Isa, const N: usize>(isa: I, x: I::F32, coefficients: &[f32; N]) -> I::F32 {
    let mut value = isa.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        value = isa.mul_add(value, x, isa.splat(coefficient));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{InstructionSet, Kernel, on_every_set};
    use crate::testing::sizes;

    /// Applies a function to every value, through vectors.
    #[derive(Clone)]
    struct Map {
        values: Vec<f32>,
        function: Function,
    }

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Erf,
    }

    impl Kernel for Map {
        type Output = Vec<f32>;

        #[inline(always)]
        fn eval<I: Isa>(mut self, isa: I) -> Vec<f32> {
            for chunk in self.values.chunks_exact_mut(I::LANES) {
                let x = isa.load(chunk);
                let y = match self.function {
                    Function::Exp => exp(isa, x),
                    Function::Erf => erf(isa, x),
                };
                isa.store(y, chunk);
            }
            self.values
        }
    }

    /// Step of sweeps: a prime, so that they reach all exponents and many mantissas.
    fn some() -> usize {
        sizes([997], [19_997])[0]
    }

    /// Checks every `step`-th `f32`.
    fn sweep(step: usize, function: Function, mut check: impl FnMut(InstructionSet, f32, f32)) {
        const BLOCK: usize = 1 << 16;
        let all = (0..=u32::MAX).step_by(step).map(f32::from_bits).filter(|x| !x.is_nan());
        let mut all = all.peekable();
        while all.peek().is_some() {
            let mut values: Vec<f32> = all.by_ref().take(BLOCK).collect();
            values.resize(values.len().next_multiple_of(32), 0.0);
            on_every_set(Map { values: values.clone(), function }, |set, results| {
                for (&x, &y) in values.iter().zip(&results) {
                    check(set, x, y);
                }
            });
        }
    }

    fn check_exp(step: usize) {
        sweep(step, Function::Exp, |set, x, y| {
            if x <= -87.0 {
                assert_eq!(y, 0.0, "{set} exp({x})");
            } else if x <= 88.0 {
                let exact = f64::from(x).exp();
                let unit = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
                let error = (f64::from(y) - exact).abs() / unit;
                assert!(error <= 2.0, "{set} exp({x}) = {y}, {error} units in the last place off");
            } else {
                assert!(y.is_finite() && y > 1e38, "{set} exp({x}) = {y}");
            }
        });
    }

    fn check_erf(step: usize) {
        sweep(step, Function::Erf, |set, x, y| {
            let error = (f64::from(y) - libm::erf(f64::from(x))).abs();
            assert!(error <= 4e-7 && y.abs() <= 1.0, "{set} erf({x}) = {y}, off by {error}");
        });
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        check_exp(some());
    }

    #[test]
    fn erf_is_within_4e_7() {
        check_erf(some());
    }

    #[test]
    #[ignore = "every f32: minutes"]
    fn exp_is_within_two_units_in_the_last_place_for_every_f32() {
        check_exp(1);
    }

    #[test]
    #[ignore = "every f32: minutes"]
    fn erf_is_within_4e_7_for_every_f32() {
        check_erf(1);
    }
}
