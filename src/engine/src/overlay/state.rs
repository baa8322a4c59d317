//! What a dry run knows: the items that the program has written, the tables that it has met, and
//! the memory and the file that hold them.

pub mod base;
pub mod direction;
pub mod disk;
pub mod effect;
pub mod entries;
pub mod entry;
pub mod image;
pub mod kept_disk;
pub mod schemas;
pub mod store;
pub mod table;
