//! Rules of protocols, without I/O, threads or clocks.

pub mod coding;
