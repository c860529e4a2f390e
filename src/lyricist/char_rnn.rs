//! The network: a table of the characters, LSTM layers, a score for each next character.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::cell::{Cell, CellState};
use crate::nn::entrance::entrance;
use crate::nn::layer::{Layer, LayerConfig, Recurrent, initial_bias, uniform};
use crate::nn::linear::linear;
use crate::nn::{Entrance, StepperShape};
use crate::weights::Tensors;

/// Bound of the uniform values that the table starts from. The usual 1/sqrt(hidden) leaves the
/// characters so faint that some hundred updates pass before the network looks at more than
/// their frequencies: 2 x 256 units after 120 updates of 6,400 characters stood at 4.5 bits a
/// character with it, at 2.8 with this.
const TABLE: f64 = 2.0;

/// Largest alphabet: ids of training data are kept in 16 bits.
const SYMBOLS: usize = 1 << 16;

/// Architecture of a [`CharRnn`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CharRnnConfig {
    /// Number of ids of the alphabet, the end symbol counted.
    pub alphabet_size: usize,
    /// Length of the layers' outputs.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Kind of the layers' cells.
    #[serde(default)]
    pub cell: Cell,
    /// Rows of the table of what the network can be told; 0 if it is told nothing.
    #[serde(default)]
    pub context_rows: usize,
    /// Length of such a row.
    #[serde(default)]
    pub context_size: usize,
    /// Share of the outputs between layers that training drops (Zaremba et al. 2014).
    #[serde(default)]
    pub dropout: f64,
    /// Whether it learnt whole songs, blank lines between their stanzas, rather than stanzas.
    #[serde(default)]
    pub whole_songs: bool,
}

/// The network. A one-hot character times the first layer's input weights is a row of those
/// weights, so the first layer has a table in place of an input matrix; its bias is in the table.
#[derive(Module, Debug)]
pub struct CharRnn {
    /// `[alphabet, blocks * hidden]`.
    pub table: Param<Tensor<2>>,
    /// What the network is told.
    pub context: Option<Context>,
    /// Weights between the steps of the first layer.
    pub recurrent: Recurrent,
    /// Layers above the first.
    pub upper: Vec<Layer>,
    /// `[hidden, alphabet]`.
    pub output: Param<Tensor<2>>,
    /// `[alphabet]`.
    pub output_bias: Param<Tensor<1>>,
    /// Between layers and before the output.
    pub dropout: Dropout,
    /// Kind of the layers' cells.
    #[module(skip)]
    pub cell: Cell,
}

/// What the network is told about a song, as vectors: the sum of the rows of the
/// [`super::Brief`], brought to the first layer's gates, is added to them at every step.
#[derive(Module, Debug)]
pub struct Context {
    /// `[rows, size]`.
    pub rows: Param<Tensor<2>>,
    /// `[size, blocks * hidden]`.
    pub projection: Param<Tensor<2>>,
}

impl Context {
    /// What briefs add to the gates, `[briefs, blocks * hidden]`.
    pub fn gates(&self, briefs: &[Vec<usize>]) -> Tensor<2> {
        let rows = self.rows.val();
        let [count, _] = rows.dims();
        let mut chosen = vec![0.0f32; briefs.len() * count];
        for (brief, chosen) in briefs.iter().zip(chosen.chunks_exact_mut(count)) {
            for &id in brief {
                chosen[id] += 1.0;
            }
        }
        let chosen = Tensor::from_data(TensorData::new(chosen, [briefs.len(), count]), &rows.device());
        chosen.matmul(rows).matmul(self.projection.val())
    }
}

impl CharRnnConfig {
    /// Refuses sizes that no model of ours has, before memory is asked for.
    ///
    /// # Errors
    /// A size is zero or absurd.
    pub fn check(&self) -> Result<()> {
        let fine = (2..=SYMBOLS).contains(&self.alphabet_size)
            && (1..=8192).contains(&self.hidden_size)
            && (1..=16).contains(&self.layers)
            && (0.0..1.0).contains(&self.dropout)
            && self.context_rows <= SYMBOLS
            && self.context_size <= 8192
            && (self.context_rows == 0) == (self.context_size == 0);
        if fine {
            Ok(())
        } else {
            Err(Error::model("lyricist", format!("its sizes make no sense: {self:?}")))
        }
    }

    /// A network with random weights.
    pub fn init(&self, device: &Device) -> CharRnn {
        let (v, h, cell) = (self.alphabet_size, self.hidden_size, self.cell);
        let width = cell.blocks() * h;
        // The bias of the first layer lives in every row of the table.
        let table = Tensor::random([v, width], Distribution::Uniform(-TABLE, TABLE), device)
            + initial_bias(cell, h, device).unsqueeze();
        CharRnn {
            table: Param::from_tensor(table),
            context: (self.context_rows > 0).then(|| Context {
                rows: uniform([self.context_rows, self.context_size], 1.0, device),
                projection: uniform([self.context_size, width], 0.1, device),
            }),
            recurrent: Recurrent::init(cell, h, device),
            upper: (1..self.layers)
                .map(|_| LayerConfig { cell, input_size: h, hidden_size: h }.init(device))
                .collect(),
            output: uniform([h, v], 1.0 / (h as f64).sqrt(), device),
            output_bias: Param::from_tensor(Tensor::zeros([v], device)),
            dropout: DropoutConfig::new(self.dropout).init(),
            cell,
        }
    }

    /// The network as it takes one character at a time.
    pub fn stepper(&self) -> StepperShape {
        StepperShape {
            entrance: Entrance::Table,
            symbols: self.alphabet_size,
            hidden: self.hidden_size,
            layers: self.layers,
            cell: self.cell,
            context: (self.context_rows > 0).then_some((self.context_rows, self.context_size)),
        }
    }

    /// A network with the given weights, to measure or to train on.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(&self, tensors: &Tensors, device: &Device) -> Result<CharRnn> {
        self.check()?;
        let (v, h, cell) = (self.alphabet_size, self.hidden_size, self.cell);
        let width = cell.blocks() * h;
        let matrix = |name: &str, shape: [usize; 2]| tensors.param(name, shape, device);
        let vector = |name: &str, n: usize| tensors.param(name, [n], device);
        let named = |l: usize, part: &str| format!("{}.{l}.{part}", cell.name());
        let recurrent = |l: usize| {
            let bias = || vector(&named(l, "recurrent_bias"), h);
            Ok::<_, Error>(Recurrent {
                weights: matrix(&named(l, "recurrent"), [h, width])?,
                bias: if cell == Cell::Gru { Some(bias()?) } else { None },
            })
        };
        let upper = (1..self.layers)
            .map(|l| {
                Ok(Layer {
                    input: matrix(&named(l, "input"), [h, width])?,
                    bias: vector(&named(l, "bias"), width)?,
                    recurrent: recurrent(l)?,
                })
            })
            .collect::<Result<_>>()?;
        let context = || {
            Ok::<_, Error>(Context {
                rows: matrix("context.rows", [self.context_rows, self.context_size])?,
                projection: matrix("context.projection", [self.context_size, width])?,
            })
        };
        Ok(CharRnn {
            table: matrix("table", [v, width])?,
            context: if self.context_rows > 0 { Some(context()?) } else { None },
            recurrent: recurrent(0)?,
            upper,
            output: matrix("output.weight", [h, v])?,
            output_bias: vector("output.bias", v)?,
            dropout: DropoutConfig::new(self.dropout).init(),
            cell,
        })
    }
}

/// What the layers remember between pieces of a text, the lowest first.
pub type States = Vec<CellState>;

impl CharRnn {
    /// Scores of the next character after each one: `[time, batch]` ids to
    /// `[time, batch, alphabet]`, and the layers' states after the last one. `context
    /// [batch, blocks * hidden]` is what [`Context::gates`] gives. Without states it starts from
    /// zeros.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        context: Option<Tensor<2>>,
        states: Option<&States>,
    ) -> (Tensor<3>, States) {
        let [time, batch] = ids.dims();
        let initial = |l: usize| states.and_then(|s| s.get(l));
        let gates = entrance(ids, self.table.val(), context);
        let (mut x, state) = self.recurrent.forward(self.cell, gates, initial(0));
        let mut after = vec![state];
        for (l, layer) in self.upper.iter().enumerate() {
            let (output, state) = layer.forward(self.cell, self.dropout.forward(x), initial(l + 1));
            x = output;
            after.push(state);
        }
        let hidden = x.dims()[2];
        let x = self.dropout.forward(x).reshape([time * batch, hidden]);
        let scores = linear(x, self.output.val(), self.output_bias.val());
        let alphabet = scores.dims()[1];
        (scores.reshape([time, batch, alphabet]), after)
    }

    /// Sum over all places of the mask times the surprise (nats) at the target there, over
    /// sequences `[time, batch]`, and the states after the last step. A place with mask 0 never
    /// counts. `briefs` holds the rows that each sequence is told, or nothing.
    pub fn loss(
        &self,
        ids: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        mask: Tensor<2>,
        briefs: &[Vec<usize>],
        states: Option<&States>,
    ) -> (Tensor<1>, States) {
        let [time, batch] = ids.dims();
        let told = briefs.iter().any(|b| !b.is_empty());
        let context = self.context.as_ref().filter(|_| told).map(|c| c.gates(briefs));
        let (scores, states) = self.forward(ids, context, states);
        let alphabet = scores.dims()[2];
        let log_probs = activation::log_softmax(scores.reshape([time * batch, alphabet]), 1);
        let picked = log_probs.gather(1, targets.reshape([time * batch, 1]));
        ((picked * mask.reshape([time * batch, 1])).sum().neg(), states)
    }

    /// The weights by the names that [`CharRnnConfig::load`] asks for.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new("lyricist");
        let named = |l: usize, part: &str| format!("{}.{l}.{part}", self.cell.name());
        tensors.put("table", &self.table)?;
        if let Some(context) = &self.context {
            tensors.put("context.rows", &context.rows)?;
            tensors.put("context.projection", &context.projection)?;
        }
        let layers = std::iter::once(&self.recurrent).chain(self.upper.iter().map(|l| &l.recurrent));
        for (l, recurrent) in layers.enumerate() {
            tensors.put(&named(l, "recurrent"), &recurrent.weights)?;
            if let Some(bias) = &recurrent.bias {
                tensors.put(&named(l, "recurrent_bias"), bias)?;
            }
        }
        for (l, layer) in self.upper.iter().enumerate() {
            tensors.put(&named(l + 1, "input"), &layer.input)?;
            tensors.put(&named(l + 1, "bias"), &layer.bias)?;
        }
        tensors.put("output.weight", &self.output)?;
        tensors.put("output.bias", &self.output_bias)?;
        Ok(tensors)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;

    #[test]
    fn gradient_of_the_whole_network_agrees_with_finite_differences() {
        let device = Device::flex().autodiff();
        device.seed(11);
        for cell in [Cell::Lstm, Cell::Gru, Cell::Rnn] {
            let config = CharRnnConfig {
                alphabet_size: 7,
                hidden_size: 12,
                layers: 2,
                dropout: 0.0,
                cell,
                context_rows: 5,
                context_size: 3,
                whole_songs: false,
            };
            let model = config.init(&device);
            let (time, batch) = (9usize, 40usize);
            let draw =
                |k: i32| -> Vec<i32> { (0..(time * batch) as i32).map(|i| (i * k + i / 5) % 7).collect() };
            let mask: Vec<f32> = (0..time * batch).map(|i| f32::from(u8::from(i % 11 != 3))).collect();
            let nats = |model: &CharRnn, device: &Device| {
                let ints =
                    |v: Vec<i32>| Tensor::<2, Int>::from_data(TensorData::new(v, [time, batch]), device);
                let mask = Tensor::<2>::from_data(TensorData::new(mask.clone(), [time, batch]), device);
                let briefs: Vec<Vec<usize>> =
                    (0..batch).map(|b| (0..b % 3).map(|k| (b + k) % 5).collect()).collect();
                model.loss(ints(draw(3)), ints(draw(5)), mask, &briefs, None).0
            };
            let grads = nats(&model, &device).backward();
            let plain = Device::flex();
            let base = model.tensors().unwrap();
            let check = |name: &str, found: Vec<f32>| {
                let shape = base.shape(name).unwrap().to_vec();
                let values = base.get(name, &shape).unwrap().to_vec();
                for i in (0..values.len()).step_by(values.len() / 12 + 1) {
                    let at = |shift: f32| {
                        let mut moved = values.clone();
                        moved[i] += shift;
                        let mut tensors = base.clone();
                        tensors.insert(name, &shape, moved);
                        f64::from(nats(&config.load(&tensors, &plain).unwrap(), &plain).into_scalar::<f32>())
                    };
                    let slope = (at(0.02) - at(-0.02)) / 0.04;
                    let gap = (slope - f64::from(found[i])).abs();
                    assert!(gap < 0.02 * (1.0 + slope.abs()), "{name}[{i}]: {slope} and {}", found[i]);
                }
            };
            let values = |t: Option<Tensor<2>>| t.unwrap().into_data().try_into_vec::<f32>().unwrap();
            let named = |l: usize, part: &str| format!("{}.{l}.{part}", cell.name());
            let vector = |t: Tensor<1>| t.grad(&grads).unwrap().into_data().try_into_vec::<f32>().unwrap();
            let context = model.context.as_ref().unwrap();
            check("table", values(model.table.val().grad(&grads)));
            check("context.rows", values(context.rows.val().grad(&grads)));
            check("context.projection", values(context.projection.val().grad(&grads)));
            check(&named(0, "recurrent"), values(model.recurrent.weights.val().grad(&grads)));
            check(&named(1, "input"), values(model.upper[0].input.val().grad(&grads)));
            check(&named(1, "recurrent"), values(model.upper[0].recurrent.weights.val().grad(&grads)));
            check(&named(1, "bias"), vector(model.upper[0].bias.val()));
            if let Some(bias) = &model.recurrent.bias {
                check(&named(0, "recurrent_bias"), vector(bias.val()));
            }
            check("output.weight", values(model.output.val().grad(&grads)));
            check("output.bias", vector(model.output_bias.val()));
        }
    }
}
