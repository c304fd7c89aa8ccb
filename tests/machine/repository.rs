//! The operator's repository, brought by the real git and ssh from a real sshd, with everything going wrong that can.

mod charm;
mod https;
mod interrupt;
mod ssh;
mod trouble;
mod unit;
