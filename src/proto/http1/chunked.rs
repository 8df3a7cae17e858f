//! Chunked transfer coding, decoded as it arrives and without copying (RFC 9112, section 7.1).
//!
//! ```text
//! Size ─▶ Extension ─▶ SizeLf ─┬─▶ Data ─▶ DataCr ─▶ DataLf ─▶ Size
//!   └────────────────────▲     └─▶ Trailer(line by line) ─▶ End        (size 0)
//! ```
//!
//! Lines end in CRLF here and nothing else: two readers of one connection who differ on where a
//! chunk begins are how responses are smuggled, and no server in use sends LF alone. Whitespace
//! after the size is tolerated, extensions are read over.

use super::head::header_map;
use super::{malformed, quoted};
use crate::error::{Error, Result};
use http::header::{self, HeaderMap};
use std::mem;
use std::ops::Range;

/// Bytes of a line with a chunk's size and extensions.
const MAX_SIZE_LINE: u32 = 4 * 1024;

/// Bytes of the trailer section.
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// Lines of the trailer section.
const MAX_TRAILERS: usize = 64;

/// What a decoder found in its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes of the body, never none: this part of the input.
    Data(Range<usize>),
    /// The input is used up and the body goes on.
    NeedMore,
    /// The body is complete. What is left of the input is not part of it.
    End,
}

/// Decodes one chunked body.
#[derive(Debug, Default)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// While a size line is read: its size so far. In the data: bytes that are still to come.
    remaining: u64,
    /// Bytes of the current size line so far.
    line: u32,
    /// The lines of the trailer section so far.
    section: Vec<u8>,
    trailers: Option<HeaderMap>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit.
    #[default]
    Size,
    /// After a digit.
    Digits,
    /// After whitespace that follows the digits.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer(TrailerLine),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrailerLine {
    Start,
    /// After the CR of what must be the last, empty line.
    LastLf,
    Text,
    Lf,
}

impl ChunkedDecoder {
    /// Takes bytes from the front of `input` and says how many and what they were. To be called
    /// with the rest until it says `NeedMore` or `End`.
    ///
    /// Fails with `CannotParseResponse` if they are not chunked coding.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<(usize, Piece)> {
        let mut at = 0;
        while self.state != State::End {
            let Some(&byte) = input.get(at) else { return Ok((at, Piece::NeedMore)) };
            if self.state == State::Data {
                let rest = input.len() - at;
                let length = usize::try_from(self.remaining).map_or(rest, |remaining| remaining.min(rest));
                self.remaining -= length as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                return Ok((at + length, Piece::Data(at..at + length)));
            }
            self.step(byte)?;
            at += 1;
        }
        Ok((at, Piece::End))
    }

    /// Whether the last chunk and the trailer section have been read.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// The trailer section, once the body is complete and if it had one. Headers that must not
    /// be there (RFC 9110, section 6.5.1) are not.
    #[cfg(test)]
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// The same, given away.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Where the decoder stands, for a message: `… ended in a chunk's data`.
    pub(crate) fn place(&self) -> &'static str {
        match self.state {
            State::Size if self.line == 0 => "before a chunk's size",
            State::Size | State::Digits | State::Space | State::Extension | State::SizeLf => {
                "in a chunk's size line"
            }
            State::Data => "in a chunk's data",
            State::DataCr | State::DataLf => "at the end of a chunk's data",
            State::Trailer(_) => "in the trailers",
            State::End => "after the last chunk",
        }
    }

    fn step(&mut self, byte: u8) -> Result<()> {
        self.state = match (self.state, byte) {
            (State::Size | State::Digits | State::Space | State::Extension, _) => self.size_line(byte)?,
            (State::SizeLf, b'\n') => {
                self.line = 0;
                if self.remaining == 0 { State::Trailer(TrailerLine::Start) } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Trailer(line), _) => self.trailer(line, byte)?,
            _ => return Err(self.unexpected(byte)),
        };
        Ok(())
    }

    fn size_line(&mut self, byte: u8) -> Result<State> {
        self.line += 1;
        if self.line > MAX_SIZE_LINE {
            return Err(malformed(format!(
                "the line of a chunk's size is longer than {MAX_SIZE_LINE} bytes"
            )));
        }
        match (self.state, byte) {
            (State::Size | State::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                self.remaining = self
                    .remaining
                    .checked_mul(16)
                    .map(|size| size | u64::from(digit))
                    .ok_or_else(|| malformed("the size of a chunk is larger than 64 bits"))?;
                Ok(State::Digits)
            }
            (State::Size, _) => Err(self.unexpected(byte)),
            (_, b'\r') => Ok(State::SizeLf),
            (State::Digits | State::Space, b' ' | b'\t') => Ok(State::Space),
            (State::Digits | State::Space, b';') => Ok(State::Extension),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Extension),
            _ => Err(self.unexpected(byte)),
        }
    }

    fn trailer(&mut self, line: TrailerLine, byte: u8) -> Result<State> {
        let next = match (line, byte) {
            (TrailerLine::Start, b'\r') => return Ok(State::Trailer(TrailerLine::LastLf)),
            (TrailerLine::LastLf, b'\n') => {
                self.finish_trailers()?;
                return Ok(State::End);
            }
            (TrailerLine::Text, b'\r') => TrailerLine::Lf,
            (TrailerLine::Lf, b'\n') => TrailerLine::Start,
            (TrailerLine::LastLf | TrailerLine::Lf, _) | (_, b'\n') => return Err(self.unexpected(byte)),
            (TrailerLine::Start | TrailerLine::Text, _) => TrailerLine::Text,
        };
        if self.section.len() >= MAX_TRAILER_BYTES {
            return Err(malformed(format!(
                "the response's trailers are larger than {MAX_TRAILER_BYTES} bytes"
            )));
        }
        self.section.push(byte);
        Ok(State::Trailer(next))
    }

    fn finish_trailers(&mut self) -> Result<()> {
        if self.section.is_empty() {
            return Ok(());
        }
        let mut section = mem::take(&mut self.section);
        section.extend_from_slice(b"\r\n");
        let mut parsed = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let mut headers = match httparse::parse_headers(&section, &mut parsed) {
            Ok(httparse::Status::Complete((_, headers))) => header_map(&section, headers)?,
            Ok(httparse::Status::Partial) => return Err(malformed("the response's trailers have no end")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(malformed(format!("the response has more than {MAX_TRAILERS} trailers")));
            }
            Err(error) => return Err(malformed(format!("the response has a malformed trailer: {error}"))),
        };
        for name in FORBIDDEN {
            headers.remove(name);
        }
        if !headers.is_empty() {
            self.trailers = Some(headers);
        }
        Ok(())
    }

    fn unexpected(&self, byte: u8) -> Error {
        malformed(format!("the response's chunked coding is broken: {} {}", quoted(&[byte], 1), self.place()))
    }
}

/// What says how a message is framed, routed, authenticated, cached or understood is not taken
/// from a trailer (RFC 9110, section 6.5.1).
const FORBIDDEN: [header::HeaderName; 26] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPIRES,
    header::HOST,
    header::LOCATION,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

#[cfg(test)]
mod tests {
    use super::*;

    struct Decoded {
        body: Vec<u8>,
        rest: usize,
        done: bool,
        trailers: Option<HeaderMap>,
    }

    fn decode_by(input: &[u8], step: usize) -> Result<Decoded> {
        let mut decoder = ChunkedDecoder::default();
        let mut body = Vec::new();
        let mut fed = 0;
        'pieces: for part in input.chunks(step.max(1)) {
            let mut part = part;
            loop {
                let (consumed, piece) = decoder.next(part)?;
                fed += consumed;
                match piece {
                    Piece::Data(range) => {
                        assert!(!range.is_empty() && range.end == consumed);
                        body.extend_from_slice(&part[range]);
                    }
                    Piece::NeedMore => {
                        assert_eq!(consumed, part.len());
                        break;
                    }
                    Piece::End => break 'pieces,
                }
                part = &part[consumed..];
            }
        }
        let trailers = decoder.take_trailers();
        Ok(Decoded { body, rest: input.len() - fed, done: decoder.is_done(), trailers })
    }

    /// Decodes in pieces of every size and checks that it makes no difference.
    fn decode(input: impl AsRef<[u8]>) -> Result<Decoded> {
        let input = input.as_ref();
        let whole = decode_by(input, input.len());
        for step in 1..input.len().min(20) {
            match (&whole, decode_by(input, step)) {
                (Ok(whole), Ok(pieces)) => {
                    assert_eq!(pieces.body, whole.body);
                    assert_eq!((pieces.rest, pieces.done), (whole.rest, whole.done));
                    assert_eq!(pieces.trailers, whole.trailers);
                }
                (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
                _ => panic!("whole and in steps of {step} differ"),
            }
        }
        whole
    }

    fn body(input: &str) -> String {
        let decoded = decode(input).expect("well-formed");
        assert!(decoded.done);
        assert_eq!(decoded.rest, 0);
        String::from_utf8(decoded.body).expect("text")
    }

    fn refuse(input: impl AsRef<[u8]>) -> String {
        match decode(input.as_ref()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("accepted: {}", input.as_ref().escape_ascii()),
        }
    }

    #[test]
    fn ordinary_bodies() {
        assert_eq!(body("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "hello world");
        assert_eq!(body("0\r\n\r\n"), "");
        assert_eq!(body("000\r\n\r\n"), "");
        assert_eq!(body("0000000000000000000000a\r\n0123456789\r\n0\r\n\r\n"), "0123456789");
        assert_eq!(body("A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n"), "01234567890123456789a");
        assert_eq!(body("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n");
    }

    #[test]
    fn what_follows_is_left_alone() {
        let decoded = decode("1\r\na\r\n0\r\n\r\nHTTP/1.1").expect("well-formed");
        assert_eq!((decoded.rest, decoded.done), (8, true));
        let mut decoder = ChunkedDecoder::default();
        assert_eq!(decoder.next(b"0\r\n\r\nx").expect("well-formed"), (5, Piece::End));
        assert_eq!(decoder.next(b"x").expect("well-formed"), (0, Piece::End));
    }

    #[test]
    fn extensions_and_whitespace_after_the_size() {
        assert_eq!(body("1;a=b;c=\"d;e\"\r\nx\r\n0;last\r\n\r\n"), "x");
        assert_eq!(body("1 \t\r\nx\r\n0 ;a\r\n\r\n"), "x");
        assert_eq!(body(&format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(4000))), "x");
        assert!(refuse(format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(4200))).contains("longer than 4096"));
        assert!(refuse(format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(4200))).contains("longer than 4096"));
    }

    #[test]
    fn sizes() {
        for odd in ["", " 1", "x", "-1", "+1", "0x1", "1 1", "1,", "1\u{0}", "g", ";a", "\t1", "1a g"] {
            assert!(refuse(format!("{odd}\r\nx\r\n0\r\n\r\n")).contains("size"), "{odd:?}");
        }
        assert!(refuse("10000000000000000\r\n").contains("64 bits"));
        let decoded = decode("ffffffffffffffff\r\nabc").expect("so far");
        assert_eq!((decoded.body.as_slice(), decoded.done), (b"abc".as_slice(), false));
    }

    #[test]
    fn lines_end_in_crlf_only() {
        for input in [
            "1\nx\r\n0\r\n\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1\r\nxx\r\n0\r\n\r\n",
            "1\r\nx\r\r\n0\r\n\r\n",
            "1\rx",
            "1;a\nb\r\nx",
            "1;a\rb\r\nx",
            "1;\u{0}\r\nx",
            "0\r\n\n",
            "0\r\n\rx",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\rc\r\n\r\n",
        ] {
            assert!(refuse(input).contains("chunked coding is broken"), "{input:?}");
        }
    }

    #[test]
    fn trailers() {
        let decoded =
            decode("1\r\nx\r\n0\r\nX-Sum: 12\r\nx-sum:34\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\nrest")
                .expect("well-formed");
        assert_eq!(decoded.rest, 4);
        let trailers = decoded.trailers.expect("trailers");
        assert_eq!(trailers.len(), 2);
        assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["12", "34"]);
        assert!(decode("0\r\nHost: a\r\n\r\n").expect("well-formed").trailers.is_none());
        assert!(decode("0\r\n\r\n").expect("well-formed").trailers.is_none());
    }

    #[test]
    fn trailers_are_bounded_and_well_formed() {
        assert!(refuse(format!("0\r\nA: {}\r\n\r\n", "a".repeat(17_000))).contains("larger than 16384"));
        assert!(refuse(format!("0\r\n{}\r\n", "A: b\r\n".repeat(65))).contains("more than 64"));
        assert_eq!(body(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(64))), "");
        for odd in ["no colon", "A : b", " A: b", "A: b\r\n fold", "A: \u{0}", ": b"] {
            assert!(refuse(format!("0\r\n{odd}\r\n\r\n")).contains("trailer"), "{odd:?}");
        }
    }

    #[test]
    fn a_cut_body_is_not_done_and_tells_where() {
        let input = b"5;a\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for end in 0..input.len() {
            assert!(!decode(&input[..end]).expect("so far").done, "at {end}");
        }
        for (end, place) in [
            (0, "before a chunk's size"),
            (1, "size line"),
            (3, "size line"),
            (4, "size line"),
            (7, "in a chunk's data"),
            (10, "end of a chunk's data"),
            (12, "before a chunk's size"),
            (15, "trailers"),
            (input.len(), "after the last chunk"),
        ] {
            let mut decoder = ChunkedDecoder::default();
            let mut part = &input[..end];
            while let (consumed, Piece::Data(_)) = decoder.next(part).expect("well-formed") {
                part = &part[consumed..];
            }
            assert!(decoder.place().contains(place), "{end}: {}", decoder.place());
        }
    }
}
