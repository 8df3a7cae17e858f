//! The steps of a download over several connections: those of the task, which supervises, and those of a
//! child, which brings one part after another.

use super::{LOOK_AGAIN, Outlook, PROGRESS, Plan, Segment, Segments, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::head::ResponseHead;
use crate::loader::incoming::Incoming;
use crate::loader::receiving::Sink;
use crate::loader::{Flow, Loader, Pause, Step};
use crate::proto::ranges::{AskedRange, RangeAnswer, answer_to_range};
use crate::retry::is_transient;
use crate::sync::{Arc, Instant, lock};
use crate::task::core::TaskCore;
use http::header::CONTENT_ENCODING;
use std::ops::Range;

impl Loader {
    pub(super) fn of_segment(all: Arc<Segments>) -> Loader {
        Loader { segment: Some(Box::new(Segment::of(&all, 0))), ..Loader::new() }
    }

    /// The task's own response is there, and others are to help.
    pub(in crate::loader) fn begin_segments(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        (plan, is_told): (Plan, bool),
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let Plan { resource, file, mut layout, record, answer, connections } = plan;
        let total = resource.total;
        let base = layout.bytes();
        layout.begin(core.id, answer.start, 0);
        let flow = self.receive(incoming, head, None, Sink::Part, core)?;
        core.counts.begin_receiving(Some(total.saturating_sub(base)));
        let Some(head) = core.head() else {
            return Err(Error::new(ErrorKind::Unknown, "a response without a head"));
        };
        let all = Segments::new(resource, file, layout, record, is_told, head, connections.saturating_sub(1));
        log::debug!("task {}: up to {connections} connections", core.id);
        let mut segment = Segment::of(&all, core.id);
        segment.limit = answer.end;
        segment.is_open = true;
        self.segment = Some(Box::new(segment));
        all.staff(core);
        if let Some(download) = self.download.as_mut() {
            download.segments = Some(all);
        }
        Ok(flow)
    }

    fn segments(&self) -> Option<Arc<Segments>> {
        self.download.as_ref().and_then(|download| download.segments.clone())
    }

    /// Before a request is made: a child may have nothing to ask for, and a task that has children asks for
    /// nothing itself.
    pub(in crate::loader) fn prepare_part(&mut self, core: &Arc<TaskCore>) -> Result<Option<Flow>> {
        if let Some(all) = self.segments() {
            // It was tried before, and given up.
            let mut state = lock(&all.state);
            state.limit = state.limit.max(1);
            state.failure = None;
            drop(state);
            core.set_head(Some(Arc::clone(&all.head)));
            return Ok(Some(Flow::Go(Step::Segments)));
        }
        let Some(segment) = self.segment.as_mut() else { return Ok(None) };
        segment.owner = core.id;
        let outlook = segment.all.outlook(core.id);
        self.clock.touch();
        match outlook {
            Outlook::Work => Ok(None),
            Outlook::Over => Err(Error::cancelled()),
            Outlook::Later => {
                let until = Instant::now() + LOOK_AGAIN;
                self.clock.next_attempt = Some(until);
                Ok(Some(Flow::Stay(Step::Backoff(until), Pause::Event)))
            }
        }
    }

    /// There is a connection. Whether there is a part to ask for.
    pub(in crate::loader) fn take_part(&mut self, core: &TaskCore) -> bool {
        let Some(segment) = self.segment.as_mut() else { return true };
        let now = segment.all.now();
        let mut state = lock(&segment.all.state);
        // Those of the children who have no part yet, this one included.
        let own = usize::from(core.parent().is_some_and(|parent| state.layout.position(parent.id).is_some()));
        let newcomers = state.alive.saturating_sub(state.layout.parts().saturating_sub(own)).max(1);
        let given = if state.verdict.is_some() || state.whole_only {
            None
        } else {
            state.layout.assign(core.id, newcomers as u64, now)
        };
        drop(state);
        match given {
            Some(range) => (segment.asked, segment.over) = (range, false),
            None => {
                self.transactions.pop();
                return false;
            }
        }
        true
    }

    /// The response to a request for a part is there.
    pub(in crate::loader) fn begin_part(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let (Some(segment), Some(parent)) = (self.segment.as_mut(), core.parent()) else {
            return Err(Error::new(ErrorKind::Unknown, "a part of nothing"));
        };
        let all = Arc::clone(&segment.all);
        let validator = &all.resource.validator;
        let Range { start: first, end } = segment.asked.clone();
        let changed = || {
            log::debug!("task {}: there is another version", core.id);
            all.decide(Verdict::Changed, parent);
            Err(Error::cancelled())
        };
        if head.status.is_success() && !validator.matches(head.headers()) {
            return changed();
        }
        let asked = AskedRange {
            first,
            last: Some(end.saturating_sub(1)),
            validator: Some(validator),
            total: Some(all.resource.total),
        };
        match answer_to_range(&asked, head.status, head.headers())? {
            RangeAnswer::Continue { .. }
                if head.decoded && !all.head.headers().contains_key(CONTENT_ENCODING) =>
            {
                Err(Error::new(
                    ErrorKind::BadServerResponse,
                    "the server sent a part (206) of something encoded, where the rest is not",
                ))
            }
            RangeAnswer::Continue { length, .. } => {
                segment.limit = first.saturating_add(length);
                if segment.limit < end {
                    let mut state = lock(&all.state);
                    let there = state.layout.bytes();
                    state.small.count(there)?;
                }
                self.receive(incoming, head, None, Sink::Part, core)
            }
            // What was asked for lies within what there is: who says 416 to that does no ranges, or has
            // another version by now. The task's own answer is of one version in any case.
            RangeAnswer::StartOver | RangeAnswer::Restart | RangeAnswer::Complete => {
                log::debug!("task {}: the server sends the whole only", core.id);
                lock(&all.state).whole_only = true;
                Err(Error::cancelled())
            }
            RangeAnswer::Other => {
                let again = matches!(head.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
                let kind =
                    if again { ErrorKind::NetworkConnectionLost } else { ErrorKind::BadServerResponse };
                let message = format!("the server answered {} to a request for a part", head.status);
                all.give_up(Error::new(kind, message).with_response(Arc::new(head)), true);
                let mut state = lock(&all.state);
                state.refused = true;
                state.refused_for_good = !again;
                drop(state);
                Err(Error::cancelled())
            }
        }
    }

    /// Something of a part was received, or nothing.
    pub(in crate::loader) fn part_progress(&self, core: &Arc<TaskCore>) {
        let parent = core.parent().unwrap_or(core);
        // The delegate is not held here: who lets go of it last runs code of the program.
        let is_told = self.segment.as_ref().is_some_and(|segment| segment.all.is_told);
        if let Some(events) = parent.events().filter(|_| is_told) {
            parent.tell_written(&events);
        }
        parent.moved(self.clock.progress());
    }

    /// All of the part was received, or as much as was wanted of it.
    pub(in crate::loader) fn part_received(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        if let Some(segment) = &mut self.segment {
            segment.check_end()?;
        }
        Ok(Flow::Go(self.leave_part(core, true)))
    }

    /// A connection is free again, or gone. What comes next.
    fn leave_part(&mut self, core: &Arc<TaskCore>, replaced: bool) -> Step {
        let Some(parent) = core.parent() else {
            if let Some(segment) = self.segment.take() {
                let mut state = lock(&segment.all.state);
                state.layout.release(core.id);
                state.limit += usize::from(replaced);
            }
            return Step::Segments;
        };
        if let Some(segment) = &self.segment {
            let transactions = std::mem::take(&mut self.transactions);
            segment.all.release(core.id, transactions);
            // A part that was taken from the task leaves it in a receive for nothing.
            let state = lock(&segment.all.state);
            let in_vain = state.layout.position(parent.id).is_some() && state.layout.is_over(parent.id);
            let complete = state.layout.is_complete();
            drop(state);
            match complete && in_vain {
                true => parent.interrupt(),
                false => parent.wake(),
            }
        }
        Step::Prepare
    }

    /// Something failed. What comes next, if it goes on.
    pub(in crate::loader) fn after_failure(&mut self, core: &Arc<TaskCore>, error: Error) -> Result<Step> {
        let Some(segment) = self.segment.as_mut() else { return self.try_again(core, error) };
        if core.is_settled() {
            return Err(error);
        }
        let all = Arc::clone(&segment.all);
        let progressed = std::mem::take(&mut segment.brought) >= PROGRESS;
        if let Some(transaction) = self.transactions.last_mut().filter(|_| !error.is_cancelled()) {
            transaction.failed_at = Some(Instant::now());
        }
        let decided = lock(&all.state).verdict.is_some();
        self.uninterruptible(core);
        if error.is_cancelled() || decided {
            return if core.parent().is_some() { Err(error) } else { Ok(self.leave_part(core, true)) };
        }
        if !is_transient(error.kind()) {
            if let Some(parent) = core.parent() {
                all.decide(Verdict::Failed(error.clone()), parent);
            }
            return Err(error);
        }
        log::info!("task {}: {error}; the rest of the part is for another connection", core.id);
        let replaced = progressed && lock(&all.state).layout.others(core.id) > 0;
        let is_child = core.parent().is_some();
        all.give_up(error.clone(), is_child && !replaced);
        let step = self.leave_part(core, replaced);
        if is_child && !replaced {
            return Err(error);
        }
        self.begin_anew();
        Ok(step)
    }

    /// The task's own part is over: sees to it that others bring the rest.
    pub(in crate::loader) fn supervise(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        let Some(all) = self.segments() else {
            return Err(Error::new(ErrorKind::Unknown, "a download in parts without parts"));
        };
        self.check(false, core, &|loader| {
            format!("waiting for the parts of the download from {}", loader.authority(core))
        })?;
        all.staff(core);
        let (verdict, complete, alive, failure, whole_only, refused) = {
            let mut state = lock(&all.state);
            let complete = state.layout.is_complete();
            let failure = if state.alive == 0 { state.failure.take() } else { None };
            let refused = state.refused_for_good;
            (state.verdict.clone(), complete, state.alive, failure, state.whole_only, refused)
        };
        if let Some(Verdict::Failed(error)) = verdict {
            all.close(true);
            core.cancel_children();
            return Err(error);
        }
        if complete || verdict.is_some() {
            // None of them has anything to do.
            core.cancel_children();
        }
        if alive > 0 {
            return Ok(Flow::Stay(Step::Segments, Pause::Event));
        }
        if verdict.is_some() || (whole_only && !complete) {
            return self.start_over(&all, core, verdict.is_none());
        }
        if !complete && all.was_crowded() {
            let until = Instant::now() + LOOK_AGAIN;
            self.clock.next_attempt = Some(until);
            return Ok(Flow::Stay(Step::Backoff(until), Pause::Event));
        }
        if !complete && refused {
            return self.start_over(&all, core, true);
        }
        if !complete {
            let lost = || Error::new(ErrorKind::NetworkConnectionLost, "no connection brings the rest");
            return Err(failure.unwrap_or_else(lost));
        }
        all.close(false);
        let head = Arc::clone(&all.head);
        self.transactions.extend(all.take_transactions());
        if let Some(download) = self.download.as_mut() {
            download.complete_segments(all.resource.total);
        }
        self.finish_download(head, core)
    }

    /// What there is is of no use: all of it anew, once.
    fn start_over(&mut self, all: &Segments, core: &Arc<TaskCore>, whole_only: bool) -> Result<Flow> {
        all.close(false);
        self.transactions.extend(all.take_transactions());
        let Some(download) = self.download.as_mut() else {
            return Err(Error::new(ErrorKind::Unknown, "a download without a file"));
        };
        let repeated = download.forget_segments(core, whole_only)?;
        if repeated {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                "the resource changes on the server while it is downloaded; it has changed twice",
            ));
        }
        log::info!("task {}: the download starts over", core.id);
        core.set_head(None);
        self.begin_anew();
        Ok(Flow::Go(Step::Prepare))
    }

    /// The work ends: nothing of it is left behind.
    pub(in crate::loader) fn end_segments(&mut self, core: &Arc<TaskCore>) {
        if let Some(all) = self.segments() {
            all.close(true);
            core.cancel_children();
            self.transactions.extend(all.take_transactions());
            let done = lock(&all.state).layout.done().to_vec();
            if let Some(partial) = self.download.as_mut().and_then(|download| download.partial()) {
                partial.scatter(done);
            }
        }
        let (Some(segment), Some(parent)) = (self.segment.take(), core.parent()) else { return };
        // What failed outside of its work, or by a panic, would only do so again.
        let broke = match core.outcome() {
            Some(outcome) => outcome.is_err_and(|error| !error.is_cancelled()),
            None => self.failure.is_none(),
        };
        {
            let mut state = lock(&segment.all.state);
            state.limit = state.limit.saturating_sub(usize::from(broke));
            state.layout.release(core.id);
            state.transactions.append(&mut self.transactions);
            state.alive = state.alive.saturating_sub(1);
            if state.idle == Some(core.id) {
                state.idle = None;
            }
        }
        parent.let_go(core);
    }
}
