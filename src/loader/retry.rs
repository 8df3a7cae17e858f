//! Whether a failed exchange is repeated.

use super::{Flow, Loader, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::sync::Arc;
use crate::task::core::TaskCore;

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

impl Loader {
    /// After 417 (RFC 9110, section 10.1.1): once more without the expectation, if there was one.
    pub(super) fn without_expectation(&mut self, core: &Arc<TaskCore>) -> bool {
        let request = self.request(core);
        let expected = request.expect_continue && !request.get_body().is_empty();
        expected && !std::mem::replace(&mut self.retries.without_expect, true)
    }

    /// The exchange failed before a head came.
    pub(super) fn unanswered(
        &mut self,
        exchange: Box<Exchange>,
        error: Error,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if core.is_settled() {
            return Err(Error::cancelled());
        }
        let method = self.request(core).get_method();
        match retry(&exchange, method.is_idempotent(), self.retries.stale, &error) {
            None => Err(error),
            Some(reason) => {
                log::debug!("task {}: {reason:?}, once more on a fresh connection ({error})", core.id);
                self.retries.stale = true;
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
