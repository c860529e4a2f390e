//! One step of a stack of recurrent layers on the CPU: what writes a song.

use super::cell::Cell;
use super::math::{sigmoid, simd, tanh};
use super::matrix::PackedMatrix;

/// Weights of one layer, row-major; blocks of columns in the order that [`Cell`] says.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// `[input_size, blocks * hidden_size]` and `[blocks * hidden_size]`; the first layer has none,
    /// since it is handed its gate inputs ready made.
    pub input: Option<(&'a [f32], &'a [f32])>,
    /// `[hidden_size, blocks * hidden_size]`.
    pub recurrent: &'a [f32],
    /// `[hidden_size]`, of a GRU only.
    pub recurrent_bias: Option<&'a [f32]>,
}

/// A stack of recurrent layers whose first layer is handed its gate inputs ready made (from a table
/// of characters, or from a product that the caller knows how to save).
#[derive(Debug, Clone)]
pub struct CpuStack {
    cell: Cell,
    hidden_size: usize,
    layers: Vec<CpuLayer>,
}

#[derive(Debug, Clone)]
struct CpuLayer {
    input: Option<(PackedMatrix, Vec<f32>)>,
    recurrent: PackedMatrix,
    /// What the recurrent product starts from: zeros, and the bias of a GRU's candidate.
    recurrent_bias: Vec<f32>,
}

/// What the layers remember between steps, for a batch: per layer `[batch, hidden_size]`.
#[derive(Debug, Clone)]
pub struct CpuState {
    batch: usize,
    hidden: Vec<Vec<f32>>,
    /// Content of an LSTM's cells; the other cells have none.
    content: Vec<Vec<f32>>,
}

impl CpuState {
    /// The given rows of several states as one, in that order; a row may be taken more than once.
    pub fn gather(parts: &[(&Self, usize)]) -> Self {
        let pick = |layers: fn(&Self) -> &[Vec<f32>]| {
            let depth = parts.first().map_or(0, |(state, _)| layers(state).len());
            (0..depth)
                .map(|l| {
                    let mut rows = Vec::new();
                    for (state, row) in parts {
                        let layer = &layers(state)[l];
                        let width = layer.len() / state.batch;
                        rows.extend_from_slice(&layer[row * width..(row + 1) * width]);
                    }
                    rows
                })
                .collect()
        };
        Self { batch: parts.len(), hidden: pick(|s| &s.hidden), content: pick(|s| &s.content) }
    }

    /// Number of rows.
    pub fn batch(&self) -> usize {
        self.batch
    }
}

impl CpuStack {
    /// Packs the weights of the layers, the lowest first.
    pub fn new(cell: Cell, hidden_size: usize, layers: &[LayerWeights<'_>]) -> Self {
        let width = cell.blocks() * hidden_size;
        let layers = layers
            .iter()
            .map(|layer| {
                let mut recurrent_bias = vec![0.0; width];
                if let Some(bias) = layer.recurrent_bias {
                    recurrent_bias[width - hidden_size..].copy_from_slice(bias);
                }
                CpuLayer {
                    input: layer.input.map(|(weights, bias)| {
                        (PackedMatrix::new(weights, weights.len() / width, width), bias.to_vec())
                    }),
                    recurrent: PackedMatrix::new(layer.recurrent, hidden_size, width),
                    recurrent_bias,
                }
            })
            .collect();
        Self { cell, hidden_size, layers }
    }

    /// The state before the first step: zeros.
    pub fn state(&self, batch: usize) -> CpuState {
        let zeros = || vec![vec![0.0; batch * self.hidden_size]; self.layers.len()];
        let content = if self.cell == Cell::Lstm { zeros() } else { Vec::new() };
        CpuState { batch, hidden: zeros(), content }
    }

    /// Takes one step. `gates [batch, blocks * hidden]` holds the first layer's inputs (bias
    /// included) and is used as scratch. Returns the top layer's output `[batch, hidden]`.
    ///
    /// # Panics
    /// `gates` is not of the state's batch size.
    pub fn step<'s>(&self, gates: &mut [f32], state: &'s mut CpuState) -> &'s [f32] {
        let h = self.hidden_size;
        let width = self.cell.blocks() * h;
        assert_eq!(gates.len(), state.batch * width, "gates of a step");
        for (l, layer) in self.layers.iter().enumerate() {
            if let Some((weights, bias)) = &layer.input {
                for row in gates.chunks_exact_mut(width) {
                    row.copy_from_slice(bias);
                }
                weights.add_product(&state.hidden[l - 1], gates);
            }
            match self.cell {
                Cell::Lstm => {
                    layer.recurrent.add_product(&state.hidden[l], gates);
                    lstm(gates, &mut state.hidden[l], &mut state.content[l], h);
                }
                Cell::Gru => {
                    let mut products = layer.recurrent_bias.repeat(state.batch);
                    layer.recurrent.add_product(&state.hidden[l], &mut products);
                    gru(gates, &products, &mut state.hidden[l], h);
                }
                Cell::Rnn => {
                    layer.recurrent.add_product(&state.hidden[l], gates);
                    elman(gates, &mut state.hidden[l]);
                }
            }
        }
        state.hidden.last().map_or(&[], Vec::as_slice)
    }
}

simd! {
    /// Gates `[batch, 4 h]` and the cell's content `[batch, h]` to the new content and output
    /// (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).
    pub fn lstm(gates: &[f32], hidden: &mut [f32], cell: &mut [f32], h: usize) {
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

simd! {
    /// Gate inputs and recurrent products `[batch, 3 h]` to the new output (Cho et al. 2014).
    fn gru(inputs: &[f32], products: &[f32], hidden: &mut [f32], h: usize) {
        let rows = inputs.chunks_exact(3 * h).zip(products.chunks_exact(3 * h)).zip(hidden.chunks_exact_mut(h));
        for ((inputs, products), hidden) in rows {
            for j in 0..h {
                let reset = sigmoid(inputs[j] + products[j]);
                let update = sigmoid(inputs[h + j] + products[h + j]);
                let candidate = tanh(inputs[2 * h + j] + reset * products[2 * h + j]);
                hidden[j] = candidate + update * (hidden[j] - candidate);
            }
        }
    }
}

simd! {
    /// Sums `[batch, h]` to the new output (Elman 1990).
    fn elman(sums: &[f32], hidden: &mut [f32]) {
        for (hidden, sum) in hidden.iter_mut().zip(sums) {
            *hidden = tanh(*sum);
        }
    }
}
