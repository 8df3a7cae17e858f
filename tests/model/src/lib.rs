//! Model checks of the engine: the library's own files over `shuttle`'s threads, locks and atomics,
//! a clock that stands still or jumps, and sockets in memory. See README.md.
//!
//! The included files take all of that from `crate::sync` and `crate::sys`, which are this
//! package's. What they name besides, and what has no part in who runs what, are stand-ins.

#![allow(dead_code, missing_docs, unused_imports)]

#[path = "../../../src"]
mod library {
    pub mod disposition;
    pub mod engine;
    pub mod error;
    pub mod head;
    pub mod header;

    pub mod connection {
        pub mod idle;
        pub(crate) use crate::standin::{resolve, transport};
    }

    pub mod task {
        pub mod core;
    }
}

mod standin;
mod sync;
mod sys;

use library::{connection, disposition, engine, error, head, header, task};
use standin::{body, challenge, configuration, download, metrics, request, response, resume, storage};

pub mod checks;
mod run;

pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
pub use request::Request;
pub use response::Response;
pub use run::{Search, check};
