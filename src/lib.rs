//! Apple's URLSession for Rust programs without an async runtime.
#![allow(dead_code)]

mod connection;
mod error;
mod head;
mod sync;

pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
