//! Apple's URLSession for Rust programs without an async runtime.
#![allow(dead_code)]

mod connection;
mod error;
mod head;
mod proto;
mod resolver;
mod sync;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
pub use resolver::Resolver;
