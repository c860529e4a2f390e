//! How much of a song stands word for word in the training text.
//!
//! The songs' runs of [`SHORTEST`] characters are put into a table, then the training text is read
//! once from start to end and each of its runs looked up: the memory depends on the songs, not on the
//! training text (as Rabin & Karp's search for many patterns, IBM J. Res. Dev. 31(2), 1987, section 5).

use std::collections::HashMap;

/// Shorter copies are not told apart from nothing: any two English texts share some.
pub const SHORTEST: usize = 12;

/// Bits of the table that most runs of the training text are turned away by.
const FILTER_BITS: u32 = 22;

/// Small letters, and one space for all that lies between words: line breaks and spaces do not hide
/// a copy.
fn normalise(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend(word.to_lowercase().bytes());
    }
    out
}

fn key(run: &[u8; SHORTEST]) -> u128 {
    run.iter().fold(0, |key, &byte| key << 8 | u128::from(byte))
}

fn filter_bit(key: u128) -> usize {
    let mixed = (key as u64 ^ (key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - FILTER_BITS)) as usize
}

/// Length in bytes of the longest run of each song that stands in one of the training texts; 0 if it
/// is shorter than [`SHORTEST`]. Capitals and line breaks are not told apart from small letters and
/// spaces.
pub fn longest_copies<'a>(songs: &[&str], training: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let songs: Vec<Vec<u8>> = songs.iter().map(|song| normalise(song)).collect();
    let mut places: HashMap<u128, Vec<(u32, u32)>> = HashMap::new();
    let mut filter = vec![0u64; 1 << (FILTER_BITS - 6)];
    for (s, song) in songs.iter().enumerate() {
        for (at, run) in song.array_windows::<SHORTEST>().enumerate() {
            let key = key(run);
            let bit = filter_bit(key);
            filter[bit / 64] |= 1 << (bit % 64);
            places.entry(key).or_default().push((s as u32, at as u32));
        }
    }
    let mut longest = vec![0; songs.len()];
    for text in training {
        let text = normalise(text);
        for (from, run) in text.array_windows::<SHORTEST>().enumerate() {
            let key = key(run);
            let bit = filter_bit(key);
            if filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            for &(s, at) in places.get(&key).into_iter().flatten() {
                let both = text[from..].iter().zip(&songs[s as usize][at as usize..]);
                let run = both.take_while(|(a, b)| a == b).count();
                longest[s as usize] = longest[s as usize].max(run);
            }
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lyricist::Rng;

    #[test]
    fn copies_are_found_across_lines_and_capitals() {
        let training = ["Far away the silver moon", "rises over quiet hills"];
        let songs = ["And FAR AWAY\nthe silver sea", "the quiet hills are far", "rises over  quiet hills"];
        assert_eq!(longest_copies(&songs, training), ["far away the silver ".len(), 13 - 1, 23 - 1]);
    }

    #[test]
    fn the_longest_run_is_that_of_trying_all() {
        let mut rng = Rng::new(9);
        let mut draw =
            |n: usize| -> String { (0..n).map(|_| if rng.below(2) == 0 { 'a' } else { 'b' }).collect() };
        let training: Vec<String> = (0..20).map(|_| draw(200)).collect();
        let songs: Vec<String> = (0..20).map(|_| draw(60)).collect();
        let tried = |song: &String| {
            let runs = (0..song.len()).flat_map(|i| (i + 1..=song.len()).map(move |j| &song[i..j]));
            let longest =
                runs.filter(|run| training.iter().any(|text| text.contains(run))).map(str::len).max();
            longest.filter(|&n| n >= SHORTEST).unwrap_or(0)
        };
        let expected: Vec<usize> = songs.iter().map(tried).collect();
        let songs: Vec<&str> = songs.iter().map(String::as_str).collect();
        assert_eq!(longest_copies(&songs, training.iter().map(String::as_str)), expected);
        assert!(expected.iter().any(|&n| n > SHORTEST));
    }
}
