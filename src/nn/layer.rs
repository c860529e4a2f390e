//! A recurrent layer of any cell.
//!
//! Fused: the gates of all steps' inputs are one product, and a step is one product of the state
//! with the recurrent weights. burn's own layers multiply gate by gate.

use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Tensor, TensorData};

use super::cell::{Cell, CellState, composed};
use super::linear::linear;

/// Sizes and kind of a layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerConfig {
    /// Kind of the cell.
    pub cell: Cell,
    /// Length of an input vector.
    pub input_size: usize,
    /// Length of an output vector.
    pub hidden_size: usize,
}

/// The weights between the steps of a layer.
#[derive(Module, Debug)]
pub struct Recurrent {
    /// `[hidden_size, blocks * hidden_size]`.
    pub weights: Param<Tensor<2>>,
    /// `[hidden_size]`: what a GRU adds to the candidate's product; the other cells have none.
    pub bias: Option<Param<Tensor<1>>>,
}

/// A recurrent layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// `[input_size, blocks * hidden_size]`.
    pub input: Param<Tensor<2>>,
    /// `[blocks * hidden_size]`.
    pub bias: Param<Tensor<1>>,
    /// Weights between the steps.
    pub recurrent: Recurrent,
}

impl LayerConfig {
    /// A layer with random weights: inputs spread so that they move the gates from the first
    /// update on (uniform with standard deviation sqrt(2 / input_size)).
    pub fn init(&self, device: &Device) -> Layer {
        let width = self.cell.blocks() * self.hidden_size;
        Layer {
            // Uniform values within +-b have a standard deviation of b / sqrt(3).
            input: uniform([self.input_size, width], (6.0 / self.input_size as f64).sqrt(), device),
            bias: Param::from_tensor(initial_bias(self.cell, self.hidden_size, device)),
            recurrent: Recurrent::init(self.cell, self.hidden_size, device),
        }
    }
}

impl Recurrent {
    /// Random weights with orthonormal rows, so that the state neither fades nor grows at the
    /// start (Saxe, McClelland & Ganguli 2014, arXiv 1312.6120).
    pub fn init(cell: Cell, hidden_size: usize, device: &Device) -> Self {
        Self {
            weights: orthogonal(hidden_size, cell.blocks() * hidden_size, device),
            bias: (cell == Cell::Gru).then(|| Param::from_tensor(Tensor::zeros([hidden_size], device))),
        }
    }

    /// [`recurrence`] with these weights.
    pub fn forward(
        &self,
        cell: Cell,
        gates: Tensor<3>,
        initial: Option<&CellState>,
    ) -> (Tensor<3>, CellState) {
        recurrence(cell, gates, self.weights.val(), self.bias.as_ref().map(Param::val), initial)
    }
}

/// The recurrent part over whole sequences: gate inputs `[time, batch, blocks * hidden]`, recurrent
/// weights `[hidden, blocks * hidden]` and a GRU's recurrent bias `[hidden]` to outputs
/// `[time, batch, hidden]` and the state after the last step, through which no gradient goes back.
/// Without an initial state it starts from zeros. On the CPU it is one operation with a
/// hand-written derivative.
pub fn recurrence(
    cell: Cell,
    gates: Tensor<3>,
    weights: Tensor<2>,
    bias: Option<Tensor<1>>,
    initial: Option<&CellState>,
) -> (Tensor<3>, CellState) {
    #[cfg(feature = "native")]
    let (gates, weights) = {
        let any = bias.clone().unwrap_or_else(|| Tensor::zeros([1], &gates.device()));
        match super::recurrence::on_cpu(cell, (gates, weights, any), initial) {
            Ok(done) => return done,
            Err(inputs) => (inputs.0, inputs.1),
        }
    };
    composed(cell, gates, weights, bias, initial)
}

impl Layer {
    /// Runs over whole sequences: `[time, batch, input_size]` to `[time, batch, hidden_size]` and
    /// the state after the last step; see [`Recurrent::forward`].
    pub fn forward(&self, cell: Cell, x: Tensor<3>, initial: Option<&CellState>) -> (Tensor<3>, CellState) {
        let [time, batch, size] = x.dims();
        let gates = linear(x.reshape([time * batch, size]), self.input.val(), self.bias.val());
        let width = gates.dims()[1];
        self.recurrent.forward(cell, gates.reshape([time, batch, width]), initial)
    }
}

/// Orthonormal rows, at most as many as columns, by the modified Gram-Schmidt process on normally
/// distributed ones; burn's own initialiser takes many seconds at our sizes.
fn orthogonal(rows: usize, columns: usize, device: &Device) -> Param<Tensor<2>> {
    let drawn = Tensor::<2>::random([rows, columns], Distribution::Normal(0.0, 1.0), device);
    // A device that gives its numbers back in no form we know keeps what was drawn, scaled.
    let Ok(mut values) = drawn.to_data().try_into_vec::<f32>() else {
        return Param::from_tensor(drawn / (columns as f64).sqrt());
    };
    for r in 0..rows {
        let (done, rest) = values.split_at_mut(r * columns);
        let row = &mut rest[..columns];
        for other in done.chunks_exact(columns) {
            let dot: f32 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = row.iter().map(|a| a * a).sum::<f32>().sqrt();
        row.iter_mut().for_each(|a| *a /= norm);
    }
    Param::from_tensor(Tensor::from_data(TensorData::new(values, [rows, columns]), device))
}

/// A parameter drawn uniformly from +-`bound`.
pub fn uniform<const D: usize>(shape: [usize; D], bound: f64, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::random(shape, Distribution::Uniform(-bound, bound), device))
}

/// `[blocks * hidden_size]`: zero, but one for an LSTM's forget gates, which so start open
/// (Jozefowicz, Zaremba & Sutskever 2015, section 2.2).
pub fn initial_bias(cell: Cell, hidden_size: usize, device: &Device) -> Tensor<1> {
    let zeros = |n: usize| Tensor::<1>::zeros([n * hidden_size], device);
    match cell {
        Cell::Lstm => Tensor::cat(vec![zeros(1), Tensor::ones([hidden_size], device), zeros(2)], 0),
        other => zeros(other.blocks()),
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;

    const TIME: usize = 5;
    const BATCH: usize = 3;
    const INPUT: usize = 4;
    const HIDDEN: usize = 6;
    const CELLS: [Cell; 3] = [Cell::Lstm, Cell::Gru, Cell::Rnn];

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
    fn recurrent_weights_start_orthonormal() {
        let weights = Recurrent::init(Cell::Lstm, 24, &Device::flex()).weights.val();
        let products = values(weights.clone().matmul(weights.transpose()));
        for (i, product) in products.iter().enumerate() {
            let expected = f32::from(u8::from(i % 25 == 0));
            assert!((product - expected).abs() < 1e-4, "{i}: {product}");
        }
    }

    #[test]
    fn an_lstm_agrees_with_the_layer_of_burn() {
        let device = Device::flex();
        let config = LayerConfig { cell: Cell::Lstm, input_size: INPUT, hidden_size: HIDDEN };
        let ours = Layer { bias: Param::from_tensor(draw([4 * HIDDEN], &device)), ..config.init(&device) };
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
            gate.hidden_transform.weight = part(ours.recurrent.weights.val());
            gate.input_transform.bias =
                Some(Param::from_tensor(ours.bias.val().narrow(0, k * HIDDEN, HIDDEN)));
            gate.hidden_transform.bias = Some(Param::from_tensor(Tensor::zeros([HIDDEN], &device)));
        }
        let x = draw([TIME, BATCH, INPUT], &device);
        let (expected, _) = theirs.forward(x.clone(), None);
        assert_close(&values(ours.forward(Cell::Lstm, x, None).0), &values(expected), 1e-5, "outputs");
    }

    #[test]
    fn a_gru_agrees_with_the_layer_of_burn() {
        let device = Device::flex();
        let config = LayerConfig { cell: Cell::Gru, input_size: INPUT, hidden_size: HIDDEN };
        let mut ours =
            Layer { bias: Param::from_tensor(draw([3 * HIDDEN], &device)), ..config.init(&device) };
        ours.recurrent.bias = Some(Param::from_tensor(draw([HIDDEN], &device)));
        let mut theirs = burn::nn::gru::GruConfig::new(INPUT, HIDDEN, true).init(&device);
        for (k, gate) in
            [&mut theirs.reset_gate, &mut theirs.update_gate, &mut theirs.new_gate].into_iter().enumerate()
        {
            let part = |t: Tensor<2>| Param::from_tensor(t.narrow(1, k * HIDDEN, HIDDEN));
            gate.input_transform.weight = part(ours.input.val());
            gate.hidden_transform.weight = part(ours.recurrent.weights.val());
            gate.input_transform.bias =
                Some(Param::from_tensor(ours.bias.val().narrow(0, k * HIDDEN, HIDDEN)));
            let zeros = Tensor::zeros([HIDDEN], &device);
            let hidden_bias = if k == 2 { ours.recurrent.bias.as_ref().unwrap().val() } else { zeros };
            gate.hidden_transform.bias = Some(Param::from_tensor(hidden_bias));
        }
        let x = draw([TIME, BATCH, INPUT], &device);
        let expected = theirs.forward(x.clone().swap_dims(0, 1), None).swap_dims(0, 1);
        assert_close(&values(ours.forward(Cell::Gru, x, None).0), &values(expected), 1e-5, "outputs");
    }

    #[test]
    fn a_sequence_in_two_parts_is_the_whole_sequence() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            for cell in CELLS {
                let layer = LayerConfig { cell, input_size: INPUT, hidden_size: HIDDEN }.init(&device);
                let x = draw([7, BATCH, INPUT], &device);
                let whole = values(layer.forward(cell, x.clone(), None).0);
                let (first, state) = layer.forward(cell, x.clone().narrow(0, 0, 4), None);
                let second = layer.forward(cell, x.narrow(0, 4, 3), Some(&state)).0;
                assert_close(&[values(first), values(second)].concat(), &whole, 1e-5, "outputs");
            }
        }
    }

    /// A loss that weighs each output differently, so that no gradient can hide.
    fn loss(outputs: Tensor<3>) -> Tensor<1> {
        let n = outputs.shape().num_elements();
        let weights: Vec<f32> = (0..n).map(|i| ((i * 7919) % 13) as f32 / 13.0 - 0.4).collect();
        let weights = Tensor::<3>::from_data(TensorData::new(weights, outputs.dims()), &outputs.device());
        (outputs * weights).sum()
    }

    type Run<'a> = &'a dyn Fn(Tensor<3>, Tensor<2>, Tensor<1>) -> Tensor<3>;

    #[test]
    fn hand_written_gradients_agree_with_autodiff() {
        let device = Device::flex().autodiff();
        for cell in CELLS {
            for (time, batch, hidden, carried) in
                [(TIME, BATCH, HIDDEN, false), (1, 1, 3, true), (40, 33, 96, true), (3, 5, 40, false)]
            {
                let width = cell.blocks() * hidden;
                let gates = draw([time, batch, width], &device).require_grad();
                let weights = (draw([hidden, width], &device).inner() * 0.3).autodiff().require_grad();
                let bias = draw([hidden], &device).require_grad();
                let initial = carried.then(|| {
                    let content = (cell == Cell::Lstm).then(|| draw([batch, hidden], &device));
                    CellState { hidden: draw([batch, hidden], &device), content }
                });
                let run = |f: Run<'_>| {
                    let outputs = f(gates.clone(), weights.clone(), bias.clone());
                    let grads = loss(outputs.clone()).backward();
                    let [g, w] = [gates.grad(&grads).map(values), weights.grad(&grads).map(values)];
                    let b = bias.grad(&grads).map(values).unwrap_or_default();
                    [values(outputs.inner()), g.unwrap(), w.unwrap(), b]
                };
                let gru = |b: Tensor<1>| (cell == Cell::Gru).then_some(b);
                let ours = run(&|g, w, b| {
                    super::super::recurrence::on_cpu(cell, (g, w, b), initial.as_ref()).unwrap().0
                });
                let theirs = run(&|g, w, b| composed(cell, g, w, gru(b), initial.as_ref()).0);
                for (k, what) in ["outputs", "gates", "weights", "bias"].iter().enumerate() {
                    assert_close(&ours[k], &theirs[k], 3e-4, &format!("{cell:?} {what}"));
                }
                assert_eq!(ours[3].is_empty(), cell != Cell::Gru);
            }
        }
    }

    #[test]
    fn hand_written_gradients_agree_with_finite_differences() {
        let device = Device::flex().autodiff();
        for cell in CELLS {
            let width = cell.blocks() * HIDDEN;
            let shapes = ([TIME, BATCH, width], [HIDDEN, width], [HIDDEN]);
            let gates = draw(shapes.0, &device).require_grad();
            let weights = draw(shapes.1, &device).require_grad();
            let bias = draw(shapes.2, &device).require_grad();
            let run = |g, w, b| super::super::recurrence::on_cpu(cell, (g, w, b), None).unwrap().0;
            let grads = loss(run(gates.clone(), weights.clone(), bias.clone())).backward();
            let mut found = vec![values(gates.grad(&grads).unwrap()), values(weights.grad(&grads).unwrap())];
            let mut base = vec![values(gates.inner()), values(weights.inner())];
            if cell == Cell::Gru {
                found.push(values(bias.grad(&grads).unwrap()));
            }
            base.push(values(bias.inner()));
            let device = Device::flex();
            let at = |which: usize, i: usize, shift: f32| {
                let mut v = base.clone();
                v[which][i] += shift;
                let [g, w, b] = v.try_into().unwrap();
                let g = Tensor::<3>::from_data(TensorData::new(g, shapes.0), &device);
                let w = Tensor::<2>::from_data(TensorData::new(w, shapes.1), &device);
                let b = Tensor::<1>::from_data(TensorData::new(b, shapes.2), &device);
                f64::from(loss(run(g, w, b)).into_scalar::<f32>())
            };
            let step = 1e-2;
            for (which, found) in found.iter().enumerate() {
                for (i, &found) in found.iter().enumerate().step_by(5) {
                    let slope = (at(which, i, step) - at(which, i, -step)) / f64::from(2.0 * step);
                    let error = (slope - f64::from(found)).abs();
                    assert!(error < 2e-3, "{cell:?}, input {which}, value {i}: {slope} and {found}");
                }
            }
        }
    }
}
