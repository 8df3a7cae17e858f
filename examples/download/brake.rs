//! `--limit-rate`: all downloads together take no more than so much. Whoever is ahead of the time is
//! suspended, which holds its server back, and resumed when the time has come.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use urlsession::DownloadTask;

/// What has come so far, and who waits.
pub struct Brake {
    rate: f64,
    state: Mutex<State>,
}

struct State {
    /// When what has come may have come.
    due: Instant,
    held: Vec<DownloadTask>,
}

impl Brake {
    /// A limit in bytes a second.
    pub fn new(rate: u64) -> Brake {
        Brake { rate: rate as f64, state: Mutex::new(State { due: Instant::now(), held: Vec::new() }) }
    }

    /// So many bytes have come of a task. It is suspended if that was too soon.
    pub fn take(&self, task: &DownloadTask, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Time in which nothing came is not made up for.
        let taken = Duration::try_from_secs_f64(bytes as f64 / self.rate).unwrap_or(Duration::MAX);
        let due = state.due.max(now);
        state.due = due.checked_add(taken).unwrap_or(due);
        if state.due > now && !state.held.contains(task) {
            task.suspend();
            state.held.push(task.clone());
        }
    }

    /// Resumes those whose time has come. How long it takes for the others.
    pub fn release(&self) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held.is_empty() {
            return None;
        }
        let left = state.due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            state.held.drain(..).for_each(|task| task.resume());
            return None;
        }
        Some(left)
    }
}
