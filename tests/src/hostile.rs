//! Texts that nobody should write and somebody will, for everything that a charm reads from others.
//!
//! Where they go is not written here: every key of a databag that the other side of an endpoint may write according to
//! `metadata/interfaces`, and every option of `charmcraft.yaml`, gets all of them in every form that its type allows. A
//! new interface or option is put to the test by being declared.
//!
//! Whatever is written, the hook succeeds, the status tells where it stands, what starts the workload stays as it is,
//! and the configuration of the workload holds it in one text at most. See [`run_through`].

mod cases;
mod check;
mod texts;

pub use cases::{Case, Place, of_databags, of_options};
pub use check::{Subject, run_through};
pub use texts::{PASSWORD, Text, texts};
