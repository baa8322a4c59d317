//! The archive: what outlives the cluster. [`store`] reads and writes objects behind a URL;
//! [`layout`] names them; [`ledger`] records which runs began and ended; [`locks`] gives one run
//! the right to write a table; [`kept`] and [`retention`] keep and delete logs and reports.

mod kept;
mod layout;
pub mod ledger;
pub mod locks;
mod retention;
pub(crate) mod store;

pub use layout::{LayoutError, RunName};
pub use retention::{Collected, Retention};
pub use store::location::LocationError;
pub use store::{Archive, ArchiveError, Created, Listed};
