//! What became of the writes of a journal, by their numbers: two bits for each.

use std::collections::BTreeMap;

use super::{SEGMENT_RECORDS_MAX, Sequence, Settled};

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Written,
    Refused,
    /// Nobody knows: the guard ended before the answer, or before it could note it.
    InDoubt,
}

/// What became of all writes of a journal.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(BTreeMap<u64, Bits>);

#[derive(Clone, Debug, Default)]
struct Bits {
    written: Vec<u64>,
    refused: Vec<u64>,
}

impl Outcomes {
    /// Takes in a record.
    pub fn add(&mut self, settled: &Settled) {
        for sequence in &settled.written {
            set(&mut self.0.entry(sequence.segment()).or_default().written, *sequence);
        }
        for sequence in &settled.refused {
            set(&mut self.0.entry(sequence.segment()).or_default().refused, *sequence);
        }
    }

    /// What became of one write.
    pub fn of(&self, sequence: Sequence) -> Outcome {
        let Some(bits) = self.0.get(&sequence.segment()) else { return Outcome::InDoubt };
        if is_set(&bits.written, sequence) {
            Outcome::Written
        } else if is_set(&bits.refused, sequence) {
            Outcome::Refused
        } else {
            Outcome::InDoubt
        }
    }
}

fn set(words: &mut Vec<u64>, sequence: Sequence) {
    let record = sequence.record().min(SEGMENT_RECORDS_MAX - 1);
    if words.len() <= record / 64 {
        words.resize(record / 64 + 1, 0);
    }
    words[record / 64] |= 1 << (record % 64);
}

fn is_set(words: &[u64], sequence: Sequence) -> bool {
    let record = sequence.record();
    words.get(record / 64).is_some_and(|word| word & (1 << (record % 64)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_in_doubt() {
        let mut outcomes = Outcomes::default();
        let written = vec![Sequence::new(1, 0), Sequence::new(1, 200), Sequence::new(9, 64)];
        outcomes.add(&Settled { written, refused: vec![Sequence::new(1, 63)] });
        assert_eq!(outcomes.of(Sequence::new(1, 0)), Outcome::Written);
        assert_eq!(outcomes.of(Sequence::new(1, 200)), Outcome::Written);
        assert_eq!(outcomes.of(Sequence::new(9, 64)), Outcome::Written);
        assert_eq!(outcomes.of(Sequence::new(1, 63)), Outcome::Refused);
        for (segment, record) in [(1, 1), (1, 201), (2, 0), (9, 0), (9, 1_000_000)] {
            assert_eq!(outcomes.of(Sequence::new(segment, record)), Outcome::InDoubt);
        }
    }
}
