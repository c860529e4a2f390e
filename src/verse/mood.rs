//! The mood of a text, by VADER.
//!
//! Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
//! Text", ICWSM 2014: a lexicon of words with a mean valence, as people rated them from -4 to 4,
//! and rules for what stands around them (negation, boosters, "but", capitals, exclamation marks,
//! idioms). The rules are those of the authors' package `vaderSentiment` 3.3.2, whose figures the
//! tests compare with, its quirks included. Emoji, which that package spells out first, are not
//! known here.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// A line is a valence in tenths and the words that have it.
const LEXICON: &str = include_str!("data/vader.txt");

/// Word to valence, -4 to 4. Looked up, never walked through: its order is not the same twice.
static VALENCES: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let mut valences = HashMap::new();
    for line in LEXICON.lines() {
        let mut fields = line.split(' ');
        let tenths = fields.next().and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        valences.extend(fields.map(|word| (word, tenths / 10.0)));
    }
    valences
});

/// What a word of degree adds to the word behind it.
const BOOST: f64 = 0.293;
/// What a word in capitals adds to itself where others are not in capitals.
const CAPITALS: f64 = 0.733;
/// What a negation multiplies by.
const NEGATED: f64 = -0.74;

#[rustfmt::skip]
const BOOSTERS: &[&str] = &[
    "absolutely", "amazingly", "awfully", "completely", "considerable", "considerably", "decidedly",
    "deeply", "effing", "enormous", "enormously", "entirely", "especially", "exceptional",
    "exceptionally", "extreme", "extremely", "fabulously", "flipping", "flippin", "frackin", "fracking",
    "fricking", "frickin", "frigging", "friggin", "fully", "fuckin", "fucking", "fuggin", "fugging",
    "greatly", "hella", "highly", "hugely", "incredible", "incredibly", "intensely", "major", "majorly",
    "more", "most", "particularly", "purely", "quite", "really", "remarkably", "so", "substantially",
    "thoroughly", "total", "totally", "tremendous", "tremendously", "uber", "unbelievably", "unusually",
    "utter", "utterly", "very",
];

#[rustfmt::skip]
const DAMPENERS: &[&str] = &[
    "almost", "barely", "hardly", "just enough", "kind of", "kinda", "kindof", "kind-of", "less",
    "little", "marginal", "marginally", "occasional", "occasionally", "partly", "scarce", "scarcely",
    "slight", "slightly", "somewhat", "sort of", "sorta", "sortof", "sort-of",
];

#[rustfmt::skip]
const NEGATIONS: &[&str] = &[
    "aint", "arent", "cannot", "cant", "couldnt", "darent", "didnt", "doesnt", "dont", "hadnt", "hasnt",
    "havent", "isnt", "mightnt", "mustnt", "neither", "neednt", "never", "none", "nope", "nor", "not",
    "nothing", "nowhere", "oughtnt", "shant", "shouldnt", "uhuh", "wasnt", "werent", "uh-uh", "without",
    "wont", "wouldnt", "rarely", "seldom", "despite",
];

/// Phrases with a word of the lexicon in them that mean something of their own.
const IDIOMS: &[(&str, f64)] = &[
    ("the shit", 3.0),
    ("the bomb", 3.0),
    ("bad ass", 1.5),
    ("badass", 1.5),
    ("bus stop", 0.0),
    ("yeah right", -2.0),
    ("kiss of death", -1.5),
    ("to die for", 3.0),
    ("beating heart", 3.5),
];

/// VADER's compound score of a text, from -1 (most sad) to 1 (most joyful); 0 where nothing in it
/// is known to have a mood. A text of several lines is one text, as a sentence is.
///
/// ```
/// use songwriter::verse::mood::compound;
///
/// assert!(compound("The sun is bright and we are happy!") > 0.5);
/// assert!(compound("The night is cold and I weep alone") < -0.3);
/// assert_eq!(compound("A dog runs over the grass"), 0.0);
/// ```
pub fn compound(text: &str) -> f64 {
    let words = Words::of(text);
    let mut valences: Vec<f64> = (0..words.lower.len()).map(|i| words.valence(i)).collect();
    if let Some(but) = words.lower.iter().position(|w| w == "but") {
        weigh_around_but(&mut valences, but);
    }
    let sum: f64 = valences.iter().sum();
    let marks = |mark| text.matches(mark).count();
    let exclaimed = marks('!').min(4) as f64 * 0.292;
    let asked = match marks('?') {
        0 | 1 => 0.0,
        n @ (2 | 3) => n as f64 * 0.18,
        _ => 0.96,
    };
    let emphasis = exclaimed + asked;
    let sum = match sum {
        s if s > 0.0 => s + emphasis,
        s if s < 0.0 => s - emphasis,
        s => s,
    };
    // 15 is the authors' estimate of the largest sum to be expected.
    sum / (sum * sum + 15.0).sqrt()
}

/// Halves what stands before "but", gives half as much again to what stands behind it. The
/// package finds each value by its first occurrence, so that equal values may be weighed twice
/// and others not at all; we do as it does, or our figures would not be VADER's.
fn weigh_around_but(valences: &mut [f64], but: usize) {
    for i in 0..valences.len() {
        let value = valences[i];
        let first = valences.iter().position(|&v| v == value).unwrap_or(i);
        if first < but {
            valences[first] = value * 0.5;
        } else if first > but {
            valences[first] = value * 1.5;
        }
    }
}

/// A text's words, as VADER tells them apart.
struct Words {
    /// In lower case, punctuation at both ends removed unless next to nothing would be left.
    lower: Vec<String>,
    /// Whether all of a word's letters are capitals.
    capitals: Vec<bool>,
    /// Whether some words are in capitals and some are not, so that capitals say something.
    capitals_count: bool,
}

impl Words {
    fn of(text: &str) -> Self {
        let (mut lower, mut capitals) = (Vec::new(), Vec::new());
        for token in text.split_whitespace() {
            let stripped = token.trim_matches(|c: char| c.is_ascii_punctuation());
            // What is as short as this may be an emoticon.
            let word = if stripped.chars().nth(2).is_none() { token } else { stripped };
            lower.push(word.to_lowercase());
            capitals.push(word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase));
        }
        let count = capitals.iter().filter(|&&c| c).count();
        let capitals_count = 0 < count && count < capitals.len();
        Self { lower, capitals, capitals_count }
    }

    /// The word `back` places before word `i`, or nothing.
    fn before(&self, i: usize, back: usize) -> &str {
        i.checked_sub(back).map_or("", |i| self.lower[i].as_str())
    }

    fn is_shouted(&self, i: usize) -> bool {
        self.capitals[i] && self.capitals_count
    }

    /// Valence of word `i` where it stands.
    fn valence(&self, i: usize) -> f64 {
        let word = self.lower[i].as_str();
        let next = self.lower.get(i + 1).map(String::as_str);
        if boost(word) != 0.0 || (word == "kind" && next == Some("of")) {
            return 0.0;
        }
        let Some(&known) = VALENCES.get(word) else { return 0.0 };
        let mut valence = known;
        if word == "no" && next.is_some_and(|n| VALENCES.contains_key(n)) {
            valence = 0.0; // it negates the next word instead
        }
        let (one, two, three) = (self.before(i, 1), self.before(i, 2), self.before(i, 3));
        if one == "no" || two == "no" || (three == "no" && (one == "or" || one == "nor")) {
            valence = known * NEGATED;
        }
        if self.is_shouted(i) {
            valence += if valence > 0.0 { CAPITALS } else { -CAPITALS };
        }
        for back in 1..=3.min(i) {
            if VALENCES.contains_key(self.before(i, back)) {
                continue;
            }
            let fading = [1.0, 0.95, 0.9][back - 1];
            valence += self.boost_of(i - back, valence) * fading;
            valence *= self.negation(i, back);
            if back == 3 {
                valence = self.idiom(i, valence);
            }
        }
        if one == "least" && !VALENCES.contains_key("least") && (i == 1 || !matches!(two, "at" | "very")) {
            valence *= NEGATED;
        }
        valence
    }

    /// What word `i` adds to a valence behind it.
    fn boost_of(&self, i: usize, valence: f64) -> f64 {
        let mut boost = boost(&self.lower[i]);
        if boost == 0.0 {
            return 0.0;
        }
        if valence < 0.0 {
            boost = -boost;
        }
        if self.is_shouted(i) {
            boost += if valence > 0.0 { CAPITALS } else { -CAPITALS };
        }
        boost
    }

    /// What the word `back` places before word `i` multiplies its valence by.
    fn negation(&self, i: usize, back: usize) -> f64 {
        let is_intense = |word| matches!(word, "so" | "this");
        let (one, two, three) = (self.before(i, 1), self.before(i, 2), self.before(i, 3));
        let negated = if is_negation(self.before(i, back)) { NEGATED } else { 1.0 };
        match back {
            2 if two == "never" && is_intense(one) => 1.25,
            2 if two == "without" && one == "doubt" => 1.0,
            // The package groups its "and" and "or" like this.
            3 if (three == "never" && is_intense(two)) || is_intense(one) => 1.25,
            3 if three == "without" && (two == "doubt" || one == "doubt") => 1.0,
            _ => negated,
        }
    }

    /// The valence of an idiom around word `i`, or the given one; and what a two-word booster adds.
    fn idiom(&self, i: usize, mut valence: f64) -> f64 {
        let phrase = |from: usize, to: usize| self.lower.get(from..=to).map(|words| words.join(" "));
        let known = |phrase: Option<String>| {
            let phrase = phrase?;
            IDIOMS.iter().find(|(idiom, _)| *idiom == phrase).map(|&(_, valence)| valence)
        };
        let behind = [(i - 1, i), (i - 2, i), (i - 2, i - 1), (i - 3, i - 1), (i - 3, i - 2)];
        if let Some(idiom) = behind.into_iter().find_map(|(from, to)| known(phrase(from, to))) {
            valence = idiom;
        }
        for to in [i + 1, i + 2] {
            valence = known(phrase(i, to)).unwrap_or(valence);
        }
        for (from, to) in [(i - 3, i - 2), (i - 2, i - 1)] {
            valence += phrase(from, to).map_or(0.0, |p| boost(&p));
        }
        valence
    }
}

/// What a word of degree adds to a positive word; 0 for other words.
fn boost(word: &str) -> f64 {
    if BOOSTERS.contains(&word) {
        BOOST
    } else if DAMPENERS.contains(&word) {
        -BOOST
    } else {
        0.0
    }
}

fn is_negation(word: &str) -> bool {
    word.contains("n't") || NEGATIONS.contains(&word)
}

/// The mood of a stanza.
///
/// The thresholds are such that no class is rare and that the joyful and the sad are clearly so: of
/// 150,000 stanzas of songs, hymns, ballads and lyric poems of before 1931, 37 % are joyful, 40 %
/// plain and 23 % sad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mood {
    /// [`compound`] of at least [`Mood::JOYFUL_FROM`].
    Joyful,
    /// Neither.
    Plain,
    /// [`compound`] of at most [`Mood::SAD_TO`].
    Sad,
}

impl Mood {
    /// All moods.
    pub const ALL: [Self; 3] = [Self::Joyful, Self::Plain, Self::Sad];
    /// The least compound score of a joyful text.
    pub const JOYFUL_FROM: f64 = 0.6;
    /// The greatest compound score of a sad text.
    pub const SAD_TO: f64 = -0.3;

    /// The mood of a text.
    pub fn of(text: &str) -> Self {
        match compound(text) {
            score if score >= Self::JOYFUL_FROM => Self::Joyful,
            score if score <= Self::SAD_TO => Self::Sad,
            _ => Self::Plain,
        }
    }

    /// Its name, which parses back.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joyful => "joyful",
            Self::Plain => "plain",
            Self::Sad => "sad",
        }
    }
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mood {
    type Err = String;

    /// # Errors
    /// The text is none of the names; the message lists them.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mood| mood.name().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| format!("{text:?} is no mood: joyful, plain or sad"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our sentences with the figures of the authors' package: `pip install vaderSentiment==3.3.2`,
    /// `SentimentIntensityAnalyzer().polarity_scores(text)["compound"]`, which rounds to four places.
    const FIGURES: &[(&str, f64)] = &[
        ("The morning is lovely.", 0.5859),
        ("The morning is lovely!", 0.6239),
        ("The morning is lovely!!!!!!", 0.7156),
        ("The morning is LOVELY and warm", 0.7531),
        ("THE MORNING IS LOVELY", 0.5859),
        ("The morning is very lovely", 0.624),
        ("The morning is VERY lovely", 0.7028),
        ("The morning is not lovely", -0.4717),
        ("The morning isn't all that lovely", -0.4717),
        ("The morning is hardly lovely", 0.5434),
        ("The morning was never so lovely", 0.7803),
        ("The morning was never lovely", -0.4717),
        ("Without a doubt the morning is lovely", 0.7105),
        ("We walked without joy along the shore", -0.4717),
        ("The morning was lovely, but the night was cruel and cold", -0.5859),
        ("But the night was cruel, and cruel was the sea, and I was happy, happy", -0.0772),
        ("Happy, happy, but sad and lonely and sad", -0.8338),
        ("There is no joy in the house", -0.4717),
        ("No hope, no grief, no rest", 0.4585),
        ("Is this love? Is this love?", 0.8677),
        ("Is this love? Is it? Is it? Is it?", 0.7319),
        ("She was the least happy of them all", -0.4585),
        ("She was at least happy in May", 0.5719),
        ("Least happy", -0.4585),
        ("The song was only kind of good", 0.3832),
        ("The song was sort of really good", 0.4404),
        ("A song to die for, my friend", -0.1779),
        ("The kiss of death was on his lips", 0.0772),
        ("With a beating heart I sang", 0.3612),
        ("He waited at the bus stop in the rain", 0.0),
        ("Yeah right, that was a great party", 0.8402),
        ("Well yeah right great fun", 0.8934),
        ("Make sure you :) today", 0.6486),
        ("I sing and I sing :( again", -0.4404),
        ("The dog runs over the green grass", 0.0),
        ("Oh weep no more, my lady, oh weep no more today", -0.8957),
        ("Dark is the grave and bitter the wind,\nmy heart is broken, my joy is gone", 0.128),
        ("Merry and bright is the laughing stream,\nsing, O sing of the golden dream!", 0.8977),
        ("Neither good nor bad nor glad", -0.3979),
        ("She was not so very happy, nor was he", -0.53),
        ("The stars are TOTALLY bright and I am so so happy", 0.8754),
        ("I WEEP and I mourn", -0.8038),
        ("less happy, more happy, almost happy", 0.8958),
        ("I love thee not; I love thee, love, no more", 0.5903),
        ("Never this sad, never so sad was I", -0.8232),
        ("Her 'lovely' eyes -- (so kind!) were full of tears...", 0.7644),
        ("", 0.0),
        ("a", 0.0),
        ("A kind of magic and a kind word", 0.5267),
    ];

    #[test]
    fn the_figures_are_those_of_the_package() {
        for &(text, expected) in FIGURES {
            let found = compound(text);
            assert!((found - expected).abs() < 1e-4, "{text:?}: {found}, the package says {expected}");
        }
    }

    #[test]
    fn the_lexicon_is_whole() {
        assert_eq!(VALENCES.len(), 7488);
        assert!(VALENCES.values().all(|v| v.abs() <= 4.0 && *v != 0.0));
    }

    #[test]
    fn moods_have_names() {
        for mood in Mood::ALL {
            assert_eq!(mood.to_string().parse(), Ok(mood));
            assert_eq!(serde_json::to_string(&mood).unwrap(), format!("\"{mood}\""));
        }
        assert!("merry".parse::<Mood>().unwrap_err().contains("joyful, plain or sad"));
    }

    #[test]
    fn moods_are_told_apart() {
        assert_eq!(Mood::of("Merry and bright is the laughing stream"), Mood::Joyful);
        assert_eq!(Mood::of("A dog runs over the grass"), Mood::Plain);
        assert_eq!(Mood::of("Dark is the grave and bitter the wind"), Mood::Sad);
    }
}
