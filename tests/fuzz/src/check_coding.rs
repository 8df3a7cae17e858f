use crate::library::proto::coding::Decoder;
use crate::pieces::Sizes;

/// Enough to see every path, and not so much that a bomb eats the time of the run.
const MOST: usize = 4 << 20;

const CODINGS: [&str; 8] =
    ["gzip", "deflate", "br", "zstd", "gzip, gzip", "deflate, gzip", "br, gzip", "zstd, deflate"];

/// A body in one piece and in many is the same body, or an error both times, however small the
/// room for it is; and decoding never stalls.
pub fn coding(data: &[u8]) {
    let Some((&coding, data)) = data.split_first() else { return };
    let Some((mut sizes, body)) = Sizes::split(data) else { return };
    let coding = CODINGS[usize::from(coding) % CODINGS.len()];
    let whole = decode(coding, body, || body.len().max(1), 64 * 1024);
    let room = sizes.next();
    let parts = decode(coding, body, || sizes.next(), room);
    match (whole, parts) {
        (Some(whole), Some(parts)) if whole.len() < MOST && parts.len() < MOST => assert!(whole == parts),
        // What was cut off may have become an error later.
        (Some(decoded), None) | (None, Some(decoded)) => assert!(decoded.len() >= MOST),
        _ => {}
    }
}

/// The decoded body, cut off when it gets too long; `None` if it is corrupt.
fn decode(coding: &str, mut body: &[u8], mut size: impl FnMut() -> usize, room: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::for_encoding([coding]).expect("few codings")?;
    let (mut decoded, mut room) = (Vec::new(), vec![0; room]);
    while !body.is_empty() {
        let (mut piece, rest) = body.split_at(size().min(body.len()));
        body = rest;
        loop {
            let progress = decoder.decode(piece, &mut room).ok()?;
            decoded.extend_from_slice(&room[..progress.produced]);
            if decoded.len() >= MOST {
                return Some(decoded);
            }
            piece = &piece[progress.consumed..];
            if !progress.pending {
                assert!(piece.is_empty(), "input is left and nothing pends");
                break;
            }
        }
    }
    decoder.finish().ok()?;
    Some(decoded)
}
