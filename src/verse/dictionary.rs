//! How words sound at their end: CMUdict, packed by the build script, and analogy for the rest.
//!
//! The Carnegie Mellon Pronouncing Dictionary, <http://www.speech.cs.cmu.edu/cgi-bin/cmudict>, with
//! words of verse of our own in front (`data/poetic.dict`). Kept of each pronunciation are the
//! sounds from the last stressed vowel on, what stands before that vowel, and the number of
//! syllables. Unpacked once, in some milliseconds, into about 3 MB.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::{phonemes, spelling};

/// How a word sounds from its last stressed vowel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sound<'a> {
    /// The vowel and all behind it, as places in [`phonemes::PHONEMES`].
    pub rime: &'a [u8],
    /// What stands before the vowel in its syllable, as [`phonemes::onset`] numbers it.
    pub onset: u8,
    /// Syllables of the whole word.
    pub syllables: u8,
}

impl<'a> Sound<'a> {
    /// The last syllable of a word with two syllables or more behind its stress: verse lets the
    /// beat fall on it ("mem-o-RY").
    pub fn promoted(&self) -> Option<Sound<'a>> {
        let vowels = || (0..self.rime.len()).filter(|&i| phonemes::is_vowel(self.rime[i]));
        let (before, last) = (vowels().nth_back(1)?, vowels().nth_back(0)?);
        (vowels().count() > 2).then(|| Sound {
            rime: &self.rime[last..],
            onset: phonemes::onset(&self.rime[before + 1..last]),
            syllables: self.syllables,
        })
    }
}

/// The packed table. Streams, each preceded by nothing, their lengths as `u32` in front of all:
/// 0 runs of letters with their usual onset; for each word 1 how many letters it has in common
/// with the one before (from the end) and 2 its other letters, backwards; 3 how many sounds of the
/// rime before are dropped (high half byte) and added (low), and 4 those added, backwards; 5 the
/// onset plus one where the letters' usual one is wrong, else 0; 6 syllables less those by
/// spelling; 7 other pronunciations: words to skip, onset, syllables, length of the rime, rime.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pronunciations.bin"));

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| Dictionary::unpack(PACKED));

#[derive(Default)]
struct Dictionary {
    /// All words, one behind the other, sorted by their letters from the last to the first.
    letters: String,
    /// Where each word ends in `letters`.
    ends: Vec<u32>,
    /// All rimes, one behind the other.
    sounds: Vec<u8>,
    /// Where each word's usual rime ends in `sounds`.
    rime_ends: Vec<u32>,
    onsets: Vec<u8>,
    syllables: Vec<u8>,
    /// Word, and its place in the packed stream of other pronunciations.
    others: Vec<(u32, Sound<'static>)>,
    /// Runs of letters to their usual onset.
    usual_onsets: HashMap<&'static str, u8>,
}

/// The sounds of a word that is in the dictionary, the usual pronunciation first; else nothing.
pub(super) fn lookup(word: &str) -> Vec<Sound<'static>> {
    DICTIONARY.find(word).map_or_else(Vec::new, |i| DICTIONARY.sounds_of(i))
}

/// Whether the dictionary has the word as it is spelt here.
pub(super) fn contains(word: &str) -> bool {
    DICTIONARY.find(word).is_some()
}

/// The sound of a word that the dictionary lacks, by analogy: its rime is the most frequent one of
/// the words that end like it by the most letters. Nothing where those letters hold no vowel.
pub(super) fn by_analogy(word: &str) -> Option<Sound<'static>> {
    DICTIONARY.analogy(word)
}

impl Dictionary {
    fn unpack(packed: &'static [u8]) -> Self {
        let (lengths, mut rest) = packed.split_at(8 * 4);
        let mut streams = [&packed[..0]; 8];
        for (stream, length) in streams.iter_mut().zip(lengths.as_chunks::<4>().0) {
            (*stream, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        }
        let [onset_map, kept_letters, letters, kept_sounds, new_sounds, onsets, syllables, others] = streams;
        let mut table = Self { usual_onsets: usual_onsets(onset_map), ..Self::default() };
        let mut letters = letters.split(|&b| b == b'\n');
        let mut new_sounds = new_sounds.iter().copied();
        let (mut word, mut rime): (Vec<u8>, Vec<u8>) = Default::default();
        for i in 0..kept_letters.len() {
            word.truncate(usize::from(kept_letters[i]));
            word.extend(letters.next().unwrap_or_default());
            table.letters.extend(word.iter().rev().map(|&b| char::from(b)));
            table.ends.push(table.letters.len() as u32);

            rime.truncate(rime.len() - usize::from(kept_sounds[i] >> 4));
            rime.extend(new_sounds.by_ref().take(usize::from(kept_sounds[i] & 15)));
            table.sounds.extend(rime.iter().rev());
            table.rime_ends.push(table.sounds.len() as u32);

            let word = table.word(i);
            let vowels = rime.iter().filter(|s| phonemes::is_vowel(**s)).count();
            let usual = || table.usual_onsets.get(spelling::onset_letters(word, vowels)).copied();
            let onset = onsets[i].checked_sub(1).unwrap_or_else(|| usual().unwrap_or(0));
            let heard = syllables[i].wrapping_add(spelling::syllables(word) as u8);
            table.onsets.push(onset);
            table.syllables.push(heard);
        }
        table.unpack_others(others);
        table
    }

    fn unpack_others(&mut self, mut stream: &'static [u8]) {
        let mut word = 0;
        while let [skip, rest @ ..] = stream {
            word += u32::from(*skip);
            stream = rest;
            if *skip == 255 {
                continue;
            }
            let [onset, syllables, length, rest @ ..] = stream else { break };
            let (rime, rest) = rest.split_at(usize::from(*length));
            self.others.push((word, Sound { rime, onset: *onset, syllables: *syllables }));
            stream = rest;
        }
    }

    fn word(&self, i: usize) -> &str {
        let begin = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.letters[begin as usize..self.ends[i] as usize]
    }

    fn usual_sound(&self, i: usize) -> Sound<'_> {
        let begin = i.checked_sub(1).map_or(0, |before| self.rime_ends[before]);
        let rime = &self.sounds[begin as usize..self.rime_ends[i] as usize];
        Sound { rime, onset: self.onsets[i], syllables: self.syllables[i] }
    }

    fn sounds_of(&self, i: usize) -> Vec<Sound<'_>> {
        let first = self.others.partition_point(|other| (other.0 as usize) < i);
        let others =
            self.others[first..].iter().take_while(|other| other.0 as usize == i).map(|other| other.1);
        std::iter::once(self.usual_sound(i)).chain(others).collect()
    }

    /// The place of the first word that is not before this one.
    fn place(&self, word: &str) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.word(middle).bytes().rev().cmp(word.bytes().rev()) {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    fn find(&self, word: &str) -> Option<usize> {
        Some(self.place(word)).filter(|&i| i < self.ends.len() && self.word(i) == word)
    }

    fn analogy(&self, word: &str) -> Option<Sound<'_>> {
        let place = self.place(word);
        let shared = |i: usize| {
            let both = self.word(i).bytes().rev().zip(word.bytes().rev());
            both.take_while(|(a, b)| a == b).count()
        };
        let around = place.saturating_sub(1)..self.ends.len().min(place + 1);
        let most = around.map(shared).max()?;
        let groups = spelling::vowel_groups(word.as_bytes());
        if groups.last().is_none_or(|&(begin, _)| word.len() - most > begin) {
            return None;
        }
        let below = (0..place).rev().take_while(|&i| shared(i) == most).last().unwrap_or(place);
        let above =
            (place..self.ends.len()).take_while(|&i| shared(i) == most).last().map_or(place, |i| i + 1);
        let mut counts: Vec<(&[u8], usize)> = Vec::new();
        for i in below..above {
            let rime = self.usual_sound(i).rime;
            match counts.iter_mut().find(|(known, _)| *known == rime) {
                Some((_, count)) => *count += 1,
                None => counts.push((rime, 1)),
            }
        }
        let (rime, _) = counts.into_iter().rev().max_by_key(|&(_, count)| count)?;
        let vowels = rime.iter().filter(|s| phonemes::is_vowel(**s)).count();
        let letters = spelling::onset_letters(word, vowels);
        let onset = self.usual_onsets.get(letters).copied().unwrap_or(0);
        Some(Sound { rime, onset, syllables: spelling::syllables(word).max(vowels) as u8 })
    }
}

fn usual_onsets(mut stream: &'static [u8]) -> HashMap<&'static str, u8> {
    let mut usual = HashMap::new();
    while let Some(end) = stream.iter().position(|&b| b == b'\n') {
        let Some(&onset) = stream.get(end + 1) else { break };
        usual.insert(std::str::from_utf8(&stream[..end]).unwrap_or_default(), onset);
        stream = &stream[end + 2..];
    }
    usual
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(sound: &Sound<'_>) -> String {
        let names: Vec<&str> = sound.rime.iter().map(|&s| phonemes::PHONEMES[usize::from(s)]).collect();
        names.join(" ")
    }

    fn heard(word: &str) -> Vec<(String, u8)> {
        lookup(word).iter().map(|sound| (spoken(sound), sound.syllables)).collect()
    }

    #[test]
    fn words_sound_as_cmudict_says() {
        for (word, rimes) in [
            ("light", &[("AY T", 1)][..]),
            ("ocean", &[("OW SH AH N", 2)]),
            ("sunset", &[("EH T", 2)]),
            ("memory", &[("EH M ER IY", 3)]),
            ("can't", &[("AE N T", 1)]),
            ("o'er", &[("AO R", 1)]),
            ("wind", &[("AY N D", 1), ("IH N D", 1)]),
            ("fire", &[("AY ER", 2)]),
        ] {
            let rimes: Vec<_> = rimes.iter().map(|&(rime, n)| (rime.to_string(), n)).collect();
            assert_eq!(heard(word), rimes, "{word}");
        }
        assert!(heard("blorptide").is_empty() && heard("").is_empty());
    }

    #[test]
    fn onsets_are_those_of_the_stressed_syllable() {
        let onset = |word: &str| lookup(word)[0].onset;
        for (a, b) in [("complain", "plain"), ("believe", "leave"), ("sea", "see"), ("write", "right")] {
            assert_eq!(onset(a), onset(b), "{a}, {b}");
        }
        for (a, b) in [("light", "slight"), ("rain", "train"), ("all", "call"), ("city", "pity")] {
            assert_ne!(onset(a), onset(b), "{a}, {b}");
        }
    }

    #[test]
    fn unknown_words_sound_like_their_neighbours() {
        for (word, rime) in [("moonlorn", "AO R N"), ("befrighted", "AY T AH D"), ("streamlets", "AH T S")] {
            assert!(!contains(word), "{word} is no test of analogy");
            assert!(spoken(&by_analogy(word).unwrap()).ends_with(rime), "{word}");
        }
        for word in ["", "xq", "bzzt", "e"] {
            assert_eq!(by_analogy(word).map(|s| spoken(&s)).filter(|_| word != "e"), None, "{word}");
        }
    }

    #[test]
    fn the_beat_may_fall_on_a_last_syllable() {
        let promoted = |word: &str| lookup(word)[0].promoted().map(|s| spoken(&s));
        assert_eq!(promoted("memory"), Some("IY".to_string()));
        assert_eq!(promoted("morning"), None);
    }

    /// The limit is that of the issue, 600 KB compressed; the table is well below it.
    #[test]
    fn the_table_is_small() {
        assert!(DICTIONARY.ends.len() > 110_000);
        assert!(PACKED.len() < 1_100_000, "{}", PACKED.len());
    }
}
