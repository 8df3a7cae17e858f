//! The synchronization primitives the engine is built on, and its clock, in one place, so that a
//! model checker can be put in their stead (`tests/model`).

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
pub(crate) use std::thread;
pub(crate) use std::time::Instant;

/// Locks a mutex. A poisoned one is taken as it is: what our mutexes guard is changed in steps
/// that cannot panic halfway, and user code never runs under them.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
