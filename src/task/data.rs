//! Data tasks: a request, and its response in memory or through a reader.

use super::core::{Opened, TaskCore};
use super::kind::in_memory;
use super::{Data, Task, TaskKind};
use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use bytes::Bytes;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// A request whose response is collected in memory, read, or handed to a delegate piece by piece.
/// `URLSessionDataTask`.
pub type DataTask = Task<Data>;

/// The body as a reader: for data and upload tasks.
impl<K: TaskKind<Body = Bytes>> Task<K> {
    /// Waits for the head of the response, and gives the body as a reader.
    ///
    /// The body is read by the thread that reads, as it reads: what it does not read stays with the
    /// peer (TCP back-pressure), and no more than a buffer is held in memory. Dropping the reader
    /// before the end cancels the task. The idle timeout counts only while a read waits.
    ///
    /// # Errors
    /// Whatever kept the head from arriving. [`ErrorKind::ResourceUnavailable`] if the body was
    /// already taken by another call.
    pub fn open(&self) -> Result<Response<BodyReader>> {
        match self.core().open() {
            Opened::Streaming => match self.core().head() {
                Some(head) => Ok(Response::new(
                    head,
                    BodyReader { core: Arc::clone(self.core()), source: Source::Task },
                )),
                None => Err(Error::new(ErrorKind::Unknown, "a body without a head")),
            },
            Opened::Outcome(outcome) => outcome.map(|response| {
                response.map(|content| BodyReader {
                    core: Arc::clone(self.core()),
                    source: Source::Memory(in_memory(content)),
                })
            }),
            Opened::Taken => Err(Error::new(
                ErrorKind::ResourceUnavailable,
                "opening the body: it was opened before; a body has one reader",
            )),
        }
    }
}

/// The body of a response, read as it arrives.
pub struct BodyReader {
    core: Arc<TaskCore>,
    source: Source,
}

enum Source {
    Task,
    Memory(Bytes),
}

impl Read for BodyReader {
    /// Reads what is there, and waits if nothing is. Errors of the task are [`Error`]s inside the
    /// [`io::Error`] ([`io::Error::get_ref`]).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        match &mut self.source {
            Source::Task => self.core.read(buffer).map_err(io::Error::from),
            Source::Memory(bytes) => {
                let piece = bytes.split_to(bytes.len().min(buffer.len()));
                if let Some(target) = buffer.get_mut(..piece.len()) {
                    target.copy_from_slice(&piece);
                }
                Ok(piece.len())
            }
        }
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        if matches!(self.source, Source::Task) {
            self.core.close_reader();
        }
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("task", &self.core.id).finish_non_exhaustive()
    }
}
