//! What a server answers, and what it does wrong on the way: [`Reply`] and [`Fault`], both data.

use super::{Gate, Wire, gzip};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An answer. `Content-Length` or `Transfer-Encoding` is added to fit the body, and nothing else.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) informational: Vec<Head>,
    pub(super) head: Head,
    pub(super) http10: bool,
    pub(super) body: Body,
    pub(super) faults: Vec<Fault>,
    pub(super) afterwards: Afterwards,
    /// After how many bytes of the request's body it is sent, if that is not awaited.
    pub(super) early_after: Option<u64>,
    pub(super) answers_expectation: bool,
    pub(super) takeover: Option<Takeover>,
}

#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// With `Content-Length`.
    Sized(Bytes),
    /// As the faults want it, without a header that says how long.
    Unsaid,
    /// Ended by the end of the connection.
    UntilClose(Bytes),
    Chunked(Vec<Bytes>, Vec<(String, String)>),
    /// The whole reply, head and all.
    Raw(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// What the headers of request and reply say.
    AsSaid,
    Close,
    KeepOpen,
}

#[derive(Clone)]
pub(super) struct Takeover(pub(super) Arc<dyn Fn(&mut Wire) + Send + Sync>);

/// A place in a reply. Bytes are those on the wire below TLS' records, chunk framing included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before anything of the reply; after the informational ones.
    BeforeHead,
    /// After so many bytes of the head.
    InHead(usize),
    /// Between head and body.
    BeforeBody,
    /// After so many bytes of the body. A [`Reply::head`] has no body of its own, and gets as much
    /// of [`pattern`](super::pattern()) as its faults need; elsewhere the place is the end at most.
    After(usize),
    /// After the last byte of the reply.
    End,
}

/// What goes wrong with a reply. Several may; those at the same place happen in the order given.
#[derive(Clone, Debug)]
pub enum Fault {
    /// RST after so many bytes of the body. What the client's window has no room for is lost.
    ResetAfter(usize),
    /// RST at that place.
    ResetAt(At),
    /// An orderly end after so many bytes of the body: FIN, and over TLS a `close_notify` before it.
    CloseAfter(usize),
    /// The same at that place.
    CloseAt(At),
    /// FIN without `close_notify` after so many bytes of the body.
    TruncateTls(usize),
    /// Says nothing more, until the client goes away or the server is dropped: no answer at all.
    Stall,
    /// The same at that place.
    StallAt(At),
    /// Waits that long at that place.
    Delay { at: At, time: Duration },
    /// Waits before the head until the gate opens.
    Gate(Gate),
    /// Waits at that place until the gate opens.
    GateAt(At, Gate),
    /// Sends the whole reply in pieces of that size, each a write of its own, with a pause between.
    Drip { bytes_at_a_time: usize, every: Duration },
    /// Ends a write, and so a TLS record, at each of these places.
    Split(Vec<At>),
    /// Says that number as `Content-Length`, and closes if the body is shorter than that.
    WrongLength(u64),
    /// Bytes that do not belong to the reply, sent together with its end.
    ExtraBytes(Bytes),
    /// Closes in an orderly way after a reply that said it would not.
    CloseIdleAfterReply,
    /// Reads nothing of the request's body beyond what comes before an early reply. That is sent, else
    /// there is none; then all stands still until the client goes away, which is not seen while the client's system
    /// has something to send that there is no room for, unless by RST.
    RefuseRead,
    /// Stops reading the request's body after so many bytes until the gate opens. The handler must
    /// not have asked for the body before.
    GateRead(u64, Gate),
    /// RST once so many bytes of the request's body have been read, and no reply.
    ResetRead(u64),
    /// Closes after an early reply with what there is of the body unread, which sends RST, and that
    /// may overtake the reply (RFC 9112 section 9.6).
    CloseUnread,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: impl IntoBody) -> Reply {
        Reply::status(200).body(body)
    }

    /// That status, with `Content-Length: 0` unless a body is given.
    pub fn status(status: u16) -> Reply {
        Reply::new(status, Body::Sized(Bytes::new()))
    }

    /// That status, and no header that says how long the body is but those given.
    pub fn head(status: u16) -> Reply {
        Reply::new(status, Body::Unsaid)
    }

    /// 200 with a chunk for each piece; empty ones are left out.
    pub fn chunked(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Reply {
        let pieces = pieces.into_iter().map(|piece| Bytes::copy_from_slice(piece.as_ref()));
        Reply::new(200, Body::Chunked(pieces.filter(|piece| !piece.is_empty()).collect(), Vec::new()))
    }

    /// 200 with a body that the end of the connection ends.
    pub fn until_close(body: impl IntoBody) -> Reply {
        Reply::status(200).body_until_close(body)
    }

    /// These very bytes; then the connection is closed, unless [`keep_open`](Self::keep_open).
    pub fn raw(bytes: impl IntoBody) -> Reply {
        Reply { afterwards: Afterwards::Close, ..Reply::new(200, Body::Raw(bytes.into_body())) }
    }

    /// A redirection.
    pub fn redirect(status: u16, location: &str) -> Reply {
        Reply::status(status).header("Location", location)
    }

    /// 200 with the body compressed.
    pub fn gzipped(body: impl IntoBody) -> Reply {
        Reply::ok(gzip(&body.into_body())).header("Content-Encoding", "gzip")
    }

    /// Another status.
    pub fn with_status(mut self, status: u16) -> Reply {
        self.head.status = status;
        self
    }

    /// Another reason phrase than the usual one.
    pub fn reason(mut self, reason: &str) -> Reply {
        self.head.reason = Some(reason.to_owned());
        self
    }

    /// Adds a header, exactly as it is written here.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.head.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes the headers of that name out again.
    pub fn without_header(mut self, name: &str) -> Reply {
        self.head.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// The body, with its `Content-Length`; bytes are not copied.
    pub fn body(mut self, body: impl IntoBody) -> Reply {
        self.body = Body::Sized(body.into_body());
        self
    }

    /// The body in chunks of that size.
    pub fn chunks(mut self, body: Bytes, size: usize) -> Reply {
        let starts = (0..body.len()).step_by(size.max(1));
        let pieces = starts.map(|start| body.slice(start..body.len().min(start + size.max(1))));
        self.body = Body::Chunked(pieces.collect(), Vec::new());
        self
    }

    /// The body, which the end of the connection ends.
    pub fn body_until_close(mut self, body: impl IntoBody) -> Reply {
        self.body = Body::UntilClose(body.into_body());
        self
    }

    /// Adds a field after the body; what is not chunked becomes so.
    pub fn trailer(mut self, name: &str, value: &str) -> Reply {
        let field = (name.to_owned(), value.to_owned());
        self.body = match self.body {
            Body::Chunked(pieces, mut trailers) => {
                trailers.push(field);
                Body::Chunked(pieces, trailers)
            }
            Body::Sized(body) if !body.is_empty() => Body::Chunked(vec![body], vec![field]),
            _ => Body::Chunked(Vec::new(), vec![field]),
        };
        self
    }

    /// Sends another head before this one's: 103, or a 100 nobody asked for.
    pub fn informational(mut self, status: u16, headers: &[(&str, &str)]) -> Reply {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        self.informational.push(Head { status, reason: None, headers: headers.collect() });
        self
    }

    /// `HTTP/1.0`: never chunked, closed unless a header `Connection: keep-alive` is given.
    pub fn http10(mut self) -> Reply {
        self.http10 = true;
        self
    }

    /// Says `Connection: close`, and does it.
    pub fn close(mut self) -> Reply {
        self.afterwards = Afterwards::Close;
        self.header("Connection", "close")
    }

    /// Leaves the connection open whatever the headers say.
    pub fn keep_open(mut self) -> Reply {
        self.afterwards = Afterwards::KeepOpen;
        self
    }

    /// Sends this before the request's body is read (which happens afterwards); the handler must not
    /// have asked for the body.
    pub fn early(self) -> Reply {
        self.early_after(0)
    }

    /// Sends this once so many bytes of the request's body have been read, or all of a shorter one;
    /// the rest is read afterwards.
    pub fn early_after(mut self, bytes: u64) -> Reply {
        self.early_after = Some(bytes);
        self
    }

    /// Sends no `100 Continue`, though the request waits for one, and reads its body nevertheless.
    pub fn no_continue(mut self) -> Reply {
        self.answers_expectation = false;
        self
    }

    /// Hands the connection over after the reply: after 101, or the 200 to a CONNECT. It is closed
    /// when the function returns.
    pub fn takeover(mut self, run: impl Fn(&mut Wire) + Send + Sync + 'static) -> Reply {
        self.takeover = Some(Takeover(Arc::new(run)));
        self
    }

    /// Has that go wrong.
    pub fn then(mut self, fault: Fault) -> Reply {
        self.faults.push(fault);
        self
    }

    fn new(status: u16, body: Body) -> Reply {
        Reply {
            informational: Vec::new(),
            head: Head { status, reason: None, headers: Vec::new() },
            http10: false,
            body,
            faults: Vec::new(),
            afterwards: Afterwards::AsSaid,
            early_after: None,
            answers_expectation: true,
            takeover: None,
        }
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// What can be a body.
pub trait IntoBody {
    /// Its bytes, not copied where they need not be.
    fn into_body(self) -> Bytes;
}

macro_rules! into_body {
    ($($type:ty),*) => {
        $(impl IntoBody for $type {
            fn into_body(self) -> Bytes {
                Bytes::from(self)
            }
        })*
    };
}

into_body!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl<const N: usize> IntoBody for &'static [u8; N] {
    fn into_body(self) -> Bytes {
        Bytes::from_static(self)
    }
}
