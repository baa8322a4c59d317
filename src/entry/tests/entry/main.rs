//! The entry program as a pod sees it: the real binary, real programs, real files.
#![allow(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod pause;
mod pod;
mod prepare;
mod run;
