//! What comes from elsewhere than a network: `data:` URLs, files, and own protocols. From here on their
//! responses go the way of all others.

use super::authentication::decide;
use super::incoming::Incoming;
use super::redirect::copied;
use super::{Flow, Loader, Pause, Step};
use crate::challenge::{Challenge, ChallengeDisposition};
use crate::engine::events::contain;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Body;
use crate::head::ResponseHead;
use crate::local::{self, Contents, FileBody};
use crate::metrics::ResourceFetchType;
use crate::protocol::{self, Audience, Coming, Load, Next, Protocol};
use crate::request::Request;
use crate::storage::cache::{CacheBody, CacheFile};
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::{Mode, TaskCore};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Version};
use std::borrow::Cow;
use std::sync::OnceLock;

/// How much of a file is read at once, where that is not decided by whoever takes it: into a buffer of its
/// own, and straight to where it belongs.
const BUFFER: usize = 64 * 1024;
const MOST: u64 = 1024 * 1024;

/// A body that does not come from a network.
pub(super) struct Local {
    source: Source,
    /// What was received and not taken.
    piece: Bytes,
    /// All that was received.
    received: u64,
    /// Something was received since somebody asked.
    fresh: bool,
}

enum Source {
    /// There is no more than the piece.
    Memory,
    /// For files, with the pool whose threads may be held up by a file system.
    File(FileBody, Arc<crate::engine::pool::Shared>),
    /// A body of the cache's, likewise.
    Cached(Box<CacheFile>, Arc<crate::engine::pool::Shared>),
    Protocol(Load),
}

impl Local {
    pub(super) fn memory(bytes: Bytes) -> Self {
        Local { source: Source::Memory, received: bytes.len() as u64, piece: bytes, fresh: false }
    }

    /// A body that is stored in the cache.
    pub(super) fn cached(body: CacheBody, pool: &Arc<crate::engine::pool::Shared>) -> Self {
        match body {
            CacheBody::Memory(bytes) => Local::memory(bytes),
            CacheBody::File(file) => Local::of(Source::Cached(Box::new(file), Arc::clone(pool))),
        }
    }

    fn of(source: Source) -> Self {
        Local { source, piece: Bytes::new(), received: 0, fresh: false }
    }

    /// Everything, if it is in memory as a whole.
    pub(super) fn take_whole(&mut self) -> Option<Bytes> {
        let whole = matches!(self.source, Source::Memory) && !self.piece.is_empty();
        whole.then(|| std::mem::take(&mut self.piece))
    }

    pub(super) fn pause(&self) -> Pause {
        match &self.source {
            Source::Protocol(load) if load.is_asking() => Pause::Answer,
            _ => Pause::Event,
        }
    }

    pub(super) fn receive_piece(&mut self, patience: Patience) -> Result<Body> {
        if !self.piece.is_empty() {
            return Ok(Body::Piece);
        }
        match &mut self.source {
            Source::Memory => Ok(Body::End),
            Source::File(file, pool) => {
                let mut buffer = Vec::with_capacity(BUFFER);
                if within(pool, patience, || file.read_vec(&mut buffer, MOST))? == 0 {
                    self.source = Source::Memory;
                    return Ok(Body::End);
                }
                self.arrived(buffer.into());
                Ok(Body::Piece)
            }
            Source::Cached(file, pool) => match within(pool, patience, || file.next())? {
                Some(piece) => {
                    self.arrived(piece);
                    Ok(Body::Piece)
                }
                None => {
                    self.source = Source::Memory;
                    Ok(Body::End)
                }
            },
            Source::Protocol(load) => {
                self.fresh |= load.take_answered();
                let (next, last) = load.next()?;
                if last {
                    self.source = Source::Memory;
                }
                match next {
                    Next::Data(data) => {
                        self.arrived(data);
                        Ok(Body::Piece)
                    }
                    Next::End => Ok(Body::End),
                    Next::Nothing => Ok(Body::Nothing),
                }
            }
        }
    }

    fn arrived(&mut self, piece: Bytes) {
        self.received += piece.len() as u64;
        self.piece = piece;
        self.fresh = true;
    }

    pub(super) fn piece(&self) -> &[u8] {
        &self.piece
    }

    pub(super) fn take(&mut self, count: usize) {
        self.piece = self.piece.split_off(count.min(self.piece.len()));
    }

    pub(super) fn direct(&self) -> u64 {
        match &self.source {
            Source::File(file, _) if self.piece.is_empty() => file.left().unwrap_or(0),
            Source::Cached(file, _) if self.piece.is_empty() => file.left(),
            _ => 0,
        }
    }

    pub(super) fn remaining(&self) -> u64 {
        let left = match &self.source {
            Source::File(file, _) => file.left().unwrap_or(0),
            Source::Cached(file, _) => file.left(),
            _ => 0,
        };
        left + self.piece.len() as u64
    }

    pub(super) fn receive_vec(&mut self, target: &mut Vec<u8>, patience: Patience) -> Result<(Body, usize)> {
        self.directly(patience, |source| match source {
            Source::File(file, _) => file.read_vec(target, MOST),
            Source::Cached(file, _) => file.read_vec(target, MOST),
            _ => Ok(0),
        })
    }

    pub(super) fn receive_slice(&mut self, target: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
        self.directly(patience, |source| match source {
            Source::File(file, _) => file.read_slice(target),
            Source::Cached(file, _) => file.read_slice(target),
            _ => Ok(0),
        })
    }

    fn directly(
        &mut self,
        patience: Patience,
        read: impl FnOnce(&mut Source) -> Result<usize>,
    ) -> Result<(Body, usize)> {
        let pool = match &self.source {
            Source::File(_, pool) | Source::Cached(_, pool) => Arc::clone(pool),
            Source::Memory | Source::Protocol(_) => return Ok((Body::End, 0)),
        };
        let count = within(&pool, patience, || read(&mut self.source))?;
        self.received += count as u64;
        self.fresh = true;
        Ok((Body::Piece, count))
    }

    pub(super) fn is_done(&self) -> bool {
        self.piece.is_empty()
            && match &self.source {
                Source::Memory => true,
                Source::File(file, _) => file.left() == Some(0),
                Source::Cached(file, _) => file.left() == 0,
                Source::Protocol(_) => false,
            }
    }

    pub(super) fn take_received(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn body_received(&self) -> u64 {
        self.received - self.piece.len() as u64
    }
}

/// A worker says that it may get stuck; who lends itself may anyway.
fn within<T>(pool: &Arc<crate::engine::pool::Shared>, patience: Patience, run: impl FnOnce() -> T) -> T {
    match patience {
        Patience::Never => pool.blocking(run),
        Patience::UpTo(_) => run(),
    }
}

impl Loader {
    /// What is behind a `data:` or `file:` URL.
    pub(super) fn find_local(&mut self, core: &Arc<TaskCore>, mode: Mode) -> Result<Flow> {
        let request = self.request(core);
        let url = request.check()?.clone();
        let pool = core.context.pool.shared();
        let find = || local::find(request.get_method(), &url, request.get_headers());
        let found = match mode {
            Mode::Parking => pool.blocking(find),
            Mode::Blocking { .. } => find(),
        }?;
        let source = match found.body {
            Contents::Memory(bytes) => Local::memory(bytes),
            Contents::File(file) => Local::of(Source::File(file, Arc::clone(pool))),
        };
        let head = ResponseHead {
            status: found.status,
            version: Version::HTTP_11,
            headers: found.headers.into(),
            url,
            decoded: false,
            content_length: found.length,
            trailers: OnceLock::new(),
        };
        self.answered_locally(&head, ResourceFetchType::Local, Some(found.scheme));
        self.begin_response(Incoming::Local(source), head, core)
    }

    /// A protocol of the program's takes the request.
    pub(super) fn start_protocol(
        &mut self,
        protocol: &Arc<dyn Protocol>,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let request = protocol::canonical(protocol, self.request(core))?;
        request.well_formed()?;
        let shown = self.with_all_headers(request.clone(), core)?;
        core.set_current(request.clone());
        self.request = Some(request);
        let now = self.clock.touch();
        if let Some(transaction) = self.measure() {
            transaction.request_start = Some(now);
        }
        let audience = Arc::new(Task(Arc::clone(core)));
        let load = protocol::start(protocol, shown, audience, |start| {
            core.context.starts.start(core.context.pool.shared(), start);
        });
        Ok(Flow::Go(Step::Protocol(load)))
    }

    /// The request with what the session adds to it.
    fn with_all_headers(&self, mut request: Request, core: &Arc<TaskCore>) -> Result<Request> {
        if let Some(download) = &self.download {
            download.headers(&mut request.headers)?;
        }
        let additional: HeaderMap = core
            .context
            .configuration
            .get_additional_headers()
            .iter()
            .filter(|(name, _)| !request.headers.contains_key(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        crate::header::merge(&mut request.headers, additional)?;
        let mut headers = Cow::Owned(std::mem::take(&mut request.headers));
        self.add_cookies(&request, &mut headers, core)?;
        request.headers = headers.into_owned();
        Ok(request)
    }

    /// What the protocol says before a body.
    pub(super) fn protocol(&mut self, load: Load, core: &Arc<TaskCore>) -> Result<Flow> {
        loop {
            if load.take_answered() {
                self.clock.touch();
            }
            let answer = match load.coming()? {
                Coming::Nothing => {
                    let asking = load.is_asking();
                    self.check(!asking, core, &|loader| {
                        format!("waiting for the protocol that loads {}", loader.authority(core))
                    })?;
                    let pause = if asking { Pause::Answer } else { Pause::Event };
                    return Ok(Flow::Stay(Step::Protocol(load), pause));
                }
                answer => answer,
            };
            self.clock.touch();
            match answer {
                Coming::Response(response) if response.status().is_informational() => {
                    if let Some(events) = core.events() {
                        let head = self.local_head(response, core)?;
                        core.tell(events, move |events, core| events.did_receive_informational(core, &head));
                    }
                }
                Coming::Response(response) => {
                    let head = self.local_head(response, core)?;
                    self.store_cookies(&head.headers, core);
                    self.answered_locally(&head, ResourceFetchType::Local, None);
                    let incoming = Incoming::Local(Local::of(Source::Protocol(load)));
                    if let Some(step) = self.try_after(&head, core) {
                        self.leave(incoming, core);
                        return Ok(Flow::Go(step));
                    }
                    return self.begin_response(incoming, head, core);
                }
                Coming::Redirect(response, request) => {
                    drop(load);
                    let head = self.local_head(response, core)?;
                    self.store_cookies(&head.headers, core);
                    self.answered_locally(&head, ResourceFetchType::Local, None);
                    let nothing = Incoming::Local(Local::memory(Bytes::new()));
                    return match request {
                        None => self.redirect_or_deliver(nothing, head, core),
                        Some(request) => self.redirect_to(nothing, head, *request, core),
                    };
                }
                Coming::Cached(response) => {
                    drop(load);
                    let (head, data) = response.into_response().into_parts();
                    self.answered_locally(&head, ResourceFetchType::LocalCache, None);
                    return self.begin_response(Incoming::Local(Local::memory(data)), copied(&head), core);
                }
                Coming::Nothing => {}
            }
        }
    }

    /// A head that a protocol gave, as users see it.
    fn local_head(&self, response: http::Response<()>, core: &Arc<TaskCore>) -> Result<ResponseHead> {
        let (parts, ()) = response.into_parts();
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(ResponseHead {
            status: parts.status,
            version: parts.version,
            headers: parts.headers.into(),
            url: self.request(core).well_formed()?.clone(),
            decoded: false,
            content_length: length,
            trailers: OnceLock::new(),
        })
    }

    /// Measures that there is an answer.
    pub(super) fn answered_locally(
        &mut self,
        head: &ResponseHead,
        from: ResourceFetchType,
        name: Option<&'static str>,
    ) {
        let now = self.clock.touch();
        if let Some(transaction) = self.measure() {
            transaction.request_start.get_or_insert(now);
            transaction.request_end.get_or_insert(now);
            transaction.response_start = Some(now);
            transaction.status = Some(head.status);
            transaction.resource_fetch_type = from;
            transaction.network_protocol_name = name;
        }
    }
}

/// The task, as a protocol knows it.
struct Task(Arc<TaskCore>);

impl Audience for Task {
    fn wake(&self) {
        self.0.wake();
    }

    fn is_over(&self) -> bool {
        self.0.is_settled()
    }

    fn ask(&self, challenge: Challenge, answer: Box<dyn FnOnce(ChallengeDisposition) + Send>) {
        let core = Arc::clone(&self.0);
        let Some(events) = core.events() else { return answer(ChallengeDisposition::default()) };
        if core.context.lane.is_run_here() {
            log::warn!("task {}: a challenge on the thread that would answer it; default handling", core.id);
            return answer(ChallengeDisposition::default());
        }
        self.0.post_aside(Box::new(move || {
            let disposition = if core.is_settled() {
                ChallengeDisposition::CancelChallenge
            } else {
                contain(|| core.within_event(|| decide(&challenge, events.as_ref(), &core)))
                    .unwrap_or_default()
            };
            answer(disposition);
        }));
    }
}

/// Whether what redirects may lead there: nothing leads to what is on this machine, and what comes from
/// the web stays there, whoever follows it.
pub(super) fn check_redirect(from: &Request, to: &Request) -> Result<()> {
    let (Ok(from), Ok(to)) = (from.well_formed(), to.well_formed()) else { return Ok(()) };
    let is_web = |url: &url::Url| matches!(url.scheme(), "http" | "https");
    if !local::is_local(to) && (!is_web(from) || is_web(to)) {
        return Ok(());
    }
    let scheme = to.scheme().get(..20).unwrap_or(to.scheme());
    Err(Error::new(
        ErrorKind::UnsupportedUrl,
        format!("{} redirects to \"{scheme}:…\", where no redirect leads", crate::error::redacted(from)),
    ))
}
