//! A body that is being sent: opened, and given out piece by piece.

use super::file::FileSource;
use super::pipe::{Spawn, Taken};
use super::section::Section;
use super::stream::{StreamSource, exhausted};
use super::{Body, BodyKind};
use crate::error::{Error, Result};
use crate::sync::Arc;
use bytes::Bytes;
use std::task::Waker;

/// See the module's documentation.
pub(crate) enum Source {
    Bytes(Bytes),
    File(FileSource),
    Stream(StreamSource),
    Parts(Parts),
    Section(Box<Section>),
}

/// Several bodies, one after the other.
pub(crate) struct Parts {
    /// Those to come, the next one last.
    bodies: Vec<Body>,
    /// What each of them has to be long, as far as it is known.
    lengths: Vec<Option<u64>>,
    current: Option<Box<Source>>,
    length: Option<u64>,
    host: Host,
}

/// What a source needs of who sends it.
#[derive(Clone)]
pub(crate) struct Host {
    /// Woken when there is more.
    pub(crate) waker: Waker,
    /// Where the user's code runs.
    pub(crate) spawn: Spawn,
}

/// What a source gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These bytes.
    Bytes(Bytes),
    /// What is in the buffer. `last`: it is known to be the last.
    Buffer { last: bool },
    /// Nothing yet. The waker is woken when there is more.
    Nothing,
    /// There is no more.
    End,
}

impl Source {
    /// Opens a body. `declared` is the length of a stream that does not know its own.
    pub(crate) fn open(body: &Body, declared: Option<u64>, host: &dyn Fn() -> Host) -> Result<Source> {
        let of_stream = |stream: &Arc<_>| {
            let Host { waker, spawn } = host();
            let length = body.declared.or(declared);
            Source::Stream(StreamSource::new(Arc::clone(stream), length, waker, spawn))
        };
        Ok(match &body.kind {
            BodyKind::Empty => Source::Bytes(Bytes::new()),
            BodyKind::Bytes(bytes) => Source::Bytes(bytes.clone()),
            BodyKind::File(file, stream) => {
                if file.is_regular()? {
                    Source::File(file.open()?)
                } else {
                    of_stream(stream)
                }
            }
            BodyKind::Stream(stream) => of_stream(stream),
            BodyKind::Parts(parts) => Source::Parts(Parts::open(parts, host())?),
            BodyKind::Asked => return Err(exhausted()),
        })
    }

    /// The length; `None` if only the end will tell.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Source::Bytes(bytes) => Some(bytes.len() as u64),
            Source::File(file) => Some(file.len()),
            Source::Stream(stream) => stream.declared(),
            Source::Parts(parts) => parts.length,
            Source::Section(section) => section.len(),
        }
    }

    /// Whether there is no body at all.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Source::Bytes(bytes) if bytes.is_empty())
    }

    /// The next piece, if there is one. Some sources put it into the buffer.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Next> {
        match self {
            Source::Bytes(bytes) if bytes.is_empty() => Ok(Next::End),
            Source::Bytes(bytes) => Ok(Next::Bytes(std::mem::take(bytes))),
            Source::File(file) => {
                Ok(if file.next(buffer)? { Next::Buffer { last: false } } else { Next::End })
            }
            Source::Stream(stream) => Ok(match stream.next(buffer)? {
                Taken::Chunk { last } => Next::Buffer { last },
                Taken::Nothing => Next::Nothing,
                Taken::End => Next::End,
            }),
            Source::Parts(parts) => parts.next(buffer),
            Source::Section(section) => section.next(buffer),
        }
    }

    /// Nobody wants the rest, for this reason.
    pub(crate) fn stop(&mut self, reason: &Error) {
        match self {
            Source::Stream(stream) => stream.stop(reason),
            Source::Parts(parts) => {
                if let Some(current) = parts.current.as_deref_mut() {
                    current.stop(reason);
                }
            }
            Source::Section(section) => section.stop(reason),
            Source::Bytes(_) | Source::File(_) => {}
        }
        *self = Source::default();
    }
}

impl Default for Source {
    fn default() -> Self {
        Source::Bytes(Bytes::new())
    }
}

impl Parts {
    /// Finds out how long all of it is. Files are opened when it is their turn, so that a form of
    /// many needs one descriptor; they have to be then as they are now.
    fn open(bodies: &[Body], host: Host) -> Result<Parts> {
        let mut lengths = Vec::with_capacity(bodies.len());
        for body in bodies {
            lengths.push(Source::open(body, None, &|| host.clone())?.len());
        }
        let length = lengths.iter().try_fold(0u64, |sum, length| sum.checked_add((*length)?));
        let bodies = bodies.iter().rev().cloned().collect();
        lengths.reverse();
        Ok(Parts { bodies, lengths, current: None, length, host })
    }

    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Next> {
        loop {
            if let Some(current) = self.current.as_deref_mut() {
                match current.next(buffer)? {
                    Next::End => self.current = None,
                    Next::Buffer { .. } => return Ok(Next::Buffer { last: false }),
                    other => return Ok(other),
                }
            }
            let (Some(body), Some(length)) = (self.bodies.pop(), self.lengths.pop()) else {
                return Ok(Next::End);
            };
            let source = Source::open(&body, None, &|| self.host.clone())?;
            if source.len() != length {
                return Err(super::pipe::failed(&format!(
                    "sending {body:?}: its length was {length:?} at first, and is {:?} now",
                    source.len()
                )));
            }
            self.current = Some(Box::new(source));
        }
    }
}
