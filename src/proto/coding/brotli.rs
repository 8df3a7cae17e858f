//! The br coding (RFC 7932). Large-window streams, which are not part of it, are refused, so that
//! the window is at most 16 MiB; the decoder takes less for a body that is smaller.

use super::output::Output;
use super::{Coding, Fault};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

type Stream = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) struct Brotli {
    stream: Box<Stream>,
    ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let (bytes, words, codes) = Default::default();
        Brotli { stream: Box::new(Stream::new_strict(bytes, words, codes)), ended: false }
    }
}

impl Coding for Brotli {
    fn name(&self) -> &'static str {
        "br"
    }

    fn decode(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
        while !self.ended && output.room() != 0 {
            let (mut taken, mut total) = (0, 0);
            // The decoder counts its input in 32 bits.
            let piece = input.get(..input.len().min(1 << 30)).unwrap_or_default();
            let result = output.fill(|room| {
                let (mut left, mut room_left, mut written) = (piece.len(), room.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut taken,
                    piece,
                    &mut room_left,
                    &mut written,
                    room,
                    &mut total,
                    &mut self.stream,
                );
                (written, result)
            });
            *input = input.get(taken..).unwrap_or_default();
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::NeedsMoreInput if input.is_empty() => return Ok(()),
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(Fault::Format("not a brotli stream".into())),
            }
        }
        if self.ended {
            *input = &[];
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{TEXT_BR, ZEROS_BR};
    use super::super::tests::{decode, text};

    #[test]
    fn zeros_expand_as_far_as_the_caller_lets_them() {
        let decoded = decode("br", ZEROS_BR).expect("a good body");
        assert!(decoded.len() == 16 << 20 && decoded.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_follows_the_stream_is_ignored() {
        assert_eq!(decode("br", &[TEXT_BR, b"garbage"].concat()).expect("a good body"), text());
    }

    #[test]
    fn a_large_window_is_refused() {
        // 0x11 asks for the large-window format, then 30 bits of window.
        let error = decode("br", &[0x11, 0x1e, 0x03, 0, 0, 0, 0, 0]).expect_err("not RFC 7932");
        assert!(error.to_string().contains("not a brotli stream"), "{error}");
    }
}
