//! Where logs go in the end: a small receiver for tests and the demo, and the real Loki where it was built.
//!
//! The receiver is not Loki. It takes pushes in JSON, refuses what Loki 3.7 was seen to refuse, and remembers the rest
//! so that a test can look at it. It keeps no index and answers no query: whoever wants LogQL starts the real one.

mod real;
mod receiver;

pub use real::Loki;
pub use receiver::{Answer, Entry, LokiReceiver, Push};
