//! Random choices of tests. The seed is fixed; another one can be given in `DM_CORE_SEED`.

/// Marsaglia's xorshift: enough to pick words.
pub struct Random(u64);

impl Random {
    /// The generator of this seed, unless another one is given.
    pub fn seeded(seed: u64) -> Self {
        let given = std::env::var("DM_CORE_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(given.unwrap_or(seed) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Words in random order, mostly with spaces between them.
    pub fn text(&mut self, words: &[&str]) -> String {
        let mut text = String::new();
        for at in 0..=self.below(14) {
            text.push_str(words[self.below(words.len())]);
            text.push_str(if at % 5 == 4 { "" } else { " " });
        }
        text
    }
}
