//! The network: a table of the characters, LSTM layers, a score for each next character.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::lstm::{Lstm, LstmConfig, recurrence};
use crate::nn::layer::{Recurrent, initial_bias, uniform};
use crate::nn::Cell;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CharRnnConfig {
    /// Number of ids of the alphabet, the end symbol counted.
    pub alphabet_size: usize,
    /// Length of the layers' outputs.
    pub hidden_size: usize,
    /// Number of LSTM layers.
    pub layers: usize,
    /// Share of the outputs between layers that training drops (Zaremba et al. 2014).
    #[serde(default)]
    pub dropout: f64,
}

/// The network. A one-hot character times the first layer's input weights is a row of those
/// weights, so the first layer has a table in place of an input matrix; its bias is in the table.
#[derive(Module, Debug)]
pub struct CharRnn {
    /// `[alphabet, 4 hidden]`.
    pub table: Param<Tensor<2>>,
    /// Recurrent weights of the first layer, `[hidden, 4 hidden]`.
    pub recurrent: Param<Tensor<2>>,
    /// Layers above the first.
    pub upper: Vec<Lstm>,
    /// `[hidden, alphabet]`.
    pub output: Param<Tensor<2>>,
    /// `[alphabet]`.
    pub output_bias: Param<Tensor<1>>,
    /// Between layers and before the output.
    pub dropout: Dropout,
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
            && (0.0..1.0).contains(&self.dropout);
        if fine {
            Ok(())
        } else {
            Err(Error::model("lyricist", format!("its sizes make no sense: {self:?}")))
        }
    }

    /// A network with random weights.
    pub fn init(&self, device: &Device) -> CharRnn {
        let (v, h) = (self.alphabet_size, self.hidden_size);
        // The bias of the first layer lives in every row of the table.
        let table = Tensor::random([v, 4 * h], Distribution::Uniform(-TABLE, TABLE), device)
            + initial_bias(Cell::Lstm, h, device).unsqueeze();
        CharRnn {
            table: Param::from_tensor(table),
            recurrent: Recurrent::init(Cell::Lstm, h, device).weights,
            upper: (1..self.layers)
                .map(|_| LstmConfig { input_size: h, hidden_size: h }.init(device))
                .collect(),
            output: uniform([h, v], 1.0 / (h as f64).sqrt(), device),
            output_bias: Param::from_tensor(Tensor::zeros([v], device)),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    /// The network as it takes one character at a time.
    pub fn stepper(&self) -> StepperShape {
        StepperShape {
            entrance: Entrance::Table,
            symbols: self.alphabet_size,
            hidden: self.hidden_size,
            layers: self.layers,
        }
    }

    /// A network with the given weights, to measure or to train on.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(&self, tensors: &Tensors, device: &Device) -> Result<CharRnn> {
        self.check()?;
        let (v, h) = (self.alphabet_size, self.hidden_size);
        let matrix = |name: &str, shape: [usize; 2]| tensors.param(name, shape, device);
        let vector = |name: &str, n: usize| tensors.param(name, [n], device);
        let upper = (1..self.layers)
            .map(|l| {
                Ok(Lstm {
                    input: matrix(&format!("lstm.{l}.input"), [h, 4 * h])?,
                    recurrent: matrix(&format!("lstm.{l}.recurrent"), [h, 4 * h])?,
                    bias: vector(&format!("lstm.{l}.bias"), 4 * h)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(CharRnn {
            table: matrix("table", [v, 4 * h])?,
            recurrent: matrix("lstm.0.recurrent", [h, 4 * h])?,
            upper,
            output: matrix("output.weight", [h, v])?,
            output_bias: vector("output.bias", v)?,
            dropout: DropoutConfig::new(self.dropout).init(),
        })
    }
}

impl CharRnn {
    /// Scores of the next character after each one, from the zero state:
    /// `[time, batch]` ids to `[time, batch, alphabet]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [time, batch] = ids.dims();
        let gates = self.table.val().select(0, ids.reshape([time * batch]));
        let width = gates.dims()[1];
        let mut x = recurrence(gates.reshape([time, batch, width]), self.recurrent.val());
        for layer in &self.upper {
            x = layer.forward(self.dropout.forward(x));
        }
        let hidden = width / 4;
        let x = self.dropout.forward(x).reshape([time * batch, hidden]);
        let scores = linear(x, self.output.val(), self.output_bias.val());
        let alphabet = scores.dims()[1];
        scores.reshape([time, batch, alphabet])
    }

    /// Sum over all places of the mask times the surprise (nats) at the target there, over
    /// sequences `[time, batch]`. A place with mask 0 never counts.
    pub fn loss(&self, ids: Tensor<2, Int>, targets: Tensor<2, Int>, mask: Tensor<2>) -> Tensor<1> {
        let [time, batch] = ids.dims();
        let scores = self.forward(ids);
        let alphabet = scores.dims()[2];
        let log_probs = activation::log_softmax(scores.reshape([time * batch, alphabet]), 1);
        let picked = log_probs.gather(1, targets.reshape([time * batch, 1]));
        (picked * mask.reshape([time * batch, 1])).sum().neg()
    }

    /// The weights by the names that [`CharRnnConfig::load`] asks for.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new("lyricist");
        tensors.put("table", &self.table)?;
        tensors.put("lstm.0.recurrent", &self.recurrent)?;
        for (l, layer) in self.upper.iter().enumerate() {
            tensors.put(&format!("lstm.{}.input", l + 1), &layer.input)?;
            tensors.put(&format!("lstm.{}.recurrent", l + 1), &layer.recurrent)?;
            tensors.put(&format!("lstm.{}.bias", l + 1), &layer.bias)?;
        }
        tensors.put("output.weight", &self.output)?;
        tensors.put("output.bias", &self.output_bias)?;
        Ok(tensors)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn gradient_of_the_whole_network_agrees_with_finite_differences() {
        let device = Device::flex().autodiff();
        device.seed(11);
        let config = CharRnnConfig { alphabet_size: 7, hidden_size: 12, layers: 2, dropout: 0.0 };
        let model = config.init(&device);
        let (time, batch) = (9usize, 40usize);
        let draw = |k: i32| -> Vec<i32> { (0..(time * batch) as i32).map(|i| (i * k + i / 5) % 7).collect() };
        let mask: Vec<f32> = (0..time * batch).map(|i| f32::from(u8::from(i % 11 != 3))).collect();
        let nats = |model: &CharRnn, device: &Device| {
            let ints = |v: Vec<i32>| Tensor::<2, Int>::from_data(TensorData::new(v, [time, batch]), device);
            let mask = Tensor::<2>::from_data(TensorData::new(mask.clone(), [time, batch]), device);
            model.loss(ints(draw(3)), ints(draw(5)), mask)
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
        check("table", values(model.table.val().grad(&grads)));
        check("lstm.0.recurrent", values(model.recurrent.val().grad(&grads)));
        check("lstm.1.input", values(model.upper[0].input.val().grad(&grads)));
        check("lstm.1.recurrent", values(model.upper[0].recurrent.val().grad(&grads)));
        check("output.weight", values(model.output.val().grad(&grads)));
        let bias = model.upper[0].bias.val().grad(&grads).unwrap();
        check("lstm.1.bias", bias.into_data().try_into_vec::<f32>().unwrap());
    }
}
