//! What a task counts.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Body bytes, readable from any thread.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    /// Two more than the length of the body that is sent, 1 for unknown; 0 before sending has begun.
    to_send: AtomicU64,
    /// How much there is of the response's body, with what was there before: one number, so that it
    /// does not jump where the rest of a download is asked for.
    there: AtomicU64,
    /// What was there before the task began, which a resumed download continues.
    resumed: AtomicU64,
    /// How much of it there will be, with what was there before, and one more; 0 while there is no
    /// response, [`UNKNOWN`] if it does not say.
    expected: AtomicU64,
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
        self.body().1
    }

    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// What was there before the task began, what it has received since, and how much that will be in the
    /// end, if it is known: figures of one moment.
    pub(crate) fn body(&self) -> (u64, u64, Option<u64>) {
        let resumed = self.resumed();
        let received = self.there.load(Ordering::Relaxed).saturating_sub(resumed);
        (resumed, received, self.expected_there().map(|expected| expected.saturating_sub(resumed)))
    }

    /// How much of the response's body there will be, if it is known.
    pub(crate) fn expected_there(&self) -> Option<u64> {
        match self.expected.load(Ordering::Relaxed) {
            UNKNOWN => None,
            expected => expected.checked_sub(1),
        }
    }

    /// How much there is of the response's body.
    pub(crate) fn there(&self) -> u64 {
        let (resumed, received, _) = self.body();
        resumed.saturating_add(received)
    }

    /// The body goes on from there.
    pub(super) fn resume_from(&self, offset: u64) {
        self.resumed.store(offset, Ordering::Relaxed);
        self.there.store(offset, Ordering::Relaxed);
    }

    /// What this task has moved, in both directions.
    pub(crate) fn moved(&self) -> u64 {
        self.sent().saturating_add(self.received())
    }

    /// The same with what was there before.
    pub(crate) fn completed(&self) -> u64 {
        self.sent().saturating_add(self.there())
    }

    /// The length of the response's body. `None` while there is no response, and if it is not known.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.body().2
    }

    /// Whether a response has begun.
    pub(crate) fn has_response(&self) -> bool {
        self.expected.load(Ordering::Relaxed) != 0
    }

    /// A response has begun, and its body has that length.
    pub(crate) fn begin_receiving(&self, expected: Option<u64>) {
        let resumed = self.resumed();
        let there = |count: u64| count.saturating_add(resumed).saturating_add(1).min(UNKNOWN - 1);
        let expected = expected.map_or(UNKNOWN, there);
        self.there.store(resumed, Ordering::Relaxed);
        self.expected.store(expected, Ordering::Relaxed);
    }

    /// So much of the body was received. Whether that is news.
    pub(crate) fn set_received(&self, received: u64) -> bool {
        let there = self.resumed().saturating_add(received);
        let is_new = self.there.load(Ordering::Relaxed) != there;
        if is_new {
            self.there.store(there, Ordering::Relaxed);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_does_not_jump() {
        let counts = Counts::default();
        counts.begin_receiving(Some(100));
        assert!(counts.set_received(40) && !counts.set_received(40));
        // The same in two steps, as others may see it.
        counts.resumed.store(40, Ordering::Relaxed);
        assert_eq!((counts.body(), counts.completed()), ((40, 0, Some(60)), 40));
        counts.resume_from(40);
        counts.begin_receiving(Some(60));
        assert_eq!((counts.body(), counts.completed()), ((40, 0, Some(60)), 40));
        counts.set_received(60);
        assert_eq!((counts.body(), counts.there()), ((40, 60, Some(60)), 100));
        counts.resume_from(0);
        assert_eq!((counts.body(), counts.completed()), ((0, 0, Some(100)), 0), "it starts over");
    }
}
