//! The road from a picture to a song, as one type.

use std::ops::ControlFlow;

use crate::captioner::{Caption, Captioner};
use crate::error::Result;
use crate::lyricist::{Lyricist, Prompt, Song, SongOptions};
use crate::nn::Compute;
use crate::picture::Picture;
use crate::weights::ModelFiles;

/// Both models on one device.
#[derive(Debug)]
pub struct Songwriter {
    captioner: Captioner,
    lyricist: Lyricist,
}

impl Songwriter {
    /// Sets up both models.
    ///
    /// # Errors
    /// A model's files do not fit together.
    pub fn new(captioner: &ModelFiles, lyricist: &ModelFiles, compute: &Compute) -> Result<Self> {
        Ok(Self {
            captioner: Captioner::new(captioner, compute)?,
            lyricist: Lyricist::new(lyricist, compute)?,
        })
    }

    /// Says what is in a picture; see [`Captioner::caption`].
    ///
    /// # Errors
    /// The beam is out of range, or the GPU does not answer.
    pub async fn caption(&self, picture: &Picture, beam: usize) -> Result<Caption> {
        self.captioner.caption(picture, beam).await
    }

    /// Writes songs; see [`Lyricist::write`].
    ///
    /// # Errors
    /// An option is out of range, or the GPU does not answer.
    pub async fn write(
        &self,
        prompt: &Prompt,
        options: &SongOptions,
        songs: usize,
        on_text: impl AsyncFnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Song>> {
        self.lyricist.write(prompt, options, songs, on_text).await
    }

    /// The second model.
    pub fn lyricist(&self) -> &Lyricist {
        &self.lyricist
    }

    /// What the encoder makes of a picture, to compare devices with.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn picture_features(&self, picture: &Picture) -> Result<Vec<f32>> {
        self.captioner.features(picture).await
    }

    /// Scores of each character as the one after `text`, to compare devices with.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn lyricist_logits(&self, text: &str) -> Result<Vec<f32>> {
        self.lyricist.logits(text).await
    }
}
