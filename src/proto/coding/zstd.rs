//! The zstd coding (RFC 8878, RFC 9659): frames one after the other, some of which are to be
//! skipped. Frames and blocks are found here, and each whole block is handed to `ruzstd`.
//!
//! ```text
//! Magic ─▶ Descriptor ─▶ Header ─▶ Block ─▶ Body ─▶ Block … ─▶ Draining ─▶ Checksum ─▶ Magic
//!   └────▶ SkipLength ─▶ Skip ─▶ Magic
//! ```
//!
//! `ruzstd` keeps decoded data back until a whole window of later data has been decoded, up to
//! 8 MiB, which would hold an event stream up for ever. So the decoder is made to give up all it
//! has (each block is marked as the last one of its frame), and keeping the window is done here:
//! when the input stops at the end of a block, which is where a sender flushes, everything is
//! taken out, delivered, and the window is put back in the guise of stored blocks.

use super::output::Output;
use super::{Coding, Fault};
use crate::proto::xxh64::Xxh64;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, Read, Write};

/// RFC 9659 section 3: no more may be asked of a recipient of `Content-Encoding: zstd`.
pub(super) const MAXIMUM_WINDOW: u64 = 8 * 1024 * 1024;

/// RFC 8878 section 3.1.1.2.4.
const MAXIMUM_BLOCK: usize = 128 * 1024;

const MAGIC: u32 = 0xFD2F_B528;
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;

pub(super) struct Zstd {
    state: State,
    /// The part of a field or block that has arrived, when it did not arrive in one piece.
    held: Vec<u8>,
    frame: Frame,
    decoder: FrameDecoder,
    /// How many bytes at the front of the decoder's buffer were delivered and are there only
    /// because later blocks may refer to them.
    delivered: usize,
    /// What was taken out of the decoder at a flush, delivered up to `flushed_to`.
    flushed: Vec<u8>,
    flushed_to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Magic,
    SkipLength,
    Skip(usize),
    Descriptor,
    /// The frame header with this descriptor.
    Header(u8),
    /// A block header.
    Block,
    /// The block with this header.
    Body([u8; 3]),
    /// The last block was decoded.
    Draining,
    Checksum,
}

/// What the header of a frame says, and what became of it.
struct Frame {
    window: usize,
    content_size: Option<u64>,
    checksum: Option<Xxh64>,
    decoded: u64,
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAXIMUM_WINDOW);
        Zstd {
            state: State::Magic,
            held: Vec::new(),
            frame: Frame { window: 0, content_size: None, checksum: None, decoded: 0 },
            decoder,
            delivered: 0,
            flushed: Vec::new(),
            flushed_to: 0,
        }
    }

    /// Delivers what may leave the decoder. Tells whether all of it has left.
    fn deliver(&mut self, output: &mut Output<'_>) -> Result<bool, Fault> {
        while self.flushed_to < self.flushed.len() && output.room() != 0 {
            let rest = self.flushed.get(self.flushed_to..).unwrap_or_default();
            let mark = output.mark();
            self.flushed_to += output.fill(|room| {
                let size = room.len().min(rest.len());
                room[..size].copy_from_slice(&rest[..size]);
                (size, size)
            });
            self.frame.hash(output.since(mark));
        }
        loop {
            let kept = if self.state == State::Draining { 0 } else { self.frame.window };
            let ready = self.decoder.can_collect().saturating_sub(kept);
            let stale = ready.min(self.delivered);
            if stale != 0 {
                self.decoder.collect_to_writer(Discard(stale)).map_err(internal)?;
                self.delivered -= stale;
                continue;
            }
            if ready == 0 || output.room() == 0 {
                return Ok(ready == 0 && self.flushed_to == self.flushed.len());
            }
            let mark = output.mark();
            let decoder = &mut self.decoder;
            output.fill(|room| {
                let size = room.len().min(ready);
                match decoder.read(&mut room[..size]) {
                    Ok(read) => (read, Ok(())),
                    Err(error) => (0, Err(internal(error))),
                }
            })?;
            self.frame.hash(output.since(mark));
        }
    }

    /// Takes everything out of the decoder that was not delivered yet, and puts the window back.
    fn flush(&mut self) -> Result<(), Fault> {
        if self.decoder.can_collect() <= self.delivered {
            return Ok(());
        }
        self.flushed.clear();
        self.decoder.collect_to_writer(&mut self.flushed).map_err(internal)?;
        self.flushed_to = self.delivered;
        let window = self.flushed.len().saturating_sub(self.frame.window);
        let window = self.flushed.get(window..).unwrap_or_default();
        for piece in window.chunks(self.frame.largest_block().max(1)) {
            // A stored block: its header is its size, shifted past the type (0) and the last-block bit.
            let [a, b, c, _] = ((piece.len() as u32) << 3).to_le_bytes();
            decode_block(&mut self.decoder, [a, b, c], piece)?;
        }
        self.delivered = window.len();
        Ok(())
    }

    /// Does what the state is about with the field that it waited for.
    fn step(&mut self, field: &[u8]) -> Result<State, Fault> {
        Ok(match self.state {
            State::Magic => match little_endian(field) as u32 {
                MAGIC => State::Descriptor,
                magic if SKIPPABLE.contains(&magic) => State::SkipLength,
                _ => return Err(Fault::Format("no zstd signature".into())),
            },
            State::SkipLength => State::Skip(little_endian(field) as usize),
            State::Descriptor => State::Header(little_endian(field) as u8),
            State::Header(descriptor) => {
                self.frame = Frame::start(&mut self.decoder, descriptor, field)?;
                self.delivered = 0;
                State::Block
            }
            State::Block => match *field {
                [a, _, _] if a >> 1 & 3 == 3 => return Err(Fault::Format("reserved block type".into())),
                [a, b, c] if block_size([a, b, c]) > MAXIMUM_BLOCK => {
                    return Err(Fault::Format("block too large".into()));
                }
                [a, b, c] => State::Body([a, b, c]),
                _ => State::Block,
            },
            State::Body(header) => {
                let before = self.decoder.can_collect();
                decode_block(&mut self.decoder, header, field)?;
                let size = self.decoder.can_collect().saturating_sub(before);
                if size > self.frame.largest_block() {
                    return Err(Fault::Format("block expands beyond its limit".into()));
                }
                self.frame.decoded = self.frame.decoded.saturating_add(size as u64);
                let last = header[0] & 1 == 1;
                match self.frame.content_size {
                    Some(size) if self.frame.decoded > size => return Err(Fault::Length),
                    Some(size) if last && self.frame.decoded != size => return Err(Fault::Length),
                    _ if last => State::Draining,
                    _ => State::Block,
                }
            }
            State::Checksum => match &self.frame.checksum {
                Some(hash) if hash.sum() as u32 != little_endian(field) as u32 => {
                    return Err(Fault::Checksum);
                }
                _ => State::Magic,
            },
            state @ (State::Skip(_) | State::Draining) => state,
        })
    }
}

impl Coding for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn decode(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
        loop {
            if !self.deliver(output)? {
                return Ok(());
            }
            let wanted = match self.state {
                State::Magic | State::SkipLength | State::Checksum => 4,
                State::Descriptor => 1,
                State::Header(descriptor) => header_size(descriptor),
                State::Block if input.is_empty() && self.held.is_empty() => {
                    self.flush()?;
                    if self.flushed_to == self.flushed.len() {
                        return Ok(());
                    }
                    continue;
                }
                State::Block => 3,
                State::Body(header) if header[0] >> 1 & 3 == 1 => 1,
                State::Body(header) => block_size(header),
                State::Skip(0) => {
                    self.state = State::Magic;
                    continue;
                }
                State::Skip(_) if input.is_empty() => return Ok(()),
                State::Skip(left) => {
                    let size = left.min(input.len());
                    *input = input.get(size..).unwrap_or_default();
                    self.state = State::Skip(left - size);
                    continue;
                }
                State::Draining => {
                    self.state = if self.frame.checksum.is_some() { State::Checksum } else { State::Magic };
                    continue;
                }
            };
            // A block that is there in one piece is decoded where it is.
            let missing = wanted.saturating_sub(self.held.len());
            let Some((piece, rest)) = input.split_at_checked(missing) else {
                self.held.extend_from_slice(input);
                *input = &[];
                return Ok(());
            };
            *input = rest;
            self.state = if self.held.is_empty() {
                self.step(piece)?
            } else {
                let mut field = std::mem::take(&mut self.held);
                field.extend_from_slice(piece);
                let state = self.step(&field)?;
                field.clear();
                self.held = field;
                state
            };
        }
    }

    fn is_complete(&self) -> bool {
        self.state == State::Magic && self.held.is_empty()
    }
}

impl Frame {
    /// RFC 8878 section 3.1.1.1.
    fn start(decoder: &mut FrameDecoder, descriptor: u8, fields: &[u8]) -> Result<Frame, Fault> {
        if descriptor & 0x08 != 0 {
            return Err(Fault::Format("reserved bit of a frame header".into()));
        }
        let (window_field, rest) = fields.split_at(fields.len().min(window_size(descriptor)));
        let (_dictionary, size_field) = rest.split_at(rest.len().min(dictionary_size(descriptor)));
        let content_size = match size_field.len() {
            0 => None,
            2 => Some(little_endian(size_field) + 256),
            _ => Some(little_endian(size_field)),
        };
        let window = match window_field.first() {
            None => content_size.unwrap_or(0),
            Some(byte) => {
                let base = 1u64 << (10 + (byte >> 3));
                base + base / 8 * u64::from(byte & 7)
            }
        };
        if window > MAXIMUM_WINDOW {
            return Err(Fault::Window(window));
        }
        // The checksum is not announced to the decoder: it would wait for it at the end of every
        // block that is marked as the last.
        let descriptor_for_decoder = [descriptor & !0x04];
        let header = MAGIC.to_le_bytes();
        decoder.reset((&header[..]).chain(&descriptor_for_decoder[..]).chain(fields)).map_err(|error| {
            match error {
                FrameDecoderError::DictNotProvided { .. } => Fault::Dictionary,
                FrameDecoderError::WindowSizeTooBig { requested, .. } => Fault::Window(requested),
                FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_)) => {
                    Fault::Format("no zstd signature".into())
                }
                error => Fault::Format(error.to_string().into()),
            }
        })?;
        let checksum = (descriptor & 0x04 != 0).then(Xxh64::new);
        Ok(Frame { window: window as usize, content_size, checksum, decoded: 0 })
    }

    fn hash(&mut self, delivered: &[u8]) {
        if let Some(hash) = &mut self.checksum {
            hash.update(delivered);
        }
    }

    fn largest_block(&self) -> usize {
        self.window.min(MAXIMUM_BLOCK)
    }
}

/// Decodes a block under a header that calls it the last one of its frame.
fn decode_block(decoder: &mut FrameDecoder, header: [u8; 3], body: &[u8]) -> Result<(), Fault> {
    let [a, b, c] = header;
    let header = [a | 1, b, c];
    match decoder.decode_blocks((&header[..]).chain(body), BlockDecodingStrategy::UptoBlocks(1)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::Format(error.to_string().into())),
    }
}

/// The size that a block header states: of the data in the frame, or of the run that is made of
/// one byte.
fn block_size(header: [u8; 3]) -> usize {
    (little_endian(&header) >> 3) as usize
}

/// How many bytes of a frame header follow its descriptor.
fn header_size(descriptor: u8) -> usize {
    let content_size = match descriptor >> 6 {
        0 => usize::from(descriptor & 0x20 != 0),
        flag => 1 << flag,
    };
    window_size(descriptor) + dictionary_size(descriptor) + content_size
}

fn window_size(descriptor: u8) -> usize {
    usize::from(descriptor & 0x20 == 0)
}

fn dictionary_size(descriptor: u8) -> usize {
    [0, 1, 2, 4][usize::from(descriptor & 3)]
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Takes so many bytes off the front of a decoder's buffer.
struct Discard(usize);

impl Write for Discard {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let size = data.len().min(self.0);
        self.0 -= size;
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Neither a slice nor a vector fails as a writer.
fn internal(error: io::Error) -> Fault {
    Fault::Format(error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{MANY_ZSTD, PIPED_ZSTD, TEXT_ZSTD};
    use super::super::tests::{decode, decode_by, decoder, text};
    use super::*;

    const RAW: u8 = 0;
    const RUN: u8 = 1;

    /// The header of a frame of unknown length with a window of 2^log bytes.
    fn frame(log: u8) -> Vec<u8> {
        [&MAGIC.to_le_bytes()[..], &[0, (log - 10) << 3]].concat()
    }

    fn block(kind: u8, last: bool, size: usize, body: &[u8]) -> Vec<u8> {
        let header = (size as u32) << 3 | u32::from(kind) << 1 | u32::from(last);
        [&header.to_le_bytes()[..3], body].concat()
    }

    fn fault(body: &[u8]) -> String {
        decode("zstd", body).expect_err("a bad body").to_string()
    }

    #[test]
    fn frames_follow_each_other_and_some_are_skipped() {
        let skipped = [&0x184D_2A53u32.to_le_bytes()[..], &300u32.to_le_bytes(), &[9; 300]].concat();
        let nothing = [0x184D_2A50u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
        let body = [&skipped, TEXT_ZSTD, &nothing, PIPED_ZSTD, &skipped].concat();
        let twice = [text(), text()].concat();
        assert_eq!(decode("zstd", &body).expect("a good body"), twice);
        assert_eq!(decode_by("zstd", &body, 1, 1).expect("a good body"), twice);
        assert_eq!(decode("zstd", &nothing).expect("nothing but a skipped frame"), b"");
        assert!(fault(&[TEXT_ZSTD, b"garbage"].concat()).contains("no zstd signature"));
        assert!(fault(&[TEXT_ZSTD, b"\0"].concat()).contains("ends in the middle"));
    }

    #[test]
    fn windows_are_limited() {
        let (fine, large) = ([frame(23), block(RAW, true, 1, b"x")].concat(), frame(24));
        assert_eq!(decode("zstd", &fine).expect("8 MiB are fine"), b"x");
        assert!(fault(&large).contains("a window of 16777216 bytes"), "{}", fault(&large));
        // In a single segment the content is the window.
        let segment = [&MAGIC.to_le_bytes()[..], &[0xe0], &(MAXIMUM_WINDOW + 1).to_le_bytes()].concat();
        assert!(fault(&segment).contains("a window of 8388609 bytes"));
        let segment = [&MAGIC.to_le_bytes()[..], &[0xe0], &u64::MAX.to_le_bytes()].concat();
        assert!(fault(&segment).contains("a window of 18446744073709551615 bytes"));
    }

    #[test]
    fn what_does_not_keep_to_the_format_is_refused() {
        assert!(fault(b"<html>").contains("no zstd signature"));
        assert!(fault(&[frame(20), block(3, true, 0, b"")].concat()).contains("reserved block type"));
        assert!(
            fault(&[frame(20), block(RUN, true, MAXIMUM_BLOCK + 1, b"x")].concat()).contains("too large")
        );
        assert!(fault(&[frame(10), block(RUN, true, 1025, b"x")].concat()).contains("corrupt"));
        assert!(fault(&[&MAGIC.to_le_bytes()[..], &[0x21, 7, 0]].concat()).contains("dictionary"));
        assert!(fault(&[&MAGIC.to_le_bytes()[..], &[0x28, 0]].concat()).contains("reserved bit"));
        let short = [&MAGIC.to_le_bytes()[..], &[0x20, 5], &block(RUN, true, 4, b"x")].concat();
        assert!(fault(&short).contains("length"));
        let long = [&MAGIC.to_le_bytes()[..], &[0x20, 5], &block(RUN, false, 4, b"x").repeat(2)].concat();
        assert!(fault(&long).contains("length"));
        let mut body = TEXT_ZSTD.to_vec();
        *body.last_mut().expect("a checksum") ^= 1;
        assert!(fault(&body).contains("checksum"));
    }

    #[test]
    fn a_run_expands_in_bounded_memory() {
        let run = block(RUN, false, MAXIMUM_BLOCK, b"x");
        let body = [frame(23), run.repeat(512), block(RAW, true, 0, b"")].concat();
        let mut decoder = decoder("zstd");
        let (mut rest, mut room, mut total) = (&body[..], vec![0; 4096], 0);
        loop {
            let progress = decoder.decode(rest, &mut room).expect("a good body");
            assert!(room[..progress.produced].iter().all(|byte| *byte == b'x'));
            total += progress.produced;
            rest = &rest[progress.consumed..];
            if !progress.pending {
                break;
            }
        }
        decoder.finish().expect("a whole body");
        assert_eq!(total, 512 * MAXIMUM_BLOCK);
    }

    #[test]
    fn what_was_sent_is_delivered_without_waiting_for_a_window_of_more() {
        // Runs of several windows, so that the decoder's buffer wraps, and compressed blocks
        // that refer to what came before each flush.
        let compressed = &PIPED_ZSTD[6..PIPED_ZSTD.len() - 4];
        let mut expected = Vec::new();
        let mut decoder = decoder("zstd");
        let mut send = |body: &[u8], expected: &[u8]| {
            let mut room = vec![0; 1 << 20];
            let progress = decoder.decode(body, &mut room).expect("a good body");
            assert_eq!((progress.consumed, progress.pending), (body.len(), false));
            assert!(room[..progress.produced] == *expected, "after {} bytes", expected.len());
        };
        send(&frame(18), b"");
        for round in 0..60u8 {
            let piece = [round; 40_000];
            send(&block(RUN, false, piece.len(), &piece[..1]), &piece);
            expected.extend_from_slice(&piece);
            send(&block(RAW, false, 3, b"abc"), b"abc");
            // The text's own block, marked as not the last; it must be whole again each time.
            let mut again = compressed.to_vec();
            again[0] &= !1;
            send(&again, &text());
        }
        send(&block(RAW, true, 0, b""), b"");
        decoder.finish().expect("a whole body");
    }

    #[test]
    fn blocks_refer_to_what_was_delivered_early() {
        let many = text().repeat(150);
        let mut decoder = decoder("zstd");
        let (mut room, mut at, mut total, mut last) = (vec![0; 1 << 18], 6, 0, false);
        decoder.decode(&MANY_ZSTD[..at], &mut room).expect("a frame header");
        while !last {
            let header = [MANY_ZSTD[at], MANY_ZSTD[at + 1], MANY_ZSTD[at + 2]];
            assert_ne!(header[0] >> 1 & 3, RUN);
            last = header[0] & 1 == 1;
            let end = at + 3 + block_size(header);
            let progress = decoder.decode(&MANY_ZSTD[at..end], &mut room).expect("a good block");
            assert!(progress.produced > 60_000 && !progress.pending, "{progress:?}");
            assert!(many[total..].starts_with(&room[..progress.produced]), "{total}");
            (at, total) = (end, total + progress.produced);
        }
        assert_eq!((at, total), (MANY_ZSTD.len(), many.len()));
        decoder.finish().expect("a whole body");
    }
}
