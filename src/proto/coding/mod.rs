//! Content codings (RFC 9110 section 8.4): turns the body that the wire carries into the one the
//! program asked for. Knows the `Content-Encoding` field, the codings that are compiled in, and
//! how to stack them; knows nothing of how the body was framed or where it goes.
//!
//! ```text
//! for_encoding ─▶ decode ─▶ decode ─▶ … ─▶ finish      decode may fail, and then goes on failing
//! ```
//!
//! What the codings have in common:
//! - A body of no bytes is an empty body whatever its coding: servers label those too.
//! - A body that ends inside its coding is an error: half a page must not look like a page.
//! - What follows the end of a gzip, deflate or br stream is ignored, zeros or not, as browsers
//!   do; a further gzip member is decoded. zstd has frames instead, so what follows a frame must
//!   be a frame.
//! - Memory is bounded whatever the input: some 50 KiB for gzip and deflate, 16 MiB for br and about
//!   25 MiB for zstd when a stream makes use of the largest window allowed, and 16 KiB between
//!   stacked codings. How much a small body may expand is for the caller to say, who owns the
//!   output buffer.
// Without any coding compiled in nothing makes use of what the codings share.
#![cfg_attr(not(any(feature = "gzip", feature = "brotli", feature = "zstd")), allow(dead_code))]

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(feature = "gzip")]
mod deflate;
#[cfg(feature = "gzip")]
mod gzip;
mod output;
#[cfg(feature = "zstd")]
mod zstd;

use crate::error::{Error, ErrorKind, Result};
use output::Output;
use std::borrow::Cow;

/// The value of `Accept-Encoding` that asks for what is compiled in; `None` when nothing is.
pub const ACCEPT_ENCODING: Option<&str> =
    match (cfg!(feature = "gzip"), cfg!(feature = "brotli"), cfg!(feature = "zstd")) {
        (true, true, true) => Some("gzip, deflate, br, zstd"),
        (true, true, false) => Some("gzip, deflate, br"),
        (true, false, true) => Some("gzip, deflate, zstd"),
        (true, false, false) => Some("gzip, deflate"),
        (false, true, true) => Some("br, zstd"),
        (false, true, false) => Some("br"),
        (false, false, true) => Some("zstd"),
        (false, false, false) => None,
    };

/// How many codings a body may be wrapped in. Nobody uses more than two; a long list is a way to
/// make a small body expand beyond measure.
const MAXIMUM_CODINGS: usize = 5;

/// How much decoded data may pass between stacked codings in one call, so that a caller gets to
/// look at its deadlines and its cancel flag even when a bomb inside a bomb yields no output.
const BUDGET: usize = 1024 * 1024;

/// The size of a buffer between two stacked codings.
const BETWEEN: usize = 16 * 1024;

/// Decodes the body of one response.
pub struct Decoder {
    /// In the order in which they are taken off: the reverse of the order in the field.
    layers: Vec<Layer>,
    /// What went wrong; a decoder that has failed goes on failing.
    failed: Option<Error>,
}

/// What one call of [`Decoder::decode`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes of the input were taken.
    pub consumed: usize,
    /// How many bytes were written to the output.
    pub produced: usize,
    /// Whether there may be more output without more input: call again, with what is left of the
    /// input, before reading more from the wire. When it is false all input was consumed.
    pub pending: bool,
}

impl Decoder {
    /// The decoder for the values of a response's `Content-Encoding` fields, in order.
    ///
    /// `None` when there is nothing to decode, and also when one of the codings is unknown or not
    /// compiled in: such a body is delivered as it is, with its `Content-Encoding` telling the
    /// program what it got.
    ///
    /// # Errors
    ///
    /// `CannotDecodeContentData` when more than five codings are stacked.
    pub fn for_encoding<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Result<Option<Decoder>> {
        let mut layers = Vec::new();
        for value in values {
            for name in value.as_ref().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                let Some(coding) = coding_named(name) else { return Ok(None) };
                if layers.len() == MAXIMUM_CODINGS {
                    return Err(Error::new(
                        ErrorKind::CannotDecodeContentData,
                        format!(
                            "decoding the body: its Content-Encoding stacks more than {MAXIMUM_CODINGS} codings"
                        ),
                    ));
                }
                layers.push(Layer { coding, taken: 0, decoded: Vec::new(), passed: 0 });
            }
        }
        layers.reverse();
        Ok(if layers.is_empty() { None } else { Some(Decoder { layers, failed: None }) })
    }

    /// Decodes some of `input` into `output`. Unless `output` is empty, repeated calls get on as
    /// long as there is input, or output [`pending`](Progress::pending).
    ///
    /// # Errors
    ///
    /// `CannotDecodeContentData`, naming the coding and how far into it the fault is.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress> {
        self.run(input, Output::Slice(output, 0))
    }

    /// Like [`decode`](Decoder::decode), into the spare capacity of a vector, which is not
    /// reallocated: the caller reserves what it is willing to take.
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Decoder::decode). What was decoded before the fault is in the vector.
    pub fn decode_to_vec(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<Progress> {
        self.run(input, Output::Spare(output))
    }

    /// To be called at the end of the body, once nothing is pending any more.
    ///
    /// # Errors
    ///
    /// `CannotDecodeContentData` when the body ended before its coding did.
    pub fn finish(&mut self) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.layers.iter().find(|layer| layer.taken != 0 && !layer.coding.is_complete()) {
            None => Ok(()),
            Some(layer) => {
                let error = layer.error("the body ends in the middle of it");
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn run(&mut self, mut input: &[u8], mut output: Output<'_>) -> Result<Progress> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let (before, start) = (input.len(), output.mark());
        if output.room() == 0 {
            return Ok(Progress { pending: true, ..Progress::default() });
        }
        let mut budget = BUDGET;
        match pull(&mut self.layers, &mut input, &mut output, &mut budget) {
            Ok(pending) => Ok(Progress {
                consumed: before - input.len(),
                produced: output.mark() - start,
                pending: pending || !input.is_empty(),
            }),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// One coding of a stack.
struct Layer {
    coding: Box<dyn Coding>,
    /// How many bytes of the coding were taken in.
    taken: u64,
    /// What was decoded for the next coding of the stack, which has taken `passed` bytes of it.
    decoded: Vec<u8>,
    passed: usize,
}

impl Layer {
    fn decode(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<()> {
        let before = input.len();
        let result = self.coding.decode(input, output);
        self.taken += (before - input.len()) as u64;
        result.map_err(|fault| self.error(&fault.describe()))
    }

    fn error(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::CannotDecodeContentData,
            format!(
                "decoding the body's {} coding: {what}, {} bytes into it",
                self.coding.name(),
                self.taken
            ),
        )
    }
}

/// Fills `output` from the last of `layers`, which feeds on those before it, the first of which
/// feeds on `input`. Tells whether there may be more.
fn pull(
    layers: &mut [Layer],
    input: &mut &[u8],
    output: &mut Output<'_>,
    budget: &mut usize,
) -> Result<bool> {
    let Some((last, below)) = layers.split_last_mut() else { return Ok(false) };
    if below.is_empty() {
        last.decode(input, output)?;
        return Ok(output.room() == 0);
    }
    loop {
        // The coding may hold output of its own, so it is asked before it is fed.
        if let Some(feeder) = below.last_mut() {
            let mut rest = feeder.decoded.get(feeder.passed..).unwrap_or_default();
            let result = last.decode(&mut rest, output);
            feeder.passed = feeder.decoded.len() - rest.len();
            result?;
        }
        if output.room() == 0 || *budget == 0 {
            return Ok(true);
        }
        // Taken out for the time being: the layer cannot be borrowed for its buffer and itself.
        let mut decoded =
            below.last_mut().map(|feeder| std::mem::take(&mut feeder.decoded)).unwrap_or_default();
        decoded.clear();
        decoded.reserve_exact(BETWEEN);
        let more = pull(below, input, &mut Output::Spare(&mut decoded), budget);
        let gained = decoded.len();
        *budget = budget.saturating_sub(gained);
        if let Some(feeder) = below.last_mut() {
            (feeder.decoded, feeder.passed) = (decoded, 0);
        }
        let more = more?;
        if gained == 0 {
            return Ok(more);
        }
    }
}

/// A content coding in the middle of a body.
trait Coding: Send {
    /// Its registered name.
    fn name(&self) -> &'static str;

    /// Takes from the front of `input` and writes to `output`, until all input is taken and
    /// everything it gives is written, or there is no room left.
    fn decode(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> std::result::Result<(), Fault>;

    /// Whether the body may end here.
    fn is_complete(&self) -> bool;
}

/// What is wrong with a body.
#[derive(Debug)]
enum Fault {
    /// It does not keep to the format.
    Format(Cow<'static, str>),
    /// Its checksum is that of other data.
    #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(dead_code))]
    Checksum,
    /// It is shorter or longer than it says.
    #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(dead_code))]
    Length,
    /// It asks for more memory than is given to it.
    #[cfg(feature = "zstd")]
    Window(u64),
    /// It needs a dictionary, which HTTP has no way to agree on.
    #[cfg(feature = "zstd")]
    Dictionary,
}

impl Fault {
    fn describe(&self) -> Cow<'static, str> {
        match self {
            Fault::Format(what) => format!("the body is corrupt or not in this coding ({what})").into(),
            Fault::Checksum => "the body is corrupt (its checksum does not match)".into(),
            Fault::Length => "the body is corrupt (its length is not the one it states)".into(),
            #[cfg(feature = "zstd")]
            Fault::Window(size) => format!(
                "it needs a window of {size} bytes, more than the {} that RFC 9659 allows",
                zstd::MAXIMUM_WINDOW
            )
            .into(),
            #[cfg(feature = "zstd")]
            Fault::Dictionary => "it needs a dictionary, and there is none".into(),
        }
    }
}

/// The coding of a name (RFC 9110 section 8.4.1, RFC 7932, RFC 8878), if it is compiled in.
fn coding_named(name: &[u8]) -> Option<Box<dyn Coding>> {
    match name.to_ascii_lowercase().as_slice() {
        #[cfg(feature = "gzip")]
        b"gzip" | b"x-gzip" => Some(Box::new(gzip::Gzip::new())),
        #[cfg(feature = "gzip")]
        b"deflate" => Some(Box::new(deflate::Deflate::new())),
        #[cfg(feature = "brotli")]
        b"br" => Some(Box::new(brotli::Brotli::new())),
        #[cfg(feature = "zstd")]
        b"zstd" => Some(Box::new(zstd::Zstd::new())),
        _ => None,
    }
}

#[cfg(all(test, any(feature = "brotli", feature = "zstd")))]
mod fixtures;
#[cfg(test)]
mod tests;
