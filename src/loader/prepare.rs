//! Before anything is sent: is the request sound, and what will its head be.

use super::{Flow, Loader, Step};
use crate::body::Source;
use crate::connection::idle::{Origin, Want};
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::local;
use crate::metrics::{ResourceFetchType, TransactionMetrics};
use crate::proto::http1::framing::Persistence;
use crate::proto::http1::request::{BodyLength, TargetForm, encode_head};
use crate::protocol::{self, Protocol};
use crate::sync::Arc;
use crate::task::core::{Mode, TaskCore};
use http::header::{ACCEPT_ENCODING, EXPECT, RANGE};
use http::{HeaderMap, HeaderValue};
use std::borrow::Cow;
use url::Position;

/// Who loads it.
pub(super) enum Route {
    Network,
    /// It is a `data:` or `file:` URL.
    Local,
    Protocol(Arc<dyn Protocol>),
}

impl Loader {
    pub(super) fn prepare(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        if let Some(flow) = self.prepare_part(core)? {
            return Ok(flow);
        }
        let now = self.clock.progress();
        if !self.prepare_download(core)? {
            return Ok(Flow::Go(Step::Hashing(None)));
        }
        self.prepare_upload(core)?;
        let request = self.request(core);
        core.context.configuration.check()?;
        core.context.stores()?;
        request.well_formed()?;
        let protocol = protocol::find(core.context.configuration.get_protocols(), request)?;
        let route = match protocol {
            Some(protocol) => Route::Protocol(Arc::clone(protocol)),
            None if local::is_local(request.check()?) => Route::Local,
            None => Route::Network,
        };
        if !matches!(route, Route::Network) && self.is_resumable() {
            return Err(Error::new(
                ErrorKind::UnsupportedUrl,
                "going on with an upload: its URL is loaded by a protocol of the program's, which cannot do that",
            ));
        }
        if matches!(route, Route::Network) {
            self.secure(core)?;
        }
        let request = self.request(core);
        let mut transaction = TransactionMetrics::new(now, request.get_method().clone());
        transaction.url.0 = request.get_url().cloned();
        transaction.resource_fetch_type = ResourceFetchType::NetworkLoad;
        if log::log_enabled!(log::Level::Debug) {
            if let Some(url) = request.get_url() {
                log::debug!("task {}: {} {}", core.id, request.get_method(), redacted(url));
            }
        }
        if self.transactions.is_empty() {
            // Few tasks have more than one, for which there would be room after a push.
            self.transactions = vec![transaction];
        } else {
            self.transactions.push(transaction);
        }
        // A former exchange may have ended while it waited for `100 Continue`.
        self.clock.next_attempt = None;
        self.route = route;
        self.with_body(core)
    }

    /// From here on it depends on who loads it.
    pub(super) fn route(&mut self, core: &Arc<TaskCore>, mode: Mode) -> Result<Flow> {
        match std::mem::replace(&mut self.route, Route::Network) {
            Route::Network => self.look_up(core),
            Route::Local => self.find_local(core, mode),
            Route::Protocol(protocol) => self.start_protocol(&protocol, core),
        }
    }

    /// What kind of connection the request needs.
    pub(super) fn want(&self, core: &Arc<TaskCore>) -> Want {
        Want {
            priority: core.priority(),
            certain: !self.request(core).get_method().is_idempotent()
                || !self.request(core).get_body().is_repeatable(),
            fresh: self.retries.wants_fresh_connection(),
            now: self.clock.progress(),
            asker: core.asker(),
        }
    }

    /// The request's origin in the session's pool.
    pub(super) fn origin(&self, core: &Arc<TaskCore>) -> Result<Arc<Origin>> {
        self.with_origin(core, |origin| core.context.origins.get(origin))
    }

    /// Does something with the request's origin, such as `https://example.com:8443`.
    pub(super) fn with_origin<T>(&self, core: &Arc<TaskCore>, run: impl FnOnce(&str) -> T) -> Result<T> {
        let url = self.request(core).well_formed()?;
        if url.username().is_empty() && url.password().is_none() {
            return Ok(run(&url[..Position::BeforePath]));
        }
        let mut bare = url.clone();
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        Ok(run(&bare[..Position::BeforePath]))
    }

    /// The head as it goes on the wire, and whether the connection may persist after it.
    pub(super) fn encode(&mut self, core: &Arc<TaskCore>, body: &Source) -> Result<(Vec<u8>, bool)> {
        let authorization = self.authorize(core)?;
        let changed = match self.headers(core, body.len())? {
            Cow::Owned(headers) => Some(headers),
            Cow::Borrowed(_) => None,
        };
        self.cache_sends(changed.as_ref(), core)?;
        let request = self.request(core);
        let url = request.well_formed()?;
        let length = match body.len() {
            Some(0) => BodyLength::None,
            Some(length) => BodyLength::Known(length),
            None => BodyLength::Chunked,
        };
        let mut head = Vec::new();
        let encode = |head: &mut Vec<u8>, headers: &HeaderMap| {
            let defaults = &core.context.defaults;
            encode_head(head, request.get_method(), url, headers, defaults, length, TargetForm::Origin)
        };
        let headers = changed.as_ref().unwrap_or(request.get_headers());
        let persistence = if authorization.is_nothing() && !self.has_cache_headers(core) {
            encode(&mut head, headers)
        } else {
            let mut all = headers.clone();
            authorization.add_to(&mut all)?;
            self.cache_headers(&mut all, core)?;
            encode(&mut head, &all)
        };
        self.cache_sent(changed);
        Ok((head, persistence == Persistence::KeepAlive))
    }

    /// The headers of the request, with what the loader adds, and without the session's. `length` is that
    /// of the body, if it is known. What it says about who we are is not among them, unless the user set it.
    pub(super) fn headers<'a>(
        &'a self,
        core: &'a TaskCore,
        length: Option<u64>,
    ) -> Result<Cow<'a, HeaderMap>> {
        let request = self.request(core);
        let expect =
            request.expect_continue && !request.get_body().is_absent() && !self.retries.without_expect;
        let mut headers = Cow::Borrowed(request.get_headers());
        // Nobody can decode a part of what is encoded.
        let is_for_part = headers.contains_key(RANGE) && !headers.contains_key(ACCEPT_ENCODING);
        if is_for_part && core.context.configuration.automatic_decoding {
            let own = core.context.configuration.get_additional_headers();
            if !own.contains_key(ACCEPT_ENCODING) {
                let identity = HeaderValue::from_static("identity");
                crate::header::insert(headers.to_mut(), ACCEPT_ENCODING, identity)?;
            }
        }
        if expect {
            crate::header::insert(headers.to_mut(), EXPECT, HeaderValue::from_static("100-continue"))?;
        }
        if let Some(download) = &self.download {
            download.headers(headers.to_mut())?;
        }
        if self.upload.is_some() {
            self.add_upload_fields(headers.to_mut(), length)?;
        }
        if let Some(segment) = &self.segment {
            segment.headers(headers.to_mut())?;
        }
        self.add_cookies(request, &mut headers, core)?;
        Ok(headers)
    }
}
