//! One step of a stack of LSTM layers on the CPU: what writes a song.

use super::math::{sigmoid, simd, tanh};
use super::matrix::PackedMatrix;

/// Weights of one layer, row-major; gates in the order input, forget, output, candidate.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// `[input_size, 4 hidden_size]`.
    pub input: &'a [f32],
    /// `[hidden_size, 4 hidden_size]`.
    pub recurrent: &'a [f32],
    /// `[4 hidden_size]`.
    pub bias: &'a [f32],
}

/// A stack of LSTM layers whose first layer is handed its gate inputs ready made (from a table of
/// characters, or from a product that the caller knows how to save).
#[derive(Debug, Clone)]
pub struct CpuLstm {
    hidden_size: usize,
    first: PackedMatrix,
    upper: Vec<UpperLayer>,
}

/// A layer above the first: input and recurrent weights in one matrix `[2 hidden, 4 hidden]`.
#[derive(Debug, Clone)]
struct UpperLayer {
    weights: PackedMatrix,
    bias: Vec<f32>,
}

/// What the layers remember between steps, for a batch: per layer `[batch, hidden_size]`.
#[derive(Debug, Clone)]
pub struct CpuState {
    batch: usize,
    hidden: Vec<Vec<f32>>,
    cell: Vec<Vec<f32>>,
}

impl CpuState {
    /// Keeps the rows at the given places, in that order; a row may be taken more than once.
    pub fn select(&self, rows: &[usize]) -> Self {
        let pick = |layers: &[Vec<f32>]| {
            layers
                .iter()
                .map(|layer| {
                    let width = layer.len() / self.batch;
                    rows.iter().flat_map(|&r| layer[r * width..(r + 1) * width].iter().copied()).collect()
                })
                .collect()
        };
        Self { batch: rows.len(), hidden: pick(&self.hidden), cell: pick(&self.cell) }
    }

    /// Number of rows.
    pub fn batch(&self) -> usize {
        self.batch
    }
}

impl CpuLstm {
    /// Packs the recurrent weights of the first layer (`[hidden, 4 hidden]`) and all weights of the
    /// layers above it.
    pub fn new(hidden_size: usize, first_recurrent: &[f32], upper: &[LayerWeights<'_>]) -> Self {
        let gates = 4 * hidden_size;
        let upper = upper
            .iter()
            .map(|layer| {
                let joined = [layer.input, layer.recurrent].concat();
                UpperLayer {
                    weights: PackedMatrix::new(&joined, 2 * hidden_size, gates),
                    bias: layer.bias.to_vec(),
                }
            })
            .collect();
        Self { hidden_size, first: PackedMatrix::new(first_recurrent, hidden_size, gates), upper }
    }

    /// The state before the first step: zeros.
    pub fn state(&self, batch: usize) -> CpuState {
        let zeros = || vec![vec![0.0; batch * self.hidden_size]; 1 + self.upper.len()];
        CpuState { batch, hidden: zeros(), cell: zeros() }
    }

    /// Takes one step. `gates [batch, 4 hidden]` holds the first layer's inputs (bias included)
    /// and is used as scratch. Returns the top layer's output `[batch, hidden]`.
    ///
    /// # Panics
    /// `gates` is not of the state's batch size.
    pub fn step<'s>(&self, gates: &mut [f32], state: &'s mut CpuState) -> &'s [f32] {
        let h = self.hidden_size;
        assert_eq!(gates.len(), state.batch * 4 * h, "gates of a step");
        self.first.add_product(&state.hidden[0], gates);
        cell(gates, &mut state.hidden[0], &mut state.cell[0], h);
        let mut joined = vec![0.0; if self.upper.is_empty() { 0 } else { state.batch * 2 * h }];
        for (l, layer) in self.upper.iter().enumerate() {
            for (b, row) in joined.chunks_exact_mut(2 * h).enumerate() {
                row[..h].copy_from_slice(&state.hidden[l][b * h..(b + 1) * h]);
                row[h..].copy_from_slice(&state.hidden[l + 1][b * h..(b + 1) * h]);
            }
            for row in gates.chunks_exact_mut(4 * h) {
                row.copy_from_slice(&layer.bias);
            }
            layer.weights.add_product(&joined, gates);
            cell(gates, &mut state.hidden[l + 1], &mut state.cell[l + 1], h);
        }
        &state.hidden[self.upper.len()]
    }
}

simd! {
    /// Gates `[batch, 4 h]` and the cell's content `[batch, h]` to the new content and output
    /// (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).
    fn cell(gates: &[f32], hidden: &mut [f32], cell: &mut [f32], h: usize) {
        let rows = gates.chunks_exact(4 * h).zip(hidden.chunks_exact_mut(h)).zip(cell.chunks_exact_mut(h));
        for ((gates, hidden), cell) in rows {
            let (input, rest) = gates.split_at(h);
            let (forget, rest) = rest.split_at(h);
            let (output, candidate) = rest.split_at(h);
            for j in 0..h {
                let c = sigmoid(forget[j]) * cell[j] + sigmoid(input[j]) * tanh(candidate[j]);
                cell[j] = c;
                hidden[j] = sigmoid(output[j]) * tanh(c);
            }
        }
    }
}
