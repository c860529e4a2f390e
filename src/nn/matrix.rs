//! Products of a few rows with a large constant matrix, the work of generating text.
//!
//! At one character at a time a product reads each weight once, so memory sets the speed; of
//! several rows, four share a reading. The matrix is kept in panels of 32 columns, read from start
//! to end. Each output is summed over k
//! in order, one multiplication and one addition at a time, whatever the width of the vectors: the
//! result is the same on every processor and in WebAssembly.

use super::math::simd;

/// Columns of a panel: eight vectors of four lanes (WebAssembly), four of eight (AVX2).
const PANEL: usize = 32;

/// Rows that share a reading of the matrix.
const GROUP: usize = 4;

/// Weights from which on the work is shared among threads.
#[cfg(feature = "native")]
const WORTH_THREADS: usize = 1 << 18;

/// A constant matrix `[rows, columns]` laid out for products from the left.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    rows: usize,
    columns: usize,
    panels: Vec<f32>,
}

impl PackedMatrix {
    /// Packs a row-major matrix `[rows, columns]`.
    ///
    /// # Panics
    /// The number of values is not `rows * columns`.
    pub fn new(values: &[f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "matrix of {rows} x {columns}");
        let mut panels = vec![0.0; columns.div_ceil(PANEL) * PANEL * rows];
        for (p, panel) in panels.chunks_exact_mut(rows * PANEL).enumerate() {
            let first = p * PANEL;
            let width = PANEL.min(columns - first);
            for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                row[..width].copy_from_slice(&values[k * columns + first..][..width]);
            }
        }
        Self { rows, columns, panels }
    }

    /// `out [batch, columns] += x [batch, rows] * self`.
    ///
    /// # Panics
    /// The lengths do not fit.
    pub fn add_product(&self, x: &[f32], out: &mut [f32]) {
        let batch = x.len() / self.rows;
        assert_eq!(x.len(), batch * self.rows, "input of a product");
        assert_eq!(out.len(), batch * self.columns, "output of a product");
        #[cfg(feature = "native")]
        if batch >= 2 * GROUP && self.rows * self.columns >= WORTH_THREADS {
            use rayon::prelude::*;
            // As few pieces as there are threads: each reads the whole matrix.
            let piece = batch.div_ceil(rayon::current_num_threads()).next_multiple_of(GROUP);
            return out
                .par_chunks_mut(piece * self.columns)
                .zip(x.par_chunks(piece * self.rows))
                .for_each(|(out, x)| self.add_product_here(x, out));
        }
        self.add_product_here(x, out);
    }

    /// [`Self::add_product`] on this thread.
    fn add_product_here(&self, x: &[f32], out: &mut [f32]) {
        let batch = x.len() / self.rows;
        let mut row = 0;
        while row + GROUP <= batch {
            let (x, out) = (&x[row * self.rows..], &mut out[row * self.columns..]);
            product_of_group(&self.panels, self.rows, self.columns, x, out);
            row += GROUP;
        }
        while row + 2 <= batch {
            self.product_rows::<2>(&x[row * self.rows..], &mut out[row * self.columns..]);
            row += 2;
        }
        if row < batch {
            self.product_rows::<1>(&x[row * self.rows..], &mut out[row * self.columns..]);
        }
    }

    fn product_rows<const R: usize>(&self, x: &[f32], out: &mut [f32]) {
        product::<R>(&self.panels, self.rows, self.columns, x, out);
    }
}

simd! {
    /// The inner loop for R rows at once.
    fn product [const R: usize](panels: &[f32], rows: usize, columns: usize, x: &[f32], out: &mut [f32]) {
        let x: [&[f32]; R] = std::array::from_fn(|r| &x[r * rows..(r + 1) * rows]);
        for (p, panel) in panels.chunks_exact(rows * PANEL).enumerate() {
            let mut sum = [[0.0f32; PANEL]; R];
            for (k, weights) in panel.as_chunks::<PANEL>().0.iter().enumerate() {
                for r in 0..R {
                    let scale = x[r][k];
                    for j in 0..PANEL {
                        sum[r][j] += scale * weights[j];
                    }
                }
            }
            let first = p * PANEL;
            let width = PANEL.min(columns - first);
            for r in 0..R {
                for (out, sum) in out[r * columns + first..][..width].iter_mut().zip(&sum[r]) {
                    *out += sum;
                }
            }
        }
    }
}

simd! {
    /// The inner loop for a group of rows, which goes through each panel half by half, since the
    /// sums of whole panels would not fit into the registers.
    fn product_of_group(panels: &[f32], rows: usize, columns: usize, x: &[f32], out: &mut [f32]) {
        const HALF: usize = PANEL / 2;
        let x: [&[f32]; GROUP] = std::array::from_fn(|r| &x[r * rows..(r + 1) * rows]);
        for (p, panel) in panels.chunks_exact(rows * PANEL).enumerate() {
            for half in 0..2 {
                let first = p * PANEL + half * HALF;
                if first >= columns {
                    break;
                }
                let mut sum = [[0.0f32; HALF]; GROUP];
                for (k, weights) in panel.as_chunks::<HALF>().0.iter().skip(half).step_by(2).enumerate() {
                    for r in 0..GROUP {
                        let scale = x[r][k];
                        for j in 0..HALF {
                            sum[r][j] += scale * weights[j];
                        }
                    }
                }
                let width = HALF.min(columns - first);
                for r in 0..GROUP {
                    for (out, sum) in out[r * columns + first..][..width].iter_mut().zip(&sum[r]) {
                        *out += sum;
                    }
                }
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
    fn product_equals_the_definition_to_the_bit() {
        for (batch, rows, columns) in [
            (1, 7, 32),
            (1, 512, 70),
            (2, 5, 31),
            (3, 16, 64),
            (5, 33, 100),
            (4, 9, 17),
            (7, 20, 48),
            (21, 512, 513),
        ] {
            let (w, x) = (values(rows * columns, 1), values(batch * rows, 2));
            let bias = values(batch * columns, 3);
            let mut out = bias.clone();
            PackedMatrix::new(&w, rows, columns).add_product(&x, &mut out);
            for b in 0..batch {
                for j in 0..columns {
                    let mut sum = 0.0f32;
                    for k in 0..rows {
                        sum += x[b * rows + k] * w[k * columns + j];
                    }
                    let expected = bias[b * columns + j] + sum;
                    assert_eq!(
                        out[b * columns + j].to_bits(),
                        expected.to_bits(),
                        "{batch} {rows} {columns}"
                    );
                }
            }
        }
    }
}
