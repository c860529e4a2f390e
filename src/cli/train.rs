//! `songwriter train`: both networks, on your own data.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::AdamConfig;
use clap::{Args, Subcommand};

use super::DeviceKind;
use super::progress::{TrainingDisplay, duration};
use crate::corpus::lyrics::Lyrics;
use crate::error::{Error, Result};
use crate::lyricist::{Alphabet, CharRnnConfig};
use crate::training::lyricist::{LyricistTask, encode};
use crate::training::runner::checkpoint_path;
use crate::training::{Outcome, Settings, train};

/// Which network to train.
#[derive(Debug, Subcommand)]
pub enum Train {
    /// Train the character network that writes songs, on CSV files of lyrics
    #[command(after_help = "Examples:
  songwriter train lyricist --data songs.csv.gz
  songwriter train lyricist --data a.csv b.csv --hidden 256 --steps 500 --out small
  songwriter train lyricist --data songs.csv.gz --resume        go on where Ctrl-C stopped")]
    Lyricist(LyricistArguments),
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
    /// Updates between checkpoints
    #[arg(long, default_value_t = 100)]
    pub checkpoint_every: usize,
    /// Updates between validations
    #[arg(long, default_value_t = 250)]
    pub validate_every: usize,
    /// Seed of everything that is drawn at random
    #[arg(long, default_value_t = 1)]
    pub random_seed: u64,
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
    /// Length of the layers' outputs
    #[arg(long, default_value_t = 512)]
    pub hidden: usize,
    /// Number of LSTM layers
    #[arg(long, default_value_t = 2)]
    pub layers: usize,
    /// Share of the outputs between layers that is dropped
    #[arg(long, default_value_t = 0.0)]
    pub dropout: f64,
    /// Characters of a batch, padding included
    #[arg(long, default_value_t = 6400)]
    pub batch_chars: usize,
    /// Updates in all (default: what --epochs asks for)
    #[arg(long)]
    pub steps: Option<usize>,
    /// Passes over the stanzas
    #[arg(long, default_value_t = 1.0)]
    pub epochs: f64,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-3)]
    pub learning_rate: f64,
    /// Per cent of the sources that are held out for validation
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub held_out: u8,
    /// Characters that stand less often than this are left out
    #[arg(long, default_value_t = 20)]
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

/// Runs the training asked for.
///
/// # Errors
/// Options or data make no sense, or training can't go on.
pub fn run(command: &Train, stop: &AtomicBool) -> Result<()> {
    match command {
        Train::Lyricist(arguments) => lyricist(arguments, stop),
    }
}

fn lyricist(a: &LyricistArguments, stop: &AtomicBool) -> Result<()> {
    let device = a.common.device.open()?;
    eprintln!("Reading {} file(s) of lyrics ...", a.data.len());
    let lyrics = Lyrics::read(&a.data, a.column.as_deref())?;
    let (train_set, held_out) = lyrics.split(a.held_out.into());
    if train_set.is_empty() || held_out.is_empty() {
        return Err(Error::Data(format!(
            "{} stanza(s) are too few to learn from and to hold some out; give more lyrics.",
            lyrics.stanzas.len()
        )));
    }
    let alphabet = Alphabet::of(train_set.iter().copied(), a.min_count);
    let (train_set, dropped) = encode(&alphabet, &train_set);
    let (held_out, _) = encode(&alphabet, &held_out);
    let config = CharRnnConfig {
        alphabet_size: alphabet.len(),
        hidden_size: a.hidden,
        layers: a.layers,
        dropout: a.dropout,
    };
    config.check()?;
    let characters = |set: &[Vec<u16>]| set.iter().map(|s| s.len() + 1).sum::<usize>();
    eprintln!(
        "{} sources, {} stanzas, {} characters to learn from ({dropped} rare ones left out), {} held out; {} symbols.",
        lyrics.sources.len(),
        train_set.len(),
        characters(&train_set),
        characters(&held_out),
        alphabet.len()
    );
    device.seed(a.common.random_seed);
    let task = LyricistTask::new(
        config.clone(),
        alphabet,
        train_set,
        held_out,
        a.batch_chars,
        a.common.random_seed,
        device.clone(),
        a.out.clone(),
        a.data_note.clone(),
        a.licence_note.clone(),
    );
    let steps = a.steps.unwrap_or_else(|| (a.epochs * task.steps_per_epoch() as f64).ceil() as usize);
    let settings = settings(&a.common, steps, a.learning_rate);
    let model = config.init(&task.autodiff);
    eprintln!("{} parameters, {steps} updates ({} a pass).", model.num_params(), task.steps_per_epoch());
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
    }
}

/// Trains with Adam (Kingma & Ba 2015) and gradients clipped to norm 1 a tensor.
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
    if checkpoint.exists() && !common.resume {
        return Err(Error::Usage(format!(
            "{} is there already. Go on with it by --resume, or name another folder with --out.",
            checkpoint.display()
        )));
    }
    let optimizer =
        AdamConfig::new().with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init();
    let mut display = TrainingDisplay::new();
    let started = std::time::Instant::now();
    let outcome = train(task, model, optimizer, device, settings, &checkpoint, common.resume, stop, |p| display.show(&p))?;
    match outcome {
        Outcome::Finished(best) => eprintln!(
            "Done in {}: best {} {best:.4}. The model is in {}.",
            duration(started.elapsed().as_secs_f64()),
            task.score_name(),
            out.display()
        ),
        Outcome::Stopped(step) => {
            eprintln!("Stopped at update {step}; saved in {}. Go on with --resume.", checkpoint.display());
        }
    }
    Ok(())
}
