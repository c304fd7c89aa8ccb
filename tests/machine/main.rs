//! The host that scenarios run on: `systemctl` with a memory, crash points, and the real systemd.

mod capabilities;
mod differential;
mod falco;
mod host;
mod interrupt;
mod repository;
mod systemctl;
