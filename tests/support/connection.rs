//! The life of one connection: handshake, request, reply with its faults, next request.

use super::builder::{Admission, Service};
use super::plan::{Plan, Step};
use super::shared::Shared;
use super::tls::Handshake;
use super::wire::Wire;
use super::worker::Stop;
use super::{Fault, Gate, Received, Reply, lock};
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Below this, what goes out together goes out in one write, as from a server that buffers.
const ONE_WRITE: usize = 64 * 1024;

/// Serves a connection until it ends. The socket closes when the caller drops the wire.
pub(super) fn serve(service: &Service, shared: &Arc<Shared>, wire: &Arc<Mutex<Wire>>, connection: usize) {
    match (service.admission)(connection) {
        Admission::Serve => {}
        Admission::Close => return,
        Admission::Reset => return lock(wire).reset_on_close(),
        Admission::Stall => return lock(wire).wait_for_hangup(),
    }
    if !shake_hands(service, shared, wire, connection) {
        return lock(wire).drain_before_close();
    }
    if let Some(raw) = &service.raw {
        let mut wire = lock(wire);
        raw(&mut wire, connection);
        wire.finish();
        return;
    }
    for index in 0.. {
        let request = match Received::read(wire, shared, connection, index) {
            Ok(Some(request)) => Arc::new(request),
            Ok(None) => break,
            Err(error) => return refuse(shared, wire, &error),
        };
        if !service.answers_expectations {
            request.skip_continue();
        }
        shared.update(|state| state.requests.push(request.clone()));
        request.settle_if_empty();
        let reply = (service.handler)(&request);
        let mut wire = lock(wire);
        match exchange(&mut wire, &request, &reply, &shared.stop) {
            Ok(Next::Request) => {}
            Ok(Next::Finish) => {
                wire.finish();
                return wire.drain_before_close();
            }
            Ok(Next::Truncate) => {
                wire.truncate();
                return wire.drain_before_close();
            }
            Ok(Next::Reset) => return wire.reset_on_close(),
            Ok(Next::Drop) | Err(_) => return,
        }
    }
    lock(wire).finish();
}

/// How a connection goes on after an exchange.
enum Next {
    Request,
    Finish,
    Truncate,
    Reset,
    Drop,
}

fn shake_hands(service: &Service, shared: &Shared, wire: &Mutex<Wire>, connection: usize) -> bool {
    if !service.handshake_gate.as_ref().is_none_or(|gate| gate.pass()) {
        return false;
    }
    let Some(config) = &service.tls else { return true };
    let mut wire = lock(wire);
    let started = match rustls::ServerConnection::new(config.clone()) {
        Ok(tls) => wire.start_tls(tls),
        Err(error) => Err(io::Error::other(error)),
    };
    match started {
        Ok(()) => {
            let handshake = wire.tls().map(|tls| Handshake::of(connection, tls));
            shared.update(|state| state.handshakes.extend(handshake));
            true
        }
        Err(error) => {
            shared.update(|state| state.failed_handshakes.push(error.to_string()));
            wire.truncate();
            false
        }
    }
}

fn refuse(shared: &Shared, wire: &Mutex<Wire>, error: &str) {
    shared.update(|state| state.protocol_errors.push(error.to_owned()));
    let mut wire = lock(wire);
    let reply = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{error}", error.len());
    let _ = wire.write_all(reply.as_bytes());
    wire.finish();
    wire.drain_before_close();
}

/// What happens within the body of a request.
enum Halt {
    Gate(Gate),
    Reset,
    Reply,
}

fn exchange(wire: &mut Wire, request: &Received, reply: &Reply, stop: &Stop) -> io::Result<Next> {
    if !reply.answers_expectation {
        request.skip_continue();
    }
    let refused = reply.faults.iter().any(|fault| matches!(fault, Fault::RefuseRead));
    let mut plan = Plan::new(reply, request);
    let mut sent = false;
    for (after, halt) in halts(reply) {
        // A reply that is sent before anything is read is sent before `100 Continue` is.
        let reads = after > 0 || !matches!(halt, Halt::Reply);
        if reads && request.read_body(wire, after).is_err() {
            return Ok(Next::Drop);
        }
        if request.received_length() < after {
            break;
        }
        match halt {
            Halt::Gate(gate) if gate.pass() => {}
            Halt::Gate(_) => {
                request.give_up();
                return Ok(Next::Drop);
            }
            Halt::Reset => {
                request.give_up();
                return Ok(Next::Reset);
            }
            Halt::Reply => {
                if refused {
                    request.give_up();
                }
                if let Some(next) = answer(wire, request, &plan, stop)? {
                    return Ok(next);
                }
                sent = true;
                if reply.faults.iter().any(|fault| matches!(fault, Fault::CloseUnread)) {
                    request.give_up();
                    return Ok(Next::Drop);
                }
                if !plan.keep_open && !refused && plan.takeover.is_none() {
                    wire.finish();
                }
            }
        }
    }
    if refused {
        request.give_up();
        wire.wait_for_hangup();
        return Ok(Next::Drop);
    }
    // A client that was answered early may keep the rest of its body for itself and close.
    let is_left_unread = sent && plan.takeover.is_some();
    if !is_left_unread && (request.read_body(wire, u64::MAX).is_err() || !request.is_complete()) {
        return Ok(Next::Drop);
    }
    if !sent {
        if let Some(next) = answer(wire, request, &plan, stop)? {
            return Ok(next);
        }
    }
    request.give_up();
    if let Some(takeover) = plan.takeover.take() {
        (takeover.0)(wire);
        return Ok(Next::Finish);
    }
    Ok(if plan.keep_open { Next::Request } else { Next::Finish })
}

/// What happens within the body of a request, and after how many bytes of it, in that order.
fn halts(reply: &Reply) -> Vec<(u64, Halt)> {
    let mut halts: Vec<_> = reply.early_after.map(|after| (after, Halt::Reply)).into_iter().collect();
    halts.extend(reply.faults.iter().filter_map(|fault| match fault {
        Fault::GateRead(after, gate) => Some((*after, Halt::Gate(gate.clone()))),
        Fault::ResetRead(after) => Some((*after, Halt::Reset)),
        _ => None,
    }));
    halts.sort_by_key(|(after, _)| *after);
    halts
}

/// Sends the reply; no more of the body is read when a fault or an error ended it.
fn answer(wire: &mut Wire, request: &Received, plan: &Plan, stop: &Stop) -> io::Result<Option<Next>> {
    let sent = send(wire, plan, stop);
    if !matches!(sent, Ok(None)) {
        request.give_up();
    }
    sent
}

/// Sends a reply; `Some` when a fault ended it.
fn send(wire: &mut Wire, plan: &Plan, stop: &Stop) -> io::Result<Option<Next>> {
    wire.write_all(&plan.before)?;
    let mut sent = 0;
    for (offset, step) in &plan.steps {
        write_range(wire, plan, sent, *offset, stop)?;
        sent = *offset;
        let goes_on = match step {
            Step::Split => true,
            Step::Delay(time) => stop.sleep(*time),
            Step::Gate(gate) => gate.pass(),
            Step::Reset => return Ok(Some(Next::Reset)),
            Step::Close => return Ok(Some(Next::Finish)),
            Step::Truncate => return Ok(Some(Next::Truncate)),
            Step::Stall => {
                wire.wait_for_hangup();
                false
            }
        };
        if !goes_on {
            return Ok(Some(Next::Drop));
        }
    }
    write_range(wire, plan, sent, usize::MAX, stop)?;
    wire.flush()?;
    Ok(None)
}

/// Writes the bytes from `from` to `to`.
fn write_range(wire: &mut Wire, plan: &Plan, from: usize, to: usize, stop: &Stop) -> io::Result<()> {
    let mut offset = 0;
    let mut pieces: Vec<Bytes> = Vec::new();
    for segment in &plan.segments {
        let start = from.clamp(offset, offset + segment.len());
        let end = to.clamp(start, offset + segment.len());
        if start < end {
            pieces.push(segment.slice(start - offset..end - offset));
        }
        offset += segment.len();
    }
    let Some((size, pause)) = plan.drip else {
        if pieces.iter().map(Bytes::len).sum::<usize>() <= ONE_WRITE {
            return wire.write_all(&pieces.concat());
        }
        return pieces.iter().try_for_each(|piece| wire.write_all(piece));
    };
    drip(wire, &pieces.concat(), size, pause, stop)
}

fn drip(wire: &mut Wire, bytes: &[u8], size: usize, pause: Duration, stop: &Stop) -> io::Result<()> {
    for (count, piece) in bytes.chunks(size).enumerate() {
        if count > 0 && !pause.is_zero() && !stop.sleep(pause) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        wire.write_all(piece)?;
    }
    Ok(())
}
