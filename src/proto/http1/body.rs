//! The body of a response, whichever way its end is found: what goes between the socket's bytes
//! and the body's, and what the connection's end means for it.

use super::chunked::ChunkedDecoder;
pub(crate) use super::chunked::Piece;
use super::framing::Framing;
use crate::error::{Error, ErrorKind, Result};
use http::HeaderMap;

/// Decodes one body.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    state: State,
    /// Bytes of the body so far.
    received: u64,
}

#[derive(Debug)]
enum State {
    /// Bytes that are still to come.
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl BodyDecoder {
    /// A decoder at the beginning of a body.
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(ChunkedDecoder::default()),
            Framing::UntilClose => State::UntilClose,
        };
        BodyDecoder { state, received: 0 }
    }

    /// Takes bytes from the front of `input` and says how many and what they were. To be called
    /// with the rest until it says `NeedMore` or `End`.
    ///
    /// Fails with `CannotParseResponse` if chunked coding is broken.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<(usize, Piece)> {
        let length = match &mut self.state {
            State::Length(0) => return Ok((0, Piece::End)),
            State::Length(remaining) => {
                let length =
                    usize::try_from(*remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
                *remaining -= length as u64;
                length
            }
            State::Chunked(decoder) => {
                let (consumed, piece) = decoder.next(input)?;
                if let Piece::Data(range) = &piece {
                    self.received = self.received.saturating_add(range.len() as u64);
                }
                return Ok((consumed, piece));
            }
            State::UntilClose => input.len(),
        };
        if length == 0 {
            return Ok((0, Piece::NeedMore));
        }
        self.received = self.received.saturating_add(length as u64);
        Ok((length, Piece::Data(0..length)))
    }

    /// How many bytes are exactly what is left of the body, so that they may be read from the
    /// connection straight to where they belong. `None` if only [`next`](Self::next) can tell.
    pub(crate) fn remaining_hint(&self) -> Option<u64> {
        match self.state {
            State::Length(remaining) => Some(remaining),
            _ => None,
        }
    }

    /// Tells that so many bytes of the body were read past this decoder: no more than
    /// [`remaining_hint`](Self::remaining_hint) says, and with a close-delimited body any number.
    pub(crate) fn consume_direct(&mut self, bytes: u64) {
        debug_assert!(self.remaining_hint().is_none_or(|remaining| bytes <= remaining));
        debug_assert!(!matches!(self.state, State::Chunked(_)));
        if let State::Length(remaining) = &mut self.state {
            *remaining = remaining.saturating_sub(bytes);
        }
        self.received = self.received.saturating_add(bytes);
    }

    /// Bytes of the body so far, without framing.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether the body is complete. A close-delimited one is so only at the connection's end.
    pub(crate) fn is_done(&self) -> bool {
        match &self.state {
            State::Length(remaining) => *remaining == 0,
            State::Chunked(decoder) => decoder.is_done(),
            State::UntilClose => false,
        }
    }

    /// What it means that the connection ended here: nothing if the body is complete with it.
    ///
    /// Fails with `NetworkConnectionLost`, or `ZeroByteResource` if a length was announced and
    /// nothing came at all.
    pub(crate) fn at_eof(&self) -> Result<()> {
        match &self.state {
            State::UntilClose | State::Length(0) => Ok(()),
            State::Length(remaining) => {
                let received = self.received;
                let length = received.saturating_add(*remaining);
                let kind = match received {
                    0 => ErrorKind::ZeroByteResource,
                    _ => ErrorKind::NetworkConnectionLost,
                };
                Err(Error::new(kind, format!("receiving: body cut short: {received} of {length} bytes")))
            }
            State::Chunked(decoder) if decoder.is_done() => Ok(()),
            State::Chunked(decoder) => Err(Error::new(
                ErrorKind::NetworkConnectionLost,
                format!("receiving: body cut short: {} after {} bytes", decoder.place(), self.received),
            )),
        }
    }

    /// The trailers of a chunked body that is complete, if it had any.
    #[cfg(test)]
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        match &self.state {
            State::Chunked(decoder) => decoder.trailers(),
            _ => None,
        }
    }

    /// The same, given away.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.state {
            State::Chunked(decoder) => decoder.take_trailers(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds byte by byte. Gives the body and how many bytes it took.
    fn drip(decoder: &mut BodyDecoder, input: &[u8]) -> (Vec<u8>, usize) {
        let mut body = Vec::new();
        for (at, byte) in input.iter().enumerate() {
            let one = std::slice::from_ref(byte);
            match decoder.next(one).expect("well-formed") {
                (consumed, Piece::Data(range)) => {
                    assert_eq!((consumed, range), (1, 0..1));
                    body.push(*byte);
                }
                (consumed, Piece::NeedMore) => assert_eq!(consumed, 1),
                (0, Piece::End) => return (body, at),
                (_, Piece::End) => return (body, at + 1),
            }
        }
        (body, input.len())
    }

    fn kind(decoder: &BodyDecoder) -> ErrorKind {
        decoder.at_eof().expect_err("cut short").kind()
    }

    #[test]
    fn no_body() {
        for framing in [Framing::None, Framing::Length(0)] {
            let mut decoder = BodyDecoder::new(framing);
            assert!(decoder.is_done());
            assert_eq!(decoder.next(b"rest").expect("nothing"), (0, Piece::End));
            assert_eq!(decoder.remaining_hint(), Some(0));
            assert!(decoder.at_eof().is_ok());
        }
    }

    #[test]
    fn a_length() {
        let mut decoder = BodyDecoder::new(Framing::Length(5));
        assert_eq!(decoder.next(b"").expect("nothing"), (0, Piece::NeedMore));
        assert_eq!(decoder.next(b"he").expect("data"), (2, Piece::Data(0..2)));
        assert_eq!(decoder.remaining_hint(), Some(3));
        assert!(!decoder.is_done());
        assert_eq!(decoder.next(b"llo, rest").expect("data"), (3, Piece::Data(0..3)));
        assert!(decoder.is_done());
        assert_eq!(decoder.next(b", rest").expect("end"), (0, Piece::End));
        assert_eq!(decoder.received(), 5);
        let mut decoder = BodyDecoder::new(Framing::Length(5));
        assert_eq!(drip(&mut decoder, b"hello, rest"), (b"hello".to_vec(), 5));
    }

    #[test]
    fn a_length_cut_short() {
        let mut decoder = BodyDecoder::new(Framing::Length(512));
        assert_eq!(kind(&decoder), ErrorKind::ZeroByteResource);
        decoder.next(&[0; 100]).expect("data");
        let error = decoder.at_eof().expect_err("cut short");
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost);
        assert!(error.to_string().contains("body cut short: 100 of 512 bytes"));
        let mut decoder = BodyDecoder::new(Framing::Length(u64::MAX));
        decoder.next(b"x").expect("data");
        assert!(decoder.at_eof().expect_err("cut short").to_string().contains("1 of 18446744073709551615"));
    }

    #[test]
    fn bytes_read_past_the_decoder_count() {
        let mut decoder = BodyDecoder::new(Framing::Length(10));
        decoder.next(b"abc").expect("data");
        decoder.consume_direct(6);
        assert_eq!((decoder.remaining_hint(), decoder.received()), (Some(1), 9));
        assert_eq!(kind(&decoder), ErrorKind::NetworkConnectionLost);
        decoder.consume_direct(1);
        assert!(decoder.is_done() && decoder.at_eof().is_ok());
    }

    #[test]
    fn chunks_with_trailers() {
        let input = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nrest";
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        assert!(decoder.remaining_hint().is_none());
        assert_eq!(drip(&mut decoder, input), (b"hello".to_vec(), input.len() - 4));
        assert!(decoder.is_done() && decoder.at_eof().is_ok());
        assert_eq!(decoder.received(), 5);
        assert_eq!(decoder.trailers().expect("trailers")["x-sum"], "1");
        assert!(decoder.take_trailers().is_some() && decoder.trailers().is_none());
    }

    #[test]
    fn chunks_cut_anywhere_are_an_error() {
        let input = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
        for end in 0..input.len() {
            let mut decoder = BodyDecoder::new(Framing::Chunked);
            drip(&mut decoder, &input[..end]);
            assert_eq!(kind(&decoder), ErrorKind::NetworkConnectionLost, "at {end}");
        }
    }

    #[test]
    fn all_until_the_connection_is_closed() {
        let mut decoder = BodyDecoder::new(Framing::UntilClose);
        assert_eq!(decoder.next(b"abc").expect("data"), (3, Piece::Data(0..3)));
        assert_eq!(decoder.next(b"").expect("nothing"), (0, Piece::NeedMore));
        decoder.consume_direct(4);
        assert!(!decoder.is_done());
        assert!(decoder.at_eof().is_ok());
        assert_eq!(decoder.received(), 7);
        assert!(decoder.trailers().is_none());
    }
}
