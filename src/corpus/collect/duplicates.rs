//! Songs that stand there already, in the same words or nearly so.
//!
//! Each song is the set of its runs of [`SHINGLE`] words. Two songs are near-duplicates if they
//! share most of them (Jaccard similarity), which is estimated by MinHash: for each of
//! [`HASHES`] hash functions the smallest value over the set is kept, and the share of values that
//! agree estimates the similarity (A. Broder, "On the resemblance and containment of documents",
//! 1997). Candidates are songs that agree in a whole band of values. The sketches lie in a
//! temporary file, so memory does not grow with the number of songs.

use rusqlite::{Connection, params};

use crate::error::{Error, Result};

/// Words of a shingle.
const SHINGLE: usize = 4;
/// Hash functions.
const HASHES: usize = 48;
/// Values of a band; eight bands find 99.7 % of the pairs that are similar by 0.8.
const BAND: usize = 3;
/// Bands that are looked up.
const BANDS: usize = 8;
/// Songs at least this similar are the same song.
const SAME: f64 = 0.7;
/// Candidates that are compared; a band full of others is nothing but a common phrase.
const CANDIDATES: usize = 32;

type Sketch = [u32; HASHES];

/// The songs seen so far.
#[derive(Debug)]
pub struct Seen {
    db: Connection,
    songs: i64,
}

impl Seen {
    /// Begins with none.
    ///
    /// # Errors
    /// There is no place for temporary files.
    pub fn new() -> Result<Self> {
        // An empty name makes SQLite use a temporary file. It needs no safety, and memory of 16 MB.
        let db = Connection::open("").map_err(failed)?;
        db.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384; BEGIN;
             CREATE TABLE sketches (song INTEGER PRIMARY KEY, sketch BLOB);
             CREATE TABLE bands (band INTEGER, song INTEGER, PRIMARY KEY (band, song)) WITHOUT ROWID;",
        )
        .map_err(failed)?;
        Ok(Self { db, songs: 0 })
    }

    /// Whether a song like this was seen before; if not, it is from now on.
    ///
    /// # Errors
    /// The temporary file can't be used.
    pub fn is_duplicate(&mut self, text: &str) -> Result<bool> {
        let sketch = sketch(text);
        self.look(&sketch).map_err(failed)
    }

    fn look(&mut self, sketch: &Sketch) -> rusqlite::Result<bool> {
        let mut compared = Vec::new();
        let mut find = self.db.prepare_cached("SELECT song FROM bands WHERE band = ?1 LIMIT ?2")?;
        let mut fetch = self.db.prepare_cached("SELECT sketch FROM sketches WHERE song = ?1")?;
        for band in bands(sketch) {
            let songs = find.query_map(params![band, CANDIDATES as i64], |row| row.get::<_, i64>(0))?;
            for song in songs {
                let song = song?;
                if compared.contains(&song) {
                    continue;
                }
                compared.push(song);
                let same = fetch.query_row([song], |row| {
                    let bytes = row.get_ref(0)?.as_blob()?;
                    let values = bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b));
                    Ok(values.zip(sketch).filter(|(a, b)| a == *b).count())
                })?;
                if same as f64 >= SAME * HASHES as f64 {
                    return Ok(true);
                }
            }
        }
        self.songs += 1;
        let bytes: Vec<u8> = sketch.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.db
            .prepare_cached("INSERT INTO sketches VALUES (?1, ?2)")?
            .execute(params![self.songs, bytes])?;
        let mut insert = self.db.prepare_cached("INSERT OR IGNORE INTO bands VALUES (?1, ?2)")?;
        for band in bands(sketch) {
            insert.execute([band, self.songs])?;
        }
        Ok(false)
    }
}

fn failed(error: rusqlite::Error) -> Error {
    Error::Data(format!(
        "Duplicates can't be looked for, since there is no room for temporary files: {error}."
    ))
}

/// The smallest value of each hash function over the shingles of a text.
fn sketch(text: &str) -> Sketch {
    let words: Vec<u64> = text
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|w| !w.is_empty())
        .map(|w| {
            w.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
                (h ^ u64::from(b.to_ascii_lowercase())).wrapping_mul(0x100_0000_01b3)
            })
        })
        .collect();
    let mut sketch = [u32::MAX; HASHES];
    for shingle in words.windows(SHINGLE.min(words.len()).max(1)) {
        let mut h = shingle.iter().fold(0u64, |h, w| mix(h.rotate_left(5) ^ w));
        for value in &mut sketch {
            h = mix(h);
            *value = (*value).min((h >> 32) as u32);
        }
    }
    sketch
}

/// SplitMix64 (Steele, Lea & Flood 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn bands(sketch: &Sketch) -> impl Iterator<Item = i64> {
    sketch
        .chunks_exact(BAND)
        .take(BANDS)
        .enumerate()
        .map(|(i, band)| band.iter().fold(mix(i as u64), |h, v| mix(h ^ u64::from(*v))).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that hardly ever come in the same order twice.
    fn song(seed: u64, words: usize) -> Vec<String> {
        (0..words as u64).map(|i| format!("w{}", mix(seed << 32 | i) % 500)).collect()
    }

    #[test]
    fn nearly_the_same_song_is_found_again() {
        let mut seen = Seen::new().unwrap();
        let (mut found, mut mistaken) = (0, 0);
        for seed in 0..200 {
            let mut words = song(seed, 200);
            mistaken += usize::from(seen.is_duplicate(&words.join(" ")).unwrap());
            // Four words of two hundred spoil at most sixteen shingles.
            for place in [20, 70, 120, 170] {
                words[place] = "other".into();
            }
            found += usize::from(seen.is_duplicate(&words.join("\n").to_uppercase()).unwrap());
        }
        assert_eq!(mistaken, 0);
        assert!(found >= 196, "{found}");
    }

    #[test]
    fn songs_that_share_a_chorus_are_two() {
        let mut seen = Seen::new().unwrap();
        let chorus = song(1, 60).join(" ");
        for seed in 10..60 {
            let text = format!("{} {chorus}", song(seed, 90).join(" "));
            assert!(!seen.is_duplicate(&text).unwrap(), "{seed}");
            assert!(seen.is_duplicate(&text).unwrap(), "{seed}");
        }
    }
}
