//! Lists of songs to look for: the Million Song Dataset's own forms, and CSV.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;

use super::rows::{Lines, Rows};
use super::{hdf5, sqlite, text};
use crate::error::{Error, Result};

/// Parts the fields of the Million Song Dataset's text files.
const SEP: &str = "<SEP>";
/// Names of a CSV file's columns that are understood.
const ARTIST: [&str; 4] = ["artist", "artist_name", "artist name", "artistname"];
const TITLE: [&str; 9] =
    ["title", "song", "track", "name", "track_name", "track name", "trackname", "song_name", "song_title"];

/// A song to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Who sings.
    pub artist: String,
    /// What it is called.
    pub title: String,
    /// When it came out.
    pub year: Option<u16>,
}

/// A year that a song can be from; the dataset writes 0 where it knows none.
pub fn plausible_year(year: i64) -> Option<u16> {
    (1000..3000).contains(&year).then_some(year as u16)
}

/// A list of songs on the disk, read anew each time, never held.
#[derive(Debug, Clone)]
pub struct TrackList {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `track<SEP>song<SEP>artist<SEP>title`.
    Sep,
    Csv,
    Sqlite,
    Hdf5,
    /// A folder of HDF5 files, in folders or not.
    Folder,
}

impl TrackList {
    /// Looks what form a list has: by its first bytes, else by its name.
    ///
    /// # Errors
    /// There is no such file or folder, or its name promises what its first bytes don't keep.
    pub fn open(path: &Path) -> Result<Self> {
        let of = |form| Ok(Self { path: path.into(), form });
        if path.is_dir() {
            return of(Form::Folder);
        }
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(1 << 12).read_to_end(&mut head))
            .map_err(Error::io(path))?;
        if head.starts_with(sqlite::SIGNATURE) {
            return of(Form::Sqlite);
        }
        if head.starts_with(hdf5::SIGNATURE) {
            return of(Form::Hdf5);
        }
        let first_line = head.split(|b| *b == b'\n').next().unwrap_or_default();
        let sep = first_line.windows(SEP.len()).any(|w| w == SEP.as_bytes());
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("db" | "sqlite" | "sqlite3") => Err(Error::Data(format!(
                "{} is no SQLite database, though its name says so; fetch it again.",
                path.display()
            ))),
            // Read as what it wants to be, so that it is refused with its name.
            Some("h5" | "hdf5") => of(Form::Hdf5),
            Some("txt") => of(Form::Sep),
            _ => of(if sep { Form::Sep } else { Form::Csv }),
        }
    }

    /// Hands each song to `each`, in the list's order, which is the same each time.
    ///
    /// # Errors
    /// The list is malformed (the message names file and row), or `each` fails.
    pub fn each(&self, each: &mut dyn FnMut(Track) -> Result<()>) -> Result<()> {
        match self.form {
            Form::Sep => self.each_sep(each),
            Form::Csv => self.each_csv(each),
            Form::Sqlite => self.each_row(each),
            Form::Hdf5 => hdf5::songs(&self.path, each),
            Form::Folder => {
                let mut files = 0;
                each_file(&self.path, &mut |file| {
                    if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("h5")) {
                        files += 1;
                        hdf5::songs(file, each)?;
                    }
                    Ok(())
                })?;
                if files == 0 {
                    let folder = self.path.display();
                    return Err(Error::Data(format!("The folder {folder} holds no .h5 files.")));
                }
                Ok(())
            }
        }
    }

    fn each_sep(&self, each: &mut dyn FnMut(Track) -> Result<()>) -> Result<()> {
        let mut lines = Lines::open(&self.path)?;
        while let Some(line) = lines.line()? {
            if line.trim().is_empty() {
                continue;
            }
            let fields: Vec<&str> = line.split(SEP).collect();
            let [_, _, artist, title] = fields[..] else {
                return Err(lines.fail(&format!(
                    "track<SEP>song<SEP>artist<SEP>title is wanted, but there {} {} field{}; a list with commas is read if its name ends in .csv",
                    if fields.len() == 1 { "is" } else { "are" },
                    fields.len(),
                    if fields.len() == 1 { "" } else { "s" },
                )));
            };
            each(Track { artist: artist.trim().into(), title: title.trim().into(), year: None })?;
        }
        Ok(())
    }

    fn each_csv(&self, each: &mut dyn FnMut(Track) -> Result<()>) -> Result<()> {
        let mut rows = Rows::open(&self.path)?;
        let header = rows.row()?.ok_or_else(|| {
            let name = self.path.display();
            Error::Data(format!("{name} is empty: a header with the columns artist and title is wanted."))
        })?;
        let find = |names: &[&str]| {
            let folded: Vec<String> = header.iter().map(|h| h.trim().to_lowercase()).collect();
            names.iter().find_map(|name| folded.iter().position(|h| h == name))
        };
        let (Some(artist), Some(title)) = (find(&ARTIST), find(&TITLE)) else {
            let other = [';', '\t', '|'].into_iter().find(|c| header.len() == 1 && header[0].contains(*c));
            let why = match other {
                Some('\t') => "its fields are parted by tabs; commas are wanted".to_string(),
                Some(other) => format!("its fields are parted by {other}; commas are wanted"),
                None => format!(
                    "a header with the columns artist and title is wanted, but it reads: {}",
                    header.join(", ").chars().take(200).collect::<String>()
                ),
            };
            return Err(rows.fail(&why));
        };
        let year = find(&["year"]);
        while let Some(row) = rows.row()? {
            if row.len() != header.len() {
                return Err(rows.fail(&format!(
                    "there are {} fields, but {} in the header",
                    row.len(),
                    header.len()
                )));
            }
            let field = |column: usize| row[column].trim();
            if [artist, title].iter().any(|column| field(*column).contains('\n')) {
                return Err(rows
                    .fail("the artist or the title goes over several lines; is a quotation mark missing?"));
            }
            let year = year.and_then(|y| field(y).parse().ok()).and_then(plausible_year);
            each(Track { artist: field(artist).into(), title: field(title).into(), year })?;
        }
        Ok(())
    }

    /// `subset_track_metadata.db` (table `songs`), or LRCLIB's dump taken for a list.
    fn each_row(&self, each: &mut dyn FnMut(Track) -> Result<()>) -> Result<()> {
        let db = sqlite::open_read_only(&self.path)?;
        let mut row = 0u64;
        let name = &self.path.display().to_string();
        let fail = |row: u64| {
            move |e: rusqlite::Error| {
                Error::Data(format!(
                    "{name}, row {row}: the database can't be read here ({e}); fetch it again."
                ))
            }
        };
        let query = [
            "SELECT artist_name, title, year FROM songs ORDER BY rowid",
            "SELECT artist_name, name, NULL FROM tracks ORDER BY rowid",
        ];
        let mut statement = match (db.prepare(query[0]), db.prepare(query[1])) {
            (Ok(statement), _) | (_, Ok(statement)) => statement,
            (Err(e), _) => {
                return Err(Error::Data(format!(
                    "{name} has no table of songs that is known here (songs with artist_name, title and year, or tracks with artist_name and name): {e}."
                )));
            }
        };
        let mut found = statement.query([]).map_err(fail(1))?;
        loop {
            row += 1;
            let Some(values) = found.next().map_err(fail(row))? else { return Ok(()) };
            let field = |i| match values.get_ref(i) {
                Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => text::decode(bytes).0.trim().to_string(),
                Ok(ValueRef::Integer(number)) => number.to_string(),
                _ => String::new(),
            };
            each(Track {
                artist: field(0),
                title: field(1),
                year: field(2).parse().ok().and_then(plausible_year),
            })?;
        }
    }
}

/// Hands each file below a folder to `each`, names in order.
///
/// # Errors
/// The file system refuses, or `each` fails.
pub fn each_file(folder: &Path, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
        .map_err(Error::io(folder))?;
    entries.sort_unstable();
    for entry in entries {
        // A link to a folder could lead back here.
        if entry.is_dir() && !entry.is_symlink() {
            each_file(&entry, each)?;
        } else if entry.is_file() {
            each(&entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<Vec<Track>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        tracks(&path)
    }

    fn tracks(path: &Path) -> Result<Vec<Track>> {
        let mut all = Vec::new();
        TrackList::open(path)?.each(&mut |track| {
            all.push(track);
            Ok(())
        })?;
        Ok(all)
    }

    fn track(artist: &str, title: &str, year: Option<u16>) -> Track {
        Track { artist: artist.into(), title: title.into(), year }
    }

    #[test]
    fn each_form_gives_the_same_songs() {
        let songs = [track("Caf\u{e9} Ann", "Rain, Rain", None), track("Bob", "Snow", None)];
        let sep = "TR1<SEP>SO1<SEP>Caf\u{e9} Ann<SEP>Rain, Rain\nTR2<SEP>SO2<SEP>Bob<SEP>Snow\r\n";
        assert_eq!(read("unique_tracks.txt", sep.as_bytes()).unwrap(), songs);
        let csv = "id,Title,Artist_Name\n1,\"Rain, Rain\",Caf\u{e9} Ann\n\n2,Snow,Bob\n";
        assert_eq!(read("list.csv", csv.as_bytes()).unwrap(), songs);
        let latin1 = b"artist,title\nCaf\xe9 Ann,\"Rain, Rain\"\nBob,Snow";
        assert_eq!(read("list", latin1).unwrap(), songs);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("subset_track_metadata.db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE songs (track_id TEXT PRIMARY KEY, title TEXT, artist_name TEXT, year INT);
             INSERT INTO songs VALUES ('TR1', 'Rain, Rain', 'Caf\u{e9} Ann', 0), ('TR2', 'Snow', 'Bob', 1999);",
        )
        .unwrap();
        drop(db);
        let dated = [songs[0].clone(), track("Bob", "Snow", Some(1999))];
        assert_eq!(tracks(&path).unwrap(), dated);

        let folder = dir.path().join("MillionSongSubset/A/B");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("TR3.h5"), include_bytes!("../../../tests/fixtures/song.h5")).unwrap();
        std::fs::write(folder.join("README"), "no song").unwrap();
        let found = tracks(&dir.path().join("MillionSongSubset")).unwrap();
        assert_eq!((found.len(), found[0].year), (30, Some(1987)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_row() {
        for (name, content, says) in [
            (
                "a.txt",
                &b"TR1<SEP>SO1<SEP>Ann<SEP>Rain\nTR2;SO2;Bob;Snow\n"[..],
                "a.txt, row 2: track<SEP>song",
            ),
            ("a.csv", b"artist;title\nAnn;Rain\n", "a.csv, row 1: its fields are parted by ;"),
            ("a.csv", b"artist\ttitle\n", "row 1: its fields are parted by tabs"),
            ("a.csv", b"who,what\nAnn,Rain\n", "row 1: a header with the columns artist and title"),
            ("a.csv", b"", "a.csv is empty"),
            ("a.csv", b"artist,title\nAnn,Rain\nBob\n", "a.csv, row 3: there are 1 fields, but 2"),
            (
                "a.csv",
                b"artist,title\nAnn,\"Rain\nBob,\"\"Snow\"\nCy,Fog\n",
                "a.csv, row 2: the artist or the title",
            ),
            ("a.db", b"not a database", "a.db is no SQLite database"),
            ("a.h5", b"not HDF5", "a.h5 can't be read"),
        ] {
            let error = read(name, content).unwrap_err().to_string();
            assert!(error.contains(says), "{says:?} is not in: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let error = tracks(dir.path()).unwrap_err().to_string();
        assert!(error.contains("holds no .h5 files"), "{error}");
    }
}
