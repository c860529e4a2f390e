//! Progress of long work: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::captioner::features::{Features, View};
use crate::error::Result;
use crate::training::{Journal, Progress};
use crate::weights::Tensors;

/// Between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// Shows where a training run stands.
#[derive(Debug)]
pub struct TrainingDisplay {
    bar: Option<ProgressBar>,
    last: Option<Instant>,
}

impl TrainingDisplay {
    /// A bar if the terminal can show one.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = bar();
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}\n{prefix}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, last: None }
    }

    /// Shows the news, on a terminal with the course of the loss under it.
    pub fn show(&mut self, p: &Progress<'_>, journal: &Journal) {
        let score = p.score.map(|s| format!("{} {s:.4} (best {:.4})", p.score_name, p.best.unwrap_or(s)));
        let news = format!(
            "loss {:.3} bits  {}{:.0} {}/s",
            p.loss_bits,
            score.map(|s| s + "  ").unwrap_or_default(),
            p.speed,
            p.unit_name
        );
        if let Some(bar) = &self.bar {
            bar.set_length(p.steps as u64);
            bar.set_position(p.step as u64);
            bar.set_message(format!("{news}  {} left", duration(p.seconds_left)));
            bar.set_prefix(sparkline(&journal.losses().collect::<Vec<_>>(), SPARKS));
            if p.validated {
                bar.println(format!("{:>7}  {news}", p.step));
            }
        } else if p.validated || p.step == 1 || self.last.is_none_or(|t| t.elapsed() > LINE_EVERY) {
            self.last = Some(Instant::now());
            super::tell(&format!("{}/{}  {news}  {} left", p.step, p.steps, duration(p.seconds_left)));
        }
    }
}

impl Default for TrainingDisplay {
    fn default() -> Self {
        Self::new()
    }
}

/// Width of the course of the loss.
const SPARKS: usize = 60;

/// Values as a row of blocks of different heights, each the mean of its share of them. The first
/// tenth is left out: it is so high that the rest would be flat beside it.
fn sparkline(values: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let settled = &values[values.len() / 10..];
    let size = settled.len().div_ceil(width).max(1);
    let means: Vec<f64> =
        settled.chunks(size).map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let height = |v: f64| ((v - low) / (high - low).max(1e-9) * 7.0).round() as usize;
    means.into_iter().map(|v| BLOCKS[height(v).min(7)]).collect()
}

/// A bar with a place for news.
pub(super) fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Counts things done: a bar on a terminal, elsewhere a line now and then.
#[derive(Debug)]
pub struct Counter {
    bar: Option<ProgressBar>,
    what: &'static str,
    started: Instant,
    last: Option<Instant>,
}

impl Counter {
    /// For things so called: "photos looked at".
    pub fn new(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(bar);
        Self { bar, what, started: Instant::now(), last: None }
    }

    /// So many of so many are done.
    pub fn show(&mut self, done: usize, all: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(self.what);
        } else if self.last.is_none_or(|t| t.elapsed() > LINE_EVERY) {
            self.last = Some(Instant::now());
            let time = duration(self.started.elapsed().as_secs_f64());
            super::tell(&format!("{done}/{all} {}, {time}", self.what));
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Features of photos, computed where they are not kept yet, with progress.
///
/// # Errors
/// As [`Features::load_or_compute`].
pub fn features(
    folder: &Path,
    photos: &[(&Path, &[View])],
    encoder: &Tensors,
    stop: &AtomicBool,
) -> Result<Features> {
    let mut counter = Counter::new("photos looked at");
    let tell = |done: usize, all: usize| counter.show(done, all);
    Features::load_or_compute(folder, photos, encoder, tell, stop)
}

/// "3 h 05 min", "4 min 10 s", "12 s".
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_sparkline_falls_with_the_loss() {
        let values: Vec<f64> = (0..800).map(|i| 8.0 - f64::from(i) / 100.0).collect();
        let line = super::sparkline(&values, 8);
        assert_eq!(line, "█▇▆▅▄▃▂▁");
        assert_eq!(super::sparkline(&[], 8), "");
    }

    #[test]
    fn durations_are_for_people() {
        let said = [5.9, 250.0, 11_100.0].map(super::duration);
        assert_eq!(said, ["5 s", "4 min 10 s", "3 h 05 min"]);
    }
}
