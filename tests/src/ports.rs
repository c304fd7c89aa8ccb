//! Ports for services that have to be told one.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// All together are below those that outgoing connections of a machine are given.
const BLOCKS: u16 = 11;
const FIRST: u16 = 10_000;
/// So many that a port comes up again long after the test that asked for it.
const IN_A_BLOCK: u16 = 2_000;

/// A block of ports that no other program of these tests hands out: this one listens on its first port while it runs.
struct Block {
    first: u16,
    _mine: TcpListener,
}

/// A port that is free, that nobody else is told, and that no outgoing connection of this machine is given.
pub fn free_port() -> u16 {
    static BLOCK: LazyLock<Block> = LazyLock::new(|| {
        let mut blocks = (0..BLOCKS).map(|number| FIRST + number * IN_A_BLOCK);
        let free = |first| Some(Block { first, _mine: TcpListener::bind(("0.0.0.0", first)).ok()? });
        blocks.find_map(free).expect("fewer than 12 programs of these tests run at once")
    });
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = BLOCK.first + 1 + NEXT.fetch_add(1, Ordering::Relaxed) % (IN_A_BLOCK - 1);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
