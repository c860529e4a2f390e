//! [`super::attention::attend`] on the CPU, forward and backward, as one autodiff operation.
//!
//! A step of some hundred rows over 49 regions would be a dozen operations on tensors of megabytes
//! each, all of them kept for the way back. Here a row's attention stays in the cache, and the way
//! back computes the hyperbolic tangents anew.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::attention::{AttentionInputs, Packing, mix, mix_backward, weigh, weigh_backward};
use super::gemm::{Left, Precision, Right, SharedOut, View, product, training_precision};
use super::pointwise::{lstm_backward, lstm_forward};
use super::recurrence::{slice, tensor, values};

/// Runs on tensors of the CPU backend, with or without autodiff; gives other tensors back.
///
/// # Errors
/// The inputs, untouched, when they do not live on the CPU.
pub fn on_cpu(inputs: AttentionInputs, packing: &Packing) -> Result<Tensor<2>, Box<AttentionInputs>> {
    let i = &inputs;
    if let (Ok(g), Ok(v), Ok(k), Ok(q), Ok(s), Ok(c), Ok(r), Ok(b)) = (
        i.gates.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.values.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.keys.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.query.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.score.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.context.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.recurrent.clone().try_into_primitive::<Autodiff<Flex>>(),
        i.start.clone().try_into_primitive::<Autodiff<Flex>>(),
    ) {
        drop(inputs);
        let [
            (g, g_node),
            (v, v_node),
            (k, k_node),
            (q, q_node),
            (s, s_node),
            (c, c_node),
            (r, r_node),
            (b, b_node),
        ] = [g, v, k, q, s, c, r, b].map(|t| t.into_parts());
        let nodes = [g_node, v_node, k_node, q_node, s_node, c_node, r_node, b_node];
        let (out, saved) = forward([g, v, k, q, s, c, r, b], packing, training_precision());
        let kind = AttentionBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
        let out = match kind {
            OpsKind::Tracked(prep) => prep.finish(Saved(Arc::new(saved)), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        return Ok(Tensor::from_primitive::<Autodiff<Flex>>(out));
    }
    if let (Ok(g), Ok(v), Ok(k), Ok(q), Ok(s), Ok(c), Ok(r), Ok(b)) = (
        i.gates.clone().try_into_primitive::<Flex>(),
        i.values.clone().try_into_primitive::<Flex>(),
        i.keys.clone().try_into_primitive::<Flex>(),
        i.query.clone().try_into_primitive::<Flex>(),
        i.score.clone().try_into_primitive::<Flex>(),
        i.context.clone().try_into_primitive::<Flex>(),
        i.recurrent.clone().try_into_primitive::<Flex>(),
        i.start.clone().try_into_primitive::<Flex>(),
    ) {
        let (out, _) = forward([g, v, k, q, s, c, r, b], packing, Precision::Single);
        return Ok(Tensor::from_primitive::<Flex>(out));
    }
    Err(Box::new(inputs))
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    places: usize,
    pictures: usize,
    regions: usize,
    /// Values of a region.
    width: usize,
    /// Keys of a region.
    keys: usize,
    hidden: usize,
}

#[derive(Debug, Clone)]
struct Saved(Arc<SavedData>);

/// What the backward pass needs; P places, H units, R regions.
#[derive(Debug)]
struct SavedData {
    sizes: Sizes,
    packing: Packing,
    precision: Precision,
    values: FlexTensor,
    keys: FlexTensor,
    query: FlexTensor,
    score: FlexTensor,
    context: FlexTensor,
    recurrent: FlexTensor,
    /// Gates after their non-linearities, `[P, 4 H]`.
    gates: Vec<f32>,
    /// Outputs and contents before each place, `[P, H]`.
    h_last: Vec<f32>,
    c_last: Vec<f32>,
    /// Contents after each place, `[P, H]`.
    c: Vec<f32>,
    /// `[P, A]`.
    queries: Vec<f32>,
    /// `[P, C]`.
    contexts: Vec<f32>,
    /// `[P, R]`.
    weights: Vec<f32>,
}

/// `out += a * b` on all threads.
fn add_product(a: View<'_>, b: &Right, out: &mut [f32], columns: usize) {
    let left = Left::new(a, b.precision());
    let out = SharedOut::new(out);
    (0..b.panels()).into_par_iter().for_each(|p| {
        // SAFETY: each panel's columns are touched by one thread alone, inside the result.
        unsafe { b.add_panels(&left, p..p + 1, out.get(), columns) }
    });
}

fn forward(parts: [FlexTensor; 8], packing: &Packing, precision: Precision) -> (FlexTensor, SavedData) {
    let [gates, values_, keys, query, score, context, recurrent, start] = parts;
    let dims = |t: &FlexTensor| t.layout().shape().to_vec();
    let (value_dims, key_dims, query_dims) = (dims(&values_), dims(&keys), dims(&query));
    let sizes = Sizes {
        places: packing.places(),
        pictures: value_dims[0],
        regions: value_dims[1],
        width: value_dims[2],
        keys: key_dims[2],
        hidden: query_dims[0],
    };
    let Sizes { places, regions, width, keys: size, hidden, .. } = sizes;
    let [values_, keys, query, score, context, recurrent] =
        [values_, keys, query, score, context, recurrent].map(|t| t.to_contiguous());
    let start = values(start);
    let mut gates = values(gates);
    let pack = |t: &FlexTensor, rows: usize, columns: usize| {
        Right::new(View::new(slice(t), rows, columns), precision)
    };
    let to_query = pack(&query, hidden, size);
    let from_context = pack(&context, width, 4 * hidden);
    let from_state = pack(&recurrent, hidden, 4 * hidden);
    let (value_slice, key_slice, score_slice) = (slice(&values_), slice(&keys), slice(&score));

    let new = |columns: usize| vec![0.0f32; places * columns];
    let (mut h_last, mut c_last, mut c, mut queries) = (new(hidden), new(hidden), new(hidden), new(size));
    let (mut contexts, mut weights) = (new(width), new(regions));
    let total = hidden + width + regions;
    let mut out = new(total);
    let (mut begin, mut before) = (0, 0);
    for (t, &rows) in packing.active().iter().enumerate() {
        let at = |columns: usize| begin * columns..(begin + rows) * columns;
        for row in 0..rows {
            let here = (begin + row) * hidden..(begin + row + 1) * hidden;
            if t == 0 {
                let first = &start[packing.pictures()[row] * 2 * hidden..][..2 * hidden];
                h_last[here.clone()].copy_from_slice(&first[..hidden]);
                c_last[here].copy_from_slice(&first[hidden..]);
            } else {
                h_last[here.clone()].copy_from_slice(&out[(before + row) * total..][..hidden]);
                c_last[here].copy_from_slice(&c[(before + row) * hidden..][..hidden]);
            }
        }
        let h = View::new(&h_last[at(hidden)], rows, hidden);
        add_product(h, &to_query, &mut queries[at(size)], size);
        queries[at(size)]
            .par_chunks(size)
            .zip(weights[at(regions)].par_chunks_mut(regions))
            .zip(contexts[at(width)].par_chunks_mut(width))
            .zip(&packing.pictures()[..rows])
            .for_each(|(((query, weights), context), &picture)| {
                let keys = &key_slice[picture * regions * size..][..regions * size];
                weigh(keys, query, score_slice, weights);
                mix(&value_slice[picture * regions * width..][..regions * width], weights, context);
            });
        let now = &mut gates[at(4 * hidden)];
        add_product(View::new(&contexts[at(width)], rows, width), &from_context, now, 4 * hidden);
        add_product(h, &from_state, now, 4 * hidden);
        now.par_chunks_mut(4 * hidden)
            .zip(c[at(hidden)].par_chunks_mut(hidden))
            .zip(out[at(total)].par_chunks_mut(total))
            .enumerate()
            .for_each(|(row, ((gates, c), out))| {
                let place = begin + row;
                let (input, rest) = gates.split_at_mut(hidden);
                let (forget, rest) = rest.split_at_mut(hidden);
                let (output, candidate) = rest.split_at_mut(hidden);
                let c_last = &c_last[place * hidden..][..hidden];
                lstm_forward(input, forget, output, candidate, c_last, c, &mut out[..hidden]);
                out[hidden..hidden + width].copy_from_slice(&contexts[place * width..][..width]);
                out[hidden + width..].copy_from_slice(&weights[place * regions..][..regions]);
            });
        before = begin;
        begin += rows;
    }
    let out = tensor(out, &[places, total]);
    let packing = packing.clone();
    let saved = SavedData {
        sizes,
        packing,
        precision,
        values: values_,
        keys,
        query,
        score,
        context,
        recurrent,
        gates,
        h_last,
        c_last,
        c,
        queries,
        contexts,
        weights,
    };
    (out, saved)
}

/// Gradients in the order of the inputs.
struct Gradient([(Vec<f32>, Vec<usize>); 8]);

impl SavedData {
    fn backward(&self, d_out: &[f32]) -> Gradient {
        let Sizes { places, pictures, regions, width, keys: size, hidden } = self.sizes;
        let total = hidden + width + regions;
        let transposed = |t: &FlexTensor, rows: usize, columns: usize| {
            Right::new(View::new(slice(t), rows, columns).transposed(), self.precision)
        };
        let to_context = transposed(&self.context, width, 4 * hidden);
        let to_state = transposed(&self.recurrent, hidden, 4 * hidden);
        let from_query = transposed(&self.query, hidden, size);
        let (values, keys, score) = (slice(&self.values), slice(&self.keys), slice(&self.score));
        let new = |columns: usize| vec![0.0f32; places * columns];
        let (mut d_gates, mut d_queries) = (new(4 * hidden), new(size));
        let mut d_values = vec![0.0f32; pictures * regions * width];
        let mut d_keys = vec![0.0f32; pictures * regions * size];
        let mut d_scores = vec![0.0f32; pictures * size];
        let rows = self.packing.pictures().len();
        let (mut carry_h, mut carry_c) = (vec![0.0f32; rows * hidden], vec![0.0f32; rows * hidden]);
        let mut of_picture = vec![Vec::new(); pictures];
        for (row, &picture) in self.packing.pictures().iter().enumerate() {
            of_picture[picture].push(row);
        }
        let mut begin = places;
        for &rows in self.packing.active().iter().rev() {
            begin -= rows;
            let at = |columns: usize| begin * columns..(begin + rows) * columns;
            d_gates[at(4 * hidden)]
                .par_chunks_mut(4 * hidden)
                .zip(carry_h.par_chunks_mut(hidden))
                .zip(carry_c.par_chunks_mut(hidden))
                .enumerate()
                .for_each(|(row, ((d_gates, d_h), d_c))| {
                    let place = begin + row;
                    for (d, &more) in d_h.iter_mut().zip(&d_out[place * total..][..hidden]) {
                        *d += more;
                    }
                    let gate = |k: usize| &self.gates[(place * 4 + k) * hidden..][..hidden];
                    let (input, rest) = d_gates.split_at_mut(hidden);
                    let (forget, rest) = rest.split_at_mut(hidden);
                    let (output, candidate) = rest.split_at_mut(hidden);
                    let unit = place * hidden..(place + 1) * hidden;
                    lstm_backward(
                        [0, 1, 2, 3].map(gate),
                        &self.c[unit.clone()],
                        &self.c_last[unit],
                        d_h,
                        d_c,
                        [input, forget, output, candidate],
                    );
                    d_h.fill(0.0);
                });
            let d = View::new(&d_gates[at(4 * hidden)], rows, 4 * hidden);
            let mut d_contexts: Vec<f32> = (begin..begin + rows)
                .flat_map(|place| d_out[place * total + hidden..][..width].iter().copied())
                .collect();
            add_product(d, &to_context, &mut d_contexts, width);
            add_product(d, &to_state, &mut carry_h[..rows * hidden], hidden);
            let shared = SharedOut::new(&mut d_queries[at(size)]);
            d_values
                .par_chunks_mut(regions * width)
                .zip(d_keys.par_chunks_mut(regions * size))
                .zip(d_scores.par_chunks_mut(size))
                .zip(&of_picture)
                .enumerate()
                .for_each(|(picture, (((d_values, d_keys), d_score), of_picture))| {
                    let values = &values[picture * regions * width..][..regions * width];
                    let keys = &keys[picture * regions * size..][..regions * size];
                    for &row in of_picture.iter().take_while(|&&row| row < rows) {
                        let place = begin + row;
                        let mut d_energies =
                            d_out[place * total + hidden + width..(place + 1) * total].to_vec();
                        let weights = &self.weights[place * regions..][..regions];
                        let d_context = &d_contexts[row * width..][..width];
                        mix_backward(values, weights, d_context, &mut d_energies, d_values);
                        // SAFETY: a row is of one picture, and this thread has the picture.
                        let d_query =
                            unsafe { std::slice::from_raw_parts_mut(shared.get().add(row * size), size) };
                        let query = &self.queries[place * size..][..size];
                        weigh_backward(keys, query, score, &d_energies, d_keys, d_query, d_score);
                    }
                });
            let d = View::new(&d_queries[at(size)], rows, size);
            add_product(d, &from_query, &mut carry_h[..rows * hidden], hidden);
        }
        let mut d_start = vec![0.0f32; pictures * 2 * hidden];
        for (row, &picture) in self.packing.pictures().iter().enumerate() {
            let first = &mut d_start[picture * 2 * hidden..][..2 * hidden];
            let carried = carry_h[row * hidden..][..hidden].iter().chain(&carry_c[row * hidden..][..hidden]);
            first.iter_mut().zip(carried).for_each(|(d, &c)| *d += c);
        }
        let mut d_score = vec![0.0f32; size];
        for part in d_scores.chunks_exact(size) {
            d_score.iter_mut().zip(part).for_each(|(d, &p)| *d += p);
        }
        let weights_of = |left: &[f32], columns: usize, d: &[f32], out_columns: usize| {
            let mut out = vec![0.0f32; columns * out_columns];
            let left = View::new(left, places, columns).transposed();
            product(left, View::new(d, places, out_columns), &mut out, true, self.precision);
            out
        };
        let d_query = weights_of(&self.h_last, hidden, &d_queries, size);
        let d_context = weights_of(&self.contexts, width, &d_gates, 4 * hidden);
        let d_recurrent = weights_of(&self.h_last, hidden, &d_gates, 4 * hidden);
        Gradient([
            (d_gates, vec![places, 4 * hidden]),
            (d_values, vec![pictures, regions, width]),
            (d_keys, vec![pictures, regions, size]),
            (d_query, vec![hidden, size]),
            (d_score, vec![size]),
            (d_context, vec![width, 4 * hidden]),
            (d_recurrent, vec![hidden, 4 * hidden]),
            (d_start, vec![pictures, 2 * hidden]),
        ])
    }
}

#[derive(Debug)]
struct AttentionBackward;

impl Backward<Flex, 8> for AttentionBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 8>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_out = values(grads.consume::<Flex>(&ops.node));
        let Gradient(gradient) = ops.state.0.backward(&d_out);
        for (node, (values, shape)) in ops.parents.into_iter().zip(gradient) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(values, &shape));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::{attend, attend_step_by_step};
    use super::*;
    use burn::tensor::{Device, Distribution};

    const HIDDEN: usize = 5;
    const WIDTH: usize = 19;
    const KEYS: usize = 21;
    const REGIONS: usize = 4;
    const PICTURES: usize = 3;

    fn inputs(packing: &Packing, device: &Device) -> AttentionInputs {
        fn draw<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
            Tensor::<D>::random(shape, Distribution::Uniform(-0.8, 0.8), device).require_grad()
        }
        AttentionInputs {
            gates: draw([packing.places(), 4 * HIDDEN], device),
            values: draw([PICTURES, REGIONS, WIDTH], device),
            keys: draw([PICTURES, REGIONS, KEYS], device),
            query: draw([HIDDEN, KEYS], device),
            score: draw([KEYS], device),
            context: draw([WIDTH, 4 * HIDDEN], device),
            recurrent: draw([HIDDEN, 4 * HIDDEN], device),
            start: draw([PICTURES, 2 * HIDDEN], device),
        }
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn packing() -> Packing {
        Packing::new(vec![1, 0, 1, 2, 0], &[4, 3, 3, 1, 1])
    }

    /// A scalar that depends on every value in another way.
    fn loss(out: Tensor<2>) -> Tensor<1> {
        let [rows, columns] = out.dims();
        let count = (rows * columns) as i64;
        let device = out.device();
        let ramp = Tensor::<1, burn::tensor::Int>::arange(0..count, &device).float() * 0.37;
        (out * ramp.sin().reshape([rows, columns])).sum()
    }

    #[test]
    fn it_agrees_with_burns_own_operations() {
        let device = Device::flex().autodiff();
        let packing = packing();
        assert_eq!(packing.active(), [5, 3, 3, 1]);
        let i = inputs(&packing, &device);
        let (ours, burns) = (attend(i.clone(), &packing), attend_step_by_step(i.clone(), &packing));
        let (a, b) = (floats(ours.clone().inner()), floats(burns.clone().inner()));
        assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 2e-6), "outputs");
        let (ours, burns) = (loss(ours).backward(), loss(burns).backward());
        macro_rules! check {
            ($($field:ident),*) => {$(
                let a = floats(i.$field.grad(&ours).unwrap());
                let b = floats(i.$field.grad(&burns).unwrap());
                assert!(b.iter().any(|v| v.abs() > 1e-3), "{} has a gradient", stringify!($field));
                for (x, y) in a.iter().zip(&b) {
                    assert!((x - y).abs() < 2e-5 * (1.0 + y.abs()), "{}: {x} and {y}", stringify!($field));
                }
            )*};
        }
        check!(gates, values, keys, query, score, context, recurrent, start);
    }

    #[test]
    fn gradients_are_slopes() {
        let device = Device::flex().autodiff();
        let packing = packing();
        let i = inputs(&packing, &device);
        let grads = loss(attend(i.clone(), &packing)).backward();
        let plain = |t: &AttentionInputs| f64::from(loss(attend(t.clone(), &packing)).into_scalar::<f32>());
        macro_rules! check {
            ($($field:ident),*) => {$(
                let grad = floats(i.$field.grad(&grads).unwrap());
                let shape = i.$field.dims();
                let values = floats(i.$field.clone().inner());
                for k in [0, grad.len() / 2, grad.len() - 1] {
                    let at = |step: f32| {
                        let mut moved = values.clone();
                        moved[k] += step;
                        let data = burn::tensor::TensorData::new(moved, shape);
                        plain(&AttentionInputs { $field: Tensor::from_data(data, &device), ..i.clone() })
                    };
                    let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                    let difference = (slope - f64::from(grad[k])).abs();
                    assert!(difference < 3e-3 * (1.0 + slope.abs()), "{}[{k}]: {slope}, {}", stringify!($field), grad[k]);
                }
            )*};
        }
        check!(gates, values, keys, query, score, context, recurrent, start);
    }
}
