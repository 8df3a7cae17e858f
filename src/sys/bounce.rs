//! Bytes between a socket and a file through a buffer: the way that every system and every file
//! allows. It is what [`Splice`](super::Splice) is where the kernel has no copy path of its own, and
//! what it goes over to where the kernel's path is refused.

use super::{Interest, Patience, Socket, no_room, poll_flags, timespec};
use rustix::event::{PollFd, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Bounce {
    buffer: Vec<u8>,
    /// How much of the buffer has been drained.
    drained: usize,
}

impl Bounce {
    /// Without a buffer as yet.
    #[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
    pub(crate) fn new() -> Bounce {
        Bounce::default()
    }

    /// How many bytes were received and not drained.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.drained
    }

    /// Whether the kernel has no path of its own.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn is_refused(&self) -> bool {
        true
    }

    /// Receives up to `limit` bytes, which is not 0, with the results of
    /// [`Socket::recv`]: `Ok(0)` is the end of the data. What was received before must have been
    /// drained.
    pub(crate) fn receive(&mut self, socket: &Socket, limit: usize, patience: Patience) -> io::Result<usize> {
        if limit == 0 || self.len() > 0 {
            return Err(no_room());
        }
        self.restart();
        self.buffer.reserve_exact(RECEIVING);
        socket.recv_into(&mut self.buffer, Some(limit), patience)
    }

    /// Writes what was received to the file, from `offset` on. Returns how much of it was written,
    /// all of it if nothing failed; what was not is kept. An error says that nothing was.
    pub(crate) fn drain_to_at(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        let mut written = 0;
        while let Some(rest @ [_, ..]) = self.buffer.get(self.drained..) {
            match file.write_at(rest, offset.saturating_add(written as u64)) {
                Ok(0) => return partly(written, io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.drained += count;
                    written += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return partly(written, error),
            }
        }
        Ok(written)
    }

    /// Moves what was received and not drained to the end of a vector. Returns how much it was.
    #[cfg(test)]
    pub(crate) fn read_out(&mut self, target: &mut Vec<u8>) -> io::Result<usize> {
        let rest = self.buffer.get(self.drained..).unwrap_or_default();
        let count = rest.len();
        target.extend_from_slice(rest);
        self.drained += count;
        Ok(count)
    }

    /// Sends from the file, from `offset` on, up to `len` bytes, as much as the socket has room for.
    /// Never waits for the peer: `WouldBlock` says that there is no room. `Ok(0)` is the end of the
    /// file, if `len` is not 0. Does not raise SIGPIPE.
    pub(crate) fn send_file(
        &mut self,
        socket: &Socket,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        if self.len() > 0 {
            return Err(no_room());
        }
        // No more is read than will be taken: what is not would have to be read again.
        let len = len.min(send_room(socket)?).min(SENDING);
        self.restart();
        self.buffer.resize(len, 0);
        let read = loop {
            match file.read_at(&mut self.buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let result = read.and_then(|count| {
            socket.send(&[IoSlice::new(self.buffer.get(..count.min(len)).unwrap_or_default())])
        });
        self.buffer.clear();
        result
    }

    /// A vector to put bytes into that were received in another way, and are to be drained from here.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn refill(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn restart(&mut self) {
        self.buffer.clear();
        self.drained = 0;
    }
}

/// How many bytes the socket takes now without waiting, and possibly more. `WouldBlock` if it has no
/// room. A socket that has failed has room for finding out.
///
/// A TCP socket is writable when a third of its send buffer is free. The kernel looks for room before
/// it adds a segment, and not for what it adds to the data, so a third goes in.
pub(super) fn send_room(socket: &Socket) -> io::Result<usize> {
    let mut waiting = [PollFd::new(socket, poll_flags(Interest::WRITE))];
    let ready = loop {
        match poll(&mut waiting, Some(&timespec(Duration::ZERO))) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    if ready == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok((socket2::SockRef::from(socket).send_buffer_size()? / 3).max(LEAST))
}

/// What was done before an error is a result; the error comes again if there is reason.
pub(super) fn partly(done: usize, error: io::Error) -> io::Result<usize> {
    if done > 0 { Ok(done) } else { Err(error) }
}

/// Files are written faster in large pieces; some file systems lay them out better, too.
const RECEIVING: usize = 1024 * 1024;

/// Larger falls out of the processor's caches between the read and the send.
const SENDING: usize = 256 * 1024;

/// Sending less than this at once is no use, whatever the size of the send buffer.
const LEAST: usize = 1024;
