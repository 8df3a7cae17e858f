use crate::error::{ErrorKind, Result};
use crate::http1::body::{BodyDecoder, Piece};
use crate::http1::framing::Framing;
use crate::pieces::Sizes;
use http::HeaderMap;

#[derive(Debug, PartialEq)]
struct Decoded {
    body: Vec<u8>,
    consumed: usize,
    done: bool,
    trailers: Option<HeaderMap>,
}

/// A body in one piece and in many is the same body, or an error both times; an end that comes
/// too early is never taken for the body's; what was encoded is decoded to what it was.
pub fn chunked_body(data: &[u8]) {
    let Some((mut sizes, input)) = Sizes::split(data) else { return };
    let whole = decode(input, || input.len());
    let pieces = decode(input, || sizes.next());
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces);
            assert!(whole.body.len() <= whole.consumed && whole.consumed <= input.len());
            if whole.done {
                check_done(input, whole);
            } else {
                assert_eq!(whole.consumed, input.len());
            }
        }
        (Err(whole), Err(pieces)) => {
            assert_eq!(whole.kind(), ErrorKind::CannotParseResponse);
            assert_eq!(whole.to_string(), pieces.to_string());
        }
        _ => panic!("in one piece {whole:?}, in many {pieces:?}"),
    }
    round_trip(input, sizes);
}

fn check_done(input: &[u8], whole: &Decoded) {
    // Complete with its last byte, and not before.
    let cut = decode(&input[..whole.consumed - 1], || input.len()).expect("a part of what is well-formed");
    assert!(!cut.done);
    for name in whole.trailers.iter().flat_map(HeaderMap::keys) {
        let name = name.as_str();
        assert!(!["content-length", "transfer-encoding", "host", "set-cookie"].contains(&name));
    }
}

fn decode(input: &[u8], mut size: impl FnMut() -> usize) -> Result<Decoded> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut body, mut at, mut fed) = (Vec::new(), 0, 0);
    loop {
        let (consumed, piece) = decoder.next(&input[at..fed])?;
        match piece {
            Piece::Data(range) => {
                assert!(!range.is_empty() && range.end <= consumed);
                body.extend_from_slice(&input[at..fed][range]);
            }
            Piece::NeedMore => {
                assert_eq!(consumed, fed - at);
                if fed == input.len() {
                    at = fed;
                    break;
                }
                fed = fed.saturating_add(size().max(1)).min(input.len());
            }
            Piece::End => {
                at += consumed;
                break;
            }
        }
        at += consumed;
        assert!(at <= fed);
    }
    assert_eq!(decoder.received(), body.len() as u64);
    assert_eq!(decoder.at_eof().is_ok(), decoder.is_done());
    Ok(Decoded { body, consumed: at, done: decoder.is_done(), trailers: decoder.take_trailers() })
}

fn round_trip(body: &[u8], mut sizes: Sizes) {
    let mut encoded = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(sizes.next().min(rest.len()));
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
        rest = after;
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    let decoded = decode(&encoded, || sizes.next()).expect("well-formed");
    assert!(decoded.done && decoded.consumed == encoded.len());
    assert_eq!(decoded.body, body);
}
