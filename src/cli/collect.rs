//! `songwriter collect`: lyrics for a list of songs, as CSV files that train a lyricist.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;

use super::progress::duration;
use super::{print, tell};
use crate::corpus::collect::dump::{Dump, Folder};
use crate::corpus::collect::finish::{REPORT, Report, SONGS, STANZAS, Wanted, finish};
use crate::corpus::collect::journal::Journal;
use crate::corpus::collect::lookup::{Manners, Tally, look_up};
use crate::corpus::collect::lrclib::{Api, LRCLIB};
use crate::corpus::collect::source::Source;
use crate::corpus::collect::tracks::TrackList;
use crate::error::{Error, Result};
use crate::verse::is_word;

/// What the user is told when a journal is begun.
const COPYRIGHT: &str = "Lyrics belong to those who wrote them. What you collect is yours to answer for: look up whether you may keep it, train on it and publish what comes of it. Nothing is sent anywhere but the questions to the source.";

/// Between plain lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// Options of `collect`.
#[derive(Debug, Args)]
pub struct CollectArguments {
    /// Lists of songs: the Million Song subset's subset_unique_tracks.txt, subset_track_metadata.db or
    /// folder of .h5 files, or any CSV with columns artist and title (and year)
    #[arg(required = true, value_name = "LIST")]
    pub lists: Vec<PathBuf>,
    /// Folder for the CSV files, the report and the journal
    #[arg(long, default_value = "collected", value_name = "DIR")]
    pub out: PathBuf,
    /// Journal of what was asked and answered, if it lies elsewhere
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Address of a service that speaks LRCLIB's API
    #[arg(long, default_value = LRCLIB, value_name = "URL")]
    pub api: String,
    /// LRCLIB's published SQLite dump, asked before the service
    #[arg(long, value_name = "FILE")]
    pub dump: Option<PathBuf>,
    /// Folder of text files named "Artist - Title.txt", or "Title.txt" in folders named after artists,
    /// asked before all else
    #[arg(long, value_name = "DIR")]
    pub texts: Option<PathBuf>,
    /// Ask no service, only --texts and --dump
    #[arg(long)]
    pub offline: bool,
    /// Questions a second to the service; 0 for no limit, on a service of your own
    #[arg(long, default_value_t = 4.0, value_parser = rate)]
    pub rate: f64,
    /// Questions under way at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// How often a question is put again after a fault that may pass
    #[arg(long, default_value_t = 4)]
    pub retries: u32,
    /// Seconds to wait for an answer
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Songs with a larger share of words that are not in the English dictionary are dropped
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    pub max_unknown: f64,
    /// Most lines of a stanza in stanzas.csv
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub lines: u16,
    /// Do not look anything up: make the CSV files anew from the journal
    #[arg(long)]
    pub finish_only: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("a number from 0 up is wanted".into()),
    }
}

fn share(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 1 is wanted".into()),
    }
}

/// Looks up what the journal has no answer for yet, then writes the CSV files.
///
/// # Errors
/// A list, the journal or a source can't be used; the journal keeps what was answered.
pub fn run(a: &CollectArguments, stop: &AtomicBool) -> Result<()> {
    let lists = a.lists.iter().map(|path| TrackList::open(path)).collect::<Result<Vec<_>>>()?;
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if let Some(folder) = &a.texts {
        sources.push(Box::new(Folder::open(folder)?));
    }
    if let Some(dump) = &a.dump {
        sources.push(Box::new(Dump::open(dump)?));
    }
    if !a.offline {
        sources.push(Box::new(Api::new(&a.api, Duration::from_secs(a.timeout))?));
    }
    if sources.is_empty() {
        return Err(Error::Usage(
            "With --offline, --texts or --dump has to say where the lyrics are.".into(),
        ));
    }
    // A malformed list is refused before anything is asked for.
    let mut all = 0;
    for list in &lists {
        list.each(&mut |_| {
            all += 1;
            Ok(())
        })?;
    }
    std::fs::create_dir_all(&a.out).map_err(Error::io(&a.out))?;
    let path = a.journal.clone().unwrap_or_else(|| a.out.join("journal.sqlite"));
    let (journal, is_new) = Journal::open(&path)?;
    if is_new {
        tell(COPYRIGHT);
    }
    let journal = Mutex::new(journal);
    if !a.finish_only {
        let manners = Manners {
            rate: a.rate,
            concurrency: a.concurrency.into(),
            retries: a.retries,
            back_off: Duration::from_millis(500),
        };
        let mut display = Display::new();
        let tally =
            look_up(&lists, all, &sources, &journal, &manners, stop, &mut |tally| display.show(tally))?;
        display.finish(&tally);
    }
    let journal = journal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let wanted = Wanted { max_unknown: a.max_unknown, lines: a.lines.into(), is_word: &is_word };
    let report = if stop.load(Ordering::Relaxed) {
        None
    } else {
        finish(&lists, &sources, &journal, &wanted, &a.out, stop)?
    };
    match report {
        Some(report) if a.json => {
            let json = serde_json::to_string(&report).map_err(|e| Error::Data(e.to_string()))?;
            print(&format!("{json}\n"))
        }
        Some(report) => print(&account(&report, a)),
        None => {
            tell(&format!(
                "Stopped; {} keeps what was answered. The same command goes on from there.",
                path.display()
            ));
            Ok(())
        }
    }
}

/// The report for people.
fn account(r: &Report, a: &CollectArguments) -> String {
    let mut text = format!(
        "{} songs on the list: {} with lyrics, {} instrumental, {} missing, {} without artist or title, {} failed.\n",
        r.tracks, r.found, r.instrumental, r.missing, r.nameless, r.failed
    );
    for (why, count) in &r.failed_because {
        text += &format!("  {count} failed: {why}\n");
    }
    text += &format!(
        "Of those with lyrics, dropped: {} not English, {} duplicates, {} too short. Kept: {} songs, {} stanzas ({} with repaired letters).\n",
        r.not_english, r.duplicates, r.too_short, r.kept, r.stanzas, r.repaired
    );
    let looks = |counts: &std::collections::BTreeMap<&str, u64>| {
        counts.iter().map(|(language, n)| format!("{language} {n}")).collect::<Vec<_>>().join(", ")
    };
    if !r.kept_look_like.is_empty() {
        text += &format!("A language identifier takes the kept ones for: {}.\n", looks(&r.kept_look_like));
    }
    if !r.not_english_look_like.is_empty() {
        text += &format!("And those that were not English for: {}.\n", looks(&r.not_english_look_like));
    }
    text + &format!(
        "{SONGS}, {STANZAS} and {REPORT} are in {out}. Train on them: songwriter train lyricist --data {out}/{SONGS}\n",
        out = a.out.display()
    )
}

/// A bar on a terminal, plain lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Display {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(super::progress::bar);
        Self { bar, last: Instant::now() }
    }

    fn show(&mut self, tally: &Tally) {
        if let Some(bar) = &self.bar {
            bar.set_length(tally.all);
            bar.set_position(tally.done());
            bar.set_message(news(tally));
        } else if self.last.elapsed() > LINE_EVERY {
            self.last = Instant::now();
            tell(&format!("{}/{}  {}", tally.done(), tally.all, news(tally)));
        }
    }

    fn finish(&self, tally: &Tally) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        tell(&format!("{}/{}  {}", tally.done(), tally.all, news(tally)));
    }
}

fn news(t: &Tally) -> String {
    let left =
        if t.done() < t.all { format!("  {} left", duration(t.seconds_left())) } else { String::new() };
    format!(
        "found {}, instrumental {}, missing {}, failed {}; {:.0} questions/s{left}",
        t.found,
        t.instrumental,
        t.missing,
        t.failed,
        t.answers as f64 / t.seconds.max(1e-9)
    )
}
