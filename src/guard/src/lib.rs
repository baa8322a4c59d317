//! The guard: an HTTP server over the engine.
