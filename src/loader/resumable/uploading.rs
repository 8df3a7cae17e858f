//! What is known of a resumable upload: how it was begun, how far it is, what there is of its body, and
//! which request it is at.

use crate::body::{Body, Section, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::header;
use crate::loader::authorization::url_authorization;
use crate::loader::upload::host;
use crate::proto::redirect::same_origin;
use crate::proto::resumable_upload::{
    INTEROP_VERSION, Next, Upload, add_append_fields, add_query_fields, headers_for_resource,
};
use crate::request::Request;
use crate::resume::ResumeData;
use crate::resume::facts::Facts;
use crate::sync::Arc;
use crate::task::core::TaskCore;
use http::Method;
use http::header::AUTHORIZATION;
use url::Url;

/// A resumable upload as it goes on, over requests, connections and tasks.
pub(in crate::loader) struct Uploading {
    /// What creates it, without its body.
    pub(super) request: Request,
    pub(super) body: Body,
    /// At which byte of the upload the body begins.
    pub(super) base: u64,
    /// What is left of a body that can be read only once, and which byte of the upload comes next.
    pub(super) rest: Option<(Source, u64)>,
    /// `None` until there is a body whose length is known, as far as that can be.
    pub(super) machine: Option<Upload>,
    pub(super) stage: Stage,
    /// What it is to go on from.
    pub(super) resume: Option<ResumeData>,
    /// It has its answer.
    pub(super) answered: bool,
    /// How many requests there were to the upload resource.
    pub(super) requests: u64,
}

/// What the request that is carried out now is for.
pub(super) enum Stage {
    Creation,
    Query,
    Append {
        offset: u64,
        length: Option<u64>,
        complete: bool,
    },
    /// It has failed for this reason, and the server may forget it.
    Cancel(Error),
}

impl Uploading {
    pub(super) fn new(request: &Request, resume: Option<ResumeData>) -> Self {
        Uploading {
            request: request.clone().body(Body::empty()),
            body: request.get_body().clone(),
            base: 0,
            rest: None,
            machine: None,
            stage: Stage::Creation,
            resume,
            answered: false,
            requests: 0,
        }
    }

    /// The byte of the upload with which the body of the request begins, if it has one.
    pub(super) fn offset(&self) -> Option<u64> {
        match self.stage {
            Stage::Creation => Some(0),
            Stage::Append { offset, .. } => Some(offset),
            Stage::Query | Stage::Cancel(_) => None,
        }
    }

    pub(super) fn has_resource(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.resource().is_some())
    }

    /// The request that creates it is about to be sent.
    pub(super) fn create(&mut self, request: &Request, total: Option<u64>) -> Result<()> {
        *self = Uploading::new(request, None);
        self.machine = Some(Upload::new(request.check()?.clone(), total));
        Ok(())
    }

    /// Goes on with what resume data tells of.
    pub(super) fn go_on(&mut self, data: &ResumeData, core: &Arc<TaskCore>) -> Result<Next> {
        let bad = |what: &str| {
            Error::new(
                ErrorKind::CannotParseResumeData,
                format!("resuming an upload: the resume data {what}"),
            )
        };
        let Facts::Upload(facts) = data.facts() else { return Err(bad("is that of a download")) };
        if u64::from(facts.interop) != INTEROP_VERSION {
            return Err(bad("is of another version of the protocol; the upload has to start anew"));
        }
        if facts.url.scheme() == "https" && facts.resource.scheme() != "https" {
            return Err(bad("leads from https to http"));
        }
        let length = match self.body.is_spent() {
            false => Source::open(&self.body, facts.total, &|| host(core))?.len(),
            true => None,
        };
        let total = facts.total.or(length);
        if let (Some(total), Some(length)) = (total, length) {
            check_length(length, total)?;
        }
        let mut machine = Upload::resume(facts.url.clone(), facts.resource.clone(), total, 0);
        let next = machine.start();
        self.machine = Some(machine);
        Ok(next)
    }

    /// Whether the body can be had from that byte on.
    pub(super) fn can_supply(&self, offset: u64) -> bool {
        let ended = self.machine.as_ref().is_some_and(|machine| machine.total() == Some(offset));
        ended || !self.body.is_spent() || self.rest.as_ref().is_some_and(|(_, at)| *at <= offset)
    }

    /// How many requests it takes still, if each sends as much as this one.
    pub(super) fn requests_to_come(&self, stage: &Stage) -> u64 {
        let total = self.machine.as_ref().and_then(Upload::total);
        match (stage, total) {
            (Stage::Append { offset, length: Some(length), .. }, Some(total)) => {
                total.saturating_sub(*offset) / (*length).max(1)
            }
            _ => 0,
        }
    }

    /// Opens the body for an append.
    pub(super) fn open(&mut self, offset: u64, length: Option<u64>, core: &Arc<TaskCore>) -> Result<Source> {
        let total = self.machine.as_ref().and_then(Upload::total);
        let (source, at) = match self.rest.take() {
            Some((source, at)) if at <= offset => (source, at),
            _ if total == Some(offset) => (Source::default(), offset),
            _ => {
                let declared = total.map(|total| total.saturating_sub(self.base));
                let source = Source::open(&self.body, declared, &|| host(core))?;
                if let (Some(length), Some(declared)) = (source.len(), declared) {
                    check_length(length, declared)?;
                }
                (source, self.base)
            }
        };
        // A body whose end is not known may end before.
        let certain = length.filter(|_| total.is_some());
        Section::of(source, offset.saturating_sub(at), length, certain, core.waker())
    }

    /// The request to the upload resource.
    pub(super) fn request_to(&self, url: Url, stage: &Stage) -> Result<Request> {
        let from = self.request.check()?;
        let mut headers = headers_for_resource(self.request.get_headers(), from, &url);
        if same_origin(from, &url) {
            if let Some(value) = url_authorization(&self.request, from)? {
                header::insert(&mut headers, AUTHORIZATION, value)?;
            }
        }
        let method = match stage {
            Stage::Append { offset, complete, .. } => {
                add_append_fields(&mut headers, *offset, *complete)?;
                Method::PATCH
            }
            Stage::Cancel(_) => Method::DELETE,
            Stage::Query | Stage::Creation => Method::HEAD,
        };
        if method != Method::PATCH {
            add_query_fields(&mut headers)?;
        }
        let mut request = self.request.clone();
        request.method = method;
        request.url = Ok(url);
        request.headers = headers;
        request.expect_continue = false;
        request.resumable_upload = false;
        Ok(request)
    }

    /// Notes what of the body went out.
    pub(super) fn note_sent(&mut self, exchange: &Exchange) {
        let (Some(from), Some(machine)) = (self.offset(), self.machine.as_mut()) else { return };
        let sent = exchange.body_sent();
        machine.handle_sent(from.saturating_add(sent));
        let ended = match self.stage {
            // It may be longer than that.
            Stage::Append { length: Some(length), .. } => sent < length,
            _ => true,
        };
        if exchange.is_sent() && ended {
            machine.handle_end(from.saturating_add(sent));
        }
    }

    /// What can be gone on with later, if it can.
    pub(in crate::loader) fn resume_data(&self) -> Option<ResumeData> {
        if let Some(data) = &self.resume {
            return Some(data.clone()).filter(ResumeData::is_upload);
        }
        let machine = self.machine.as_ref().filter(|_| !self.answered)?;
        let interop = u32::try_from(INTEROP_VERSION).ok()?;
        ResumeData::upload(self.request.clone(), machine.resource()?, machine.total(), interop)
    }

    /// Whoever still writes the body learns why nobody takes it.
    pub(in crate::loader) fn close(&self, reason: &dyn Fn() -> Error) {
        self.body.close(reason);
    }
}

fn check_length(length: u64, expected: u64) -> Result<()> {
    if length == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::RequestBodyFailed,
        format!(
            "going on with an upload: the body has {length} bytes, where {expected} were begun with; \
             it has to be the same one"
        ),
    ))
}
