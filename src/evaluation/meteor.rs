//! METEOR with exact and stem matching.
//!
//! Denkowski and Lavie, "Meteor Universal: Language Specific Translation Evaluation for Any Target
//! Language", WMT 2014, sections 2 and 3, with their English parameters for ranking. The Java tool
//! of the authors also matches synonyms (WordNet) and paraphrases (a table of its own), which are
//! not here, so its numbers are some points higher; called with `-m "exact stem" -w "1.0 0.6"`, it
//! gives ours.

use rust_stemmers::{Algorithm, Stemmer};

/// Weight of recall against precision.
const ALPHA: f64 = 0.85;
/// Shape and size of the penalty for disorder.
const BETA: f64 = 0.2;
const GAMMA: f64 = 0.6;
/// Weight of content words against function words.
const DELTA: f64 = 0.75;
/// Weights of equal words and of words of equal stem.
const WEIGHTS: [f64; 2] = [1.0, 0.6];
/// Alignments that are kept in view.
const BEAM: usize = 40;

/// Words that make up more than a thousandth of English text, as the paper counted them (section
/// 2.2), without those that captions, which hold no figures and marks, can't have.
const FUNCTION_WORDS: [&str; 71] = [
    "a", "about", "after", "all", "also", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can",
    "could", "first", "for", "from", "had", "has", "have", "he", "her", "his", "i", "if", "in", "into", "is",
    "it", "its", "last", "more", "new", "no", "not", "of", "on", "one", "or", "other", "out", "over",
    "people", "s", "said", "she", "so", "some", "than", "that", "the", "their", "there", "they", "this",
    "time", "to", "two", "up", "was", "we", "were", "what", "when", "which", "who", "will", "with", "would",
];
/// More of them, of the same source.
const MORE_FUNCTION_WORDS: [&str; 3] = ["year", "years", "you"];

/// What an alignment counts up to; sums over many sentences score a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    /// Content words and function words of candidate and reference.
    length: [[f64; 2]; 2],
    /// Of these, matched ones, by the kind of match.
    matched: [[[f64; 2]; 2]; 2],
    chunks: f64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        for side in 0..2 {
            for class in 0..2 {
                self.length[side][class] += other.length[side][class];
                for kind in 0..2 {
                    self.matched[kind][side][class] += other.matched[kind][side][class];
                }
            }
        }
        self.chunks += other.chunks;
    }

    fn score(&self) -> f64 {
        let weighed = |counts: &[f64; 2]| DELTA * counts[0] + (1.0 - DELTA) * counts[1];
        let share = |side: usize| {
            let matched: f64 = (0..2).map(|kind| WEIGHTS[kind] * weighed(&self.matched[kind][side])).sum();
            let length = weighed(&self.length[side]);
            if length > 0.0 { matched / length } else { 0.0 }
        };
        let (precision, recall) = (share(0), share(1));
        if precision == 0.0 || recall == 0.0 {
            return 0.0;
        }
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let matches =
            |side: usize| -> f64 { self.matched.iter().map(|kind| kind[side].iter().sum::<f64>()).sum() };
        let matches = [matches(0), matches(1)];
        let disorder = self.chunks / ((matches[0] + matches[1]) / 2.0);
        mean * (1.0 - GAMMA * disorder.powf(BETA))
    }
}

/// A sentence ready to be matched.
#[derive(Debug)]
struct Sentence {
    words: Vec<String>,
    stems: Vec<String>,
    /// 0 for a content word, 1 for a function word.
    class: Vec<usize>,
}

impl Sentence {
    fn new(words: &[String], stemmer: &Stemmer) -> Self {
        let class = |word: &String| {
            let word = word.as_str();
            usize::from(FUNCTION_WORDS.contains(&word) || MORE_FUNCTION_WORDS.contains(&word))
        };
        Self {
            words: words.to_vec(),
            stems: words.iter().map(|word| stemmer.stem(word).into_owned()).collect(),
            class: words.iter().map(class).collect(),
        }
    }
}

/// A beginning of an alignment.
#[derive(Debug, Clone, Default)]
struct Path {
    /// Word of the reference and kind of match, for each word of the candidate so far.
    links: Vec<Option<(usize, usize)>>,
    matches: usize,
    /// Matched words by [`WEIGHTS`], in tenths.
    weight: usize,
    chunks: usize,
    distance: usize,
}

impl Path {
    /// With the candidate's next word matched so.
    fn with(&self, link: Option<(usize, usize)>) -> Self {
        let mut path = self.clone();
        if let Some((at, kind)) = link {
            let goes_on = self.links.last().copied().flatten().is_some_and(|(last, _)| last + 1 == at);
            path.matches += 1;
            path.weight += (10.0 * WEIGHTS[kind]) as usize;
            path.chunks += usize::from(!goes_on);
            path.distance += at.abs_diff(self.links.len());
        }
        path.links.push(link);
        path
    }
}

/// The alignment with the most matches (weighted), then the fewest chunks, then the shortest ways.
fn align(candidate: &Sentence, reference: &Sentence) -> Counts {
    let mut paths = vec![Path::default()];
    for i in 0..candidate.words.len() {
        let kinds: Vec<(usize, usize)> = (0..reference.words.len())
            .filter_map(|j| {
                if candidate.words[i] == reference.words[j] {
                    Some((j, 0))
                } else {
                    (candidate.stems[i] == reference.stems[j]).then_some((j, 1))
                }
            })
            .collect();
        let mut next: Vec<Path> = Vec::new();
        for path in &paths {
            next.push(path.with(None));
            for &(j, kind) in &kinds {
                if !path.links.iter().flatten().any(|&(used, _)| used == j) {
                    next.push(path.with(Some((j, kind))));
                }
            }
        }
        next.sort_by_key(|p| (std::cmp::Reverse(p.weight), p.chunks, p.distance));
        next.truncate(BEAM);
        paths = next;
    }
    let mut counts = Counts::default();
    for (side, sentence) in [candidate, reference].into_iter().enumerate() {
        sentence.class.iter().for_each(|&class| counts.length[side][class] += 1.0);
    }
    if let Some(best) = paths.first() {
        for (i, link) in best.links.iter().enumerate() {
            if let Some((j, kind)) = *link {
                counts.matched[kind][0][candidate.class[i]] += 1.0;
                counts.matched[kind][1][reference.class[j]] += 1.0;
            }
        }
        // One chunk of everything is no disorder at all.
        let whole = candidate.words.len().max(reference.words.len()) == best.matches;
        counts.chunks = if whole && best.chunks == 1 { 0.0 } else { best.chunks as f64 };
    }
    counts
}

/// METEOR against references that stay the same.
#[derive(Debug)]
pub struct Meteor {
    /// Those of each picture.
    references: Vec<Vec<Sentence>>,
}

impl Meteor {
    /// Against the captions of each picture.
    pub fn new(references: &[Vec<Vec<String>>]) -> Self {
        let stemmer = Stemmer::create(Algorithm::English);
        let sentences = |captions: &Vec<Vec<String>>| {
            captions.iter().map(|caption| Sentence::new(caption, &stemmer)).collect()
        };
        Self { references: references.iter().map(sentences).collect() }
    }

    /// METEOR of one caption of picture `i`, from 0 to 1, by the reference that suits it best.
    pub fn score(&self, i: usize, candidate: &[String]) -> f64 {
        self.best(i, candidate).0
    }

    fn best(&self, i: usize, candidate: &[String]) -> (f64, Counts) {
        let candidate = Sentence::new(candidate, &Stemmer::create(Algorithm::English));
        let mut best = (0.0, Counts::default());
        for (k, reference) in self.references[i].iter().enumerate() {
            let counts = align(&candidate, reference);
            let score = counts.score();
            if k == 0 || score > best.0 {
                best = (score, counts);
            }
        }
        best
    }
}

/// METEOR over the whole corpus, from 0 to 1: each candidate is held against the reference that
/// suits it best, and what was counted there is summed up. No candidates score 0.
pub fn meteor(candidates: &[Vec<String>], references: &[Vec<Vec<String>>]) -> f64 {
    let scorer = Meteor::new(references);
    let mut total = Counts::default();
    for (i, candidate) in candidates.iter().enumerate().take(references.len()) {
        total.add(&scorer.best(i, candidate).1);
    }
    total.score()
}
