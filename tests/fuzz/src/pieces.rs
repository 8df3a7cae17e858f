//! Cuts an input into pieces whose sizes are part of the input, so that a fuzzer can find the cut
//! that matters.

/// Sizes of pieces, from a seed: mostly small ones.
pub struct Sizes(u32);

impl Sizes {
    /// The first two bytes of the data seed the sizes; the rest is the input.
    pub fn split(data: &[u8]) -> Option<(Sizes, &[u8])> {
        let (seed, input) = data.split_first_chunk::<2>()?;
        Some((Sizes(u32::from(u16::from_le_bytes(*seed)) | 0x1_0000), input))
    }

    pub fn next(&mut self) -> usize {
        // xorshift: never zero, since the seed is not.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        match self.0 % 4 {
            0 => 1,
            1 => 2,
            2 => 1 + (self.0 >> 8) as usize % 8,
            _ => 1 + (self.0 >> 8) as usize % 64,
        }
    }
}
