//! How far a task is.

use super::core::{Counts, TaskCore};
use crate::sync::atomic::Ordering;

/// A snapshot of how far a task is. `URLSessionTask.progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Body bytes sent.
    pub sent: u64,
    /// Body bytes to send, if known.
    pub expected_to_send: Option<u64>,
    /// Body bytes received, before content decoding.
    pub received: u64,
    /// Body bytes to receive, if known.
    pub expected_to_receive: Option<u64>,
}

impl Progress {
    pub(crate) fn of(core: &TaskCore) -> Self {
        Progress {
            sent: core.counts.sent(),
            expected_to_send: core.original.get_body().len(),
            received: core.counts.received(),
            expected_to_receive: core.counts.expected(),
        }
    }

    /// The part of the response's body that is there, from 0.0 to 1.0, if its length is known.
    pub fn fraction(&self) -> Option<f64> {
        match self.expected_to_receive? {
            0 => Some(1.0),
            expected => Some((self.received as f64 / expected as f64).min(1.0)),
        }
    }
}

impl Counts {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    pub(crate) fn expected(&self) -> Option<u64> {
        self.expected.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn set_expected(&self, expected: Option<u64>) {
        self.expected.store(expected.map_or(0, |count| count.saturating_add(1)), Ordering::Relaxed);
    }
}
