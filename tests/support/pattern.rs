//! Bodies whose every byte is known from its offset, so that a lost, doubled or swapped piece is
//! found wherever it happened, and nothing has to be kept for comparison.

use std::io::Write;

/// The first `length` bytes of the pattern.
pub fn pattern(length: usize) -> Vec<u8> {
    pattern_at(0, length)
}

/// `length` bytes of the pattern from `offset` on.
pub fn pattern_at(offset: u64, length: usize) -> Vec<u8> {
    let skipped = (offset % 8) as usize;
    let mut bytes = Vec::with_capacity(length + 16);
    let mut block = offset / 8;
    while bytes.len() < skipped + length {
        bytes.extend_from_slice(&mix(block).to_le_bytes());
        block += 1;
    }
    bytes.drain(..skipped);
    bytes.truncate(length);
    bytes
}

/// Where `bytes`, found at `offset`, first differ from the pattern: an offset into the whole.
pub fn first_mismatch(offset: u64, bytes: &[u8]) -> Option<u64> {
    let expected = pattern_at(offset, bytes.len());
    let at = bytes.iter().zip(&expected).position(|(a, b)| a != b)?;
    Some(offset + at as u64)
}

/// Checks that a body is the first `length` bytes of the pattern.
///
/// # Panics
///
/// When it is not, with the place where it first differs.
#[track_caller]
pub fn assert_pattern(bytes: &[u8], length: usize) {
    if let Some(at) = first_mismatch(0, bytes) {
        panic!("a body of {} bytes (expected {length}) differs from the pattern at {at}", bytes.len());
    }
    assert_eq!(bytes.len(), length, "the body follows the pattern and has another length");
}

/// `bytes` as `Content-Encoding: gzip` would have them.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// SplitMix64's output function: eight bytes that depend on all of `block`.
fn mix(block: u64) -> u64 {
    let mut z = block.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
