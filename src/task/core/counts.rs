//! What a task counts.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Body bytes, readable from any thread.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    /// Two more than the length of the body that is sent, 1 for unknown; 0 before sending has begun.
    to_send: AtomicU64,
    pub(crate) received: AtomicU64,
    /// What was there before the task began, which a resumed download continues.
    pub(crate) resumed: AtomicU64,
    /// One more than the number; 0 while there is no response, [`UNKNOWN`] if it does not say.
    pub(crate) expected: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Counts {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The length of the body that is being sent; `None` before sending has begun.
    pub(crate) fn to_send(&self) -> Option<Option<u64>> {
        let number = self.to_send.load(Ordering::Relaxed);
        number.checked_sub(1).map(|number| number.checked_sub(1))
    }

    pub(super) fn begin_sending(&self, length: Option<u64>) {
        self.sent.store(0, Ordering::Relaxed);
        self.to_send.store(length.map_or(1, |length| length.saturating_add(2)), Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// What this task has moved, in both directions.
    pub(crate) fn moved(&self) -> u64 {
        self.sent().saturating_add(self.received())
    }

    /// The same with what was there before.
    pub(crate) fn completed(&self) -> u64 {
        self.moved().saturating_add(self.resumed())
    }

    /// The length of the response's body. `None` while there is no response, and if it is not known.
    pub(crate) fn expected(&self) -> Option<u64> {
        match self.expected.load(Ordering::Relaxed) {
            UNKNOWN => None,
            expected => expected.checked_sub(1),
        }
    }

    /// Whether a response has begun.
    pub(crate) fn has_response(&self) -> bool {
        self.expected.load(Ordering::Relaxed) != 0
    }

    /// A response has begun, and its body has that length.
    pub(crate) fn begin_receiving(&self, expected: Option<u64>) {
        let expected = expected.map_or(UNKNOWN, |count| count.saturating_add(1).min(UNKNOWN - 1));
        self.received.store(0, Ordering::Relaxed);
        self.expected.store(expected, Ordering::Relaxed);
    }

    /// So much of the body was received. Whether that is news.
    pub(crate) fn set_received(&self, received: u64) -> bool {
        let is_new = self.received() != received;
        if is_new {
            self.received.store(received, Ordering::Relaxed);
        }
        is_new
    }
}
