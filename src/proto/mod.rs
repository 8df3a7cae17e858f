//! Rules without I/O, threads or clocks.

pub(crate) mod eyeballs;
