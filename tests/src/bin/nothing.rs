//! A program that does nothing: what it costs to start any process written in Rust, for `make bench`.

fn main() {}
