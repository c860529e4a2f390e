//! The recurrent part of a layer over whole sequences, forward and backward, on the CPU.
//!
//! As one autodiff operation: a graph of some twenty small operations a step costs more in
//! bookkeeping and memory traffic than the arithmetic itself. The recurrent weights are packed
//! once and each thread keeps its share of the units, so its share of the weights stays in its
//! cache; backward, the weights' gradient over all steps is one large product.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::cell::{Cell, CellState};
use super::gemm::{Left, PANEL_COLUMNS, Precision, Right, SharedOut, View, product, training_precision};
use super::pointwise;

/// Tensors of a run that can be given back: gates, recurrent weights, recurrent bias.
pub type Inputs = (Tensor<3>, Tensor<2>, Tensor<1>);

/// Runs on tensors of the CPU backend, with or without autodiff; gives other tensors back. See
/// [`super::layer::recurrence`]. Cells other than GRUs are handed any bias, which is not read.
///
/// # Errors
/// The inputs, untouched, when they do not live on the CPU.
pub fn on_cpu(
    cell: Cell,
    (gates, recurrent, bias): Inputs,
    initial: Option<&CellState>,
) -> Result<(Tensor<3>, CellState), Box<Inputs>> {
    let device = gates.device();
    if let (Ok(g), Ok(w), Ok(b)) = (
        gates.clone().try_into_primitive::<Autodiff<Flex>>(),
        recurrent.clone().try_into_primitive::<Autodiff<Flex>>(),
        bias.clone().try_into_primitive::<Autodiff<Flex>>(),
    ) {
        drop((gates, recurrent, bias));
        let ((g, g_node), (w, w_node), (b, b_node)) = (g.into_parts(), w.into_parts(), b.into_parts());
        let run = Run::new(cell, g, w, b, initial, training_precision());
        let kind = RecurrenceBackward
            .prepare::<NoCheckpointing>([g_node, w_node, b_node])
            .compute_bound()
            .stateful();
        let (output, saved) = run.forward();
        let state = saved.state(&device);
        let output = match kind {
            OpsKind::Tracked(prep) => prep.finish(saved, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        return Ok((Tensor::from_primitive::<Autodiff<Flex>>(output), state));
    }
    if let (Ok(g), Ok(w), Ok(b)) = (
        gates.clone().try_into_primitive::<Flex>(),
        recurrent.clone().try_into_primitive::<Flex>(),
        bias.clone().try_into_primitive::<Flex>(),
    ) {
        let (output, saved) = Run::new(cell, g, w, b, initial, Precision::Single).forward();
        return Ok((Tensor::from_primitive::<Flex>(output), saved.state(&device)));
    }
    Err(Box::new((gates, recurrent, bias)))
}

/// Sizes of a run.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    cell: Cell,
    time: usize,
    batch: usize,
    hidden: usize,
}

impl Sizes {
    /// Columns of the gates.
    fn width(&self) -> usize {
        self.cell.blocks() * self.hidden
    }

    /// Values of the outputs of one step.
    fn step(&self) -> usize {
        self.batch * self.hidden
    }

    /// The units in shares of whole panels, one for each thread.
    fn shares(&self) -> Vec<Range<usize>> {
        let panels = self.hidden.div_ceil(PANEL_COLUMNS);
        let each = panels.div_ceil(rayon::current_num_threads()).max(1);
        (0..panels).step_by(each).map(|p| p..(p + each).min(panels)).collect()
    }

    /// The units of some panels.
    fn units(&self, panels: &Range<usize>) -> Range<usize> {
        panels.start * PANEL_COLUMNS..(panels.end * PANEL_COLUMNS).min(self.hidden)
    }
}

/// A run's inputs.
struct Run {
    sizes: Sizes,
    gates: Vec<f32>,
    recurrent: FlexTensor,
    bias: Vec<f32>,
    h_first: Option<Vec<f32>>,
    c_first: Option<Vec<f32>>,
    precision: Precision,
}

/// What the backward pass needs.
#[derive(Debug, Clone)]
struct Saved(Arc<SavedData>);

#[derive(Debug)]
struct SavedData {
    sizes: Sizes,
    precision: Precision,
    recurrent: FlexTensor,
    h_first: Option<Vec<f32>>,
    c_first: Option<Vec<f32>>,
    /// Gates after their non-linearities, `[time, batch, width]`.
    gates: Vec<f32>,
    /// LSTM: content of the cells; GRU: the candidate's recurrent products; `[time, batch, hidden]`.
    extra: Vec<f32>,
    /// Outputs, `[time, batch, hidden]`.
    outputs: Vec<f32>,
}

impl Run {
    fn new(
        cell: Cell,
        gates: FlexTensor,
        recurrent: FlexTensor,
        bias: FlexTensor,
        initial: Option<&CellState>,
        precision: Precision,
    ) -> Self {
        let shape = gates.layout().shape().clone();
        let sizes = Sizes { cell, time: shape[0], batch: shape[1], hidden: shape[2] / cell.blocks() };
        let floats = |t: &Tensor<2>| -> Vec<f32> {
            let data = t.to_data().try_into_vec();
            data.unwrap_or_else(|e| unreachable!("states are in single precision: {e:?}"))
        };
        Self {
            sizes,
            gates: values(gates),
            recurrent: recurrent.to_contiguous(),
            bias: values(bias),
            h_first: initial.map(|s| floats(&s.hidden)),
            c_first: initial.and_then(|s| s.content.as_ref()).map(floats),
            precision,
        }
    }

    fn forward(self) -> (FlexTensor, Saved) {
        let Self { sizes, mut gates, recurrent, bias, h_first, c_first, precision } = self;
        let Sizes { cell, time, batch, hidden } = sizes;
        let (width, step) = (sizes.width(), sizes.step());
        let weights = View::new(slice(&recurrent), hidden, width);
        let blocks: Vec<Right> =
            (0..cell.blocks()).map(|k| Right::new(weights.columns(k * hidden, hidden), precision)).collect();
        let mut outputs = vec![0.0f32; time * step];
        let mut extra = match cell {
            Cell::Lstm => vec![0.0f32; time * step],
            Cell::Gru => bias.repeat(time * batch),
            Cell::Rnn => Vec::new(),
        };
        let zeros = vec![0.0f32; step];
        let shares = sizes.shares();
        for t in 0..time {
            let (past, now) = outputs.split_at_mut(t * step);
            let h_last: &[f32] =
                if t == 0 { h_first.as_deref().unwrap_or(&zeros) } else { &past[(t - 1) * step..] };
            let (extra_past, extra_now) = extra.split_at_mut(if cell == Cell::Rnn { 0 } else { t * step });
            let c_last: &[f32] = match t {
                0 => c_first.as_deref().unwrap_or(&zeros),
                _ => &extra_past[extra_past.len().saturating_sub(step)..],
            };
            let started = t > 0 || h_first.is_some();
            let left = Left::new(View::new(h_last, batch, hidden), blocks[0].precision());
            let gates = SharedOut::new(&mut gates[t * batch * width..(t + 1) * batch * width]);
            let (h, extra) = (SharedOut::new(&mut now[..step]), SharedOut::new(extra_now));
            shares.par_iter().for_each(|panels| {
                let units = sizes.units(panels);
                for (k, block) in blocks.iter().enumerate() {
                    // SAFETY: this thread alone touches these units' columns of each block.
                    unsafe {
                        if !started {
                        } else if cell == Cell::Gru && k == 2 {
                            block.add_panels(&left, panels.clone(), extra.get(), hidden);
                        } else {
                            block.add_panels(&left, panels.clone(), gates.get().add(k * hidden), width);
                        }
                    }
                }
                let n = units.len();
                for r in 0..batch {
                    let last = r * hidden + units.start..r * hidden + units.end;
                    // SAFETY: the units of this thread's share, in rows that exist.
                    unsafe {
                        let gate = |k: usize| part(gates, r * width + k * hidden + units.start, n);
                        let (h, extra) = (part(h, last.start, n), || part(extra, last.start, n));
                        match cell {
                            Cell::Lstm => pointwise::lstm_forward(
                                gate(0),
                                gate(1),
                                gate(2),
                                gate(3),
                                &c_last[last.clone()],
                                extra(),
                                h,
                            ),
                            Cell::Gru => pointwise::gru_forward(
                                gate(0),
                                gate(1),
                                gate(2),
                                extra(),
                                &h_last[last.clone()],
                                h,
                            ),
                            Cell::Rnn => pointwise::rnn_forward(gate(0), h),
                        }
                    }
                }
            });
        }
        let output = tensor(outputs.clone(), &[time, batch, hidden]);
        let saved = SavedData { sizes, precision, recurrent, h_first, c_first, gates, extra, outputs };
        (output, Saved(Arc::new(saved)))
    }
}

impl Saved {
    /// The state after the last step.
    fn state(&self, device: &Device) -> CellState {
        let Sizes { cell, batch, hidden, .. } = self.0.sizes;
        let last = |values: &[f32]| {
            let values = values[values.len() - batch * hidden..].to_vec();
            Tensor::from_data(TensorData::new(values, [batch, hidden]), device)
        };
        CellState {
            hidden: last(&self.0.outputs),
            content: (cell == Cell::Lstm).then(|| last(&self.0.extra)),
        }
    }
}

/// Gradients of a run's inputs.
struct Gradient {
    gates: Vec<f32>,
    recurrent: Vec<f32>,
    /// Of the candidate's recurrent bias, for a GRU.
    bias: Option<Vec<f32>>,
}

impl SavedData {
    fn backward(&self, mut d_outputs: Vec<f32>) -> Gradient {
        let sizes = self.sizes;
        let Sizes { cell, time, batch, hidden } = sizes;
        let (width, step) = (sizes.width(), sizes.step());
        let weights = View::new(slice(&self.recurrent), hidden, width).transposed();
        let transposed = Right::new(weights, self.precision);
        let mut d_gates = vec![0.0f32; time * batch * width];
        // A GRU's candidate sees its product through the reset gate: its gradient is another one.
        let mut d_products = if cell == Cell::Gru { vec![0.0f32; time * batch * width] } else { Vec::new() };
        let mut carry = vec![0.0f32; step];
        let zeros = vec![0.0f32; step];
        let shares = sizes.shares();
        for t in (0..time).rev() {
            let range = |k: usize| k * step..(k + 1) * step;
            let wide = |k: usize| k * batch * width..(k + 1) * batch * width;
            let c_last: &[f32] = match t {
                0 => self.c_first.as_deref().unwrap_or(&zeros),
                _ if cell == Cell::Lstm => &self.extra[range(t - 1)],
                _ => &zeros,
            };
            let h_last: &[f32] = match t {
                0 => self.h_first.as_deref().unwrap_or(&zeros),
                _ => &self.outputs[range(t - 1)],
            };
            let (before, after) = d_gates.split_at_mut(wide(t).end);
            let (products_before, products_after) =
                d_products.split_at_mut(if cell == Cell::Gru { wide(t).end } else { 0 });
            let after: &[f32] = if cell == Cell::Gru { products_after } else { after };
            let left = (t + 1 < time)
                .then(|| Left::new(View::new(&after[..batch * width], batch, width), transposed.precision()));
            let now = SharedOut::new(&mut before[wide(t)]);
            let products =
                SharedOut::new(if cell == Cell::Gru { &mut products_before[wide(t)] } else { &mut [] });
            let (d_h, carried) = (SharedOut::new(&mut d_outputs[range(t)]), SharedOut::new(&mut carry));
            let (gates, outputs) = (&self.gates[wide(t)], &self.outputs[range(t)]);
            let extra = if cell == Cell::Rnn { outputs } else { &self.extra[range(t)] };
            shares.par_iter().for_each(|panels| {
                let units = sizes.units(panels);
                if let Some(left) = &left {
                    // SAFETY: this thread alone touches these units' columns.
                    unsafe { transposed.add_panels(left, panels.clone(), d_h.get(), hidden) };
                }
                let n = units.len();
                for r in 0..batch {
                    let row = r * hidden + units.start..r * hidden + units.end;
                    let at = |k: usize| r * width + k * hidden + units.start;
                    let gate = |k: usize| &gates[at(k)..at(k) + n];
                    // SAFETY: the units of this thread's share, in rows that exist.
                    unsafe {
                        let (d_h, carry) = (part(d_h, row.start, n), part(carried, row.start, n));
                        let d = |k: usize| part(now, at(k), n);
                        match cell {
                            Cell::Lstm => pointwise::lstm_backward(
                                [0, 1, 2, 3].map(gate),
                                &extra[row.clone()],
                                &c_last[row.clone()],
                                d_h,
                                carry,
                                [0, 1, 2, 3].map(d),
                            ),
                            Cell::Gru => {
                                for (d, &c) in d_h.iter_mut().zip(carry.iter()) {
                                    *d += c;
                                }
                                pointwise::gru_backward(
                                    [0, 1, 2].map(gate),
                                    &extra[row.clone()],
                                    &h_last[row.clone()],
                                    d_h,
                                    carry,
                                    [0, 1, 2].map(d),
                                    part(products, at(2), n),
                                );
                                for k in 0..2 {
                                    part(products, at(k), n).copy_from_slice(d(k));
                                }
                            }
                            Cell::Rnn => pointwise::rnn_backward(&outputs[row.clone()], d_h, d(0)),
                        }
                    }
                }
            });
        }
        let d_products: &[f32] = if cell == Cell::Gru { &d_products } else { &d_gates };
        let mut recurrent = vec![0.0f32; hidden * width];
        let mut add = |outputs: &[f32], after: &[f32]| {
            let rows = outputs.len() / hidden;
            let (h, d) = (View::new(outputs, rows, hidden), View::new(after, rows, width));
            product(h.transposed(), d, &mut recurrent, true, self.precision);
        };
        // Outputs of steps 0..T-1 against gradients of steps 1..T.
        add(&self.outputs[..(time - 1) * step], &d_products[batch * width..]);
        if let Some(first) = &self.h_first {
            add(first, &d_products[..batch * width]);
        }
        let bias = (cell == Cell::Gru).then(|| column_sums(d_products, width).split_off(2 * hidden));
        Gradient { gates: d_gates, recurrent, bias }
    }
}

/// Some values of a shared matrix.
///
/// # Safety
/// They exist, and no other thread touches them.
unsafe fn part<'a>(shared: SharedOut, first: usize, count: usize) -> &'a mut [f32] {
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts_mut(shared.get().add(first), count) }
}

#[derive(Debug)]
struct RecurrenceBackward;

impl Backward<Flex, 3> for RecurrenceBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [gates, recurrent, bias] = ops.parents;
        let saved = ops.state.0;
        let sizes = saved.sizes;
        let gradient = saved.backward(values(grads.consume::<Flex>(&ops.node)));
        if let Some(node) = gates {
            let shape = [sizes.time, sizes.batch, sizes.width()];
            grads.register::<Flex>(node.id, tensor(gradient.gates, &shape));
        }
        if let Some(node) = recurrent {
            grads.register::<Flex>(node.id, tensor(gradient.recurrent, &[sizes.hidden, sizes.width()]));
        }
        if let (Some(node), Some(bias)) = (bias, gradient.bias) {
            grads.register::<Flex>(node.id, tensor(bias, &[sizes.hidden]));
        }
    }
}

/// Sum of each column of a row-major matrix.
pub(super) fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let add = |mut sums: Vec<f32>, row: &[f32]| {
        for (sum, v) in sums.iter_mut().zip(row) {
            *sum += v;
        }
        sums
    };
    // Shares of a fixed size, added in order: the same sum whatever the number of threads.
    let parts: Vec<Vec<f32>> = values
        .par_chunks((512 * columns).max(1))
        .map(|part| part.chunks_exact(columns).fold(vec![0.0; columns], add))
        .collect();
    parts.iter().fold(vec![0.0; columns], |sums, part| add(sums, part))
}

/// The values in row-major order, without a copy where the tensor owns them alone.
pub(super) fn values(tensor: FlexTensor) -> Vec<f32> {
    let data = tensor.to_contiguous().into_data();
    data.try_into_vec::<f32>()
        .unwrap_or_else(|e| unreachable!("networks are trained in single precision: {e:?}"))
}

/// The values of a contiguous tensor.
pub(super) fn slice(tensor: &FlexTensor) -> &[f32] {
    match tensor.as_slice::<f32>() {
        Some(values) => values,
        None => unreachable!("made contiguous when the run was set up"),
    }
}

pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}
