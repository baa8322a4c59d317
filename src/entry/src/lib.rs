//! The entry program: an init container copies it into the pod, and it runs the user's program in
//! the user's image, as process 1.
//!
//! It finds the interpreter, sets the folder, forwards signals, passes the output on unchanged, and
//! writes the exact times, the exit code and the last lines as the container's termination message.
//! It must run in any image, so it is one static file with few dependencies; it opens no socket
//! but to the guard, and changes nothing in what the program sees.

pub mod args;
mod descendants;
mod group;
pub mod guard;
pub mod leftover;
pub mod limits;
pub mod log;
pub mod pause;
pub mod prepare;
pub mod program;
pub mod proxy;
pub mod result;
pub mod run;
pub mod shebang;
pub mod tail;
pub mod transform;
