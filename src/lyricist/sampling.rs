//! Drawing the next character.

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

/// Draws an id with probability proportional to exp(score / temperature) among those allowed, or
/// among the likeliest of them that together have the share `top_p` of the probability. If none is
/// allowed, the last id.
pub fn sample(
    scores: &[f32],
    temperature: f32,
    top_p: f32,
    allowed: impl Fn(usize) -> bool,
    rng: &mut Rng,
) -> usize {
    let mut ids: Vec<usize> = (0..scores.len()).filter(|&id| allowed(id)).collect();
    let max = ids.iter().map(|&id| scores[id]).fold(f32::NEG_INFINITY, f32::max);
    let weight = |id: usize| f64::from(math::exp((scores[id] - max) / temperature));
    let mut total: f64 = ids.iter().map(|&id| weight(id)).sum();
    if top_p < 1.0 {
        ids.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let wanted = f64::from(top_p) * total;
        total = 0.0;
        let enough = ids.iter().position(|&id| {
            total += weight(id);
            total >= wanted
        });
        ids.truncate(enough.map_or(ids.len(), |last| last + 1));
    }
    let mut left = rng.uniform() * total;
    for &id in &ids {
        left -= weight(id);
        if left < 0.0 {
            return id;
        }
    }
    ids.last().copied().unwrap_or(scores.len() - 1)
}

/// Draws a place in a list of natural logarithms of weights, sharpened or flattened by a
/// temperature; nothing from an empty list.
pub fn weigh(log_weights: &[f64], temperature: f32, rng: &mut Rng) -> Option<usize> {
    let scores: Vec<f32> = log_weights.iter().map(|&w| w as f32).collect();
    (!scores.is_empty()).then(|| sample(&scores, temperature, 1.0, |_| true, rng))
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
            counts[sample(&scores, 1.0, 1.0, |id| id != 3, &mut rng)] += 1;
        }
        for (count, share) in counts.iter().zip([1.0, 2.0, 5.0, 0.0]) {
            assert!((*count as f64 - share * 10_000.0).abs() < 500.0, "{counts:?}");
        }
    }

    #[test]
    fn a_low_temperature_takes_the_best() {
        let mut rng = Rng::new(3);
        assert!((0..100).all(|_| sample(&[0.1, 0.4, 0.3], 0.01, 1.0, |_| true, &mut rng) == 1));
    }

    #[test]
    fn the_unlikely_is_left_out_by_top_p() {
        // Shares of 0.625, 0.25 and 0.125.
        let scores = [0.0, 5f32.ln(), 2f32.ln()];
        let mut rng = Rng::new(11);
        let mut drawn = |top_p| {
            let mut counts = [0usize; 3];
            for _ in 0..8_000 {
                counts[sample(&scores, 1.0, top_p, |_| true, &mut rng)] += 1;
            }
            counts
        };
        assert_eq!(drawn(0.6), [0, 8_000, 0]);
        let two = drawn(0.8);
        assert!(two[0] == 0 && (two[1] as f64 / 8_000.0 - 5.0 / 7.0).abs() < 0.03, "{two:?}");
        assert!(drawn(1.0)[0] > 800);
    }

    #[test]
    fn weights_are_drawn_by_size() {
        let mut rng = Rng::new(5);
        assert_eq!(weigh(&[], 1.0, &mut rng), None);
        let first = (0..4_000).filter(|_| weigh(&[3f64.ln(), 0.0], 1.0, &mut rng) == Some(0)).count();
        assert!((first as f64 / 4_000.0 - 0.75).abs() < 0.03, "{first}");
    }
}
