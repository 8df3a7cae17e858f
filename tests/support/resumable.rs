//! A server of resumable uploads (draft-ietf-httpbis-resumable-upload, interop version 8):
//! [`Resumable`], whose misbehaviour is data, [`Mishap`].
//!
//! It stores what it is sent, up to where a connection was lost, and finishes an upload by the answer
//! that the request which began it would have got. A request waits until the one before it on the
//! same upload has ended (section 4.6): a client that asks for the offset while it goes on sending
//! waits for itself.

use super::{At, Fault, Gate, Received, Reply, lock};
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

/// The interop version that the server speaks.
const VERSION: &str = "8";

/// What goes wrong. Those that say "the next" happen once each, in the order given; the others always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The connection of the next request with content is cut after so many bytes of it, which are
    /// stored.
    CutAfter(u64),
    /// The connection of the next request that completes an upload is reset in place of an answer.
    LoseAnswer,
    /// The next append is answered with that status, and nothing of it is stored.
    AppendAnswer(u16),
    /// The next request for the offset is answered with that status.
    QueryAnswer(u16),
    /// The next request for the offset is redirected by that status to another path, where the upload
    /// resource is too.
    QueryRedirect(u16),
    /// The next answer with an offset has that value in place of it.
    OffsetSaid(String),
    /// No 104 is sent.
    NoInterim,
    /// 104 says another interop version, or none.
    InteropVersion(Option<String>),
    /// The upload resources are announced under that base: `http://other:80/base` or `/base`.
    Base(String),
    /// A second 104 announces another upload resource.
    SecondLocation,
}

/// An upload, as far as it has come.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// What there is of it.
    pub content: Vec<u8>,
    /// How long it will be, as far as the client has said so.
    pub length: Option<u64>,
    /// Whether the client has said that it is complete.
    pub complete: bool,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Open when the request that sends more of it has ended.
    transfer: Option<Gate>,
}

/// A request that sends more of an upload; its gate opens when it is dropped.
#[derive(Default)]
struct Transfer(Gate);

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A server's uploads; clones are the same.
#[derive(Clone, Default)]
pub struct Resumable {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    uploads: Vec<Upload>,
    plain: usize,
    mishaps: VecDeque<Mishap>,
    max_size: Option<u64>,
    max_append_size: Option<u64>,
    min_append_size: Option<u64>,
    progress: bool,
    log: Vec<String>,
    violations: Vec<String>,
}

impl Resumable {
    /// One that does all as it should.
    pub fn new() -> Resumable {
        Resumable::default()
    }

    /// Has that go wrong.
    pub fn then(self, mishap: Mishap) -> Resumable {
        lock(&self.state).mishaps.push_back(mishap);
        self
    }

    /// Announces a limit for the whole upload.
    pub fn max_size(self, bytes: u64) -> Resumable {
        lock(&self.state).max_size = Some(bytes);
        self
    }

    /// Announces a limit for the content of one request, and keeps to it.
    pub fn max_append_size(self, bytes: u64) -> Resumable {
        lock(&self.state).max_append_size = Some(bytes);
        self
    }

    /// The least that one request is to have, unless it is the last.
    pub fn min_append_size(self, bytes: u64) -> Resumable {
        lock(&self.state).min_append_size = Some(bytes);
        self
    }

    /// Tells after the content of each request, and before the answer or the cut, how much there is.
    pub fn tell_progress(self) -> Resumable {
        lock(&self.state).progress = true;
        self
    }

    /// The handler for a [`Server`](super::Server), or for several.
    pub fn handler(&self) -> impl Fn(&Received) -> Reply + Clone + Send + Sync + use<> {
        let server = self.clone();
        move |request| server.serve(request)
    }

    /// The uploads, in the order they began.
    pub fn uploads(&self) -> Vec<Upload> {
        lock(&self.state).uploads.clone()
    }

    /// How many requests were uploads without resumption.
    pub fn plain_uploads(&self) -> usize {
        lock(&self.state).plain
    }

    /// The requests in short: `create`, `query`, `append 64+36!`, `cancel`, in the order they were
    /// taken up; with `!` where they complete the upload.
    pub fn log(&self) -> Vec<String> {
        lock(&self.state).log.clone()
    }

    /// What clients did that the draft forbids.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.state).violations.clone()
    }

    fn serve(&self, request: &Received) -> Reply {
        let Some((_, id)) = request.path().rsplit_once("/uploads/") else { return self.create(request) };
        let Ok(id) = id.parse::<usize>() else { return Reply::status(404) };
        // Whoever comes later is later, whatever became of those before.
        let Some(gate) = lock(&self.state).uploads.get(id).map(|upload| upload.transfer.clone()) else {
            return Reply::status(404);
        };
        if gate.is_some_and(|gate| !gate.pass()) {
            return Reply::status(503).close();
        }
        if request.header("upload-draft-interop-version") != Some(VERSION) {
            self.complain(request, "without the interop version");
        }
        if lock(&self.state).uploads[id].cancelled {
            self.note(format!("{} in vain", request.method));
            return Reply::status(404);
        }
        match request.method.as_str() {
            "HEAD" => self.query(request, id),
            "PATCH" => self.append(request, id),
            "DELETE" => {
                self.note("cancel".to_owned());
                lock(&self.state).uploads[id].cancelled = true;
                Reply::status(204)
            }
            _ => Reply::status(405),
        }
    }

    fn create(&self, request: &Received) -> Reply {
        let resumable = request.header("upload-draft-interop-version") == Some(VERSION);
        let Some(complete) = flag(request).filter(|_| resumable) else {
            lock(&self.state).plain += 1;
            let content = request.body();
            return if request.is_complete() { answer(&content) } else { Reply::status(400) };
        };
        let length = count(request, "upload-length");
        if complete
            && length.is_some()
            && content_length(request).is_some_and(|content| Some(content) != length)
        {
            return self.refuse(request, "inconsistent-upload-length", 400);
        }
        let transfer = Transfer::default();
        let (id, interim) = {
            let mut state = lock(&self.state);
            state.log.push(format!("create{}", if complete { "!" } else { "" }));
            // Whoever comes by what is announced here has to wait for the end of this.
            let gate = Some(transfer.0.clone());
            state.uploads.push(Upload { length, transfer: gate, ..Upload::default() });
            (state.uploads.len() - 1, state.interim(state.uploads.len() - 1))
        };
        let _ = request.inform(&interim);
        self.transfer(request, id, complete, Some(transfer))
    }

    fn query(&self, request: &Received, id: usize) -> Reply {
        self.note("query".to_owned());
        if request.header("upload-offset").is_some() || request.header("upload-complete").is_some() {
            self.complain(request, "with a state of its own");
        }
        let mut state = lock(&self.state);
        match state.take(|mishap| matches!(mishap, Mishap::QueryAnswer(_) | Mishap::QueryRedirect(_))) {
            Some(Mishap::QueryAnswer(status)) => return Reply::status(status),
            Some(Mishap::QueryRedirect(status)) => {
                return Reply::redirect(status, &format!("/moved/uploads/{id}"));
            }
            _ => {}
        }
        let offset = state.offset(id);
        let upload = &state.uploads[id];
        let mut reply = Reply::status(204)
            .header("Upload-Offset", &offset)
            .header("Upload-Complete", if upload.complete { "?1" } else { "?0" })
            .header("Cache-Control", "no-store");
        if let Some(length) = upload.length {
            reply = reply.header("Upload-Length", &length.to_string());
        }
        state.with_limits(reply)
    }

    fn append(&self, request: &Received, id: usize) -> Reply {
        let (offset, complete) = (count(request, "upload-offset"), flag(request));
        let length = content_length(request).map_or_else(|| "rest".to_owned(), |length| length.to_string());
        let end = if complete == Some(true) { "!" } else { "" };
        self.note(format!(
            "append {}+{length}{end}",
            offset.map_or_else(|| "?".to_owned(), |at| at.to_string())
        ));
        if request.header("content-type") != Some("application/partial-upload") {
            return self.refuse(request, "unsupported-media-type", 415);
        }
        let (Some(offset), Some(complete)) = (offset, complete) else {
            return self.refuse(request, "no-offset-or-completeness", 400);
        };
        let (known, status) = {
            let mut state = lock(&self.state);
            let status = match state.take(|mishap| matches!(mishap, Mishap::AppendAnswer(_))) {
                Some(Mishap::AppendAnswer(status)) => Some(status),
                _ => None,
            };
            let upload = &state.uploads[id];
            let there = upload.content.len() as u64;
            if upload.complete {
                drop(state);
                return self.refuse(request, "completed-upload", 400);
            }
            (there, status)
        };
        if let Some(status) = status {
            return Reply::status(status);
        }
        if offset != known {
            let said = lock(&self.state).offset(id);
            return problem("mismatching-upload-offset", 409).header("Upload-Offset", &said);
        }
        self.transfer(request, id, complete, None)
    }

    /// Takes the content of a request, as much of it as comes.
    fn transfer(&self, request: &Received, id: usize, complete: bool, created: Option<Transfer>) -> Reply {
        let creation = created.is_some();
        let transfer = created.unwrap_or_default();
        let end = {
            let mut state = lock(&self.state);
            let content = content_length(request);
            if content.is_some_and(|content| state.max_append_size.is_some_and(|most| content > most)) {
                // A creation is sent before the limit can be known.
                if !creation {
                    state.violations.push(format!("{} of more than the limit", request.method));
                }
                let reply = state.with_limits(Reply::status(413));
                return if creation { reply.early().close() } else { reply };
            }
            if !complete
                && content.is_some_and(|content| state.min_append_size.is_some_and(|least| content < least))
            {
                state.violations.push(format!("{} of less than the limit", request.method));
                return state.with_limits(Reply::status(400));
            }
            if let Some(Mishap::CutAfter(count)) = state.take(|mishap| matches!(mishap, Mishap::CutAfter(_)))
            {
                request.cut_body_after(count);
            }
            state.uploads[id].transfer = Some(transfer.0.clone());
            state.uploads[id].length
        };
        let content = request.body();
        let mut state = lock(&self.state);
        let upload = &mut state.uploads[id];
        upload.content.extend_from_slice(&content);
        let there = upload.content.len() as u64;
        let arrived = request.is_complete();
        if arrived && complete {
            upload.complete = end.is_none_or(|length| length == there);
            upload.length = Some(there);
        }
        let (wrong, stored) = (end.is_some_and(|length| length < there), upload.clone());
        if state.progress {
            let interim = state.progress(there);
            let _ = request.inform(&interim);
        }
        drop(transfer);
        if !arrived {
            // The connection is closed, and this goes nowhere.
            return Reply::status(400).close();
        }
        if wrong || (complete && !stored.complete) {
            state.uploads[id].cancelled = true;
            drop(state);
            return self.refuse(request, "inconsistent-upload-length", 400);
        }
        if !complete {
            let reply = Reply::status(if creation { 201 } else { 204 }).header("Upload-Complete", "?0");
            let reply = if creation { reply.header("Location", &state.location(id)) } else { reply };
            return state.with_limits(reply);
        }
        let reply = answer(&stored.content).header("Upload-Complete", "?1");
        match state.take(|mishap| *mishap == Mishap::LoseAnswer) {
            Some(_) => reply.then(Fault::ResetAt(At::BeforeHead)),
            None => reply,
        }
    }

    fn refuse(&self, request: &Received, kind: &str, status: u16) -> Reply {
        self.complain(request, kind);
        problem(kind, status)
    }

    fn complain(&self, request: &Received, what: &str) {
        lock(&self.state).violations.push(format!("{} {}: {what}", request.method, request.target));
    }

    fn note(&self, what: String) {
        lock(&self.state).log.push(what);
    }
}

impl State {
    /// The first of the mishaps of that kind, which is none any more.
    fn take(&mut self, is: impl Fn(&Mishap) -> bool) -> Option<Mishap> {
        let at = self.mishaps.iter().position(is)?;
        self.mishaps.remove(at)
    }

    fn offset(&mut self, id: usize) -> String {
        match self.take(|mishap| matches!(mishap, Mishap::OffsetSaid(_))) {
            Some(Mishap::OffsetSaid(said)) => said,
            _ => self.uploads[id].content.len().to_string(),
        }
    }

    fn location(&self, id: usize) -> String {
        let base = self.mishaps.iter().find_map(|mishap| match mishap {
            Mishap::Base(base) => Some(base.as_str()),
            _ => None,
        });
        format!("{}/uploads/{id}", base.unwrap_or_default())
    }

    /// What announces an upload resource.
    fn interim(&self, id: usize) -> String {
        if self.mishaps.contains(&Mishap::NoInterim) {
            return String::new();
        }
        let limits = self.limits().map_or_else(String::new, |limits| format!("Upload-Limit: {limits}\r\n"));
        let mut text = self.head_104(&format!("Location: {}\r\n{limits}", self.location(id)));
        if self.mishaps.contains(&Mishap::SecondLocation) {
            text += &self.head_104(&format!("Location: {}\r\n", self.location(id + 1000)));
        }
        text
    }

    fn progress(&self, offset: u64) -> String {
        if self.mishaps.contains(&Mishap::NoInterim) {
            return String::new();
        }
        self.head_104(&format!("Upload-Offset: {offset}\r\n"))
    }

    fn head_104(&self, fields: &str) -> String {
        let version = self.mishaps.iter().find_map(|mishap| match mishap {
            Mishap::InteropVersion(version) => Some(version.as_deref()),
            _ => None,
        });
        let version = version.unwrap_or(Some(VERSION));
        let version =
            version.map_or_else(String::new, |text| format!("Upload-Draft-Interop-Version: {text}\r\n"));
        format!("HTTP/1.1 104 Upload Resumption Supported\r\n{version}{fields}\r\n")
    }

    fn limits(&self) -> Option<String> {
        let mut text = String::new();
        let limits = [
            ("max-size", self.max_size),
            ("max-append-size", self.max_append_size),
            ("min-append-size", self.min_append_size),
        ];
        for (key, limit) in limits {
            if let Some(limit) = limit {
                let comma = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{comma}{key}={limit}");
            }
        }
        if text.is_empty() { None } else { Some(text) }
    }

    fn with_limits(&self, reply: Reply) -> Reply {
        match self.limits() {
            Some(limits) => reply.header("Upload-Limit", &limits),
            None => reply,
        }
    }
}

/// What an upload is answered with, resumed or not.
fn answer(content: &[u8]) -> Reply {
    Reply::ok(format!("{} bytes", content.len()))
}

fn problem(kind: &str, status: u16) -> Reply {
    let body = format!(r#"{{"type":"https://iana.org/assignments/http-problem-types#{kind}"}}"#);
    Reply::status(status).body(body).header("Content-Type", "application/problem+json")
}

fn flag(request: &Received) -> Option<bool> {
    match request.header_values("upload-complete")[..] {
        ["?1"] => Some(true),
        ["?0"] => Some(false),
        _ => None,
    }
}

fn count(request: &Received, name: &str) -> Option<u64> {
    match request.header_values(name)[..] {
        [value] if value.len() <= 15 && value.bytes().all(|byte| byte.is_ascii_digit()) => value.parse().ok(),
        _ => None,
    }
}

/// Of a body that is not chunked.
fn content_length(request: &Received) -> Option<u64> {
    if request.header("transfer-encoding").is_some() {
        return None;
    }
    Some(count(request, "content-length").unwrap_or(0))
}
