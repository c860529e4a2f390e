//! The top of the encoder as it is trained.
//!
//! The trunk's features know what ImageNet asks for, which has a hundred breeds of dogs and no boy
//! or girl; a captioner whose encoder goes on learning sees what captions speak of (Vinyals et al.,
//! "Show and Tell: Lessons learned from the 2015 MSCOCO Image Captioning Challenge", PAMI 2017,
//! arXiv 1609.06647). Trained is what works on 7 x 7 regions, so that the trunk has to be run but
//! once for each photo.
//!
//! A filter's weights are learned as a change in units of their own root mean square: normalisation
//! is folded into them, so that they differ in size from filter to filter, and Adam's steps do
//! not. Changes begin at zero, and weight decay draws them back there (Li, Grandvalet & Davoine
//! 2018, arXiv 1802.01483).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::encoder::{ConvShape, EncoderShape, FEATURES, GRID, REGIONS, TRUNK_BLOCKS, TRUNK_FEATURES};
use super::features::Grid;
use crate::error::{Error, Result};
use crate::nn::depthwise::{Window, depthwise, relu6};
use crate::nn::linear::linear;
use crate::weights::Tensors;

/// The filters of one convolution, one in each column.
#[derive(Module, Debug)]
struct Filters {
    /// What is learned, in units of each filter, `[inputs or taps, filters]`.
    change: Param<Tensor<2>>,
    /// What is learned of the biases, in units of the rate, `[filters]`.
    bias_change: Param<Tensor<1>>,
    /// The weights that training began with, `[inputs or taps, filters]`.
    first: Tensor<2>,
    /// The biases that training began with, `[filters]`.
    first_bias: Tensor<1>,
    /// Root mean square of each filter of `first`, times the rate, `[1, filters]`.
    unit: Tensor<2>,
    rate: f64,
}

/// One inverted residual block.
#[derive(Module, Debug)]
struct TopBlock {
    expand: Filters,
    depthwise: Filters,
    project: Filters,
    kernel: usize,
    residual: bool,
}

/// The blocks above the trunk, and the last convolution.
#[derive(Module, Debug)]
pub struct EncoderTop {
    blocks: Vec<TopBlock>,
    head: Filters,
}

/// A matrix of that many columns with rows and columns exchanged.
fn turn(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len()).map(|i| values[(i % rows) * columns + i / rows]).collect()
}

impl Filters {
    fn load(shape: &ConvShape, tensors: &Tensors, rate: f64, device: &Device) -> Result<Self> {
        let dims = shape.weight_shape();
        let bias = tensors.get(&format!("{}.bias", shape.name), &[shape.channels_out])?.to_vec();
        let weights = tensors.get(&format!("{}.weight", shape.name), &dims)?;
        let (filters, size) = (dims[0], weights.len() / dims[0]);
        let unit =
            |filter: &[f32]| (filter.iter().map(|w| w * w).sum::<f32>() / size as f32).sqrt() * rate as f32;
        let unit: Vec<f32> = weights.chunks_exact(size).map(unit).collect();
        // The starting point takes no part in autodiff.
        let put = |values: Vec<f32>, dims: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, dims), device)
        };
        Ok(Self {
            change: Param::from_tensor(Tensor::zeros([size, filters], device)),
            bias_change: Param::from_tensor(Tensor::zeros([filters], device)),
            first: put(turn(weights, size), [size, filters]),
            first_bias: Tensor::from_data(TensorData::new(bias, [filters]), device),
            unit: put(unit, [1, filters]),
            rate,
        })
    }

    /// `[inputs or taps, filters]`.
    fn weights(&self) -> Tensor<2> {
        self.first.clone() + self.change.val() * self.unit.clone()
    }

    fn bias(&self) -> Tensor<1> {
        self.first_bias.clone() + self.bias_change.val() * self.rate
    }

    fn dense(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, self.weights(), self.bias())
    }

    fn put_into(&self, shape: &ConvShape, tensors: &mut Tensors) -> Result<()> {
        let name = format!("{}.weight", shape.name);
        tensors.put_tensor(&name, self.weights())?;
        let turned = turn(tensors.get(&name, &self.first.dims())?, shape.channels_out);
        tensors.insert(&name, &shape.weight_shape(), turned);
        tensors.put_tensor(&format!("{}.bias", shape.name), self.bias())
    }
}

impl EncoderTop {
    /// The top of an encoder, before anything is learned. An optimiser whose steps do not depend on
    /// the size of the gradient moves a weight by its learning rate times `rate` times the root mean
    /// square of the weight's filter.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(tensors: &Tensors, rate: f64, device: &Device) -> Result<Self> {
        let shape = EncoderShape::lite0();
        let load = |conv: &ConvShape| Filters::load(conv, tensors, rate, device);
        let blocks = shape.blocks[TRUNK_BLOCKS..].iter().filter_map(|block| {
            let expand = block.expand.as_ref()?;
            Some((expand, block))
        });
        let blocks = blocks.map(|(expand, block)| {
            Ok(TopBlock {
                expand: load(expand)?,
                depthwise: load(&block.depthwise)?,
                project: load(&block.project)?,
                kernel: block.depthwise.weight_shape()[2],
                residual: block.residual,
            })
        });
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, head: load(&shape.head)? })
    }

    /// `[pictures, 49, 192]`, as the trunk gives it, to features `[pictures, 49, 1280]`.
    pub fn forward(&self, trunk: Tensor<3>) -> Tensor<3> {
        let pictures = trunk.dims()[0];
        let mut x = trunk.reshape([pictures * REGIONS, TRUNK_FEATURES]);
        for block in &self.blocks {
            let window = Window { side: GRID, kernel: block.kernel };
            let wide = relu6(block.expand.dense(x.clone()));
            let wide = depthwise(wide, block.depthwise.weights(), block.depthwise.bias(), window);
            let out = block.project.dense(relu6(wide));
            x = if block.residual { out + x } else { out };
        }
        relu6(self.head.dense(x)).reshape([pictures, REGIONS, FEATURES])
    }

    /// [`Self::forward`] of photos as they are kept, outside of autodiff: features
    /// `[pictures * 49 * 1280]`.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    pub fn features(&self, trunk: &[Grid]) -> Result<Vec<f32>> {
        let values: Vec<f32> = trunk.iter().flat_map(|grid| grid.iter().map(|v| v.to_f32())).collect();
        let data = TensorData::new(values, [trunk.len(), REGIONS, TRUNK_FEATURES]);
        let out = self.forward(Tensor::from_data(data, &self.head.first.device()));
        out.into_data()
            .try_into_vec()
            .map_err(|e| Error::Device(format!("features can't be read back: {e:?}")))
    }

    /// Puts the weights in place of those that it was loaded from.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    pub fn put_into(&self, tensors: &mut Tensors) -> Result<()> {
        let shape = EncoderShape::lite0();
        for (block, shape) in self.blocks.iter().zip(&shape.blocks[TRUNK_BLOCKS..]) {
            if let Some(expand) = &shape.expand {
                block.expand.put_into(expand, tensors)?;
            }
            block.depthwise.put_into(&shape.depthwise, tensors)?;
            block.project.put_into(&shape.project, tensors)?;
        }
        self.head.put_into(&shape.head, tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captioner::encoder::{Encoder, tensor_shapes};
    use crate::lyricist::sampling::Rng;

    /// An encoder of random weights, small enough that values stay within ReLU6's reach.
    fn toy() -> Tensors {
        let mut rng = Rng::new(5);
        let mut tensors = Tensors::new("toy");
        for (name, shape) in tensor_shapes() {
            let inputs: usize = shape[1..].iter().product();
            let bound = (6.0 / inputs.max(2) as f64).sqrt();
            let values = (0..shape.iter().product()).map(|_| (bound * (2.0 * rng.uniform() - 1.0)) as f32);
            tensors.insert(&name, &shape, values.collect());
        }
        tensors
    }

    fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec::<f32>().unwrap()
    }

    #[test]
    fn it_gives_what_the_encoder_gives_and_learns() {
        let device = Device::flex();
        let tensors = toy();
        let mut rng = Rng::new(6);
        let trunk: Vec<f32> = (0..2 * REGIONS * TRUNK_FEATURES).map(|_| rng.uniform() as f32).collect();
        let trunk = Tensor::<3>::from_data(TensorData::new(trunk, [2, REGIONS, TRUNK_FEATURES]), &device);
        let by_encoder = |tensors: &Tensors| {
            let x = trunk.clone().swap_dims(1, 2).reshape([2, TRUNK_FEATURES, GRID, GRID]);
            let grid = Encoder::from_tensors(tensors, &device).unwrap().top(x);
            read(grid.reshape([2, FEATURES, REGIONS]).swap_dims(1, 2))
        };
        let agree = |a: &[f32], b: &[f32]| {
            assert!(a.iter().any(|&v| v > 0.1 && v < 5.9));
            let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference < 1e-4, "difference {difference}");
        };
        let autodiff = device.clone().autodiff();
        let top = EncoderTop::load(&tensors, 1.0, &autodiff).unwrap();
        let inputs = Tensor::from_inner(trunk.clone());
        let out = top.forward(inputs.clone());
        let before = read(out.clone());
        agree(&before, &by_encoder(&tensors));

        // What is learned reaches the encoder's own tensors.
        let grads = burn::optim::GradientsParams::from_grads(out.sum().backward(), &top);
        let mut optimizer = burn::optim::SgdConfig::new().init();
        let top = optimizer.step(1e-5, top, grads);
        let mut learned = tensors.clone();
        top.put_into(&mut learned).unwrap();
        let after = read(top.forward(inputs));
        agree(&after, &by_encoder(&learned));
        assert!(before.iter().sum::<f32>() > after.iter().sum::<f32>() + 1.0);
        for (name, shape) in tensor_shapes() {
            let block = name.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next());
            let above = block
                .map_or(name.starts_with("encoder.head"), |n| n.parse::<usize>().unwrap() >= TRUNK_BLOCKS);
            let changed = tensors.get(&name, &shape).unwrap() != learned.get(&name, &shape).unwrap();
            assert_eq!(changed, above, "{name}");
        }
    }
}
