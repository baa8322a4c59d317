//! A call of a function, as it is parsed.

use super::Operand;

pub(crate) struct Call {
    pub name: String,
    pub arguments: Vec<Operand>,
}
