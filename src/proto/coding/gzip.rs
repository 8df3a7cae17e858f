//! The gzip coding (RFC 1952): members one after the other, each with a header, a deflate stream,
//! and a trailer with the checksum and the length of what it holds.
//!
//! ```text
//! Start ─▶ ExtraLength ─▶ Extra ─▶ Name ─▶ Comment ─▶ HeaderCheck ─▶ Body ─▶ Trailer ─▶ Between
//!   ▲          (what the flags say is not there is passed over)                            │ │
//!   └───────────────────────────────── another member ─────────────────────────────────────┘ ▼
//!                                                                                       Ignoring
//! ```

use super::deflate::inflate;
use super::output::Output;
use super::{Coding, Fault};
use flate2::{Crc, Decompress};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const HEADER_CHECK: u8 = 0x02;
const EXTRA: u8 = 0x04;
const NAME: u8 = 0x08;
const COMMENT: u8 = 0x10;
const RESERVED: u8 = 0xe0;

pub(super) struct Gzip {
    state: State,
    flags: u8,
    field: Field,
    header_crc: Crc,
    inflate: Decompress,
    crc: Crc,
    length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    ExtraLength,
    Extra(usize),
    Name,
    Comment,
    HeaderCheck,
    Body,
    Trailer,
    /// A member has ended; another may follow.
    Between,
    /// What follows is no member.
    Ignoring,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Gzip {
            state: State::Start,
            flags: 0,
            field: Field::default(),
            header_crc: Crc::new(),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            length: 0,
        }
    }

    /// The ten bytes that every member starts with.
    fn start(&mut self, header: &[u8; 10]) -> Result<(), Fault> {
        let [id1, id2, method, flags, ..] = *header;
        if [id1, id2] != MAGIC {
            return Err(Fault::Format("no gzip signature".into()));
        }
        if method != 8 || flags & RESERVED != 0 {
            return Err(Fault::Format("unknown gzip method or flags".into()));
        }
        self.flags = flags;
        self.header_crc.reset();
        self.header_crc.update(header);
        self.inflate.reset(false);
        self.crc.reset();
        self.length = 0;
        Ok(())
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Passes over a text that ends with a zero. Tells whether the zero was there.
    fn skip_text(&mut self, input: &mut &[u8]) -> bool {
        let end = input.iter().position(|byte| *byte == 0);
        let (text, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        self.header_crc.update(text);
        *input = rest;
        end.is_some()
    }
}

impl Coding for Gzip {
    fn name(&self) -> &'static str {
        "gzip"
    }

    fn decode(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
        loop {
            self.state = match self.state {
                State::Start => match self.field.gather::<10>(input) {
                    None => {
                        // What is not gzip at all should be known by its first bytes.
                        let have = self.field.have.min(MAGIC.len());
                        if self.field.bytes.get(..have) != MAGIC.get(..have) {
                            return Err(Fault::Format("no gzip signature".into()));
                        }
                        return Ok(());
                    }
                    Some(header) => {
                        self.start(&header)?;
                        State::ExtraLength
                    }
                },
                State::ExtraLength if !self.has(EXTRA) => State::Name,
                State::ExtraLength => match self.field.gather::<2>(input) {
                    None => return Ok(()),
                    Some(length) => {
                        self.header_crc.update(&length);
                        State::Extra(u16::from_le_bytes(length).into())
                    }
                },
                State::Extra(0) => State::Name,
                State::Extra(_) if input.is_empty() => return Ok(()),
                State::Extra(left) => {
                    let (extra, rest) = input.split_at(left.min(input.len()));
                    self.header_crc.update(extra);
                    *input = rest;
                    State::Extra(left - extra.len())
                }
                State::Name if !self.has(NAME) => State::Comment,
                State::Comment if !self.has(COMMENT) => State::HeaderCheck,
                text @ (State::Name | State::Comment) => match self.skip_text(input) {
                    false => return Ok(()),
                    true if text == State::Name => State::Comment,
                    true => State::HeaderCheck,
                },
                State::HeaderCheck if !self.has(HEADER_CHECK) => State::Body,
                State::HeaderCheck => match self.field.gather::<2>(input) {
                    None => return Ok(()),
                    Some(check) if self.header_crc.sum() & 0xffff == u32::from(u16::from_le_bytes(check)) => {
                        State::Body
                    }
                    Some(_) => return Err(Fault::Checksum),
                },
                State::Body => {
                    let mark = output.mark();
                    let ended = inflate(&mut self.inflate, input, output)?;
                    let decoded = output.since(mark);
                    self.crc.update(decoded);
                    self.length = self.length.wrapping_add(decoded.len() as u32);
                    if !ended {
                        return Ok(());
                    }
                    State::Trailer
                }
                State::Trailer => match self.field.gather::<8>(input) {
                    None => return Ok(()),
                    Some(trailer) if trailer == trailer_of(self.crc.sum(), self.length) => State::Between,
                    Some([a, b, c, d, ..]) if [a, b, c, d] != self.crc.sum().to_le_bytes() => {
                        return Err(Fault::Checksum);
                    }
                    Some(_) => return Err(Fault::Length),
                },
                State::Between => match self.field.peek::<2>(input) {
                    Some(MAGIC) => State::Start,
                    None if self.field.bytes.first() == MAGIC.first() || self.field.have == 0 => {
                        return Ok(());
                    }
                    _ => State::Ignoring,
                },
                State::Ignoring => {
                    *input = &[];
                    return Ok(());
                }
            };
        }
    }

    fn is_complete(&self) -> bool {
        matches!(self.state, State::Between | State::Ignoring)
    }
}

fn trailer_of(crc: u32, length: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (crc.to_le_bytes(), length.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

/// A field of fixed size, gathered from however small pieces.
#[derive(Default)]
struct Field {
    bytes: [u8; 10],
    have: usize,
}

impl Field {
    /// The field, once its `N` bytes are there; the next field starts empty.
    fn gather<const N: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        let field = self.peek::<N>(input)?;
        self.have = 0;
        Some(field)
    }

    /// The first `N` bytes of a field that will be gathered later.
    fn peek<const N: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        let wanted = N.saturating_sub(self.have).min(input.len());
        let (piece, rest) = input.split_at(wanted);
        if let Some(place) = self.bytes.get_mut(self.have..self.have + wanted) {
            place.copy_from_slice(piece);
        }
        self.have += wanted;
        *input = rest;
        if self.have < N { None } else { self.bytes.first_chunk::<N>().copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, decode_by, gzip};
    use super::*;

    /// A member with these flags and optional fields, around "hello".
    fn member(flags: u8, fields: &[u8]) -> Vec<u8> {
        let whole = gzip(b"hello");
        let mut body = whole[..10].to_vec();
        body[3] = flags;
        body.extend_from_slice(fields);
        body.extend_from_slice(&whole[10..]);
        body
    }

    fn fault(body: &[u8]) -> String {
        decode("gzip", body).expect_err("a bad body").to_string()
    }

    #[test]
    fn optional_fields_are_passed_over() {
        let mut fields = b"\x03\x00abcname\0comment\0".to_vec();
        let mut crc = Crc::new();
        crc.update(&member(EXTRA | NAME | COMMENT | HEADER_CHECK, &fields)[..10 + fields.len()]);
        fields.extend_from_slice(&crc.sum().to_le_bytes()[..2]);
        let body = member(EXTRA | NAME | COMMENT | HEADER_CHECK, &fields);
        assert_eq!(decode("gzip", &body).expect("a good body"), b"hello");
        assert_eq!(decode_by("gzip", &body, 1, 1).expect("a good body"), b"hello");
        assert_eq!(decode("gzip", &member(EXTRA, &[0, 0])).expect("an empty field"), b"hello");
        let mut body = body;
        body[15] ^= 1;
        assert!(fault(&body).contains("checksum"));
    }

    #[test]
    fn the_trailer_is_verified() {
        let body = gzip(b"hello");
        let wrong = |at: usize| {
            let mut body = body.clone();
            body[at] ^= 1;
            fault(&body)
        };
        assert!(wrong(body.len() - 8).contains("its checksum does not match"));
        assert!(wrong(body.len() - 1).contains("its length is not the one it states"));
    }

    #[test]
    fn what_follows_the_last_member_is_ignored() {
        let tails: [&[u8]; 6] = [b"\0", &[0; 100], b"garbage", b"\x1f", b"\x1f\x8c\x08\0\0", b"\n"];
        for tail in tails {
            let body = [gzip(b"hel"), gzip(b"lo"), tail.to_vec(), gzip(b" no member")].concat();
            let body = if tail == b"\x1f" { &body[..body.len() - gzip(b" no member").len()] } else { &body };
            assert_eq!(decode("gzip", body).expect("a good body"), b"hello", "{tail:?}");
            assert_eq!(decode_by("gzip", body, 1, 1).expect("a good body"), b"hello", "{tail:?}");
        }
    }

    #[test]
    fn what_is_not_gzip_is_told_at_once() {
        assert!(fault(b"<html>").contains("no gzip signature"));
        assert!(fault(b"<").contains("no gzip signature"));
        assert!(fault(&member(0x20, &[])).contains("unknown gzip method or flags"));
        assert!(fault(b"\x1f\x8b\x07\0\0\0\0\0\0\0").contains("unknown gzip method or flags"));
    }

    #[test]
    fn a_text_without_end_takes_no_memory() {
        let mut decoder = super::super::tests::decoder("gzip");
        decoder.decode(b"\x1f\x8b\x08\x08\0\0\0\0\0\0", &mut [0; 10]).expect("a good start");
        for _ in 0..1000 {
            let progress = decoder.decode(&[b'x'; 1000], &mut [0; 10]).expect("a long name");
            assert_eq!((progress.consumed, progress.pending), (1000, false));
        }
        assert!(decoder.finish().expect_err("no end").to_string().contains("1000010 bytes into it"));
    }

    #[test]
    fn zeros_expand_as_far_as_the_caller_lets_them() {
        let body = gzip(&vec![0; 4 << 20]);
        let decoded = decode("gzip", &body).expect("a good body");
        assert!(decoded.len() == 4 << 20 && decoded.iter().all(|byte| *byte == 0));
    }
}
