//! The operating system: TCP sockets, and waiting for many of them at once. What differs between
//! platforms is in this file and nowhere else.
//!
//! A [`Socket`] is non-blocking only while it connects. After that it is a blocking socket that is
//! read without waiting by `MSG_DONTWAIT`, and with a limit by `SO_RCVTIMEO`, so that its mode
//! never changes under a thread that is using it. Sending never blocks: whoever must wait for room
//! waits in [`poll_sockets`], where `shutdown` reaches it. A [`Splice`] moves bytes between a socket
//! and a file. A [`Poller`] watches the parked sockets
//! of a session: `epoll` with an `eventfd` on Linux, `poll` with a socket pair elsewhere.

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::{AtomicU32, Ordering};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, SockAddr, Type};
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::Poller;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use portable::Poller;

mod bounce;
pub(crate) mod file;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod splice;
pub(crate) mod temporary;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use bounce::Bounce as Splice;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use splice::Splice;

/// How long a receive may wait for the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all: what is there, or `WouldBlock`.
    Never,
    /// As long as this, `None` being for ever. Rounded up to a millisecond; zero is `Never`.
    UpTo(Option<Duration>),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    /// Data to read, the end of the data, or an error.
    pub(crate) const READ: Interest = Interest(1);
    /// Room to write, the end of a connection attempt, or an error.
    pub(crate) const WRITE: Interest = Interest(2);
    /// Either.
    pub(crate) const READ_WRITE: Interest = Interest(3);

    fn reads(self) -> bool {
        self.0 & Interest::READ.0 != 0
    }

    fn writes(self) -> bool {
        self.0 & Interest::WRITE.0 != 0
    }
}

/// A TCP socket, shared by `Arc` between the thread that works with it, the poller that watches it
/// and whoever may cancel. One thread at a time receives and one at a time sends; looking, watching
/// and shutting down are free to all.
#[derive(Debug)]
pub(crate) struct Socket {
    // What pollers remember goes before the descriptor is closed and its number is used again.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    in_epoll: epoll::Registration,
    #[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
    in_portable: portable::Registration,
    /// `SO_RCVTIMEO` as it was last set, in milliseconds; 0 is none.
    receive_timeout: AtomicU32,
    /// `SO_SNDTIMEO` was set.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    sends_limited: AtomicBool,
    /// Where it is connected from and to, as found when the connection was made.
    addresses: OnceLock<(SocketAddr, SocketAddr)>,
    // std's type, because `io::copy` has its splice and sendfile paths for it.
    stream: TcpStream,
}

impl Socket {
    /// Begins to connect. The second result says whether the connection is there already; either
    /// way [`finish_connect`](Socket::finish_connect) is what makes the socket usable.
    pub(crate) fn connect_nonblocking(address: SocketAddr) -> io::Result<(Socket, bool)> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let kind = Type::STREAM.nonblocking();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let kind = Type::STREAM;
        let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        rustix::io::ioctl_fionbio(&socket, true)?;
        let connected = match socket.connect(&SockAddr::from(address)) {
            Ok(()) => true,
            // After an interruption the attempt goes on by itself (POSIX, connect).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => false,
            Err(error) => return Err(error),
        };
        Ok((Socket::from(TcpStream::from(socket)), connected))
    }

    /// Ends a connection attempt: the socket is then blocking and without Nagle's delay. Fails with
    /// `WouldBlock` as long as the attempt goes on. Does not block.
    pub(crate) fn finish_connect(&self) -> io::Result<()> {
        // A socket that has a peer is connected; only one that has none needs to be asked why.
        let peer = match self.stream.peer_addr() {
            Ok(peer) => peer,
            Err(_) => {
                self.connect_outcome()?;
                // A socket that was shut down while it connected is ready too, on some systems
                // without an error; it has no peer.
                self.stream.peer_addr()?
            }
        };
        // A port of this machine that nobody listens on may be given to the connecting socket
        // itself, which then connects to itself (RFC 9293, 3.5: simultaneous open).
        let local = self.stream.local_addr()?;
        if local == peer {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let _ = self.addresses.set((local, peer));
        rustix::io::ioctl_fionbio(&self.stream, false)?;
        self.stream.set_nodelay(true)
    }

    /// How a connection attempt went on: `WouldBlock` while it does, its error if it failed.
    fn connect_outcome(&self) -> io::Result<()> {
        let mut waiting = [PollFd::new(&self.stream, poll_flags(Interest::WRITE))];
        let ready = loop {
            match poll(&mut waiting, Some(&timespec(Duration::ZERO))) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        if ready == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.stream.take_error()?.map_or(Ok(()), Err)
    }

    /// Receives into a buffer, which must have room. `Ok(0)` is the end of the data.
    ///
    /// `WouldBlock` says that nothing came; with [`Patience::UpTo`] it may come before the time has
    /// passed (signals), so a caller with a deadline looks at it again. A kind of `TimedOut` is the
    /// loss of the connection: the peer acknowledges nothing any more.
    pub(crate) fn recv(&self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        if buffer.is_empty() {
            return Err(no_room());
        }
        self.receive(patience, |stream, flags| Ok(rustix::net::recv(stream, &mut *buffer, flags)?.0))
    }

    /// Receives as [`recv`](Socket::recv) does, to the end of a vector, into the capacity that it
    /// has to spare and at most `max` bytes of it. Returns how many bytes were appended. Where the
    /// spare capacity is not larger than `max` it is not zeroed first.
    pub(crate) fn recv_into(
        &self,
        vec: &mut Vec<u8>,
        max: Option<usize>,
        patience: Patience,
    ) -> io::Result<usize> {
        let spare = vec.capacity() - vec.len();
        match max {
            _ if spare == 0 => Err(no_room()),
            Some(max) if max < spare => {
                let old = vec.len();
                vec.resize(old + max.min(MAX_ZEROED), 0);
                let result = match vec.get_mut(old..) {
                    Some(room) => self.recv(room, patience),
                    None => Err(no_room()),
                };
                vec.truncate(old + *result.as_ref().unwrap_or(&0));
                result
            }
            _ => self.receive(patience, |stream, flags| {
                Ok(rustix::net::recv(stream, spare_capacity(vec), flags)?.0)
            }),
        }
    }

    /// Sends from the parts, in one system call, as much as there is room for in the kernel. Never
    /// blocks: `WouldBlock` says that there is no room at all. Does not raise SIGPIPE.
    pub(crate) fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let sent = match parts {
                [] => return Ok(0),
                [part] => rustix::net::send(&self.stream, part, SEND_FLAGS),
                parts => {
                    let parts = parts.get(..MAX_PARTS).unwrap_or(parts);
                    rustix::net::sendmsg(&self.stream, parts, &mut SendAncillaryBuffer::default(), SEND_FLAGS)
                }
            };
            match sent {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Whether the connection is alive as far as can be seen: open, without an error, and with
    /// nothing to read. A look of one system call; nothing is taken.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        loop {
            match rustix::net::recv(&self.stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                result => return result.is_err_and(would_block),
            }
        }
    }

    /// Ends the connection or the attempt at one, in both directions. A thread that is receiving
    /// from the socket or polling it wakes up. Without effect on a socket that has not begun to
    /// connect or has ended.
    pub(crate) fn shutdown(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Has the close of the socket reset the connection. What the peer has not taken would else stay
    /// with the system for minutes, and the peer, which does not read, would not learn of the end.
    pub(crate) fn reset_on_close(&self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Our address.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.addresses.get().map_or_else(|| self.stream.local_addr(), |(local, _)| Ok(*local))
    }

    /// The peer's address.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.addresses.get().map_or_else(|| self.stream.peer_addr(), |(_, peer)| Ok(*peer))
    }

    /// The socket as the standard library knows it, for `io::copy` between it and a file. Its
    /// reads wait as long as the last [`set_receive_timeout`](Socket::set_receive_timeout) says,
    /// its writes as long as it takes; `shutdown` wakes both.
    #[cfg(test)]
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// How long a blocking read of [`stream`](Socket::stream) waits, `None` being for ever. The
    /// kernel is asked only when the value changes.
    pub(crate) fn set_receive_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        // One millisecond is the least, because zero means for ever.
        let milliseconds = timeout.map_or(0, |timeout| whole_milliseconds(timeout).max(1));
        if self.receive_timeout.load(Ordering::Relaxed) == milliseconds {
            return Ok(());
        }
        let timeout = (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()));
        match self.stream.set_read_timeout(timeout) {
            Ok(()) => self.receive_timeout.store(milliseconds, Ordering::Relaxed),
            // macOS refuses once the peer has closed, although there may be data to read; a
            // receive does not wait then, whatever the timeout.
            Err(error) if cfg!(target_vendor = "apple") && error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Has a system call that sends and cannot be told not to wait give up as soon as it can, which
    /// is after a tick of the kernel's clock: 10 ms at the most.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn limit_blocking_sends(&self) -> io::Result<()> {
        if !self.sends_limited.load(Ordering::Relaxed) {
            self.stream.set_write_timeout(Some(Duration::from_millis(1)))?;
            self.sends_limited.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn receive(
        &self,
        patience: Patience,
        mut receive: impl FnMut(&TcpStream, RecvFlags) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let waits = match patience {
            Patience::Never | Patience::UpTo(Some(Duration::ZERO)) => false,
            Patience::UpTo(limit) => {
                self.set_receive_timeout(limit)?;
                true
            }
        };
        let flags = if waits { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        loop {
            match receive(&self.stream, flags) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) if !waits => {}
                // What is left of the limit is for the caller to work out.
                Err(Errno::INTR) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A blocking socket that is connected.
impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Socket {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            in_epoll: Default::default(),
            #[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
            in_portable: Default::default(),
            receive_timeout: AtomicU32::new(0),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            sends_limited: AtomicBool::new(false),
            addresses: OnceLock::new(),
            stream,
        }
    }
}

/// Waits until one of the sockets has what is waited for, has failed or was shut down. Returns
/// whether there is a reason to look at them: `false` only after the timeout, which is rounded up
/// to a millisecond; `None` is for ever. A signal is a reason to look, too.
pub(crate) fn poll_sockets(sources: &[(&Socket, Interest)], timeout: Option<Duration>) -> io::Result<bool> {
    if sources.is_empty() && timeout.is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "waiting for ever for no socket"));
    }
    let mut waiting: Vec<PollFd<'_>> =
        sources.iter().map(|(socket, interest)| PollFd::new(&socket.stream, poll_flags(*interest))).collect();
    match poll(&mut waiting, timeout.map(timespec).as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process, or the machine, has as many files open as it may.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whether this machine does not speak the address's version of IP.
pub(crate) fn is_family_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT))
}

/// The most parts of one `sendmsg` (Linux: UIO_MAXIOV; POSIX lets more fail).
const MAX_PARTS: usize = 1024;

/// The most bytes that are zeroed to receive fewer than a vector has room for.
const MAX_ZEROED: usize = 64 * 1024;

// Apple's systems have an option in place of the flag, which socket2 sets on every new socket.
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT;
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// To receive nothing would look like the end of the data.
fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "receiving into a buffer without room")
}

fn would_block(error: Errno) -> bool {
    error == Errno::AGAIN || error == Errno::WOULDBLOCK
}

/// Rounded up, so that a wait does not end just before its deadline and turn into a spin.
fn whole_milliseconds(duration: Duration) -> u32 {
    // 24 days are enough: every caller looks at its deadline again.
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
    u32::try_from(milliseconds).unwrap_or(i32::MAX as u32)
}

fn timespec(timeout: Duration) -> Timespec {
    let milliseconds = i64::from(whole_milliseconds(timeout));
    Timespec { tv_sec: (milliseconds / 1000) as _, tv_nsec: (milliseconds % 1000 * 1_000_000) as _ }
}

fn poll_flags(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.reads());
    flags.set(PollFlags::OUT, interest.writes());
    flags
}

/// Watching with `epoll`, woken by an `eventfd`.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll {
    use super::{Interest, Socket, timespec};
    use crate::sync::atomic::{AtomicBool, Ordering};
    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::fd::OwnedFd;
    use rustix::io::Errno;
    use std::io;
    use std::mem::MaybeUninit;
    use std::time::Duration;

    /// The most sockets one wait reports; the others are reported by the next.
    const EVENTS: usize = 256;
    const WAKE_KEY: u64 = u64::MAX;

    /// Whether a socket is probably known to an `epoll`: with `EPOLL_CTL_ADD` or `_MOD` tried
    /// first accordingly, arming is one system call.
    #[derive(Debug, Default)]
    pub(crate) struct Registration(AtomicBool);

    /// Watches any number of sockets for one thread. Sockets may be armed, and the waiting thread
    /// woken, by any thread.
    #[derive(Debug)]
    pub(crate) struct Poller {
        epoll: OwnedFd,
        wake: OwnedFd,
    }

    impl Poller {
        pub(crate) fn new() -> io::Result<Poller> {
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            epoll::add(&epoll, &wake, EventData::new_u64(WAKE_KEY), EventFlags::IN)?;
            Ok(Poller { epoll, wake })
        }

        /// Has the socket reported once under `key`, which is any number but `u64::MAX`, when it
        /// has what is waited for, has failed or was shut down. Arming again replaces key and
        /// interest. A socket that is closed is forgotten.
        pub(crate) fn arm(&self, socket: &Socket, key: u64, interest: Interest) -> io::Result<()> {
            if key == WAKE_KEY {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the key is taken"));
            }
            let mut flags = EventFlags::ONESHOT;
            // A peer that has closed its half stays reported for ever, which must not keep those
            // busy who wait for room to write.
            flags.set(EventFlags::IN | EventFlags::RDHUP, interest.reads());
            flags.set(EventFlags::OUT, interest.writes());
            let data = EventData::new_u64(key);
            let known = &socket.in_epoll.0;
            // Another thread, or another poller, may have made the note wrong.
            if known.load(Ordering::Relaxed) {
                match epoll::modify(&self.epoll, socket, data, flags) {
                    Err(Errno::NOENT) => epoll::add(&self.epoll, socket, data, flags)?,
                    result => result?,
                }
            } else {
                match epoll::add(&self.epoll, socket, data, flags) {
                    Err(Errno::EXIST) => epoll::modify(&self.epoll, socket, data, flags)?,
                    result => result?,
                }
                known.store(true, Ordering::Relaxed);
            }
            Ok(())
        }

        /// Forgets the socket. A report of it that a waiting thread has already taken still comes.
        #[cfg(test)]
        pub(crate) fn disarm(&self, socket: &Socket) -> io::Result<()> {
            socket.in_epoll.0.store(false, Ordering::Relaxed);
            match epoll::delete(&self.epoll, socket) {
                Err(Errno::NOENT) => Ok(()),
                result => Ok(result?),
            }
        }

        /// Waits for armed sockets and leaves the keys of those reported in `keys`, at most 256 of
        /// them. There are none after the timeout, a wake-up or a signal.
        pub(crate) fn wait(&self, timeout: Option<Duration>, keys: &mut Vec<u64>) -> io::Result<()> {
            keys.clear();
            let mut buffer = [MaybeUninit::<Event>::uninit(); EVENTS];
            let timeout = timeout.map(timespec);
            let events = match epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
                Ok((events, _)) => events,
                Err(Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            for event in events {
                let data = event.data;
                match data.u64() {
                    WAKE_KEY => {
                        // It fails only when another thread has drained it first.
                        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
                    }
                    key => keys.push(key),
                }
            }
            Ok(())
        }

        /// Makes the wait that is under way, or else the next one, return. Many calls do what one
        /// does.
        pub(crate) fn wake(&self) {
            // It fails only when the counter is full, and then the wait returns anyhow.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }
}

/// Watching with `poll`, woken through a socket pair, for systems without `epoll`.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
mod portable {
    use super::{Interest, Socket, poll_flags, timespec};
    use crate::sync::{Arc, Mutex, lock};
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::io::Errno;
    use std::collections::HashMap;
    use std::io::{self, Read, Write};
    use std::os::fd::{AsRawFd, RawFd};
    use std::os::unix::net::UnixStream;
    use std::sync::Weak;
    use std::time::Duration;

    /// Watches any number of sockets for one thread. Sockets may be armed, and the waiting thread
    /// woken, by any thread.
    #[derive(Debug)]
    pub(crate) struct Poller {
        shared: Arc<Shared>,
        woken: UnixStream,
    }

    #[derive(Debug)]
    struct Shared {
        /// The armed sockets by the number of their duplicate.
        armed: Mutex<HashMap<RawFd, Armed>>,
        wake: UnixStream,
    }

    #[derive(Clone, Debug)]
    struct Armed {
        duplicate: Arc<OwnedFd>,
        key: u64,
        interest: Interest,
    }

    /// A socket's place in a poller. The poller waits on a duplicate of the descriptor, which
    /// cannot be closed under it; when the socket goes, this takes the duplicate with it.
    #[derive(Debug, Default)]
    pub(crate) struct Registration(Mutex<Option<(Weak<Shared>, Arc<OwnedFd>)>>);

    impl Poller {
        pub(crate) fn new() -> io::Result<Poller> {
            let (wake, woken) = UnixStream::pair()?;
            wake.set_nonblocking(true)?;
            woken.set_nonblocking(true)?;
            Ok(Poller { shared: Arc::new(Shared { armed: Mutex::default(), wake }), woken })
        }

        /// Has the socket reported once under `key` when it has what is waited for, has failed or
        /// was shut down. Arming again replaces key and interest. A socket that is closed is
        /// forgotten.
        pub(crate) fn arm(&self, socket: &Socket, key: u64, interest: Interest) -> io::Result<()> {
            let mut registration = lock(&socket.in_portable.0);
            let here = Arc::downgrade(&self.shared);
            let duplicate = match &*registration {
                Some((poller, duplicate)) if poller.ptr_eq(&here) => duplicate.clone(),
                _ => {
                    let duplicate = Arc::new(socket.as_fd().try_clone_to_owned()?);
                    leave(registration.replace((here, duplicate.clone())));
                    duplicate
                }
            };
            let number = duplicate.as_raw_fd();
            lock(&self.shared.armed).insert(number, Armed { duplicate, key, interest });
            // A wait that is under way does not know of it yet.
            self.wake();
            Ok(())
        }

        /// Forgets the socket.
        #[cfg(test)]
        pub(crate) fn disarm(&self, socket: &Socket) -> io::Result<()> {
            leave(lock(&socket.in_portable.0).take());
            Ok(())
        }

        /// Waits for armed sockets and leaves the keys of those reported in `keys`. There are none
        /// after the timeout, a wake-up or a signal, and when a socket was armed meanwhile.
        pub(crate) fn wait(&self, timeout: Option<Duration>, keys: &mut Vec<u64>) -> io::Result<()> {
            keys.clear();
            let watched: Vec<Armed> = lock(&self.shared.armed).values().cloned().collect();
            let mut waiting = vec![PollFd::new(&self.woken, PollFlags::IN)];
            waiting.extend(
                watched.iter().map(|armed| PollFd::new(&armed.duplicate, poll_flags(armed.interest))),
            );
            match poll(&mut waiting, timeout.map(timespec).as_ref()) {
                Ok(_) => {}
                Err(Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            let mut reports = waiting.iter().map(|waiting| !waiting.revents().is_empty());
            if reports.next() == Some(true) {
                while matches!((&self.woken).read(&mut [0; 64]), Ok(1..)) {}
            }
            let mut armed = lock(&self.shared.armed);
            for (seen, _) in watched.iter().zip(reports).filter(|(_, reported)| *reported) {
                let number = seen.duplicate.as_raw_fd();
                // It may have been disarmed, or armed otherwise, since it was looked up.
                let same = |now: &Armed| now.key == seen.key && now.interest == seen.interest;
                if armed.get(&number).is_some_and(same) {
                    armed.remove(&number);
                    keys.push(seen.key);
                }
            }
            Ok(())
        }

        /// Makes the wait that is under way, or else the next one, return. Many calls do what one
        /// does.
        pub(crate) fn wake(&self) {
            self.shared.wake();
        }
    }

    impl Shared {
        fn wake(&self) {
            // It fails only when the pipe is full, and then the wait returns anyhow.
            let _ = (&self.wake).write(&[1]);
        }
    }

    impl Drop for Registration {
        fn drop(&mut self) {
            leave(lock(&self.0).take());
        }
    }

    fn leave(registration: Option<(Weak<Shared>, Arc<OwnedFd>)>) {
        let Some((poller, duplicate)) = registration else { return };
        if let Some(poller) = poller.upgrade() {
            if lock(&poller.armed).remove(&duplicate.as_raw_fd()).is_some() {
                // A wait that is under way keeps the duplicate, and with it the connection, open.
                poller.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
