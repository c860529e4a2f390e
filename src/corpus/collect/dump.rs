//! LRCLIB's published SQLite dump, and a folder of text files: the sources on one's own disk.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension};

use super::names::normalise;
use super::source::{Answer, Fault, Question, Source, answer};
use super::tracks::each_file;
use super::{sqlite, text};
use crate::error::{Error, Result};

/// All entries of a song that have something to say, the plainest first.
const QUERY: &str = "
    SELECT lyrics.instrumental, lyrics.plain_lyrics, lyrics.synced_lyrics
    FROM tracks JOIN lyrics ON lyrics.id = tracks.last_lyrics_id
    WHERE tracks.name_lower = ?1 AND tracks.artist_name_lower = ?2
    ORDER BY (coalesce(lyrics.plain_lyrics, '') <> '') DESC, (coalesce(lyrics.synced_lyrics, '') <> '') DESC,
        coalesce(lyrics.instrumental, 0) DESC, tracks.id
    LIMIT 1";

/// LRCLIB's dump, its tables `tracks` and `lyrics` read in place.
#[derive(Debug)]
pub struct Dump {
    db: Mutex<Connection>,
    name: String,
}

impl Dump {
    /// Opens a dump for reading only.
    ///
    /// # Errors
    /// It is no such database, is cut off, or lacks the index without which each look-up would read
    /// all of it.
    pub fn open(path: &Path) -> Result<Self> {
        let db = sqlite::open_read_only(path)?;
        let name = path.display();
        let plan = |db: &Connection| -> rusqlite::Result<Vec<String>> {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {QUERY}"))?;
            plan.query_map(["", ""], |row| row.get(3))?.collect()
        };
        let plan = plan(&db).map_err(|e| Error::Data(format!("{name} is no dump of LRCLIB: {e}.")))?;
        if plan.iter().any(|step| step.starts_with("SCAN")) {
            return Err(Error::Data(format!(
                "{name} has no index to look songs up by. Make one on a copy: CREATE INDEX by_name ON tracks (name_lower, artist_name_lower)."
            )));
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { db: Mutex::new(db), name: format!("dump {file}") })
    }
}

impl Source for Dump {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&self, question: &Question) -> std::result::Result<Answer, Fault> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let look_up = || {
            let mut statement = db.prepare_cached(QUERY)?;
            let names = [normalise(&question.title), normalise(&question.artist)];
            let row = |row: &rusqlite::Row<'_>| {
                let text = |i| -> rusqlite::Result<Option<String>> {
                    Ok(row.get_ref(i)?.as_bytes_or_null().ok().flatten().map(|bytes| text::decode(bytes).0))
                };
                Ok(answer(row.get::<_, Option<bool>>(0)?.unwrap_or(false), text(1)?, text(2)?))
            };
            statement.query_row(names, row).optional()
        };
        let found = look_up().map_err(|e: rusqlite::Error| {
            Fault::Fatal(Error::Data(format!(
                "The {} can't be read where {} by {} is looked for: {e}. Fetch it again; what was found is kept.",
                self.name, question.title, question.artist
            )))
        })?;
        Ok(found.unwrap_or(Answer::Missing))
    }
}

/// Text files named `Artist - Title.txt`, or `Title.txt` in a folder named `Artist`; `.lrc` does, too.
#[derive(Debug)]
pub struct Folder {
    /// Names and paths, on the disk themselves: a folder may hold more files than memory names.
    index: Mutex<Connection>,
    name: String,
}

impl Folder {
    /// Takes down the names of all files.
    ///
    /// # Errors
    /// The file system refuses, or there is no text file.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e: rusqlite::Error| Error::Data(format!("An index of files can't be kept: {e}."));
        // An empty name makes SQLite use a temporary file.
        let db = Connection::open("").map_err(failed)?;
        db.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;
             CREATE TABLE files (artist TEXT, title TEXT, path TEXT, PRIMARY KEY (artist, title)) WITHOUT ROWID;",
        )
        .map_err(failed)?;
        let mut files = 0u64;
        each_file(path, &mut |file| {
            let named =
                |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
            let text = file
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("txt") || e.eq_ignore_ascii_case("lrc"));
            let stem = named(file.file_stem());
            let (artist, title) = match stem.split_once(" - ") {
                Some((artist, title)) => (artist.to_string(), title.to_string()),
                None => (named(file.parent().and_then(Path::file_name)), stem),
            };
            if text && let Some(path) = file.to_str() {
                files += 1;
                let row = [normalise(&artist), normalise(&title), path.to_string()];
                db.prepare_cached("INSERT OR IGNORE INTO files VALUES (?1, ?2, ?3)")
                    .and_then(|mut insert| insert.execute(row))
                    .map_err(failed)?;
            }
            Ok(())
        })?;
        db.execute_batch("COMMIT").map_err(failed)?;
        if files == 0 {
            return Err(Error::Data(format!(
                "The folder {} holds no lyrics: files named Artist - Title.txt are wanted.",
                path.display()
            )));
        }
        Ok(Self { index: Mutex::new(db), name: format!("folder {}", path.display()) })
    }
}

impl Source for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&self, question: &Question) -> std::result::Result<Answer, Fault> {
        let names = [normalise(&question.artist), normalise(&question.title)];
        let path: Option<String> = self
            .index
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .prepare_cached("SELECT path FROM files WHERE artist = ?1 AND title = ?2")
            .and_then(|mut find| find.query_row(names, |row| row.get(0)).optional())
            .map_err(|e| Fault::Fatal(Error::Data(format!("The index of files can't be read: {e}."))))?;
        let Some(path) = path else { return Ok(Answer::Missing) };
        let bytes = std::fs::read(&path).map_err(|e| Fault::Fatal(Error::io(path)(e)))?;
        Ok(answer(false, Some(text::decode(&bytes).0), None))
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Way;
    use super::*;

    fn ask(source: &dyn Source, artist: &str, title: &str) -> Answer {
        let question = Question { way: Way::Get, artist: artist.into(), title: title.into() };
        source.ask(&question).unwrap()
    }

    const TABLES: &str = "
        CREATE TABLE tracks (id INTEGER PRIMARY KEY, name TEXT, name_lower TEXT, artist_name TEXT,
            artist_name_lower TEXT, last_lyrics_id INTEGER);
        CREATE TABLE lyrics (id INTEGER PRIMARY KEY, plain_lyrics TEXT, synced_lyrics TEXT, instrumental BOOLEAN);
        INSERT INTO lyrics VALUES (1, NULL, NULL, 0), (2, NULL, '[00:01.00] la', 0), (3, 'la', '', 0), (4, NULL, NULL, 1);
        INSERT INTO tracks VALUES (1, 'Rain', 'rain', 'Ann', 'ann', 1), (2, 'Rain', 'rain', 'Ann', 'ann', 2),
            (3, 'Rain', 'rain', 'Ann', 'ann', 3), (4, 'Snow!', 'snow', 'Ann', 'ann', 4), (5, 'Fog', 'fog', 'Ann', 'ann', 1),
            (6, 'Sun', 'sun', 'Ann', 'ann', 2), (7, 'Hail', 'hail', 'Ann', 'ann', NULL);";

    #[test]
    fn a_dump_gives_the_entry_that_says_most() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lrclib 50% #1?.sqlite3");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(TABLES).unwrap();
        let error = Dump::open(&path).unwrap_err().to_string();
        assert!(error.contains("has no index"), "{error}");
        db.execute_batch("CREATE INDEX by_name ON tracks (name_lower)").unwrap();
        drop(db);
        let dump = Dump::open(&path).unwrap();
        assert_eq!(ask(&dump, "ANN", "Rain?"), Answer::Found("la".into()));
        assert_eq!(ask(&dump, "Ann", "Snow"), Answer::Instrumental);
        assert_eq!(ask(&dump, "Ann", "Sun"), Answer::Found("[00:01.00] la".into()));
        for title in ["Fog", "Hail", "Storm"] {
            assert_eq!(ask(&dump, "Ann", title), Answer::Missing, "{title}");
        }
    }

    #[test]
    fn a_dump_that_is_none_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whole.sqlite3");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(TABLES).unwrap();
        drop(db);
        let whole = std::fs::read(&path).unwrap();
        for (content, says) in [
            (&whole[..whole.len() - 4096], "is cut off"),
            (&whole[..50], "is cut off"),
            (b"artist,title\n", "is no SQLite database"),
        ] {
            let path = dir.path().join("other.sqlite3");
            std::fs::write(&path, content).unwrap();
            let error = Dump::open(&path).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("other.sqlite3"), "{error}");
        }
        let other = dir.path().join("songs.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
        assert!(Dump::open(&other).unwrap_err().to_string().contains("no dump of LRCLIB"));
    }

    #[test]
    fn files_are_found_by_both_kinds_of_names() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Folder::open(dir.path()).unwrap_err().to_string().contains("holds no lyrics"));
        std::fs::create_dir(dir.path().join("Bob")).unwrap();
        std::fs::write(dir.path().join("Ann - Rain, Rain.txt"), b"caf\xe9").unwrap();
        std::fs::write(dir.path().join("Bob/Snow.lrc"), "[00:01.00] snow").unwrap();
        std::fs::write(dir.path().join("Bob/cover.jpg"), "").unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(ask(&folder, "ann", "Rain Rain"), Answer::Found("caf\u{e9}".into()));
        assert_eq!(ask(&folder, "Bob", "Snow"), Answer::Found("[00:01.00] snow".into()));
        assert_eq!(ask(&folder, "Bob", "cover"), Answer::Missing);
    }
}
