//! Drawing the next character.

use crate::error::{Error, Result};
use crate::nn::math;

/// Random numbers that are the same on every platform: SplitMix64 (Steele, Lea & Flood 2014,
/// Fast splittable pseudorandom number generators, figure 14).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of that seed for a text: with the same seed two texts still draw differently.
    /// A network soon forgets how a song began, and would else write the same song for each.
    pub fn for_text(seed: u64, text: &str) -> Self {
        let mut rng = Self(seed);
        for byte in text.bytes() {
            rng.0 = rng.next_u64() ^ u64::from(byte);
        }
        rng
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        // The bias of the multiplication is below n / 2^64.
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Puts a slice in random order (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// How a song is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct SongOptions {
    /// Scores are divided by it: below 1 plays safe, above 1 dares. In (0, 2].
    pub temperature: f32,
    /// The same seed gives the same song.
    pub random_seed: u64,
    /// A song of so many characters (the prompt not counted) ends with the line it is in, if it has
    /// not ended by itself.
    pub max_chars: usize,
}

impl Default for SongOptions {
    fn default() -> Self {
        Self { temperature: 0.6, random_seed: 1, max_chars: 400 }
    }
}

impl SongOptions {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// A sentence with the range.
    pub fn check(&self) -> Result<()> {
        if !(self.temperature > 0.0 && self.temperature <= 2.0) {
            return Err(Error::Usage(format!(
                "A temperature of {} is out of range: it must be above 0 and at most 2 (0.6 is a good start).",
                self.temperature
            )));
        }
        if !(1..=100_000).contains(&self.max_chars) {
            return Err(Error::Usage("A song may have 1 to 100000 characters.".into()));
        }
        Ok(())
    }
}

/// Draws an id with probability proportional to exp(score / temperature). Ids in `forbidden` are
/// never drawn.
pub fn sample(scores: &[f32], temperature: f32, forbidden: &[usize], rng: &mut Rng) -> usize {
    let allowed = |id: &usize| !forbidden.contains(id);
    let max = (0..scores.len()).filter(allowed).map(|id| scores[id]).fold(f32::NEG_INFINITY, f32::max);
    let weight = |id: usize| f64::from(math::exp((scores[id] - max) / temperature));
    let total: f64 = (0..scores.len()).filter(allowed).map(weight).sum();
    let mut left = rng.uniform() * total;
    let mut last = 0;
    for id in (0..scores.len()).filter(allowed) {
        left -= weight(id);
        last = id;
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_gives_the_published_sequence() {
        // First outputs for seed 1234567, as the reference implementation prints them.
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.next_u64(), rng.next_u64()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn texts_draw_differently() {
        let first = |seed, text| Rng::for_text(seed, text).next_u64();
        assert_eq!(first(5, "a dog"), first(5, "a dog"));
        assert_ne!(first(5, "a dog"), first(5, "a cat"));
        assert_ne!(first(5, "a dog"), first(6, "a dog"));
    }

    #[test]
    fn draws_follow_the_distribution() {
        let scores = [0.0, 2f32.ln(), 5f32.ln(), 100.0];
        let mut rng = Rng::new(7);
        let mut counts = [0usize; 4];
        for _ in 0..80_000 {
            counts[sample(&scores, 1.0, &[3], &mut rng)] += 1;
        }
        for (count, share) in counts.iter().zip([1.0, 2.0, 5.0, 0.0]) {
            assert!((*count as f64 - share * 10_000.0).abs() < 500.0, "{counts:?}");
        }
    }

    #[test]
    fn a_low_temperature_takes_the_best() {
        let mut rng = Rng::new(3);
        assert!((0..100).all(|_| sample(&[0.1, 0.4, 0.3], 0.01, &[], &mut rng) == 1));
    }

    #[test]
    fn temperatures_out_of_range_are_refused() {
        for temperature in [0.0, -1.0, 2.1, f32::NAN] {
            assert!(SongOptions { temperature, ..Default::default() }.check().is_err());
        }
        assert!(SongOptions::default().check().is_ok());
    }
}
