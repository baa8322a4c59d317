//! How much memory a request takes, by what is at the bottom of the stack.

use super::{Bottom, Engine};
use crate::operation::{Class, Operation};

impl Engine {
    /// Copies of a request's items, as values, that carrying it out takes at once.
    pub fn item_copies(&self, operation: Operation) -> usize {
        match (&self.bottom, operation.class()) {
            (Bottom::Overlay(_), Class::DataWrite) => 2,
            (Bottom::Journal(_), Class::DataWrite) => 3,
            (
                Bottom::Overlay(_) | Bottom::Journal(_) | Bottom::Apply(_) | Bottom::Closed(..),
                _,
            ) => 1,
        }
    }

    /// Copies of an answer's text that carrying out a call takes at once. It is there as it came
    /// from the database, and as the program gets it; a dry run makes values of its items, which
    /// take some six times their text where they are small.
    pub fn answer_copies(&self) -> usize {
        match &self.bottom {
            Bottom::Overlay(_) => 8,
            Bottom::Journal(_) | Bottom::Apply(_) | Bottom::Closed(..) => 2,
        }
    }
}
