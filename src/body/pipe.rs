//! The pipe between whoever has the bytes of a body and whoever sends them: bounded, so that the one
//! goes no faster than the other. Knows bytes; not where they come from, nor where they go.
//!
//! The writing side may wait, and is a thread of the user's ([`BodyWriter`](super::BodyWriter)) or of
//! the pool (`reader`). The sending side waits for nothing: it is woken when there is something again.
//!
//! Lock: `state`. Nothing is called under it, and no code of the user's runs under it.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::task::Waker;

/// How much is held at the most, but for one chunk.
pub(crate) const CAPACITY: usize = 256 * 1024;
/// What goes out in one piece.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Runs a closure that may block, on a thread that may.
pub(crate) type Spawn = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// There is room, or nobody who wants more.
    room: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    /// The bytes in them.
    held: usize,
    taken: u64,
    spare: Option<Vec<u8>>,
    end: Option<Result<()>>,
    closed: Option<Error>,
    /// The sending side found nothing, and is to be woken.
    hungry: bool,
    waker: Option<Waker>,
    /// A reader that stopped because there was no room.
    resting: Option<Box<dyn Read + Send>>,
}

/// What the sending side found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A chunk. `last`: it is known to be the last one.
    Chunk { last: bool },
    /// Nothing yet. The waker is woken when there is more.
    Nothing,
    /// There is no more.
    End,
}

/// How it stands after something was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    More,
    Full,
    /// Nobody wants any more.
    Closed,
}

impl Pipe {
    /// The sending side is there, and will be woken by this.
    pub(crate) fn attach(&self, waker: Waker) {
        lock(&self.state).waker = Some(waker);
    }

    /// Puts bytes in, however full it is.
    pub(crate) fn put(&self, bytes: &[u8]) -> Room {
        let mut state = lock(&self.state);
        if state.closed.is_some() {
            return Room::Closed;
        }
        state.append(bytes);
        let room = if state.held < CAPACITY { Room::More } else { Room::Full };
        wake(state);
        room
    }

    /// Puts some of the bytes in, and waits for room first.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut state = lock(&self.state);
        loop {
            if let Some(reason) = &state.closed {
                return Err(reason.clone());
            }
            if state.held < CAPACITY {
                break;
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = bytes.len().min(CAPACITY - state.held).min(CHUNK);
        state.append(bytes.get(..count).unwrap_or_default());
        wake(state);
        Ok(count)
    }

    /// Nothing more comes: that was all, or what went wrong. The first call counts.
    pub(crate) fn end(&self, end: Result<()>) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        state.end.get_or_insert(end);
        wake(state);
        Ok(())
    }

    /// Nobody takes any more, for this reason. The first call counts.
    pub(crate) fn close(&self, reason: &Error) {
        let mut state = lock(&self.state);
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason.clone());
        state.held = 0;
        let dropped = (std::mem::take(&mut state.chunks), state.resting.take());
        let (hungry, waker) = (std::mem::take(&mut state.hungry), state.waker.take());
        drop(state);
        self.room.notify_all();
        // The drop of a reader is the user's code, and this is how a task ends.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(dropped)));
        // A protocol may be waiting for more.
        if let (true, Some(waker)) = (hungry, waker) {
            waker.wake();
        }
    }

    /// Takes the next chunk, in exchange for a buffer that is not needed any more. `declared`: how
    /// long all of it has to be. What completes it is held back until nothing follows, so that no
    /// peer takes for whole what is not.
    pub(crate) fn take(
        self: &Arc<Self>,
        buffer: &mut Vec<u8>,
        declared: Option<u64>,
        spawn: &Spawn,
    ) -> Result<Taken> {
        let mut state = lock(&self.state);
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        if let Some(Err(error)) = &state.end {
            return Err(error.clone());
        }
        if let Some(declared) = declared {
            let there = state.taken + state.held as u64;
            if there > declared {
                return Err(wrong_length(declared, &format!("{there} and maybe more")));
            }
            if state.end.is_some() && there < declared {
                return Err(wrong_length(declared, &there.to_string()));
            }
            if there == declared && state.end.is_none() && state.chunks.len() < 2 {
                state.hungry = true;
                return Ok(Taken::Nothing);
            }
        }
        let Some(mut chunk) = state.chunks.pop_front() else {
            if state.end.is_some() {
                return Ok(Taken::End);
            }
            state.hungry = true;
            return Ok(Taken::Nothing);
        };
        state.held -= chunk.len();
        state.taken += chunk.len() as u64;
        std::mem::swap(buffer, &mut chunk);
        chunk.clear();
        state.spare = Some(chunk).filter(|spare| spare.capacity() > 0);
        let last = state.chunks.is_empty() && state.end.is_some();
        let rested = if state.held < CAPACITY / 2 { state.resting.take() } else { None };
        drop(state);
        self.room.notify_one();
        if let Some(reader) = rested {
            feed(Arc::clone(self), reader, Arc::clone(spawn));
        }
        Ok(Taken::Chunk { last })
    }

    /// Keeps a reader until there is room. It comes back if there is, or is dropped if nobody wants more.
    fn rest(&self, reader: Box<dyn Read + Send>) -> Option<Box<dyn Read + Send>> {
        let mut state = lock(&self.state);
        if state.closed.is_some() {
            drop(state);
            // Its drop is the user's code.
            drop(reader);
            return None;
        }
        if state.held < CAPACITY / 2 {
            return Some(reader);
        }
        state.resting = Some(reader);
        None
    }
}

impl State {
    fn append(&mut self, bytes: &[u8]) {
        self.held += bytes.len();
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() + bytes.len() <= CHUNK => chunk.extend_from_slice(bytes),
            _ => {
                let mut chunk = self.spare.take().unwrap_or_default();
                chunk.extend_from_slice(bytes);
                self.chunks.push_back(chunk);
            }
        }
    }
}

/// Wakes the sending side if it waits, after the lock is let go.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = if std::mem::take(&mut state.hungry) { state.waker.clone() } else { None };
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Reads into a pipe, on a thread that may block, until it is full, and again when there is room: a
/// reader that waits for the peer holds no thread.
pub(crate) fn feed(pipe: Arc<Pipe>, reader: Box<dyn Read + Send>, spawn: Spawn) {
    let run = Box::new(move || read_into(&pipe, reader));
    spawn(run);
}

/// Reads on this thread until the pipe is full, or there is no more.
pub(crate) fn read_into(pipe: &Arc<Pipe>, reader: Box<dyn Read + Send>) {
    let mut fallen = Fallen(Some(pipe));
    let mut reader = reader;
    let mut buffer = vec![0; CHUNK];
    loop {
        let room = match reader.read(&mut buffer) {
            Ok(0) => {
                let _ = pipe.end(Ok(()));
                break;
            }
            Ok(count) => match buffer.get(..count) {
                Some(bytes) => pipe.put(bytes),
                None => {
                    let _ = pipe.end(Err(failed("the reader says that it read more than was asked for")));
                    break;
                }
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Room::More,
            Err(error) => {
                let _ = pipe.end(Err(failed("reading the body").with_source(error)));
                break;
            }
        };
        match room {
            Room::More => {}
            Room::Closed => break,
            Room::Full => match pipe.rest(reader) {
                Some(back) => reader = back,
                None => {
                    fallen.0 = None;
                    return;
                }
            },
        }
    }
    fallen.0 = None;
}

/// Says what happened if the reader panics.
pub(crate) struct Fallen<'a>(pub(crate) Option<&'a Arc<Pipe>>);

impl Drop for Fallen<'_> {
    fn drop(&mut self) {
        if let Some(pipe) = self.0.take() {
            let _ = pipe.end(Err(failed("the reader of the body panicked")));
        }
    }
}

/// The error of a body that cannot be read.
pub(crate) fn failed(message: &str) -> Error {
    Error::new(ErrorKind::RequestBodyFailed, message)
}

fn wrong_length(declared: u64, there: &str) -> Error {
    failed(&format!("sending the body: {declared} bytes were declared, and it has {there}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::thread;

    fn no_spawn() -> Spawn {
        Arc::new(|_| panic!("nothing is to be spawned"))
    }

    fn on_threads() -> Spawn {
        Arc::new(|run| drop(thread::spawn(run)))
    }

    fn take(pipe: &Arc<Pipe>, declared: Option<u64>) -> (Result<Taken>, Vec<u8>) {
        let mut buffer = Vec::new();
        (pipe.take(&mut buffer, declared, &no_spawn()), buffer)
    }

    #[test]
    fn small_writes_go_out_together_and_in_order() {
        let pipe = Arc::new(Pipe::default());
        for byte in 0..10 {
            assert_eq!(pipe.write(&[byte]).expect("room"), 1);
        }
        let (taken, bytes) = take(&pipe, None);
        assert_eq!(taken.expect("a chunk"), Taken::Chunk { last: false });
        assert_eq!(bytes, (0..10).collect::<Vec<_>>());
        assert_eq!(take(&pipe, None).0.expect("nothing"), Taken::Nothing);
        pipe.end(Ok(())).expect("wanted");
        assert_eq!(take(&pipe, None).0.expect("the end"), Taken::End);
    }

    #[test]
    fn a_full_pipe_takes_no_more_until_there_is_room() {
        let pipe = Arc::new(Pipe::default());
        let data = vec![7; CAPACITY];
        let mut written = 0;
        while written < CAPACITY {
            written += pipe.write(&data[written..]).expect("room");
        }
        let writer = {
            let pipe = Arc::clone(&pipe);
            thread::spawn(move || pipe.write(b"more"))
        };
        assert_eq!(lock(&pipe.state).held, CAPACITY);
        assert!(matches!(take(&pipe, None).0, Ok(Taken::Chunk { last: false })));
        assert_eq!(writer.join().expect("no panic").expect("room"), 4);
        // Whoever waits learns of the close.
        while lock(&pipe.state).held < CAPACITY {
            pipe.write(&data).expect("room");
        }
        let writer = {
            let pipe = Arc::clone(&pipe);
            thread::spawn(move || pipe.write(b"more"))
        };
        pipe.close(&failed("enough"));
        assert!(writer.join().expect("no panic").expect_err("closed").to_string().contains("enough"));
    }

    #[test]
    fn a_declared_length_has_to_be_met() {
        let of = |text: &[u8], declared| {
            let pipe = Arc::new(Pipe::default());
            pipe.write(text).expect("room");
            // What completes it waits for the end.
            if text.len() as u64 == declared {
                assert_eq!(take(&pipe, Some(declared)).0.expect("held back"), Taken::Nothing);
            }
            pipe.end(Ok(())).expect("wanted");
            take(&pipe, Some(declared)).0
        };
        assert_eq!(of(b"12345", 5).expect("as declared"), Taken::Chunk { last: true });
        let error = of(b"12345", 4).expect_err("too long");
        assert!(error.to_string().contains("4 bytes were declared, and it has 5"), "{error}");
        let error = of(b"12345", 6).expect_err("too short");
        assert!(error.to_string().contains("6 bytes were declared, and it has 5"), "{error}");
        assert_eq!(error.kind(), ErrorKind::RequestBodyFailed);
    }

    #[test]
    fn a_reader_rests_while_the_pipe_is_full() {
        let pipe = Arc::new(Pipe::default());
        read_into(&pipe, Box::new(io::repeat(1).take(2 * CAPACITY as u64)));
        assert!(lock(&pipe.state).resting.is_some(), "the thread is free");
        let (mut total, mut buffer) = (0, Vec::new());
        let (sender, woken) = std::sync::mpsc::channel();
        pipe.attach(Waker::from(Arc::new(Bell(Mutex::new(sender)))));
        loop {
            match pipe.take(&mut buffer, None, &on_threads()).expect("no error") {
                Taken::Chunk { .. } => total += buffer.len(),
                Taken::Nothing => woken.recv_timeout(std::time::Duration::from_secs(20)).expect("a wake-up"),
                Taken::End => break,
            }
            assert!(lock(&pipe.state).held <= CAPACITY);
        }
        assert_eq!(total, 2 * CAPACITY);
    }

    struct Bell(Mutex<std::sync::mpsc::Sender<()>>);

    impl std::task::Wake for Bell {
        fn wake(self: Arc<Self>) {
            let _ = lock(&self.0).send(());
        }
    }

    #[test]
    fn a_reader_that_panics_or_lies_is_an_error() {
        struct Lies;
        impl Read for Lies {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len() + 1)
            }
        }
        let pipe = Arc::new(Pipe::default());
        read_into(&pipe, Box::new(Lies));
        assert!(take(&pipe, None).0.is_err());

        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("on purpose")
            }
        }
        let pipe = Arc::new(Pipe::default());
        let other = Arc::clone(&pipe);
        assert!(thread::spawn(move || read_into(&other, Box::new(Panics))).join().is_err());
        let error = take(&pipe, None).0.expect_err("it panicked");
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
