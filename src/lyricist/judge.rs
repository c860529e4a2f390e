//! Which of several drafts of a line is kept.

use std::collections::HashSet;

use crate::verse::keywords::{hangs, is_stop_word, stem, words};
use crate::verse::mood::compound;
use crate::verse::syllables::syllables;
use crate::verse::{Mood, is_word, last_word, rhymes};

/// The line as far as the song has come, which a draft has to fit.
#[derive(Debug)]
pub struct Place<'a> {
    /// Lines of the song before this one.
    pub lines: &'a [String],
    /// The line that this one has to rhyme with.
    pub partner: Option<&'a str>,
    /// Whether a later line has to rhyme with this one.
    pub leads: bool,
    /// Stems of the keywords that no line holds yet.
    pub missing: &'a [String],
    /// Stems of the keywords that a line holds already.
    pub present: &'a [String],
    /// Whether there are as many missing keywords as lines left, or more.
    pub pressed: bool,
    /// Mood asked for.
    pub mood: Option<Mood>,
    /// Whether this is the last line.
    pub last: bool,
}

/// A draft as the judge sees it.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The line.
    pub text: &'a str,
    /// Mean of the logarithms of its symbols' probabilities.
    pub mean_log_prob: f64,
    /// Whether it came to an end by itself.
    pub is_whole: bool,
    /// Number of words that rhyme with its end.
    pub rhyme_words: usize,
}

// Weights of what is wished for, against the probability: two draws of the same line at
// temperature 0.8 differ by about 0.2 nats a character, which counts 0.8 here.
const PROBABILITY: f64 = 4.0;
const NO_WORD: f64 = 4.0;
const NO_RHYME: f64 = 6.0;
const FEW_RHYMES: f64 = 1.5;
const ENOUGH_RHYMES: usize = 5;
const KEYWORD: f64 = 1.2;
const KEYWORD_WHEN_PRESSED: f64 = 3.0;
const KEYWORD_AGAIN: f64 = 0.7;
const SYLLABLE: f64 = 0.3;
const SYLLABLES_FREE: usize = 1;
const MOOD: f64 = 2.0;
const REPEATED_LINE: f64 = 10.0;
const REPEATED_WORDS: f64 = 1.0;
const REPEATED_END: f64 = 3.0;
const UNFINISHED: f64 = 5.0;
const OPEN_MARK: f64 = 1.5;
const CAPITAL: f64 = 0.7;
const WEAK_END: f64 = 0.8;
const LAST_STOP: f64 = 0.6;

/// How well a draft fits: the higher the better.
pub fn score(draft: &Candidate<'_>, place: &Place<'_>) -> f64 {
    let text = draft.text;
    let spoken = words(text);
    let stems: HashSet<String> = spoken.iter().map(|word| stem(word)).collect();
    let mut score = PROBABILITY * draft.mean_log_prob;
    score -= NO_WORD * spoken.iter().filter(|word| !is_word(word)).count() as f64;
    if !draft.is_whole || spoken.len() < 2 {
        score -= UNFINISHED;
    }

    match place.partner {
        Some(partner) if !rhymes(text, partner) => score -= NO_RHYME,
        None if place.leads && draft.rhyme_words < ENOUGH_RHYMES => score -= FEW_RHYMES,
        _ => {}
    }
    let end = last_word(text).map(str::to_lowercase);
    let ends = |line: &String| last_word(line).map(str::to_lowercase) == end;
    if place.lines.iter().any(ends) {
        score -= REPEATED_END;
    }
    if end.as_deref().is_none_or(hangs) {
        score -= WEAK_END;
    }

    let held = place.missing.iter().filter(|keyword| stems.contains(*keyword)).count();
    let worth = if place.pressed { KEYWORD_WHEN_PRESSED } else { KEYWORD };
    // Two at once read like a list, but serve where lines are few.
    score += worth * held.min(if place.pressed { 2 } else { 1 }) as f64;
    score -= KEYWORD_AGAIN * place.present.iter().filter(|keyword| stems.contains(*keyword)).count() as f64;

    if let Some(model) = place.partner.or(place.lines.first().map(String::as_str)) {
        let apart = syllables(model).abs_diff(syllables(text)).saturating_sub(SYLLABLES_FREE);
        score -= SYLLABLE * apart as f64;
    }
    score += match place.mood {
        Some(Mood::Joyful) => MOOD * compound(text),
        Some(Mood::Sad) => -MOOD * compound(text),
        Some(Mood::Plain) => -MOOD * compound(text).abs(),
        None => 0.0,
    };

    score -= REPEATED_WORDS * repetitions(&spoken, place.lines) as f64;
    if place.lines.iter().any(|line| words(line) == spoken) {
        score -= REPEATED_LINE;
    }
    let count = |mark: char| text.matches(mark).count();
    if count('"') % 2 == 1 || count('(') != count(')') {
        score -= OPEN_MARK;
    }
    score -= CAPITAL * odd_capitals(text) as f64;
    if place.last && text.ends_with(['.', '!', '?']) {
        score += LAST_STOP;
    }
    score
}

/// Pairs of words that the line says twice or an earlier line has said, and content words that
/// stand in it more than once.
fn repetitions(spoken: &[String], lines: &[String]) -> usize {
    let mut said: HashSet<(String, String)> = HashSet::new();
    for line in lines {
        let earlier = words(line);
        said.extend(earlier.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
    }
    let weighty = |pair: &[String]| !(is_stop_word(&pair[0]) && is_stop_word(&pair[1]));
    let mut again = 0;
    for pair in spoken.windows(2) {
        let is_new = said.insert((pair[0].clone(), pair[1].clone()));
        again += usize::from(!is_new && weighty(pair));
    }
    let mut seen = HashSet::new();
    again + spoken.iter().filter(|word| !is_stop_word(word) && !seen.insert(word.as_str())).count()
}

/// Words in the middle of a line that are all in capitals, which songs hardly ever have.
fn odd_capitals(text: &str) -> usize {
    let shouted = |word: &&str| word.chars().filter(|c| c.is_uppercase()).count() > 1;
    text.split_whitespace().filter(shouted).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, place: &Place<'_>) -> f64 {
        score(&Candidate { text, mean_log_prob: -1.2, is_whole: true, rhyme_words: 20 }, place)
    }

    fn nothing() -> Place<'static> {
        Place {
            lines: &[],
            partner: None,
            leads: false,
            missing: &[],
            present: &[],
            pressed: false,
            mood: None,
            last: false,
        }
    }

    #[test]
    fn each_wish_is_felt() {
        let place = nothing();
        assert!(of("The moon is on the water,", &place) > of("The moon is on the watler,", &place));
        assert!(of("The moon is on the water,", &place) > of("The moon is on the moon,", &place));
        assert!(of("She said the moon is near,", &place) > of("She said \"the moon is near,", &place));
        let lines = ["The moon is on the water,".to_string()];
        let later = Place { lines: &lines, partner: Some(&lines[0]), ..nothing() };
        let daughter = of("And there I met the daughter,", &later);
        assert!(daughter > of("And there I met the miller,", &later));
        assert!(daughter > of("The moon is on the water,", &later));
        assert!(daughter > of("And there I once met the old miller's only lovely daughter,", &later));
        let missing = [stem("dogs")];
        let keywords = Place { missing: &missing, ..nothing() };
        assert!(of("The dog is by the water,", &keywords) > of("The cat is by the water,", &keywords));
        let sad = Place { mood: Some(Mood::Sad), ..nothing() };
        assert!(of("I weep alone for sorrow", &sad) > of("I laugh and dance for gladness", &sad));
    }

    #[test]
    fn a_likelier_line_is_better() {
        let at = |mean_log_prob| {
            score(
                &Candidate { text: "The moon is up,", mean_log_prob, is_whole: true, rhyme_words: 9 },
                &nothing(),
            )
        };
        assert!(at(-1.0) > at(-1.5));
    }
}
