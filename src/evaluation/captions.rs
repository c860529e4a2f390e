//! Scores of captions against what people wrote.
//!
//! The same numbers as the usual tool for image captions (`pycocoevalcap` 1.2), given the same
//! tokens. Its tokeniser, which needs Java, is not used; `corpus::flickr8k::tokens` follows the
//! same convention.

use std::collections::{BTreeMap, HashMap};

/// How often each run of up to four words occurs.
type Ngrams<'a> = HashMap<&'a [String], usize>;

fn ngrams(words: &[String]) -> Ngrams<'_> {
    let mut counts = Ngrams::new();
    for n in 1..=4 {
        for run in words.windows(n) {
            *counts.entry(run).or_default() += 1;
        }
    }
    counts
}

/// BLEU-1 to BLEU-4 over the whole corpus, each from 0 to 1.
///
/// Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", ACL 2002,
/// section 2; the reference length is the one closest to the candidate's, the shorter of two
/// equally close. `references[i]` are those of `candidates[i]`; what has no counterpart is not
/// counted. No candidates score 0.
pub fn bleu(candidates: &[Vec<String>], references: &[Vec<Vec<String>>]) -> [f64; 4] {
    let mut matched = [0_usize; 4];
    let mut guessed = [0_usize; 4];
    let (mut length, mut reference_length) = (0, 0);
    for (candidate, references) in candidates.iter().zip(references) {
        let mut limits = Ngrams::new();
        for reference in references {
            for (run, count) in ngrams(reference) {
                let limit = limits.entry(run).or_default();
                *limit = count.max(*limit);
            }
        }
        for (run, count) in ngrams(candidate) {
            matched[run.len() - 1] += count.min(limits.get(run).copied().unwrap_or(0));
        }
        for (n, guessed) in guessed.iter_mut().enumerate() {
            *guessed += candidate.len().saturating_sub(n);
        }
        length += candidate.len();
        let closest = references.iter().map(Vec::len).min_by_key(|len| (len.abs_diff(candidate.len()), *len));
        reference_length += closest.unwrap_or(0);
    }
    // The tool adds these, so that a corpus without a match is no logarithm of zero.
    const TINY: f64 = 1e-15;
    const SMALL: f64 = 1e-9;
    let ratio = (length as f64 + TINY) / (reference_length as f64 + SMALL);
    let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
    let mut product = 1.0;
    let mut scores = [0.0; 4];
    for (n, score) in scores.iter_mut().enumerate() {
        product *= (matched[n] as f64 + TINY) / (guessed[n] as f64 + SMALL);
        *score = product.powf(1.0 / (n + 1) as f64) * brevity;
    }
    scores
}

/// ROUGE-L, the mean over the candidates, from 0 to 1.
///
/// Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 3, with beta 1.2
/// and, as in the tool, the best precision and the best recall over the references. No candidates
/// score 0.
pub fn rouge_l(candidates: &[Vec<String>], references: &[Vec<Vec<String>>]) -> f64 {
    const BETA_SQUARED: f64 = 1.2 * 1.2;
    let scores = candidates.iter().zip(references).map(|(candidate, references)| {
        let best = |length: &dyn Fn(&[String]) -> usize| {
            let shares = references.iter().map(|reference| {
                common_subsequence(candidate, reference) as f64 / length(reference).max(1) as f64
            });
            shares.fold(0.0, f64::max)
        };
        let precision = best(&|_| candidate.len());
        let recall = best(&|reference| reference.len());
        if precision == 0.0 || recall == 0.0 {
            return 0.0;
        }
        (1.0 + BETA_SQUARED) * precision * recall / (recall + BETA_SQUARED * precision)
    });
    mean(scores)
}

/// Length of the longest common subsequence.
fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (i, y) in b.iter().enumerate() {
            let above = row[i + 1];
            row[i + 1] = if x == y { diagonal + 1 } else { above.max(row[i]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// CIDEr-D, the mean over the candidates, from 0 to 10.
///
/// Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation", CVPR 2015,
/// section 3 and the gaming-robust form of section 8, sigma 6. Document frequencies are counted on
/// the references given. The tool's class is called `Cider`, its formula is CIDEr-D. No candidates
/// score 0.
pub fn cider_d(candidates: &[Vec<String>], references: &[Vec<Vec<String>>]) -> f64 {
    let pictures = candidates.len().min(references.len());
    let cider = CiderD::new(&references[..pictures]);
    mean(candidates.iter().take(pictures).enumerate().map(|(i, candidate)| cider.score(i, candidate)))
}

/// CIDEr-D against a set of references that stays the same.
#[derive(Debug)]
pub struct CiderD {
    /// In how many pictures' references each run of words occurs.
    frequency: HashMap<Vec<String>, f64>,
    log_pictures: f64,
    references: Vec<Vec<Weighted>>,
}

impl CiderD {
    /// Weighs the references of all pictures.
    pub fn new(references: &[Vec<Vec<String>>]) -> Self {
        let mut frequency = HashMap::<Vec<String>, f64>::new();
        for references in references {
            let mut seen = Ngrams::new();
            references.iter().for_each(|reference| seen.extend(ngrams(reference)));
            for run in seen.into_keys() {
                match frequency.get_mut(run) {
                    Some(count) => *count += 1.0,
                    None => drop(frequency.insert(run.to_vec(), 1.0)),
                }
            }
        }
        let log_pictures = (references.len().max(1) as f64).ln();
        let mut cider = Self { frequency, log_pictures, references: Vec::new() };
        cider.references =
            references.iter().map(|r| r.iter().map(|words| cider.weigh(words)).collect()).collect();
        cider
    }

    fn weigh(&self, words: &[String]) -> Weighted {
        Weighted::new(words, |run| {
            self.log_pictures - self.frequency.get(run).copied().unwrap_or(0.0).max(1.0).ln()
        })
    }

    /// How close a caption is to the references of picture `i`, from 0 to 10.
    ///
    /// # Panics
    /// There is no such picture.
    pub fn score(&self, i: usize, candidate: &[String]) -> f64 {
        const SIGMA: f64 = 6.0;
        let ours = self.weigh(candidate);
        let similarities = self.references[i].iter().map(|theirs| {
            let gap = ours.length - theirs.length;
            let penalty = (-gap * gap / (2.0 * SIGMA * SIGMA)).exp();
            let mut dots = [0.0; 4];
            for (run, weight) in &ours.weights {
                if let Some(other) = theirs.weights.get(run) {
                    dots[run.len() - 1] += weight.min(*other) * other;
                }
            }
            let cosines = dots
                .iter()
                .zip(ours.norms.iter().zip(theirs.norms))
                .map(|(dot, (a, b))| if *a > 0.0 && b > 0.0 { dot / (a * b) } else { *dot });
            cosines.sum::<f64>() / 4.0 * penalty
        });
        10.0 * mean(similarities)
    }
}

/// A sentence as tf-idf weights.
#[derive(Debug)]
struct Weighted {
    /// In the order of the words: sums over them are the same in every run.
    weights: BTreeMap<Vec<String>, f64>,
    /// Euclidean length of the weights of 1-grams to 4-grams.
    norms: [f64; 4],
    /// Number of 2-grams, which is what the tool compares lengths by.
    length: f64,
}

impl Weighted {
    fn new(words: &[String], inverse_frequency: impl Fn(&[String]) -> f64) -> Self {
        let weights: BTreeMap<Vec<String>, f64> = ngrams(words)
            .into_iter()
            .map(|(run, count)| (run.to_vec(), count as f64 * inverse_frequency(run)))
            .collect();
        let mut norms = [0.0; 4];
        for (run, weight) in &weights {
            norms[run.len() - 1] += weight * weight;
        }
        Self { weights, norms: norms.map(f64::sqrt), length: words.len().saturating_sub(1) as f64 }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::meteor::meteor;

    #[derive(serde::Deserialize)]
    struct Reference {
        candidates: Vec<String>,
        references: Vec<Vec<String>>,
        bleu: [f64; 4],
        rouge_l: f64,
        cider: f64,
        meteor: f64,
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn scores_equal_those_of_the_usual_tool() {
        let cases: Vec<Reference> =
            serde_json::from_str(include_str!("../../tests/fixtures/captions_reference.json")).unwrap();
        assert!(cases.len() >= 5);
        for case in cases {
            let candidates: Vec<_> = case.candidates.iter().map(|c| words(c)).collect();
            let references: Vec<Vec<_>> =
                case.references.iter().map(|r| r.iter().map(|r| words(r)).collect()).collect();
            for (found, wanted) in bleu(&candidates, &references).into_iter().zip(case.bleu) {
                assert!((found - wanted).abs() < 1e-6, "BLEU {found}, the tool says {wanted}");
            }
            let found = rouge_l(&candidates, &references);
            assert!((found - case.rouge_l).abs() < 1e-6, "ROUGE-L {found}, the tool says {}", case.rouge_l);
            let found = meteor(&candidates, &references);
            assert!((found - case.meteor).abs() < 1e-6, "METEOR {found}, the tool says {}", case.meteor);
            let found = cider_d(&candidates, &references);
            assert!((found - case.cider).abs() < 1e-6, "CIDEr-D {found}, the tool says {}", case.cider);
        }
    }

    #[test]
    fn nothing_scores_nothing() {
        assert_eq!((bleu(&[], &[]), rouge_l(&[], &[]), cider_d(&[], &[])), ([0.0; 4], 0.0, 0.0));
        let silent = (vec![vec![]], vec![vec![words("a dog")]]);
        assert!(bleu(&silent.0, &silent.1).iter().all(|b| *b < 1e-6));
        assert_eq!(rouge_l(&silent.0, &silent.1), 0.0);
        assert_eq!(cider_d(&silent.0, &silent.1), 0.0);
        assert_eq!(rouge_l(&[words("a dog")], &[vec![]]), 0.0);
    }
}
