//! The watch over everything that waits for a silent peer or for a deadline.
//!
//! A job that has nothing to do until a socket is ready is *parked* here with its sockets and its
//! deadline, and costs no thread. One thread at a time, a worker without other work, sits in
//! [`Watch::wait`]. Registrations are one-shot: each parking arms the sockets anew, so a socket that
//! a lending thread reads in the meantime wakes nobody twice.
//!
//! Lock: `parked`. Nothing is called under it but the poller's `arm`.

use super::pool::Job;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Instant, Mutex, lock};
use crate::sys::{Interest, Poller, Socket};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// Visits the sockets that a job waits for.
pub(crate) type Sources<'a> = dyn FnMut(&mut dyn FnMut(&Socket, Interest)) + 'a;

/// See the module's documentation.
pub(crate) struct Watch {
    poller: OnceLock<Poller>,
    parked: Mutex<Parked>,
    /// How many jobs are parked, for a look without the lock.
    count: AtomicUsize,
}

#[derive(Default)]
struct Parked {
    jobs: HashMap<u64, Entry, BuildHasherDefault<IdHasher>>,
    timers: BTreeSet<(Instant, u64)>,
    /// Until when the thread that holds the watch sleeps, while it does.
    asleep: Option<Option<Instant>>,
}

struct Entry {
    job: Arc<dyn Job>,
    deadline: Option<Instant>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Watch { poller: OnceLock::new(), parked: Mutex::new(Parked::default()), count: AtomicUsize::new(0) }
    }

    /// Parks a job until one of its sockets is ready or the deadline passes.
    ///
    /// Nothing is lost when that happens at once: the job is notified all the same, and a
    /// notification that meets a job which still runs is remembered by its claim.
    pub(crate) fn park(
        &self,
        id: u64,
        job: Arc<dyn Job>,
        sources: &mut Sources<'_>,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        let poller = self.poller()?;
        let mut parked = lock(&self.parked);
        let mut armed = Ok(());
        sources(&mut |socket, interest| {
            if armed.is_ok() {
                armed = poller.arm(socket, id, interest);
            }
        });
        armed?;
        parked.remove(id);
        if let Some(at) = deadline {
            parked.timers.insert((at, id));
        }
        parked.jobs.insert(id, Entry { job, deadline });
        self.count.store(parked.jobs.len(), Ordering::Relaxed);
        let wake = match (parked.asleep, deadline) {
            (Some(None), Some(_)) => true,
            (Some(Some(until)), Some(at)) => at < until,
            _ => false,
        };
        drop(parked);
        if wake {
            poller.wake();
        }
        Ok(())
    }

    /// Forgets a job that somebody took over.
    pub(crate) fn unpark(&self, id: u64) {
        let mut parked = lock(&self.parked);
        let entry = parked.remove(id);
        self.count.store(parked.jobs.len(), Ordering::Relaxed);
        drop(parked);
        drop(entry);
    }

    /// How many jobs are parked, about.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nothing is parked.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.parked).jobs.is_empty()
    }

    /// Sleeps until something parked is ready, a deadline passes, [`wake`](Watch::wake) is called or
    /// the time is up. What is ready or due leaves the watch, for the caller to notify.
    pub(crate) fn wait(
        &self,
        cap: Duration,
        keys: &mut Vec<u64>,
        due: &mut Vec<Arc<dyn Job>>,
    ) -> io::Result<()> {
        let poller = self.poller()?;
        let timeout = {
            let mut parked = lock(&self.parked);
            let now = Instant::now();
            let next = parked.timers.first().map(|(at, _)| *at);
            let timeout = next.map_or(cap, |at| cap.min(at.saturating_duration_since(now)));
            parked.asleep = Some(Some(now + timeout));
            timeout
        };
        keys.clear();
        let result = poller.wait(Some(timeout), keys);
        let mut parked = lock(&self.parked);
        parked.asleep = None;
        for &id in keys.iter() {
            due.extend(parked.remove(id));
        }
        if !parked.timers.is_empty() {
            let now = Instant::now();
            while let Some(&(at, id)) = parked.timers.first() {
                if at > now {
                    break;
                }
                due.extend(parked.remove(id));
            }
        }
        self.count.store(parked.jobs.len(), Ordering::Relaxed);
        result
    }

    /// Wakes the thread that holds the watch.
    pub(crate) fn wake(&self) {
        if let Some(poller) = self.poller.get() {
            poller.wake();
        }
    }

    fn poller(&self) -> io::Result<&Poller> {
        if let Some(poller) = self.poller.get() {
            return Ok(poller);
        }
        let made = Poller::new()?;
        Ok(self.poller.get_or_init(|| made))
    }
}

impl Parked {
    fn remove(&mut self, id: u64) -> Option<Arc<dyn Job>> {
        let entry = self.jobs.remove(&id)?;
        if let Some(at) = entry.deadline {
            self.timers.remove(&(at, id));
        }
        Some(entry.job)
    }
}

/// Task identifiers are a counter: one multiplication spreads them well enough.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}
