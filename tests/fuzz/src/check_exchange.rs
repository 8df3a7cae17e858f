use crate::body::Source;
use crate::error::{Error, ErrorKind};
use crate::http1::framing::{Framing, MessageFraming, Persistence, framing};
use crate::http1::head::{Limits, ParsedHead};
use crate::library::exchange::http1::{Body, Exchange, Head};
use crate::library::exchange::outgoing::{Outgoing, Sending};
use crate::pieces::Sizes;
use crate::proto::coding::Decoder;
use crate::sys::{Patience, Splice};
use crate::wire::{End, Fate, Script, connect};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, StatusCode};
use std::time::Instant;

/// Enough to see every path, and not so much that a bomb eats the time of the run.
const MOST: usize = 1 << 20;
/// As many as the library takes.
const MAX_INTERIM: usize = 32;

const LIMITS: Limits = Limits { max_head_bytes: 2048, max_headers: 70 };

/// How the body is received.
#[derive(Clone, Copy)]
enum Way {
    Pieces,
    Vec,
    Slice(usize),
    File,
}

/// What came of an exchange.
#[derive(Debug)]
struct Outcome {
    head: Option<ParsedHead>,
    framing: Option<Framing>,
    /// Bytes of the body, and what they decode to.
    received: u64,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// Why it ended: `None` if it waits for ever, or the body was too long to go on.
    result: Option<Result<(), ErrorKind>>,
    too_long: bool,
    fate: Fate,
}

/// A response is the same however it comes: in one piece or in many, straight to its place or
/// through the buffer, with waiting in between. And its connection is used again only if the
/// response was well-formed, complete, and all there was.
pub fn exchange(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let Some((sizes, wire)) = Sizes::split(rest) else { return };
    let method = if how & 1 == 0 { Method::GET } else { Method::HEAD };
    let end = match how >> 1 & 3 {
        0 | 3 => End::Clean,
        1 => End::Unclean,
        _ => End::Silence,
    };
    let script = |sizes, surplus| Script { wire: wire.to_vec(), end, sizes, surplus };
    let whole = run(&method, script(None, false), Way::Pieces);
    check(&whole, &method, wire, end);
    let way = match how >> 3 & 3 {
        _ if how & 64 != 0 => Way::File,
        0 => Way::Pieces,
        1 => Way::Vec,
        2 => Way::Slice(7),
        _ => Way::Slice(4096),
    };
    let split = run(&method, script(Some(sizes), how & 32 != 0), way);
    compare(&whole, &split, end);
    // All of it is there at any time, so what is left over is seen.
    let direct = run(&method, script(None, how & 32 != 0), way);
    check(&direct, &method, wire, end);
    compare(&whole, &direct, end);
}

fn check(outcome: &Outcome, method: &Method, wire: &[u8], end: End) {
    if outcome.fate != Fate::Closed {
        assert_eq!(outcome.fate, Fate::Kept { leftover: 0 }, "what is left over belongs to nothing");
        assert_eq!(outcome.result, Some(Ok(())));
        assert_ne!(outcome.framing, Some(Framing::UntilClose));
    }
    let complete = outcome.result == Some(Ok(()));
    match outcome.framing {
        Some(Framing::Length(length)) if complete => assert_eq!(outcome.received, length),
        Some(Framing::None) => assert_eq!(outcome.received, 0),
        Some(Framing::UntilClose) if complete => assert!(end == End::Clean && !outcome.too_long),
        _ => {}
    }
    if *method == Method::HEAD {
        assert!(outcome.body.is_empty());
    }
    assert!(outcome.received <= wire.len() as u64);
}

fn compare(whole: &Outcome, split: &Outcome, end: End) {
    let both = || format!("in one piece {whole:?}, otherwise {split:?}");
    assert_eq!(whole.head.is_some(), split.head.is_some(), "{}", both());
    if let (Some(whole), Some(split)) = (&whole.head, &split.head) {
        assert_eq!((whole.version, whole.status), (split.version, split.status));
        assert_eq!(whole.headers, split.headers);
    }
    assert_eq!(whole.framing, split.framing);
    if whole.too_long || split.too_long {
        return;
    }
    // Whether what there is of a head is malformed already is not looked at after each piece.
    if whole.head.is_none() && (whole.result.is_none() || split.result.is_none()) {
        return;
    }
    assert_eq!(whole.result, split.result, "{}", both());
    if whole.result == Some(Ok(())) {
        assert_eq!(whole.received, split.received);
        assert_eq!(whole.body, split.body);
        assert_eq!(whole.trailers, split.trailers);
        match (whole.fate, split.fate) {
            // Who has to look sees that the peer has closed.
            (Fate::Kept { .. }, Fate::Closed) => assert_ne!(end, End::Silence, "{}", both()),
            // What is left over comes later; the next one to look finds it.
            (Fate::Closed, Fate::Kept { leftover }) => assert!(leftover > 0, "{}", both()),
            (_, Fate::Kept { leftover }) => assert_eq!(leftover, 0),
            (Fate::Closed, Fate::Closed) => {}
        }
    } else {
        let shared = whole.body.len().min(split.body.len());
        assert_eq!(whole.body[..shared], split.body[..shared]);
        assert_eq!(split.fate, Fate::Closed);
    }
}

/// One exchange, as the loader carries it on.
fn run(method: &Method, script: Script, way: Way) -> Outcome {
    let (connection, permit, fate) = connect(script);
    let head = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec();
    let request = Outgoing::new(head, Source::default());
    let mut exchange = Exchange::new(connection, permit, request, false, LIMITS);
    let mut outcome = Outcome {
        head: None,
        framing: None,
        received: 0,
        body: Vec::new(),
        trailers: None,
        result: None,
        too_long: false,
        fate: Fate::Closed,
    };
    let result = converse(&mut exchange, method, way, &mut outcome);
    outcome.received = exchange.body_received();
    let connection = exchange.connection();
    assert!(connection.held <= LIMITS.max_head_bytes + 64 * 1024, "{} bytes were held", connection.held);
    outcome.trailers = exchange.take_trailers();
    match result {
        Ok(true) => {
            outcome.result = Some(Ok(()));
            exchange.finish(Instant::now());
        }
        // It waits for ever, or is given up.
        Ok(false) => drop(exchange),
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 500 && !message.contains(|c: char| c.is_control()), "{message:?}");
            outcome.result = Some(Err(error.kind()));
            drop(exchange);
        }
    }
    outcome.fate = fate.get();
    outcome
}

/// True when the response is complete, false when it never will be.
fn converse(
    exchange: &mut Exchange,
    method: &Method,
    way: Way,
    outcome: &mut Outcome,
) -> Result<bool, Error> {
    while exchange.send()? != Sending::Complete {}
    let mut interim = 0;
    let head = loop {
        match exchange.receive_head(Patience::Never)? {
            Head::Complete(head, _) if head.is_interim() => {
                interim += 1;
                if interim > MAX_INTERIM {
                    return Err(Error::new(ErrorKind::CannotParseResponse, "too many interim responses"));
                }
            }
            Head::Complete(head, length) => {
                assert!(length <= LIMITS.max_head_bytes);
                break head;
            }
            Head::Some => {}
            Head::Nothing if exchange.connection().is_silent() => return Ok(false),
            Head::Nothing => exchange.rest(),
        }
    };
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::new(ErrorKind::BadServerResponse, "not asked to"));
    }
    let MessageFraming { framing, persistence, coding } = framing(method, &head)?;
    if coding.is_some() {
        return Err(Error::new(ErrorKind::BadServerResponse, "not asked to"));
    }
    outcome.framing = Some(framing);
    exchange.begin_body(framing, persistence == Persistence::KeepAlive);
    let encodings = head.headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes());
    let decoder = if framing == Framing::None { Ok(None) } else { Decoder::for_encoding(encodings) };
    outcome.head = Some(head);
    receive(exchange, decoder?, way, outcome)
}

fn receive(
    exchange: &mut Exchange,
    mut decoder: Option<Decoder>,
    way: Way,
    outcome: &mut Outcome,
) -> Result<bool, Error> {
    let mut room = vec![0; if let Way::Slice(size) = way { size } else { 512 }];
    loop {
        if outcome.body.len() > MOST {
            outcome.too_long = true;
            return Ok(false);
        }
        let body = match (&decoder, way) {
            (None, Way::Vec) if exchange.direct() > 0 => {
                exchange.receive_vec(&mut outcome.body, Patience::Never)?.0
            }
            (None, Way::File) if exchange.direct() > 0 && exchange.is_plain() => {
                let body = &mut outcome.body;
                let drain = &mut |splice: &mut Splice| {
                    body.append(&mut splice.0);
                    Ok(())
                };
                exchange.receive_file(Patience::Never, drain)?.0
            }
            (None, Way::Slice(_)) if exchange.direct() > 0 => {
                let (body, count) = exchange.receive_slice(&mut room, Patience::Never)?;
                outcome.body.extend_from_slice(&room[..count]);
                body
            }
            _ => {
                let body = exchange.receive_piece(Patience::Never)?;
                take(exchange, &mut decoder, &mut room, outcome)?;
                body
            }
        };
        match body {
            Body::Framing => {}
            Body::Piece if !exchange.is_done() => {}
            Body::Piece | Body::End => {
                take(exchange, &mut decoder, &mut room, outcome)?;
                if outcome.too_long {
                    return Ok(false);
                }
                if let Some(decoder) = decoder.as_mut() {
                    decoder.finish()?;
                }
                return Ok(true);
            }
            Body::Nothing if exchange.connection().is_silent() => return Ok(false),
            Body::Nothing => exchange.rest(),
        }
    }
}

/// Takes what there is of the piece, and decodes it.
fn take(
    exchange: &mut Exchange,
    decoder: &mut Option<Decoder>,
    room: &mut [u8],
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Some(decoder) = decoder else {
        outcome.body.extend_from_slice(exchange.piece());
        exchange.take(exchange.piece().len());
        return Ok(());
    };
    loop {
        let progress = decoder.decode(exchange.piece(), room)?;
        outcome.body.extend_from_slice(&room[..progress.produced]);
        exchange.take(progress.consumed);
        outcome.too_long |= outcome.body.len() > MOST;
        if !progress.pending || outcome.too_long {
            assert!(outcome.too_long || exchange.piece().is_empty(), "input is left and nothing pends");
            return Ok(());
        }
    }
}
