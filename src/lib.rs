//! Apple's URLSession for Rust programs without an async runtime.
#![allow(dead_code)]

mod error;
mod head;
mod metrics;
mod proto;
mod sync;

pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
pub use metrics::{ResourceFetchType, TaskInterval, TaskMetrics, TransactionMetrics};
