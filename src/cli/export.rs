//! `songwriter export`: a trained model's folder, checked, to where it is used or shipped.

use std::path::PathBuf;

use clap::Args;

use crate::error::Result;
use crate::weights::{ModelFiles, write_folder};

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
}

/// Copies the files that the manifest lists, their digests compared, and nothing else (no
/// checkpoint). Other files in the target folder stay.
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
    let files = manifest
        .files
        .iter()
        .map(|entry| Ok((entry.path.as_str(), model.bytes(&entry.path)?.to_vec())))
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
