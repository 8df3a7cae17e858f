//! Whether a failed exchange is repeated: at once, if it may not have got there, and after a while, if
//! that is the policy.

use super::{Flow, Loader, Pause, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::head::ResponseHead;
use crate::retry::{RetryPolicy, is_transient};
use crate::sync::Arc;
use crate::task::core::TaskCore;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

/// So much of a download between two failures, in bytes, and the second counts as the first.
const PROGRESS: u64 = 1024 * 1024;

/// Why an exchange is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryReason {
    /// The server had closed the kept-alive connection before the request got there.
    StaleConnection,
}

/// What was repeated already.
#[derive(Debug, Default)]
pub(super) struct Retries {
    stale: bool,
    pub(super) without_expect: bool,
    /// What was wrong with the exchange that is repeated.
    pub(super) cause: Option<Error>,
}

impl Retries {
    /// A repetition does not try its luck with another kept-alive connection.
    pub(super) fn wants_fresh_connection(&self) -> bool {
        self.stale
    }

    /// Another request begins.
    pub(super) fn begin_anew(&mut self) {
        *self = Retries::default();
    }
}

/// How often the task was tried by its policy.
#[derive(Debug, Default)]
pub(super) struct Tries {
    count: u32,
    /// How much had come of a download when it failed last.
    reached: u64,
    /// Somebody has seen something of the response: it is theirs.
    pub(super) shown: bool,
}

impl Loader {
    /// After 417 (RFC 9110, section 10.1.1): once more without the expectation, if there was one.
    pub(super) fn without_expectation(&mut self, core: &Arc<TaskCore>) -> bool {
        let request = self.request(core);
        let expected = request.expect_continue && !request.get_body().is_absent();
        expected && !std::mem::replace(&mut self.retries.without_expect, true)
    }

    /// The task failed. What comes next, if it is tried again.
    pub(super) fn try_again(&mut self, core: &Arc<TaskCore>, error: Error) -> Result<Step> {
        if !is_transient(error.kind()) || !self.may_try_again(core) {
            return Err(error);
        }
        let delay = self.policy(core).delay(self.tries.count, random());
        let Some((delay, step)) = delay.and_then(|delay| Some((delay, self.step_after(delay, core)?))) else {
            return Err(error);
        };
        log::info!("task {}: {error}; once more in {delay:?}", core.id);
        if let Some(transaction) = self.measure() {
            transaction.failed_at = Some(Instant::now());
        }
        Ok(step)
    }

    /// A response came. What comes next, if it says that another try may be answered otherwise.
    pub(super) fn try_after(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) -> Option<Step> {
        if !self.may_try_again(core) {
            return None;
        }
        let (tries, now) = ((self.tries.count, random()), SystemTime::now());
        let delay = self.policy(core).delay_for_status(head.status, head.headers(), now, tries)?;
        let step = self.step_after(delay, core)?;
        log::info!("task {}: {}; once more in {delay:?}", core.id, head.status);
        Some(step)
    }

    pub(super) fn back_off(&mut self, until: Instant, core: &Arc<TaskCore>) -> Result<Flow> {
        if Instant::now() >= until {
            self.clock.next_attempt = None;
            self.clock.touch();
            return Ok(Flow::Go(Step::Prepare));
        }
        self.check(false, core, &|_| "waiting to try again".into())?;
        self.clock.next_attempt = Some(until);
        Ok(Flow::Stay(Step::Backoff(until), Pause::Event))
    }

    pub(super) fn policy<'a>(&'a self, core: &'a TaskCore) -> &'a RetryPolicy {
        core.original.retry.as_ref().unwrap_or(&core.context.configuration.retry)
    }

    fn may_try_again(&mut self, core: &Arc<TaskCore>) -> bool {
        // What has come of a download since counts as a success: the next failure is another one.
        let reached = core.counts.there();
        if self.download.is_some() && reached >= self.tries.reached.saturating_add(PROGRESS) {
            self.tries.count = 0;
            self.tries.reached = reached;
        }
        // An upload that the server holds is gone on with, and not sent anew.
        if self.is_resumable() {
            return false;
        }
        let request = self.request(core);
        let repeatable = self.policy(core).allows(request.get_method()) && !request.get_body().is_spent();
        repeatable && !self.tries.shown && !core.is_settled()
    }

    /// The next request is another one, on another connection.
    pub(super) fn begin_anew(&mut self) {
        self.retries.begin_anew();
        self.clock.end_connect();
        self.clock.next_attempt = None;
    }

    /// The pause before the next try, unless the task's time is over before.
    fn step_after(&mut self, delay: Duration, core: &Arc<TaskCore>) -> Option<Step> {
        let until = Instant::now().checked_add(delay)?;
        if self.clock.is_over(until) {
            return None;
        }
        self.tries.count += 1;
        self.begin_anew();
        core.set_head(None);
        self.uninterruptible(core);
        Some(Step::Backoff(until))
    }

    /// The exchange failed before a head came.
    pub(super) fn unanswered(
        &mut self,
        mut exchange: Box<Exchange>,
        error: Error,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if core.is_settled() {
            return Err(Error::cancelled());
        }
        self.keep_rest(&mut exchange);
        let method = self.request(core).get_method();
        match retry(&exchange, method.is_idempotent(), self.retries.stale, &error) {
            None => Err(error),
            Some(reason) => {
                log::debug!("task {}: {reason:?}, once more on a fresh connection ({error})", core.id);
                self.retries.stale = true;
                self.retries.cause = Some(error);
                // What the lost exchange waited for (100 Continue) is of no concern to the next.
                self.clock.next_attempt = None;
                // The connection is closed here and now, and not when the next one is there.
                self.uninterruptible(core);
                drop(exchange);
                Ok(Flow::Go(Step::Prepare))
            }
        }
    }
}

/// The retry rule (SPEC N10, RFC 9110, section 9.2.2; RFC 9112, section 9.3.1).
fn retry(exchange: &Exchange, idempotent: bool, repeated: bool, error: &Error) -> Option<RetryReason> {
    // Once is enough: the second connection is a fresh one.
    if repeated {
        return None;
    }
    // Only the end of a connection may mean that the request did not get there. Time limits and
    // malformed answers do not.
    if error.kind() != ErrorKind::NetworkConnectionLost {
        return None;
    }
    // A fresh connection that ends without an answer says something about the server.
    if !exchange.reused {
        return None;
    }
    // The server began to answer, so it had the request.
    if exchange.has_received() {
        return None;
    }
    // Nothing was sent: whatever the method, nobody has seen it.
    if exchange.is_untouched() {
        return Some(RetryReason::StaleConnection);
    }
    // Repeating it has the same effect as sending it once.
    if idempotent {
        return Some(RetryReason::StaleConnection);
    }
    None
}

pub(super) fn random() -> u32 {
    RandomState::new().hash_one(0) as u32
}
