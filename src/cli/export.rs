//! `songwriter export`: a trained model's folder, checked, to where it is used or shipped.

use std::path::PathBuf;

use clap::Args;

use crate::captioner::encoder::small_storage;
use crate::error::{Error, Result};
use crate::weights::{ModelFiles, TENSORS, write_folder};

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
/// checkpoint); with `--small`, the weights are packed. Other files in the target folder stay.
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
    let files = manifest
        .files
        .iter()
        .map(|entry| {
            if a.small && entry.path == TENSORS {
                return Ok((TENSORS, model.tensors()?.to_safetensors_as(small_storage)?));
            }
            Ok((entry.path.as_str(), model.bytes(&entry.path)?.to_vec()))
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
