//! The k-th smallest of numbers that come and go, in logarithmic time.
//!
//! A window slides over millions of matches; sorting it again at every step would take hours. The
//! numbers that will ever be in it are known, so their ranks are fixed and a tree of counts
//! (Fenwick) finds the k-th.

/// Numbers in a window, by rank among all numbers there will be.
#[derive(Debug)]
pub struct Ranks {
    values: Vec<f64>,
    tree: Vec<u32>,
    len: usize,
}

impl Ranks {
    /// An empty window over these numbers; none may be NaN.
    pub fn new(mut values: Vec<f64>) -> Ranks {
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        Ranks { tree: vec![0; values.len() + 1], values, len: 0 }
    }

    /// Puts a number in.
    pub fn insert(&mut self, value: f64) {
        self.change(value, |count| *count += 1);
        self.len += 1;
    }

    /// Takes a number out that was put in.
    pub fn remove(&mut self, value: f64) {
        self.change(value, |count| *count -= 1);
        self.len -= 1;
    }

    fn change(&mut self, value: f64, step: impl Fn(&mut u32)) {
        let Ok(at) = self.values.binary_search_by(|other| other.total_cmp(&value)) else { return };
        let mut at = at + 1;
        while let Some(count) = self.tree.get_mut(at) {
            step(count);
            at += at & at.wrapping_neg();
        }
    }

    /// The number with `k` numbers before it in sorted order.
    fn nth(&self, k: usize) -> Option<f64> {
        let mut left = u32::try_from(k).ok()?;
        let mut at = 0;
        let mut step = self.tree.len().next_power_of_two() / 2;
        while step > 0 {
            if let Some(count) = self.tree.get(at + step).filter(|count| **count <= left) {
                left -= count;
                at += step;
            }
            step /= 2;
        }
        self.values.get(at).copied()
    }

    /// The percentile, linear between the two numbers around it; nothing of an empty window.
    pub fn percentile(&self, rank: f64) -> Option<f64> {
        if self.len == 0 {
            return None;
        }
        let place = rank / 100.0 * (self.len - 1) as f64;
        let (below, above) = (self.nth(place.floor() as usize)?, self.nth(place.ceil() as usize)?);
        Some(below + (above - below) * place.fract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_changing_window() {
        let mut ranks = Ranks::new(vec![5.0, 1.0, 9.0, 1.0, 3.0, -2.5]);
        assert_eq!(ranks.percentile(50.0), None);
        for value in [5.0, 1.0, 9.0, 1.0] {
            ranks.insert(value);
        }
        assert_eq!(ranks.percentile(0.0), Some(1.0));
        assert_eq!(ranks.percentile(50.0), Some(3.0));
        assert_eq!(ranks.percentile(100.0), Some(9.0));
        ranks.remove(1.0);
        ranks.insert(-2.5);
        assert_eq!(ranks.percentile(50.0), Some(3.0));
        assert_eq!(ranks.percentile(25.0), Some(0.125));
    }

    #[test]
    fn agrees_with_sorting() {
        let all: Vec<f64> = (0..200).map(|i| f64::from((i * 7919) % 61)).collect();
        let mut ranks = Ranks::new(all.clone());
        for (at, value) in all.iter().enumerate() {
            ranks.insert(*value);
            if at >= 17 {
                ranks.remove(all[at - 17]);
            }
            let mut window = all[at.saturating_sub(16)..=at].to_vec();
            window.sort_unstable_by(f64::total_cmp);
            for (k, value) in window.iter().enumerate() {
                assert_eq!(ranks.nth(k), Some(*value));
            }
        }
    }
}
