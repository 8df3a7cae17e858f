//! Bodies that come from the user's code: a reader, something that makes readers, or a writer.

use super::pipe::{Fallen, Pipe, Spawn, Taken, failed, feed, read_into};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Mutex, lock};
use std::fmt;
use std::io::{self, Read};
use std::task::Waker;

type Reader = Box<dyn Read + Send>;

/// Where the bytes come from. All clones of a body share it.
pub(crate) enum Stream {
    /// A reader that can be read once.
    Once(Mutex<Option<Reader>>),
    /// Makes a reader whenever one is needed.
    Open(Box<dyn Fn() -> io::Result<Reader> + Send + Sync>),
    /// What is written to the pipe. True once it is being sent.
    Written(Arc<Pipe>, Mutex<bool>),
}

impl Stream {
    /// Whether it was used, and cannot be used again.
    pub(crate) fn is_spent(&self) -> bool {
        match self {
            Stream::Once(reader) => lock(reader).is_none(),
            Stream::Open(_) => false,
            Stream::Written(_, taken) => *lock(taken),
        }
    }

    /// Whoever writes is to stop, for this reason.
    pub(crate) fn close(&self, reason: &Error) {
        if let Stream::Written(pipe, _) = self {
            pipe.close(reason);
        }
    }

    /// Begins to fill a pipe, which is what it comes out of.
    fn start(self: &Arc<Self>, spawn: &Spawn) -> Result<Arc<Pipe>> {
        let pipe = Arc::new(Pipe::default());
        match &**self {
            Stream::Once(reader) => {
                let reader = lock(reader).take().ok_or_else(exhausted)?;
                feed(Arc::clone(&pipe), reader, Arc::clone(spawn));
            }
            Stream::Open(_) => {
                let (stream, pipe) = (Arc::clone(self), Arc::clone(&pipe));
                spawn(Box::new(move || stream.open_into(&pipe)));
            }
            Stream::Written(pipe, taken) => {
                if std::mem::replace(&mut *lock(taken), true) {
                    return Err(exhausted());
                }
                return Ok(Arc::clone(pipe));
            }
        }
        Ok(pipe)
    }

    /// Opening may block and panic as reading may.
    fn open_into(&self, pipe: &Arc<Pipe>) {
        let Stream::Open(open) = self else { return };
        let mut fallen = Fallen(Some(pipe));
        let opened = open();
        fallen.0 = None;
        match opened {
            Ok(reader) => read_into(pipe, reader),
            Err(error) => {
                let _ = pipe.end(Err(failed("opening the body").with_source(error)));
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Nobody can send it any more.
        self.close(&Error::new(ErrorKind::Cancelled, "the body was dropped, and is not sent"));
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Once(_) => "reader",
            Stream::Open(_) => "readers",
            Stream::Written(..) => "writer",
        })
    }
}

/// The error of a body that was used.
pub(crate) fn exhausted() -> Error {
    Error::new(
        ErrorKind::RequestBodyStreamExhausted,
        "sending the body: it is a reader or a writer that was used before, and can be sent once only; \
         make it with Body::from_fn, or give another one in Delegate::need_new_body_stream",
    )
}

/// A stream that is being sent.
pub(crate) struct StreamSource {
    stream: Arc<Stream>,
    declared: Option<u64>,
    waker: Waker,
    spawn: Spawn,
    pipe: Option<Arc<Pipe>>,
}

impl StreamSource {
    /// Nothing is taken from the stream before the first [`next`](StreamSource::next).
    pub(crate) fn new(stream: Arc<Stream>, declared: Option<u64>, waker: Waker, spawn: Spawn) -> Self {
        StreamSource { stream, declared, waker, spawn, pipe: None }
    }

    pub(crate) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next chunk, if there is one already.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Taken> {
        let pipe = match &self.pipe {
            Some(pipe) => pipe,
            None => {
                let pipe = self.stream.start(&self.spawn)?;
                pipe.attach(self.waker.clone());
                self.pipe.insert(pipe)
            }
        };
        pipe.take(buffer, self.declared, &self.spawn)
    }

    /// Nobody wants the rest, for this reason.
    pub(crate) fn stop(&mut self, reason: &Error) {
        if let Some(pipe) = &self.pipe {
            pipe.close(reason);
        }
    }
}

impl Drop for StreamSource {
    /// A writer is told by the end of its task, which knows why; a reader need not know.
    fn drop(&mut self) {
        if !matches!(*self.stream, Stream::Written(..)) {
            self.stop(&Error::cancelled());
        }
    }
}
