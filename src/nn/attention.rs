//! Additive attention over the regions of a picture, and the recurrent layer that it feeds
//! (Bahdanau, Cho & Bengio 2015, appendix A.1.2; for pictures: Xu et al. 2015, Show, Attend and
//! Tell, arXiv 1502.03044, section 3.1.2).
//!
//! At each step the state asks `query = h Wq`; a region with the key `k` gets the energy
//! `score . tanh(k + query)`; the softmax of the energies weighs the regions' values, and their sum,
//! the context, goes into the LSTM's gates beside the word and the state.
//!
//! Sequences are packed: rows stand in the order of falling length, so those that still go on at a
//! step are the first ones, and a *place* is one row at one step, step by step. No padding is
//! computed.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::lstm::{LstmState, advance};
use super::math::{exp, simd, tanh};

/// Sums that run side by side, so that a sum over floats can use vectors and still has one order.
const LANES: usize = 16;

/// Which rows go on how long, and which picture each looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    pictures: Vec<usize>,
    active: Vec<usize>,
}

impl Packing {
    /// Rows by the pictures that they look at and the steps that they take, the longest first.
    ///
    /// # Panics
    /// The lengths rise somewhere, or the numbers of pictures and lengths differ.
    pub fn new(pictures: Vec<usize>, lengths: &[usize]) -> Self {
        assert_eq!(pictures.len(), lengths.len(), "rows of a packing");
        assert!(lengths.is_sorted_by(|a, b| a >= b), "the longest come first");
        let steps = lengths.first().copied().unwrap_or(0);
        let active = (0..steps).map(|t| lengths.partition_point(|&n| n > t)).collect();
        Self { pictures, active }
    }

    /// The picture of each row.
    pub fn pictures(&self) -> &[usize] {
        &self.pictures
    }

    /// The number of rows that take each step.
    pub fn active(&self) -> &[usize] {
        &self.active
    }

    /// Number of places.
    pub fn places(&self) -> usize {
        self.active.iter().sum()
    }

    /// The row of each place.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.active.iter().flat_map(|&n| 0..n)
    }
}

/// What the layer is computed from. R regions, C values and A keys of each; H units.
#[derive(Debug, Clone)]
pub struct AttentionInputs {
    /// What the words give to the gates, bias included, `[places, 4 H]`.
    pub gates: Tensor<2>,
    /// `[pictures, R, C]`.
    pub values: Tensor<3>,
    /// `[pictures, R, A]`.
    pub keys: Tensor<3>,
    /// `[H, A]`.
    pub query: Tensor<2>,
    /// `[A]`.
    pub score: Tensor<1>,
    /// Context to gates, `[C, 4 H]`.
    pub context: Tensor<2>,
    /// State to gates, `[H, 4 H]`.
    pub recurrent: Tensor<2>,
    /// First outputs and contents, `[pictures, 2 H]`.
    pub start: Tensor<2>,
}

/// Runs the layer over packed sequences. The result has, for each place, the output, the context
/// and the attention: `[places, H + C + R]`.
pub fn attend(inputs: AttentionInputs, packing: &Packing) -> Tensor<2> {
    #[cfg(feature = "native")]
    let inputs = match super::attention_recurrence::on_cpu(inputs, packing) {
        Ok(out) => return out,
        Err(inputs) => *inputs,
    };
    attend_step_by_step(inputs, packing)
}

/// [`attend`] in operations of burn: for GPUs, and the measure of our own.
pub fn attend_step_by_step(inputs: AttentionInputs, packing: &Packing) -> Tensor<2> {
    let AttentionInputs { gates, values, keys, query, score, context, recurrent, start } = inputs;
    let [_, regions, attention] = keys.dims();
    let width = values.dims()[2];
    let hidden = query.dims()[0];
    let device = gates.device();
    let pictures = |rows: usize| whole(packing.pictures()[..rows].iter().copied(), &device);
    let first = start.select(0, pictures(packing.pictures().len()));
    let mut state =
        LstmState { hidden: first.clone().narrow(1, 0, hidden), cell: first.narrow(1, hidden, hidden) };
    let mut begin = 0;
    let mut outputs = Vec::new();
    for &rows in packing.active() {
        let h = state.hidden.narrow(0, 0, rows);
        let c = state.cell.narrow(0, 0, rows);
        let asked = h.clone().matmul(query.clone()).reshape([rows, 1, attention]);
        let heard = (keys.clone().select(0, pictures(rows)) + asked).tanh();
        let energies = (heard * score.clone().reshape([1, 1, attention])).sum_dim(2).reshape([rows, regions]);
        let weights = activation::softmax(energies, 1);
        let seen = values.clone().select(0, pictures(rows)) * weights.clone().reshape([rows, regions, 1]);
        let seen = seen.sum_dim(1).reshape([rows, width]);
        let all = gates.clone().narrow(0, begin, rows)
            + seen.clone().matmul(context.clone())
            + h.matmul(recurrent.clone());
        state = advance(all, c);
        outputs.push(Tensor::cat(vec![state.hidden.clone(), seen, weights], 1));
        begin += rows;
    }
    Tensor::cat(outputs, 0)
}

/// Whole numbers as a tensor.
pub fn whole(numbers: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i32> = numbers.map(|n| n as i32).collect();
    let count = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [count]), device)
}

simd! {
    /// The weights `[R]` that a query gives to regions by their keys `[R, A]`.
    pub fn weigh(keys: &[f32], query: &[f32], score: &[f32], weights: &mut [f32]) {
        let size = query.len();
        for (weight, key) in weights.iter_mut().zip(keys.chunks_exact(size)) {
            let mut sums = [0.0f32; LANES];
            let ((keys, key), (queries, query), (scores, score)) =
                (key.as_chunks::<LANES>(), query.as_chunks::<LANES>(), score.as_chunks::<LANES>());
            for ((key, query), score) in keys.iter().zip(queries).zip(scores) {
                for j in 0..LANES {
                    sums[j] += score[j] * tanh(key[j] + query[j]);
                }
            }
            for (sum, ((key, query), score)) in sums.iter_mut().zip(key.iter().zip(query).zip(score)) {
                *sum += score * tanh(key + query);
            }
            *weight = sums.iter().sum();
        }
        let top = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for weight in weights.iter_mut() {
            *weight = exp(*weight - top);
            sum += *weight;
        }
        for weight in weights.iter_mut() {
            *weight /= sum;
        }
    }
}

simd! {
    /// The context `[C]`: the sum of the values `[R, C]` by their weights.
    pub fn mix(values: &[f32], weights: &[f32], context: &mut [f32]) {
        context.fill(0.0);
        let size = context.len();
        for (&weight, value) in weights.iter().zip(values.chunks_exact(size)) {
            for (out, v) in context.iter_mut().zip(value) {
                *out += weight * v;
            }
        }
    }
}

simd! {
    /// Backward through [`mix`] and the softmax of [`weigh`]: the gradient of the energies, and
    /// what this place adds to that of the values. `d_weights` holds the gradient that the weights
    /// get elsewhere and is left with that of the energies.
    pub fn mix_backward(
        values: &[f32], weights: &[f32], d_context: &[f32], d_weights: &mut [f32], d_values: &mut [f32],
    ) {
        let size = d_context.len();
        let mut mean = 0.0;
        for (((value, d_value), &weight), d_weight) in values
            .chunks_exact(size).zip(d_values.chunks_exact_mut(size)).zip(weights).zip(d_weights.iter_mut())
        {
            let mut sums = [0.0f32; LANES];
            for (d_value, d) in d_value.iter_mut().zip(d_context) {
                *d_value += weight * d;
            }
            let ((values, value), (ds, d)) = (value.as_chunks::<LANES>(), d_context.as_chunks::<LANES>());
            for (value, d) in values.iter().zip(ds) {
                for j in 0..LANES {
                    sums[j] += value[j] * d[j];
                }
            }
            for (sum, (value, d)) in sums.iter_mut().zip(value.iter().zip(d)) {
                *sum += value * d;
            }
            *d_weight += sums.iter().sum::<f32>();
            mean += weight * *d_weight;
        }
        for (d_weight, &weight) in d_weights.iter_mut().zip(weights) {
            *d_weight = weight * (*d_weight - mean);
        }
    }
}

simd! {
    /// Backward through the energies: adds to the gradients of keys, query and score.
    pub fn weigh_backward(
        keys: &[f32], query: &[f32], score: &[f32], d_energies: &[f32],
        d_keys: &mut [f32], d_query: &mut [f32], d_score: &mut [f32],
    ) {
        let size = query.len();
        let (score, d_query, d_score) = (&score[..size], &mut d_query[..size], &mut d_score[..size]);
        for ((key, d_key), &d) in keys.chunks_exact(size).zip(d_keys.chunks_exact_mut(size)).zip(d_energies) {
            for j in 0..size {
                let heard = tanh(key[j] + query[j]);
                let inner = d * score[j] * (1.0 - heard * heard);
                d_key[j] += inner;
                d_query[j] += inner;
                d_score[j] += d * heard;
            }
        }
    }
}
