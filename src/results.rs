//! What was found in a folder of pictures, as a file.
//!
//! The fields are those of the result_struct.json that NeuralTalk (Karpathy 2014) leaves behind, so
//! that what reads the one reads the other: `imgblobs`, in each `img_path`, `candidate` with `text` and
//! `logprob`, and `references` with `text`. What is ours stands beside them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::captioner::{Caption, SeenWord};
use crate::corpus::flickr8k::tokens;
use crate::error::{Error, Result};
use crate::evaluation::captions::{CiderD, bleu, cider_d, rouge_l};
use crate::evaluation::meteor::meteor;
use crate::weights::write_atomic;

/// All pictures of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// How the captions were found.
    #[serde(default)]
    pub params: Params,
    /// What was found in each picture.
    pub imgblobs: Vec<Blob>,
}

/// How captions were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Params {
    /// Digest of the captioner's weights.
    pub model: String,
    /// Width of the beam.
    pub beam: usize,
    /// Songs for each picture.
    pub songs: u32,
}

/// What was found in a picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Blob {
    /// Where the picture lies, from the folder that was looked through.
    pub img_path: String,
    /// The best caption.
    pub candidate: Sentence,
    /// What people say of the picture, where that is known.
    #[serde(default)]
    pub references: Vec<Sentence>,
    /// The best captions, the best first.
    #[serde(default)]
    pub candidates: Vec<Sentence>,
    /// The words of the best caption and where the network looked for each.
    #[serde(default)]
    pub words: Vec<SeenWord>,
    /// Songs about it.
    #[serde(default)]
    pub songs: Vec<String>,
}

/// A sentence about a picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// The words.
    pub text: String,
    /// Natural logarithm of the probability that the network gives it; of what people say there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprob: Option<f32>,
}

/// How good captions are, by what people say of the same pictures. BLEU, ROUGE-L and METEOR in
/// percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Pictures that people described.
    pub pictures: usize,
    /// BLEU-1 to BLEU-4.
    pub bleu: [f64; 4],
    /// ROUGE-L.
    pub rouge_l: f64,
    /// METEOR, exact and stem matches.
    pub meteor: f64,
    /// CIDEr-D, from 0 to 10.
    pub cider_d: f64,
    /// Share of the captions that no other picture of the set has: different captions by pictures.
    pub distinct_share: f64,
}

impl Scores {
    /// Scores captions against references, both in words.
    pub fn of(captions: &[Vec<String>], references: &[Vec<Vec<String>>]) -> Self {
        let different = captions.iter().collect::<std::collections::HashSet<_>>().len();
        Self {
            pictures: captions.len(),
            bleu: bleu(captions, references).map(|b| 100.0 * b),
            rouge_l: 100.0 * rouge_l(captions, references),
            meteor: 100.0 * meteor(captions, references),
            cider_d: cider_d(captions, references),
            distinct_share: different as f64 / captions.len().max(1) as f64,
        }
    }
}

impl Blob {
    /// What was found in the picture of that name.
    pub fn new(img_path: String, caption: Caption, references: &[String], songs: Vec<String>) -> Self {
        // Three digits are plenty for a picture of an attention, and a third of the file.
        let round = |v: f32| (v * 1000.0).round() / 1000.0;
        let words = caption
            .words
            .into_iter()
            .map(|w| SeenWord { attention: w.attention.into_iter().map(round).collect(), ..w });
        let sentence = |text: String, logprob: Option<f32>| Sentence { text, logprob };
        Self {
            img_path,
            candidate: sentence(caption.text, Some(caption.log_prob)),
            references: references.iter().map(|text| sentence(text.clone(), None)).collect(),
            candidates: caption
                .candidates
                .into_iter()
                .map(|c| sentence(c.caption, Some(c.log_prob)))
                .collect(),
            words: words.collect(),
            songs,
        }
    }
}

impl Results {
    /// Reads a file of results.
    ///
    /// # Errors
    /// It can't be read or is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|e| {
            Error::Data(format!(
                "{} is no file of results: {e}. `songwriter caption DIR --out FILE` writes one.",
                path.display()
            ))
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::Data(e.to_string()))?;
        write_atomic(path, text.as_bytes())
    }

    /// Scores of the pictures that people described, if there are any.
    pub fn scores(&self) -> Option<Scores> {
        let (captions, references) = self.described();
        (!captions.is_empty()).then(|| Scores::of(&captions, &references))
    }

    /// CIDEr-D of each picture; none where nobody described it.
    pub fn each_score(&self) -> Vec<Option<f64>> {
        let (captions, references) = self.described();
        let cider = CiderD::new(&references);
        let mut next = captions.iter().enumerate().map(|(i, caption)| cider.score(i, caption));
        self.imgblobs.iter().map(|b| if b.references.is_empty() { None } else { next.next() }).collect()
    }

    fn described(&self) -> (Vec<Vec<String>>, Vec<Vec<Vec<String>>>) {
        let described = self.imgblobs.iter().filter(|b| !b.references.is_empty());
        described
            .map(|b| (tokens(&b.candidate.text), b.references.iter().map(|r| tokens(&r.text)).collect()))
            .unzip()
    }
}
