//! The inner loops of [`super::gemm`]: AVX-512 in single precision and with bfloat16 pairs.
//!
//! A tile of the result, up to twelve rows by two vectors of sixteen columns, stays in registers
//! while k runs; one element of the left factor is broadcast against two vectors of the right
//! one. This is the outermost-product scheme of Goto & van de Geijn, "Anatomy of High-Performance
//! Matrix Multiplication" (2008), section 4, with the left factor left unpacked: broadcasts read
//! it where it lies.

/// Columns of a panel: two vectors of sixteen.
pub const PANEL: usize = 32;

/// Steps of k that are run before the next rows are taken: a block of the panel then stays in the
/// first-level cache (192 x 32 x 4 bytes = 24 KiB).
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 192;

/// Rows of a tile.
#[cfg(target_arch = "x86_64")]
const TILE: usize = 12;

/// A left factor: element (i, p) stands at `i * row + p * step`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<T> {
    /// Element (0, 0).
    pub start: *const T,
    /// From one row to the next.
    pub row: usize,
    /// From one step of k to the next.
    pub step: usize,
}

/// Whether this processor runs the single-precision kernel.
pub fn has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether this processor runs the bfloat16 kernel.
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return has_avx512() && std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// bfloat16 bits of a number, rounded to nearest, ties to even.
fn round(x: f32) -> u32 {
    u32::from(half::bf16::from_f32(x).to_bits())
}

/// Pairs neighbours of a row: (0, 1), (2, 3) ...; zero stands for what is missing at the end.
pub fn to_bf16(row: &[f32], out: &mut [u32]) {
    let (pairs, rest) = row.as_chunks::<2>();
    #[cfg(target_arch = "x86_64")]
    if has_bf16() {
        let whole = pairs.len() / 16 * 16;
        for (i, out) in out[..whole].as_chunks_mut::<16>().0.iter_mut().enumerate() {
            // SAFETY: the processor has the instructions, and 32 values stand there.
            unsafe { x86::pack_pairs(pairs[16 * i..].as_ptr().cast(), out) };
        }
        for (pair, out) in pairs[whole..].iter().zip(&mut out[whole..]) {
            *out = round(pair[0]) | round(pair[1]) << 16;
        }
        if let ([last], Some(out)) = (rest, out.get_mut(pairs.len())) {
            *out = round(*last);
        }
        return;
    }
    for (pair, out) in pairs.iter().zip(out.iter_mut()) {
        *out = round(pair[0]) | round(pair[1]) << 16;
    }
    if let ([last], Some(out)) = (rest, out.get_mut(pairs.len())) {
        *out = round(*last);
    }
}

/// Pairs two rows element by element; a row that is missing (empty) counts as zeros.
pub fn interleave_bf16(even: &[f32], odd: &[f32], out: &mut [u32]) {
    let n = out.len();
    #[cfg(target_arch = "x86_64")]
    if has_bf16() && even.len() >= n && odd.len() >= n {
        let whole = n / 16 * 16;
        for (i, out) in out[..whole].as_chunks_mut::<16>().0.iter_mut().enumerate() {
            // SAFETY: the processor has the instructions, and 16 values stand in each row.
            unsafe { x86::interleave(even[16 * i..].as_ptr(), odd[16 * i..].as_ptr(), out) };
        }
        for i in whole..n {
            out[i] = round(even[i]) | round(odd[i]) << 16;
        }
        return;
    }
    for (i, out) in out.iter_mut().enumerate() {
        let at = |row: &[f32]| row.get(i).map_or(0, |&x| round(x));
        *out = at(even) | at(odd) << 16;
    }
}

/// Adds `a [m, k]` times one panel `b [k, PANEL]` to the first `columns` columns of `out`.
///
/// # Safety
/// `a` can be read and `out` written at all places that the sizes and strides name, and the
/// processor has AVX-512.
pub unsafe fn single(
    m: usize,
    k: usize,
    a: Strided<f32>,
    b: &[f32],
    out: *mut f32,
    stride: usize,
    columns: usize,
) {
    assert!(b.len() >= k * PANEL, "panel of a product");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: handed on.
    unsafe {
        x86::tiles(m, k, a, b.as_ptr(), out, stride, columns, x86::SINGLE)
    };
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("no such kernel on this processor: {m} {k} {a:?} {out:?} {stride} {columns}");
}

/// The same on pairs of bfloat16: `k` counts pairs.
///
/// # Safety
/// As [`single`], and the processor has bfloat16 instructions.
pub unsafe fn bf16(
    m: usize,
    k: usize,
    a: Strided<u32>,
    b: &[u32],
    out: *mut f32,
    stride: usize,
    columns: usize,
) {
    assert!(b.len() >= k * PANEL, "panel of a product");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: handed on.
    unsafe {
        x86::tiles(m, k, a, b.as_ptr(), out, stride, columns, x86::BF16)
    };
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("no such kernel on this processor: {m} {k} {a:?} {out:?} {stride} {columns}");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, PANEL, Strided, TILE};

    type Kernel<T> = unsafe fn(usize, Strided<T>, *const T, *mut f32, usize);

    /// Kernels for tiles of 1 to 12 rows.
    pub const SINGLE: [Kernel<f32>; TILE] = [
        single::<1>,
        single::<2>,
        single::<3>,
        single::<4>,
        single::<5>,
        single::<6>,
        single::<7>,
        single::<8>,
        single::<9>,
        single::<10>,
        single::<11>,
        single::<12>,
    ];
    /// The same on pairs of bfloat16.
    pub const BF16: [Kernel<u32>; TILE] = [
        bf16::<1>, bf16::<2>, bf16::<3>, bf16::<4>, bf16::<5>, bf16::<6>, bf16::<7>, bf16::<8>, bf16::<9>,
        bf16::<10>, bf16::<11>, bf16::<12>,
    ];

    /// Runs a panel's tiles.
    #[expect(clippy::too_many_arguments, reason = "a matrix product has this many")]
    pub unsafe fn tiles<T>(
        m: usize,
        k: usize,
        a: Strided<T>,
        b: *const T,
        out: *mut f32,
        stride: usize,
        columns: usize,
        kernels: [Kernel<T>; TILE],
    ) {
        // Tiles of like height: forty rows are four of ten rather than three of twelve and one of four.
        let tiles = m.div_ceil(TILE);
        for first in (0..k).step_by(BLOCK) {
            let steps = BLOCK.min(k - first);
            // SAFETY: inside the matrices that the caller vouches for; the edge of the result is
            // computed in a tile of our own.
            unsafe {
                let b = b.add(first * PANEL);
                for t in 0..tiles {
                    let (row, end) = (t * m / tiles, (t + 1) * m / tiles);
                    let a = Strided { start: a.start.add(row * a.row + first * a.step), ..a };
                    let kernel = kernels[end - row - 1];
                    if columns == PANEL {
                        kernel(steps, a, b, out.add(row * stride), stride);
                    } else {
                        let mut tile = [0.0f32; TILE * PANEL];
                        kernel(steps, a, b, tile.as_mut_ptr(), PANEL);
                        for r in row..end {
                            for j in 0..columns {
                                *out.add(r * stride + j) += tile[(r - row) * PANEL + j];
                            }
                        }
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn add<const R: usize>(sums: &[[__m512; 2]; R], out: *mut f32, stride: usize) {
        for (r, sums) in sums.iter().enumerate() {
            for (half, &sum) in sums.iter().enumerate() {
                // SAFETY: the caller's tile is R rows of 32 columns.
                unsafe {
                    let out = out.add(r * stride + 16 * half);
                    _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), sum));
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn single<const R: usize>(k: usize, a: Strided<f32>, b: *const f32, out: *mut f32, stride: usize) {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        // SAFETY: the caller's matrices have k steps.
        unsafe {
            for p in 0..k {
                let (b0, b1) = (_mm512_loadu_ps(b.add(p * PANEL)), _mm512_loadu_ps(b.add(p * PANEL + 16)));
                let a_p = a.start.add(p * a.step);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a_p.add(r * a.row));
                    sums[0] = _mm512_fmadd_ps(x, b0, sums[0]);
                    sums[1] = _mm512_fmadd_ps(x, b1, sums[1]);
                }
            }
            add(&sums, out, stride);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn bf16<const R: usize>(k: usize, a: Strided<u32>, b: *const u32, out: *mut f32, stride: usize) {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        // SAFETY: the caller's matrices have k pairs; a vector of bfloat16 is a vector of pairs.
        unsafe {
            for p in 0..k {
                let load = |half: usize| -> __m512bh {
                    std::mem::transmute(_mm512_loadu_si512(b.add(p * PANEL + 16 * half).cast()))
                };
                let (b0, b1) = (load(0), load(1));
                let a_p = a.start.add(p * a.step);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_epi32((*a_p.add(r * a.row)).cast_signed());
                    let x: __m512bh = std::mem::transmute(x);
                    sums[0] = _mm512_dpbf16_ps(sums[0], x, b0);
                    sums[1] = _mm512_dpbf16_ps(sums[1], x, b1);
                }
            }
            add(&sums, out, stride);
        }
    }

    /// Rounds 32 values to bfloat16, neighbours paired.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn pack_pairs(values: *const f32, out: &mut [u32; 16]) {
        // SAFETY: the caller has 32 values there.
        unsafe {
            let pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(values.add(16)), _mm512_loadu_ps(values));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), std::mem::transmute::<__m512bh, __m512i>(pairs));
        }
    }

    /// Rounds 16 values of each of two rows and pairs them: even row low, odd row high.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn interleave(even: *const f32, odd: *const f32, out: &mut [u32; 16]) {
        // SAFETY: the caller has 16 values in each row.
        unsafe {
            let widen = |row: *const f32| {
                let bits = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(row)));
                _mm512_cvtepu16_epi32(bits)
            };
            let pairs = _mm512_or_si512(widen(even), _mm512_slli_epi32::<16>(widen(odd)));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs);
        }
    }
}
