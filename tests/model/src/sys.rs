//! Sockets in memory, and waiting for them, by the names of the library's `sys.rs`.

use crate::sync::{Arc, Condvar, Instant, Mutex, lock};
use std::io;
use std::time::Duration;

/// What is waited for. The peers here always have room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest;

impl Interest {
    pub(crate) const READ: Interest = Interest;
}

/// One end of a connection. The other end is the check's, by [`feed`](Socket::feed).
#[derive(Default)]
pub(crate) struct Socket(Mutex<Wire>);

#[derive(Default)]
struct Wire {
    bytes: usize,
    down: bool,
    watchers: Vec<(Arc<Shared>, u64)>,
}

/// A one-shot report goes to whoever armed the socket last in each poller.
#[derive(Default)]
pub(crate) struct Poller(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<Reports>,
    changed: Condvar,
}

#[derive(Default)]
struct Reports {
    keys: Vec<u64>,
    woken: bool,
}

impl Socket {
    pub(crate) fn new() -> Arc<Socket> {
        Arc::new(Socket::default())
    }

    /// The peer sends.
    pub(crate) fn feed(&self, bytes: usize) {
        let mut wire = lock(&self.0);
        wire.bytes += bytes;
        wire.report();
    }

    pub(crate) fn shutdown(&self) {
        let mut wire = lock(&self.0);
        wire.down = true;
        wire.report();
    }

    /// What is there, up to so many bytes. 0 is the end.
    pub(crate) fn recv(&self, most: usize) -> io::Result<usize> {
        let mut wire = lock(&self.0);
        // As on Linux: after a shutdown what had come may still be read.
        if wire.bytes == 0 && !wire.down {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = wire.bytes.min(most);
        wire.bytes -= count;
        Ok(count)
    }
}

impl Wire {
    fn report(&mut self) {
        for (poller, key) in self.watchers.drain(..) {
            poller.report(key);
        }
    }
}

impl Shared {
    fn report(&self, key: u64) {
        lock(&self.state).keys.push(key);
        self.changed.notify_all();
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller::default())
    }

    pub(crate) fn arm(&self, socket: &Socket, key: u64, _: Interest) -> io::Result<()> {
        let mut wire = lock(&socket.0);
        wire.watchers.retain(|(poller, _)| !Arc::ptr_eq(poller, &self.0));
        if wire.bytes > 0 || wire.down {
            self.0.report(key);
        } else {
            wire.watchers.push((Arc::clone(&self.0), key));
        }
        Ok(())
    }

    pub(crate) fn wait(&self, timeout: Option<Duration>, keys: &mut Vec<u64>) -> io::Result<()> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = lock(&self.0.state);
        loop {
            if !state.keys.is_empty() || state.woken {
                state.woken = false;
                keys.append(&mut state.keys);
                return Ok(());
            }
            state = match deadline {
                None => self.0.changed.wait(state).expect("no poison"),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(());
                    }
                    self.0.changed.wait_timeout(state, left).expect("no poison").0
                }
            };
        }
    }

    pub(crate) fn wake(&self) {
        lock(&self.0.state).woken = true;
        self.0.changed.notify_all();
    }
}

pub(crate) fn poll_sockets(sources: &[(&Socket, Interest)], timeout: Option<Duration>) -> io::Result<bool> {
    assert!(!sources.is_empty() || timeout.is_some(), "waiting for ever for no socket");
    let poller = Poller::default();
    for (socket, interest) in sources {
        poller.arm(socket, 0, *interest)?;
    }
    let mut keys = Vec::new();
    poller.wait(timeout, &mut keys)?;
    Ok(!keys.is_empty())
}
