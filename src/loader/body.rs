//! The response is there: the delegate's say, its body to memory, to the delegate or to a reader,
//! decoded, and the end.

use super::incoming::Incoming;
use super::integrity::Integrity;
use super::segments::Segment;
use super::{Answer, Flow, Loader, Pause, Step, without_body};
use crate::disposition::ResponseDisposition;
use crate::download::partial::Partial;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Body;
use crate::head::ResponseHead;
use crate::proto::coding::Decoder;
use crate::response::{Content, Response};
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::{Events, Mode, ReadStep, TaskCore, too_large_error};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

/// Memory taken for a body before any of it is there, whatever length was announced.
const RESERVE: u64 = 4 * 1024 * 1024;
/// How much a worker receives before others have a turn.
const TURN: u64 = 1024 * 1024;
/// A piece for the delegate, and how much may be on its way to it.
const PIECE: usize = 64 * 1024;
const UNDELIVERED: usize = 256 * 1024;
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
    sink: Sink,
    head: Arc<ResponseHead>,
    decoder: Option<Decoder>,
    /// What the content has to be, before it is decoded.
    integrity: Option<Integrity>,
    /// What was collected, decoded. With a reader: what it takes first.
    collected: Vec<u8>,
    taken: usize,
    limit: usize,
    decoded: u64,
    /// The decoder has more to give, whether or not more comes.
    pending: bool,
    /// Why there is no more than was written to the file.
    failed: Option<Error>,
    /// The kernel has not refused to copy it to the file by itself.
    splices: bool,
    /// All of the body was received; the decoder may hold some of it.
    ended: bool,
    /// Nothing is received, because the delegate has too much of it to take.
    stalled: bool,
    /// The reader waits for more.
    reading: bool,
}

impl Loader {
    /// The response is the result. The delegate may have a say.
    pub(super) fn begin_response(
        &mut self,
        incoming: Incoming,
        mut head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if self.segment.is_some() {
            return self.begin_part(incoming, head, core);
        }
        if self.download.is_some() {
            return self.begin_download(incoming, head, core);
        }
        let decoder = match self.decoder(&head, core) {
            Ok(decoder) => decoder,
            Err(error) => return Err(error.with_response(Arc::new(head))),
        };
        head.decoded = decoder.is_some();
        let sink = match core.take_response() {
            Some(events) => Sink::Delegate(events),
            None => Sink::Memory,
        };
        self.receive(incoming, head, decoder, sink, core)
    }

    /// From here on the body comes in.
    pub(super) fn receive(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        decoder: Option<Decoder>,
        sink: Sink,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        // The response to HEAD announces what it does not bring.
        let expected = if incoming.is_done() { Some(0) } else { head.content_length };
        core.counts.begin_receiving(expected);
        // A part may be left before its end, and what was said of the file counts for all of them.
        let integrity = self.integrity(&head, core).filter(|_| !matches!(sink, Sink::Part));
        let head = Arc::new(head);
        core.set_head(Some(Arc::clone(&head)));
        let limit = usize::try_from(core.context.configuration.maximum_body_in_memory).unwrap_or(usize::MAX);
        let asked = match &sink {
            Sink::Delegate(events) => Some(Arc::clone(events)),
            Sink::Memory | Sink::File(_) | Sink::Part => None,
        };
        let receiving = Box::new(Receiving {
            incoming,
            sink,
            head,
            decoder,
            integrity,
            collected: Vec::new(),
            taken: 0,
            limit,
            decoded: 0,
            pending: false,
            failed: None,
            splices: true,
            ended: false,
            stalled: false,
            reading: false,
        });
        let Some(events) = asked else { return Ok(Flow::Go(Step::Body(receiving))) };
        let shown = Arc::clone(&receiving.head);
        self.tries.shown = true;
        self.ask(
            core,
            events,
            move |events, core| Answer::Response(events.did_receive_response(core, &shown)),
            Answer::Response(ResponseDisposition::Allow),
        );
        Ok(Flow::Go(Step::Responding(receiving)))
    }

    pub(super) fn responding(&mut self, mut receiving: Box<Receiving>, core: &Arc<TaskCore>) -> Result<Flow> {
        match self.answered() {
            None => {
                self.check(false, core, &|_| "waiting for the delegate to decide on the response".into())?;
                Ok(Flow::Stay(Step::Responding(receiving), Pause::Answer))
            }
            Some(Answer::Response(ResponseDisposition::Cancel)) => Err(Error::new(
                ErrorKind::Cancelled,
                "the delegate cancelled the task when its response came",
            )),
            Some(answer) => {
                self.clock.touch();
                if matches!(answer, Answer::Response(ResponseDisposition::BecomeDownload)) {
                    self.become_download(&receiving.head, core)?;
                    receiving.sink = Sink::File(core.events());
                }
                Ok(Flow::Go(Step::Body(receiving)))
            }
        }
    }

    /// A decoder, if the body is to be decoded: it has a coding that we know and asked for.
    pub(super) fn decoder(&self, head: &ResponseHead, core: &Arc<TaskCore>) -> Result<Option<Decoder>> {
        let configuration = &core.context.configuration;
        let asked_for = configuration.automatic_decoding
            && !configuration.additional_headers.contains_key(ACCEPT_ENCODING)
            && !self.request(core).get_headers().contains_key(ACCEPT_ENCODING);
        if !asked_for || !head.decoded {
            return Ok(None);
        }
        Decoder::for_encoding(head.headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes()))
    }

    pub(super) fn body(
        &mut self,
        mut receiving: Box<Receiving>,
        core: &Arc<TaskCore>,
        mode: Mode,
    ) -> Result<Flow> {
        if receiving.is_for_reader(core) {
            return Ok(Flow::Stay(Step::Body(receiving), Pause::Reader));
        }
        if let Some((socket, _)) = receiving.incoming.source() {
            self.interruptible(core, mode, socket)?;
        }
        let begin = receiving.incoming.body_received();
        loop {
            let sending = match receiving.incoming.exchange() {
                Some(exchange) => self.send_on(exchange, core)?,
                None => false,
            };
            if receiving.ended {
                if sending && self.waits_to_send(&mut receiving) {
                    let pause = receiving.incoming.pause();
                    return Ok(Flow::Stay(Step::Body(receiving), pause));
                }
                return self.received(*receiving, core);
            }
            let patience = if sending { Patience::Never } else { self.clock.patience(mode) };
            if matches!(receiving.sink, Sink::Delegate(_)) && core.undelivered() > UNDELIVERED {
                // The delegate is slow: so is the peer then. The time is the delegate's.
                receiving.stalled = true;
                self.check(false, core, &|_| "waiting for the delegate to take the body".into())?;
                return Ok(Flow::Stay(Step::Body(receiving), Pause::Answer));
            }
            if std::mem::take(&mut receiving.stalled) {
                self.clock.touch();
            }
            let received = self.receive_some(&mut receiving, patience, core);
            if core.is_settled() {
                return Err(Error::cancelled());
            }
            let body = received?;
            self.count_received(&mut receiving, core);
            match body {
                Body::Piece | Body::Framing => {
                    let now = self.clock.progress();
                    if receiving.ended {
                        continue;
                    }
                    // Data that comes without a pause is no reason to go on for ever.
                    self.clock
                        .check_moving(now, &|| format!("receiving the body from {}", self.authority(core)))?;
                    let enough = match mode {
                        Mode::Parking => receiving.incoming.body_received() - begin > TURN,
                        Mode::Blocking { until } => until.is_some_and(|until| now >= until),
                    };
                    if enough {
                        return Ok(Flow::Stay(Step::Body(receiving), Pause::Yield));
                    }
                    if core.is_suspended() || receiving.is_for_reader(core) {
                        return Ok(Flow::Go(Step::Body(receiving)));
                    }
                }
                Body::End => {}
                Body::Nothing => {
                    if self.was_suspended(core) {
                        return Ok(Flow::Go(Step::Body(receiving)));
                    }
                    // While the user's code has nothing to send the peer may have nothing to say.
                    let pause = receiving.incoming.pause();
                    let idle = !receiving.is_starved() && !matches!(pause, Pause::Answer);
                    self.check(idle, core, &|loader| {
                        format!("receiving the body from {}", loader.authority(core))
                    })?;
                    receiving.incoming.rest();
                    return Ok(Flow::Stay(Step::Body(receiving), pause));
                }
            }
        }
    }

    /// Receives once, and passes on what came.
    fn receive_some(
        &mut self,
        receiving: &mut Receiving,
        patience: Patience,
        core: &Arc<TaskCore>,
    ) -> Result<Body> {
        match &receiving.sink {
            Sink::Memory => receiving.collect(patience),
            Sink::Delegate(events) => {
                let events = Arc::clone(events);
                let (body, piece) = receiving.piece(patience)?;
                if !piece.is_empty() {
                    core.tell_data(events, piece, receiving.limit);
                }
                Ok(body)
            }
            Sink::File(_) => match self.download.as_mut().and_then(|download| download.partial()) {
                Some(partial) => receiving.store(partial, patience),
                None => Err(Error::new(ErrorKind::Unknown, "a download without a file")),
            },
            Sink::Part => match self.segment.as_mut() {
                Some(segment) => receiving.store_part(segment, patience, core),
                None => Err(Error::new(ErrorKind::Unknown, "a part of nothing")),
            },
        }
    }

    /// Reads for the reader of the body.
    pub(super) fn read_body(
        &mut self,
        core: &Arc<TaskCore>,
        buffer: &mut [u8],
        mode: Mode,
    ) -> Result<ReadStep> {
        let Step::Body(mut receiving) = std::mem::replace(&mut self.step, Step::Over) else {
            return Err(Error::new(ErrorKind::Unknown, "there is no body to read"));
        };
        if let Some((socket, _)) = receiving.incoming.source() {
            self.interruptible(core, mode, socket)?;
        }
        // The idle time begins with the read, not anew each time that it is taken up again.
        if !std::mem::replace(&mut receiving.reading, true) {
            self.clock.touch();
        }
        loop {
            let sending = match receiving.incoming.exchange() {
                Some(exchange) => self.send_on(exchange, core)?,
                None => false,
            };
            if !receiving.ended {
                self.clock.check_moving(self.clock.progress(), &|| {
                    format!("receiving the body from {}", self.authority(core))
                })?;
                let patience = if sending { Patience::Never } else { self.clock.patience(mode) };
                let (body, count) = receiving.read(buffer, patience)?;
                if core.is_settled() {
                    return Err(Error::cancelled());
                }
                self.count_received(&mut receiving, core);
                if count > 0 {
                    // What may be left is an end of the framing, which nobody may come for.
                    let sending = receiving.incoming.exchange().is_some_and(|exchange| exchange.is_sending());
                    if receiving.is_taken() && !sending {
                        let head = Arc::clone(&receiving.head);
                        let verified = receiving.verify();
                        self.finish(*receiving, core);
                        // The reader gets all there is, and an error in place of the end.
                        let outcome = match verified {
                            Ok(()) => without_body(head),
                            Err(error) => Err(self.describe(core, error)),
                        };
                        return Ok(ReadStep::Last(count, outcome));
                    }
                    receiving.reading = false;
                    self.step = Step::Body(receiving);
                    return Ok(ReadStep::Bytes(count));
                }
                if body == Body::Nothing {
                    if self.was_suspended(core) {
                        self.step = Step::Body(receiving);
                        return Ok(ReadStep::Wait(None));
                    }
                    // While the user's code has nothing to send the peer may have nothing to say.
                    let pause = receiving.incoming.pause();
                    let idle = !receiving.is_starved() && !matches!(pause, Pause::Answer);
                    self.check(idle, core, &|loader| {
                        format!("receiving the body from {}", loader.authority(core))
                    })?;
                    receiving.incoming.rest();
                    let step = self.wait_in_read(&receiving);
                    self.step = Step::Body(receiving);
                    return Ok(step);
                }
                continue;
            }
            if sending && self.waits_to_send(&mut receiving) {
                let step = self.wait_in_read(&receiving);
                self.step = Step::Body(receiving);
                return Ok(step);
            }
            let head = Arc::clone(&receiving.head);
            let verified = receiving.verify();
            self.finish(*receiving, core);
            verified?;
            return Ok(ReadStep::Done(without_body(head)));
        }
    }

    fn wait_in_read(&self, receiving: &Receiving) -> ReadStep {
        match receiving.incoming.pause() {
            Pause::Io => ReadStep::Park(self.clock.deadline(true)),
            Pause::Listen { idle } => ReadStep::Listen(self.clock.deadline(idle)),
            Pause::Answer => ReadStep::Wait(self.clock.deadline(false)),
            _ => ReadStep::Wait(self.clock.deadline(true)),
        }
    }

    /// All of the body was received and the request is not out. A server that keeps the connection
    /// wants the rest of it; but one that does not take it in time does not make a failure of what
    /// it has answered.
    fn waits_to_send(&mut self, receiving: &mut Receiving) -> bool {
        let waits = receiving.incoming.exchange().is_some_and(|exchange| exchange.persistent)
            && self.clock.check(true, &String::new).is_ok();
        if !waits {
            if let Some(exchange) = receiving.incoming.exchange() {
                exchange.abandon_body();
            }
        }
        waits
    }

    /// All of the body was received.
    fn received(&mut self, mut receiving: Receiving, core: &Arc<TaskCore>) -> Result<Flow> {
        let head = Arc::clone(&receiving.head);
        let collected = std::mem::take(&mut receiving.collected);
        let sink = std::mem::replace(&mut receiving.sink, Sink::Memory);
        let verified = receiving.verify();
        self.finish(receiving, core);
        if let Err(error) = verified {
            self.discard_download();
            return Err(error);
        }
        match sink {
            Sink::Memory => Ok(Flow::Done(Response::new(head, Content::Bytes(collected.into())))),
            Sink::Delegate(_) => Ok(Flow::Go(Step::Delivering(head))),
            Sink::File(_) => self.finish_download(head, core),
            Sink::Part => self.part_received(core),
        }
    }

    /// Waits until the delegate has what was received.
    pub(super) fn deliver(&mut self, head: Arc<ResponseHead>, core: &Arc<TaskCore>) -> Result<Flow> {
        if core.undelivered() > 0 {
            self.check(false, core, &|_| "waiting for the delegate to take the body".into())?;
            return Ok(Flow::Stay(Step::Delivering(head), Pause::Answer));
        }
        Ok(Flow::Done(Response::new(head, Content::Bytes(core.take_collected().into()))))
    }

    fn count_received(&mut self, receiving: &mut Receiving, core: &Arc<TaskCore>) {
        // What came with the head has its time already.
        if receiving.incoming.take_received() {
            self.clock.touch();
        }
        if matches!(receiving.sink, Sink::Part) {
            return self.part_progress(core);
        }
        let received = receiving.incoming.body_received();
        let more = core.counts.set_received(received);
        if let Sink::File(Some(events)) = &receiving.sink {
            core.tell_written(events);
        }
        // The end is told by itself.
        if more && !receiving.ended {
            core.moved(self.clock.progress());
        }
    }

    /// The connection goes back, before anybody learns that the task is over.
    fn finish(&mut self, mut receiving: Receiving, core: &Arc<TaskCore>) {
        let now = self.clock.progress();
        if let Some(transaction) = self.measure() {
            transaction.response_end = Some(now);
            transaction.response_body_bytes = receiving.incoming.body_received();
            transaction.response_body_bytes_decoded = receiving.decoded;
        }
        if let Some(trailers) = receiving.incoming.take_trailers() {
            let _ = receiving.head.trailers.set(trailers);
        }
        self.uninterruptible(core);
        // Who cancelled just before has shut the connection down.
        receiving.incoming.finish(!core.is_settled(), now);
    }
}

impl Receiving {
    /// Whether the user's code has nothing to send just now, or something to decide, and is waited for.
    fn is_starved(&self) -> bool {
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
    fn take(&mut self, count: usize) {
        if let Some(integrity) = self.integrity.as_mut() {
            integrity.update(self.incoming.piece().get(..count).unwrap_or_default());
        }
        self.incoming.take(count);
    }

    /// What was received straight to where things are collected, from `begin` on.
    fn hash(&mut self, begin: usize) {
        if let Some(integrity) = self.integrity.as_mut() {
            integrity.update(self.collected.get(begin..).unwrap_or_default());
        }
    }

    /// All of it was received: is it what it was said to be?
    fn verify(&mut self) -> Result<()> {
        self.integrity.take().map_or(Ok(()), Integrity::verify)
    }

    fn is_for_reader(&self, core: &Arc<TaskCore>) -> bool {
        matches!(self.sink, Sink::Memory) && core.is_streaming()
    }

    /// Collects what there is in memory.
    fn collect(&mut self, patience: Patience) -> Result<Body> {
        if self.decoder.is_none() {
            if let Some(whole) = self.incoming.take_whole() {
                self.decoded += whole.len() as u64;
                self.collected = whole.into();
                self.hash(0);
                self.ended = true;
                return Ok(Body::Piece);
            }
            let direct = self.incoming.direct();
            if direct > 0 {
                self.reserve(direct)?;
                let before = self.collected.len();
                let (body, _) = self.incoming.receive_vec(&mut self.collected, patience)?;
                self.hash(before);
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
    fn store(&mut self, partial: &mut Partial, patience: Patience) -> Result<Body> {
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
    fn store_part(&mut self, segment: &mut Segment, patience: Patience, core: &TaskCore) -> Result<Body> {
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
            self.hash(begin);
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
    fn piece(&mut self, patience: Patience) -> Result<(Body, Bytes)> {
        let mut target = Vec::new();
        if self.decoder.is_none() && self.incoming.direct() > 0 {
            let room = self.incoming.direct().min(PIECE as u64);
            target.reserve_exact(usize::try_from(room).unwrap_or(PIECE));
            let (body, _) = self.incoming.receive_vec(&mut target, patience)?;
            if let Some(integrity) = self.integrity.as_mut() {
                integrity.update(&target);
            }
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
    fn is_taken(&self) -> bool {
        self.ended && self.taken == self.collected.len()
    }

    /// Reads for the reader.
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
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
            if let Some(integrity) = self.integrity.as_mut() {
                integrity.update(buffer.get(..count).unwrap_or_default());
            }
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
