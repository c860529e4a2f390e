//! What the network expected at each letter of a song: for people who want to see how it works.

use super::alphabet::END;
use super::options::SongOptions;
use super::writer::Lyricist;
use crate::error::Result;
use crate::nn::math;

/// What the network expects at a place of a text. `None` in place of a character is the end of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Foresight {
    /// The character that stands there; behind the text, the end.
    pub next: Option<char>,
    /// Its probability, at temperature 1; behind the text, that of the end.
    pub p: f32,
    /// The likeliest characters and their probabilities, the likeliest first.
    pub likeliest: Vec<(Option<char>, f32)>,
}

impl Lyricist {
    /// What the network, told of a song what it was told when it wrote it, expects at each character
    /// of the song's text: the probability of the character that stands there, and the `most`
    /// likeliest ones. A last foresight tells of what may follow the text.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn foresee(
        &self,
        text: &str,
        keywords: &[String],
        options: &SongOptions,
        most: usize,
    ) -> Result<Vec<Foresight>> {
        let told = self.brief(options, &self.resolve(keywords)).ids();
        let mut state = self.network.told(&[told]);
        let mut last = END;
        let mut found = Vec::new();
        let ids = self.alphabet.encode(text).0;
        for next in ids.into_iter().map(Some).chain([None]) {
            let mut scores = self.network.step(&[last], &mut state).await?;
            math::log_softmax(&mut scores);
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            order.truncate(most);
            let probability = |id: usize| math::exp(scores[id]);
            found.push(Foresight {
                next: next.and_then(|id| self.alphabet.character(id)),
                p: probability(next.unwrap_or(END)),
                likeliest: order
                    .into_iter()
                    .map(|id| (self.alphabet.character(id), probability(id)))
                    .collect(),
            });
            last = next.unwrap_or(END);
        }
        Ok(found)
    }
}
