//! The deflate coding (RFC 9110 section 8.4.1.2): a zlib stream (RFC 1950), or the bare deflate
//! stream (RFC 1951) that some servers send in its place.

use super::output::Output;
use super::{Coding, Fault};
use flate2::{Decompress, DecompressError, FlushDecompress, Status};

pub(super) struct Deflate {
    state: State,
    start: [u8; 2],
    inflate: Decompress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many of the two bytes that tell zlib from bare deflate are there.
    Sniffing(usize),
    /// So many of these two bytes have gone into the decompressor.
    Starting(usize),
    Streaming,
    Ended,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Deflate { state: State::Sniffing(0), start: [0; 2], inflate: Decompress::new(true) }
    }
}

impl Coding for Deflate {
    fn name(&self) -> &'static str {
        "deflate"
    }

    fn decode(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
        loop {
            match self.state {
                State::Sniffing(have) => match (input.split_first(), self.start.get_mut(have)) {
                    (Some((byte, rest)), Some(place)) => {
                        (*place, *input) = (*byte, rest);
                        self.state = State::Sniffing(have + 1);
                    }
                    (None, Some(_)) => return Ok(()),
                    (_, None) => {
                        self.inflate.reset(is_zlib(self.start));
                        self.state = State::Starting(0);
                    }
                },
                State::Starting(passed) => {
                    let mut rest = self.start.get(passed..).unwrap_or_default();
                    let ended = inflate(&mut self.inflate, &mut rest, output)?;
                    self.state = match rest.len() {
                        _ if ended => State::Ended,
                        0 => State::Streaming,
                        left => State::Starting(self.start.len() - left),
                    };
                    if output.room() == 0 {
                        return Ok(());
                    }
                }
                State::Streaming => {
                    if !inflate(&mut self.inflate, input, output)? {
                        return Ok(());
                    }
                    self.state = State::Ended;
                }
                State::Ended => {
                    *input = &[];
                    return Ok(());
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.state == State::Ended
    }
}

/// Whether a stream starts as RFC 1950 says: method 8, window up to 32 KiB, header check. The
/// preset dictionary bit has no use in HTTP, so it too tells that this is not zlib. No encoder
/// makes a bare deflate stream that starts so: it would be a stored block with padding that is
/// not zero.
fn is_zlib([method, flags]: [u8; 2]) -> bool {
    method & 0x0f == 8
        && method >> 4 <= 7
        && u16::from_be_bytes([method, flags]) % 31 == 0
        && flags & 0x20 == 0
}

/// Inflates until the input or the room is used up or the stream ends, which it tells.
pub(super) fn inflate(
    stream: &mut Decompress,
    input: &mut &[u8],
    output: &mut Output<'_>,
) -> Result<bool, Fault> {
    loop {
        let (taken, given) = (stream.total_in(), stream.total_out());
        let status = match output {
            Output::Slice(slice, filled) => {
                let room = slice.get_mut(*filled..).unwrap_or_default();
                let status = stream.decompress(input, room, FlushDecompress::None);
                *filled += (stream.total_out() - given) as usize;
                status
            }
            Output::Spare(vec) => stream.decompress_vec(input, vec, FlushDecompress::None),
        };
        let (taken, given) = (stream.total_in() - taken, stream.total_out() - given);
        *input = input.get(taken as usize..).unwrap_or_default();
        match status.map_err(fault)? {
            Status::StreamEnd => return Ok(true),
            // It holds output back only for want of room.
            Status::Ok | Status::BufError if output.room() == 0 || input.is_empty() => return Ok(false),
            Status::Ok | Status::BufError if taken == 0 && given == 0 => {
                return Err(Fault::Format("it stalls".into()));
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

fn fault(error: DecompressError) -> Fault {
    match error.message() {
        // The one checksum that the decompressor itself looks at.
        Some("incorrect data check") => Fault::Checksum,
        Some(message) => Fault::Format(message.to_owned().into()),
        None => Fault::Format("not a deflate stream".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bare_deflate, decode, decode_by, zlib};
    use super::*;

    #[test]
    fn zlib_and_bare_streams_are_told_apart() {
        for data in [&b""[..], b"a", b"hello hello hello"] {
            for body in [zlib(data), bare_deflate(data)] {
                assert_eq!(decode("deflate", &body).expect("a good body"), data);
                assert_eq!(decode_by("deflate", &body, 1, 1).expect("a good body"), data);
            }
        }
        assert!(is_zlib([0x78, 0x9c]) && is_zlib([0x78, 0x01]) && is_zlib([0x08, 0x1d]));
        assert!(!is_zlib([0x78, 0x9d]) && !is_zlib([0x79, 0x9c]) && !is_zlib([0x88, 0x1c]));
        assert!(!is_zlib([0x78, 0xbb]), "a preset dictionary");
    }

    #[test]
    fn the_checksum_of_zlib_is_verified() {
        let mut body = zlib(b"hello");
        *body.last_mut().expect("a trailer") ^= 1;
        assert!(decode("deflate", &body).expect_err("corrupt").to_string().contains("checksum"));
    }

    #[test]
    fn what_follows_the_stream_is_ignored() {
        for body in [zlib(b"hello"), bare_deflate(b"hello")] {
            assert_eq!(decode("deflate", &[&body[..], b"garbage"].concat()).expect("a good body"), b"hello");
        }
    }
}
