//! The one source of randomness: ChaCha8 streams derived from a seed and a name.
//!
//! Two streams with different names never influence each other, so adding a draw to one source of
//! logs leaves the bytes of every other source as they were.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A named stream of reproducible random values.
#[derive(Debug, Clone)]
pub struct Random(ChaCha8Rng);

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl Random {
    /// The stream called `name` of `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A value in `0..limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // Multiply-shift: the bias is at most limit / 2^64.
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A value in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A value in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Index into `weights`, each chosen in proportion to its weight.
    pub fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let total: u64 = weights.clone().map(u64::from).sum();
        let mut point = self.below(total.max(1));
        for (index, weight) in weights.enumerate() {
            if point < u64::from(weight) {
                return index;
            }
            point -= u64::from(weight);
        }
        0
    }

    /// A long-tailed size: the median is `median`, one in a hundred is about `median * e^(2.3 spread)`.
    pub fn long_tail(&mut self, median: f64, spread: f64) -> f64 {
        // Sum of twelve uniforms: a normal deviate without a table, the same on every machine.
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        median * (normal * spread).exp()
    }

    /// `digits` lower-case hex digits.
    pub fn hex(&mut self, digits: usize) -> String {
        self.text(digits, &ALPHABET[..16])
    }

    /// `letters` lower-case letters and digits.
    pub fn alphanumeric(&mut self, letters: usize) -> String {
        self.text(letters, ALPHABET)
    }

    /// `letters` of the alphabet AWS uses in access keys and unique ids.
    pub fn upper(&mut self, letters: usize) -> String {
        self.text(letters, UPPER)
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 50 & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }

    fn text(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length).map(|_| char::from(*self.pick(alphabet))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_do_not_influence_each_other() {
        let (mut first, mut again, mut other) =
            (Random::new(1, "a"), Random::new(1, "a"), Random::new(1, "b"));
        let values: Vec<u64> = (0..8).map(|_| first.bits()).collect();
        assert_eq!(values, (0..8).map(|_| again.bits()).collect::<Vec<_>>());
        assert_ne!(values, (0..8).map(|_| other.bits()).collect::<Vec<_>>());
    }

    #[test]
    fn weights_are_respected_and_bounds_hold() {
        let mut random = Random::new(7, "weights");
        let mut seen = [0u32; 3];
        for _ in 0..3000 {
            seen[random.weighted([1, 0, 2].into_iter())] += 1;
            assert!(random.below(10) < 10);
            assert!((5..=6).contains(&random.between(5, 6)));
        }
        assert_eq!(seen[1], 0);
        assert!(seen[2] > seen[0]);
    }

    #[test]
    fn uuids_are_version_4() {
        let text = Random::new(3, "uuid").uuid();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
