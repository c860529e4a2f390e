//! `songwriter train`: both networks, on your own data.

mod captioner;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdaGradConfig, AdamConfig, AdamWConfig, ModuleOptimizer, RmsPropConfig};
use clap::{Args, Subcommand, ValueEnum};
use rayon::prelude::*;

use super::progress::{TrainingDisplay, duration};
use super::{DeviceKind, tell};
use crate::corpus::lyrics::{Lyrics, Stanza};
use crate::error::{Error, Result};
use crate::lyricist::{Alphabet, Brief, CharRnnConfig, writer};
use crate::nn::{Cell, gemm};
use crate::training::batches::Plans;
use crate::training::lyricist::{LyricistTask, Regime, describe, encode, whole_songs};
use crate::training::runner::checkpoint_path;
use crate::training::streams::Streams;
use crate::training::{Journal, Outcome, Schedule, Settings, keep_memory, train};
use crate::verse::keywords::KeywordVocabulary;
use crate::weights::ModelFiles;
use captioner::CaptionerArguments;

/// Which network to train.
#[derive(Debug, Subcommand)]
pub enum Train {
    /// Train the character network that writes songs, on CSV files of lyrics
    #[command(after_help = "Examples:
  songwriter train lyricist --data songs.csv.gz
  songwriter train lyricist --data a.csv b.csv --hidden 256 --steps 500 --out small
  songwriter train lyricist --data songs.csv.gz --resume        go on where Ctrl-C stopped")]
    Lyricist(LyricistArguments),
    /// Train the decoder that puts a picture into words, on a folder laid out as Flickr8k is
    #[command(
        after_help = "DIR holds images/, Flickr8k.token.txt, Flickr_8k.trainImages.txt and Flickr_8k.devImages.txt.

Examples:
  songwriter train captioner --data flickr8k
  songwriter train captioner --data flickr8k --encoder efficientnet_lite0.pth --epochs 20
  songwriter train captioner --data flickr8k --start-from checkpoints/captioner --self-critical \\
      --out checkpoints/captioner-2
  songwriter train captioner --data flickr8k --resume          go on where Ctrl-C stopped"
    )]
    Captioner(CaptionerArguments),
}

/// What every training has.
#[derive(Debug, Args)]
pub struct Common {
    /// Go on with the run whose checkpoint lies in the output folder
    #[arg(long)]
    pub resume: bool,
    /// Where to compute
    #[arg(long, value_enum, default_value = "cpu")]
    pub device: DeviceKind,
    /// How the learning rate goes on after its warm-up
    #[arg(long, value_enum, default_value = "cosine")]
    pub schedule: ScheduleKind,
    /// Stop when so many validations in a row were no better than the best
    #[arg(long, value_parser = positive_count)]
    pub patience: Option<usize>,
    /// What turns gradients into updates
    #[arg(long, value_enum, default_value = "adam")]
    pub optimizer: OptimizerKind,
    /// Share of the learning rate by which weights shrink at each update (adamw only)
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    pub weight_decay: f64,
    /// How products are computed on the CPU
    #[arg(long, value_enum, default_value = "single")]
    pub precision: PrecisionKind,
    /// Updates between checkpoints
    #[arg(long, default_value_t = 100, value_parser = positive_count)]
    pub checkpoint_every: usize,
    /// Updates between validations
    #[arg(long, default_value_t = 250, value_parser = positive_count)]
    pub validate_every: usize,
    /// Seed of everything that is drawn at random
    #[arg(long, default_value_t = 1)]
    pub random_seed: u64,
}

/// Names of the schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleKind {
    /// Half a cosine down to a hundredth at the end
    Cosine,
    /// Constant, then in a line down to a hundredth over the last fifth; such a run may be resumed
    /// with another number of updates before that
    Hold,
}

impl From<ScheduleKind> for Schedule {
    fn from(kind: ScheduleKind) -> Self {
        match kind {
            ScheduleKind::Cosine => Self::Cosine,
            ScheduleKind::Hold => Self::Hold,
        }
    }
}

/// Names of the optimisers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OptimizerKind {
    /// Adam (Kingma & Ba 2015)
    Adam,
    /// Adam with weight decay beside it (Loshchilov & Hutter 2019)
    Adamw,
    /// RMSProp (Hinton 2012)
    Rmsprop,
    /// AdaGrad (Duchi et al. 2011)
    Adagrad,
}

impl OptimizerKind {
    /// The optimiser, with gradients clipped to norm 1 a tensor.
    fn build(self, weight_decay: f64) -> ModuleOptimizer {
        let clipping = Some(GradientClippingConfig::Norm(1.0));
        // burn's default epsilon of 1e-5 is as large as these gradients and would slow learning down.
        const EPSILON: f32 = 1e-8;
        match self {
            Self::Adam => AdamConfig::new().with_epsilon(EPSILON).with_grad_clipping(clipping).init(),
            Self::Adamw => AdamWConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(weight_decay as f32)
                .with_grad_clipping(clipping)
                .init(),
            Self::Rmsprop => RmsPropConfig::new().with_epsilon(EPSILON).with_grad_clipping(clipping).init(),
            Self::Adagrad => AdaGradConfig::new().with_epsilon(EPSILON).with_grad_clipping(clipping).init(),
        }
    }

    /// What distinguishes runs with it.
    fn identity(self, weight_decay: f64) -> String {
        match self {
            Self::Adamw => format!("Adamw {weight_decay}"),
            other => format!("{other:?}"),
        }
    }
}

/// Names of the regimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RegimeKind {
    /// Stanzas, padded to a common length and masked; the network is told their kind, mood, length
    /// and keywords
    Stanzas,
    /// Whole songs, read window by window with the network's memory carried on; it is told nothing
    Songs,
}

/// Names of the precisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionKind {
    /// 32-bit floats
    Single,
    /// Factors of products rounded to 16 bits (bfloat16): about twice as fast where the processor
    /// has instructions for it
    Bf16,
}

/// Names of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CellKind {
    /// Long short-term memory
    Lstm,
    /// Gated recurrent unit
    Gru,
    /// Plain network with tanh
    Rnn,
}

impl From<CellKind> for Cell {
    fn from(kind: CellKind) -> Self {
        match kind {
            CellKind::Lstm => Self::Lstm,
            CellKind::Gru => Self::Gru,
            CellKind::Rnn => Self::Rnn,
        }
    }
}

impl PrecisionKind {
    fn apply(self) -> Result<()> {
        if self == Self::Bf16 && !gemm::has_bf16() {
            return Err(Error::Usage(
                "This processor has no instructions for bfloat16 (AVX-512 BF16): leave out --precision."
                    .into(),
            ));
        }
        gemm::set_training_precision(match self {
            Self::Single => gemm::Precision::Single,
            Self::Bf16 => gemm::Precision::Bf16,
        });
        Ok(())
    }
}

/// Options of `train lyricist`.
#[derive(Debug, Args)]
pub struct LyricistArguments {
    /// CSV files (.csv or .csv.gz) with a column "lyrics" or "text"
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Column that holds the lyrics, if it is named otherwise
    #[arg(long)]
    pub column: Option<String>,
    /// Folder for checkpoint and model
    #[arg(long, default_value = "checkpoints/lyricist", value_name = "DIR")]
    pub out: PathBuf,
    /// Start from the weights of this trained lyricist in place of random ones; its sizes, alphabet
    /// and keywords are taken over
    #[arg(long, value_name = "DIR", conflicts_with_all = ["hidden", "layers", "cell", "keywords", "context"])]
    pub start_from: Option<PathBuf>,
    /// Length of the layers' outputs
    #[arg(long, default_value_t = 512, value_parser = positive_count)]
    pub hidden: usize,
    /// Number of LSTM layers
    #[arg(long, default_value_t = 2, value_parser = positive_count)]
    pub layers: usize,
    /// Share of the outputs between layers that is dropped
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub dropout: f64,
    /// Kind of the layers' cells
    #[arg(long, value_enum, default_value = "lstm")]
    pub cell: CellKind,
    /// Words that can be keywords, the most frequent first; with 0 the network learns from bare
    /// text and can be told neither keywords nor kind, mood and number of lines
    #[arg(long, default_value_t = 4000)]
    pub keywords: usize,
    /// Length of the vectors for what the network is told
    #[arg(long, default_value_t = 64, value_parser = positive_count)]
    pub context: usize,
    /// What the network learns from
    #[arg(long, value_enum, default_value = "stanzas")]
    pub regime: RegimeKind,
    /// Characters through which gradients go back in whole songs
    #[arg(long, default_value_t = 100, value_parser = positive_count)]
    pub window: usize,
    /// Characters of a batch, padding included
    #[arg(long, default_value_t = 6400, value_parser = positive_count)]
    pub batch_chars: usize,
    /// Updates in all (default: what --epochs asks for)
    #[arg(long, value_parser = positive_count)]
    pub steps: Option<usize>,
    /// Passes over the stanzas
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub epochs: f64,
    /// Highest learning rate
    #[arg(long, default_value_t = 4e-3, value_parser = positive)]
    pub learning_rate: f64,
    /// Per cent of the sources that are held out for validation
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub held_out: u8,
    /// Characters that stand less often than this are left out
    #[arg(long, default_value_t = 20, value_parser = positive_count)]
    pub min_count: usize,
    /// What the model's manifest says of the data
    #[arg(long, default_value = "lyrics given by the user")]
    pub data_note: String,
    /// What the model's manifest says of the licence
    #[arg(long, default_value = "chosen by whoever trained it")]
    pub licence_note: String,
    /// What every training has
    #[command(flatten)]
    pub common: Common,
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number is wanted".to_string())?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("a number above 0 is wanted".into()) }
}

fn not_negative(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number is wanted".to_string())?;
    if value >= 0.0 && value.is_finite() { Ok(value) } else { Err("a number of at least 0 is wanted".into()) }
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number is wanted".to_string())?;
    if (0.0..1.0).contains(&value) { Ok(value) } else { Err("a number from 0 to below 1 is wanted".into()) }
}

fn positive_count(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(value) if value > 0 => Ok(value),
        _ => Err("a whole number above 0 is wanted".into()),
    }
}

/// Refuses to write over a run, or to go on with none, before any data is read.
fn check_folder(out: &std::path::Path, resume: bool) -> Result<()> {
    let checkpoint = checkpoint_path(out);
    match (checkpoint.exists(), resume) {
        (true, false) => Err(Error::Usage(format!(
            "{} is there already. Go on with it by --resume, or name another folder with --out.",
            checkpoint.display()
        ))),
        (false, true) => Err(Error::Usage(format!(
            "There is nothing to resume in {}. Leave out --resume to start a run there.",
            out.display()
        ))),
        _ => Ok(()),
    }
}

/// Runs the training asked for.
///
/// # Errors
/// Options or data make no sense, or training can't go on.
pub fn run(command: &Train, stop: &AtomicBool) -> Result<()> {
    keep_memory();
    match command {
        Train::Lyricist(arguments) => lyricist(arguments, stop),
        Train::Captioner(arguments) => captioner::run(arguments, stop),
    }
}

fn lyricist(a: &LyricistArguments, stop: &AtomicBool) -> Result<()> {
    check_folder(&a.out, a.common.resume)?;
    let device = a.common.device.open()?;
    a.common.precision.apply()?;
    tell(&format!("Reading {} file(s) of lyrics ...", a.data.len()));
    let lyrics = Lyrics::read(&a.data, a.column.as_deref())?.worth_learning();
    let (train_set, held_out) = lyrics.split(a.held_out.into());
    if train_set.is_empty() || held_out.is_empty() {
        return Err(Error::Data(format!(
            "{} stanza(s) are too few to learn from and to hold some out; give more lyrics.",
            lyrics.stanzas.len()
        )));
    }
    fn texts<'a>(set: &[&'a Stanza]) -> impl Iterator<Item = &'a str> {
        set.iter().map(|s| s.text.as_str())
    }
    let earlier = a.start_from.as_deref().map(ModelFiles::open).transpose()?;
    let (alphabet, keywords, config) = match &earlier {
        Some(files) => {
            let (alphabet, keywords, config) = writer::describe(files)?;
            (alphabet, keywords, CharRnnConfig { dropout: a.dropout, ..config })
        }
        None => {
            let alphabet = Alphabet::of(texts(&train_set), a.min_count);
            let told = a.keywords > 0 && a.regime == RegimeKind::Stanzas;
            let keywords = KeywordVocabulary::of(texts(&train_set), if told { a.keywords } else { 0 });
            let config = CharRnnConfig {
                alphabet_size: alphabet.len(),
                hidden_size: a.hidden,
                layers: a.layers,
                dropout: a.dropout,
                cell: a.cell.into(),
                context_rows: if told { Brief::rows(&keywords) } else { 0 },
                context_size: if told { a.context } else { 0 },
                whole_songs: false,
            };
            (alphabet, keywords, config)
        }
    };
    let config = CharRnnConfig { whole_songs: a.regime == RegimeKind::Songs, ..config };
    config.check()?;
    let briefs = if config.context_rows == 0 {
        Vec::new()
    } else {
        train_set.par_iter().map(|stanza| describe(stanza, &keywords)).collect()
    };
    let ((train_set, dropped), (held_out, _)) = match a.regime {
        RegimeKind::Stanzas => (encode(&alphabet, texts(&train_set)), encode(&alphabet, texts(&held_out))),
        RegimeKind::Songs => {
            let [train_set, held_out] = [&train_set, &held_out].map(|set| whole_songs(set));
            let encode = |set: &[String]| encode(&alphabet, set.iter().map(String::as_str));
            (encode(&train_set), encode(&held_out))
        }
    };
    let characters = |set: &[Vec<u16>]| set.iter().map(|s| s.len() + 1).sum::<usize>();
    tell(&format!(
        "{} sources, {} {}, {} characters to learn from ({dropped} rare ones left out), {} held out; {} symbols.",
        lyrics.sources.len(),
        train_set.len(),
        if a.regime == RegimeKind::Songs { "songs" } else { "stanzas" },
        characters(&train_set),
        characters(&held_out),
        alphabet.len()
    ));
    device.seed(a.common.random_seed);
    let (train_set, regime) = match a.regime {
        RegimeKind::Stanzas => {
            let lengths = train_set.iter().map(Vec::len).collect();
            (train_set, Regime::Stanzas(Plans::new(lengths, a.batch_chars, a.common.random_seed)))
        }
        RegimeKind::Songs => {
            let streams = (a.batch_chars / a.window).max(1);
            (Vec::new(), Regime::Songs(Streams::new(train_set, streams, a.window, a.common.random_seed)?))
        }
    };
    let task = LyricistTask {
        regime,
        config: config.clone(),
        alphabet,
        keywords,
        train: train_set,
        briefs,
        seed: a.common.random_seed,
        held_out,
        device: device.clone(),
        autodiff: device.clone().autodiff(),
        out: a.out.clone(),
        data: a.data_note.clone(),
        licence: a.licence_note.clone(),
    };
    let steps = a.steps.unwrap_or_else(|| (a.epochs * task.regime.per_epoch() as f64).ceil() as usize);
    let settings = settings(&a.common, steps, a.learning_rate);
    let model = match &earlier {
        Some(files) => config.load(&files.tensors()?, &task.autodiff)?,
        None => config.init(&task.autodiff),
    };
    tell(&format!(
        "{} parameters, {steps} updates ({} a pass).",
        model.num_params(),
        task.regime.per_epoch()
    ));
    fit(&task, model, &a.out, &settings, &a.common, &device, stop)
}

fn settings(common: &Common, steps: usize, learning_rate: f64) -> Settings {
    Settings {
        steps,
        learning_rate,
        warmup: (steps / 20).clamp(1, 200),
        validate_every: common.validate_every.max(1),
        checkpoint_every: common.checkpoint_every.max(1),
        seed: common.random_seed,
        schedule: common.schedule.into(),
        patience: common.patience,
        optimizer: common.optimizer.identity(common.weight_decay),
    }
}

/// Trains, shows how it goes and keeps a journal.
fn fit<T: crate::training::Task>(
    task: &T,
    model: T::Model,
    out: &std::path::Path,
    settings: &Settings,
    common: &Common,
    device: &burn::tensor::Device,
    stop: &AtomicBool,
) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let checkpoint = checkpoint_path(out);
    let optimizer = common.optimizer.build(common.weight_decay);
    let mut display = TrainingDisplay::new();
    let mut journal: Option<Journal> = None;
    let mut failed = None;
    let started = std::time::Instant::now();
    let outcome = train(task, model, optimizer, device, settings, &checkpoint, common.resume, stop, |p| {
        let journal = journal.get_or_insert_with(|| Journal::open(out, p.step - 1));
        if let Err(error) = journal.note(&p) {
            failed = Some(error);
        }
        display.show(&p, journal);
    })?;
    if let Some(journal) = &journal {
        journal.write(task.score_name())?;
    }
    if let Some(error) = failed {
        tell(&format!("songwriter: the journal of the run could not be kept: {error}"));
    }
    match outcome {
        Outcome::Finished(best) => tell(&format!(
            "Done in {}: best {} {best:.4}. The model is in {}.",
            duration(started.elapsed().as_secs_f64()),
            task.score_name(),
            out.display()
        )),
        Outcome::Stopped(step) => {
            tell(&format!(
                "Stopped at update {step}; saved in {}. Go on with --resume.",
                checkpoint.display()
            ));
        }
    }
    Ok(())
}
