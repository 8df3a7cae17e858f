//! A reply worked out: the bytes that go over the wire, and what is to happen between which of them.

use super::reply::{Afterwards, Body, Head, Takeover};
use super::{At, Fault, Gate, Received, Reply, pattern};
use bytes::Bytes;
use std::fmt::Write;
use std::time::Duration;

/// What to send, and where to stop on the way.
pub(super) struct Plan {
    /// The informational heads, sent before anything is counted.
    pub(super) before: Bytes,
    pub(super) segments: Vec<Bytes>,
    /// In order of their offsets into the segments.
    pub(super) steps: Vec<(usize, Step)>,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) keep_open: bool,
    pub(super) takeover: Option<Takeover>,
}

pub(super) enum Step {
    Split,
    Delay(Duration),
    Gate(Gate),
    Reset,
    Close,
    Truncate,
    Stall,
}

impl Plan {
    pub(super) fn new(reply: &Reply, request: &Received) -> Plan {
        let (head, body) = wire_form(reply, request);
        let head_end = head.len();
        let end = head_end + body.iter().map(Bytes::len).sum::<usize>();
        let mut segments = vec![head];
        segments.extend(body);

        let place = |at: At| match at {
            At::BeforeHead => 0,
            At::InHead(count) => count.min(head_end),
            At::BeforeBody => head_end,
            At::After(count) => head_end.saturating_add(count).min(end),
            At::End => end,
        };
        let mut steps = Vec::new();
        let mut drip = None;
        let mut keep_open = keeps_open(reply, request);
        for fault in &reply.faults {
            match fault {
                Fault::ResetAfter(count) => steps.push((place(At::After(*count)), Step::Reset)),
                Fault::ResetAt(at) => steps.push((place(*at), Step::Reset)),
                Fault::CloseAfter(count) => steps.push((place(At::After(*count)), Step::Close)),
                Fault::CloseAt(at) => steps.push((place(*at), Step::Close)),
                Fault::TruncateTls(count) => steps.push((place(At::After(*count)), Step::Truncate)),
                Fault::Stall => steps.push((0, Step::Stall)),
                Fault::StallAt(at) => steps.push((place(*at), Step::Stall)),
                Fault::Delay { at, time } => steps.push((place(*at), Step::Delay(*time))),
                Fault::Gate(gate) => steps.push((0, Step::Gate(gate.clone()))),
                Fault::GateAt(at, gate) => steps.push((place(*at), Step::Gate(gate.clone()))),
                Fault::Split(places) => steps.extend(places.iter().map(|at| (place(*at), Step::Split))),
                Fault::Drip { bytes_at_a_time, every } => drip = Some(((*bytes_at_a_time).max(1), *every)),
                Fault::ExtraBytes(bytes) => segments.push(bytes.clone()),
                Fault::CloseIdleAfterReply => keep_open = false,
                Fault::WrongLength(said) => keep_open &= *said <= (end - head_end) as u64,
                // These concern the request.
                Fault::RefuseRead | Fault::GateRead(..) | Fault::ResetRead(_) | Fault::CloseUnread => {}
            }
        }
        steps.sort_by_key(|(offset, _)| *offset);
        let before = reply.informational.iter().map(|head| head_text(head, "HTTP/1.1")).collect::<String>();
        Plan { before: before.into(), segments, steps, drip, keep_open, takeover: reply.takeover.clone() }
    }
}

/// Head and body as they are sent.
fn wire_form(reply: &Reply, request: &Received) -> (Bytes, Vec<Bytes>) {
    let mut head = reply.head.clone();
    let mut add = |name: &str, value: String| {
        if !head.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            head.headers.push((name.to_owned(), value));
        }
    };
    let wrong = reply.faults.iter().rev().find_map(|fault| match fault {
        Fault::WrongLength(said) => Some(*said),
        _ => None,
    });
    if let Some(said) = wrong {
        add("Content-Length", said.to_string());
    }
    let connect = request.method == "CONNECT" && (200..300).contains(&reply.head.status);
    let bodiless = connect || matches!(reply.head.status, 100..=199 | 204 | 304);
    let body = match &reply.body {
        Body::Raw(bytes) => return (Bytes::new(), vec![bytes.clone()]),
        Body::Unsaid => vec![pattern(longest_need(&reply.faults)).into()],
        Body::UntilClose(body) => vec![body.clone()],
        Body::Sized(body) => {
            if !bodiless {
                add("Content-Length", body.len().to_string());
            }
            vec![body.clone()]
        }
        Body::Chunked(pieces, _) if reply.http10 => pieces.clone(),
        Body::Chunked(pieces, trailers) => {
            add("Transfer-Encoding", "chunked".to_owned());
            chunked(pieces, trailers)
        }
    };
    let body = if bodiless || request.method == "HEAD" { Vec::new() } else { body };
    let version = if reply.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    (head_text(&head, version).into(), body)
}

/// How much of a body the faults count on.
fn longest_need(faults: &[Fault]) -> usize {
    let of_place = |at: &At| match at {
        At::After(count) => *count,
        _ => 0,
    };
    let needs = faults.iter().map(|fault| match fault {
        Fault::ResetAfter(count) | Fault::CloseAfter(count) | Fault::TruncateTls(count) => *count,
        Fault::ResetAt(at) | Fault::CloseAt(at) | Fault::StallAt(at) => of_place(at),
        Fault::Delay { at, .. } | Fault::GateAt(at, _) => of_place(at),
        Fault::Split(places) => places.iter().map(of_place).max().unwrap_or(0),
        _ => 0,
    });
    needs.max().unwrap_or(0)
}

fn chunked(pieces: &[Bytes], trailers: &[(String, String)]) -> Vec<Bytes> {
    let mut wire = Vec::with_capacity(2 * pieces.len() + 1);
    let mut separator = "";
    for piece in pieces {
        wire.push(format!("{separator}{:x}\r\n", piece.len()).into());
        wire.push(piece.clone());
        separator = "\r\n";
    }
    let mut last = format!("{separator}0\r\n");
    for (name, value) in trailers {
        let _ = write!(last, "{name}: {value}\r\n");
    }
    last.push_str("\r\n");
    wire.push(last.into());
    wire
}

fn head_text(head: &Head, version: &str) -> String {
    let usual = http::StatusCode::from_u16(head.status).ok().and_then(|status| status.canonical_reason());
    let reason = head.reason.as_deref().or(usual).unwrap_or("Unnamed");
    let mut text = format!("{version} {} {reason}\r\n", head.status);
    for (name, value) in &head.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text
}

fn keeps_open(reply: &Reply, request: &Received) -> bool {
    let connection = |token: &str| {
        let same = reply.head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
        same.flat_map(|(_, value)| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    let framed = |name: &str| reply.head.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    match (reply.afterwards, &reply.body) {
        (Afterwards::KeepOpen, _) => true,
        (Afterwards::Close, _) | (_, Body::UntilClose(_)) => false,
        // Nothing but the end of the connection says where such a body ends.
        (_, Body::Unsaid) if !framed("content-length") && !framed("transfer-encoding") => {
            matches!(reply.head.status, 100..=199 | 204 | 304) || request.method == "HEAD"
        }
        (_, Body::Chunked(..)) if reply.http10 => false,
        _ if connection("close") || !request.keeps_connection() => false,
        _ => !reply.http10 || connection("keep-alive"),
    }
}
