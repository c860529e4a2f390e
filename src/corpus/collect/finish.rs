//! From the journal to CSV files that train a lyricist, and an account of what became of each song.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::clean::{clean, short_stanzas};
use super::duplicates::Seen;
use super::english::{language, unknown_share};
use super::journal::{Journal, Standing};
use super::source::{Answer, Source};
use super::tracks::{Track, TrackList};
use crate::corpus::lyrics::MIN_STANZA;
use crate::error::{Error, Result};

/// Whole songs.
pub const SONGS: &str = "songs.csv";
/// Songs in short stanzas.
pub const STANZAS: &str = "stanzas.csv";
/// The account.
pub const REPORT: &str = "report.json";
/// Fewer characters than this are no song.
const MIN_SONG: usize = 40;

/// What is kept.
pub struct Wanted<'a> {
    /// Songs with a larger share of words that are not in the dictionary are dropped.
    pub max_unknown: f64,
    /// Most lines of a short stanza.
    pub lines: usize,
    /// The dictionary.
    pub is_word: &'a dyn Fn(&str) -> bool,
}

/// What became of the songs on the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Songs on the list.
    pub tracks: u64,
    /// Of these, without artist or title.
    pub nameless: u64,
    /// Nobody sings.
    pub instrumental: u64,
    /// No source has it.
    pub missing: u64,
    /// A source gave no answer; asked for again in the next run.
    pub failed: u64,
    /// The reasons.
    pub failed_because: BTreeMap<String, u64>,
    /// With lyrics.
    pub found: u64,
    /// Of these, dropped since hardly anything was left after cleaning.
    pub too_short: u64,
    /// Dropped since too many words are not English.
    pub not_english: u64,
    /// Dropped since the same song, or nearly, stood above.
    pub duplicates: u64,
    /// Kept.
    pub kept: u64,
    /// Short stanzas of those kept.
    pub stanzas: u64,
    /// Kept songs with letters that a wrong encoding had broken.
    pub repaired: u64,
    /// What the language identifier takes the kept songs for.
    pub kept_look_like: BTreeMap<&'static str, u64>,
    /// What it takes the songs for that were dropped as not English.
    pub not_english_look_like: BTreeMap<&'static str, u64>,
}

/// Writes [`SONGS`], [`STANZAS`] and [`REPORT`] into a folder, songs in the order of the list. The
/// files are moved to their places when all are whole; if `stop` comes before, nothing is written.
///
/// # Errors
/// List or journal can't be read, or the file system refuses.
pub fn finish(
    lists: &[TrackList],
    sources: &[Box<dyn Source>],
    journal: &Journal,
    wanted: &Wanted<'_>,
    out: &Path,
    stop: &AtomicBool,
) -> Result<Option<Report>> {
    let mut writer = Writer {
        report: Report::default(),
        seen: Seen::new()?,
        songs: CsvFile::create(out, SONGS)?,
        stanzas: CsvFile::create(out, STANZAS)?,
    };
    for list in lists {
        let mut take = |track: Track| {
            if !stop.load(Ordering::Relaxed) {
                let standing = journal.standing(&track, sources, true)?;
                writer.take(
                    &track,
                    standing,
                    |source, question| journal.failure(sources[source].name(), question),
                    wanted,
                )?;
            }
            Ok(())
        };
        list.each(&mut take)?;
    }
    let Writer { report, songs, stanzas, .. } = writer;
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    songs.finish()?;
    stanzas.finish()?;
    let json = serde_json::to_vec_pretty(&report).map_err(|e| Error::Data(e.to_string()))?;
    crate::weights::write_atomic(&out.join(REPORT), &json)?;
    Ok(Some(report))
}

struct Writer {
    report: Report,
    seen: Seen,
    songs: CsvFile,
    stanzas: CsvFile,
}

impl Writer {
    fn take(
        &mut self,
        track: &Track,
        standing: Standing,
        why: impl Fn(usize, &str) -> Result<Option<String>>,
        wanted: &Wanted<'_>,
    ) -> Result<()> {
        let report = &mut self.report;
        report.tracks += 1;
        let lyrics = match standing {
            Standing::Known(Answer::Found(lyrics)) => lyrics,
            Standing::Known(Answer::Instrumental) => {
                report.instrumental += 1;
                return Ok(());
            }
            Standing::Known(Answer::Missing) => {
                report.missing += 1;
                return Ok(());
            }
            Standing::Nameless => {
                report.nameless += 1;
                return Ok(());
            }
            Standing::Open(source, question) => {
                report.failed += 1;
                let why = why(source, &question.key())?.unwrap_or_else(|| "not asked yet".into());
                *report.failed_because.entry(why).or_default() += 1;
                return Ok(());
            }
        };
        report.found += 1;
        let song = clean(&lyrics);
        if song.text.len() < MIN_SONG || !song.text.contains('\n') {
            report.too_short += 1;
        } else if unknown_share(&song.text, wanted.is_word) > wanted.max_unknown {
            report.not_english += 1;
            *report.not_english_look_like.entry(language(&song.text)).or_default() += 1;
        } else if self.seen.is_duplicate(&song.text)? {
            report.duplicates += 1;
        } else {
            report.kept += 1;
            report.repaired += u64::from(song.repaired);
            *report.kept_look_like.entry(language(&song.text)).or_default() += 1;
            let year = track.year.map(|y| y.to_string()).unwrap_or_default();
            let mut row = [track.artist.as_str(), &track.title, &year, &song.text];
            self.songs.row(&row)?;
            for stanza in short_stanzas(&song.text, wanted.lines).iter().filter(|s| s.len() >= MIN_STANZA) {
                report.stanzas += 1;
                row[3] = stanza;
                self.stanzas.row(&row)?;
            }
        }
        Ok(())
    }
}

/// A CSV file that appears under its name when it is whole.
struct CsvFile {
    csv: csv::Writer<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl CsvFile {
    fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let part = path.with_added_extension("part");
        let file = File::create(&part).map_err(Error::io(&part))?;
        let mut this = Self { csv: csv::Writer::from_writer(BufWriter::new(file)), part, path };
        this.row(&["artist", "title", "year", "lyrics"])?;
        Ok(this)
    }

    fn row(&mut self, fields: &[&str; 4]) -> Result<()> {
        self.csv.write_record(fields).map_err(|e| Error::io(&self.part)(e.into()))
    }

    fn finish(mut self) -> Result<()> {
        self.csv.flush().map_err(Error::io(&self.part))?;
        std::fs::rename(&self.part, &self.path).map_err(Error::io(&self.path))
    }
}
