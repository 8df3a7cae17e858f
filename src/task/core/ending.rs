//! Ending: the outcome counts, the work lets go of everything, and everybody is told.

use super::{Handler, Outcome, Sleeper, TaskCore, Work};
use crate::engine::events::{Subject, contain};
use crate::error::Error;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};
use std::task::Waker;

impl TaskCore {
    /// The end of the task: the work lets go of everything, and everybody is told. Called once, by
    /// whoever has the work.
    pub(super) fn conclude(self: &Arc<Self>, work: Box<dyn Work>, outcome: Option<Outcome>) {
        lock(&self.interrupt).clear();
        let metrics = Arc::new(work.end(self));
        lock(&self.shared).metrics = Some(Arc::clone(&metrics));
        if let Some(outcome) = outcome {
            let left = outcome.as_ref().err().and_then(Error::resume_data).cloned();
            // Who cancelled just now gets what the error has, which nobody will see.
            if !self.claim.settle(outcome) && left.is_some() && self.is_resume_wanted() {
                self.set_resume_data(left);
            }
        }
        self.claim.finish();
        // Somebody may have taken the work over from the watch, which would keep the task.
        self.unpark();
        let followed = self.close_following();
        let (handlers, events) = {
            let mut shared = lock(&self.shared);
            shared.ended = true;
            shared.completed = shared.events.is_none() && !followed;
            shared.collected = Vec::new();
            (std::mem::take(&mut shared.handlers), shared.events.take())
        };
        let (direct, handlers): (Vec<_>, Vec<_>) =
            handlers.into_iter().partition(|handler| matches!(handler, Handler::Direct(_)));
        self.deliver_all(direct);
        self.suspended.store(false, Ordering::Release);
        let bypass = self.bypass.load(Ordering::Acquire) && !self.told.load(Ordering::Acquire);
        if events.is_none() && !followed {
            return self.report(handlers);
        }
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            lock(&core.shared).completed = true;
            core.end_following();
            if let Some(events) = events {
                contain(|| events.did_finish_collecting(&core, &metrics));
                if !bypass {
                    let error = core.claim.outcome().and_then(Result::err);
                    contain(|| events.did_complete(&core, error.as_ref()));
                }
                // It may be the last to have the delegate of the task, whose drop is the user's code.
                contain(|| drop(events));
            }
            // Those who came while the end was on its way.
            let late = std::mem::take(&mut lock(&core.shared).handlers);
            core.report(handlers.into_iter().chain(late).collect());
        }));
    }

    pub(super) fn report(&self, handlers: Vec<Handler>) {
        self.deliver_all(handlers);
        self.forget();
    }

    pub(super) fn deliver_all(&self, handlers: Vec<Handler>) {
        if handlers.is_empty() {
            return;
        }
        if let Some(outcome) = self.claim.outcome() {
            for handler in handlers {
                self.deliver(handler, outcome.clone());
            }
        }
    }

    pub(super) fn deliver(&self, handler: Handler, outcome: Outcome) {
        match handler {
            Handler::Lane(handler) => {
                self.context.post(Subject::NONE, Box::new(move || handler(outcome)));
            }
            Handler::Direct(handler) => handler(outcome),
        }
    }

    /// Runs a handler on the delegate lane when the task has completed.
    pub(crate) fn on_completion(self: &Arc<Self>, handler: Box<dyn FnOnce(Outcome) + Send>) {
        self.bypass.store(true, Ordering::Release);
        self.add_handler(Handler::Lane(handler));
    }

    /// Runs a handler where the task ends, which must take no time.
    pub(crate) fn on_end(self: &Arc<Self>, handler: Box<dyn FnOnce(Outcome) + Send>) {
        self.add_handler(Handler::Direct(handler));
    }

    pub(super) fn add_handler(&self, handler: Handler) {
        let mut shared = lock(&self.shared);
        let over = match handler {
            Handler::Lane(_) => shared.completed,
            Handler::Direct(_) => shared.ended,
        };
        if !over {
            shared.handlers.push(handler);
            return;
        }
        drop(shared);
        if let Some(outcome) = self.claim.outcome() {
            self.deliver(handler, outcome);
        }
    }

    /// Whether the work is gone: nothing of the task is under way any more.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.shared).ended
    }

    /// Whether this thread, which runs the task, has come here through a method of a delegate: the work
    /// cannot go before that has returned.
    pub(crate) fn is_run_here(&self) -> bool {
        let shared = lock(&self.shared);
        self.context.lane.is_inline() && !shared.ended && shared.is_busy_here()
    }

    /// Has the waker woken when the outcome is there.
    pub(crate) fn on_change(&self, waker: &Waker) {
        self.claim.on_change(waker);
    }

    /// The waker is not interested any more.
    pub(crate) fn forget_change(&self, waker: &Waker) {
        self.claim.forget(waker);
    }

    /// A way for this thread to sleep until a waker is woken. A thread that would have to run the
    /// events of the session does so meanwhile.
    pub(crate) fn sleeper(&self) -> Sleeper {
        Sleeper::new(&self.context.lane)
    }
}
