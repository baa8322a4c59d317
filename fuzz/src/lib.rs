//! What an input of a fuzzer goes into, and what must hold whatever it is: no panic, no hang, and
//! the properties that stand beside each target. The tests run the corpus through the same
//! functions.

mod parsed;
mod requested;

pub use parsed::{expression, item, statement};
pub use requested::request;
