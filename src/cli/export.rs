//! `songwriter export`: a trained model's folder, checked, to where it is used or shipped.

use std::path::PathBuf;

use clap::Args;

use crate::captioner::encoder::{small_storage, storage};
use crate::error::{Error, Result};
use crate::weights::{CONFIG, ModelFiles, Precision, TENSORS, Tensors, write_folder};

/// Options of `export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Folder that training wrote
    pub from: PathBuf,
    /// Folder to write, models/lyricist say
    pub to: PathBuf,
    /// What the manifest is to say of the data
    #[arg(long)]
    pub data_note: Option<String>,
    /// What the manifest is to say of the licence
    #[arg(long)]
    pub licence_note: Option<String>,
    /// Other trained models of the same beginning: what is written is the mean of all weights, which
    /// is often better than any of them (Wortsman et al. 2022, arXiv 2203.05482)
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub mean_with: Vec<PathBuf>,
    /// Weights in 8 bits, with a scale for each row of a table, but for the early ones of a captioner's
    /// encoder: half the size
    #[arg(long)]
    pub small: bool,
    /// JSON object of measured figures for the manifest, as `evaluate --json` prints it; measure
    /// again after --small
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
}

/// Copies the files that the manifest lists, their digests compared, and nothing else (no
/// checkpoint); with `--small`, the weights are packed, with `--mean-with`, averaged. Other files in
/// the target folder stay.
///
/// # Errors
/// The folder holds no whole model, or the file system refuses.
pub fn run(a: &ExportArguments) -> Result<()> {
    let model = ModelFiles::open(&a.from)?;
    let mut manifest = model.manifest.clone();
    if let Some(note) = &a.data_note {
        manifest.data.clone_from(note);
    }
    if let Some(note) = &a.licence_note {
        manifest.licence.clone_from(note);
    }
    if let Some(file) = &a.metrics {
        let text = std::fs::read_to_string(file).map_err(Error::io(file))?;
        manifest.metrics = serde_json::from_str(&text)
            .map_err(|e| Error::Data(format!("{}: not a JSON object: {e}", file.display())))?;
    }
    let packed = if a.small || !a.mean_with.is_empty() {
        let tensors = mean(&model, &a.mean_with)?;
        let choose = |name: &str, shape: &[usize]| match (a.small, name.starts_with("encoder.")) {
            (true, _) => small_storage(name, shape),
            (false, true) => storage(shape),
            (false, false) => Precision::Half,
        };
        Some(tensors.to_safetensors_as(choose)?)
    } else {
        None
    };
    let files = manifest
        .files
        .iter()
        .map(|entry| match &packed {
            Some(bytes) if entry.path == TENSORS => Ok((TENSORS, bytes.clone())),
            _ => Ok((entry.path.as_str(), model.bytes(&entry.path)?.to_vec())),
        })
        .collect::<Result<Vec<_>>>()?;
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    write_folder(&a.to, manifest.clone(), &files)?;
    super::tell(&format!(
        "{} files, {:.1} MB, written to {}.",
        files.len() + 1,
        bytes as f64 / 1e6,
        a.to.display()
    ));
    Ok(())
}

/// The mean of the weights of models that agree in all other files.
fn mean(first: &ModelFiles, others: &[PathBuf]) -> Result<Tensors> {
    let mut sum = first.tensors()?;
    let names: Vec<String> = sum.names().map(String::from).collect();
    for folder in others {
        let other = ModelFiles::open(folder)?;
        for file in first.manifest.files.iter().filter(|file| file.path != TENSORS) {
            // Settings of training stand there too, and may differ.
            if file.path != CONFIG && other.bytes(&file.path)? != first.bytes(&file.path)? {
                let why = format!("{} of {} is not that of the first model", file.path, folder.display());
                return Err(Error::Data(why));
            }
        }
        let tensors = other.tensors()?;
        for name in &names {
            let shape = sum.shape(name).unwrap_or_default().to_vec();
            let values: Vec<f32> =
                sum.get(name, &shape)?.iter().zip(tensors.get(name, &shape)?).map(|(a, b)| a + b).collect();
            sum.insert(name, &shape, values);
        }
    }
    let count = (others.len() + 1) as f32;
    for name in &names {
        let shape = sum.shape(name).unwrap_or_default().to_vec();
        let values = sum.get(name, &shape)?.iter().map(|v| v / count).collect();
        sum.insert(name, &shape, values);
    }
    Ok(sum)
}
