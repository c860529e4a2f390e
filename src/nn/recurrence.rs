//! The recurrent part of an LSTM layer over whole sequences, forward and backward, on the CPU.
//!
//! As one autodiff operation: a graph of some twenty small operations a step costs more in
//! bookkeeping and memory traffic than the arithmetic itself. A step is one product of the state
//! with the recurrent weights; backward, the weights' gradient over all steps is one large
//! product. Rows of the batch are independent of each other, so each step is shared out by rows.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use std::sync::Arc;

use super::math::{sigmoid, simd, tanh};

/// Runs on tensors of the CPU backend, with or without autodiff; gives other tensors back.
///
/// # Errors
/// The inputs, untouched, when they do not live on the CPU.
pub fn on_cpu(gates: Tensor<3>, recurrent: Tensor<2>) -> Result<Tensor<3>, Box<(Tensor<3>, Tensor<2>)>> {
    if let (Ok(g), Ok(w)) = (
        gates.clone().try_into_primitive::<Autodiff<Flex>>(),
        recurrent.clone().try_into_primitive::<Autodiff<Flex>>(),
    ) {
        drop((gates, recurrent));
        let ((g, g_node), (w, w_node)) = (g.into_parts(), w.into_parts());
        let run = Run::new(g, w);
        let kind = RecurrenceBackward.prepare::<NoCheckpointing>([g_node, w_node]).compute_bound().stateful();
        let output = match kind {
            OpsKind::Tracked(prep) => {
                let (output, saved) = run.forward();
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run.forward().0),
        };
        return Ok(Tensor::from_primitive::<Autodiff<Flex>>(output));
    }
    if let (Ok(g), Ok(w)) =
        (gates.clone().try_into_primitive::<Flex>(), recurrent.clone().try_into_primitive::<Flex>())
    {
        return Ok(Tensor::from_primitive::<Flex>(Run::new(g, w).forward().0));
    }
    Err(Box::new((gates, recurrent)))
}

/// Sizes of a run and its inputs.
struct Run {
    time: usize,
    batch: usize,
    hidden: usize,
    gates: Vec<f32>,
    recurrent: FlexTensor,
}

/// What the backward pass needs.
#[derive(Debug, Clone)]
struct Saved(Arc<SavedData>);

#[derive(Debug)]
struct SavedData {
    time: usize,
    batch: usize,
    hidden: usize,
    recurrent: FlexTensor,
    /// Gates after their non-linearities, `[time, batch, 4 hidden]`.
    gates: Vec<f32>,
    /// Content of the cells, `[time, batch, hidden]`.
    cells: Vec<f32>,
    /// Outputs, `[time, batch, hidden]`.
    outputs: Vec<f32>,
}

/// Rows that one thread takes in a step: the batch in as many parts as there are threads.
fn rows_a_thread(batch: usize) -> usize {
    batch.div_ceil(rayon::current_num_threads()).max(1)
}

impl Run {
    fn new(gates: FlexTensor, recurrent: FlexTensor) -> Self {
        let shape = gates.layout().shape().clone();
        let (time, batch, hidden) = (shape[0], shape[1], shape[2] / 4);
        Self { time, batch, hidden, gates: values(gates), recurrent: recurrent.to_contiguous() }
    }

    fn forward(self) -> (FlexTensor, Saved) {
        let Self { time, batch, hidden, mut gates, recurrent } = self;
        let step = batch * hidden;
        let mut outputs = vec![0.0f32; time * step];
        let mut cells = vec![0.0f32; time * step];
        let zeros = vec![0.0f32; step];
        let rows = rows_a_thread(batch);
        let weights = slice(&recurrent);
        for t in 0..time {
            let (past_outputs, outputs) = outputs.split_at_mut(t * step);
            let (past_cells, cells) = cells.split_at_mut(t * step);
            let last = |past: &'_ [f32]| -> usize { past.len().saturating_sub(step) };
            let (h_last, c_last) = if t == 0 {
                (&zeros[..], &zeros[..])
            } else {
                (&past_outputs[last(past_outputs)..], &past_cells[last(past_cells)..])
            };
            gates[t * 4 * step..(t + 1) * 4 * step]
                .par_chunks_mut(rows * 4 * hidden)
                .zip(outputs[..step].par_chunks_mut(rows * hidden))
                .zip(cells[..step].par_chunks_mut(rows * hidden))
                .zip(h_last.par_chunks(rows * hidden))
                .zip(c_last.par_chunks(rows * hidden))
                .for_each(|((((gates, h), c), h_last), c_last)| {
                    if t > 0 {
                        let n = h.len() / hidden;
                        product(
                            n,
                            4 * hidden,
                            hidden,
                            gates,
                            true,
                            h_last,
                            (hidden, 1),
                            weights,
                            (4 * hidden, 1),
                            false,
                        );
                    }
                    step_forward(gates, c_last, c, h, hidden);
                });
        }
        let output = tensor(outputs.clone(), &[time, batch, hidden]);
        (output, Saved(Arc::new(SavedData { time, batch, hidden, recurrent, gates, cells, outputs })))
    }
}

impl SavedData {
    /// Gradient of the outputs to gradients of the gate inputs and of the recurrent weights.
    fn backward(&self, mut d_outputs: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        let Self { time, batch, hidden, .. } = *self;
        let step = batch * hidden;
        let rows = rows_a_thread(batch);
        let transposed = transpose(slice(&self.recurrent), hidden, 4 * hidden);
        let mut d_gates = vec![0.0f32; time * 4 * step];
        let mut d_cell = vec![0.0f32; step];
        let mut scratch = vec![0.0f32; step];
        let zeros = vec![0.0f32; step];
        for t in (0..time).rev() {
            let range = |k: usize| k * step..(k + 1) * step;
            let c_last = if t == 0 { &zeros[..] } else { &self.cells[range(t - 1)] };
            let (before, now) = d_outputs.split_at_mut(t * step);
            // The first step has none before it to hand a gradient to; scratch takes its place.
            let d_before = if t == 0 { &mut scratch[..] } else { &mut before[range(t - 1)] };
            d_gates[t * 4 * step..(t + 1) * 4 * step]
                .par_chunks_mut(rows * 4 * hidden)
                .zip(d_cell.par_chunks_mut(rows * hidden))
                .zip(d_before.par_chunks_mut(rows * hidden))
                .zip(now[..step].par_chunks(rows * hidden))
                .zip(self.gates[t * 4 * step..(t + 1) * 4 * step].par_chunks(rows * 4 * hidden))
                .zip(self.cells[range(t)].par_chunks(rows * hidden))
                .zip(c_last.par_chunks(rows * hidden))
                .for_each(|((((((d_gates, d_cell), d_before), d_h), gates), c), c_last)| {
                    step_backward(gates, c, c_last, d_h, d_cell, d_gates, hidden);
                    if t > 0 {
                        let n = d_h.len() / hidden;
                        product(
                            n,
                            hidden,
                            4 * hidden,
                            d_before,
                            true,
                            d_gates,
                            (4 * hidden, 1),
                            &transposed,
                            (hidden, 1),
                            false,
                        );
                    }
                });
        }
        let mut d_recurrent = vec![0.0f32; hidden * 4 * hidden];
        if time > 1 {
            // Outputs of steps 0..T-1 against gate gradients of steps 1..T, transposed by strides.
            let k = (time - 1) * batch;
            let (past, after) = (&self.outputs[..k * hidden], &d_gates[4 * step..]);
            product(
                hidden,
                4 * hidden,
                k,
                &mut d_recurrent,
                false,
                past,
                (1, hidden),
                after,
                (4 * hidden, 1),
                true,
            );
        }
        (d_gates, d_recurrent)
    }
}

#[derive(Debug)]
struct RecurrenceBackward;

impl Backward<Flex, 2> for RecurrenceBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [gates, recurrent] = ops.parents;
        let saved = ops.state.0;
        let (d_gates, d_recurrent) = saved.backward(values(grads.consume::<Flex>(&ops.node)));
        let (time, batch, hidden) = (saved.time, saved.batch, saved.hidden);
        if let Some(node) = gates {
            grads.register::<Flex>(node.id, tensor(d_gates, &[time, batch, 4 * hidden]));
        }
        if let Some(node) = recurrent {
            grads.register::<Flex>(node.id, tensor(d_recurrent, &[hidden, 4 * hidden]));
        }
    }
}

simd! {
    /// One step for some rows: non-linearities in place, new cell contents and outputs.
    fn step_forward(gates: &mut [f32], c_last: &[f32], c: &mut [f32], h: &mut [f32], hidden: usize) {
        for (r, gates) in gates.chunks_exact_mut(4 * hidden).enumerate() {
            let (input, rest) = gates.split_at_mut(hidden);
            let (forget, rest) = rest.split_at_mut(hidden);
            let (output, candidate) = rest.split_at_mut(hidden);
            let row = r * hidden..(r + 1) * hidden;
            let (c_last, c, h) = (&c_last[row.clone()], &mut c[row.clone()], &mut h[row]);
            for j in 0..hidden {
                input[j] = sigmoid(input[j]);
                forget[j] = sigmoid(forget[j]);
                output[j] = sigmoid(output[j]);
                candidate[j] = tanh(candidate[j]);
                c[j] = forget[j] * c_last[j] + input[j] * candidate[j];
                h[j] = output[j] * tanh(c[j]);
            }
        }
    }
}

simd! {
    /// One step backward for some rows: from the outputs' gradient `d_h` and the cells' gradient
    /// from the step after to the gates' gradient and the cells' gradient for the step before.
    fn step_backward(
        gates: &[f32], c: &[f32], c_last: &[f32], d_h: &[f32], d_cell: &mut [f32], d_gates: &mut [f32], hidden: usize,
    ) {
        for (r, (gates, d_gates)) in gates.chunks_exact(4 * hidden).zip(d_gates.chunks_exact_mut(4 * hidden)).enumerate() {
            let (input, rest) = gates.split_at(hidden);
            let (forget, rest) = rest.split_at(hidden);
            let (output, candidate) = rest.split_at(hidden);
            let (d_input, rest) = d_gates.split_at_mut(hidden);
            let (d_forget, rest) = rest.split_at_mut(hidden);
            let (d_output, d_candidate) = rest.split_at_mut(hidden);
            let row = r * hidden..(r + 1) * hidden;
            let (c, c_last, d_h) = (&c[row.clone()], &c_last[row.clone()], &d_h[row.clone()]);
            let d_cell = &mut d_cell[row];
            for j in 0..hidden {
                let (i, f, o, g) = (input[j], forget[j], output[j], candidate[j]);
                let squashed = tanh(c[j]);
                let d_c = d_h[j] * o * (1.0 - squashed * squashed) + d_cell[j];
                d_input[j] = d_c * g * i * (1.0 - i);
                d_forget[j] = d_c * c_last[j] * f * (1.0 - f);
                d_output[j] = d_h[j] * squashed * o * (1.0 - o);
                d_candidate[j] = d_c * i * (1.0 - g * g);
                d_cell[j] = d_c * f;
            }
        }
    }
}

/// `out [m, n] = a [m, k] * b [k, n]`, added to what is there if `add`. `out` is row-major; the
/// strides of `a` and `b` are (row, column).
#[expect(clippy::too_many_arguments, reason = "a matrix product has this many")]
fn product(
    m: usize,
    n: usize,
    k: usize,
    out: &mut [f32],
    add: bool,
    a: &[f32],
    a_strides: (usize, usize),
    b: &[f32],
    b_strides: (usize, usize),
    parallel: bool,
) {
    let reach = |rows: usize, columns: usize, s: (usize, usize)| (rows - 1) * s.0 + (columns - 1) * s.1;
    assert!(out.len() >= m * n && reach(m, k, a_strides) < a.len() && reach(k, n, b_strides) < b.len());
    let threads = if parallel { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: the three matrices lie inside their slices, as asserted, and `out` is borrowed
    // mutably, so it overlaps neither of the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.as_ptr(),
            a_strides.1 as isize,
            a_strides.0 as isize,
            b.as_ptr(),
            b_strides.1 as isize,
            b_strides.0 as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            threads,
        );
    }
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (j, out) in out.chunks_exact_mut(rows).enumerate() {
        for (i, v) in out.iter_mut().enumerate() {
            *v = values[i * columns + j];
        }
    }
    out
}

/// The values in row-major order, without a copy where the tensor owns them alone.
fn values(tensor: FlexTensor) -> Vec<f32> {
    let data = tensor.to_contiguous().into_data();
    data.try_into_vec::<f32>()
        .unwrap_or_else(|e| unreachable!("networks are trained in single precision: {e:?}"))
}

/// The values of a contiguous tensor.
fn slice(tensor: &FlexTensor) -> &[f32] {
    match tensor.as_slice::<f32>() {
        Some(values) => values,
        None => unreachable!("made contiguous when the run was set up"),
    }
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}
