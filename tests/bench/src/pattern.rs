//! What the bodies hold, and that they hold it.

use crate::Result;
use std::sync::OnceLock;

/// The pattern repeats after so many bytes.
pub const PERIOD: usize = 1 << 18;

/// One period: lines of text, which compress about as well as text does.
pub fn period() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let (mut text, mut state) = (Vec::with_capacity(PERIOD + 128), 1_u32);
        while text.len() < PERIOD {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (id, value) = (text.len() / 61, state >> 12);
            text.extend_from_slice(
                format!("{{\"id\":{id},\"value\":{value},\"name\":\"entry {id}\"}}\n").as_bytes(),
            );
        }
        text.truncate(PERIOD);
        text
    })
}

/// Compares a body with the pattern while it comes, which costs every client the same.
#[derive(Default)]
pub struct Check {
    received: u64,
    wrong: bool,
}

impl Check {
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = (self.received % PERIOD as u64) as usize;
            let count = bytes.len().min(PERIOD - at);
            self.wrong |= bytes[..count] != period()[at..at + count];
            self.received += count as u64;
            bytes = &bytes[count..];
        }
    }

    /// Whether it was all of the body, and nothing else.
    pub fn finish(self, length: u64) -> Result<()> {
        if self.wrong || self.received != length {
            return Err(format!("{} of {length} bytes came, right: {}", self.received, !self.wrong).into());
        }
        Ok(())
    }
}
