//! The LSTM layer (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).
//!
//! Fused: the four gates of all steps' inputs are one product, and a step is one product of the
//! state with the recurrent weights. burn's own layer multiplies gate by gate.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};

use super::cell::Cell;
pub use super::layer::uniform;
use super::layer::{self, Recurrent, initial_bias};
use super::linear::linear;

/// Sizes of a layer.
#[derive(Debug, Clone, Copy)]
pub struct LstmConfig {
    /// Length of an input vector.
    pub input_size: usize,
    /// Length of an output vector and of the cell's content.
    pub hidden_size: usize,
}

/// An LSTM layer. Gates stand in the order input, forget, output, candidate.
#[derive(Module, Debug)]
pub struct Lstm {
    /// `[input_size, 4 hidden_size]`.
    pub input: Param<Tensor<2>>,
    /// `[hidden_size, 4 hidden_size]`.
    pub recurrent: Param<Tensor<2>>,
    /// `[4 hidden_size]`.
    pub bias: Param<Tensor<1>>,
}

/// What a layer remembers between steps.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// Output of the last step, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// Content of the cell, `[batch, hidden_size]`.
    pub cell: Tensor<2>,
}

impl LstmState {
    /// The state before the first step: zeros.
    pub fn zeros(batch: usize, hidden_size: usize, device: &Device) -> Self {
        let zeros = || Tensor::zeros([batch, hidden_size], device);
        Self { hidden: zeros(), cell: zeros() }
    }
}

impl LstmConfig {
    /// A layer with random weights: inputs spread so that they move the gates from the first
    /// update on (uniform with standard deviation sqrt(2 / input_size)), recurrent weights
    /// orthogonal, forget gates that start open (bias 1: Jozefowicz, Zaremba & Sutskever 2015,
    /// section 2.2).
    pub fn init(&self, device: &Device) -> Lstm {
        let shape = [self.input_size, 4 * self.hidden_size];
        Lstm {
            // Uniform values within +-b have a standard deviation of b / sqrt(3).
            input: uniform(shape, (6.0 / self.input_size as f64).sqrt(), device),
            recurrent: Recurrent::init(Cell::Lstm, self.hidden_size, device).weights,
            bias: Param::from_tensor(initial_bias(Cell::Lstm, self.hidden_size, device)),
        }
    }
}

impl Lstm {
    /// Runs over whole sequences from the zero state: `[time, batch, input_size]` to
    /// `[time, batch, hidden_size]`.
    pub fn forward(&self, inputs: Tensor<3>) -> Tensor<3> {
        let [time, batch, size] = inputs.dims();
        let gates = linear(inputs.reshape([time * batch, size]), self.input.val(), self.bias.val());
        let width = gates.dims()[1];
        recurrence(gates.reshape([time, batch, width]), self.recurrent.val())
    }

    /// One step on gate inputs `[batch, 4 hidden_size]` (bias included).
    pub fn step(&self, gates: Tensor<2>, state: &LstmState) -> LstmState {
        advance(gates + state.hidden.clone().matmul(self.recurrent.val()), state.cell.clone())
    }
}

/// The recurrent part over whole sequences from the zero state: gate inputs
/// `[time, batch, 4 hidden]` and recurrent weights `[hidden, 4 hidden]` to outputs
/// `[time, batch, hidden]`.
pub fn recurrence(gates: Tensor<3>, recurrent: Tensor<2>) -> Tensor<3> {
    layer::recurrence(Cell::Lstm, gates, recurrent, None, None).0
}

/// Gates `[batch, 4 hidden]` before their non-linearities, and the cell's content, to the new state.
pub fn advance(gates: Tensor<2>, cell: Tensor<2>) -> LstmState {
    let hidden = cell.dims()[1];
    let open = activation::sigmoid(gates.clone().narrow(1, 0, 3 * hidden));
    let candidate = activation::tanh(gates.narrow(1, 3 * hidden, hidden));
    let [input, forget, output] = [0, 1, 2].map(|k| open.clone().narrow(1, k * hidden, hidden));
    let cell = forget * cell + input * candidate;
    LstmState { hidden: output * activation::tanh(cell.clone()), cell }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::nn::cpu::LayerWeights;
    use burn::tensor::Distribution;

    const TIME: usize = 5;
    const BATCH: usize = 3;
    const HIDDEN: usize = 6;

    fn draw<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-0.8, 0.8), device)
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn assert_close(a: &[f32], b: &[f32], tolerance: f32, what: &str) {
        assert_eq!(a.len(), b.len(), "{what}");
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{what}[{i}]: {x} and {y}");
        }
    }

    #[test]
    fn single_steps_agree_with_whole_sequences() {
        let device = Device::flex();
        let layers: Vec<Lstm> =
            (0..2).map(|_| LstmConfig { input_size: HIDDEN, hidden_size: HIDDEN }.init(&device)).collect();
        let x = draw([TIME, BATCH, HIDDEN], &device);
        let expected = values(layers[1].forward(layers[0].forward(x.clone())));

        let weights: Vec<[Vec<f32>; 3]> = layers
            .iter()
            .map(|l| [values(l.input.val()), values(l.recurrent.val()), values(l.bias.val())])
            .collect();
        let stack: Vec<LayerWeights<'_>> = weights
            .iter()
            .enumerate()
            .map(|(l, [input, recurrent, bias])| LayerWeights {
                input: (l > 0).then_some((input.as_slice(), bias.as_slice())),
                recurrent,
                recurrent_bias: None,
            })
            .collect();
        let net = super::super::CpuStack::new(Cell::Lstm, HIDDEN, &stack);
        let first = super::super::PackedMatrix::new(&weights[0][0], HIDDEN, 4 * HIDDEN);
        let (mut cpu, mut steps) = (net.state(BATCH), Vec::new());
        let mut tensors = vec![LstmState::zeros(BATCH, HIDDEN, &device); 2];
        for t in 0..TIME {
            let input = x.clone().narrow(0, t, 1).reshape([BATCH, HIDDEN]);
            let mut gates = weights[0][2].repeat(BATCH);
            first.add_product(&values(input.clone()), &mut gates);
            steps.extend_from_slice(net.step(&mut gates, &mut cpu));

            let mut below = input;
            for (layer, state) in layers.iter().zip(&mut tensors) {
                *state = layer.step(below.matmul(layer.input.val()) + layer.bias.val().unsqueeze(), state);
                below = state.hidden.clone();
            }
            let row = t * BATCH * HIDDEN..(t + 1) * BATCH * HIDDEN;
            assert_close(&values(below), &expected[row], 1e-5, "tensor steps");
        }
        assert_close(&steps, &expected, 1e-5, "CPU steps");
    }
}
