//! What the compiled charms write for Falco, systemd, Falcosidekick, Pebble and people, held against `tests/golden`.
//!
//! Files are taken from a unit after a real hook. Where a unit under test differs from one in production (the folder
//! that stands for `/`, a free port), the text is made what it is in production, digests included: a digest that
//! changes here is a restart of the workload on every unit that is refreshed.

mod falco;
mod falcosidekick;
mod situations;
