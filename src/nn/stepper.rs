//! A trained recurrent network that takes one symbol at a time: what both models are at work.
//!
//! Symbols go in through a table or an embedding, up a stack of LSTM layers, and out as a score
//! for each symbol that may come next. On the CPU our own kernels do it, on a GPU burn does.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::cpu::{CpuLstm, CpuState, LayerWeights};
use super::lstm::{LstmState, advance};
use super::{Compute, PackedMatrix};
use crate::error::{Error, Result};
use crate::weights::Tensors;

/// How symbols reach the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// A row of gate inputs a symbol (`table [symbols, 4 hidden]`, bias included): right for a
    /// small alphabet.
    Table,
    /// An embedding (`embedding [symbols, size]`) and the layer's input weights
    /// (`lstm.0.input [size, 4 hidden]`, `lstm.0.bias`): right for many symbols, and open to
    /// vectors that stand for no symbol.
    Embedding {
        /// Length of an embedding.
        size: usize,
    },
}

/// Sizes of the network.
#[derive(Debug, Clone, Copy)]
pub struct StepperShape {
    /// How symbols go in.
    pub entrance: Entrance,
    /// Number of symbols.
    pub symbols: usize,
    /// Length of the layers' outputs.
    pub hidden: usize,
    /// Number of LSTM layers.
    pub layers: usize,
}

/// The network on a device.
#[derive(Debug)]
pub struct Stepper {
    shape: StepperShape,
    on: On,
}

#[derive(Debug)]
enum On {
    Cpu(Box<OnCpu>),
    Gpu(Box<OnGpu>),
}

#[derive(Debug)]
struct OnCpu {
    /// Table, or embedding.
    rows: Vec<f32>,
    input: Option<(PackedMatrix, Vec<f32>)>,
    lstm: CpuLstm,
    output: PackedMatrix,
    output_bias: Vec<f32>,
}

#[derive(Debug)]
struct OnGpu {
    device: Device,
    rows: Tensor<2>,
    input: Option<(Tensor<2>, Tensor<2>)>,
    recurrent: Vec<Tensor<2>>,
    /// Input weights and bias of the layers above the first.
    upper: Vec<(Tensor<2>, Tensor<2>)>,
    output: Tensor<2>,
    output_bias: Tensor<2>,
}

/// What the network remembers between symbols, for a batch.
#[derive(Debug, Clone)]
pub struct StepperState(Memory);

#[derive(Debug, Clone)]
enum Memory {
    Cpu(CpuState),
    /// Per layer.
    Gpu(Vec<LstmState>),
}

impl Stepper {
    /// Builds the network for a device out of named weights.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn new(shape: StepperShape, tensors: &Tensors, compute: &Compute) -> Result<Self> {
        let StepperShape { entrance, symbols, hidden: h, layers } = shape;
        let gates = 4 * h;
        let (row_name, row_size) = match entrance {
            Entrance::Table => ("table", gates),
            Entrance::Embedding { size } => ("embedding", size),
        };
        let rows = tensors.get(row_name, &[symbols, row_size])?;
        let input = match entrance {
            Entrance::Table => None,
            Entrance::Embedding { size } => {
                Some((tensors.get("lstm.0.input", &[size, gates])?, tensors.get("lstm.0.bias", &[gates])?))
            }
        };
        let first = tensors.get("lstm.0.recurrent", &[h, gates])?;
        let names: Vec<[String; 3]> = (1..layers)
            .map(|l| ["input", "recurrent", "bias"].map(|part| format!("lstm.{l}.{part}")))
            .collect();
        let upper = names
            .iter()
            .map(|[input, recurrent, bias]| {
                Ok(LayerWeights {
                    input: tensors.get(input, &[h, gates])?,
                    recurrent: tensors.get(recurrent, &[h, gates])?,
                    bias: tensors.get(bias, &[gates])?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let output = tensors.get("output.weight", &[h, symbols])?;
        let output_bias = tensors.get("output.bias", &[symbols])?;

        let on = if compute.is_cpu() {
            On::Cpu(Box::new(OnCpu {
                rows: rows.to_vec(),
                input: input.map(|(w, b)| (PackedMatrix::new(w, row_size, gates), b.to_vec())),
                lstm: CpuLstm::new(h, first, &upper),
                output: PackedMatrix::new(output, h, symbols),
                output_bias: output_bias.to_vec(),
            }))
        } else {
            let device = compute.device();
            let matrix = |values: &[f32], rows: usize, columns: usize| {
                Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, columns]), device)
            };
            let recurrent = std::iter::once(first).chain(upper.iter().map(|l| l.recurrent));
            On::Gpu(Box::new(OnGpu {
                device: device.clone(),
                rows: matrix(rows, symbols, row_size),
                input: input.map(|(w, b)| (matrix(w, row_size, gates), matrix(b, 1, gates))),
                recurrent: recurrent.map(|w| matrix(w, h, gates)).collect(),
                upper: upper.iter().map(|l| (matrix(l.input, h, gates), matrix(l.bias, 1, gates))).collect(),
                output: matrix(output, h, symbols),
                output_bias: matrix(output_bias, 1, symbols),
            }))
        };
        Ok(Self { shape, on })
    }

    /// Number of symbols.
    pub fn symbols(&self) -> usize {
        self.shape.symbols
    }

    /// The state before the first step: zeros.
    pub fn state(&self, batch: usize) -> StepperState {
        StepperState(match &self.on {
            On::Cpu(net) => Memory::Cpu(net.lstm.state(batch)),
            On::Gpu(net) => {
                let zeros = || LstmState::zeros(batch, self.shape.hidden, &net.device);
                Memory::Gpu((0..self.shape.layers).map(|_| zeros()).collect())
            }
        })
    }

    /// Reads one symbol a row and gives the scores of the next, `[batch, symbols]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn step(&self, ids: &[usize], state: &mut StepperState) -> Result<Vec<f32>> {
        match (&self.on, &mut state.0) {
            (On::Cpu(net), Memory::Cpu(state)) => {
                let width = net.rows.len() / self.shape.symbols;
                let mut rows = Vec::with_capacity(ids.len() * width);
                for &id in ids {
                    rows.extend_from_slice(&net.rows[id * width..(id + 1) * width]);
                }
                let hidden = net.step(rows, state);
                let mut scores = net.output_bias.repeat(ids.len());
                net.output.add_product(hidden, &mut scores);
                Ok(scores)
            }
            (On::Gpu(net), Memory::Gpu(state)) => {
                let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
                let ids = Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), &net.device);
                let hidden = net.step(net.rows.clone().select(0, ids), state);
                read(hidden.matmul(net.output.clone()) + net.output_bias.clone()).await
            }
            _ => Err(foreign_state()),
        }
    }

    /// Reads a vector that stands for no symbol, `[batch, size]`; only for
    /// [`Entrance::Embedding`].
    ///
    /// # Errors
    /// The state is of another device.
    pub fn step_vector(&self, vectors: &[f32], state: &mut StepperState) -> Result<()> {
        match (&self.on, &mut state.0) {
            (On::Cpu(net), Memory::Cpu(state)) => {
                net.step(vectors.to_vec(), state);
                Ok(())
            }
            (On::Gpu(net), Memory::Gpu(state)) => {
                let width = net.rows.dims()[1];
                let data = TensorData::new(vectors.to_vec(), [vectors.len() / width, width]);
                net.step(Tensor::from_data(data, &net.device), state);
                Ok(())
            }
            _ => Err(foreign_state()),
        }
    }
}

impl OnCpu {
    /// Rows of the table or the embedding to the top layer's outputs.
    fn step<'s>(&self, rows: Vec<f32>, state: &'s mut CpuState) -> &'s [f32] {
        let mut gates = match &self.input {
            None => rows,
            Some((weights, bias)) => {
                let mut gates = bias.repeat(state.batch());
                weights.add_product(&rows, &mut gates);
                gates
            }
        };
        self.lstm.step(&mut gates, state)
    }
}

impl OnGpu {
    fn step(&self, rows: Tensor<2>, state: &mut [LstmState]) -> Tensor<2> {
        let mut gates = match &self.input {
            None => rows,
            Some((weights, bias)) => rows.matmul(weights.clone()) + bias.clone(),
        };
        for (l, state) in state.iter_mut().enumerate() {
            let sum = gates.clone() + state.hidden.clone().matmul(self.recurrent[l].clone());
            *state = advance(sum, state.cell.clone());
            if let Some((weights, bias)) = self.upper.get(l) {
                gates = state.hidden.clone().matmul(weights.clone()) + bias.clone();
            }
        }
        state[state.len() - 1].hidden.clone()
    }
}

impl StepperState {
    /// Keeps the rows at the given places, in that order; a row may be taken more than once.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self(match &self.0 {
            Memory::Cpu(state) => Memory::Cpu(state.select(rows)),
            Memory::Gpu(layers) => {
                let rows: Vec<i32> = rows.iter().map(|&r| r as i32).collect();
                let pick = |t: &Tensor<2>| {
                    let rows = Tensor::<1, Int>::from_data(TensorData::from(rows.as_slice()), &t.device());
                    t.clone().select(0, rows)
                };
                Memory::Gpu(
                    layers
                        .iter()
                        .map(|l| LstmState { hidden: pick(&l.hidden), cell: pick(&l.cell) })
                        .collect(),
                )
            }
        })
    }
}

/// Reads a tensor's values back, row-major. In the browser a GPU answers only to those who wait.
///
/// # Errors
/// The device does not answer.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor
        .into_data_async()
        .await
        .map_err(|e| Error::Device(format!("The GPU stopped answering: {e:?}")))?;
    data.try_into_vec::<f32>().map_err(|e| Error::Device(format!("The GPU gave no numbers: {e:?}")))
}

fn foreign_state() -> Error {
    Error::Device("The state of a network on one device was handed to a network on another.".into())
}
