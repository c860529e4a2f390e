//! Exponential, logistic function and hyperbolic tangent that give the same bits everywhere.
//!
//! The platform's own differ in the last bit between C libraries, and between native code and
//! WebAssembly. A sampled song would then part ways after some hundred characters. These use only
//! IEEE 754 additions, multiplications and divisions in a fixed order, which every platform
//! rounds alike, and none of them branches, so that the compiler can vectorise a loop over them.

/// Runs a loop with the widest vectors that the processor has. The body is plain Rust; Rust never
/// fuses a multiplication with an addition by itself, so each version gives the same bits.
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $([$(const $n:ident: usize),*])? ($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name $(<$(const $n: usize),*>)? ($($arg: $ty),*) {
            #[inline(always)]
            fn body $(<$(const $n: usize),*>)? ($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512 $(<$(const $n: usize),*>)? ($($arg: $ty),*) {
                    body $(::<$($n),*>)? ($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2 $(<$(const $n: usize),*>)? ($($arg: $ty),*) {
                    body $(::<$($n),*>)? ($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has the feature, as just asked.
                    return unsafe { avx512 $(::<$($n),*>)? ($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has the feature, as just asked.
                    return unsafe { avx2 $(::<$($n),*>)? ($($arg),*) };
                }
            }
            body $(::<$($n),*>)? ($($arg),*)
        }
    };
}
pub(crate) use simd;

/// e^x, with a relative error below 3e-7 for x in [-87, 88]; beyond that it saturates.
///
/// Range reduction x = n ln 2 + r with ln 2 in two parts, then a polynomial of degree six on
/// |r| <= ln 2 / 2 (Cody & Waite, Software Manual for the Elementary Functions, 1980, ch. 6).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: adding it leaves a float no fractional bits, which rounds to nearest.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    // Taylor coefficients: at |r| <= 0.3466 the first term left out is below 1.2e-7 of the sum.
    let mut p = 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    // The low bits of `shifted` hold n; move it into the exponent field.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// Logistic function 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent, with an absolute error below 2e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

/// Natural logarithms of the probabilities that scores stand for (log-softmax), in place.
pub fn log_softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Summed in double precision in index order: the same bits whatever the vector width.
    let sum: f64 = logits.iter().map(|&v| f64::from(exp(v - max))).sum();
    let log_sum = max + ln(sum);
    for v in logits {
        *v -= log_sum;
    }
}

/// Natural logarithm of a positive, normal number, by the series of atanh.
///
/// x = 2^n m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh((m - 1) / (m + 1)).
pub fn ln(x: f64) -> f32 {
    let bits = x.to_bits();
    let mut n = ((bits >> 52) as i64) - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        n += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    // |s| <= 0.1716: s^13 / 13 is below 1e-11, far under single precision.
    let series =
        1.0 + s2 * (1.0 / 3.0 + s2 * (1.0 / 5.0 + s2 * (1.0 / 7.0 + s2 * (1.0 / 9.0 + s2 * (1.0 / 11.0)))));
    (n as f64 * std::f64::consts::LN_2 + 2.0 * s * series) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-40_000..40_000).map(|i| i as f32 * 0.002)
    }

    #[test]
    fn exp_is_accurate() {
        for x in grid() {
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(x)) - truth).abs() / truth;
            assert!(error < 3e-7, "exp({x}): relative error {error:e}");
        }
        assert!(exp(-1000.0) < 1e-37 && exp(1000.0).is_finite());
    }

    #[test]
    fn squashing_functions_are_accurate() {
        for x in grid() {
            let x64 = f64::from(x);
            assert!((f64::from(tanh(x)) - x64.tanh()).abs() < 2e-7, "tanh({x})");
            assert!((f64::from(sigmoid(x)) - 1.0 / (1.0 + (-x64).exp())).abs() < 2e-7, "sigmoid({x})");
        }
    }

    #[test]
    fn log_softmax_sums_to_one() {
        let mut v = vec![3.0, -2.0, 0.5, 7.0, 6.5];
        log_softmax(&mut v);
        let sum: f64 = v.iter().map(|&v| f64::from(v).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert!((ln(10.0) - 10f32.ln()).abs() < 1e-6 && (ln(0.7) - 0.7f32.ln()).abs() < 1e-6);
    }
}
