//! Why a statement does nothing to any item.

use crate::error::ServiceError;

#[derive(Clone, Debug, PartialEq)]
pub enum NoItem {
    /// It names no single item. In a batch, the answer does not name the table.
    Unnamed(ServiceError),
    /// The item that it names, or would insert, is none that the table can hold. In a batch, the
    /// answer names the table.
    Unfit(ServiceError),
}

impl NoItem {
    pub(super) fn unnamed(why: &str) -> Self {
        Self::Unnamed(ServiceError::validation(why))
    }
}

impl From<NoItem> for ServiceError {
    fn from(why: NoItem) -> Self {
        let (NoItem::Unnamed(error) | NoItem::Unfit(error)) = why;
        error
    }
}
