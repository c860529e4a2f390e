//! What a run has been through: a CSV file with its figures and a picture of its curves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::runner::Progress;
use crate::error::{Error, Result};
use crate::weights::write_atomic;

/// Updates between rows.
const EVERY: usize = 20;

const HEADER: &str = "step,units,seconds,learning_rate,loss_bits,score";

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    step: usize,
    units: u64,
    seconds: f64,
    learning_rate: f64,
    loss_bits: f64,
    score: Option<f64>,
}

/// The figures of a run, in `metrics.csv` and `curves.svg` of its folder.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    rows: Vec<Row>,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let [step, units, seconds, rate, loss, score] = fields.as_slice() else { return None };
        Some(Self {
            step: step.parse().ok()?,
            units: units.parse().ok()?,
            seconds: seconds.parse().ok()?,
            learning_rate: rate.parse().ok()?,
            loss_bits: loss.parse().ok()?,
            score: score.parse().ok(),
        })
    }

    fn line(&self) -> String {
        let score = self.score.map(|s| format!("{s:.5}")).unwrap_or_default();
        format!(
            "{},{},{:.1},{:.3e},{:.5},{score}",
            self.step, self.units, self.seconds, self.learning_rate, self.loss_bits
        )
    }
}

impl Journal {
    /// A new journal, or the one that a run resumed after update `step` left there; rows of updates
    /// that were lost are dropped.
    pub fn open(folder: &Path, step: usize) -> Self {
        let kept = if step > 0 {
            std::fs::read_to_string(folder.join("metrics.csv")).unwrap_or_default()
        } else {
            String::new()
        };
        let rows = kept.lines().filter_map(Row::parse).filter(|row| row.step <= step).collect();
        Self { folder: folder.to_path_buf(), rows }
    }

    /// Takes down where the run stands; writes the files at each validation.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn note(&mut self, p: &Progress<'_>) -> Result<()> {
        if p.validated || p.step.is_multiple_of(EVERY) || p.step == 1 {
            self.rows.push(Row {
                step: p.step,
                units: p.units,
                seconds: p.seconds,
                learning_rate: p.learning_rate,
                loss_bits: p.loss_bits,
                score: p.score.filter(|_| p.validated),
            });
        }
        if p.validated { self.write(p.score_name) } else { Ok(()) }
    }

    /// The smoothed losses so far, in bits.
    pub fn losses(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().map(|row| row.loss_bits)
    }

    /// Writes both files.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, score_name: &str) -> Result<()> {
        let lines: Vec<String> =
            std::iter::once(HEADER.to_string()).chain(self.rows.iter().map(Row::line)).collect();
        write_atomic(&self.folder.join("metrics.csv"), (lines.join("\n") + "\n").as_bytes())?;
        let picture = self.curves(score_name).map_err(|e| Error::Training(e.to_string()))?;
        write_atomic(&self.folder.join("curves.svg"), picture.as_bytes())
    }

    /// The loss as a line, the scores as points, each on a scale of its own.
    fn curves(&self, score_name: &str) -> std::result::Result<String, std::fmt::Error> {
        const WIDTH: f64 = 800.0;
        const HEIGHT: f64 = 420.0;
        const LEFT: f64 = 60.0;
        const RIGHT: f64 = 60.0;
        const TOP: f64 = 40.0;
        const BOTTOM: f64 = 40.0;
        let last = self.rows.last().map_or(1, |row| row.step).max(1) as f64;
        let x = |step: usize| LEFT + (WIDTH - LEFT - RIGHT) * step as f64 / last;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let losses: Vec<(usize, f64)> = self.rows.iter().map(|row| (row.step, row.loss_bits)).collect();
        let scores: Vec<(usize, f64)> =
            self.rows.iter().filter_map(|row| Some((row.step, row.score?))).collect();
        for (points, colour, name, side) in [
            (&losses, "#3465a4", "training loss (bits)", LEFT),
            (&scores, "#c4500a", score_name, WIDTH - RIGHT),
        ] {
            // The first tenth of a run is so high that the rest would be flat beside it.
            let settled = points.iter().skip(points.len() / 10).map(|p| p.1);
            let (low, high) =
                settled.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
            if !(low.is_finite() && high.is_finite()) {
                continue;
            }
            let span = (high - low).max(1e-6);
            let y = |v: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - v.min(high)) / span;
            let line: Vec<String> =
                points.iter().map(|&(step, v)| format!("{:.1},{:.1}", x(step), y(v))).collect();
            writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", line.join(" "))?;
            let (anchor, shift) = if side == LEFT { ("end", -6.0) } else { ("start", 6.0) };
            for k in 0..=4 {
                let value = low + span * f64::from(k) / 4.0;
                let (at, y) = (side + shift, y(value) + 4.0);
                writeln!(
                    svg,
                    "<text x=\"{at}\" y=\"{y:.1}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{value:.3}</text>"
                )?;
            }
            let at = if side == LEFT { LEFT } else { WIDTH / 2.0 };
            writeln!(svg, "<text x=\"{at}\" y=\"20\" fill=\"{colour}\">{name}</text>")?;
        }
        for k in 0..=4 {
            let step = (last * f64::from(k) / 4.0) as usize;
            let (at, y) = (x(step), HEIGHT - 15.0);
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{step}</text>")?;
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: usize, validated: bool) -> Progress<'static> {
        Progress {
            step,
            steps: 100,
            units: 10 * step as u64,
            seconds: step as f64,
            learning_rate: 1e-3,
            loss_bits: 4.0 - step as f64 / 100.0,
            score: Some(3.0),
            best: Some(3.0),
            speed: 1.0,
            seconds_left: 1.0,
            score_name: "bits/char",
            unit_name: "characters",
            validated,
        }
    }

    #[test]
    fn a_resumed_run_goes_on_with_its_journal() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), 0);
        for step in 1..=60 {
            journal.note(&progress(step, step == 60)).unwrap();
        }
        let text = std::fs::read_to_string(dir.path().join("metrics.csv")).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!((rows[0], rows.len()), (HEADER, 5));
        assert_eq!(rows[4], "60,600,60.0,1.000e-3,3.40000,3.00000");
        assert!(std::fs::read_to_string(dir.path().join("curves.svg")).unwrap().contains("bits/char"));
        // Update 60 was lost: the checkpoint was of update 50.
        let resumed = Journal::open(dir.path(), 50);
        assert_eq!(resumed.rows.iter().map(|row| row.step).collect::<Vec<_>>(), [1, 20, 40]);
        assert!(Journal::open(dir.path(), 0).rows.is_empty());
    }
}
