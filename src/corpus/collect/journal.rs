//! What was asked and answered, kept so that nothing is asked twice.
//!
//! An SQLite database in write-ahead mode; each answer is a transaction of its own, so a process
//! that is killed loses what was under way and nothing else. The track list is not in it: it is
//! read anew each time, and the journal says what is still to be asked.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::source::{Answer, Question, Source, questions};
use super::sqlite::SIGNATURE;
use super::tracks::Track;
use crate::error::{Error, Result};

/// Marks our files among all SQLite databases: "song".
const APPLICATION_ID: i32 = 0x736f_6e67;
/// Changes whenever older journals could no longer be read.
const VERSION: i32 = 1;

/// The journal.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    name: String,
}

/// What the journal knows of a song.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// All that was to be asked was asked. The lyrics are left out unless they were wanted.
    Known(Answer),
    /// The next question, to the source of that number.
    Open(usize, Question),
    /// Without artist or title there is nothing to ask.
    Nameless,
}

impl Journal {
    /// Opens a journal, or begins one. Also says whether it is new.
    ///
    /// # Errors
    /// The file is something else, is damaged, or another run has it open.
    pub fn open(path: &Path) -> Result<(Self, bool)> {
        let name = path.display().to_string();
        let new = std::fs::metadata(path).map_or(true, |m| m.len() == 0);
        if new {
            begin(path)?;
        }
        // Looked at before SQLite gets it, so that nobody else's database is changed.
        let mut head = [0; 72];
        let read = File::open(path).and_then(|mut f| f.read(&mut head)).map_err(Error::io(path))?;
        let number = |at: usize| head[at..at + 4].iter().fold(0, |n, b| n << 8 | i32::from(*b));
        if read < head.len() || !head.starts_with(SIGNATURE) || number(68) != APPLICATION_ID {
            return Err(Error::Data(format!(
                "{name} is no journal of songwriter collect. Name another file with --journal."
            )));
        }
        if number(60) != VERSION {
            return Err(Error::Data(format!(
                "{name} was written by another version of songwriter. Name a new one with --journal."
            )));
        }
        let prepare = || -> rusqlite::Result<Connection> {
            let db = Connection::open(path)?;
            // No other process may write, so no memory needs to be shared with one.
            db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "NORMAL")?;
            // Takes the lock, and keeps it.
            db.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            Ok(db)
        };
        let db = prepare().map_err(|e| failed(&name, &e))?;
        Ok((Self { db, name }, new))
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> Error {
        |e| failed(&self.name, &e)
    }

    /// What is known of a question, the lyrics only if they are wanted.
    ///
    /// # Errors
    /// The journal can't be read.
    pub fn answer(&self, source: &str, key: &str, lyrics: bool) -> Result<Option<Answer>> {
        let look = || {
            self.db
                .prepare_cached(if lyrics {
                    "SELECT status, lyrics FROM answers WHERE source = ?1 AND question = ?2"
                } else {
                    "SELECT status, '' FROM answers WHERE source = ?1 AND question = ?2"
                })?
                .query_row([source, key], |row| {
                    Ok(match row.get_ref(0)?.as_bytes()? {
                        b"found" => Answer::Found(row.get(1)?),
                        b"instrumental" => Answer::Instrumental,
                        _ => Answer::Missing,
                    })
                })
                .optional()
        };
        look().map_err(self.failed())
    }

    /// Takes down an answer.
    ///
    /// # Errors
    /// The journal can't be written to.
    pub fn record(&self, source: &str, key: &str, answer: &Answer) -> Result<()> {
        let (status, lyrics) = match answer {
            Answer::Found(lyrics) => ("found", Some(lyrics)),
            Answer::Instrumental => ("instrumental", None),
            Answer::Missing => ("missing", None),
        };
        let write = || {
            self.db
                .prepare_cached(
                    "INSERT INTO answers (source, question, status, lyrics) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![source, key, status, lyrics])
        };
        write().map(drop).map_err(self.failed())
    }

    /// Takes down that there was no answer, and why.
    ///
    /// # Errors
    /// The journal can't be written to.
    pub fn record_failure(&self, source: &str, key: &str, why: &str) -> Result<()> {
        let write = || {
            self.db
                .prepare_cached("INSERT OR REPLACE INTO failures VALUES (?1, ?2, ?3)")?
                .execute([source, key, why])
        };
        write().map(drop).map_err(self.failed())
    }

    /// Why there was no answer the last time.
    ///
    /// # Errors
    /// The journal can't be read.
    pub fn failure(&self, source: &str, key: &str) -> Result<Option<String>> {
        let look = || {
            self.db
                .prepare_cached("SELECT why FROM failures WHERE source = ?1 AND question = ?2")?
                .query_row([source, key], |row| row.get(0))
                .optional()
        };
        look().map_err(self.failed())
    }

    /// Forgets what a source said, to ask it again.
    ///
    /// # Errors
    /// The journal can't be written to.
    pub fn forget(&self, source: &str) -> Result<()> {
        self.db.execute("DELETE FROM answers WHERE source = ?1", [source]).map(drop).map_err(self.failed())
    }

    /// Where the questions for a song stand: the answer of the first source that knows it, else the
    /// first question that has none yet, else that it is missing.
    ///
    /// # Errors
    /// The journal can't be read.
    pub fn standing(&self, track: &Track, sources: &[Box<dyn Source>], lyrics: bool) -> Result<Standing> {
        let mut known = None;
        for (i, source) in sources.iter().enumerate() {
            for question in questions(track, source.searches()) {
                match self.answer(source.name(), &question.key(), lyrics)? {
                    None => return Ok(Standing::Open(i, question)),
                    Some(Answer::Missing) => known = Some(Answer::Missing),
                    Some(answer) => return Ok(Standing::Known(answer)),
                }
            }
        }
        Ok(known.map_or(Standing::Nameless, Standing::Known))
    }
}

/// Lays out a new journal beside its place and moves it there, so that there is never half of one.
fn begin(path: &Path) -> Result<()> {
    let part = path.with_added_extension("part");
    let _ = std::fs::remove_file(&part);
    let name = part.display().to_string();
    let lay_out = || -> rusqlite::Result<()> {
        let db = Connection::open(&part)?;
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
        db.pragma_update(None, "user_version", VERSION)?;
        db.execute_batch(
            "CREATE TABLE answers (
                 source TEXT NOT NULL, question TEXT NOT NULL,
                 status TEXT NOT NULL CHECK (status IN ('found', 'instrumental', 'missing')),
                 lyrics TEXT, asked_at INTEGER NOT NULL DEFAULT (unixepoch()),
                 UNIQUE (source, question));
             CREATE TABLE failures (
                 source TEXT NOT NULL, question TEXT NOT NULL, why TEXT NOT NULL,
                 PRIMARY KEY (source, question)) WITHOUT ROWID;",
        )
    };
    lay_out().map_err(|e| failed(&name, &e))?;
    std::fs::rename(&part, path).map_err(Error::io(path))
}

fn failed(name: &str, error: &rusqlite::Error) -> Error {
    let busy = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
    Error::Data(if busy {
        format!(
            "Another run has the journal {name} open. Wait for it to end, or name another file with --journal."
        )
    } else {
        format!("The journal {name} can't be used: {error}.")
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::Fault;
    use super::*;

    struct Silent(&'static str);

    impl Source for Silent {
        fn name(&self) -> &str {
            self.0
        }

        fn ask(&self, _: &Question) -> std::result::Result<Answer, Fault> {
            Ok(Answer::Missing)
        }
    }

    #[test]
    fn questions_are_open_until_one_is_answered_with_lyrics() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.sqlite");
        let (journal, new) = Journal::open(&path).unwrap();
        assert!(new);
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Silent("first")), Box::new(Silent("second"))];
        let track = |title: &str| Track { artist: "Ann".into(), title: title.into(), year: None };
        let song = track("Rain (Live)");
        let mut asked = Vec::new();
        // The first source has neither form, the second has the shorter one.
        while let Standing::Open(source, question) = journal.standing(&song, &sources, false).unwrap() {
            let answer = if source == 1 && question.title == "Rain" {
                Answer::Found("la".into())
            } else {
                Answer::Missing
            };
            asked.push((source, question.title.clone()));
            journal.record(sources[source].name(), &question.key(), &answer).unwrap();
        }
        let expected = [(0, "Rain (Live)"), (0, "Rain"), (1, "Rain (Live)"), (1, "Rain")];
        assert_eq!(asked, expected.map(|(s, t)| (s, t.to_string())));

        // All of it is there the next time, and counts for other spellings.
        drop(journal);
        let (journal, new) = Journal::open(&path).unwrap();
        assert!(!new);
        for title in ["Rain (Live)", "RAIN", "rain!"] {
            let standing = journal.standing(&track(title), &sources, true).unwrap();
            assert_eq!(standing, Standing::Known(Answer::Found("la".into())), "{title}");
        }
        assert_eq!(journal.standing(&track("..."), &sources, true).unwrap(), Standing::Nameless);
        journal.forget("first").unwrap();
        assert!(matches!(journal.standing(&song, &sources, false).unwrap(), Standing::Open(0, _)));
    }

    #[test]
    fn other_files_are_refused_and_left_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("notes.txt");
        std::fs::write(&text, "These are notes, no journal.").unwrap();
        let other = dir.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        for path in [text, other] {
            let error = Journal::open(&path).unwrap_err().to_string();
            assert!(error.contains("no journal") && error.contains("--journal"), "{error}");
        }
        let path = dir.path().join("journal.sqlite");
        let open = Journal::open(&path).unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert!(error.contains("Another run has the journal"), "{error}");
        drop(open);
        Journal::open(&path).unwrap();
    }
}
