//! What this process holds: threads by name, file descriptors, sockets. Read from `/proc`, so on
//! Linux only; elsewhere every list is empty.
//!
//! `/proc` cannot be waited upon; the waits here look again after short pauses.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How many file descriptors are open, the one that it takes to look not counted.
pub fn open_fds() -> usize {
    descriptors().len()
}

/// How many of them are sockets.
pub fn open_sockets() -> usize {
    descriptors().iter().filter(|target| target.starts_with("socket:")).count()
}

/// What every open file descriptor stands for: `socket:[4711]`, a path, `anon_inode:[eventpoll]`.
pub fn descriptors() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let own = format!("/proc/{}/fd", std::process::id());
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| *target != own)
        .collect()
}

/// The names of all threads, of which the system keeps 15 bytes each.
pub fn thread_names() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .map(|name| name.trim_end_matches('\n').to_owned())
        .collect()
}

/// How many threads there are.
pub fn threads() -> usize {
    thread_names().len()
}

/// How many threads have a name that begins with `prefix`.
pub fn threads_named(prefix: &str) -> usize {
    let prefix = prefix.get(..15).unwrap_or(prefix);
    thread_names().iter().filter(|name| name.starts_with(prefix)).count()
}

/// Waits until that many threads have a name that begins with `prefix`: for threads nobody joins.
///
/// # Panics
///
/// When there are more or fewer after `timeout`.
#[track_caller]
pub fn wait_for_threads_named(prefix: &str, count: usize, timeout: Duration) {
    wait_until(
        timeout,
        || threads_named(prefix) == count,
        || format!("{} threads named {prefix}… and not {count}: {:?}", threads_named(prefix), thread_names()),
    );
}

/// Waits until that many sockets are open.
///
/// # Panics
///
/// When there are more or fewer after `timeout`.
#[track_caller]
pub fn wait_for_open_sockets(count: usize, timeout: Duration) {
    wait_until(
        timeout,
        || open_sockets() == count,
        || format!("{} sockets and not {count}: {:?}", open_sockets(), descriptors()),
    );
}

/// The system's number of the calling thread.
pub(super) fn current_thread_id() -> Option<u64> {
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// Waits until the system no longer lists a thread that has been joined.
pub(super) fn wait_until_thread_is_gone(id: u64) {
    let path = format!("/proc/self/task/{id}");
    wait_until(
        Duration::from_secs(5),
        || !fs::exists(&path).unwrap_or(false),
        || format!("thread {id} was joined and is still listed"),
    );
}

#[track_caller]
fn wait_until(timeout: Duration, done: impl Fn() -> bool, message: impl Fn() -> String) {
    let deadline = Instant::now() + timeout;
    while !done() {
        assert!(Instant::now() < deadline, "after {timeout:?}: {}", message());
        thread::sleep(Duration::from_micros(200));
    }
}
