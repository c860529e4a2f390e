//! Whether songs make sense: figures that fall when a text falls apart, to be read beside those of
//! what people wrote.

use std::collections::HashSet;

use serde::Serialize;

use crate::verse::keywords::{stem, words};
use crate::verse::mood::compound;
use crate::verse::syllables::syllables;
use crate::verse::{Scheme, is_word, rhymes};

/// A song with the keywords that it was to hold.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Lines, separated by newlines.
    pub text: &'a str,
    /// The words that were asked for.
    pub keywords: &'a [String],
}

/// The figures for a set of songs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sense {
    /// Number of songs.
    pub songs: usize,
    /// [`dictionary_share`].
    pub dictionary: f64,
    /// [`rhyme_share`] of the scheme that was asked for, or of each song's best one.
    pub rhyme: f64,
    /// [`syllable_spread`].
    pub syllable_spread: f64,
    /// [`distinct_2`].
    pub distinct_2: f64,
    /// [`loop_rate`].
    pub loops: f64,
    /// [`keyword_hits`] with the songs' own keywords.
    pub keywords: f64,
    /// [`keyword_hits`] with those of the next song, which happen to occur.
    pub shuffled_keywords: f64,
    /// Mean of VADER's compound score.
    pub mood: f64,
    /// Median of the longest runs copied from the training text, in characters
    /// ([`super::copying`]).
    pub copied_median: usize,
    /// 99.9th percentile of the same.
    pub copied_999: usize,
}

impl Sense {
    /// Measures songs. `copied` are the longest copied runs, one a song.
    pub fn of(songs: &[Told<'_>], scheme: Option<Scheme>, copied: &[usize]) -> Self {
        let texts: Vec<&str> = songs.iter().map(|song| song.text).collect();
        let moods: f64 = texts.iter().map(|text| compound(text)).sum();
        Self {
            songs: songs.len(),
            dictionary: dictionary_share(&texts),
            rhyme: rhyme_share(&texts, scheme),
            syllable_spread: syllable_spread(&texts),
            distinct_2: distinct_2(&texts),
            loops: loop_rate(&texts),
            keywords: keyword_hits(songs, 0),
            shuffled_keywords: keyword_hits(songs, 1),
            mood: moods / texts.len().max(1) as f64,
            copied_median: percentile(copied, 50.0),
            copied_999: percentile(copied, 99.9),
        }
    }

    /// Names of the columns of [`Self::row`].
    pub const HEADER: &str =
        "dictionary  rhyme  syllables+-  distinct-2  loops  keywords  shuffled   mood  copied 50%/99.9%";

    /// The figures as a line of a table.
    pub fn row(&self) -> String {
        format!(
            "{:>9.2}% {:>5.1}% {:>12.2} {:>11.3} {:>5.1}% {:>8.1}% {:>8.1}% {:>6.2} {:>9} / {}",
            100.0 * self.dictionary,
            100.0 * self.rhyme,
            self.syllable_spread,
            self.distinct_2,
            100.0 * self.loops,
            100.0 * self.keywords,
            100.0 * self.shuffled_keywords,
            self.mood,
            self.copied_median,
            self.copied_999
        )
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Share of the words that are English ones by [`is_word`]. What a hyphen joins counts as several
/// words; contractions, older spellings and derived forms count as English, most names do not.
pub fn dictionary_share(texts: &[&str]) -> f64 {
    let spoken: Vec<String> = texts.iter().flat_map(|text| words(text)).collect();
    share(spoken.iter().filter(|word| is_word(word)).count(), spoken.len())
}

/// Share of the pairs of lines that a scheme wants to rhyme and that do, by [`rhymes`]; a word does
/// not rhyme with itself. Without a scheme, each text is held to that of AABB, ABAB and ABCB by which
/// most of its pairs rhyme. Stanzas are told apart by blank lines.
pub fn rhyme_share(texts: &[&str], scheme: Option<Scheme>) -> f64 {
    let count = |stanza: &str, scheme: Scheme| {
        let lines: Vec<&str> = stanza.lines().collect();
        let pairs = (0..lines.len()).filter_map(|i| Some((lines[i], lines[scheme.partner(i)?])));
        pairs.fold((0, 0), |(good, all), (a, b)| (good + usize::from(rhymes(a, b)), all + 1))
    };
    let (mut good, mut all) = (0, 0);
    for stanza in texts.iter().flat_map(|text| text.split("\n\n")) {
        let found = match scheme {
            Some(scheme) => count(stanza, scheme),
            None => Scheme::ALL
                .map(|scheme| count(stanza, scheme))
                .into_iter()
                .max_by(|a, b| share(a.0, a.1).total_cmp(&share(b.0, b.1)))
                .unwrap_or_default(),
        };
        good += found.0;
        all += found.1;
    }
    share(good, all)
}

/// Mean over the songs of the standard deviation of the syllables of their lines: how evenly the
/// lines run.
pub fn syllable_spread(texts: &[&str]) -> f64 {
    let deviation = |text: &&str| {
        let counts: Vec<f64> =
            text.lines().filter(|line| !line.is_empty()).map(|line| syllables(line) as f64).collect();
        let n = counts.len().max(1) as f64;
        let mean = counts.iter().sum::<f64>() / n;
        (counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    texts.iter().map(deviation).sum::<f64>() / texts.len().max(1) as f64
}

/// Different pairs of neighbouring words over all pairs (Li et al. 2016, arXiv 1510.03055, section
/// 5.1). It falls as the number of songs grows: compare sets of like size.
pub fn distinct_2(texts: &[&str]) -> f64 {
    let spoken: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
    let pairs = || spoken.iter().flat_map(|words| words.windows(2));
    share(pairs().collect::<HashSet<_>>().len(), pairs().count())
}

/// A line that stands so often in a stanza means that the writer is stuck.
const STUCK_LINES: usize = 3;
/// One to so many words make a phrase ...
const PHRASE: usize = 6;
/// ... that is stuck if it stands so often in a row.
const STUCK_PHRASES: usize = 4;

/// Share of the songs in which the writer is stuck: a line stands three times in a stanza, or up to
/// six words are said four times in a row. A refrain of two lines is no loop. (Holtzman et al. 2020,
/// arXiv 1904.09751, section 4, count a phrase that repeats to the text's end; songs end too soon for
/// that.)
pub fn loop_rate(texts: &[&str]) -> f64 {
    share(texts.iter().filter(|text| is_stuck(text)).count(), texts.len())
}

fn is_stuck(text: &str) -> bool {
    let stuck_line = text.split("\n\n").any(|stanza| {
        let lines: Vec<Vec<String>> = stanza.lines().map(words).filter(|line| !line.is_empty()).collect();
        lines.iter().any(|line| lines.iter().filter(|other| *other == line).count() >= STUCK_LINES)
    });
    let spoken = words(text);
    let stuck_phrase = (1..=PHRASE).any(|n| {
        // As many words in a row equal those one phrase before them as make the phrase's repetitions.
        let mut run = 0;
        spoken.iter().skip(n).zip(&spoken).any(|(word, before)| {
            run = if word == before { run + 1 } else { 0 };
            run >= n * (STUCK_PHRASES - 1)
        })
    });
    stuck_line || stuck_phrase
}

/// Share of the keywords whose stem occurs in the song; with `shift`, those of the song so many
/// places further on are looked for, which tells how many would be met by chance.
pub fn keyword_hits(songs: &[Told<'_>], shift: usize) -> f64 {
    let (mut hits, mut all) = (0, 0);
    for (i, song) in songs.iter().enumerate() {
        let own: HashSet<String> = song.keywords.iter().map(|word| stem(word)).collect();
        let spoken: HashSet<String> = words(song.text).iter().map(|word| stem(word)).collect();
        for keyword in songs[(i + shift) % songs.len()].keywords.iter().map(|word| stem(word)) {
            // What both songs were asked for would be no chance.
            if shift == 0 || !own.contains(&keyword) {
                all += 1;
                hits += usize::from(spoken.contains(&keyword));
            }
        }
    }
    share(hits, all)
}

/// The smallest value that at least so many per cent of the values do not exceed (nearest rank).
pub fn percentile(values: &[usize], per_cent: f64) -> usize {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    // 99.9 / 100 is no exact binary fraction.
    let rank = (per_cent / 100.0 * sorted.len() as f64 - 1e-9).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} and {b}");
    }

    #[test]
    fn words_that_are_none_are_counted() {
        close(dictionary_share(&["The moon is blorptide", "o'er the hills"]), 6.0 / 7.0);
    }

    #[test]
    fn rhymes_are_counted_by_scheme() {
        let couplets = "in the night\nburns a light\non the sea\ncomes to me";
        let crossed = "in the night\non the sea\nburns a light\ncomes to me";
        close(rhyme_share(&[couplets], Some(Scheme::Aabb)), 1.0);
        close(rhyme_share(&[couplets], Some(Scheme::Abab)), 0.0);
        close(rhyme_share(&[couplets, crossed], None), 1.0);
        close(rhyme_share(&["in the night\nin the night"], Some(Scheme::Aabb)), 0.0);
        close(rhyme_share(&[&format!("{couplets}\n\n{crossed}")], Some(Scheme::Aabb)), 0.5);
    }

    #[test]
    fn lines_of_unequal_length_spread() {
        close(syllable_spread(&["the sea is wide\nthe sea is deep", "the sea\nthe sea is deep"]), 0.5);
    }

    #[test]
    fn repeated_pairs_make_a_text_less_distinct() {
        close(distinct_2(&["the sea the sea", "a moon"]), 0.75);
    }

    #[test]
    fn loops_are_told_from_refrains() {
        close(loop_rate(&["la la la la", "go on and go on and\ngo on and go on and"]), 1.0);
        close(loop_rate(&["the sea\nthe sea\nthe sea"]), 1.0);
        close(loop_rate(&["roll on, roll on\nroll on, o sea\nroll on, roll on\nto me"]), 0.0);
        close(loop_rate(&["la la la we sing\nthe sea, the sea\nthe open sea"]), 0.0);
    }

    #[test]
    fn keywords_hit_by_stem_and_by_chance() {
        let (dog, sea) = (["dogs".to_string()], ["sea".to_string()]);
        let songs = [
            Told { text: "a dog by the sea", keywords: &dog },
            Told { text: "the moon is high", keywords: &sea },
        ];
        close(keyword_hits(&songs, 0), 0.5);
        close(keyword_hits(&songs, 1), 0.5);
    }

    #[test]
    fn percentiles_are_of_nearest_rank() {
        let values: Vec<usize> = (1..=1000).rev().collect();
        assert_eq!([50.0, 99.9, 100.0].map(|p| percentile(&values, p)), [500, 999, 1000]);
        assert_eq!((percentile(&[7], 99.9), percentile(&[], 50.0)), (7, 0));
    }
}
