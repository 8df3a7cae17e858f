//! A request as it reached the server, kept to the byte: [`Received`].
//!
//! The parser is strict. What RFC 9112 forbids a client to send ends the connection with 400 and is
//! found in [`Server::protocol_errors`](super::Server::protocol_errors).

use super::shared::Shared;
use super::wire::Wire;
use super::{lock, pattern};
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, ThreadId};
use std::time::Instant;

/// The bound of a head or a chunk's first line.
const LONGEST_HEAD: usize = 1 << 20;

/// A request. A handler gets it as soon as its head is there; the record of the server has it too.
#[derive(Debug)]
pub struct Received {
    /// `GET`.
    pub method: String,
    /// The request target as it was sent: `/path?query`, `http://…` to a proxy, `host:port`, `*`.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// In the order and the case they came in; bytes outside ASCII as Latin-1.
    pub headers: Vec<(String, String)>,
    /// The whole head as it was sent, the empty line included.
    pub head: Bytes,
    /// On which connection, counted from 0 in the order of accepting.
    pub connection: usize,
    /// Which request on its connection, counted from 0.
    pub index: usize,
    /// When its head was complete.
    pub arrived: Instant,
    framing: Framing,
    thread: ThreadId,
    wire: Weak<Mutex<Wire>>,
    shared: Weak<Shared>,
    body: Mutex<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug, Default)]
struct Body {
    kept: Vec<u8>,
    length: u64,
    mismatch: Option<u64>,
    trailers: Vec<(String, String)>,
    /// How many bytes of a chunk that has begun are still to come.
    in_chunk: Option<u64>,
    answered_expectation: bool,
    /// After how many bytes reading ends.
    cut: Option<u64>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Unread,
    Complete,
    GivenUp,
}

impl Received {
    /// The value of the first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).first().copied()
    }

    /// The values of all headers of that name.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Whether the list in a header (`Connection`, `Expect`) has that member.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.header_values(name);
        values.iter().flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    }

    /// The body. In a handler this reads it first, sending `100 Continue` where that is expected;
    /// elsewhere it is what has arrived until now.
    pub fn body(&self) -> Bytes {
        self.read_in_handler();
        Bytes::from(lock(&self.body).kept.clone())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    /// How many bytes of the body have arrived, also when the server does not keep them.
    pub fn body_length(&self) -> u64 {
        self.read_in_handler();
        lock(&self.body).length
    }

    /// Where the body first differs from [`pattern`](super::pattern()), also when it is not kept.
    pub fn body_mismatch(&self) -> Option<u64> {
        self.read_in_handler();
        lock(&self.body).mismatch
    }

    /// The fields after a chunked body.
    pub fn trailers(&self) -> Vec<(String, String)> {
        self.read_in_handler();
        lock(&self.body).trailers.clone()
    }

    /// Whether the body has arrived to its end.
    pub fn is_complete(&self) -> bool {
        lock(&self.body).progress == Progress::Complete
    }

    /// Whether the request came with `Content-Length` other than 0, or chunked.
    pub fn has_body(&self) -> bool {
        self.framing != Framing::Length(0)
    }

    /// Sends an informational head; from the handler, which may have more to say before the reply.
    pub fn inform(&self, head: &str) -> io::Result<()> {
        match self.wire.upgrade() {
            Some(wire) => lock(&wire).write_all(head.as_bytes()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Has reading end once so many bytes of the body have arrived, as if the connection had.
    pub(super) fn cut_body_after(&self, count: u64) {
        lock(&self.body).cut = Some(count);
    }

    pub(super) fn keeps_connection(&self) -> bool {
        match self.version.as_str() {
            "HTTP/1.0" => self.has_token("connection", "keep-alive"),
            _ => !self.has_token("connection", "close"),
        }
    }

    /// Reads the next request's head. `None` when the peer ended before one began.
    pub(super) fn read(
        wire: &Arc<Mutex<Wire>>,
        shared: &Arc<Shared>,
        connection: usize,
        index: usize,
    ) -> Result<Option<Received>, String> {
        let Some(head) = read_section(&mut lock(wire), b"\r\n\r\n")? else { return Ok(None) };
        let text: String = head.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.strip_suffix("\r\n\r\n").unwrap_or(&text).split("\r\n");
        let first = lines.next().unwrap_or_default();
        let parts: Vec<&str> = first.split(' ').collect();
        let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = parts[..] else {
            return Err(format!("malformed request line {first:?}"));
        };
        if !is_token(method) || target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("malformed method or target in {first:?}"));
        }
        let headers = parse_fields(lines)?;
        let framing = framing(&headers)?;
        let hosts = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count();
        if hosts > 1 || (hosts == 0 && version == "HTTP/1.1") {
            return Err(format!("{hosts} Host headers (RFC 9112 section 3.2)"));
        }
        Ok(Some(Received {
            method: method.to_owned(),
            target: target.to_owned(),
            version: version.to_owned(),
            headers,
            head: head.into(),
            connection,
            index,
            arrived: Instant::now(),
            framing,
            thread: thread::current().id(),
            wire: Arc::downgrade(wire),
            shared: Arc::downgrade(shared),
            body: Mutex::default(),
        }))
    }

    /// There is nothing to read where there is no body; to be said once the record has the request.
    pub(super) fn settle_if_empty(&self) {
        if !self.has_body() {
            self.settle(Progress::Complete);
        }
    }

    /// Whether nobody will read any more of the body.
    pub(super) fn is_settled(&self) -> bool {
        lock(&self.body).progress != Progress::Unread
    }

    /// Says that no more of the body will be read.
    pub(super) fn give_up(&self) {
        self.settle(Progress::GivenUp);
    }

    /// No `100 Continue` is to be sent for this request.
    pub(super) fn skip_continue(&self) {
        lock(&self.body).answered_expectation = true;
    }

    /// How many bytes of the body have been read.
    pub(super) fn received_length(&self) -> u64 {
        lock(&self.body).length
    }

    /// Reads the body until it has `until` bytes, or to its end if that comes first.
    pub(super) fn read_body(&self, wire: &mut Wire, until: u64) -> Result<(), String> {
        if self.is_settled() {
            return Ok(());
        }
        let result = self.answer_expectation(wire).map_err(|error| error.to_string());
        let result = result.and_then(|()| match self.framing {
            Framing::Length(length) => {
                self.read_up_to(wire, until.min(length))?;
                Ok(self.received_length() == length)
            }
            Framing::Chunked => self.read_chunks(wire, until),
        });
        match result {
            Ok(true) => self.settle(Progress::Complete),
            Ok(false) => {}
            Err(_) => self.settle(Progress::GivenUp),
        }
        result.map(drop)
    }

    fn read_in_handler(&self) {
        if thread::current().id() != self.thread || self.is_settled() {
            return;
        }
        if let Some(wire) = self.wire.upgrade() {
            // An error shows in `is_complete`, and again when the connection is used next.
            let _ = self.read_body(&mut lock(&wire), u64::MAX);
        }
    }

    fn settle(&self, progress: Progress) {
        {
            let mut body = lock(&self.body);
            if body.progress != Progress::Unread {
                return;
            }
            body.progress = progress;
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.update(|state| state.settled += 1);
        }
    }

    fn answer_expectation(&self, wire: &mut Wire) -> io::Result<()> {
        let expected = self.has_token("expect", "100-continue");
        let answered = std::mem::replace(&mut lock(&self.body).answered_expectation, true);
        if expected && !answered {
            wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    /// Reads until the body has `until` bytes.
    fn read_up_to(&self, wire: &mut Wire, until: u64) -> Result<(), String> {
        loop {
            let cut = lock(&self.body).cut.unwrap_or(u64::MAX);
            let arrived = self.received_length();
            let left = until.saturating_sub(arrived);
            if left == 0 {
                return Ok(());
            }
            if cut <= arrived {
                return Err(format!("no more than {cut} bytes of the body are to be read"));
            }
            if wire.ahead().is_empty() && wire.fill().map_err(|error| error.to_string())? == 0 {
                return Err(format!("the connection ended {left} bytes before the body did"));
            }
            let piece = wire.consume(usize::try_from(left.min(cut - arrived)).unwrap_or(usize::MAX));
            self.take(&piece);
        }
    }

    /// Reads chunks until the body has `until` bytes; true when it has come to its end.
    fn read_chunks(&self, wire: &mut Wire, until: u64) -> Result<bool, String> {
        const ENDED: &str = "the connection ended within a chunked body";
        loop {
            let begun = lock(&self.body).in_chunk.take();
            if let Some(left) = begun {
                let start = self.received_length();
                self.read_up_to(wire, start.saturating_add(left).min(until))?;
                let left = left - (self.received_length() - start);
                if left > 0 {
                    lock(&self.body).in_chunk = Some(left);
                    return Ok(false);
                }
                if read_section(wire, b"\r\n")?.ok_or(ENDED)?.len() != 2 {
                    return Err("a chunk is longer than it said".to_owned());
                }
            }
            if self.received_length() >= until {
                return Ok(false);
            }
            let line = read_section(wire, b"\r\n")?.ok_or(ENDED)?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let size = line.split(';').next().unwrap_or_default();
            let size = match u64::from_str_radix(size, 16) {
                Ok(number) if !size.starts_with('+') => number,
                _ => return Err(format!("malformed chunk size {line:?}")),
            };
            if size == 0 {
                break;
            }
            lock(&self.body).in_chunk = Some(size);
        }
        let mut lines = Vec::new();
        loop {
            let line = read_section(wire, b"\r\n")?.ok_or(ENDED)?;
            let line: String = line.iter().map(|&byte| char::from(byte)).collect();
            match line.strip_suffix("\r\n") {
                Some("") | None => break,
                Some(line) => lines.push(line.to_owned()),
            }
        }
        lock(&self.body).trailers = parse_fields(lines.iter().map(String::as_str))?;
        Ok(true)
    }

    fn take(&self, piece: &[u8]) {
        let shared = self.shared.upgrade();
        let mut body = lock(&self.body);
        if body.mismatch.is_none() {
            body.mismatch = pattern::first_mismatch(body.length, piece);
        }
        body.length += piece.len() as u64;
        if shared.as_ref().is_none_or(|shared| shared.keep_bodies) {
            body.kept.extend_from_slice(piece);
        }
        drop(body);
        if let Some(shared) = shared {
            shared.update(|_| {});
        }
    }
}

/// Reads up to and with `end`; `None` when the peer ended before the first byte.
fn read_section(wire: &mut Wire, end: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut searched = 0;
    loop {
        let ahead = wire.ahead();
        if let Some(at) = ahead[searched..].windows(end.len()).position(|window| window == end) {
            return Ok(Some(wire.consume(searched + at + end.len())));
        }
        searched = ahead.len().saturating_sub(end.len() - 1);
        if ahead.len() > LONGEST_HEAD {
            return Err(format!("more than {LONGEST_HEAD} bytes without an end of the section"));
        }
        match (wire.fill(), wire.ahead().is_empty()) {
            (Ok(0) | Err(_), true) => return Ok(None),
            (Ok(0), false) => return Err("the connection ended within a head".to_owned()),
            (Err(error), false) => return Err(format!("the connection failed within a head: {error}")),
            (Ok(_), _) => {}
        }
    }
}

fn parse_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<(String, String)>, String> {
    let parsed = lines.map(|line| match line.split_once(':') {
        Some((name, value)) if is_token(name) && !value.contains(['\r', '\n', '\0']) => {
            Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        }
        _ => Err(format!("malformed header line {line:?}")),
    });
    parsed.collect()
}

fn framing(headers: &[(String, String)]) -> Result<Framing, String> {
    let values = |wanted: &str| -> Vec<&str> {
        let same = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        same.map(|(_, value)| value.as_str()).collect()
    };
    match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|error| format!("Content-Length {length:?}: {error}"))
        }
        (codings, lengths) => {
            Err(format!("Transfer-Encoding {codings:?} with Content-Length {lengths:?} (RFC 9112 section 6)"))
        }
    }
}

fn is_token(text: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(tchar)
}
