//! One HTTP/1.1 exchange: a request goes out, heads and a body come in. A value that goes on where
//! it stopped; it waits for nothing, and says what there is to wait for.

use super::outgoing::{Outgoing, Sending};
use crate::body::Source;
use crate::connection::idle::Permit;
use crate::connection::transport::{Connection, Received};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::http1::body::{BodyDecoder, Piece};
use crate::proto::http1::framing::Framing;
use crate::proto::http1::head::{HeadParser, Limits, ParsedHead};
use crate::sys::{Interest, Patience, Splice};
use http::HeaderMap;
use std::time::Instant;

/// How much is received to a file before a look at what else there is to do, such as whether anybody
/// still wants it.
const TURN: usize = 1024 * 1024;

/// What there is of the response's head.
#[derive(Debug)]
pub(crate) enum Head {
    /// All of it, and its length.
    Complete(ParsedHead, usize),
    /// More than before.
    Some,
    /// Nothing more just now.
    Nothing,
}

/// What there is of the response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A piece of it, in [`Exchange::piece`].
    Piece,
    /// Bytes came, and none of them are of the body: framing.
    Framing,
    /// Nothing more just now.
    Nothing,
    /// All of it was taken.
    End,
}

/// See the module's documentation.
pub(crate) struct Exchange {
    connection: Box<Connection>,
    permit: Permit,
    /// It carried other exchanges before this one.
    pub(crate) reused: bool,
    outgoing: Outgoing,
    /// Why it is not sending just now.
    starved: bool,
    hold: bool,
    abandoned: bool,
    /// All of it went out.
    complete: bool,
    parser: HeadParser,
    received_any: bool,
    /// Something was received since somebody asked.
    received: bool,
    decoder: Option<BodyDecoder>,
    /// Bytes of the body at the front of the connection's input, and bytes of framing behind them.
    piece: usize,
    behind: usize,
    /// Whether the response lets the connection be used again.
    pub(crate) persistent: bool,
}

impl Exchange {
    /// `hold`: the body waits for [`release_body`](Exchange::release_body).
    pub(crate) fn new(
        connection: Box<Connection>,
        permit: Permit,
        outgoing: Outgoing,
        hold: bool,
        limits: Limits,
    ) -> Self {
        let reused = connection.exchanges > 0;
        Exchange {
            connection,
            permit,
            reused,
            outgoing,
            starved: false,
            hold,
            abandoned: false,
            complete: false,
            parser: HeadParser::new(limits),
            received_any: false,
            received: false,
            decoder: None,
            piece: 0,
            behind: 0,
            persistent: false,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Bytes of the request's body that went out.
    pub(crate) fn body_sent(&self) -> u64 {
        self.outgoing.body_sent()
    }

    /// Whether nothing of the request was given to the connection.
    pub(crate) fn is_untouched(&self) -> bool {
        self.outgoing.is_untouched()
    }

    /// Whether the server has said anything.
    pub(crate) fn has_received(&self) -> bool {
        self.received_any
    }

    /// Sends as much of the request as the socket takes, for a turn.
    pub(crate) fn send(&mut self) -> Result<Sending> {
        self.connection.midway = true;
        let sending = self.outgoing.send(&mut self.connection, self.hold)?;
        self.complete = sending == Sending::Complete;
        self.starved = sending == Sending::Starved;
        // A body that the system has taken the server need not have.
        self.connection.midway = sending != Sending::Complete || self.outgoing.has_body();
        Ok(sending)
    }

    /// The server wants the body, or did not say that it does not in time.
    pub(crate) fn release_body(&mut self) {
        self.hold = false;
    }

    /// What was not sent stays unsent: the answer is there. The connection ends with it.
    pub(crate) fn abandon_body(&mut self) {
        if self.is_sending() {
            self.abandoned = true;
            self.starved = false;
            self.outgoing.stop(&Error::new(
                ErrorKind::RequestBodyFailed,
                "sending the body: the server answered before it had all of it, and does not want the rest",
            ));
        }
    }

    /// The exchange is given up: what is left of the source of its body goes back.
    pub(crate) fn take_source(&mut self) -> Source {
        self.abandoned |= self.is_sending();
        self.starved = false;
        self.persistent &= self.complete;
        self.outgoing.take_source()
    }

    /// Whether all of the request went out.
    pub(crate) fn is_sent(&self) -> bool {
        self.complete
    }

    /// Whether there is more of the request to send.
    pub(crate) fn is_sending(&self) -> bool {
        !self.complete && !self.abandoned
    }

    /// Whether the source of the request's body has nothing to send just now.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }

    /// What has to happen for a body to go on: while the request goes out, both directions count.
    pub(crate) fn interest(&self) -> Option<Interest> {
        match (self.is_sending(), self.starved, self.is_done()) {
            (true, true, true) => None,
            (true, false, true) => Some(Interest::WRITE),
            (true, false, false) => Some(Interest::READ_WRITE),
            (_, _, _) => Some(Interest::READ),
        }
    }

    /// Whether the body is held back.
    pub(crate) fn is_held(&self) -> bool {
        self.hold
    }

    /// The next head. Receives once at the most, so that a peer which sends byte by byte cannot keep
    /// the caller from looking at its deadlines.
    pub(crate) fn receive_head(&mut self, patience: Patience) -> Result<Head> {
        if let Some(head) = self.parse_head()? {
            return Ok(head);
        }
        match self.connection.fill(patience)? {
            Received::Bytes(_) => {
                self.received_any = true;
                self.received = true;
                Ok(self.parse_head()?.unwrap_or(Head::Some))
            }
            Received::Nothing => Ok(Head::Nothing),
            Received::End { .. } if self.connection.input().is_empty() => Err(Error::new(
                ErrorKind::NetworkConnectionLost,
                "waiting for the response: the server closed the connection without an answer",
            )),
            Received::End { .. } => Err(self.parser.at_eof(self.connection.input())),
        }
    }

    fn parse_head(&mut self) -> Result<Option<Head>> {
        if self.connection.input().is_empty() {
            return Ok(None);
        }
        let Some((head, length)) = self.parser.parse(self.connection.input())? else { return Ok(None) };
        self.connection.consume(length);
        Ok(Some(Head::Complete(head, length)))
    }

    /// From here on a body comes.
    pub(crate) fn begin_body(&mut self, framing: Framing, persistent: bool) {
        self.decoder = Some(BodyDecoder::new(framing));
        self.connection.midway = true;
        self.persistent = persistent;
    }

    /// The piece of the body that was received and not taken.
    pub(crate) fn piece(&self) -> &[u8] {
        self.connection.input().get(..self.piece).unwrap_or_default()
    }

    /// Takes bytes from the front of the piece.
    pub(crate) fn take(&mut self, count: usize) {
        self.piece -= count;
        let behind = if self.piece == 0 { std::mem::take(&mut self.behind) } else { 0 };
        self.connection.consume(count + behind);
    }

    /// Sees to it that there is a piece, receiving once if need be.
    pub(crate) fn receive_piece(&mut self, patience: Patience) -> Result<Body> {
        let mut once = false;
        loop {
            if self.piece > 0 {
                return Ok(Body::Piece);
            }
            let Some(decoder) = self.decoder.as_mut() else { return Ok(Body::End) };
            let (consumed, piece) = decoder.next(self.connection.input())?;
            match piece {
                Piece::Data(range) => {
                    self.connection.consume(range.start);
                    self.piece = range.len();
                    self.behind = consumed - range.end;
                }
                Piece::End => {
                    self.connection.consume(consumed);
                    return Ok(Body::End);
                }
                Piece::NeedMore => {
                    self.connection.consume(consumed);
                    if once {
                        return Ok(Body::Framing);
                    }
                    once = true;
                    match self.connection.fill(patience)? {
                        Received::Bytes(_) => self.received = true,
                        Received::Nothing => return Ok(Body::Nothing),
                        Received::End { clean } => return self.at_end(clean),
                    }
                }
            }
        }
    }

    /// How many bytes may be received past the decoder, straight to where they belong: 0 if it has
    /// to look at them.
    pub(crate) fn direct(&self) -> u64 {
        match &self.decoder {
            Some(decoder) if self.piece == 0 && self.connection.input().is_empty() => {
                decoder.remaining_hint().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// How many bytes of the body are still to come, as far as its framing tells, and 0 if it does not.
    pub(crate) fn remaining(&self) -> u64 {
        let framed = self.decoder.as_ref().and_then(BodyDecoder::remaining_hint).unwrap_or(0);
        framed + self.piece as u64
    }

    /// Receives to the end of a vector, so much at the most as [`direct`](Exchange::direct) says.
    pub(crate) fn receive_vec(&mut self, target: &mut Vec<u8>, patience: Patience) -> Result<(Body, usize)> {
        let limit = usize::try_from(self.direct()).unwrap_or(usize::MAX);
        let received = self.connection.receive_vec(target, limit, patience)?;
        self.directly(received)
    }

    /// Receives into a slice, so much at the most as [`direct`](Exchange::direct) says.
    pub(crate) fn receive_slice(&mut self, target: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
        let limit = usize::try_from(self.direct()).unwrap_or(usize::MAX).min(target.len());
        let target = target.get_mut(..limit).unwrap_or_default();
        let received = self.connection.receive_slice(target, patience)?;
        self.directly(received)
    }

    /// Whether the body may be received by [`receive_file`](Exchange::receive_file).
    pub(crate) fn is_plain(&self) -> bool {
        self.connection.is_plain()
    }

    /// Receives by the kernel's copy path for a turn, so much at the most as
    /// [`direct`](Exchange::direct) says. `drain` takes it out. The second result says that it is of no
    /// use to try that again.
    pub(crate) fn receive_file(
        &mut self,
        patience: Patience,
        drain: &mut dyn FnMut(&mut Splice) -> Result<()>,
    ) -> Result<(Body, bool)> {
        let limit = usize::try_from(self.direct()).unwrap_or(TURN).min(TURN);
        let (received, refused) = self.connection.receive_file(limit, patience, drain)?;
        Ok((self.directly(received)?.0, refused))
    }

    fn directly(&mut self, received: Received) -> Result<(Body, usize)> {
        match received {
            Received::Bytes(count) => {
                self.received = true;
                // What TLS decrypted beyond the target is in the input, and not yet counted.
                let surplus = self.connection.input().len();
                let direct = count.saturating_sub(surplus);
                if let Some(decoder) = self.decoder.as_mut() {
                    decoder.consume_direct(direct as u64);
                }
                Ok((Body::Piece, direct))
            }
            Received::Nothing => Ok((Body::Nothing, 0)),
            Received::End { clean } => Ok((self.at_end(clean)?, 0)),
        }
    }

    /// The connection ended in the body.
    fn at_end(&mut self, clean: bool) -> Result<Body> {
        self.persistent = false;
        if let Some(decoder) = &self.decoder {
            decoder.at_eof()?;
            if !clean && !decoder.is_done() {
                return Err(Error::new(
                    ErrorKind::NetworkConnectionLost,
                    "receiving the body: the connection ended without TLS close_notify, \
                     and nothing else tells whether the body is complete",
                ));
            }
        }
        // The end of the connection was the end of the body.
        self.connection.midway = !self.complete;
        Ok(Body::End)
    }

    /// Whether all of the body was taken, as far as its framing tells.
    pub(crate) fn is_done(&self) -> bool {
        self.piece == 0 && self.decoder.as_ref().is_none_or(BodyDecoder::is_done)
    }

    /// Whether anything was received since this was asked last.
    pub(crate) fn take_received(&mut self) -> bool {
        std::mem::take(&mut self.received)
    }

    /// Bytes of the body so far, without framing.
    pub(crate) fn body_received(&self) -> u64 {
        self.decoder.as_ref().map_or(0, |decoder| decoder.received() - self.piece as u64)
    }

    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.decoder.as_mut()?.take_trailers()
    }

    /// Before it waits for long: buffers that hold nothing are given back. A peer that is being sent to
    /// has room again soon.
    pub(crate) fn rest(&mut self) {
        if self.is_sending() && !self.starved {
            self.connection.release_input();
        } else {
            self.connection.release_buffers();
        }
    }

    /// The exchange is over, and the next one has to go over the same connection. `None` if it cannot.
    pub(crate) fn into_connection(mut self) -> Option<(Box<Connection>, Permit)> {
        let complete = self.is_done() && self.complete;
        if !(complete && self.persistent && self.connection.is_reusable()) {
            return None;
        }
        self.connection.midway = false;
        self.connection.exchanges += 1;
        Some((self.connection, self.permit))
    }

    /// The exchange is over. Its connection goes to the next one, if it may.
    pub(crate) fn finish(mut self, now: Instant) {
        let complete = self.is_done() && self.complete;
        self.connection.midway &= !complete;
        if complete && self.persistent {
            self.permit.put_back(self.connection, now);
        } else {
            // The connection first, so that whoever gets the permit finds it gone.
            drop(self.connection);
            drop(self.permit);
        }
    }
}
