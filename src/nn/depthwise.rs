//! A depthwise convolution on rows of channels, and ReLU6, each as one autodiff operation.
//!
//! A fine-tuned convolutional network is mostly matrix products if a place's channels stand side
//! by side (`[places, channels]`): what is left are the depthwise convolutions, whose inner loop
//! then runs along the channels too, and the non-linearity.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::math::simd;
use on_cpu::{depthwise_on_cpu, relu6_on_cpu};

/// Geometry of a depthwise convolution with stride 1 that keeps the size of square pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width of a picture, in places.
    pub side: usize,
    /// Height and width of the kernel, odd.
    pub kernel: usize,
}

impl Window {
    fn places(self) -> usize {
        self.side * self.side
    }

    /// Calls `visit(place, other place, tap)` for each place and each tap of its kernel that falls
    /// on the picture.
    fn each_tap(self, mut visit: impl FnMut(usize, usize, usize)) {
        let Self { side, kernel } = self;
        let reach = kernel / 2;
        let range = |at: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
        for row in 0..side {
            for column in 0..side {
                for other_row in range(row) {
                    for other_column in range(column) {
                        let tap = (other_row + reach - row) * kernel + other_column + reach - column;
                        visit(row * side + column, other_row * side + other_column, tap);
                    }
                }
            }
        }
    }
}

/// Each channel on its own: `x [pictures * side * side, channels]`, `weights [kernel * kernel,
/// channels]`, `bias [channels]`. Beyond the edges stand zeros.
pub fn depthwise(x: Tensor<2>, weights: Tensor<2>, bias: Tensor<1>, window: Window) -> Tensor<2> {
    let (x, weights, bias) = match depthwise_on_cpu(x, weights, bias, window) {
        Ok(out) => return out,
        Err(inputs) => *inputs,
    };
    depthwise_by_burn(x, weights, bias, window)
}

/// [`depthwise`] in operations of burn: for GPUs, and the measure of our own.
pub fn depthwise_by_burn(x: Tensor<2>, weights: Tensor<2>, bias: Tensor<1>, window: Window) -> Tensor<2> {
    let [places, channels] = x.dims();
    let Window { side, kernel } = window;
    let x = x.reshape([places / window.places(), side, side, channels]).permute([0, 3, 1, 2]);
    let weights = weights.transpose().reshape([channels, 1, kernel, kernel]);
    let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], channels);
    conv2d(x, weights, Some(bias), options).permute([0, 2, 3, 1]).reshape([places, channels])
}

/// min(max(x, 0), 6).
pub fn relu6(x: Tensor<2>) -> Tensor<2> {
    let x = match relu6_on_cpu(x) {
        Ok(out) => return out,
        Err(x) => *x,
    };
    x.clamp(0.0, 6.0)
}

simd! {
    /// `out += a * b`, element by element.
    fn add_products(a: &[f32], b: &[f32], out: &mut [f32]) {
        for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out += a * b;
        }
    }
}

mod on_cpu {
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::Tensor;
    use rayon::prelude::*;

    use super::super::recurrence::{column_sums, slice, tensor, values};
    use super::{Window, add_products};

    type Inputs = (Tensor<2>, Tensor<2>, Tensor<1>);

    /// Runs on tensors of the CPU backend; gives others back.
    pub fn depthwise_on_cpu(
        x: Tensor<2>,
        weights: Tensor<2>,
        bias: Tensor<1>,
        window: Window,
    ) -> Result<Tensor<2>, Box<Inputs>> {
        if let (Ok(x), Ok(w), Ok(b)) = (
            x.clone().try_into_primitive::<Autodiff<Flex>>(),
            weights.clone().try_into_primitive::<Autodiff<Flex>>(),
            bias.clone().try_into_primitive::<Autodiff<Flex>>(),
        ) {
            let ((x, x_node), (w, w_node), (b, b_node)) = (x.into_parts(), w.into_parts(), b.into_parts());
            let saved = Saved { window, x: x.to_contiguous(), weights: w.to_contiguous() };
            let out = saved.forward(&values(b));
            let kind = DepthwiseBackward
                .prepare::<NoCheckpointing>([x_node, w_node, b_node])
                .compute_bound()
                .stateful();
            let out = match kind {
                OpsKind::Tracked(prep) => prep.finish(saved, out),
                OpsKind::UnTracked(prep) => prep.finish(out),
            };
            return Ok(Tensor::from_primitive::<Autodiff<Flex>>(out));
        }
        if let (Ok(x), Ok(w), Ok(b)) = (
            x.clone().try_into_primitive::<Flex>(),
            weights.clone().try_into_primitive::<Flex>(),
            bias.clone().try_into_primitive::<Flex>(),
        ) {
            let saved = Saved { window, x: x.to_contiguous(), weights: w.to_contiguous() };
            return Ok(Tensor::from_primitive::<Flex>(saved.forward(&values(b))));
        }
        Err(Box::new((x, weights, bias)))
    }

    #[derive(Debug, Clone)]
    struct Saved {
        window: Window,
        x: FlexTensor,
        weights: FlexTensor,
    }

    impl Saved {
        fn channels(&self) -> usize {
            self.weights.layout().shape()[1]
        }

        /// Values of one picture.
        fn picture(&self) -> usize {
            self.window.places() * self.channels()
        }

        fn forward(&self, bias: &[f32]) -> FlexTensor {
            let (x, weights, channels) = (slice(&self.x), slice(&self.weights), self.channels());
            let mut out = vec![0.0f32; x.len()];
            out.par_chunks_mut(self.picture()).zip(x.par_chunks(self.picture())).for_each(|(out, x)| {
                out.chunks_exact_mut(channels).for_each(|row| row.copy_from_slice(bias));
                self.window.each_tap(|place, other, tap| {
                    let weights = &weights[tap * channels..][..channels];
                    add_products(
                        weights,
                        &x[other * channels..][..channels],
                        &mut out[place * channels..][..channels],
                    );
                });
            });
            tensor(out, &[x.len() / channels, channels])
        }
    }

    #[derive(Debug)]
    struct DepthwiseBackward;

    impl Backward<Flex, 3> for DepthwiseBackward {
        type State = Saved;

        fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
            let [x, weights, bias] = ops.parents;
            let saved = ops.state;
            let (channels, picture) = (saved.channels(), saved.picture());
            let d_out = values(grads.consume::<Flex>(&ops.node));
            if let Some(node) = x {
                let weights = slice(&saved.weights);
                let mut d_x = vec![0.0f32; d_out.len()];
                d_x.par_chunks_mut(picture).zip(d_out.par_chunks(picture)).for_each(|(d_x, d_out)| {
                    saved.window.each_tap(|place, other, tap| {
                        let weights = &weights[tap * channels..][..channels];
                        let d = &d_out[place * channels..][..channels];
                        add_products(weights, d, &mut d_x[other * channels..][..channels]);
                    });
                });
                grads.register::<Flex>(node.id, tensor(d_x, &[d_out.len() / channels, channels]));
            }
            if let Some(node) = weights {
                // A sum for each picture, so that the order of the additions does not hang on the threads.
                let taps = saved.window.kernel * saved.window.kernel;
                let sums: Vec<Vec<f32>> = slice(&saved.x)
                    .par_chunks(picture)
                    .zip(d_out.par_chunks(picture))
                    .map(|(x, d_out)| {
                        let mut sum = vec![0.0f32; taps * channels];
                        saved.window.each_tap(|place, other, tap| {
                            let x = &x[other * channels..][..channels];
                            let d = &d_out[place * channels..][..channels];
                            add_products(x, d, &mut sum[tap * channels..][..channels]);
                        });
                        sum
                    })
                    .collect();
                let mut d_weights = vec![0.0f32; taps * channels];
                for sum in sums {
                    d_weights.iter_mut().zip(sum).for_each(|(d, s)| *d += s);
                }
                grads.register::<Flex>(node.id, tensor(d_weights, &[taps, channels]));
            }
            if let Some(node) = bias {
                grads.register::<Flex>(node.id, tensor(column_sums(&d_out, channels), &[channels]));
            }
        }
    }

    /// Values that one task of ReLU6 takes.
    const STRETCH: usize = 1 << 14;

    /// Runs on a tensor of the CPU backend; gives another back.
    pub fn relu6_on_cpu(x: Tensor<2>) -> Result<Tensor<2>, Box<Tensor<2>>> {
        if let Ok(x) = x.clone().try_into_primitive::<Autodiff<Flex>>() {
            let (x, node) = x.into_parts();
            let out = clamp(x);
            let kind = Relu6Backward.prepare::<NoCheckpointing>([node]).compute_bound().stateful();
            let out = match kind {
                OpsKind::Tracked(prep) => prep.finish(out.clone(), out),
                OpsKind::UnTracked(prep) => prep.finish(out),
            };
            return Ok(Tensor::from_primitive::<Autodiff<Flex>>(out));
        }
        if let Ok(x) = x.clone().try_into_primitive::<Flex>() {
            return Ok(Tensor::from_primitive::<Flex>(clamp(x)));
        }
        Err(Box::new(x))
    }

    fn clamp(x: FlexTensor) -> FlexTensor {
        let shape = x.layout().shape().to_vec();
        let mut x = values(x);
        x.par_chunks_mut(STRETCH).for_each(|x| x.iter_mut().for_each(|v| *v = v.clamp(0.0, 6.0)));
        tensor(x, &shape)
    }

    #[derive(Debug)]
    struct Relu6Backward;

    impl Backward<Flex, 1> for Relu6Backward {
        type State = FlexTensor;

        fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            let [x] = ops.parents;
            let mut d = values(grads.consume::<Flex>(&ops.node));
            if let Some(node) = x {
                let out = slice(&ops.state);
                d.par_chunks_mut(STRETCH).zip(out.par_chunks(STRETCH)).for_each(|(d, out)| {
                    for (d, &out) in d.iter_mut().zip(out) {
                        *d = if out > 0.0 && out < 6.0 { *d } else { 0.0 };
                    }
                });
                grads.register::<Flex>(node.id, tensor(d, ops.state.layout().shape()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::lyricist::sampling::Rng;

    type Convolution = fn(Tensor<2>, Tensor<2>, Tensor<1>, Window) -> Tensor<2>;

    /// Output and gradients of input, weights and bias.
    fn run(convolve: Convolution, squash: fn(Tensor<2>) -> Tensor<2>, window: Window) -> [Vec<f32>; 4] {
        let (pictures, channels) = (3, 5);
        let device = Device::flex().autodiff();
        let mut rng = Rng::new(11);
        let mut draw = |count: usize, spread: f64| -> Vec<f32> {
            (0..count).map(|_| (spread * (rng.uniform() - 0.4)) as f32).collect()
        };
        let (places, taps) = (pictures * window.side * window.side, window.kernel * window.kernel);
        let x = draw(places * channels, 8.0);
        let (weights, bias) = (draw(taps * channels, 1.0), draw(channels, 2.0));
        let x = Tensor::<2>::from_data(TensorData::new(x, [places, channels]), &device).require_grad();
        let weights =
            Tensor::<2>::from_data(TensorData::new(weights, [taps, channels]), &device).require_grad();
        let bias = Tensor::<1>::from_data(TensorData::new(bias, [channels]), &device).require_grad();
        let out = squash(convolve(x.clone(), weights.clone(), bias.clone(), window));
        // Squared, so that each place has a gradient of its own.
        let grads = out.clone().powf_scalar(2.0).sum().backward();
        let read = |data: TensorData| data.try_into_vec::<f32>().unwrap();
        [
            read(out.into_data()),
            read(x.grad(&grads).unwrap().into_data()),
            read(weights.grad(&grads).unwrap().into_data()),
            read(bias.grad(&grads).unwrap().into_data()),
        ]
    }

    #[test]
    fn hand_written_gradients_agree_with_autodiff() {
        for (side, kernel) in [(7, 5), (7, 3), (4, 5), (1, 3)] {
            let window = Window { side, kernel };
            let ours = run(depthwise, relu6, window);
            let theirs = run(depthwise_by_burn, |x| x.clamp(0.0, 6.0), window);
            for (what, (a, b)) in ["output", "input", "weights", "bias"].iter().zip(ours.iter().zip(&theirs))
            {
                assert!(a.iter().any(|v| v.abs() > 0.1), "{what} of {window:?} is not empty");
                let scale = b.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < 1e-5 * scale, "{what} of {window:?}: {a} and {b}");
                }
            }
        }
    }
}
