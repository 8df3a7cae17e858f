use crate::proto::coding::Decoder;

/// Enough to see every path, and not so much that a bomb eats the time of the run.
const MOST: usize = 4 << 20;

pub const CODINGS: [&str; 8] =
    ["gzip", "deflate", "br", "zstd", "gzip, gzip", "deflate, gzip", "br, gzip", "zstd, deflate"];

/// However the body is cut and however small the output, it decodes to the same, without a stall.
pub fn coding(data: &[u8]) {
    let [coding, pieces, room, body @ ..] = data else { return };
    let coding = CODINGS[usize::from(*coding) % CODINGS.len()];
    let whole = decode(coding, body, body.len().max(1), 64 * 1024);
    let parts = decode(coding, body, usize::from(*pieces) + 1, usize::from(*room) + 1);
    match (whole, parts) {
        (Some(whole), Some(parts)) if whole.len() < MOST && parts.len() < MOST => assert!(whole == parts),
        (Some(whole), None) | (None, Some(whole)) => assert!(whole.len() >= MOST),
        _ => {}
    }
}

/// The decoded body, cut off when it gets too long; `None` if it is corrupt.
fn decode(coding: &str, body: &[u8], pieces: usize, room: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::for_encoding([coding]).expect("few codings")?;
    let (mut decoded, mut room) = (Vec::new(), vec![0; room]);
    for mut piece in body.chunks(pieces) {
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
