//! What can go wrong, told so that the reader knows what to do next.
//!
//! Doors (`cli`, `web`) print these sentences as they stand, so each names the thing that is
//! wrong and, where there is one, the way out.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that a user of this crate can meet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no picture that we can read.
    #[error("{name} can't be read as a picture: {why}. Pictures may be JPEG, PNG, WebP, GIF or BMP.")]
    Picture {
        /// File name, or what the door calls the picture.
        name: String,
        /// What the decoder said.
        why: String,
    },
    /// The picture is larger than we are willing to unpack.
    #[error(
        "{name} is {width} x {height} pixels, more than the {limit} million that are unpacked here. Make it smaller and try again."
    )]
    PictureTooLarge {
        /// File name, or what the door calls the picture.
        name: String,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The limit in millions of pixels.
        limit: u64,
    },
    /// A model folder lacks a file.
    #[error(
        "no {file} in the model folder {folder}. Give a folder that holds trained models with --models DIR."
    )]
    ModelMissing {
        /// Folder that was looked into.
        folder: String,
        /// File that is not there.
        file: String,
    },
    /// A model file is not the one that its manifest describes.
    #[error(
        "{file} of the model {model} is damaged: its sha256 is {found}, the manifest says {expected}. Fetch the model again."
    )]
    ModelDamaged {
        /// Name of the model.
        model: String,
        /// File in question.
        file: String,
        /// Digest of what was read.
        found: String,
        /// Digest in the manifest.
        expected: String,
    },
    /// A model file reads well but does not say what it should.
    #[error("the model {model} can't be used: {why}")]
    ModelInvalid {
        /// Name of the model.
        model: String,
        /// What does not fit.
        why: String,
    },
    /// A value given by the user is outside what makes sense.
    #[error("{0}")]
    Usage(String),
    /// Data to train on or to evaluate with is missing or malformed.
    #[error("{0}")]
    Data(String),
    /// The device asked for is not there.
    #[error("{0}")]
    Device(String),
    /// Training can't go on.
    #[error("{0}")]
    Training(String),
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Names the file in an I/O error.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A model that reads well but does not fit.
    pub fn model(model: &str, why: impl Into<String>) -> Self {
        Self::ModelInvalid { model: model.into(), why: why.into() }
    }
}
