//! Resumable uploads (draft-ietf-httpbis-resumable-upload): what to ask next, by what was answered.
//!
//! Knows neither sockets nor bodies nor the clock. Whoever holds those carries out the [`Next`] step
//! and tells how it went: [`handle_informational`](Upload::handle_informational),
//! [`handle_response`](Upload::handle_response), [`handle_lost`](Upload::handle_lost). A step is
//! given out only when the one before has ended, so that the offset is never asked for while a
//! transfer is going on (section 4.3.1).
//!
//! ```text
//!            104 with Location, then cut or 5xx
//! Creating ──────────────────────────────────► Querying ◄──────────────┐
//!    │                                             │ Upload-Offset      │ cut, 5xx, 409,
//!    │                                             ▼                    │ or not complete
//!    │ final response        Upload-Complete: ?1  Appending ────────────┘
//!    └────────────────────────────► Ended ◄────────┘
//! ```
//!
//! # The version
//!
//! Until the draft is an RFC, both sides name the iteration they implement, and must ignore each
//! other if it is not the same; so exactly one can be spoken. It is interop version 8 (drafts -09 to
//! -11): what URLSession of iOS and macOS 26 sends, and so what servers made for it answer to. How
//! the others differ on the wire:
//!
//! | version | drafts | |
//! |---|---|---|
//! | 3 | -01 | `Upload-Incomplete`, with the opposite sense, in place of `Upload-Complete` |
//! | 4 | -02 | `Upload-Complete`; the offset is answered with 204 only |
//! | 5 | -03 | 104 tells progress by `Upload-Offset` |
//! | 6 | -04, -05 | PATCH needs `application/partial-upload`; `Upload-Limit`, in -05 `Upload-Length` |
//! | 7 | -06 to -08 | the limit `expires` is now `max-age`; append responses need no `Upload-Offset` |
//! | 8 | -09 to -11 | limits are announced whenever there are any, and adhered to |
//! | 9 | from -12 | `Upload-Complete` tells whose response it is; the offset may be answered without it |
//!
//! What is read here holds for 9 as well: a state without `Upload-Complete` counts as not complete,
//! and is completed by an empty append. To move on is to change [`INTEROP_VERSION`].
//!
//! # Decisions
//!
//! - The whole body goes into the creation ("optimistic", section 12.1), so that a server that knows
//!   nothing of this sees an ordinary request.
//! - A 104 that cannot be used (another version, a `Location` that is malformed or leads from https
//!   to http) is ignored, as if there were no resumption.
//! - A malformed field is as if it were not there (section 4.1).
//! - A complete upload whose response was lost is delivered by the response that said so. If that
//!   response was an error of the server (5xx), it is an error, and never taken for a success.
//! - What an upload resource on another origin gets of the request is what a redirect would take
//!   there: no credentials.

mod answers;
mod fields;
#[cfg(test)]
mod tests;

pub(crate) use fields::{
    INTEROP_VERSION, Limits, add_append_fields, add_creation_fields, add_query_fields, headers_for_resource,
};

use crate::error::{Error, ErrorKind, redacted};
use http::{HeaderMap, StatusCode};
use url::Url;

/// How often in a row an upload is taken up without the offset having moved.
pub(crate) const MAX_ATTEMPTS: u32 = 6;

/// How many redirects of an upload resource are followed without the offset having moved.
pub(crate) const MAX_REDIRECTS: u32 = 5;

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send the request with its whole body and [`add_creation_fields`].
    Create,
    /// Ask the upload resource how far it is: HEAD with [`add_query_fields`], past any cache and not
    /// redirected.
    QueryOffset {
        /// The upload resource.
        url: Url,
        /// How many attempts were in vain since the offset moved last: the first is to be sent at
        /// once, the others after a pause.
        attempt: u32,
    },
    /// Send more of the body: PATCH with [`add_append_fields`], not redirected.
    Append {
        /// The upload resource.
        url: Url,
        /// From which byte of the body.
        offset: u64,
        /// How many bytes, or up to the end of the body if it is not known where that is. If the
        /// request does not complete the upload and the body ends before, that is its end.
        length: Option<u64>,
        /// Whether this is the rest of the body, and what `Upload-Complete` says.
        complete: bool,
    },
    /// The response just handled, which is the answer to the upload, whatever its status.
    Deliver,
    /// The upload has failed.
    Fail(Error),
    /// The upload has failed for good: DELETE the upload resource with [`add_query_fields`], whatever
    /// comes of that, and fail.
    Cancel {
        /// The upload resource.
        url: Url,
        /// Why.
        error: Error,
    },
}

/// One upload.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Where the request of the creation went.
    url: Url,
    /// How long the body is, once that is known.
    total: Option<u64>,
    /// The upload resource, and where it redirected to for the time being.
    resource: Option<Url>,
    moved: Option<Url>,
    limits: Limits,
    /// What the server has for sure: it may never fall behind that.
    acknowledged: u64,
    /// How far the body has been sent by the request that is under way or ended last, and by any.
    sent: u64,
    reached: u64,
    phase: Phase,
    attempts: u32,
    redirects: u32,
    conflicted: bool,
    /// The server's error that the state is asked for because of.
    failed_with: Option<StatusCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Creating,
    Querying,
    Appending { offset: u64, length: Option<u64>, complete: bool },
    Ended,
}

impl Upload {
    /// An upload by a request to that URL, with a body of that length in bytes if it is known.
    pub(crate) fn new(url: Url, total: Option<u64>) -> Upload {
        Upload {
            url,
            total,
            resource: None,
            moved: None,
            limits: Limits::default(),
            acknowledged: 0,
            sent: 0,
            reached: 0,
            phase: Phase::Creating,
            attempts: 0,
            redirects: 0,
            conflicted: false,
            failed_with: None,
        }
    }

    /// An upload that was begun before: its upload resource is known, and that it has acknowledged so
    /// many bytes.
    pub(crate) fn resume(url: Url, resource: Url, total: Option<u64>, acknowledged: u64) -> Upload {
        Upload {
            resource: Some(resource),
            acknowledged,
            // Nobody knows any more. Whoever has the body can tell.
            reached: u64::MAX,
            phase: Phase::Querying,
            ..Upload::new(url, total)
        }
    }

    /// The first step.
    pub(crate) fn start(&mut self) -> Next {
        match self.phase {
            Phase::Creating => Next::Create,
            _ => self.query(),
        }
    }

    /// The upload resource, if the server has made one and it is of use: what resume data needs.
    pub(crate) fn resource(&self) -> Option<&Url> {
        self.resource.as_ref()
    }

    /// How many bytes the server is known to have. No more will be asked for before that place.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The limits the server last announced.
    #[allow(dead_code)] // What is to hold for them is checked by tests and by fuzzing.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// How long the body is, if that is known.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// The body has been sent up to that byte of it; to be told before what the server said to that.
    pub(crate) fn handle_sent(&mut self, offset: u64) {
        self.sent = self.sent.max(offset);
        self.reached = self.reached.max(offset);
    }

    /// The body turned out to end at that byte. Does nothing if its length was known.
    pub(crate) fn handle_end(&mut self, total: u64) {
        self.total = self.total.or(Some(total));
    }

    /// An informational response. With a step, the request it belongs to is to be given up at once,
    /// by closing its connection, and the step taken instead.
    pub(crate) fn handle_informational(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Next> {
        let transferring = matches!(self.phase, Phase::Creating | Phase::Appending { .. });
        if status.as_u16() != 104 || !transferring || !fields::speaks_our_version(headers) {
            return None;
        }
        self.learn_limits(headers);
        if self.phase == Phase::Creating {
            if let Some(found) = fields::resource(&self.url, headers) {
                // Section 4.2.2: it is the same in all responses.
                if self.resource.as_ref().is_some_and(|known| *known != found) {
                    return Some(self.give_up("named two upload resources for one upload"));
                }
                self.resource = Some(found);
            }
        }
        if let Ok(Some(offset)) = fields::offset(headers) {
            if let Err(step) = self.acknowledge(offset) {
                return Some(*step);
            }
        }
        if self.phase != Phase::Creating || self.resource.is_none() {
            return None;
        }
        if let Err(step) = self.check_size() {
            return Some(*step);
        }
        // Section 4.1.4: once the limit is known, no larger creation is sent.
        match (self.limits.max_append_size, self.total) {
            (Some(most), Some(total)) if total > most => Some(self.query()),
            _ => None,
        }
    }

    /// The final response to what was sent last. If the body was not sent to its end by then, no
    /// more of it may be sent.
    pub(crate) fn handle_response(&mut self, status: StatusCode, headers: &HeaderMap) -> Next {
        match self.phase {
            Phase::Creating => self.created(status, headers),
            Phase::Querying => self.queried(status, headers),
            Phase::Appending { offset, length, complete } => {
                self.appended(status, headers, offset, length, complete)
            }
            Phase::Ended => self.fail("answered twice"),
        }
    }

    /// There was no final response: the connection was lost, or could not be made.
    pub(crate) fn handle_lost(&mut self, error: Error) -> Next {
        if self.phase == Phase::Ended || self.resource.is_none() {
            self.phase = Phase::Ended;
            return Next::Fail(error);
        }
        self.moved = None;
        self.try_again().unwrap_or(Next::Fail(error))
    }

    /// The body cannot be had from the offset of the step: the upload cannot go on.
    pub(crate) fn cannot_supply(&mut self, error: Error) -> Next {
        // What has ended may be complete, and is not to be deleted.
        if std::mem::replace(&mut self.phase, Phase::Ended) == Phase::Ended {
            return Next::Fail(error);
        }
        match self.resource.take() {
            Some(url) => Next::Cancel { url, error },
            None => Next::Fail(error),
        }
    }

    fn retry_after(&mut self, status: StatusCode) -> Next {
        self.failed_with = status.is_server_error().then_some(status);
        self.moved = None;
        self.try_again().unwrap_or_else(|| self.deliver())
    }

    /// Asks for the offset once more, unless that was in vain too often.
    fn try_again(&mut self) -> Option<Next> {
        self.attempts += 1;
        if self.attempts >= MAX_ATTEMPTS {
            self.phase = Phase::Ended;
            return None;
        }
        Some(self.query())
    }

    fn query(&mut self) -> Next {
        let Some(url) = self.target() else { return self.fail("named no upload resource") };
        self.phase = Phase::Querying;
        Next::QueryOffset { url, attempt: self.attempts.saturating_sub(1) }
    }

    fn deliver(&mut self) -> Next {
        self.phase = Phase::Ended;
        Next::Deliver
    }

    /// The upload resource behaves in a way that nothing can follow from. It may be asked again
    /// another time.
    fn fail(&mut self, what: &str) -> Next {
        self.phase = Phase::Ended;
        Next::Fail(self.error(ErrorKind::BadServerResponse, what))
    }

    /// The upload resource is of no use any more.
    fn give_up(&mut self, what: &str) -> Next {
        let error = self.error(ErrorKind::BadServerResponse, what);
        self.cannot_supply(error)
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        let url = self.moved.as_ref().or(self.resource.as_ref()).unwrap_or(&self.url);
        Error::new(kind, format!("resumable upload: {} {what}", redacted(url))).with_url(url)
    }

    fn learn_limits(&mut self, headers: &HeaderMap) {
        if let Ok(Some(limits)) = Limits::of(headers) {
            self.limits = limits;
        }
    }

    fn target(&self) -> Option<Url> {
        self.moved.clone().or_else(|| self.resource.clone())
    }
}
