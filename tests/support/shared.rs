//! What a server's threads and the test share: the record of what happened, and the means to wait
//! for more and to end it all.

use super::tls::Handshake;
use super::worker::{Stop, Worker};
use super::{Received, lock};
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Shared between a [`Server`](super::Server) and its threads.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) stop: Stop,
    pub(super) keep_bodies: bool,
}

/// The record. Its lock may be held while a request's body is locked, not the other way round.
#[derive(Default)]
pub(super) struct State {
    pub(super) accepted: usize,
    pub(super) requests: Vec<Arc<Received>>,
    /// How many requests there are whose body has arrived or will not be read.
    pub(super) settled: usize,
    pub(super) handshakes: Vec<Handshake>,
    pub(super) failed_handshakes: Vec<String>,
    pub(super) protocol_errors: Vec<String>,
    open: HashMap<usize, Arc<TcpStream>>,
    workers: Vec<Worker>,
    panics: usize,
}

impl Shared {
    pub(super) fn new(keep_bodies: bool) -> Shared {
        Shared { state: Mutex::default(), changed: Condvar::new(), stop: Stop::default(), keep_bodies }
    }

    /// Reads the record.
    pub(super) fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&lock(&self.state))
    }

    /// Changes the record and wakes who waits for that.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits until the record is as wanted.
    #[track_caller]
    pub(super) fn wait(&self, what: &str, timeout: Duration, done: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {timeout:?} for {what} in vain: {}", state.summary());
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Notes a new connection; its number, or `None` when the server is about to end.
    pub(super) fn admit(&self, tcp: &Arc<TcpStream>) -> Option<usize> {
        let mut state = lock(&self.state);
        if self.stop.is_stopped() {
            return None;
        }
        let connection = state.accepted;
        state.accepted += 1;
        state.open.insert(connection, tcp.clone());
        self.changed.notify_all();
        Some(connection)
    }

    /// Notes the thread of a connection, and parts with those that have ended.
    pub(super) fn add_worker(&self, worker: Worker) {
        let ended: Vec<Worker> = {
            let mut state = lock(&self.state);
            state.workers.push(worker);
            let (ended, running) =
                std::mem::take(&mut state.workers).into_iter().partition(Worker::is_finished);
            state.workers = running;
            ended
        };
        ended.into_iter().for_each(|worker| drop(worker.join()));
    }

    /// Notes the end of a connection. The caller has dropped its share of the socket, so that it is
    /// closed here, before anybody is told.
    pub(super) fn part(&self, connection: usize, panicked: bool) {
        self.update(|state| {
            state.open.remove(&connection);
            // While the server goes down, a handler may well stumble over that.
            state.panics += usize::from(panicked && !self.stop.is_stopped());
        });
    }

    /// Frees the threads from whatever they wait for.
    pub(super) fn begin_to_stop(&self) {
        self.stop.stop();
        self.update(|state| state.shut_down_all());
    }

    /// Waits for the threads of the connections; how many handlers have panicked.
    pub(super) fn join_all(&self) -> usize {
        let workers = std::mem::take(&mut lock(&self.state).workers);
        workers.into_iter().for_each(|worker| drop(worker.join()));
        self.look(|state| state.panics)
    }
}

impl State {
    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Shuts the sockets down, which wakes whoever reads, writes or polls them.
    pub(super) fn shut_down_all(&self) {
        for socket in self.open.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn summary(&self) -> String {
        let lines = self.requests.iter().rev().take(3).rev();
        let last: Vec<String> =
            lines.map(|request| format!("{} {}", request.method, request.target)).collect();
        format!(
            "{} connections accepted, {} open, {} requests ({} with all of their bodies), the last {last:?}, \
             {} handshakes, failed ones {:?}, protocol errors {:?}",
            self.accepted,
            self.open.len(),
            self.requests.len(),
            self.settled,
            self.handshakes.len(),
            self.failed_handshakes,
            self.protocol_errors,
        )
    }
}
