//! The entry program that runs the user program in its container.
