//! A request on its way out: its head, and its body piece by piece, framed (RFC 9112, sections 6 and
//! 7.1). Knows a connection that takes bytes, and a source that may have none just now.
//!
//! What goes out at a time is a frame: the head or a chunk's size, a piece of the body, and what ends
//! a chunk, in one write.

use crate::body::{Next, Section, Source};
use crate::connection::transport::{Connection, Written};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;

/// How much is sent before a look at what the server says, and at whether anybody still wants it. A
/// server that reads as fast as we write would take all of a body that it has refused.
const TURN: usize = 1024 * 1024;
/// How much of a file the kernel may copy at once: as much as the socket has room for, which has its own
/// bounds.
const COPY: usize = 4 * TURN;

/// How far a request has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// All of it.
    Complete,
    /// The socket has no room, or has been given much.
    Blocked,
    /// The body is held back until the server asks for it (RFC 9110, section 10.1.1).
    Held,
    /// The source of the body has nothing just now. It wakes the task when it has.
    Starved,
}

/// See the module's documentation.
pub(crate) struct Outgoing {
    source: Source,
    has_body: bool,
    /// Bytes of the body that are to be taken from the source, if their number is known.
    left: Option<u64>,
    /// The head or what begins a chunk.
    before: Vec<u8>,
    piece: Piece,
    /// What the source fills.
    buffer: Vec<u8>,
    after: &'static [u8],
    /// How much of the frame went out.
    at: usize,
    /// The head was not yet joined by what follows it.
    first: bool,
    /// The last frame is there.
    ended: bool,
    touched: bool,
    body_sent: u64,
}

enum Copied {
    Some(usize),
    Blocked,
    /// There is nothing that it can copy, or no way to.
    No,
}

enum Piece {
    Nothing,
    Bytes(Bytes),
    Buffer,
}

impl Outgoing {
    /// A body whose source does not know its length goes out chunked, as the head has to say.
    pub(crate) fn new(head: Vec<u8>, source: Source) -> Self {
        let left = source.len();
        Outgoing {
            has_body: !source.is_absent(),
            source,
            left,
            before: head,
            piece: Piece::Nothing,
            buffer: Vec::new(),
            after: b"",
            at: 0,
            first: true,
            ended: false,
            touched: false,
            body_sent: 0,
        }
    }

    /// Bytes of the body that went out, without framing.
    pub(crate) fn body_sent(&self) -> u64 {
        self.body_sent
    }

    pub(crate) fn has_body(&self) -> bool {
        self.has_body
    }

    /// Whether nothing was given to the connection.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Gives the source back, with what was taken from it and did not go out. Nothing can be sent
    /// after that.
    pub(crate) fn take_source(&mut self) -> Source {
        let sent = self.at.saturating_sub(self.before.len());
        let unsent = Bytes::copy_from_slice(self.piece().get(sent..).unwrap_or_default());
        self.piece = Piece::Nothing;
        Section::rest(std::mem::take(&mut self.source), unsent)
    }

    /// The rest is not wanted, for this reason.
    pub(crate) fn stop(&mut self, reason: &Error) {
        self.source.stop(reason);
        self.piece = Piece::Nothing;
        self.buffer = Vec::new();
    }

    /// Sends as much as the connection takes, for a turn. `hold`: only the head.
    pub(crate) fn send(&mut self, connection: &mut Connection, hold: bool) -> Result<Sending> {
        let mut sent = 0;
        if self.first && !hold {
            self.first = false;
            self.fill()?;
        }
        loop {
            if self.at == self.len() {
                let waits = match () {
                    () if self.ended => Sending::Complete,
                    () if hold => Sending::Held,
                    () => {
                        self.clear();
                        match self.copy(connection)? {
                            Copied::Some(count) => {
                                sent += count;
                                if sent >= TURN && !self.ended {
                                    return Ok(Sending::Blocked);
                                }
                                continue;
                            }
                            Copied::Blocked => return Ok(Sending::Blocked),
                            Copied::No => {}
                        }
                        if self.fill()? {
                            continue;
                        }
                        if self.ended { Sending::Complete } else { Sending::Starved }
                    }
                };
                return Ok(if connection.flush()? { waits } else { Sending::Blocked });
            }
            if sent >= TURN {
                return Ok(Sending::Blocked);
            }
            match self.write(connection)? {
                Written::Bytes(count) => {
                    sent += count;
                    self.advance(count);
                }
                Written::Full(count) => {
                    self.advance(count);
                    return Ok(Sending::Blocked);
                }
            }
        }
    }

    /// Has the kernel copy some of a file, if it can.
    fn copy(&mut self, connection: &mut Connection) -> Result<Copied> {
        let (Source::File(file), Some(left)) = (&mut self.source, &mut self.left) else {
            return Ok(Copied::No);
        };
        let (handle, offset, rest) = file.rest();
        if rest == 0 {
            return Ok(Copied::No);
        }
        let count = usize::try_from(rest).unwrap_or(COPY).min(COPY);
        file.check_before(count as u64)?;
        match connection.send_file(handle, offset, count)? {
            None => Ok(Copied::No),
            Some(Written::Full(0)) => Ok(Copied::Blocked),
            Some(Written::Bytes(count) | Written::Full(count)) => {
                file.sent(count as u64)?;
                self.touched = true;
                self.body_sent += count as u64;
                *left = left.saturating_sub(count as u64);
                self.ended = *left == 0;
                Ok(Copied::Some(count))
            }
        }
    }

    /// Gets the next piece and frames it. False if there is none, just now or at all.
    fn fill(&mut self) -> Result<bool> {
        if !self.has_body {
            self.ended = true;
            return Ok(false);
        }
        let next = self.source.next(&mut self.buffer)?;
        let (count, last) = match &next {
            Next::Bytes(bytes) => (bytes.len(), false),
            Next::Buffer { last } => (self.buffer.len(), *last),
            Next::Nothing => return Ok(false),
            Next::End => (0, true),
        };
        match &mut self.left {
            Some(left) => {
                *left = left.checked_sub(count as u64).ok_or_else(|| length_error(count as u64 - *left))?;
                if last && *left > 0 {
                    return Err(length_error(*left));
                }
                self.ended = *left == 0;
            }
            None => {
                if count > 0 {
                    self.before.extend_from_slice(format!("{count:X}\r\n").as_bytes());
                }
                self.ended = last;
                self.after = match (count > 0, last) {
                    (true, false) => b"\r\n",
                    (true, true) => b"\r\n0\r\n\r\n",
                    (false, true) => b"0\r\n\r\n",
                    (false, false) => b"",
                };
            }
        }
        self.piece = match next {
            Next::Bytes(bytes) => Piece::Bytes(bytes),
            Next::Buffer { .. } => Piece::Buffer,
            _ => Piece::Nothing,
        };
        Ok(self.at < self.len())
    }

    fn clear(&mut self) {
        self.before.clear();
        self.piece = Piece::Nothing;
        self.after = b"";
        self.at = 0;
    }

    fn piece(&self) -> &[u8] {
        match &self.piece {
            Piece::Nothing => &[],
            Piece::Bytes(bytes) => bytes,
            Piece::Buffer => &self.buffer,
        }
    }

    fn len(&self) -> usize {
        self.before.len() + self.piece().len() + self.after.len()
    }

    /// Writes what is left of the frame.
    fn write(&self, connection: &mut Connection) -> Result<Written> {
        let piece = self.piece();
        let mut skip = self.at;
        let mut parts: [&[u8]; 3] = [&[]; 3];
        let mut count = 0;
        for part in [self.before.as_slice(), piece, self.after] {
            let skipped = skip.min(part.len());
            skip -= skipped;
            let rest = part.get(skipped..).unwrap_or_default();
            if let (false, Some(slot)) = (rest.is_empty(), parts.get_mut(count)) {
                *slot = rest;
                count += 1;
            }
        }
        connection.write(parts.get(..count).unwrap_or_default())
    }

    fn advance(&mut self, count: usize) {
        self.touched |= count > 0;
        let (begin, end) = (self.before.len(), self.before.len() + self.piece().len());
        let of_body = |at: usize| at.clamp(begin, end) - begin;
        self.body_sent += (of_body(self.at + count) - of_body(self.at)) as u64;
        self.at += count;
    }
}

/// A source that does not keep to its own length.
fn length_error(by: u64) -> Error {
    Error::new(
        ErrorKind::RequestBodyFailed,
        format!("sending the body: its length is {by} bytes off from what it was at first"),
    )
}
