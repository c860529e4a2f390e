//! Beam search: the likeliest sentence, not the likeliest word each time.

use crate::captioner::network::{Network, State};
use crate::captioner::words::{END, UNKNOWN, Words};
use crate::error::{Error, Result};
use crate::nn::math::log_softmax;
use crate::verse::keywords::is_stop_word;

/// Words that a caption has at most.
pub const MAX_WORDS: usize = 24;

/// Keeps the best beginnings of a sentence in view and extends them word by word (Sutskever,
/// Vinyals & Le 2014, section 3.2).
#[derive(Debug, Clone, Copy)]
pub struct BeamSearch {
    width: usize,
    longest: usize,
}

/// A sentence found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Word ids, the end symbol not among them.
    pub ids: Vec<usize>,
    /// Natural logarithm of its probability, the end symbol counted.
    pub log_prob: f32,
    /// Where the network looked for each word and for the end; empty of one that looks only once.
    pub attention: Vec<Vec<f32>>,
}

impl Hypothesis {
    /// Log-probability by length: without the division the search prefers short sentences, as each
    /// further word costs (Wu et al. 2016, arXiv 1609.08144, section 7). With an exponent
    /// above one, a sentence that tells more wins over one that is as likely word by word.
    fn score(&self) -> f32 {
        let symbols = (self.ids.len() + 1) as f32;
        // symbols^1.5; roots are rounded alike everywhere, powers are not.
        self.log_prob / (symbols * symbols.sqrt())
    }
}

/// What a sentence must not say twice.
///
/// A network that has learned from its own captions says a noun again rather than none ("a man is
/// riding a bike on a bike"). People repeat a word, in one caption of thirteen, nearly always to
/// tell two things of a kind apart ("a brown dog and a white dog").
#[derive(Debug, Clone, Default)]
pub struct Repetition {
    /// Whether each id is a word with content, which "a" and "in" are not.
    content: Vec<bool>,
}

impl Repetition {
    /// The rule for a vocabulary: a word with content comes again only behind another one, which it
    /// did not follow before.
    pub fn of(words: &Words) -> Self {
        let content = |id| words.word(id).is_some_and(|word| !is_stop_word(word));
        Self { content: (0..words.len()).map(content).collect() }
    }

    /// Whether a word must not follow what was said.
    fn forbids(&self, said: &[usize], next: usize) -> bool {
        let has_content = |id: usize| self.content.get(id) == Some(&true);
        if !has_content(next) || !said.contains(&next) {
            return false;
        }
        let told_apart = said.last().is_some_and(|&last| {
            has_content(last) && last != next && !said.windows(2).any(|pair| pair == [last, next])
        });
        !told_apart
    }
}

impl BeamSearch {
    /// A search that keeps `width` beginnings in view.
    ///
    /// # Errors
    /// The width is not from 1 to 100.
    pub fn new(width: usize) -> Result<Self> {
        if !(1..=100).contains(&width) {
            return Err(Error::Usage(format!(
                "A beam of {width} is out of range: it must be from 1 to 100 (3 is a good start)."
            )));
        }
        Ok(Self { width, longest: MAX_WORDS })
    }

    /// Sentences from a state (one row) that has read the picture, the best first; none with a
    /// repetition.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn run(
        &self,
        network: &Network,
        mut state: State,
        repetition: &Repetition,
    ) -> Result<Vec<Hypothesis>> {
        let mut open = vec![Hypothesis::default()];
        let mut last = vec![END];
        let mut done: Vec<Hypothesis> = Vec::new();
        for length in 0..=self.longest {
            let mut scores = network.step(&last, &mut state).await?;
            let mut next: Vec<(f32, usize, usize)> = Vec::new();
            for (row, (hypothesis, scores)) in
                open.iter().zip(scores.chunks_exact_mut(network.symbols())).enumerate()
            {
                log_softmax(scores);
                for (id, &log_prob) in scores.iter().enumerate() {
                    let closes = id == END;
                    // An empty sentence says nothing, the unknown word is none, and at the
                    // longest only the end is left.
                    if id == UNKNOWN
                        || (closes && length == 0)
                        || (!closes && length == self.longest)
                        || repetition.forbids(&hypothesis.ids, id)
                    {
                        continue;
                    }
                    next.push((hypothesis.log_prob + log_prob, row, id));
                }
            }
            // Ties go to the earlier row and the smaller id, so that the order is the same
            // everywhere.
            next.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            let mut rows = Vec::new();
            let mut extended = Vec::new();
            last.clear();
            for &(log_prob, row, id) in next.iter().take(self.width) {
                let Hypothesis { ids, attention, .. } = open[row].clone();
                let mut hypothesis = Hypothesis { ids, log_prob, attention };
                hypothesis.attention.push(state.attention(row));
                if id == END {
                    done.push(hypothesis);
                } else {
                    hypothesis.ids.push(id);
                    extended.push(hypothesis);
                    rows.push(row);
                    last.push(id);
                }
            }
            if extended.is_empty() || done.len() >= self.width {
                break;
            }
            state = state.select(&rows);
            open = extended;
        }
        done.sort_by(|a, b| b.score().total_cmp(&a.score()));
        Ok(done)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::captioner::decoder::{Attention, DecoderConfig};
    use crate::captioner::encoder::{FEATURES, REGIONS};
    use crate::lyricist::sampling::Rng;
    use crate::nn::{Compute, block_on};
    use crate::weights::Tensors;

    /// End, unknown and three words.
    const WORDS: usize = 5;

    /// A network of random weights, large enough that it has opinions.
    fn network(seed: u64) -> Network {
        let config = DecoderConfig {
            words: WORDS,
            embedding_size: 4,
            hidden_size: 6,
            attention: Attention::Additive,
            attention_size: 5,
            value_size: 3,
            dropout: 0.0,
        };
        let mut rng = Rng::new(seed);
        let mut tensors = Tensors::new("toy");
        let shapes: [(&str, &[usize]); 16] = [
            ("value.weight", &[FEATURES, 3]),
            ("value.bias", &[3]),
            ("key.weight", &[3, 5]),
            ("key.bias", &[5]),
            ("query", &[6, 5]),
            ("score", &[5]),
            ("start.weight", &[3, 12]),
            ("start.bias", &[12]),
            ("embedding", &[WORDS, 4]),
            ("lstm.0.input", &[4, 24]),
            ("lstm.0.context", &[3, 24]),
            ("lstm.0.recurrent", &[6, 24]),
            ("lstm.0.bias", &[24]),
            ("output.weight", &[9, 4]),
            ("output.bias", &[4]),
            ("words.bias", &[WORDS]),
        ];
        for (name, shape) in shapes {
            let size = shape.iter().product();
            let scale = if name == "value.weight" { 0.1 } else { 3.0 };
            let values = (0..size).map(|_| scale * (rng.uniform() as f32 - 0.5)).collect();
            tensors.insert(name, shape, values);
        }
        Network::new(&config, &tensors, &Compute::cpu()).unwrap()
    }

    fn grid(seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..REGIONS * FEATURES).map(|_| rng.uniform() as f32).collect()
    }

    /// The log-probability of a sentence, word by word.
    fn measure(network: &Network, grid: &[f32], ids: &[usize]) -> f32 {
        let mut state = network.begin(grid).unwrap();
        let mut last = END;
        let mut sum = 0.0;
        for &id in ids.iter().chain([&END]) {
            let mut scores = block_on(network.step(&[last], &mut state)).unwrap();
            log_softmax(&mut scores);
            sum += scores[id];
            last = id;
        }
        sum
    }

    /// All sentences of one to `longest` words.
    fn sentences(longest: usize) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        let mut begun = vec![Vec::new()];
        for _ in 0..longest {
            let next = |ids: &Vec<usize>| {
                let ids = ids.clone();
                (UNKNOWN + 1..WORDS).map(move |id| [ids.as_slice(), &[id]].concat())
            };
            begun = begun.iter().flat_map(next).collect();
            all.extend(begun.iter().cloned());
        }
        all
    }

    #[test]
    fn a_beam_as_wide_as_the_language_finds_what_trying_all_finds() {
        for seed in 0..5 {
            let (network, grid) = (network(seed), grid(seed));
            let search = BeamSearch { width: 100, longest: 3 };
            let found = block_on(search.run(&network, network.begin(&grid).unwrap(), &Repetition::default()))
                .unwrap();
            let mut all: Vec<Hypothesis> = sentences(3)
                .into_iter()
                .map(|ids| Hypothesis { log_prob: measure(&network, &grid, &ids), ids, attention: vec![] })
                .collect();
            all.sort_by(|a, b| b.score().total_cmp(&a.score()));
            assert_eq!(found.len(), 39);
            for (found, wanted) in found.iter().zip(&all) {
                assert_eq!(found.ids, wanted.ids, "seed {seed}");
                assert!((found.log_prob - wanted.log_prob).abs() < 1e-4);
            }
            for hypothesis in &found {
                assert_eq!(hypothesis.attention.len(), hypothesis.ids.len() + 1);
                for attention in &hypothesis.attention {
                    assert_eq!(attention.len(), REGIONS);
                    assert!((attention.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn words_with_content_come_again_only_to_tell_things_apart() {
        let caption = "a man in a hat and a brown dog".split(' ').map(String::from);
        let words = Words::from_captions([caption.collect::<Vec<_>>().as_slice()], 1);
        let repetition = Repetition::of(&words);
        let forbids = |said: &str, next: &str| {
            let ids: Vec<usize> = said.split_whitespace().map(|word| words.id(word)).collect();
            repetition.forbids(&ids, words.id(next))
        };
        for (said, next) in [("brown", "brown"), ("a man and a", "man"), ("brown dog and a brown", "dog")] {
            assert!(forbids(said, next), "{said} {next}");
        }
        for (said, next) in
            [("", "dog"), ("a man in a hat in", "a"), ("a man in", "in"), ("a dog and a brown", "dog")]
        {
            assert!(!forbids(said, next), "{said} {next}");
        }

        // The search keeps to it: of three words, one of which has content, that comes at most once.
        let (network, grid) = (network(9), grid(9));
        let rule = Repetition { content: vec![false, false, true, false, false] };
        let search = BeamSearch { width: 100, longest: 3 };
        let found = block_on(search.run(&network, network.begin(&grid).unwrap(), &rule)).unwrap();
        assert_eq!(found.len(), 39 - 1 - 1 - 3 * 2);
        assert!(found.iter().all(|h| h.ids.iter().filter(|&&id| id == 2).count() < 2));
    }

    #[test]
    fn a_narrow_beam_takes_the_likeliest_word_each_time() {
        let (network, grid) = (network(9), grid(9));
        let search = BeamSearch { width: 1, longest: 3 };
        let found =
            block_on(search.run(&network, network.begin(&grid).unwrap(), &Repetition::default())).unwrap();
        let mut ids = Vec::new();
        let mut state = network.begin(&grid).unwrap();
        let mut last = END;
        while ids.len() < 3 {
            let scores = block_on(network.step(&[last], &mut state)).unwrap();
            let allowed = (0..WORDS).filter(|&id| id != UNKNOWN && (id != END || !ids.is_empty()));
            last = allowed.max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            if last == END {
                break;
            }
            ids.push(last);
        }
        assert_eq!(found[0].ids, ids);
        assert!(BeamSearch::new(0).is_err() && BeamSearch::new(101).is_err());
    }
}
