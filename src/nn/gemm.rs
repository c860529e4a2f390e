//! Matrix products for training on a CPU: several threads, weights packed once for many products.
//!
//! A recurrent layer multiplies by the same weights at every step. A general library lays them
//! out anew each time, which costs about as much as the arithmetic of a small batch; here that
//! is done once an update. Processors with AVX-512 run our own kernel, in single precision or on
//! numbers of 16 bits (bfloat16, sums in single precision) where they have instructions for it;
//! all others run the `gemm` crate on the same interface.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::kernel::{self, PANEL, Strided};

/// Columns of a panel.
pub use super::kernel::PANEL as PANEL_COLUMNS;

/// How exactly products are computed in training. Measuring and writing always use single
/// precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    Single,
    /// Factors rounded to bfloat16 (8 bits of mantissa), products summed in 32 bits.
    Bf16,
}

static BF16: AtomicBool = AtomicBool::new(false);

/// Sets how this process computes the products of training.
pub fn set_training_precision(precision: Precision) {
    BF16.store(precision == Precision::Bf16, Ordering::Relaxed);
}

/// How this process computes the products of training.
pub fn training_precision() -> Precision {
    if BF16.load(Ordering::Relaxed) { Precision::Bf16 } else { Precision::Single }
}

/// Whether this processor has instructions for bfloat16.
pub fn has_bf16() -> bool {
    kernel::has_bf16()
}

/// A matrix that is read: element (i, j) stands at `i * row + j * column`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// The number of values is not `rows * columns`.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "matrix of {rows} x {columns}");
        Self { values, rows, columns, row: columns, column: 1 }
    }

    /// Rows and columns exchanged; nothing moves.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row: self.column, column: self.row, ..self }
    }

    /// Some of a matrix's columns.
    ///
    /// # Panics
    /// There are not so many.
    pub fn columns(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.columns, "columns of a view");
        let start = (first * self.column).min(self.values.len());
        Self { values: &self.values[start..], columns: count, ..self }
    }
}

/// A right factor `[k, n]`, laid out for the kernel.
#[derive(Debug)]
pub struct Right {
    k: usize,
    n: usize,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    /// Panels of [`PANEL`] columns, each `[k, PANEL]`.
    Single(Vec<f32>),
    /// Panels of [`PANEL`] columns, each `[k / 2, PANEL]` pairs of bfloat16.
    Bf16(Vec<u32>),
    /// Row-major, for the `gemm` crate.
    Plain(Vec<f32>),
}

/// A left factor `[m, k]`, as the kernel reads it.
#[derive(Debug)]
pub struct Left<'a> {
    m: usize,
    k: usize,
    values: LeftValues<'a>,
}

#[derive(Debug)]
enum LeftValues<'a> {
    Single(View<'a>),
    /// Pairs along k: element (i, p) at `i * row + p * pair`.
    Bf16 {
        pairs: Vec<u32>,
        row: usize,
        pair: usize,
    },
}

impl Right {
    /// Lays a factor out for products of the given precision.
    pub fn new(b: View<'_>, precision: Precision) -> Self {
        let (k, n) = (b.rows, b.columns);
        let panels = n.div_ceil(PANEL);
        let layout = match precision {
            _ if !kernel::has_avx512() => Layout::Plain(row_major(b)),
            Precision::Bf16 if kernel::has_bf16() => {
                let pairs = k.div_ceil(2);
                let mut out = vec![0u32; panels * pairs * PANEL];
                out.par_chunks_mut((pairs * PANEL).max(1))
                    .enumerate()
                    .for_each(|(p, out)| pack_bf16(b, p * PANEL, 0, k, out));
                Layout::Bf16(out)
            }
            _ => {
                let mut out = vec![0.0f32; panels * k * PANEL];
                out.par_chunks_mut((k * PANEL).max(1))
                    .enumerate()
                    .for_each(|(p, out)| pack_single(b, p * PANEL, 0, k, out));
                Layout::Single(out)
            }
        };
        Self { k, n, layout }
    }

    /// The precision that a left factor has to be laid out in.
    pub fn precision(&self) -> Precision {
        if matches!(self.layout, Layout::Bf16(_)) { Precision::Bf16 } else { Precision::Single }
    }

    /// Number of panels: products of different panels touch different columns of the result.
    pub fn panels(&self) -> usize {
        self.n.div_ceil(PANEL)
    }

    /// Adds the product with some panels of this factor to `out`, in the calling thread.
    ///
    /// # Safety
    /// `out` points at an `[m, n]` matrix with rows `stride` apart, and no other thread touches
    /// the columns of these panels.
    pub unsafe fn add_panels(
        &self,
        left: &Left<'_>,
        panels: std::ops::Range<usize>,
        out: *mut f32,
        stride: usize,
    ) {
        assert_eq!(left.k, self.k, "inner sizes of a product");
        if left.m == 0 || self.k == 0 || panels.is_empty() {
            return;
        }
        for p in panels {
            let columns = PANEL.min(self.n - p * PANEL);
            // SAFETY: the panel lies inside the matrix that the caller vouches for.
            let out = unsafe { out.add(p * PANEL) };
            match (&self.layout, &left.values) {
                (Layout::Single(b), LeftValues::Single(a)) => {
                    let b = &b[p * self.k * PANEL..(p + 1) * self.k * PANEL];
                    let a = Strided { start: a.values.as_ptr(), row: a.row, step: a.column };
                    // SAFETY: views lie inside their slices; `out` as above.
                    unsafe { kernel::single(left.m, self.k, a, b, out, stride, columns) }
                }
                (Layout::Bf16(b), LeftValues::Bf16 { pairs, row, pair }) => {
                    let steps = self.k.div_ceil(2);
                    let b = &b[p * steps * PANEL..(p + 1) * steps * PANEL];
                    let a = Strided { start: pairs.as_ptr(), row: *row, step: *pair };
                    // SAFETY: as above.
                    unsafe { kernel::bf16(left.m, steps, a, b, out, stride, columns) }
                }
                (Layout::Plain(b), LeftValues::Single(a)) => {
                    // SAFETY: as above; `b` is row-major `[k, n]`.
                    unsafe {
                        plain(left.m, columns, self.k, out, stride, *a, b.as_ptr().add(p * PANEL), self.n);
                    }
                }
                _ => unreachable!("a left factor is laid out in the right one's precision"),
            }
        }
    }
}

impl<'a> Left<'a> {
    /// Lays a factor out; single precision reads the view itself.
    pub fn new(a: View<'a>, precision: Precision) -> Self {
        let values = match precision {
            Precision::Single => LeftValues::Single(a),
            Precision::Bf16 => {
                let steps = a.columns.div_ceil(2);
                if a.column == 1 {
                    let mut pairs = vec![0u32; a.rows * steps];
                    let rows = a.values.par_chunks(a.row.max(1)).zip(pairs.par_chunks_mut(steps.max(1)));
                    rows.with_min_len(16).for_each(|(row, out)| kernel::to_bf16(&row[..a.columns], out));
                    LeftValues::Bf16 { pairs, row: steps, pair: 1 }
                } else {
                    // The source's rows are steps of k: pair two of them, element by element.
                    let mut pairs = vec![0u32; a.rows * steps];
                    let b = a.transposed_rows();
                    pairs.par_chunks_mut(a.rows.max(1)).enumerate().with_min_len(16).for_each(|(p, out)| {
                        let row = |k: usize| -> &[f32] { if k < a.columns { b(k) } else { &[] } };
                        kernel::interleave_bf16(row(2 * p), row(2 * p + 1), out);
                    });
                    LeftValues::Bf16 { pairs, row: 1, pair: a.rows }
                }
            }
        };
        Self { m: a.rows, k: a.columns, values }
    }
}

impl<'a> View<'a> {
    /// The columns of a transposed row-major matrix, as slices.
    fn transposed_rows(self) -> impl Fn(usize) -> &'a [f32] + Sync {
        assert_eq!(self.row, 1, "a view is row-major or the transpose of one that is");
        move |k: usize| &self.values[k * self.column..k * self.column + self.rows]
    }
}

/// `out [m, n] = a [m, k] * b [k, n]` on all threads; added to what is there if `add`. `b` is
/// packed block by block as it is needed.
///
/// # Panics
/// The sizes do not fit.
pub fn product(a: View<'_>, b: View<'_>, out: &mut [f32], add: bool, precision: Precision) {
    let (m, n) = (a.rows, b.columns);
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    assert_eq!(out.len(), m * n, "result of a product");
    if !add {
        out.par_chunks_mut(1 << 16).for_each(|part| part.fill(0.0));
    }
    if m == 0 || n == 0 || b.rows == 0 {
        return;
    }
    if !kernel::has_avx512() {
        let b = if b.column == 1 { b } else { return product_plain_transposed(a, b, out) };
        // SAFETY: `out` is [m, n] and borrowed; the views lie inside their slices.
        unsafe { gemm_crate(m, n, b.rows, out.as_mut_ptr(), n, a, b.values.as_ptr(), b.row, true) };
        return;
    }
    let b = Right::new(b, precision);
    let left = Left::new(a, b.precision());
    let out = SharedOut(out.as_mut_ptr());
    (0..b.panels()).into_par_iter().for_each(|p| {
        // SAFETY: each panel's columns are touched by one thread alone, inside [m, n].
        unsafe { b.add_panels(&left, p..p + 1, out.get(), n) }
    });
}

/// A pointer that threads share to write different columns of one matrix.
#[derive(Debug, Clone, Copy)]
pub struct SharedOut(*mut f32);

// SAFETY: whoever writes through it says why no two threads meet.
unsafe impl Send for SharedOut {}
// SAFETY: as above.
unsafe impl Sync for SharedOut {}

impl SharedOut {
    /// Shares the values of a slice.
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The pointer.
    pub fn get(self) -> *mut f32 {
        self.0
    }
}

fn row_major(b: View<'_>) -> Vec<f32> {
    let mut out = Vec::with_capacity(b.rows * b.columns);
    for i in 0..b.rows {
        out.extend((0..b.columns).map(|j| b.values[i * b.row + j * b.column]));
    }
    out
}

fn product_plain_transposed(a: View<'_>, b: View<'_>, out: &mut [f32]) {
    let values = row_major(b);
    // SAFETY: as in `product`.
    unsafe {
        gemm_crate(
            a.rows,
            b.columns,
            b.rows,
            out.as_mut_ptr(),
            b.columns,
            a,
            values.as_ptr(),
            b.columns,
            true,
        );
    }
}

/// One panel's product by the `gemm` crate, in the calling thread.
#[expect(clippy::too_many_arguments, reason = "a matrix product has this many")]
unsafe fn plain(
    m: usize,
    n: usize,
    k: usize,
    out: *mut f32,
    stride: usize,
    a: View<'_>,
    b: *const f32,
    b_stride: usize,
) {
    // SAFETY: handed on.
    unsafe { gemm_crate(m, n, k, out, stride, a, b, b_stride, false) }
}

#[expect(clippy::too_many_arguments, reason = "a matrix product has this many")]
unsafe fn gemm_crate(
    m: usize,
    n: usize,
    k: usize,
    out: *mut f32,
    stride: usize,
    a: View<'_>,
    b: *const f32,
    b_stride: usize,
    parallel: bool,
) {
    let threads = if parallel { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: the callers' matrices lie inside their slices and `out` overlaps neither of the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            stride as isize,
            true,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b,
            1,
            b_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            threads,
        );
    }
}

/// Copies rows `from..to` of a panel's columns into `[k, PANEL]`, zeros beyond the matrix.
fn pack_single(b: View<'_>, first: usize, from: usize, to: usize, out: &mut [f32]) {
    let width = PANEL.min(b.columns - first);
    if b.column == 1 {
        for (k, out) in (from..to).zip(out.chunks_exact_mut(PANEL)) {
            out[..width].copy_from_slice(&b.values[k * b.row + first..][..width]);
        }
    } else {
        // The transpose of a row-major matrix: each column of the panel is contiguous.
        for j in 0..width {
            let column = &b.values[(first + j) * b.column..];
            for k in from..to {
                out[(k - from) * PANEL + j] = column[k * b.row];
            }
        }
    }
}

/// The same in pairs of bfloat16, `[k / 2, PANEL]`.
fn pack_bf16(b: View<'_>, first: usize, from: usize, to: usize, out: &mut [u32]) {
    let width = PANEL.min(b.columns - first);
    if b.column == 1 {
        for (p, out) in out.chunks_exact_mut(PANEL).enumerate() {
            let row =
                |k: usize| -> &[f32] { if k < to { &b.values[k * b.row + first..][..width] } else { &[] } };
            kernel::interleave_bf16(row(from + 2 * p), row(from + 2 * p + 1), &mut out[..width]);
        }
    } else {
        let mut column = vec![0u32; (to - from).div_ceil(2)];
        for j in 0..width {
            kernel::to_bf16(&b.values[(first + j) * b.column + from..][..to - from], &mut column);
            for (p, &pair) in column.iter().enumerate() {
                out[p * PANEL + j] = pair;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, seed: u32) -> Vec<f32> {
        let mut s = seed;
        (0..n)
            .map(|_| {
                s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (s >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    #[test]
    fn products_agree_with_the_definition() {
        for (m, n, k) in [(1, 1, 1), (5, 33, 7), (13, 70, 96), (64, 256, 401), (3, 66, 1), (25, 31, 200)] {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let at: Vec<f32> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
            let bt: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            let start = values(m * n, 3);
            let mut expected = start.clone();
            for i in 0..m {
                for j in 0..n {
                    expected[i * n + j] += (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum::<f32>();
                }
            }
            let lefts = [View::new(&a, m, k), View::new(&at, k, m).transposed()];
            let rights = [View::new(&b, k, n), View::new(&bt, n, k).transposed()];
            for (precision, tolerance) in [(Precision::Single, 1e-4), (Precision::Bf16, 2e-2)] {
                for (l, r) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let mut out = start.clone();
                    product(lefts[l], rights[r], &mut out, true, precision);
                    for (x, y) in out.iter().zip(&expected) {
                        let scale = (k as f32).sqrt();
                        assert!(
                            (x - y).abs() < tolerance * scale,
                            "{m} {n} {k} {precision:?} {l}{r}: {x} {y}"
                        );
                    }
                }
            }
        }
    }
}
