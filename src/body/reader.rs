//! A body that is read rather than sent: by a protocol of the program's own, or by a test.

use super::source::{Host, Next, Source};
use super::{Body, exhausted};
use crate::error::Result;
use crate::sync::{Arc, Condvar, Mutex, lock, thread};
use bytes::Bytes;
use std::io::{self, Read};
use std::sync::PoisonError;
use std::task::{Wake, Waker};

impl Body {
    /// Opens the body to read it, as a server would receive it. For a
    /// [`Protocol`](crate::Protocol), and for tests.
    ///
    /// What can be sent once can be read once.
    ///
    /// ```
    /// use std::io::Read;
    /// use urlsession::Body;
    ///
    /// let mut text = String::new();
    /// Body::reader("from a reader".as_bytes()).open()?.read_to_string(&mut text)?;
    /// assert_eq!(text, "from a reader");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What sending it would fail with: a missing file, or
    /// [`RequestBodyStreamExhausted`](crate::ErrorKind::RequestBodyStreamExhausted). Reading fails with an
    /// [`Error`](crate::Error) inside the [`io::Error`].
    pub fn open(&self) -> Result<impl Read + Send + use<>> {
        if self.is_spent() {
            return Err(exhausted());
        }
        let bell = Arc::new(Bell::default());
        let host = || Host { waker: Waker::from(Arc::clone(&bell)), spawn: Arc::new(spawn) };
        let source = Source::open(self, None, &host)?;
        Ok(Reader { source, bell, buffer: Vec::new(), taken: 0, piece: Bytes::new(), ended: false })
    }
}

struct Reader {
    source: Source,
    bell: Arc<Bell>,
    buffer: Vec<u8>,
    taken: usize,
    piece: Bytes,
    ended: bool,
}

impl Read for Reader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut rest = self.buffer.get(self.taken..).unwrap_or_default();
            if !rest.is_empty() {
                let count = rest.read(target)?;
                self.taken += count;
                return Ok(count);
            }
            if !self.piece.is_empty() {
                let count = self.piece.len().min(target.len());
                return self.piece.split_to(count).as_ref().read(target);
            }
            if self.ended || target.is_empty() {
                return Ok(0);
            }
            self.buffer.clear();
            self.taken = 0;
            match self.source.next(&mut self.buffer)? {
                Next::Bytes(bytes) => self.piece = bytes,
                Next::Buffer { last } => self.ended = last,
                Next::Nothing => self.bell.wait(),
                Next::End => self.ended = true,
            }
        }
    }
}

/// Rings when there is more.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn wait(&self) {
        let mut rung = lock(&self.rung);
        while !std::mem::take(&mut *rung) {
            rung = self.changed.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        *lock(&self.rung) = true;
        self.changed.notify_all();
    }
}

/// What blocks in the user's code has a thread, so that what comes is read as it comes. Where there is
/// none to be had, it is read here.
fn spawn(run: Box<dyn FnOnce() + Send>) {
    let run = Arc::new(Mutex::new(Some(run)));
    let theirs = Arc::clone(&run);
    let take = |run: &Mutex<Option<Box<dyn FnOnce() + Send>>>| lock(run).take();
    let spawned = thread::Builder::new().name("urlsession-body".into()).spawn(move || {
        if let Some(run) = take(&theirs) {
            run();
        }
    });
    if spawned.is_err() {
        if let Some(run) = take(&run) {
            run();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::io::Write;

    fn read(body: &Body) -> Vec<u8> {
        let mut all = Vec::new();
        body.open().expect("a body").read_to_end(&mut all).expect("its bytes");
        all
    }

    #[test]
    fn every_kind_is_read() {
        let long: Vec<u8> = (0..1_000_000).map(|n| (n % 251) as u8).collect();
        assert!(read(&Body::empty()).is_empty());
        assert!(read(&Body::from(long.clone())) == long);
        let from_reader = Body::reader(io::Cursor::new(long.clone()));
        assert!(read(&from_reader) == long);
        let error = from_reader.open().err().expect("it was read");
        assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted);
        let again = {
            let long = long.clone();
            Body::from_fn(move || Ok(io::Cursor::new(long.clone())))
        };
        assert!(read(&again) == long && read(&again) == long);
        let (mut writer, body) = Body::writer();
        let sent = long.clone();
        let write = std::thread::spawn(move || writer.write_all(&sent).and_then(|()| writer.finish()));
        assert!(read(&body) == long);
        write.join().expect("a thread").expect("all was written");
    }

    #[test]
    fn what_fails_says_so() {
        let missing = Body::file("/nowhere/at all").open().err().expect("no file");
        assert_eq!(missing.kind(), ErrorKind::FileDoesNotExist);
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let error = Body::reader(Broken).open().expect("a body").read(&mut [0]).expect_err("broken");
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
