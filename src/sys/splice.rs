//! The kernel's copy path: from a socket to a file by `splice` through a pipe, and from a file to a
//! socket by `sendfile`, so that the bytes of a body over plain TCP are not copied to this process
//! and back. Linux only; elsewhere [`Bounce`] takes its place.
//!
//! CPU seconds for 1 GiB over loopback, the median of five interleaved runs on two busy cores (tmpfs,
//! ext4): received through a buffer of 256 KiB 0.64, 0.51; of 1 MiB 0.60, 0.51; by `splice` through
//! a pipe of 1 MiB 0.59, 0.44, and asking first 0.60, 0.43 (by a peek in place of a poll 0.59, 0.49).
//! A pipe of 256 KiB is no better than a buffer of that size, one of 64 KiB is worse. Sent through a
//! buffer of 256 KiB 0.24, 0.16; of 1 MiB 0.18, 0.15; by a blocking `sendfile` 0.16, 0.10; by one
//! that asks first 0.17, 0.09; by `splice` through a pipe of 1 MiB 0.20, 0.06, on which `sendfile`
//! has the advantage that no bytes are under way when it stops. Wall-clock times differ by less than
//! their spread.
//!
//! Neither call knows `MSG_DONTWAIT`, and the flag of `splice` that is called non-blocking concerns
//! the pipe alone: for the socket it is the mode of the socket that counts, which must not change,
//! or else its timeouts. Thus it is asked first whether there is data or room, of which nobody else
//! takes any, and sending has the shortest timeout that there is for the case that the kernel finds
//! less room than it had promised (it may, short of memory).
//!
//! Where the kernel refuses (file systems without `splice`, sandboxes, too many pipes), the bytes go
//! through a [`Bounce`] from there on, and what is in the pipe first. The caller does not see it.

use super::bounce::{Bounce, partly, send_room};
use super::{Interest, Patience, Socket, no_room, poll_flags, timespec};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, poll};
use rustix::fd::OwnedFd;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use std::fs::File;
use std::io;
use std::time::Duration;

/// What one body goes through, on its way from a socket to files or from files to a socket.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    receiving: Way,
    sending: Way,
    /// Made when it is first needed, given up when the kernel refuses.
    pipe: Option<Pipe>,
    bounce: Bounce,
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Untried,
    Kernel,
    Buffer,
}

#[derive(Debug)]
struct Pipe {
    output: OwnedFd,
    input: OwnedFd,
    /// How many bytes are inside.
    inside: usize,
}

impl Splice {
    /// Without a pipe as yet.
    pub(crate) fn new() -> Splice {
        Splice::default()
    }

    /// How many bytes were received and not drained.
    pub(crate) fn len(&self) -> usize {
        self.bounce.len() + self.pipe.as_ref().map_or(0, |pipe| pipe.inside)
    }

    /// Whether what is received goes through a buffer of this process after all: whoever has a buffer
    /// of its own does better with that.
    pub(crate) fn is_refused(&self) -> bool {
        self.receiving == Way::Buffer
    }

    /// Receives up to `limit` bytes, which is not 0, with the results of
    /// [`Socket::recv`]: `Ok(0)` is the end of the data. What was received before must have been
    /// drained.
    pub(crate) fn receive(&mut self, socket: &Socket, limit: usize, patience: Patience) -> io::Result<usize> {
        if limit == 0 || self.len() > 0 {
            return Err(no_room());
        }
        if self.receiving == Way::Untried {
            // A process that has no more descriptors, or no more memory for pipes, can still read.
            self.pipe = Pipe::new().ok();
            self.receiving = if self.pipe.is_some() { Way::Kernel } else { Way::Buffer };
        }
        let Some(pipe) = self.pipe.as_mut() else { return self.bounce.receive(socket, limit, patience) };
        match pipe.receive(socket, limit, patience) {
            Err(error) if is_refusal(&error) => {
                self.give_up()?;
                self.bounce.receive(socket, limit, patience)
            }
            result => result,
        }
    }

    /// Writes what was received to the file, from `offset` on. Returns how much of it was written,
    /// all of it if nothing failed; what was not is kept. An error says that nothing was.
    pub(crate) fn drain_to_at(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        if let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.inside > 0) {
            match pipe.drain_to_at(file, offset) {
                Err(error) if is_refusal(&error) => self.give_up()?,
                result => return result,
            }
        }
        self.bounce.drain_to_at(file, offset)
    }

    /// Moves what was received and not drained to the end of a vector. Returns how much it was.
    #[cfg(test)]
    pub(crate) fn read_out(&mut self, target: &mut Vec<u8>) -> io::Result<usize> {
        let count = self.bounce.read_out(target)?;
        match self.pipe.as_mut() {
            Some(pipe) => Ok(count + pipe.read_out(target)?),
            None => Ok(count),
        }
    }

    /// Sends from the file, from `offset` on, up to `len` bytes, as much as the socket has room for.
    /// Never waits for the peer: `WouldBlock` says that there is no room. `Ok(0)` is the end of the
    /// file, if `len` is not 0. Does not raise SIGPIPE.
    ///
    /// The kernel reads the file when it sends, and again when it has to send again: what the peer
    /// gets of a file that is changed meanwhile may be any of its versions.
    pub(crate) fn send_file(
        &mut self,
        socket: &Socket,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        if self.sending == Way::Untried {
            // sendfile has no MSG_NOSIGNAL: in a process that has not done so itself, as Rust's
            // programs do, a peer that goes away would end it.
            self.sending = if is_sigpipe_ignored() { Way::Kernel } else { Way::Buffer };
        }
        if self.sending == Way::Buffer {
            return self.bounce.send_file(socket, file, offset, len);
        }
        let len = len.min(send_room(socket)?);
        socket.limit_blocking_sends()?;
        loop {
            match sendfile(socket, file, Some(&mut { offset }), len) {
                Err(Errno::INTR) => {}
                Err(error) if is_refusal(&error.into()) => {
                    self.sending = Way::Buffer;
                    return self.bounce.send_file(socket, file, offset, len);
                }
                result => return Ok(result?),
            }
        }
    }

    /// Has everything go through the buffer from now on, what is in the pipe first.
    fn give_up(&mut self) -> io::Result<()> {
        self.receiving = Way::Buffer;
        if let Some(pipe) = self.pipe.as_mut() {
            pipe.read_out(self.bounce.refill())?;
        }
        self.pipe = None;
        Ok(())
    }
}

impl Pipe {
    fn new() -> io::Result<Pipe> {
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user may have so much memory in pipes and no more, and gets smaller ones near the limit.
        let large = SIZES.iter().any(|size| fcntl_setpipe_size(&input, *size).is_ok());
        if !large && fcntl_getpipe_size(&input)? < LEAST {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(Pipe { output, input, inside: 0 })
    }

    fn receive(&mut self, socket: &Socket, limit: usize, patience: Patience) -> io::Result<usize> {
        let waits = match patience {
            Patience::Never | Patience::UpTo(Some(Duration::ZERO)) => false,
            Patience::UpTo(limit) => {
                socket.set_receive_timeout(limit)?;
                true
            }
        };
        if !waits && !is_readable(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = loop {
            match splice(socket, None, &self.input, None, limit, FLAGS) {
                Err(Errno::INTR) if !waits => {}
                // What is left of the limit is for the caller to work out.
                Err(Errno::INTR) => return Err(io::ErrorKind::WouldBlock.into()),
                result => break result?,
            }
        };
        if received > 0 {
            self.inside += received;
            return Ok(received);
        }
        // It is the end, or else urgent data, which splice does not get past.
        let mut past = [0; 4096];
        let room = past.get_mut(..limit.min(4096)).unwrap_or_default();
        let received = socket.recv(room, patience)?;
        // So little fits into an empty pipe, in one piece.
        let kept = rustix::io::write(&self.input, room.get(..received).unwrap_or_default())?;
        self.inside += kept;
        if kept < received { Err(io::ErrorKind::WriteZero.into()) } else { Ok(received) }
    }

    fn drain_to_at(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        let mut position = offset;
        let mut written = 0;
        while self.inside > 0 {
            match splice(&self.output, None, file, Some(&mut position), self.inside, FLAGS) {
                Ok(0) => return partly(written, io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.inside = self.inside.saturating_sub(count);
                    written += count;
                }
                Err(Errno::INTR) => {}
                Err(error) => return partly(written, error.into()),
            }
        }
        Ok(written)
    }

    fn read_out(&mut self, target: &mut Vec<u8>) -> io::Result<usize> {
        let mut count = 0;
        while self.inside > 0 {
            target.reserve(self.inside);
            match rustix::io::read(&self.output, spare_capacity(target)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.inside = self.inside.saturating_sub(read);
                    count += read;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(count)
    }
}

/// The sizes to ask for. The first is the most that a user may have by default.
const SIZES: [usize; 2] = [1024 * 1024, 256 * 1024];

/// A smaller pipe costs more in system calls than it saves in copying.
const LEAST: usize = 64 * 1024;

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Whether the kernel has no such path between the two, or does not let us use it. If it meant
/// something else by it, the buffer's path says so again.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::OVERFLOW)
    )
}

/// Whether there is data, or the end of it, or an error.
fn is_readable(socket: &Socket) -> io::Result<bool> {
    let mut waiting = [PollFd::new(socket, poll_flags(Interest::READ))];
    loop {
        match poll(&mut waiting, Some(&timespec(Duration::ZERO))) {
            Err(Errno::INTR) => {}
            result => return Ok(result? > 0),
        }
    }
}

fn is_sigpipe_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_sigpipe(&status))
}

/// Reads the set of ignored signals out of a process's status (Linux, proc_pid_status).
fn ignores_sigpipe(status: &str) -> bool {
    const SIGPIPE: u32 = 13;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u128::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (SIGPIPE - 1) & 1 == 1)
}
