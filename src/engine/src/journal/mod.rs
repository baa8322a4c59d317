//! The journal of an applied run.

pub mod frame;
