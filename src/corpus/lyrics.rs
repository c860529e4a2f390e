//! Songs from CSV files, cut into stanzas.
//!
//! A file has a header with a column `lyrics` (or `text`, or one that is named), in which lines
//! are separated by newlines and stanzas by blank lines; `artist` and `title` may stand beside
//! it. Files whose name ends in `.gz` are unpacked on the way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::lyricist::Kind;

/// Stanzas longer than this many characters are cut at a line's end.
const MAX_STANZA: usize = 480;
/// Stanzas shorter than this many characters are headings or slips rather than verse.
pub const MIN_STANZA: usize = 12;

/// Stanzas with where they come from.
#[derive(Debug, Default)]
pub struct Lyrics {
    /// Names of the sources (artists, or files where no artist is named).
    pub sources: Vec<String>,
    /// The stanzas, song by song.
    pub stanzas: Vec<Stanza>,
    /// Number of songs.
    pub songs: usize,
}

/// A stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// Place of its source in [`Lyrics::sources`].
    pub source: usize,
    /// Number of its song, counted over all files.
    pub song: usize,
    /// Kind of the song, where the file's column `kind` names one that we know.
    pub kind: Option<Kind>,
    /// Lines, separated by newlines.
    pub text: String,
}

impl Lyrics {
    /// Reads CSV files, one after the other.
    ///
    /// # Errors
    /// A file is missing, is no CSV with such a column (file and row are named), or all of them
    /// together hold no lyrics.
    pub fn read(files: &[PathBuf], column: Option<&str>) -> Result<Self> {
        let mut lyrics = Self::default();
        let mut known = HashMap::new();
        for file in files {
            lyrics.read_file(file, column, &mut known)?;
        }
        if lyrics.stanzas.is_empty() {
            let names: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
            return Err(Error::Data(format!(
                "There are no lyrics in {}. Give CSV files with a header and a column named lyrics.",
                names.join(", ")
            )));
        }
        Ok(lyrics)
    }

    fn read_file(
        &mut self,
        path: &Path,
        column: Option<&str>,
        known: &mut HashMap<String, usize>,
    ) -> Result<()> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(Error::io(path))?;
        let packed = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let reader: Box<dyn Read> = if packed {
            Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))
        } else {
            Box::new(BufReader::new(file))
        };
        let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
        let header = csv.headers().map_err(|e| Error::Data(format!("{name}: {e}")))?.clone();
        let find = |wanted: &str| header.iter().position(|h| h.trim().eq_ignore_ascii_case(wanted));
        let text_column = match column {
            Some(wanted) => find(wanted),
            None => find("lyrics").or_else(|| find("text")),
        };
        let text_column = text_column.ok_or_else(|| {
            let columns: Vec<&str> = header.iter().collect();
            let wanted = column.unwrap_or("lyrics (or text)");
            Error::Data(if header.iter().all(|h| h.trim().is_empty()) {
                format!("{name} is empty: a CSV file with a header and a column named {wanted} is wanted.")
            } else {
                format!(
                    "{name} has no column {wanted}; its header reads: {}. Name the column with --column.",
                    columns.join(", ")
                )
            })
        })?;
        let artist_column = find("artist");
        let kind_column = find("kind");
        for (row, record) in csv.records().enumerate() {
            let record = record.map_err(|e| Error::Data(format!("{name}, record {}: {e}", row + 2)))?;
            let text = record.get(text_column).ok_or_else(|| {
                Error::Data(format!(
                    "{name}, record {}: there is no column {} in it",
                    row + 2,
                    text_column + 1
                ))
            })?;
            let artist = artist_column.and_then(|c| record.get(c)).filter(|a| !a.trim().is_empty());
            // The file's name without its folder: the split must not depend on where it lies.
            let file = || path.file_name().map_or_else(|| name.clone(), |f| f.to_string_lossy().into_owned());
            let source = artist.map_or_else(file, |a| a.trim().to_string());
            let source = *known.entry(source.clone()).or_insert_with(|| {
                self.sources.push(source);
                self.sources.len() - 1
            });
            let kind = kind_column.and_then(|c| record.get(c)).and_then(|name| name.parse().ok());
            let song = self.songs;
            self.songs += 1;
            let stanza = |text| Stanza { source, song, kind, text };
            self.stanzas.extend(stanzas(text).into_iter().map(stanza));
        }
        Ok(())
    }

    /// Leaves out what is not worth learning: stanzas that stood there before (a chorus, a second
    /// edition; they would also stand on both sides of a split), and those of less than
    /// [`MIN_STANZA`] characters (headings, slips).
    pub fn worth_learning(mut self) -> Self {
        let mut seen = HashSet::new();
        self.stanzas.retain(|s| s.text.len() >= MIN_STANZA && seen.insert(s.text.clone()));
        self
    }

    /// Splits by source, so that nobody whose verse is measured was trained on: `percent` of the
    /// sources, at least one, the same ones in every run, are held out. If all is from one source,
    /// its last stanzas are. Returns (train, held out).
    pub fn split(&self, percent: usize) -> (Vec<&Stanza>, Vec<&Stanza>) {
        let share = |n: usize| (n * percent).div_ceil(100).max(1);
        if self.sources.len() < 2 {
            let kept = self.stanzas.len().saturating_sub(share(self.stanzas.len()));
            return (self.stanzas[..kept].iter().collect(), self.stanzas[kept..].iter().collect());
        }
        let mut order: Vec<usize> = (0..self.sources.len()).collect();
        order.sort_by_key(|&i| fnv1a(self.sources[i].as_bytes()));
        let held: BTreeSet<usize> = order.into_iter().take(share(self.sources.len())).collect();
        self.stanzas.iter().partition(|stanza| !held.contains(&stanza.source))
    }
}

/// Cuts a song into stanzas of at most [`MAX_STANZA`] characters, lines trimmed; a longer line is
/// cut between words if it can be.
pub fn stanzas(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() && !current.is_empty() {
            out.push(std::mem::take(&mut current));
        }
        let mut rest = line;
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(line_end(rest));
            rest = left.trim_start();
            if !current.is_empty() && current.len() + 1 + piece.len() > MAX_STANZA {
                out.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push('\n');
            }
            current.push_str(piece.trim_end());
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

/// Where a line has to be cut to be no longer than a stanza: its end, the last space before, or
/// the last character that fits.
fn line_end(line: &str) -> usize {
    if line.len() <= MAX_STANZA {
        return line.len();
    }
    let fits = line.floor_char_boundary(MAX_STANZA);
    line[..fits].rfind(' ').map_or(fits, |space| space + 1)
}

/// FNV-1a, 64 bits (Fowler, Noll & Vo): a hash that never changes between versions.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn songs_become_stanzas() {
        let (_dir, path) = file(
            "a.csv",
            b"artist,lyrics\nAnn,\"First line here\nsecond line\n\n\nOther stanza of it\n\nx\"\nBob,\"Other stanza of it\"\n",
        );
        let texts = |lyrics: &Lyrics| -> Vec<(usize, String)> {
            lyrics.stanzas.iter().map(|s| (s.source, s.text.clone())).collect()
        };
        let [first, other] = ["First line here\nsecond line", "Other stanza of it"].map(String::from);
        let lyrics = Lyrics::read(&[path], None).unwrap();
        assert_eq!(lyrics.sources, ["Ann", "Bob"]);
        let all = [(0, first.clone()), (0, other.clone()), (0, "x".into()), (1, other.clone())];
        assert_eq!(texts(&lyrics), all);
        assert_eq!(texts(&lyrics.worth_learning()), [(0, first), (0, other)]);
    }

    #[test]
    fn packed_files_are_read() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"text\n\"Sing a song of sixpence\"\n").unwrap();
        let (_dir, path) = file("a.csv.gz", &gz.finish().unwrap());
        assert_eq!(Lyrics::read(&[path], None).unwrap().stanzas.len(), 1);
    }

    #[test]
    fn long_stanzas_are_cut_at_a_line() {
        let line = "x".repeat(100);
        let parts = stanzas(&[line.as_str(); 9].join("\n"));
        assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [403, 403, 100]);
        // One line of a whole song, and one without a space or a plain letter.
        for song in ["la ".repeat(1000), "\u{e9}".repeat(3000)] {
            let parts = stanzas(&song);
            assert!(parts.iter().all(|p| !p.is_empty() && p.len() <= MAX_STANZA), "{parts:?}");
            let letters = |t: &str| t.chars().filter(|c| *c != ' ').count();
            assert_eq!(parts.iter().map(|p| letters(p)).sum::<usize>(), letters(&song));
        }
    }

    #[test]
    fn bad_files_are_named() {
        for (content, says) in [
            (&b""[..], "is empty"),
            (b"lyrics\n", "no lyrics"),
            (b"a;b\n1;2\n", "no column lyrics"),
            (b"lyrics\n\xff\xfe\n", "record 2"),
        ] {
            let (_dir, path) = file("bad.csv", content);
            let error = Lyrics::read(&[path], None).unwrap_err().to_string();
            assert!(error.contains("bad.csv") && error.contains(says), "{error}");
        }
    }

    fn stanza(source: usize, text: String) -> Stanza {
        Stanza { source, song: source, kind: None, text }
    }

    #[test]
    fn a_source_is_on_one_side_only() {
        let lyrics = Lyrics {
            sources: (0..200).map(|i| format!("artist {i}")).collect(),
            stanzas: (0..200).flat_map(|i| (0..3).map(move |k| stanza(i, format!("{i} {k}")))).collect(),
            songs: 200,
        };
        let (train, held) = lyrics.split(10);
        let who = |part: &[&Stanza]| part.iter().map(|s| s.source).collect::<BTreeSet<_>>();
        assert!(who(&train).is_disjoint(&who(&held)));
        assert_eq!(who(&held).len(), 20);
        assert_eq!(train.len() + held.len(), 600);
    }

    #[test]
    fn one_source_alone_is_split_by_stanzas() {
        let stanzas = (0..10).map(|k| stanza(0, k.to_string())).collect();
        let lyrics = Lyrics { sources: vec!["Ann".into()], stanzas, songs: 1 };
        let (train, held) = lyrics.split(20);
        let held: Vec<&str> = held.iter().map(|s| s.text.as_str()).collect();
        assert_eq!((train.len(), held), (8, vec!["8", "9"]));
    }
}
