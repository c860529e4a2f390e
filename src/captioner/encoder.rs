//! EfficientNet-Lite0: from 224 x 224 pixels to features.
//!
//! The network of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
//! Networks" (ICML 2019, section 4), without squeeze-and-excitation and with ReLU6 in place of
//! swish, as Google's Lite models have it. Only inference is wanted here, so batch normalisation is
//! folded into the convolutions and the layers are plain tensors. Padding is TensorFlow's
//! "SAME", on which the published weights were trained: at stride 2 it is one smaller on the top
//! and left than on the bottom and right.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

use crate::error::Result;
use crate::picture::{Picture, SIDE};
use crate::weights::{Precision, Tensors};

/// Values in a feature vector: channels of the last convolution.
pub const FEATURES: usize = 1280;
/// Height and width of the feature grid.
pub const GRID: usize = 7;
/// Regions of a picture that have features of their own.
pub const REGIONS: usize = GRID * GRID;

/// Blocks of the trunk: those up to the last that halves the picture. What is above them, the top,
/// works on 7 x 7 regions throughout, and is what a training may go on with.
pub const TRUNK_BLOCKS: usize = 12;
/// Values of a region as the trunk gives them.
pub const TRUNK_FEATURES: usize = 192;

const STEM: usize = 32;

/// One row of table 1 in the paper, of the Lite0 variant.
struct Stage {
    expand: usize,
    channels: usize,
    blocks: usize,
    stride: usize,
    kernel: usize,
}

const fn stage(expand: usize, channels: usize, blocks: usize, stride: usize, kernel: usize) -> Stage {
    Stage { expand, channels, blocks, stride, kernel }
}

const STAGES: [Stage; 7] = [
    stage(1, 16, 1, 1, 3),
    stage(6, 24, 2, 2, 3),
    stage(6, 40, 2, 2, 5),
    stage(6, 80, 3, 2, 3),
    stage(6, 112, 3, 1, 5),
    stage(6, 192, 4, 2, 5),
    stage(6, 320, 1, 1, 3),
];

/// Name and geometry of one convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConvShape {
    /// Name of its tensors, without `.weight` or `.bias`.
    pub(crate) name: String,
    channels_in: usize,
    pub(crate) channels_out: usize,
    kernel: usize,
    stride: usize,
    /// Each channel on its own.
    depthwise: bool,
    /// Followed by ReLU6.
    relu6: bool,
}

impl ConvShape {
    fn dense(name: String, channels_in: usize, channels_out: usize, relu6: bool) -> Self {
        Self { name, channels_in, channels_out, kernel: 1, stride: 1, depthwise: false, relu6 }
    }

    /// `[out, in / groups, height, width]`
    pub(crate) fn weight_shape(&self) -> [usize; 4] {
        let channels_in = if self.depthwise { 1 } else { self.channels_in };
        [self.channels_out, channels_in, self.kernel, self.kernel]
    }

    fn options(&self) -> ConvOptions<2> {
        // All sizes on the way down from 224 are even where the stride is 2, so "SAME" padding
        // adds kernel - stride in all, the odd one below and to the right.
        let padding = self.kernel.saturating_sub(self.stride);
        let (before, after) = (padding / 2, padding.div_ceil(2));
        let groups = if self.depthwise { self.channels_in } else { 1 };
        ConvOptions::new_with_padding([self.stride; 2], [(before, after); 2], [1, 1], groups)
    }
}

/// One inverted residual block (Sandler et al., "MobileNetV2", CVPR 2018, section 3.3).
pub(crate) struct BlockShape {
    pub(crate) expand: Option<ConvShape>,
    pub(crate) depthwise: ConvShape,
    pub(crate) project: ConvShape,
    pub(crate) residual: bool,
}

/// The whole network: the one place where names and shapes are told.
pub(crate) struct EncoderShape {
    pub(crate) stem: ConvShape,
    pub(crate) blocks: Vec<BlockShape>,
    pub(crate) head: ConvShape,
}

impl EncoderShape {
    pub(crate) fn lite0() -> Self {
        let stem = ConvShape {
            name: "encoder.stem".into(),
            channels_in: 3,
            channels_out: STEM,
            kernel: 3,
            stride: 2,
            depthwise: false,
            relu6: true,
        };
        let mut channels = STEM;
        let mut blocks = Vec::new();
        for stage in &STAGES {
            for i in 0..stage.blocks {
                let stride = if i == 0 { stage.stride } else { 1 };
                let name = format!("encoder.blocks.{}", blocks.len());
                let wide = channels * stage.expand;
                blocks.push(BlockShape {
                    expand: (stage.expand > 1)
                        .then(|| ConvShape::dense(format!("{name}.expand"), channels, wide, true)),
                    depthwise: ConvShape {
                        name: format!("{name}.depthwise"),
                        channels_in: wide,
                        channels_out: wide,
                        kernel: stage.kernel,
                        stride,
                        depthwise: true,
                        relu6: true,
                    },
                    project: ConvShape::dense(format!("{name}.project"), wide, stage.channels, false),
                    residual: stride == 1 && channels == stage.channels,
                });
                channels = stage.channels;
            }
        }
        Self { stem, blocks, head: ConvShape::dense("encoder.head".into(), channels, FEATURES, true) }
    }

    fn trunk(&self) -> impl Iterator<Item = &ConvShape> {
        std::iter::once(&self.stem)
            .chain(self.blocks[..TRUNK_BLOCKS].iter().flat_map(BlockShape::convolutions))
    }

    fn convolutions(&self) -> impl Iterator<Item = &ConvShape> {
        let top = self.blocks[TRUNK_BLOCKS..].iter().flat_map(BlockShape::convolutions);
        self.trunk().chain(top).chain([&self.head])
    }
}

impl BlockShape {
    fn convolutions(&self) -> impl Iterator<Item = &ConvShape> {
        self.expand.iter().chain([&self.depthwise, &self.project])
    }
}

impl ConvShape {
    fn tensors(&self) -> [(String, Vec<usize>); 2] {
        [
            (format!("{}.weight", self.name), self.weight_shape().to_vec()),
            (format!("{}.bias", self.name), vec![self.channels_out]),
        ]
    }
}

/// Names and shapes of the encoder's tensors, in network order: per convolution `NAME.weight`
/// (`[out, in / groups, height, width]`) and `NAME.bias` (`[out]`).
pub fn tensor_shapes() -> Vec<(String, Vec<usize>)> {
    EncoderShape::lite0().convolutions().flat_map(ConvShape::tensors).collect()
}

/// Those of [`tensor_shapes`] that [`Encoder::trunk`] depends on.
pub fn trunk_shapes() -> Vec<(String, Vec<usize>)> {
    EncoderShape::lite0().trunk().flat_map(ConvShape::tensors).collect()
}

/// The precision to store an encoder tensor in: half the bytes, features within 1e-3.
///
/// Half precision throughout would move single features by up to 0.02. Integers of 16 bits with a
/// scale a filter are about five times closer, and the small tensors, to which the result is most
/// sensitive, cost next to nothing in full.
pub fn storage(shape: &[usize]) -> Precision {
    if shape.iter().product::<usize>() < 20_000 { Precision::Single } else { Precision::Steps }
}

/// The precision to store a tensor of a captioner in where size matters more, as it does on the
/// wire. What is early in the encoder stays as precise as [`storage`] has it, since all that follows
/// sees its errors; three quarters of the encoder's weights are in its last blocks.
pub fn small_storage(name: &str, shape: &[usize]) -> Precision {
    let early = |name: &str| {
        let block = name.strip_prefix("blocks.").and_then(|rest| rest.split('.').next());
        block.is_some_and(|number| number.parse::<usize>().is_ok_and(|n| n < EARLY_BLOCKS))
            || name.starts_with("stem")
    };
    match name.strip_prefix("encoder.") {
        Some(name) if early(name) => storage(shape),
        _ if shape.iter().product::<usize>() < 4096 => Precision::Single,
        _ => Precision::CoarseSteps,
    }
}

/// Blocks that [`small_storage`] does not pack into 8 bits.
const EARLY_BLOCKS: usize = 11;

#[derive(Debug, Clone)]
struct Conv {
    /// `[out, in / groups, height, width]`
    weight: Tensor<4>,
    /// `[out]`
    bias: Tensor<1>,
    options: ConvOptions<2>,
    relu6: bool,
}

impl Conv {
    fn load(shape: &ConvShape, tensors: &Tensors, device: &Device) -> Result<Self> {
        let dims = shape.weight_shape();
        let weight = tensors.get(&format!("{}.weight", shape.name), &dims)?.to_vec();
        let bias = tensors.get(&format!("{}.bias", shape.name), &[shape.channels_out])?.to_vec();
        Ok(Self {
            weight: Tensor::from_data(TensorData::new(weight, dims), device),
            bias: Tensor::from_data(TensorData::new(bias, [shape.channels_out]), device),
            options: shape.options(),
            relu6: shape.relu6,
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = conv2d(x, self.weight.clone(), Some(self.bias.clone()), self.options.clone());
        if self.relu6 { y.clamp(0.0, 6.0) } else { y }
    }
}

#[derive(Debug, Clone)]
struct Block {
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    residual: bool,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let input = self.residual.then(|| x.clone());
        let x = match &self.expand {
            Some(expand) => expand.forward(x),
            None => x,
        };
        let y = self.project.forward(self.depthwise.forward(x));
        match input {
            Some(input) => y + input,
            None => y,
        }
    }
}

/// EfficientNet-Lite0 without its classifier, ready to run on a device.
#[derive(Debug, Clone)]
pub struct Encoder {
    stem: Conv,
    blocks: Vec<Block>,
    head: Conv,
    device: Device,
}

impl Encoder {
    /// Takes the tensors that [`tensor_shapes`] names; others are not looked at.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn from_tensors(tensors: &Tensors, device: &Device) -> Result<Self> {
        let shape = EncoderShape::lite0();
        let load = |conv: &ConvShape| Conv::load(conv, tensors, device);
        let blocks = shape.blocks.iter().map(|block| {
            Ok(Block {
                expand: block.expand.as_ref().map(load).transpose()?,
                depthwise: load(&block.depthwise)?,
                project: load(&block.project)?,
                residual: block.residual,
            })
        });
        Ok(Self {
            stem: load(&shape.stem)?,
            blocks: blocks.collect::<Result<_>>()?,
            head: load(&shape.head)?,
            device: device.clone(),
        })
    }

    /// Lays pictures out for [`Encoder::grid`] and [`Encoder::pooled`]:
    /// `[batch, 3, 224, 224]`, values `(x - 127) / 128`.
    pub fn input(&self, pictures: &[Picture]) -> Tensor<4> {
        let values: Vec<f32> = pictures.iter().flat_map(Picture::to_tensor_values).collect();
        Tensor::from_data(TensorData::new(values, [pictures.len(), 3, SIDE, SIDE]), &self.device)
    }

    /// Features of each of 7 x 7 regions: `[batch, 3, 224, 224]` to `[batch, 1280, 7, 7]`.
    pub fn grid(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.top(self.trunk(pictures))
    }

    /// The first part of [`Encoder::grid`]: `[batch, 3, 224, 224]` to `[batch, 192, 7, 7]`.
    pub fn trunk(&self, pictures: Tensor<4>) -> Tensor<4> {
        let trunk = &self.blocks[..TRUNK_BLOCKS];
        trunk.iter().fold(self.stem.forward(pictures), |x, block| block.forward(x))
    }

    /// The second part of [`Encoder::grid`]: `[batch, 192, 7, 7]` to `[batch, 1280, 7, 7]`.
    pub fn top(&self, trunk: Tensor<4>) -> Tensor<4> {
        let top = &self.blocks[TRUNK_BLOCKS..];
        self.head.forward(top.iter().fold(trunk, |x, block| block.forward(x)))
    }

    /// Features of the whole picture, the mean over the grid: `[batch, 3, 224, 224]` to
    /// `[batch, 1280]`.
    pub fn pooled(&self, pictures: Tensor<4>) -> Tensor<2> {
        let grid = self.grid(pictures);
        let [batch, channels, height, width] = grid.dims();
        grid.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }

    /// Where the encoder runs.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_lite0() {
        let shapes = tensor_shapes();
        let find = |name: &str| shapes.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(find("encoder.stem.weight"), [32, 3, 3, 3]);
        assert_eq!(find("encoder.blocks.3.depthwise.weight"), [144, 1, 5, 5]);
        assert_eq!(find("encoder.head.bias"), [1280]);
        let values: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();

        // As counted from the checkpoint: 4,652,008 parameters less the classifier and one of the two of
        // each normalised channel.
        assert_eq!(values, 3_350_000);
        assert_eq!(EncoderShape::lite0().blocks.len(), 16);
        assert_eq!(trunk_shapes().last().unwrap().1, [TRUNK_FEATURES]);
    }

    #[test]
    fn padding_is_tensorflows_same() {
        let network = EncoderShape::lite0();
        assert_eq!(network.stem.options().padding, [(0, 1); 2]);
        assert_eq!(network.blocks[0].depthwise.options().padding, [(1, 1); 2]);
        assert_eq!(network.blocks[3].depthwise.options().padding, [(1, 2); 2]);
        assert_eq!(network.blocks[4].depthwise.options().padding, [(2, 2); 2]);
        assert_eq!(network.head.options().padding, [(0, 0); 2]);
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = Encoder::from_tensors(&Tensors::new("toy"), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("encoder.stem.weight"), "{error}");
    }
}
