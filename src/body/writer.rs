//! A body that is written rather than read.

use super::pipe::{Pipe, failed};
use crate::error::Error;
use crate::sync::Arc;
use std::fmt;
use std::io::{self, Write};

/// The writing end of a body, from [`Body::writer`](crate::Body::writer).
///
/// What is written is sent by the task that has the body. Writing waits while 256 KiB have not gone
/// out: it goes as fast as the server takes it. So the task has to be started by then, by
/// [`resume`](crate::Task::resume) or by another thread that waits for it.
///
/// The body ends with [`finish`](BodyWriter::finish). A writer that is dropped without fails the task,
/// as [`abort`](BodyWriter::abort) does: the server sees a message that breaks off, and cannot take a
/// part for the whole.
///
/// Once the task is over, or does not want the rest because the server has answered already, writing
/// fails with [`io::ErrorKind::BrokenPipe`]; inside of that error is the [`Error`] that says why.
///
/// ```no_run
/// use std::io::Write;
/// use urlsession::{Body, Request, Session};
///
/// let (mut writer, body) = Body::writer();
/// let task = Session::shared().upload_task(Request::post("https://example.com/log"), body);
/// task.resume();
/// for number in 0..1000 {
///     writeln!(writer, "line {number}")?;
/// }
/// writer.finish()?;
/// println!("{}", task.wait()?.status());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BodyWriter {
    pipe: Arc<Pipe>,
    ended: bool,
}

impl BodyWriter {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        BodyWriter { pipe, ended: false }
    }

    /// Ends the body. What was written may still be on its way; the task tells when it has arrived.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] if the task is over already.
    pub fn finish(mut self) -> io::Result<()> {
        self.ended = true;
        self.pipe.end(Ok(())).map_err(broken)
    }

    /// Ends the task with an error of kind
    /// [`RequestBodyFailed`](crate::ErrorKind::RequestBodyFailed), whose source is the reason.
    pub fn abort(mut self, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.ended = true;
        let _ = self.pipe.end(Err(failed("the body was aborted by who wrote it").with_source(reason)));
    }
}

impl Write for BodyWriter {
    /// Hands bytes on, waiting for room first.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.pipe.write(bytes).map_err(broken)
    }

    /// Does nothing: what was written is on its way.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.ended {
            let error = failed("the writer of the body was dropped before finish() was called");
            let _ = self.pipe.end(Err(error));
        }
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyWriter")
    }
}

fn broken(reason: Error) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, reason)
}
