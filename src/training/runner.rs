//! The training loop: updates, validation, checkpoints, and a way out at any time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor};

use super::checkpoint::{Checkpoint, RunState};
use crate::error::{Error, Result};

/// What the loop needs to know about a model and its data. Everything that an update draws at
/// random must follow from the step's number, so that a resumed run goes the same way.
pub trait Task {
    /// The network.
    type Model: Module + Clone;

    /// The sum of the losses over one batch and the number of units (characters, words) in it.
    ///
    /// # Errors
    /// The data can't be had.
    fn loss(&self, model: &Self::Model, step: usize) -> Result<(Tensor<1>, usize)>;

    /// Quality on data that is not trained on.
    ///
    /// # Errors
    /// The data can't be had.
    fn validate(&self, model: &Self::Model) -> Result<f64>;

    /// Whether a higher score is the better one.
    fn higher_is_better(&self) -> bool {
        false
    }

    /// Name of the score, for people: "bits/char", say.
    fn score_name(&self) -> &'static str;

    /// Name of a unit, in the plural.
    fn unit_name(&self) -> &'static str;

    /// Writes the model as others load it, with its score.
    ///
    /// # Errors
    /// The file system refuses.
    fn export(&self, model: &Self::Model, score: f64) -> Result<()>;

    /// What is carried from one update to the next beside the weights.
    ///
    /// # Errors
    /// It can't be had.
    fn memory(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Takes back what [`Self::memory`] gave.
    ///
    /// # Errors
    /// It is of another run.
    fn restore(&self, _memory: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The settings on which a checkpoint depends.
    fn identity(&self) -> serde_json::Value;
}

/// How long and how fast to train.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Updates in all.
    pub steps: usize,
    /// Highest learning rate, reached after the warm-up.
    pub learning_rate: f64,
    /// Updates over which the learning rate rises from zero.
    pub warmup: usize,
    /// Updates between validations; each is followed by a checkpoint.
    pub validate_every: usize,
    /// Updates between checkpoints.
    pub checkpoint_every: usize,
    /// Seed of all that is drawn at random.
    pub seed: u64,
    /// How the learning rate goes on after the warm-up.
    pub schedule: Schedule,
    /// Validations in a row without a better score after which the run ends.
    pub patience: Option<usize>,
    /// Name and settings of the optimiser.
    pub optimizer: String,
}

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Half a cosine down to a hundredth (Loshchilov & Hutter 2017, arXiv 1608.03983, without
    /// restarts).
    Cosine,
    /// Constant, then in a line down to a hundredth over the last fifth of the updates. Until then
    /// the number of updates can still be changed.
    Hold,
}

impl Settings {
    /// The update at which a constant learning rate begins to fall.
    fn hold_until(&self) -> usize {
        self.steps - self.steps / 5
    }
}

/// What the loop tells while it runs.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// Updates done, of `steps`.
    pub step: usize,
    /// Updates in all.
    pub steps: usize,
    /// Units learnt from, over all sessions.
    pub units: u64,
    /// Seconds spent, over all sessions.
    pub seconds: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Loss per unit in bits, smoothed over the last updates.
    pub loss_bits: f64,
    /// Latest validation score.
    pub score: Option<f64>,
    /// Best validation score.
    pub best: Option<f64>,
    /// Units per second over this session.
    pub speed: f64,
    /// Seconds that the rest will take at this speed.
    pub seconds_left: f64,
    /// Name of the score.
    pub score_name: &'a str,
    /// Name of a unit.
    pub unit_name: &'a str,
    /// Whether the score is new.
    pub validated: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All updates were done; the best score is given.
    Finished(f64),
    /// It was asked to stop and saved its state.
    Stopped(usize),
}

/// Learning rate of an update: a linear rise, then what the schedule says.
pub fn learning_rate(settings: &Settings, step: usize) -> f64 {
    let warm = ((step + 1) as f64 / settings.warmup.max(1) as f64).min(1.0);
    let share = |done: usize, all: usize| (done as f64 / all.max(1) as f64).min(1.0);
    let height = match settings.schedule {
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share(step, settings.steps)).cos()),
        Schedule::Hold => {
            let from = settings.hold_until();
            1.0 - share(step.saturating_sub(from), settings.steps - from)
        }
    };
    settings.learning_rate * warm * (0.01 + 0.99 * height)
}

/// Trains a model, from the start or from a checkpoint.
///
/// # Errors
/// The loss stops being a number (the last checkpoint stays), the checkpoint is of another run,
/// or the file system refuses.
#[expect(clippy::too_many_arguments, reason = "the loop's parts are independent of each other")]
pub fn train<T: Task>(
    task: &T,
    mut model: T::Model,
    mut optimizer: ModuleOptimizer,
    device: &Device,
    settings: &Settings,
    checkpoint: &std::path::Path,
    resume: bool,
    stop: &AtomicBool,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<Outcome> {
    // How often a run is saved or measured does not change where it goes.
    let identity = serde_json::json!({
        "task": task.identity(), "steps": settings.steps, "learning_rate": settings.learning_rate,
        "warmup": settings.warmup, "seed": settings.seed, "schedule": format!("{:?}", settings.schedule),
        "optimizer": settings.optimizer,
    });
    let mut state =
        RunState { task: identity.clone(), step: 0, units: 0, seconds: 0.0, best: None, worse: 0 };
    if resume {
        let saved = Checkpoint::load(checkpoint)?;
        let mut same = saved.state.task.clone();
        if settings.schedule == Schedule::Hold {
            let before = same["steps"].as_u64().map_or(0, |n| n as usize);
            let earlier = Settings { steps: before, ..settings.clone() };
            if saved.state.step <= earlier.hold_until().min(settings.hold_until()) {
                same["steps"] = identity["steps"].clone();
            }
        }
        if same != identity {
            return Err(Error::Training(format!(
                "{} is the checkpoint of a run with other data or settings: {}. Give the same options to go on with it, or name another folder with --out.",
                checkpoint.display(),
                saved.state.task
            )));
        }
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(saved.model))
            .map_err(|e| Error::Training(e.to_string()))?;
        model = model.load_record(record);
        optimizer = optimizer
            .from_bytes(Bytes::from_bytes_vec(saved.optimizer))
            .map_err(|e| Error::Training(e.to_string()))?;
        task.restore(&saved.memory)?;
        state = RunState { task: identity, ..saved.state };
    }
    let save = |model: &T::Model, optimizer: &ModuleOptimizer, state: &RunState| -> Result<()> {
        let model = model.clone().into_record().into_bytes().map_err(|e| Error::Training(e.to_string()))?;
        let optimizer = optimizer.into_bytes().map_err(|e| Error::Training(e.to_string()))?;
        let (model, optimizer) = (model.to_vec(), optimizer.to_vec());
        Checkpoint { state: state.clone(), model, optimizer, memory: task.memory()? }.save(checkpoint)
    };
    let before = state.seconds;
    let (started, first) = (Instant::now(), state.step);
    let (mut smooth, mut weight, mut score, mut session_units) = (0.0, 0.0, None, 0u64);
    while state.step < settings.steps {
        if stop.load(Ordering::Relaxed) {
            save(&model, &optimizer, &state)?;
            return Ok(Outcome::Stopped(state.step));
        }
        device.seed(settings.seed ^ (state.step as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (loss, units) = task.loss(&model, state.step)?;
        let bits = f64::from(loss.clone().into_scalar::<f32>()) / units as f64 / std::f64::consts::LN_2;
        if !bits.is_finite() {
            return Err(diverged(state.step, checkpoint));
        }
        let grads = (loss / units as f64).backward();
        let grads = GradientsParams::from_grads(grads, &model);
        let rate = learning_rate(settings, state.step);
        model = optimizer.step(rate, model, grads);
        state.step += 1;
        state.units += units as u64;
        session_units += units as u64;
        // An exponential mean that does not remember its own start (Kingma & Ba 2015, section 3).
        smooth = 0.95 * smooth + 0.05 * bits;
        weight = 0.95 * weight + 0.05;
        let last = state.step == settings.steps;
        let validated = last || state.step.is_multiple_of(settings.validate_every);
        if validated {
            let found = task.validate(&model.valid())?;
            if !found.is_finite() {
                return Err(diverged(state.step, checkpoint));
            }
            score = Some(found);
            if state.best.is_none_or(|best| if task.higher_is_better() { found > best } else { found < best })
            {
                state.best = Some(found);
                state.worse = 0;
                task.export(&model.valid(), found)?;
            } else {
                state.worse += 1;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        state.seconds = before + seconds;
        if validated || state.step.is_multiple_of(settings.checkpoint_every) {
            save(&model, &optimizer, &state)?;
        }
        tell(Progress {
            step: state.step,
            steps: settings.steps,
            units: state.units,
            seconds: state.seconds,
            learning_rate: rate,
            loss_bits: smooth / weight,
            score,
            best: state.best,
            speed: session_units as f64 / seconds,
            seconds_left: seconds / (state.step - first) as f64 * (settings.steps - state.step) as f64,
            score_name: task.score_name(),
            unit_name: task.unit_name(),
            validated,
        });
        if settings.patience.is_some_and(|patience| state.worse >= patience) {
            break;
        }
    }
    Ok(Outcome::Finished(state.best.unwrap_or(f64::NAN)))
}

/// What is said when the loss is no number any more. Nothing is saved then, so the checkpoint, if
/// there is one, is of an earlier update.
fn diverged(step: usize, checkpoint: &std::path::Path) -> Error {
    let kept = if checkpoint.exists() {
        format!(" {} holds an earlier state.", checkpoint.display())
    } else {
        String::new()
    };
    Error::Training(format!(
        "The loss is no number any more at update {step}: the run has diverged.{kept} Start a new one with a lower --learning-rate and another --out."
    ))
}

/// Place of the checkpoint of a run whose results go to a folder.
pub fn checkpoint_path(out: &std::path::Path) -> PathBuf {
    out.join("run.ckpt")
}
