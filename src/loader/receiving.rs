//! A response whose body comes in, and one receive of it: to memory, for the delegate, to a reader, or to a
//! file; decoded, and looked at for what it has to be. What else happens meanwhile is the business of
//! [`body`](super::body).

use super::Pause;
use super::caching::Tee;
use super::incoming::Incoming;
use super::integrity::Integrity;
use super::segments::Segment;
use crate::download::partial::Partial;
use crate::error::{Error, Result};
use crate::exchange::http1::Body;
use crate::head::ResponseHead;
use crate::proto::coding::Decoder;
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::{Events, TaskCore, too_large_error};
use bytes::Bytes;

/// Memory taken for a body before any of it is there, whatever length was announced.
const RESERVE: u64 = 4 * 1024 * 1024;
/// A piece for the delegate.
const PIECE: usize = 64 * 1024;
/// How much is received before it is written to a file, and how much of that may come at once.
const BLOCK: usize = 256 * 1024;
const ROOM: usize = 96 * 1024;

/// Where a body goes. Decided when the response comes, once: nobody gets a body in part.
pub(super) enum Sink {
    /// To memory, or to a reader.
    Memory,
    /// To the delegate, piece by piece.
    Delegate(Arc<dyn Events>),
    /// To the file of the download, of which the delegate is told.
    File(Option<Arc<dyn Events>>),
    /// To its place in the file of a download that comes over several connections.
    Part,
}

/// A response whose body comes in.
pub(super) struct Receiving {
    pub(super) incoming: Incoming,
    pub(super) sink: Sink,
    pub(super) head: Arc<ResponseHead>,
    pub(super) decoder: Option<Decoder>,
    /// What the content has to be, before it is decoded.
    pub(super) integrity: Option<Integrity>,
    /// What is stored of it.
    pub(super) tee: Option<Box<Tee>>,
    /// What was collected, decoded. With a reader: what it takes first.
    pub(super) collected: Vec<u8>,
    /// All of it in place of that, if it was in memory before.
    pub(super) whole: Option<Bytes>,
    pub(super) taken: usize,
    pub(super) limit: usize,
    pub(super) decoded: u64,
    /// The decoder has more to give, whether or not more comes.
    pub(super) pending: bool,
    /// Why there is no more than was written to the file.
    pub(super) failed: Option<Error>,
    /// The kernel has not refused to copy it to the file by itself.
    pub(super) splices: bool,
    /// All of the body was received; the decoder may hold some of it.
    pub(super) ended: bool,
    /// Nothing is received, because the delegate has too much of it to take.
    pub(super) stalled: bool,
    /// The reader waits for more.
    pub(super) reading: bool,
}

impl Receiving {
    /// Whether the user's code has nothing to send just now, or something to decide, and is waited for.
    pub(super) fn is_starved(&self) -> bool {
        matches!(self.incoming.pause(), Pause::Listen { .. } | Pause::Answer)
    }

    /// The next piece of what was received. An empty one is for a decoder that has more to give: a
    /// peer that pauses holds nothing up that it has sent.
    fn next_piece(&mut self, patience: Patience) -> Result<Body> {
        if self.pending && self.incoming.piece().is_empty() {
            return Ok(Body::Piece);
        }
        self.incoming.receive_piece(patience)
    }

    /// Takes bytes from the front of what was received.
    pub(super) fn take(&mut self, count: usize) {
        let bytes = self.incoming.piece().get(..count).unwrap_or_default();
        note(&mut self.integrity, &mut self.tee, bytes);
        self.incoming.take(count);
    }

    /// What was received straight to where things are collected, from `begin` on.
    fn note_collected(&mut self, begin: usize) {
        let bytes = self.collected.get(begin..).unwrap_or_default();
        note(&mut self.integrity, &mut self.tee, bytes);
    }

    /// All of it was received: is it what it was said to be?
    pub(super) fn verify(&mut self) -> Result<()> {
        self.integrity.take().map_or(Ok(()), Integrity::verify)
    }

    pub(super) fn is_for_reader(&self, core: &Arc<TaskCore>) -> bool {
        matches!(self.sink, Sink::Memory) && core.is_streaming()
    }

    /// Collects what there is in memory.
    pub(super) fn collect(&mut self, patience: Patience) -> Result<Body> {
        if self.decoder.is_none() {
            if let Some(whole) = self.incoming.take_whole() {
                self.decoded += whole.len() as u64;
                note(&mut self.integrity, &mut self.tee, &whole);
                self.whole = Some(whole);
                self.ended = true;
                return Ok(Body::Piece);
            }
            let direct = self.incoming.direct();
            if direct > 0 {
                self.reserve(direct)?;
                let before = self.collected.len();
                let (body, _) = self.incoming.receive_vec(&mut self.collected, patience)?;
                self.note_collected(before);
                self.decoded += (self.collected.len() - before) as u64;
                self.ended = body == Body::End || self.incoming.is_done();
                return Ok(body);
            }
        }
        let body = self.next_piece(patience)?;
        match body {
            Body::Piece if self.decoder.is_none() => {
                let coming = self.incoming.remaining();
                if self.collected.is_empty() || coming > self.incoming.piece().len() as u64 {
                    self.reserve(coming)?;
                }
                while !self.incoming.piece().is_empty() {
                    self.grow();
                    let room = self.collected.capacity() - self.collected.len();
                    let count = self.incoming.piece().len().min(room);
                    self.collected.extend_from_slice(self.incoming.piece().get(..count).unwrap_or_default());
                    self.decoded += count as u64;
                    self.take(count);
                    if self.collected.len() > self.limit {
                        return Err(too_large_error(self.limit));
                    }
                }
                self.ended = self.incoming.is_done();
            }
            Body::Piece => {
                while self.decode_into_collected()? {}
                self.ended = self.incoming.is_done() && self.end_of_coding()?;
            }
            Body::End => {
                while self.decode_into_collected()? {}
                self.ended = self.end_of_coding()?;
            }
            Body::Nothing | Body::Framing => {}
        }
        Ok(body)
    }

    /// Writes what there is to the file.
    pub(super) fn store(&mut self, partial: &mut Partial, patience: Patience) -> Result<Body> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.decoder.is_none() && self.incoming.direct() > 0 {
            let hashes = self.integrity.is_some() || partial.hashes_what_comes();
            let body = if self.splices && !hashes && self.incoming.is_plain() {
                self.splice(partial, patience)
            } else {
                self.copy(partial, patience)
            };
            self.ended = body.as_ref().is_ok_and(|body| *body == Body::End) || self.incoming.is_done();
            return body;
        }
        let body = self.next_piece(patience)?;
        match (body, self.decoder.as_mut()) {
            (Body::Piece, None) => {
                let piece = self.incoming.piece();
                let count = piece.len();
                partial.write(piece)?;
                self.decoded += count as u64;
                self.take(count);
                self.ended = self.incoming.is_done();
            }
            (Body::Piece | Body::End, Some(decoder)) => {
                self.collected.reserve_exact(BLOCK);
                let progress = decoder.decode_to_vec(self.incoming.piece(), &mut self.collected)?;
                self.take(progress.consumed);
                self.pending = progress.pending;
                self.write_collected(partial)?;
                let all = body == Body::End || self.incoming.is_done();
                self.ended = !progress.pending && all && self.end_of_coding()?;
            }
            (Body::End, None) => self.ended = true,
            (Body::Nothing | Body::Framing, _) => {}
        }
        Ok(body)
    }

    /// Writes what there is of a part to its place.
    pub(super) fn store_part(
        &mut self,
        segment: &mut Segment,
        patience: Patience,
        core: &TaskCore,
    ) -> Result<Body> {
        if segment.is_over() {
            self.ended = true;
            return Ok(Body::End);
        }
        let body;
        if self.incoming.direct() > 0 {
            self.collected.reserve_exact(BLOCK);
            body = self.incoming.receive_vec(&mut self.collected, patience)?.0;
            segment.write(&self.collected, core)?;
            self.decoded += self.collected.len() as u64;
            self.collected.clear();
        } else {
            body = self.next_piece(patience)?;
            if body == Body::Piece {
                let count = self.incoming.piece().len();
                segment.write(self.incoming.piece(), core)?;
                self.decoded += count as u64;
                self.incoming.take(count);
            }
        }
        self.ended = body == Body::End || self.incoming.is_done() || segment.is_over();
        Ok(body)
    }

    /// From the socket to the file without a copy in this process.
    fn splice(&mut self, partial: &mut Partial, patience: Patience) -> Result<Body> {
        let begin = partial.len();
        let result = self.incoming.receive_file(patience, &mut |pipe| partial.drain(pipe));
        self.decoded += partial.len() - begin;
        let (body, refused) = result?;
        self.splices = !refused;
        Ok(body)
    }

    /// From the socket to the file, through a block of memory that is filled with what is there before
    /// it is written.
    fn copy(&mut self, partial: &mut Partial, mut patience: Patience) -> Result<Body> {
        self.collected.reserve_exact(BLOCK);
        let mut result = Ok(Body::Nothing);
        while self.incoming.direct() > 0 && self.collected.len() <= BLOCK - ROOM {
            let begin = self.collected.len();
            let more = self.incoming.receive_vec(&mut self.collected, patience);
            self.note_collected(begin);
            patience = Patience::Never;
            match more {
                Ok((Body::Piece, _)) => result = Ok(Body::Piece),
                // What has come counts before it is told why there is no more.
                Err(error) if !self.collected.is_empty() => {
                    self.failed = Some(error);
                    break;
                }
                Ok(_) if !self.collected.is_empty() => break,
                more => {
                    result = more.map(|(body, _)| body);
                    break;
                }
            }
        }
        self.write_collected(partial)?;
        if matches!(result, Ok(Body::Nothing)) {
            // It may be long until more comes.
            self.collected = Vec::new();
        }
        result
    }

    fn write_collected(&mut self, partial: &mut Partial) -> Result<()> {
        partial.write(&self.collected)?;
        self.decoded += self.collected.len() as u64;
        self.collected.clear();
        Ok(())
    }

    /// Makes room for what is to come: all that was announced, but at first no more than a sensible
    /// part of it, since announcing costs nothing.
    fn reserve(&mut self, coming: u64) -> Result<()> {
        let len = self.collected.len();
        if coming > (self.limit - len.min(self.limit)) as u64 {
            return Err(too_large_error(self.limit));
        }
        if self.collected.capacity() == len {
            let more = coming.min(RESERVE.max(len as u64));
            self.collected.reserve_exact(usize::try_from(more).unwrap_or(0));
        }
        Ok(())
    }

    /// Makes room for more of a body whose length nobody has announced: in growing steps, or all of
    /// it would be copied with each piece. One byte more than there may be shows that there is more.
    fn grow(&mut self) {
        let len = self.collected.len();
        if self.collected.capacity() == len {
            let room = self.limit.saturating_sub(len).max(1);
            self.collected.reserve_exact(len.clamp(PIECE, 8 * 1024 * 1024).min(room));
        }
    }

    /// Decodes some of the piece. False when there is no more of it.
    fn decode_into_collected(&mut self) -> Result<bool> {
        if self.decoder.is_some() {
            self.grow();
        }
        let Some(decoder) = self.decoder.as_mut() else { return Ok(false) };
        let before = self.collected.len();
        let progress = decoder.decode_to_vec(self.incoming.piece(), &mut self.collected)?;
        let after = self.collected.len();
        if after > self.limit {
            return Err(too_large_error(self.limit));
        }
        self.decoded += (after - before) as u64;
        self.take(progress.consumed);
        Ok(progress.pending)
    }

    /// The body has ended: is what it holds complete, too?
    fn end_of_coding(&mut self) -> Result<bool> {
        if let Some(decoder) = self.decoder.as_mut() {
            decoder.finish()?;
        }
        Ok(true)
    }

    /// A piece for the delegate.
    pub(super) fn piece(&mut self, patience: Patience) -> Result<(Body, Bytes)> {
        let mut target = Vec::new();
        if self.decoder.is_none() && self.incoming.direct() > 0 {
            let room = self.incoming.direct().min(PIECE as u64);
            target.reserve_exact(usize::try_from(room).unwrap_or(PIECE));
            let (body, _) = self.incoming.receive_vec(&mut target, patience)?;
            note(&mut self.integrity, &mut self.tee, &target);
            self.decoded += target.len() as u64;
            self.ended = body == Body::End || self.incoming.is_done();
            return Ok((body, target.into()));
        }
        let body = self.next_piece(patience)?;
        match (body, self.decoder.as_mut()) {
            (Body::Piece, None) => {
                target.extend_from_slice(self.incoming.piece());
                self.take(target.len());
                self.ended = self.incoming.is_done();
            }
            (Body::Piece, Some(decoder)) => {
                target.reserve_exact(PIECE);
                let progress = decoder.decode_to_vec(self.incoming.piece(), &mut target)?;
                self.take(progress.consumed);
                self.pending = progress.pending;
                self.ended = !progress.pending && self.incoming.is_done() && self.end_of_coding()?;
            }
            (Body::End, Some(decoder)) => {
                target.reserve_exact(PIECE);
                let progress = decoder.decode_to_vec(&[], &mut target)?;
                self.ended = !progress.pending && self.end_of_coding()?;
            }
            (Body::End, None) => self.ended = true,
            (Body::Nothing | Body::Framing, _) => {}
        }
        // A few bytes must not keep the memory of many while they wait for the delegate.
        if target.len() < target.capacity() / 2 {
            target.shrink_to_fit();
        }
        self.decoded += target.len() as u64;
        Ok((body, target.into()))
    }

    /// Whether the reader has all there is.
    pub(super) fn is_taken(&self) -> bool {
        self.ended && self.taken == self.collected.len()
    }

    /// Reads for the reader.
    pub(super) fn read(&mut self, buffer: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
        if self.taken < self.collected.len() {
            let rest = self.collected.get(self.taken..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            self.taken += count;
            if self.taken == self.collected.len() {
                self.collected = Vec::new();
                self.taken = 0;
            }
            return Ok((Body::Piece, count));
        }
        let (body, count) = self.read_received(buffer, patience)?;
        self.decoded += count as u64;
        Ok((body, count))
    }

    fn read_received(&mut self, buffer: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
        if self.decoder.is_none() && self.incoming.direct() > 0 {
            let (body, count) = self.incoming.receive_slice(buffer, patience)?;
            note(&mut self.integrity, &mut self.tee, buffer.get(..count).unwrap_or_default());
            self.ended = body == Body::End || self.incoming.is_done();
            return Ok((body, count));
        }
        let body = self.next_piece(patience)?;
        let mut count = 0;
        match (body, self.decoder.as_mut()) {
            (Body::Piece, None) => {
                let piece = self.incoming.piece();
                count = piece.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), piece.get(..count)) {
                    to.copy_from_slice(from);
                }
                self.take(count);
                self.ended = self.incoming.is_done();
            }
            (Body::Piece, Some(decoder)) => {
                let progress = decoder.decode(self.incoming.piece(), buffer)?;
                self.take(progress.consumed);
                self.pending = progress.pending;
                count = progress.produced;
                self.ended = !progress.pending && self.incoming.is_done() && self.end_of_coding()?;
            }
            (Body::End, Some(decoder)) => {
                let progress = decoder.decode(&[], buffer)?;
                count = progress.produced;
                self.ended = !progress.pending && self.end_of_coding()?;
            }
            (Body::End, None) => self.ended = true,
            (Body::Nothing | Body::Framing, _) => {}
        }
        Ok((body, count))
    }
}

/// More of the content has come, of what a response brings before it is decoded.
fn note(integrity: &mut Option<Integrity>, tee: &mut Option<Box<Tee>>, bytes: &[u8]) {
    if let Some(integrity) = integrity {
        integrity.update(bytes);
    }
    if let Some(tee) = tee {
        tee.update(bytes);
    }
}
