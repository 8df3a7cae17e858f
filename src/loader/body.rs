//! The response is there: the delegate's say, its body to memory, to the delegate or to a reader,
//! decoded, and the end.

use super::caching::Told;
use super::incoming::Incoming;
use super::receiving::{Receiving, Sink};
use super::{Answer, Flow, Loader, Pause, Step, without_body};
use crate::disposition::ResponseDisposition;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Body;
use crate::head::ResponseHead;
use crate::proto::coding::Decoder;
use crate::response::{Content, Response};
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::{Mode, ReadStep, TaskCore};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

/// How much a worker receives before others have a turn.
const TURN: u64 = 1024 * 1024;
/// How much may be on its way to the delegate.
const UNDELIVERED: usize = 256 * 1024;

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
        let tee = match &sink {
            Sink::Memory if decoder.is_none() => self.begin_storing(Told::Whole),
            Sink::Memory => self.begin_storing(Told::Pieces),
            Sink::Delegate(_) => self.begin_storing(Told::Shown),
            // A file has its own copy.
            Sink::File(_) | Sink::Part => None,
        };
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
            tee,
            collected: Vec::new(),
            whole: None,
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
                    receiving.tee = None;
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
                return self.received(receiving, core);
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
                    if let Some(tee) = receiving.tee.as_mut() {
                        tee.show(&piece);
                    }
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
        if let Some(tee) = receiving.tee.as_mut() {
            tee.tell_pieces(&receiving.collected);
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
                        let tee = receiving.tee.take().filter(|_| verified.is_ok());
                        self.finish(receiving, core);
                        self.finish_storing(tee, core);
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
            let tee = receiving.tee.take();
            self.finish(receiving, core);
            verified?;
            self.finish_storing(tee, core);
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
    fn received(&mut self, mut receiving: Box<Receiving>, core: &Arc<TaskCore>) -> Result<Flow> {
        let head = Arc::clone(&receiving.head);
        let (mut collected, whole) = (std::mem::take(&mut receiving.collected), receiving.whole.take());
        let sink = std::mem::replace(&mut receiving.sink, Sink::Memory);
        let verified = receiving.verify();
        let tee = receiving.tee.take();
        self.finish(receiving, core);
        if let Err(error) = verified {
            self.discard_download();
            return Err(error);
        }
        match sink {
            Sink::Memory => {
                if tee.is_some() {
                    // What is stored is counted without the room that is left in it.
                    collected.shrink_to_fit();
                }
                let body = whole.unwrap_or_else(|| collected.into());
                self.finish_storing_whole(tee, &body, core);
                Ok(Flow::Done(Response::new(head, Content::Bytes(body))))
            }
            Sink::Delegate(_) => {
                self.store_when_delivered(tee);
                Ok(Flow::Go(Step::Delivering(head)))
            }
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
        if let Some(step) = self.ask_before_storing(&head, core) {
            return Ok(Flow::Go(step));
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
    fn finish(&mut self, mut receiving: Box<Receiving>, core: &Arc<TaskCore>) {
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
