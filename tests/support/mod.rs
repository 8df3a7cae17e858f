//! The servers that the tests and the examples talk to.
//!
//! They share no code with the library, so that a misreading of a specification is not made twice
//! and agreed upon. [`Server`] speaks HTTP/1.1 over TCP and TLS, keeps a record of what reached it,
//! and does wrong on request: faults are data, `Reply::head(200).then(Fault::ResetAfter(512))`.
//! [`Resource`] answers with ranges and validators, and lies about them on request.
//! [`independent`] is a server that others wrote. [`raw`], [`Blackhole`] and [`Refused`] are for what
//! is below HTTP. [`every_way`] runs a test over TCP and TLS and in each way a task can be used in;
//! [`harness`] has what tests of tasks and delegates share.
//!
//! Use it with `mod support;` from a file in `tests`, and from an example with
//! `#[path = "../tests/support/mod.rs"] mod support;`.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builder;
mod certs;
mod client;
mod connection;
mod directory;
mod flood;
mod gate;
mod independent;
mod multipart;
mod pattern;
mod plan;
mod random;
mod range;
mod raw;
mod reply;
mod request;
mod resource;
mod resumable;
mod scheme;
mod server;
mod shared;
mod tls;
mod wire;
mod worker;

#[cfg(feature = "tls")]
pub mod harness;
#[cfg(feature = "tls")]
pub mod judge;
pub mod process;
pub mod script;
pub mod tool;

pub use builder::{Admission, Builder};
pub use certs::{Ca, Certs, ca};
pub use client::{
    Client, WAYS, Way, configuration_for, error_within, eventually, every_way, over_both, result_by,
};
pub use directory::Directory;
pub use flood::Flood;
pub use gate::Gate;
pub use independent::{Independent, independent};
pub use multipart::{Part, multipart};
pub use pattern::{assert_pattern, first_mismatch, gzip, pattern, pattern_at};
pub use random::Random;
pub use raw::{Blackhole, Raw, Refused, raw, raw_each};
pub use reply::{At, Fault, IntoBody, Reply};
pub use request::Received;
pub use resource::{Quirk, Resource, Served};
pub use resumable::{Mishap, Resumable, Upload};
pub use scheme::{TwoSteps, by_connection};
pub use server::Server;
pub use tls::{Handshake, Resumption, Tls, client_config, client_config_with};
pub use wire::Wire;

/// How long a wait lasts that nobody gave a limit: far above what a loaded machine needs, so that
/// it only ends a test that would otherwise hang.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Locks a mutex whose holders may have panicked: a failed assertion in one thread of a test is not
/// to hide behind a poisoned lock in another.
fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
