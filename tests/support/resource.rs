//! A resource that can be had in parts: [`Resource`] answers GET and HEAD with ranges and
//! preconditions as RFC 9110 says, and otherwise where its [`Quirk`]s and [`Fault`]s say so.
//!
//! It is a description, to be served by [`Server::start`](super::Server::start) or from within
//! another handler; clones are the same resource and share the record of what was asked.
//!
//! ```ignore
//! let file = Resource::pattern(1 << 20).etag("\"v1\"").cut_at([1000, 70_000]);
//! let server = Server::start(file.handler());
//! ```

use super::range::{self, Asked};
use super::{Fault, IntoBody, Received, Reply, gzip, lock, pattern_at};
use bytes::Bytes;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex};

/// A resource, its validators, and what its server does wrong.
#[derive(Clone)]
pub struct Resource {
    now: Version,
    /// From that GET on, counted from 0, another version.
    later: Vec<(usize, Version)>,
    headers: Vec<(String, String)>,
    quirks: Vec<(Numbers, Quirk)>,
    faults: Vec<(Numbers, Fault)>,
    compresses: bool,
    record: Arc<Mutex<Record>>,
}

#[derive(Clone)]
struct Version {
    content: Bytes,
    etag: Option<String>,
    last_modified: Option<String>,
}

#[derive(Default)]
struct Record {
    served: Vec<Served>,
    gets: usize,
    cuts: Vec<u64>,
}

/// Which GETs, counted from 0 over all connections.
type Numbers = (Bound<usize>, Bound<usize>);

/// What a server of ranges does otherwise than a client would like. Those that concern parts leave
/// other answers alone.
#[derive(Clone, Debug)]
pub enum Quirk {
    /// The whole with 200, whatever range is asked for.
    IgnoresRange,
    /// The part, though the validator in `If-Range` is another.
    IgnoresIfRange,
    /// `Accept-Ranges: none`, and no ranges.
    NoRanges,
    /// Parts are shifted by so many bytes, in `Content-Range` and in what is sent.
    Start(i64),
    /// Another total in `Content-Range`; `None` for `*`, which is allowed.
    Total(Option<u64>),
    /// No more than so many bytes of what was asked for, and a `Content-Range` that says so, which is
    /// allowed (RFC 9110 section 15.3.7).
    AtMost(u64),
    /// So many bytes fewer than `Content-Range` says; `Content-Length` is what is sent.
    Fewer(u64),
    /// So many bytes more, zeros.
    More(usize),
    /// That text as `Content-Range`.
    ContentRange(&'static str),
    /// 206 as `multipart/byteranges`, of one part.
    Multipart,
    /// That status to whoever asks for a part; 416 with the `Content-Range` it ought to have.
    Status(u16),
    /// Compressed by gzip though nobody asked, with ranges of the compressed bytes.
    Gzip,
    /// Leaves that header out.
    Without(&'static str),
    /// That header with another value.
    With(&'static str, &'static str),
    /// Chunks of that size, and no `Content-Length`.
    Chunked(usize),
    /// No length at all: the end of the connection is the end.
    UntilClose,
}

/// A request for the resource and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `GET`.
    pub method: String,
    /// The `Range` as it was sent.
    pub range: Option<String>,
    /// The `If-Range` as it was sent.
    pub if_range: Option<String>,
    /// Which connection, counted from 0.
    pub connection: usize,
    /// The status of the answer.
    pub status: u16,
    /// Which bytes the answer had, or would have had if it had not been cut.
    pub bytes: Range<u64>,
}

impl Resource {
    /// A resource without validators.
    pub fn new(content: impl IntoBody) -> Resource {
        Resource {
            now: Version { content: content.into_body(), etag: None, last_modified: None },
            later: Vec::new(),
            headers: Vec::new(),
            quirks: Vec::new(),
            faults: Vec::new(),
            compresses: false,
            record: Arc::default(),
        }
    }

    /// The first `length` bytes of the [`pattern`](super::pattern()).
    pub fn pattern(length: usize) -> Resource {
        Resource::new(pattern_at(0, length))
    }

    /// As long, and different at nearly every byte: what [`changes_after`](Self::changes_after) needs.
    pub fn other_pattern(length: usize) -> Resource {
        Resource::new(pattern_at(1 << 40, length))
    }

    /// An `ETag`, quotes included.
    pub fn etag(mut self, etag: &str) -> Resource {
        self.now.etag = Some(etag.to_owned());
        self
    }

    /// A weak `ETag`; the quoted part of it.
    pub fn weak_etag(self, etag: &str) -> Resource {
        self.etag(&format!("W/{etag}"))
    }

    /// A `Last-Modified`.
    pub fn last_modified(mut self, date: &str) -> Resource {
        self.now.last_modified = Some(date.to_owned());
        self
    }

    /// A header for each answer with content.
    pub fn header(mut self, name: &str, value: &str) -> Resource {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Compresses by gzip for those who accept that, with a weak `ETag`.
    pub fn compresses(mut self) -> Resource {
        self.compresses = true;
        self
    }

    /// Has the content and the validators of another from GET number `gets` on, counted from 0.
    pub fn changes_after(mut self, gets: usize, other: Resource) -> Resource {
        self.later.push((gets, other.now));
        self
    }

    /// Has each answer that.
    pub fn quirk(self, quirk: Quirk) -> Resource {
        self.quirk_in(.., quirk)
    }

    /// Has those GETs' answers that, counted from 0.
    pub fn quirk_in(mut self, gets: impl RangeBounds<usize>, quirk: Quirk) -> Resource {
        self.quirks.push((numbers(&gets), quirk));
        self
    }

    /// Has each answer go wrong like that; places are those in the body of the answer.
    pub fn fault(self, fault: Fault) -> Resource {
        self.fault_in(.., fault)
    }

    /// Has those GETs' answers go wrong like that, counted from 0.
    pub fn fault_in(mut self, gets: impl RangeBounds<usize>, fault: Fault) -> Resource {
        self.faults.push((numbers(&gets), fault));
        self
    }

    /// Cuts connections at these offsets into the resource, each once: the answer that has the bytes
    /// on both sides of one ends there.
    pub fn cut_at(self, offsets: impl IntoIterator<Item = u64>) -> Resource {
        lock(&self.record).cuts.extend(offsets);
        self
    }

    /// The bytes of the first version.
    pub fn content(&self) -> Bytes {
        self.now.content.clone()
    }

    /// What was asked for until now.
    pub fn served(&self) -> Vec<Served> {
        lock(&self.record).served.clone()
    }

    /// How many bytes all answers together had that were not cut.
    pub fn bytes_served(&self) -> u64 {
        self.served().iter().map(|served| served.bytes.end - served.bytes.start).sum()
    }

    /// Answers whatever is asked of a server.
    pub fn handler(&self) -> impl Fn(&Received) -> Reply + Clone + Send + Sync + 'static {
        let resource = self.clone();
        move |request| resource.answer(request)
    }

    /// Answers a request.
    pub fn answer(&self, request: &Received) -> Reply {
        let is_get = request.method == "GET";
        if !is_get && request.method != "HEAD" {
            return Reply::status(405).header("Allow", "GET, HEAD");
        }
        let number = {
            let mut record = lock(&self.record);
            record.gets += usize::from(is_get);
            record.gets - usize::from(is_get)
        };
        let quirks: Vec<&Quirk> =
            self.quirks.iter().filter(|(gets, _)| gets.contains(&number)).map(|(_, quirk)| quirk).collect();
        let later = self.later.iter().filter(|(from, _)| *from <= number).max_by_key(|(from, _)| *from);
        let version = later.map_or(&self.now, |(_, version)| version);
        let (version, coding) = self.encoded(version, request, &quirks);
        let (mut reply, status, bytes) = version.reply(request, &quirks);
        if let Some(coding) = coding {
            reply = reply.header("Content-Encoding", coding);
        }
        for (name, value) in &self.headers {
            reply = reply.header(name, value);
        }
        for quirk in &quirks {
            reply = match quirk {
                Quirk::Without(name) => reply.without_header(name),
                Quirk::With(name, value) => reply.without_header(name).header(name, value),
                _ => reply,
            };
        }
        if is_get {
            for (_, fault) in self.faults.iter().filter(|(gets, _)| gets.contains(&number)) {
                reply = reply.then(fault.clone());
            }
        }
        let mut record = lock(&self.record);
        let mut end = bytes.end;
        if is_get {
            let within = |cut: &u64| bytes.start < *cut && *cut < bytes.end;
            let first = record.cuts.iter().copied().filter(within).min();
            if let Some(cut) = first {
                record.cuts.retain(|other| *other != cut);
                reply = reply.then(Fault::CloseAfter(usize_of(cut - bytes.start)));
                end = cut;
            }
        }
        record.served.push(Served {
            method: request.method.clone(),
            range: request.header("range").map(str::to_owned),
            if_range: request.header("if-range").map(str::to_owned),
            connection: request.connection,
            status,
            bytes: bytes.start..end,
        });
        reply
    }

    /// The representation that is chosen, and its coding.
    fn encoded(
        &self,
        version: &Version,
        request: &Received,
        quirks: &[&Quirk],
    ) -> (Version, Option<&'static str>) {
        let mut version = version.clone();
        let unasked = quirks.iter().any(|quirk| matches!(quirk, Quirk::Gzip));
        let asked = self.compresses && request.has_token("accept-encoding", "gzip");
        if !unasked && !asked {
            return (version, None);
        }
        version.content = gzip(&version.content).into();
        if !unasked {
            version.etag = version.etag.map(|etag| format!("W/{}", etag.trim_start_matches("W/")));
        }
        (version, Some("gzip"))
    }
}

impl Version {
    /// The answer, its status, and which bytes of the content it has.
    fn reply(&self, request: &Received, quirks: &[&Quirk]) -> (Reply, u16, Range<u64>) {
        let length = self.content.len() as u64;
        let none = |reply: Reply, status| (self.validators(reply, quirks), status, 0..0);
        if !self.preconditions_hold(request) {
            return none(Reply::status(412), 412);
        }
        let asked = self.asked(request, quirks);
        let status = quirks.iter().find_map(|quirk| match quirk {
            Quirk::Status(status) => Some(*status),
            _ => None,
        });
        let unsatisfiable = || Reply::status(416).header("Content-Range", &format!("bytes */{length}"));
        match (asked, status) {
            (Asked::Whole, _) => {
                let reply = framed(Reply::status(200), self.content.clone(), quirks);
                (self.validators(reply, quirks), 200, 0..length)
            }
            (Asked::Unsatisfiable, None) | (_, Some(416)) => none(unsatisfiable(), 416),
            (_, Some(status)) => none(Reply::status(status), status),
            (Asked::Part(range), None) => {
                let (reply, range) = self.part(range, quirks);
                (self.validators(reply, quirks), 206, range)
            }
        }
    }

    fn preconditions_hold(&self, request: &Received) -> bool {
        let unmodified = request.header("if-unmodified-since");
        match (request.header("if-match"), unmodified) {
            (Some(tags), _) => range::if_match_holds(tags, self.etag.as_deref()),
            // Dates are compared as text: the only one a client can know is ours.
            (None, Some(date)) => self.last_modified.as_deref() == Some(date),
            (None, None) => true,
        }
    }

    fn asked(&self, request: &Received, quirks: &[&Quirk]) -> Asked {
        let deaf = |quirk: &&Quirk| matches!(quirk, Quirk::IgnoresRange | Quirk::NoRanges);
        // Defined for GET only (RFC 9110 section 14.2).
        let Some(field) = request.header("range").filter(|_| request.method == "GET") else {
            return Asked::Whole;
        };
        if quirks.iter().any(deaf) {
            return Asked::Whole;
        }
        let careless = quirks.iter().any(|quirk| matches!(quirk, Quirk::IgnoresIfRange));
        let holds = request.header("if-range").is_none_or(|validator| {
            careless || range::if_range_holds(validator, self.etag.as_deref(), self.last_modified.as_deref())
        });
        if holds { range::asked(field, self.content.len() as u64) } else { Asked::Whole }
    }

    /// A 206, and which bytes it has.
    fn part(&self, mut range: Range<u64>, quirks: &[&Quirk]) -> (Reply, Range<u64>) {
        let length = self.content.len() as u64;
        let mut total = Some(length);
        for quirk in quirks {
            match quirk {
                Quirk::Start(by) => {
                    range.start = range.start.saturating_add_signed(*by).min(range.end - 1);
                }
                Quirk::AtMost(count) => range.end = range.end.min(range.start + (*count).max(1)),
                Quirk::Total(other) => total = *other,
                _ => {}
            }
        }
        let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        let mut content_range = format!("bytes {}-{}/{total}", range.start, range.end - 1);
        let mut is_multipart = false;
        let mut body = self.content.slice(usize_of(range.start)..usize_of(range.end));
        for quirk in quirks {
            match quirk {
                Quirk::Fewer(count) => body.truncate(body.len().saturating_sub(usize_of(*count))),
                Quirk::More(count) => body = [&body[..], &vec![0; *count]].concat().into(),
                Quirk::ContentRange(text) => content_range = (*text).to_owned(),
                Quirk::Multipart => is_multipart = true,
                _ => {}
            }
        }
        let reply = Reply::status(206);
        if is_multipart {
            let head = format!("--THIS_STRING_SEPARATES\r\nContent-Range: {content_range}\r\n\r\n");
            let body = [head.as_bytes(), &body, b"\r\n--THIS_STRING_SEPARATES--\r\n"].concat();
            let reply = reply.header("Content-Type", "multipart/byteranges; boundary=THIS_STRING_SEPARATES");
            return (framed(reply, body.into(), quirks), range);
        }
        (framed(reply.header("Content-Range", &content_range), body, quirks), range)
    }

    fn validators(&self, mut reply: Reply, quirks: &[&Quirk]) -> Reply {
        let none = quirks.iter().any(|quirk| matches!(quirk, Quirk::NoRanges));
        reply = reply.header("Accept-Ranges", if none { "none" } else { "bytes" });
        if let Some(etag) = &self.etag {
            reply = reply.header("ETag", etag);
        }
        if let Some(date) = &self.last_modified {
            reply = reply.header("Last-Modified", date);
        }
        reply
    }
}

/// Gives a reply a body in the framing that is wanted.
fn framed(reply: Reply, body: Bytes, quirks: &[&Quirk]) -> Reply {
    let framing = quirks.iter().find(|quirk| matches!(quirk, Quirk::Chunked(_) | Quirk::UntilClose));
    match framing {
        Some(Quirk::Chunked(size)) => reply.chunks(body, *size),
        Some(_) => reply.body_until_close(body),
        None => reply.body(body),
    }
}

fn numbers(gets: &impl RangeBounds<usize>) -> Numbers {
    (gets.start_bound().cloned(), gets.end_bound().cloned())
}

fn usize_of(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset into memory")
}
