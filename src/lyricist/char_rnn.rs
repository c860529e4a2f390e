//! The network: a table of the characters, LSTM layers, a score for each next character.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::lstm::{Lstm, LstmConfig, LstmState, initial_bias, random, recurrence, uniform};
use crate::nn::{CpuLstm, CpuState, PackedMatrix, cpu::LayerWeights};
use crate::weights::Tensors;

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
        let fine = (2..=100_000).contains(&self.alphabet_size)
            && (1..=8192).contains(&self.hidden_size)
            && (1..=16).contains(&self.layers)
            && (0.0..1.0).contains(&self.dropout);
        if fine { Ok(()) } else { Err(Error::model("lyricist", format!("its sizes make no sense: {self:?}"))) }
    }

    /// A network with random weights.
    pub fn init(&self, device: &Device) -> CharRnn {
        let (v, h) = (self.alphabet_size, self.hidden_size);
        // The bias of the first layer lives in every row of the table.
        let table = random([v, 4 * h], h, device) + initial_bias(h, device).unsqueeze();
        CharRnn {
            table: Param::from_tensor(table),
            recurrent: uniform([h, 4 * h], h, device),
            upper: (1..self.layers).map(|_| LstmConfig { input_size: h, hidden_size: h }.init(device)).collect(),
            output: uniform([h, v], h, device),
            output_bias: Param::from_tensor(Tensor::zeros([v], device)),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    /// A network with the given weights.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(&self, tensors: &Tensors, device: &Device) -> Result<CharRnn> {
        self.check()?;
        let (v, h) = (self.alphabet_size, self.hidden_size);
        let matrix = |name: &str, shape: [usize; 2]| -> Result<Param<Tensor<2>>> {
            let values = tensors.get(name, &shape)?;
            Ok(Param::from_data(TensorData::new(values.to_vec(), shape), device))
        };
        let vector = |name: &str, n: usize| -> Result<Param<Tensor<1>>> {
            let values = tensors.get(name, &[n])?;
            Ok(Param::from_data(TensorData::new(values.to_vec(), [n]), device))
        };
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
        let scores = x.matmul(self.output.val()) + self.output_bias.val().unsqueeze();
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
        let mut put = |name: &str, shape: &[usize], data: TensorData| -> Result<()> {
            let values = data.try_into_vec::<f32>().map_err(|e| Error::model("lyricist", format!("{e:?}")))?;
            tensors.insert(name, shape, values);
            Ok(())
        };
        let mut matrix =
            |name: &str, p: &Param<Tensor<2>>| put(name, &p.val().dims(), p.val().into_data());
        matrix("table", &self.table)?;
        matrix("lstm.0.recurrent", &self.recurrent)?;
        matrix("output.weight", &self.output)?;
        for (l, layer) in self.upper.iter().enumerate() {
            matrix(&format!("lstm.{}.input", l + 1), &layer.input)?;
            matrix(&format!("lstm.{}.recurrent", l + 1), &layer.recurrent)?;
        }
        let mut vector =
            |name: &str, p: &Param<Tensor<1>>| put(name, &p.val().dims(), p.val().into_data());
        vector("output.bias", &self.output_bias)?;
        for (l, layer) in self.upper.iter().enumerate() {
            vector(&format!("lstm.{}.bias", l + 1), &layer.bias)?;
        }
        Ok(tensors)
    }
}

/// A network that takes one character at a time, on the CPU by our own kernels or on a GPU
/// through burn.
#[derive(Debug)]
pub enum CharStepper {
    /// On the CPU.
    Cpu(CpuCharRnn),
    /// On a GPU.
    Gpu(Box<CharRnn>),
}

/// [`CharRnn`] laid out for the CPU.
#[derive(Debug)]
pub struct CpuCharRnn {
    width: usize,
    table: Vec<f32>,
    lstm: CpuLstm,
    output: PackedMatrix,
    output_bias: Vec<f32>,
}

/// What a [`CharStepper`] remembers between characters.
#[derive(Debug, Clone)]
pub enum CharState {
    /// On the CPU.
    Cpu(CpuState),
    /// On a GPU, per layer.
    Gpu(Vec<LstmState>),
}

impl CharStepper {
    /// Builds the network for a device.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn new(config: &CharRnnConfig, tensors: &Tensors, compute: &crate::nn::Compute) -> Result<Self> {
        config.check()?;
        if !compute.is_cpu() {
            return Ok(Self::Gpu(Box::new(config.load(tensors, compute.device())?)));
        }
        let (v, h) = (config.alphabet_size, config.hidden_size);
        let names: Vec<[String; 3]> = (1..config.layers)
            .map(|l| ["input", "recurrent", "bias"].map(|part| format!("lstm.{l}.{part}")))
            .collect();
        let upper = names
            .iter()
            .map(|[input, recurrent, bias]| {
                Ok(LayerWeights {
                    input: tensors.get(input, &[h, 4 * h])?,
                    recurrent: tensors.get(recurrent, &[h, 4 * h])?,
                    bias: tensors.get(bias, &[4 * h])?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::Cpu(CpuCharRnn {
            width: 4 * h,
            table: tensors.get("table", &[v, 4 * h])?.to_vec(),
            lstm: CpuLstm::new(h, tensors.get("lstm.0.recurrent", &[h, 4 * h])?, &upper),
            output: PackedMatrix::new(tensors.get("output.weight", &[h, v])?, h, v),
            output_bias: tensors.get("output.bias", &[v])?.to_vec(),
        }))
    }

    /// The state before the first character.
    pub fn state(&self, batch: usize) -> CharState {
        match self {
            Self::Cpu(net) => CharState::Cpu(net.lstm.state(batch)),
            Self::Gpu(net) => {
                let recurrent = net.recurrent.val();
                let zeros = || LstmState::zeros(batch, recurrent.dims()[0], &recurrent.device());
                CharState::Gpu((0..=net.upper.len()).map(|_| zeros()).collect())
            }
        }
    }

    /// Reads one character a row and gives the scores of the next, `[batch, alphabet]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn step(&self, ids: &[usize], state: &mut CharState) -> Result<Vec<f32>> {
        match (self, state) {
            (Self::Cpu(net), CharState::Cpu(state)) => {
                let mut gates = Vec::with_capacity(ids.len() * net.width);
                for &id in ids {
                    gates.extend_from_slice(&net.table[id * net.width..(id + 1) * net.width]);
                }
                let hidden = net.lstm.step(&mut gates, state);
                let mut scores = net.output_bias.repeat(ids.len());
                net.output.add_product(hidden, &mut scores);
                Ok(scores)
            }
            (Self::Gpu(net), CharState::Gpu(state)) => {
                let device = net.table.val().device();
                let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
                let ids = Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), &device);
                let gates = net.table.val().select(0, ids) + state[0].hidden.clone().matmul(net.recurrent.val());
                state[0] = crate::nn::lstm::advance(gates, state[0].cell.clone());
                for (l, layer) in net.upper.iter().enumerate() {
                    let gates = state[l].hidden.clone().matmul(layer.input.val()) + layer.bias.val().unsqueeze();
                    state[l + 1] = layer.step(gates, &state[l + 1]);
                }
                let hidden = state[net.upper.len()].hidden.clone();
                let scores = hidden.matmul(net.output.val()) + net.output_bias.val().unsqueeze();
                let data = scores.into_data_async().await.map_err(|e| Error::Device(format!("The GPU stopped answering: {e:?}")))?;
                data.try_into_vec::<f32>().map_err(|e| Error::Device(format!("The GPU gave no numbers: {e:?}")))
            }
            _ => Err(Error::Device("A state of one device was handed to another.".into())),
        }
    }
}
