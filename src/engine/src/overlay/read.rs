//! Reads, merged from the database and what the program has written.

pub mod base_request;
pub mod begin;
pub mod get_calls;
pub mod insertions;
pub mod page;
pub mod page_answer;
pub mod page_request;
pub mod walk;
