//! XXH64 with seed 0, from its published specification: the checksum of what is kept in files, whose low
//! half is also that of a zstd frame (RFC 8878 section 3.1.1). Finds damage, and no forgery.

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// A hash over data that comes in pieces.
pub(crate) struct Xxh64 {
    lanes: [u64; 4],
    length: u64,
    stripe: [u8; 32],
    have: usize,
}

impl Xxh64 {
    pub(crate) fn new() -> Self {
        let lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, 0u64.wrapping_sub(PRIME_1)];
        Xxh64 { lanes, length: 0, stripe: [0; 32], have: 0 }
    }

    pub(crate) fn update(&mut self, mut data: &[u8]) {
        self.length = self.length.wrapping_add(data.len() as u64);
        if self.have != 0 {
            let (piece, rest) = data.split_at((self.stripe.len() - self.have).min(data.len()));
            self.stripe[self.have..self.have + piece.len()].copy_from_slice(piece);
            self.have += piece.len();
            data = rest;
            if self.have < self.stripe.len() {
                return;
            }
            self.have = 0;
            mix(&mut self.lanes, &self.stripe);
        }
        while let Some((stripe, rest)) = data.split_first_chunk() {
            mix(&mut self.lanes, stripe);
            data = rest;
        }
        self.stripe[..data.len()].copy_from_slice(data);
        self.have = data.len();
    }

    pub(crate) fn sum(&self) -> u64 {
        let mut hash = if self.length < 32 {
            PRIME_5
        } else {
            let [a, b, c, d] = self.lanes;
            let sum = a
                .rotate_left(1)
                .wrapping_add(b.rotate_left(7))
                .wrapping_add(c.rotate_left(12))
                .wrapping_add(d.rotate_left(18));
            self.lanes
                .iter()
                .fold(sum, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
        };
        hash = hash.wrapping_add(self.length);
        let mut rest = &self.stripe[..self.have];
        while let Some((word, after)) = rest.split_first_chunk() {
            hash ^= round(0, u64::from_le_bytes(*word));
            hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
            rest = after;
        }
        if let Some((word, after)) = rest.split_first_chunk() {
            hash ^= u64::from(u32::from_le_bytes(*word)).wrapping_mul(PRIME_1);
            hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
            rest = after;
        }
        for byte in rest {
            hash ^= u64::from(*byte).wrapping_mul(PRIME_5);
            hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
        hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
        hash ^ (hash >> 32)
    }
}

/// The hash of data that is there as a whole.
pub(crate) fn xxh64(data: &[u8]) -> u64 {
    let mut hash = Xxh64::new();
    hash.update(data);
    hash.sum()
}

fn mix(lanes: &mut [u64; 4], stripe: &[u8; 32]) {
    for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        *lane = round(*lane, word);
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(xxh64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xxh64(b"abc"), 0x44BC_2CF5_AD77_0999);
    }

    #[test]
    fn pieces_make_no_difference() {
        let data: Vec<u8> = (0..200u8).collect();
        for size in 1..70 {
            let mut hash = Xxh64::new();
            data.chunks(size).for_each(|piece| hash.update(piece));
            assert_eq!(hash.sum(), xxh64(&data), "pieces of {size}");
        }
    }
}
