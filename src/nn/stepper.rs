//! A trained recurrent network that takes one symbol at a time: what both models are at work.
//!
//! Symbols go in through a table or an embedding, up a stack of recurrent layers, and out as a score
//! for each symbol that may come next. On the CPU our own kernels do it, on a GPU burn does.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::cell::{Cell, CellState};
use super::cpu::{CpuStack, CpuState, LayerWeights};
use super::{Compute, PackedMatrix};
use crate::error::{Error, Result};
use crate::weights::Tensors;

/// How symbols reach the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// A row of gate inputs a symbol (`table [symbols, blocks * hidden]`, bias included): right for
    /// a small alphabet.
    Table,
    /// An embedding (`embedding [symbols, size]`) and the layer's input weights
    /// (`lstm.0.input [size, blocks * hidden]`, `lstm.0.bias`): right for many symbols, and open
    /// to vectors that stand for no symbol.
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
    /// Number of recurrent layers.
    pub layers: usize,
    /// Kind of their cells.
    pub cell: Cell,
    /// What the network can be told once for all steps: rows and their length
    /// (`context.rows [rows, size]`, `context.projection [size, blocks * hidden]`).
    pub context: Option<(usize, usize)>,
}

/// The network on a device.
#[derive(Debug)]
pub struct Stepper {
    shape: StepperShape,
    context: Option<ContextTable>,
    on: On,
}

/// Rows for what the network can be told, and the way from them to the first layer's gates. It is
/// asked once a song, so the CPU does it for all devices.
#[derive(Debug)]
struct ContextTable {
    rows: Vec<f32>,
    size: usize,
    projection: PackedMatrix,
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
    stack: CpuStack,
    output: PackedMatrix,
    output_bias: Vec<f32>,
}

#[derive(Debug)]
struct OnGpu {
    device: Device,
    rows: Tensor<2>,
    input: Option<(Tensor<2>, Tensor<2>)>,
    layers: Vec<GpuLayer>,
    output: Tensor<2>,
    output_bias: Tensor<2>,
}

#[derive(Debug)]
struct GpuLayer {
    /// Input weights and bias of the layers above the first.
    input: Option<(Tensor<2>, Tensor<2>)>,
    recurrent: Tensor<2>,
    /// What is added to the recurrent product: zeros, and the bias of a GRU's candidate.
    recurrent_bias: Option<Tensor<2>>,
}

/// What the network remembers between symbols, for a batch, and what it was told.
#[derive(Debug, Clone)]
pub struct StepperState(Memory);

#[derive(Debug, Clone)]
enum Memory {
    /// Layers' states, and what is added to the first gates `[batch, blocks * hidden]`.
    Cpu(CpuState, Option<Vec<f32>>),
    Gpu(Vec<CellState>, Option<Box<Tensor<2>>>),
}

impl ContextTable {
    /// What the chosen rows add to the gates, `[chosen, blocks * hidden]`.
    fn gates(&self, chosen: &[Vec<usize>], width: usize) -> Vec<f32> {
        let mut sums = vec![0.0; chosen.len() * self.size];
        for (ids, sum) in chosen.iter().zip(sums.chunks_exact_mut(self.size)) {
            for &id in ids {
                let row = &self.rows[id * self.size..(id + 1) * self.size];
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
        let mut gates = vec![0.0; chosen.len() * width];
        self.projection.add_product(&sums, &mut gates);
        gates
    }
}

impl Stepper {
    /// Builds the network for a device out of named weights.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn new(shape: StepperShape, tensors: &Tensors, compute: &Compute) -> Result<Self> {
        let StepperShape { entrance, symbols, hidden: h, layers, cell, context } = shape;
        let width = cell.blocks() * h;
        let named = |l: usize, part: &str| format!("{}.{l}.{part}", cell.name());
        let (row_name, row_size) = match entrance {
            Entrance::Table => ("table", width),
            Entrance::Embedding { size } => ("embedding", size),
        };
        let rows = tensors.get(row_name, &[symbols, row_size])?;
        let input = match entrance {
            Entrance::Table => None,
            Entrance::Embedding { size } => {
                let weights = tensors.get(&named(0, "input"), &[size, width])?;
                Some((weights, tensors.get(&named(0, "bias"), &[width])?))
            }
        };
        let names: Vec<[String; 4]> = (0..layers)
            .map(|l| ["input", "bias", "recurrent", "recurrent_bias"].map(|part| named(l, part)))
            .collect();
        let stack = names
            .iter()
            .enumerate()
            .map(|(l, [input, bias, recurrent, recurrent_bias])| {
                let above =
                    || Ok::<_, Error>((tensors.get(input, &[h, width])?, tensors.get(bias, &[width])?));
                Ok(LayerWeights {
                    input: if l > 0 { Some(above()?) } else { None },
                    recurrent: tensors.get(recurrent, &[h, width])?,
                    recurrent_bias: match cell {
                        Cell::Gru => Some(tensors.get(recurrent_bias, &[h])?),
                        Cell::Lstm | Cell::Rnn => None,
                    },
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let output = tensors.get("output.weight", &[h, symbols])?;
        let output_bias = tensors.get("output.bias", &[symbols])?;
        let context = match context {
            Some((count, size)) => Some(ContextTable {
                rows: tensors.get("context.rows", &[count, size])?.to_vec(),
                size,
                projection: PackedMatrix::new(
                    tensors.get("context.projection", &[size, width])?,
                    size,
                    width,
                ),
            }),
            None => None,
        };

        let on = if compute.is_cpu() {
            On::Cpu(Box::new(OnCpu {
                rows: rows.to_vec(),
                input: input.map(|(w, b)| (PackedMatrix::new(w, row_size, width), b.to_vec())),
                stack: CpuStack::new(cell, h, &stack),
                output: PackedMatrix::new(output, h, symbols),
                output_bias: output_bias.to_vec(),
            }))
        } else {
            let device = compute.device();
            let matrix = |values: &[f32], rows: usize, columns: usize| {
                Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, columns]), device)
            };
            let layer = |layer: &LayerWeights<'_>| GpuLayer {
                input: layer.input.map(|(w, b)| (matrix(w, h, width), matrix(b, 1, width))),
                recurrent: matrix(layer.recurrent, h, width),
                recurrent_bias: layer.recurrent_bias.map(|bias| {
                    let padded = [vec![0.0; width - h].as_slice(), bias].concat();
                    matrix(&padded, 1, width)
                }),
            };
            On::Gpu(Box::new(OnGpu {
                device: device.clone(),
                rows: matrix(rows, symbols, row_size),
                input: input.map(|(w, b)| (matrix(w, row_size, width), matrix(b, 1, width))),
                layers: stack.iter().map(layer).collect(),
                output: matrix(output, h, symbols),
                output_bias: matrix(output_bias, 1, symbols),
            }))
        };
        Ok(Self { shape, context, on })
    }

    /// Number of symbols.
    pub fn symbols(&self) -> usize {
        self.shape.symbols
    }

    /// The state before the first step, of a network that is told nothing: zeros.
    pub fn state(&self, batch: usize) -> StepperState {
        StepperState(match &self.on {
            On::Cpu(net) => Memory::Cpu(net.stack.state(batch), None),
            On::Gpu(net) => {
                let zeros = || self.shape.cell.zeros(batch, self.shape.hidden, &net.device);
                Memory::Gpu((0..self.shape.layers).map(|_| zeros()).collect(), None)
            }
        })
    }

    /// The state before the first step of a network that is told something: the rows of the context
    /// table for each sequence of the batch. A network without such a table is told nothing.
    ///
    /// # Panics
    /// A row is not in the table.
    pub fn told(&self, rows: &[Vec<usize>]) -> StepperState {
        let mut state = self.state(rows.len());
        let Some(context) = &self.context else { return state };
        let width = self.shape.cell.blocks() * self.shape.hidden;
        let gates = context.gates(rows, width);
        match (&self.on, &mut state.0) {
            (_, Memory::Cpu(_, told)) => *told = Some(gates),
            (On::Gpu(net), Memory::Gpu(_, told)) => {
                let gates = TensorData::new(gates, [rows.len(), width]);
                *told = Some(Box::new(Tensor::from_data(gates, &net.device)));
            }
            (On::Cpu(_), Memory::Gpu(..)) => {}
        }
        state
    }

    /// Reads one symbol a row and gives the scores of the next, `[batch, symbols]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn step(&self, ids: &[usize], state: &mut StepperState) -> Result<Vec<f32>> {
        match (&self.on, &mut state.0) {
            (On::Cpu(net), Memory::Cpu(state, told)) => {
                let width = net.rows.len() / self.shape.symbols;
                let mut rows = Vec::with_capacity(ids.len() * width);
                for &id in ids {
                    rows.extend_from_slice(&net.rows[id * width..(id + 1) * width]);
                }
                let hidden = net.step(&rows, told.as_deref(), state);
                let mut scores = net.output_bias.repeat(ids.len());
                net.output.add_product(hidden, &mut scores);
                Ok(scores)
            }
            (On::Gpu(net), Memory::Gpu(state, told)) => {
                let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
                let ids = Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), &net.device);
                let rows = net.rows.clone().select(0, ids);
                let hidden = net.step(self.shape.cell, rows, told.as_deref(), state);
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
            (On::Cpu(net), Memory::Cpu(state, told)) => {
                net.step(vectors, told.as_deref(), state);
                Ok(())
            }
            (On::Gpu(net), Memory::Gpu(state, told)) => {
                let width = net.rows.dims()[1];
                let data = TensorData::new(vectors.to_vec(), [vectors.len() / width, width]);
                net.step(self.shape.cell, Tensor::from_data(data, &net.device), told.as_deref(), state);
                Ok(())
            }
            _ => Err(foreign_state()),
        }
    }
}

impl OnCpu {
    /// Rows of the table or the embedding to the top layer's outputs.
    fn step<'s>(&self, rows: &[f32], told: Option<&[f32]>, state: &'s mut CpuState) -> &'s [f32] {
        let mut gates = match &self.input {
            None => rows.to_vec(),
            Some((weights, bias)) => {
                let mut gates = bias.repeat(state.batch());
                weights.add_product(rows, &mut gates);
                gates
            }
        };
        if let Some(told) = told {
            gates.iter_mut().zip(told).for_each(|(gate, told)| *gate += told);
        }
        self.stack.step(&mut gates, state)
    }
}

impl OnGpu {
    fn step(
        &self,
        cell: Cell,
        rows: Tensor<2>,
        told: Option<&Tensor<2>>,
        state: &mut [CellState],
    ) -> Tensor<2> {
        let mut below = match &self.input {
            None => rows,
            Some((weights, bias)) => rows.matmul(weights.clone()) + bias.clone(),
        };
        if let Some(told) = told {
            below = below + told.clone();
        }
        for (layer, state) in self.layers.iter().zip(state) {
            let inputs = match &layer.input {
                None => below,
                Some((weights, bias)) => below.matmul(weights.clone()) + bias.clone(),
            };
            let mut products = state.hidden.clone().matmul(layer.recurrent.clone());
            if let Some(bias) = &layer.recurrent_bias {
                products = products + bias.clone();
            }
            *state = cell.advance(inputs, products, state);
            below = state.hidden.clone();
        }
        below
    }
}

impl StepperState {
    /// Keeps the rows at the given places, in that order; a row may be taken more than once.
    pub fn select(&self, rows: &[usize]) -> Self {
        let parts: Vec<(&Self, usize)> = rows.iter().map(|&row| (self, row)).collect();
        Self::gather(&parts)
    }

    /// The given rows of several states of one network as one state, in that order; a row may be
    /// taken more than once.
    ///
    /// # Panics
    /// There are no rows, or a row is not there.
    pub fn gather(parts: &[(&Self, usize)]) -> Self {
        match &parts[0].0.0 {
            Memory::Cpu(_, first) => {
                let cpu: Vec<_> =
                    parts.iter().filter_map(|(state, row)| Some((state.cpu()?, *row))).collect();
                let states: Vec<_> = cpu.iter().map(|((state, _), row)| (*state, *row)).collect();
                let told = first.is_some().then(|| {
                    let rows = cpu.iter().filter_map(|((state, told), row)| {
                        let told = told.as_ref()?;
                        let width = told.len() / state.batch();
                        told.get(row * width..(row + 1) * width)
                    });
                    rows.flatten().copied().collect()
                });
                Self(Memory::Cpu(CpuState::gather(&states), told))
            }
            Memory::Gpu(layers, told) => {
                let mut runs: Vec<(&Self, Vec<i32>)> = Vec::new();
                for (state, row) in parts {
                    match runs.last_mut() {
                        Some((last, rows)) if std::ptr::eq(*last, *state) => rows.push(*row as i32),
                        _ => runs.push((state, vec![*row as i32])),
                    }
                }
                let pick = |tensor: &dyn Fn(&Self) -> Option<Tensor<2>>| {
                    let picked = runs.iter().filter_map(|(state, rows)| {
                        let tensor = tensor(state)?;
                        let rows = TensorData::from(rows.as_slice());
                        let rows = Tensor::<1, Int>::from_data(rows, &tensor.device());
                        Some(tensor.select(0, rows))
                    });
                    let mut picked: Vec<_> = picked.collect();
                    if picked.len() == 1 { picked.pop() } else { Some(Tensor::cat(picked, 0)) }
                };
                let layer = |l: usize, layer: &CellState| {
                    let hidden = pick(&|s| Some(s.gpu()?.0.get(l)?.hidden.clone()));
                    CellState {
                        hidden: hidden.unwrap_or_else(|| layer.hidden.clone()),
                        content: layer
                            .content
                            .as_ref()
                            .and_then(|_| pick(&|s| s.gpu()?.0.get(l)?.content.clone())),
                    }
                };
                let layers = layers.iter().enumerate().map(|(l, state)| layer(l, state)).collect();
                let told = told.as_ref().and_then(|_| pick(&|s| s.gpu()?.1.as_deref().cloned()));
                Self(Memory::Gpu(layers, told.map(Box::new)))
            }
        }
    }

    fn cpu(&self) -> Option<(&CpuState, &Option<Vec<f32>>)> {
        match &self.0 {
            Memory::Cpu(state, told) => Some((state, told)),
            Memory::Gpu(..) => None,
        }
    }

    fn gpu(&self) -> Option<(&[CellState], &Option<Box<Tensor<2>>>)> {
        match &self.0 {
            Memory::Gpu(layers, told) => Some((layers, told)),
            Memory::Cpu(..) => None,
        }
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
