//! The LSTM layer (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).
//!
//! Fused: the four gates of all steps' inputs are one product, and a step is one product of the
//! state with the recurrent weights. burn's own layer multiplies gate by gate.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Distribution, Tensor, activation};

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
            recurrent: orthogonal(self.hidden_size, device),
            bias: Param::from_tensor(initial_bias(self.hidden_size, device)),
        }
    }
}

/// Recurrent weights `[hidden_size, 4 hidden_size]` with orthonormal rows, so that the state
/// neither fades nor grows at the start (Saxe, McClelland & Ganguli 2014, arXiv 1312.6120).
pub fn orthogonal(hidden_size: usize, device: &Device) -> Param<Tensor<2>> {
    Initializer::Orthogonal { gain: 1.0 }.init([hidden_size, 4 * hidden_size], device)
}

/// A parameter drawn uniformly from +-`bound`.
pub fn uniform<const D: usize>(shape: [usize; D], bound: f64, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::random(shape, Distribution::Uniform(-bound, bound), device))
}

/// `[4 hidden_size]`: one for the forget gates, zero for the others.
pub fn initial_bias(hidden_size: usize, device: &Device) -> Tensor<1> {
    let zeros = |n: usize| Tensor::<1>::zeros([n * hidden_size], device);
    Tensor::cat(vec![zeros(1), Tensor::ones([hidden_size], device), zeros(2)], 0)
}

impl Lstm {
    /// Runs over whole sequences from the zero state: `[time, batch, input_size]` to
    /// `[time, batch, hidden_size]`.
    pub fn forward(&self, inputs: Tensor<3>) -> Tensor<3> {
        let [time, batch, size] = inputs.dims();
        let gates =
            inputs.reshape([time * batch, size]).matmul(self.input.val()) + self.bias.val().unsqueeze();
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
/// `[time, batch, hidden]`. On the CPU it is one operation with a hand-written derivative.
pub fn recurrence(gates: Tensor<3>, recurrent: Tensor<2>) -> Tensor<3> {
    #[cfg(feature = "native")]
    let (gates, recurrent) = match super::recurrence::on_cpu(gates, recurrent) {
        Ok(outputs) => return outputs,
        Err(inputs) => *inputs,
    };
    composed(gates, recurrent)
}

/// [`recurrence`] out of burn's operations, for GPUs (and to check the other against).
pub fn composed(gates: Tensor<3>, recurrent: Tensor<2>) -> Tensor<3> {
    let [time, batch, width] = gates.dims();
    let mut state = LstmState::zeros(batch, width / 4, &gates.device());
    let mut outputs = Vec::with_capacity(time);
    for t in 0..time {
        let input = gates.clone().narrow(0, t, 1).reshape([batch, width]);
        state = advance(input + state.hidden.matmul(recurrent.clone()), state.cell);
        outputs.push(state.hidden.clone());
    }
    Tensor::stack(outputs, 0)
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
    use burn::tensor::TensorData;

    const TIME: usize = 5;
    const BATCH: usize = 3;
    const INPUT: usize = 4;
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
    fn agrees_with_the_layer_of_burn() {
        let device = Device::flex();
        let ours = LstmConfig { input_size: INPUT, hidden_size: HIDDEN }.init(&device);
        let bias = draw([4 * HIDDEN], &device);
        let ours = Lstm { bias: Param::from_tensor(bias), ..ours };
        let mut theirs = burn::nn::LstmConfig::new(INPUT, HIDDEN, true).with_batch_first(false).init(&device);
        let gates = [
            &mut theirs.input_gate,
            theirs.forget_gate.as_mut().unwrap(),
            &mut theirs.output_gate,
            &mut theirs.cell_gate,
        ];
        for (k, gate) in gates.into_iter().enumerate() {
            let part = |t: Tensor<2>| Param::from_tensor(t.narrow(1, k * HIDDEN, HIDDEN));
            gate.input_transform.weight = part(ours.input.val());
            gate.hidden_transform.weight = part(ours.recurrent.val());
            gate.input_transform.bias =
                Some(Param::from_tensor(ours.bias.val().narrow(0, k * HIDDEN, HIDDEN)));
            gate.hidden_transform.bias = Some(Param::from_tensor(Tensor::zeros([HIDDEN], &device)));
        }
        let x = draw([TIME, BATCH, INPUT], &device);
        let (expected, _) = theirs.forward(x.clone(), None);
        assert_close(&values(ours.forward(x)), &values(expected), 1e-5, "outputs");
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
        let upper = [super::super::cpu::LayerWeights {
            input: &weights[1][0],
            recurrent: &weights[1][1],
            bias: &weights[1][2],
        }];
        let net = super::super::CpuLstm::new(HIDDEN, &weights[0][1], &upper);
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

    /// A loss that weighs each output differently, so that no gradient can hide.
    fn loss(outputs: Tensor<3>) -> Tensor<1> {
        let n = outputs.shape().num_elements();
        let weights: Vec<f32> = (0..n).map(|i| ((i * 7919) % 13) as f32 / 13.0 - 0.4).collect();
        let weights = Tensor::<3>::from_data(TensorData::new(weights, outputs.dims()), &outputs.device());
        (outputs * weights).sum()
    }

    #[test]
    fn hand_written_gradient_agrees_with_autodiff() {
        let device = Device::flex().autodiff();
        for (time, batch, hidden) in [(TIME, BATCH, HIDDEN), (1, 1, 3), (40, 33, 96)] {
            let gates = draw([time, batch, 4 * hidden], &device).require_grad();
            let weights = (draw([hidden, 4 * hidden], &device).inner() * 0.3).autodiff().require_grad();
            let run = |f: &dyn Fn(Tensor<3>, Tensor<2>) -> Tensor<3>| {
                let outputs = f(gates.clone(), weights.clone());
                let grads = loss(outputs.clone()).backward();
                let [g, w] = [gates.grad(&grads).map(values), weights.grad(&grads).map(values)];
                [values(outputs.inner()), g.unwrap(), w.unwrap()]
            };
            let (ours, theirs) = (run(&recurrence), run(&composed));
            for (k, what) in ["outputs", "gate gradient", "weight gradient"].iter().enumerate() {
                assert_close(&ours[k], &theirs[k], 2e-4, what);
            }
        }
    }

    #[test]
    fn hand_written_gradient_agrees_with_finite_differences() {
        let device = Device::flex().autodiff();
        let shapes = ([TIME, BATCH, 4 * HIDDEN], [HIDDEN, 4 * HIDDEN]);
        let gates = draw(shapes.0, &device).require_grad();
        let weights = draw(shapes.1, &device).require_grad();
        let grads = loss(recurrence(gates.clone(), weights.clone())).backward();
        let found = [values(gates.grad(&grads).unwrap()), values(weights.grad(&grads).unwrap())];
        let base = [values(gates.inner()), values(weights.inner())];
        let device = Device::flex();
        let at = |which: usize, i: usize, shift: f32| {
            let mut v = base.clone();
            v[which][i] += shift;
            let [g, w] = v;
            let g = Tensor::<3>::from_data(TensorData::new(g, shapes.0), &device);
            let w = Tensor::<2>::from_data(TensorData::new(w, shapes.1), &device);
            f64::from(loss(recurrence(g, w)).into_scalar::<f32>())
        };
        let step = 1e-2;
        for which in 0..2 {
            for i in (0..base[which].len()).step_by(5) {
                let slope = (at(which, i, step) - at(which, i, -step)) / f64::from(2.0 * step);
                let error = (slope - f64::from(found[which][i])).abs();
                assert!(error < 2e-3, "input {which}, value {i}: {slope} and {}", found[which][i]);
            }
        }
    }
}
