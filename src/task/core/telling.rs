//! What the work tells while it runs: the task's handles, and the delegate on its lane.

use super::{Events, PIECE_COST, Shared, TaskCore, too_large_error};
use crate::engine::events::{Event, Subject, contain};
use crate::error::Error;
use crate::head::ResponseHead;
use crate::request::Request;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock, thread};
use bytes::Bytes;

impl TaskCore {
    /// Whether the body goes to a reader.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Acquire)
    }

    /// The delegate, if the response is for it: then a handler or a reader that comes later changes
    /// that no more.
    pub(crate) fn take_response(&self) -> Option<Arc<dyn Events>> {
        let events = if self.bypass.load(Ordering::Acquire) { None } else { self.events() };
        self.told.store(events.is_some(), Ordering::Release);
        events
    }

    /// Whom the rest of the response is told: nobody, if somebody took it in the delegate's place.
    pub(crate) fn told_events(&self) -> Option<Arc<dyn Events>> {
        if self.told.load(Ordering::Acquire) { self.events() } else { None }
    }

    pub(crate) fn set_current(&self, request: Request) {
        lock(&self.shared).current = Some(request);
    }

    pub(crate) fn set_head(&self, head: Option<Arc<ResponseHead>>) {
        lock(&self.shared).head = head;
    }

    /// Whether the delegate is still to be told what happened before the end: not after a cancel, when
    /// nobody wants to know.
    pub(super) fn is_told(&self) -> bool {
        if lock(&self.shared).completed {
            return false;
        }
        !matches!(self.claim.outcome(), Some(Err(error)) if error.is_cancelled())
    }

    /// Tells the delegate something on its lane, unless the task has completed by then.
    pub(crate) fn tell(
        self: &Arc<Self>,
        events: Arc<dyn Events>,
        tell: impl FnOnce(&dyn Events, &Arc<TaskCore>) + Send + 'static,
    ) {
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            if core.is_told() {
                contain(|| core.within_event(|| tell(events.as_ref(), &core)));
            }
        }));
    }

    /// Runs an event of this task on the delegate lane. For whoever carries the task on: if that means
    /// here and now, events of other tasks may run here, too, and cannot wait for this one.
    pub(crate) fn post(self: &Arc<Self>, event: Event) {
        if !self.context.lane.is_inline() {
            return self.post_aside(event);
        }
        let here = thread::current().id();
        lock(&self.shared).posting_on.push(here);
        self.post_aside(event);
        let posting_on = &mut lock(&self.shared).posting_on;
        if let Some(at) = posting_on.iter().position(|thread| *thread == here) {
            posting_on.swap_remove(at);
        }
    }

    /// The same for others.
    pub(crate) fn post_aside(self: &Arc<Self>, event: Event) {
        self.context.post(Subject::of(self), event);
    }

    /// The request begins to go out, for the first time or anew, with a body of that length.
    pub(crate) fn begin_sending(&self, length: Option<u64>) {
        self.counts.begin_sending(length);
        if self.observed.load(Ordering::Acquire) {
            let mut shared = lock(&self.shared);
            shared.sent = 0;
            shared.sent_told = 0;
        }
    }

    /// The rest of a body begins to go out, of which there are so many bytes before.
    pub(crate) fn resume_sending(&self, offset: u64, total: Option<u64>) {
        self.counts.begin_sending(total);
        self.counts.sent.store(offset, Ordering::Relaxed);
        if self.observed.load(Ordering::Acquire) {
            let mut shared = lock(&self.shared);
            shared.sent = offset;
            shared.sent_told = offset;
        }
    }

    /// So much of the request's body went out in all. The delegate is told of it; of several pieces
    /// in one, if it is slow.
    pub(crate) fn has_sent(self: &Arc<Self>, total: u64) {
        self.counts.sent.store(total, Ordering::Relaxed);
        let Some(events) = self.events() else { return };
        {
            let mut shared = lock(&self.shared);
            shared.sent = total;
            if std::mem::replace(&mut shared.sent_queued, true) {
                return;
            }
        }
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            let (count, total) = {
                let mut shared = lock(&core.shared);
                shared.sent_queued = false;
                let (before, total) = (shared.sent_told, shared.sent);
                shared.sent_told = total;
                (total.saturating_sub(before), total)
            };
            // Nothing if it is sent anew meanwhile.
            if count > 0 && core.is_told() {
                let expected = core.counts.to_send().flatten();
                contain(|| {
                    core.within_event(|| events.did_send_body_data(&core, count, total, expected));
                });
            }
        }));
    }

    /// Hands a piece of the body to the delegate. What it does not want is collected.
    pub(crate) fn tell_data(self: &Arc<Self>, events: Arc<dyn Events>, data: Bytes, limit: usize) {
        // What it costs, which is more than its bytes if there are few of them.
        let size = data.len() + PIECE_COST;
        lock(&self.shared).undelivered += size;
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            let mut unwanted = None;
            if core.is_told() {
                let receive = || core.within_event(|| events.did_receive_data(&core, data));
                unwanted = contain(receive).flatten();
            }
            let mut shared = lock(&core.shared);
            if let Some(data) = unwanted {
                if shared.collected.len() + data.len() > limit {
                    drop(shared);
                    // The piece counts as undelivered until this is the outcome: else what was collected
                    // could be taken for the whole body.
                    core.settle_and_conclude(Err(core.too_large(limit)));
                    lock(&core.shared).undelivered -= size;
                    return;
                }
                shared.collected.extend_from_slice(&data);
            }
            shared.undelivered -= size;
            drop(shared);
            core.wake();
        }));
    }

    /// Tells the delegate how much of a download is in its file: the newest figure, once it gets to it.
    pub(crate) fn tell_written(self: &Arc<Self>, events: &Arc<dyn Events>) {
        if self.telling_written.swap(true, Ordering::AcqRel) {
            return;
        }
        self.tell(Arc::clone(events), |events, core| {
            core.telling_written.store(false, Ordering::Release);
            let total = core.counts.there();
            let before = std::mem::replace(&mut lock(&core.shared).told_written, total);
            let expected = core.counts.expected_there();
            if total > before {
                events.did_write_data(core, total - before, total, expected);
            }
        });
    }

    /// It goes on from there.
    pub(crate) fn resume_from(&self, offset: u64) {
        self.counts.resume_from(offset);
        lock(&self.shared).told_written = offset;
    }

    /// The error of a body that is larger than may be collected, with what it is about.
    fn too_large(&self, limit: usize) -> Error {
        let mut error = too_large_error(limit);
        if let Some(url) = self.current_url() {
            error = error.with_url(&url);
        }
        match self.head() {
            Some(head) => error.with_response(head),
            None => error,
        }
    }

    /// Runs a method of the delegate, which cannot wait for this task: it is not over before the
    /// method has returned.
    pub(crate) fn within_event<T>(&self, run: impl FnOnce() -> T) -> T {
        struct Left<'a>(&'a TaskCore);
        impl Drop for Left<'_> {
            fn drop(&mut self) {
                lock(&self.0.shared).told_on = None;
            }
        }
        lock(&self.shared).told_on = Some(thread::current().id());
        let _left = Left(self);
        run()
    }

    /// Whether this thread is in such a method, or in one that was called while it carries the task on.
    pub(crate) fn is_told_here(&self) -> bool {
        lock(&self.shared).is_busy_here() && !self.claim.is_settled()
    }

    /// How many bytes of memory are on their way to the delegate.
    pub(crate) fn undelivered(&self) -> usize {
        if self.observed.load(Ordering::Acquire) { lock(&self.shared).undelivered } else { 0 }
    }

    pub(crate) fn take_collected(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.shared).collected)
    }
}

impl Shared {
    /// Whether the task cannot go on before this thread has returned from an event.
    pub(super) fn is_busy_here(&self) -> bool {
        let here = thread::current().id();
        self.told_on == Some(here) || self.posting_on.contains(&here)
    }
}
