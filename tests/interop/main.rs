//! Our side beside the other side's own libraries: ops, ops-scenario, cosl, charmlibs and pydantic, as their makers
//! publish them.
//!
//! The harness that plays Juju is held to what ops understands of it, and our charms to what the Python charms on the
//! other end of a relation read and write. `make interop` installs the libraries, pinned, and runs these tests. Without
//! that they are listed as ignored, as nothing here is worth anything without the real libraries.

mod commands;
mod compare;
mod encodings;
mod events;
mod everything;
mod interfaces;
mod observability;
mod python;
mod scenario;
