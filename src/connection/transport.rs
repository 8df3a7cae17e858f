//! One connection: a socket, TLS over it or not, and what was received but not yet consumed.
//!
//! Reading and writing never wait on their own account: the [`Patience`] says whether `recv` may
//! block (a thread that lends itself) or not (a worker), and sending never blocks. Idle connections
//! hold no buffers: they are borrowed from the session's [`Buffers`] while something is received.

use super::buffer::Buffer;
#[cfg(feature = "tls")]
use super::buffer::SendBuffer;
#[cfg(feature = "tls")]
use super::tls::{Decrypted, Handshake, MAX_PLAINTEXT, TlsInfo, TlsSettings, TlsStream};
use crate::error::{Error, ErrorKind};
use crate::sync::{Arc, Mutex, lock};
#[cfg(feature = "tls")]
use crate::sys::Interest;
use crate::sys::{Patience, Socket, Splice};
#[cfg(feature = "tls")]
use crate::trust::ServerTrust;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// Room for a response head and a small body in one read; large bodies bypass it.
const INPUT: usize = 64 * 1024;
/// How many pipes are kept for the next to need one: two descriptors each.
const PIPES: usize = 4;
/// How much is encrypted before it is sent: several records a system call, in memory that stays in the
/// processor's caches and that the allocator keeps.
#[cfg(feature = "tls")]
const SEAL: usize = 7 * MAX_PLAINTEXT;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes of plaintext, at least one.
    Bytes(usize),
    /// The peer is done. Over TLS, `clean` says that it said so (close_notify); plain TCP cannot.
    End { clean: bool },
    /// Nothing yet, or the time is up.
    Nothing,
}

/// What a write achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// So many bytes were taken.
    Bytes(usize),
    /// So many bytes were taken, possibly none, and the socket has no more room.
    Full(usize),
}

/// Where the handshake of TLS stands.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) enum Securing {
    /// It is done.
    Done,
    /// It waits for the peer.
    Wait(Interest),
    /// Somebody has to judge the server before anything more is said:
    /// [`accept`](Connection::accept).
    Trust(ServerTrust),
    /// The server asks for a certificate by one of these authorities, as the DER of their names:
    /// [`identify`](Connection::identify).
    Identity(Vec<Vec<u8>>),
}

/// For whom a connection is good whose server is trusted by a delegate and by nobody else.
// Without TLS there is nobody to trust.
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exception {
    /// For all tasks: their session has said so, of whom all of them would ask first.
    Session,
    /// For the tasks without a delegate of their own, which would ask the same one.
    Shared,
    /// For one task, by its number.
    Own(u64),
}

/// Who wants a connection: a task by its number, and whether it has a delegate of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) task: u64,
    pub(crate) has_own_delegate: bool,
}

impl Exception {
    /// Whether it holds for who asks.
    pub(crate) fn holds_for(self, asker: Asker) -> bool {
        match self {
            Exception::Session => true,
            Exception::Shared => !asker.has_own_delegate,
            Exception::Own(task) => task == asker.task,
        }
    }
}

/// What is known about a connection, for metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionInfo {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) tls_version: Option<u16>,
    pub(crate) tls_cipher_suite: Option<u16>,
    pub(crate) tls_resumed: bool,
}

/// Receive buffers, and pipes, that connections borrow.
pub(crate) struct Buffers {
    spare: Mutex<Vec<Vec<u8>>>,
    pipes: Mutex<Vec<Splice>>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Buffers { spare: Mutex::new(Vec::new()), pipes: Mutex::new(Vec::new()) }
    }

    fn take_pipe(&self) -> Splice {
        lock(&self.pipes).pop().unwrap_or_default()
    }

    fn give_pipe(&self, pipe: Splice) {
        let mut pipes = lock(&self.pipes);
        if pipe.len() == 0 && !pipe.is_refused() && pipes.len() < PIPES {
            pipes.push(pipe);
        }
    }

    fn take(&self) -> Vec<u8> {
        lock(&self.spare).pop().unwrap_or_else(|| Vec::with_capacity(INPUT))
    }

    fn give(&self, mut storage: Vec<u8>) {
        // What grew or never was ours is not kept; nor are more than a busy session uses at once.
        if storage.capacity() < INPUT || storage.capacity() > 2 * INPUT {
            return;
        }
        storage.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < 64 {
            spare.push(storage);
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.spare).clear();
        lock(&self.pipes).clear();
    }
}

/// See the module's documentation.
pub(crate) struct Connection {
    socket: Arc<Socket>,
    #[cfg(feature = "tls")]
    tls: Option<Box<Tls>>,
    input: Buffer,
    /// How files are sent, once one was.
    splice: Option<Box<Splice>>,
    buffers: Arc<Buffers>,
    info: ConnectionInfo,
    /// The last receive left room, so the socket had no more at that time.
    drained: bool,
    /// The server is trusted in spite of what is wrong with its certificate.
    exception: Option<Exception>,
    /// It was authenticated as somebody, or that was tried: what the server makes of further requests
    /// depends on that, so it is for nobody else.
    pub(crate) is_personal: bool,
    /// How many exchanges it has carried.
    pub(crate) exchanges: u32,
    /// In the middle of a request or of the body of a response. A connection that ends there is reset:
    /// nobody is to wait for a peer that neither reads nor says so. Linux leaves one that found our
    /// window closed to its probes for a minute, if the last receive was overtaken by `shutdown`.
    pub(crate) midway: bool,
}

#[cfg(feature = "tls")]
struct Tls {
    stream: TlsStream,
    cipher: Buffer,
    outgoing: SendBuffer,
    /// The peer said that nothing more comes.
    closed: bool,
}

impl Connection {
    pub(crate) fn new(socket: Arc<Socket>, buffers: Arc<Buffers>) -> Self {
        let info = ConnectionInfo {
            local: socket.local_addr().ok(),
            remote: socket.peer_addr().ok(),
            ..ConnectionInfo::default()
        };
        Connection {
            socket,
            #[cfg(feature = "tls")]
            tls: None,
            input: Buffer::new(),
            splice: None,
            buffers,
            info,
            drained: true,
            exception: None,
            is_personal: false,
            exchanges: 0,
            midway: false,
        }
    }

    /// Begins TLS; [`handshake`](Connection::handshake) has to be driven to its end before anything
    /// else.
    #[cfg(feature = "tls")]
    pub(crate) fn start_tls(&mut self, settings: &TlsSettings, host: &str) -> Result<(), Error> {
        self.tls = Some(Box::new(Tls {
            stream: TlsStream::new(settings, host)?,
            cipher: Buffer::new(),
            outgoing: SendBuffer::new(),
            closed: false,
        }));
        Ok(())
    }

    /// Carries the handshake on, receiving once at the most.
    #[cfg(feature = "tls")]
    pub(crate) fn handshake(&mut self, patience: Patience) -> Result<Securing, Error> {
        let mut received = false;
        loop {
            let Some(tls) = self.tls.as_mut() else { return Ok(Securing::Done) };
            let step = tls.stream.handshake(&mut tls.cipher, &mut tls.outgoing);
            match step {
                Ok(Handshake::Done) => {
                    // The last flight goes out together with the request.
                    let TlsInfo { version, cipher_suite, resumed, .. } = tls.stream.info();
                    self.info.tls_version = Some(version);
                    self.info.tls_cipher_suite = Some(cipher_suite);
                    self.info.tls_resumed = resumed;
                    return Ok(Securing::Done);
                }
                Ok(Handshake::NeedsTrust) => return tls.stream.server_trust().map(Securing::Trust),
                Ok(Handshake::NeedsIdentity) => return Ok(Securing::Identity(tls.stream.authorities())),
                Ok(Handshake::NeedsInput) | Err(_) => {}
            }
            // What TLS has to say goes out first, and an alert goes out also when it failed.
            let flushed = flush(&self.socket, &mut tls.outgoing);
            let _ = step?;
            if !flushed.map_err(|error| lost("sending the TLS handshake", error))? {
                return Ok(Securing::Wait(Interest::WRITE));
            }
            if received {
                return Ok(Securing::Wait(Interest::READ));
            }
            match self.receive_cipher(patience).map_err(|error| lost("TLS handshake", error))? {
                Received::Bytes(_) => received = true,
                Received::End { .. } => {
                    return Err(Error::new(
                        ErrorKind::SecureConnectionFailed,
                        "TLS handshake: the server closed the connection before it was done",
                    ));
                }
                Received::Nothing => return Ok(Securing::Wait(Interest::READ)),
            }
        }
    }

    /// The server is trusted, in spite of the rules if there is an exception for it.
    #[cfg(feature = "tls")]
    pub(crate) fn accept(&mut self, exception: Option<Exception>) {
        self.exception = exception;
        if let Some(tls) = self.tls.as_mut() {
            tls.stream.accept(exception.is_some());
        }
    }

    /// The server gets the certificate that is offered, or none if none is.
    #[cfg(feature = "tls")]
    pub(crate) fn identify(&mut self) {
        if let Some(tls) = self.tls.as_mut() {
            tls.stream.identify();
        }
    }

    /// Whether a server that asks for a certificate gets one.
    #[cfg(feature = "tls")]
    pub(crate) fn has_identity(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.stream.has_identity())
    }

    /// Whether that is one that was given for the server, and not the configured one.
    #[cfg(feature = "tls")]
    pub(crate) fn has_given_identity(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.stream.has_given_identity())
    }

    /// Whether the server is trusted only because somebody said so, whatever is wrong with its
    /// certificate. What it says counts for nothing beyond the exchange (RFC 6797, section 8.1).
    #[cfg(feature = "tls")]
    pub(crate) fn is_overridden(&self) -> bool {
        self.exception.is_some()
    }

    /// Whether it may carry a request of who asks.
    pub(crate) fn is_good_for(&self, asker: Asker) -> bool {
        self.exception.is_none_or(|exception| exception.holds_for(asker))
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// What was received and not consumed.
    pub(crate) fn input(&self) -> &[u8] {
        self.input.filled()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// Receives more into [`input`](Connection::input).
    pub(crate) fn fill(&mut self, patience: Patience) -> Result<Received, Error> {
        if self.input.is_empty() && self.input.capacity() == 0 {
            self.input = Buffer::from(self.buffers.take());
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.fill_tls(patience, &mut Destination::Input);
        }
        let spare = self.input.spare(INPUT / 4);
        let result = self.socket.recv_into(spare, None, patience);
        self.drained = spare.len() < spare.capacity();
        received(result)
    }

    /// Receives straight into the end of a vector, `limit` bytes at the most. Only while
    /// [`input`](Connection::input) is empty.
    pub(crate) fn receive_vec(
        &mut self,
        target: &mut Vec<u8>,
        limit: usize,
        patience: Patience,
    ) -> Result<Received, Error> {
        debug_assert!(self.input.is_empty());
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.fill_tls(patience, &mut Destination::Vec(target, limit));
        }
        let result = self.socket.recv_into(target, Some(limit), patience);
        self.drained = result.as_ref().is_ok_and(|count| *count < limit) && target.len() < target.capacity();
        received(result)
    }

    /// Receives straight into a slice. Only while [`input`](Connection::input) is empty.
    pub(crate) fn receive_slice(&mut self, target: &mut [u8], patience: Patience) -> Result<Received, Error> {
        debug_assert!(self.input.is_empty());
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.fill_tls(patience, &mut Destination::Slice(target, 0));
        }
        let result = self.socket.recv(target, patience);
        self.drained = result.as_ref().is_ok_and(|count| *count < target.len());
        received(result)
    }

    /// Whether what is received needs nothing done to it on its way to a file.
    pub(crate) fn is_plain(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        true
    }

    /// Receives, `limit` bytes at the most, by the kernel's copy path, out of which `drain` has to take
    /// all. Only while [`input`](Connection::input) is empty, and only on a
    /// [plain](Connection::is_plain) connection.
    ///
    /// The second result says that the kernel has refused: what it did not want to copy went through a
    /// buffer, and there is no use in trying it with the next bytes. An error of `drain`'s is passed on.
    pub(crate) fn receive_file(
        &mut self,
        limit: usize,
        patience: Patience,
        drain: &mut dyn FnMut(&mut Splice) -> Result<(), Error>,
    ) -> Result<(Received, bool), Error> {
        debug_assert!(self.input.is_empty() && self.is_plain());
        let mut pipe = self.buffers.take_pipe();
        let result = received(pipe.receive(&self.socket, limit, patience))?;
        // Whether there was more in the socket it does not say.
        self.drained = false;
        if matches!(result, Received::Bytes(_)) {
            drain(&mut pipe)?;
        }
        let refused = pipe.is_refused();
        self.buffers.give_pipe(pipe);
        Ok((result, refused))
    }

    /// Sends as much of the parts as the socket takes.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) -> Result<Written, Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_mut() {
            // A little that waits to go out goes with what comes now.
            let little = !tls.outgoing.is_begun() && tls.outgoing.len() < SEAL / 8;
            if !little && !flush(&self.socket, &mut tls.outgoing).map_err(|error| lost("sending", error))? {
                return Ok(Written::Full(0));
            }
            let mut taken = 0;
            let mut some: Vec<&[u8]> = Vec::with_capacity(parts.len());
            for part in parts {
                let part = part.get(..part.len().min(SEAL - taken)).unwrap_or_default();
                taken += part.len();
                some.push(part);
            }
            tls.stream.encrypt(&some, &mut tls.outgoing)?;
            let all = flush(&self.socket, &mut tls.outgoing).map_err(|error| lost("sending", error))?;
            return Ok(if all { Written::Bytes(taken) } else { Written::Full(taken) });
        }
        let sent = match parts {
            [one] => self.socket.send(&[IoSlice::new(one)]),
            [one, two] => self.socket.send(&[IoSlice::new(one), IoSlice::new(two)]),
            _ => {
                let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
                self.socket.send(&slices)
            }
        };
        match sent {
            Ok(count) if count < parts.iter().map(|part| part.len()).sum() => Ok(Written::Full(count)),
            Ok(count) => Ok(Written::Bytes(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written::Full(0)),
            Err(error) => Err(lost("sending", error)),
        }
    }

    /// Has the kernel send some of a file, as much as the socket takes; 0 bytes are the end of the
    /// file. `None` if it cannot, because the bytes have to be encrypted.
    pub(crate) fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        len: usize,
    ) -> Result<Option<Written>, Error> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return Ok(None);
        }
        let splice = self.splice.get_or_insert_with(|| Box::new(Splice::new()));
        match splice.send_file(&self.socket, file, offset, len) {
            Ok(count) => Ok(Some(Written::Bytes(count))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(Written::Full(0))),
            // It tells not whether the file or the socket failed.
            Err(error) if is_of_network(&error) => Err(lost("sending", error)),
            Err(error) => Err(Error::new(ErrorKind::RequestBodyFailed, "sending a file").with_source(error)),
        }
    }

    /// Sends what TLS has sealed and the socket did not take. True when all of it is out.
    pub(crate) fn flush(&mut self) -> Result<bool, Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_mut() {
            return flush(&self.socket, &mut tls.outgoing).map_err(|error| lost("sending", error));
        }
        Ok(true)
    }

    /// Whether the connection is fit to carry another exchange, as far as can be told without a
    /// system call: nothing is left over, and nothing is owed.
    pub(crate) fn is_clean(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.input.is_empty() && tls.cipher.is_empty() && tls.outgoing.is_empty() && !tls.closed;
        }
        self.input.is_empty()
    }

    /// Whether the connection may be kept for another exchange. What the peer sent beyond the end of
    /// a response may still be in the socket, if no more was received than the response: it would be
    /// taken for the next one.
    pub(crate) fn is_reusable(&mut self) -> bool {
        self.is_clean() && (self.drained || self.is_alive())
    }

    /// Whether the peer is silent, as it has to be between two exchanges. TLS peers may have sent
    /// session tickets, which are taken in here.
    pub(crate) fn is_alive(&mut self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return matches!(self.fill(Patience::Never), Ok(Received::Nothing)) && self.is_clean();
        }
        self.socket.is_quiet()
    }

    /// Says goodbye to the peer of an idle connection (RFC 8446, section 6.1), if that costs no
    /// waiting. A connection that is closed within or right after an exchange ends without: either
    /// the peer closes it anyway, or it is meant to see that it was cut off.
    pub(crate) fn close(#[cfg_attr(not(feature = "tls"), allow(unused_mut))] mut self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_mut() {
            if tls.outgoing.is_empty() && !tls.closed {
                tls.stream.close_notify(&mut tls.outgoing);
                let _ = flush(&self.socket, &mut tls.outgoing);
            }
        }
    }

    /// Gives buffers back that hold nothing. Before it waits for long.
    pub(crate) fn release_buffers(&mut self) {
        self.release_input();
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_mut() {
            if tls.outgoing.is_empty() && tls.outgoing.capacity() > 4096 {
                tls.outgoing = SendBuffer::new();
            }
        }
    }

    /// The same for buffers that are received to.
    pub(crate) fn release_input(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.buffers.give(self.input.take());
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_mut() {
            if tls.cipher.is_empty() && tls.cipher.capacity() > 0 {
                self.buffers.give(tls.cipher.take());
            }
        }
    }

    /// Decrypts what is there into the destination, receiving once if that is nothing.
    #[cfg(feature = "tls")]
    fn fill_tls(&mut self, patience: Patience, to: &mut Destination<'_>) -> Result<Received, Error> {
        loop {
            let Some(tls) = self.tls.as_mut() else { return Ok(Received::Nothing) };
            let mut count = 0;
            let input = &mut self.input;
            let buffers = &self.buffers;
            let decrypted = if tls.cipher.is_empty() {
                if tls.closed { Decrypted::PeerClosed } else { Decrypted::NeedsInput }
            } else {
                tls.stream.decrypt(&mut tls.cipher, &mut tls.outgoing, &mut |plain| {
                    count += plain.len();
                    to.take(plain, input, buffers)
                })?
            };
            tls.closed |= matches!(decrypted, Decrypted::PeerClosed);
            if !tls.outgoing.is_empty() {
                // Answers to key updates. If they cannot go out now, the next write takes them along.
                let _ = flush(&self.socket, &mut tls.outgoing);
            }
            if count > 0 {
                return Ok(Received::Bytes(count));
            }
            if tls.closed {
                return Ok(Received::End { clean: true });
            }
            match self.receive_cipher(patience).map_err(|error| lost("receiving", error))? {
                Received::Bytes(_) => {}
                other => return Ok(other),
            }
        }
    }

    #[cfg(feature = "tls")]
    fn receive_cipher(&mut self, patience: Patience) -> io::Result<Received> {
        let Some(tls) = self.tls.as_mut() else { return Ok(Received::Nothing) };
        if tls.cipher.is_empty() && tls.cipher.capacity() == 0 {
            tls.cipher = Buffer::from(self.buffers.take());
        }
        let spare = tls.cipher.spare(INPUT / 2);
        let result = self.socket.recv_into(spare, None, patience);
        self.drained = spare.len() < spare.capacity();
        match result {
            Ok(0) => Ok(Received::End { clean: false }),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.input.clear();
        if self.midway {
            self.socket.reset_on_close();
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_mut() {
            tls.cipher.clear();
        }
        self.release_buffers();
    }
}

/// Where decrypted bytes go.
#[cfg(feature = "tls")]
enum Destination<'a> {
    Input,
    Vec(&'a mut Vec<u8>, usize),
    Slice(&'a mut [u8], usize),
}

#[cfg(feature = "tls")]
impl Destination<'_> {
    /// Takes a piece; what has no room goes to the input buffer. False when no more is wanted.
    fn take(&mut self, plain: &[u8], input: &mut Buffer, buffers: &Buffers) -> bool {
        let (room, wanted) = match self {
            Destination::Input => (0, true),
            Destination::Vec(target, limit) => {
                let count = plain.len().min(*limit);
                target.extend_from_slice(plain.get(..count).unwrap_or_default());
                *limit -= count;
                (count, *limit > 0)
            }
            Destination::Slice(target, used) => {
                let count = plain.len().min(target.len() - *used);
                if let (Some(to), Some(from)) = (target.get_mut(*used..*used + count), plain.get(..count)) {
                    to.copy_from_slice(from);
                }
                *used += count;
                (count, *used < target.len())
            }
        };
        let rest = plain.get(room..).unwrap_or_default();
        if !rest.is_empty() {
            if input.capacity() == 0 {
                *input = Buffer::from(buffers.take());
            }
            input.extend(rest);
        }
        // A head needs one record at a time, a body as much as fits.
        wanted && input.filled().len() < INPUT / 2
    }
}

/// Sends pending bytes. True when all are out.
#[cfg(feature = "tls")]
fn flush(socket: &Socket, outgoing: &mut SendBuffer) -> io::Result<bool> {
    if outgoing.is_empty() {
        return Ok(true);
    }
    match socket.send(&[IoSlice::new(outgoing.filled())]) {
        // If it did not take all, it has no more room.
        Ok(count) => outgoing.consume(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(outgoing.is_empty())
}

fn received(result: io::Result<usize>) -> Result<Received, Error> {
    match result {
        Ok(0) => Ok(Received::End { clean: true }),
        Ok(count) => Ok(Received::Bytes(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
        Err(error) => Err(lost("receiving", error)),
    }
}

fn is_of_network(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionReset
            | ConnectionAborted
            | NotConnected
            | TimedOut
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}

/// An I/O error on an established connection.
fn lost(doing: &str, error: io::Error) -> Error {
    let what = match error.kind() {
        io::ErrorKind::ConnectionReset => "the peer reset the connection",
        io::ErrorKind::BrokenPipe => "the peer closed the connection",
        _ => "the connection failed",
    };
    Error::new(ErrorKind::NetworkConnectionLost, format!("{doing}: {what}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_whom_exceptions_are() {
        let plain = |task| Asker { task, has_own_delegate: false };
        let own = |task| Asker { task, has_own_delegate: true };
        for (exception, for_plain, for_own, for_same) in [
            (Exception::Session, true, true, true),
            (Exception::Shared, true, false, false),
            (Exception::Own(7), false, false, true),
        ] {
            assert_eq!(exception.holds_for(plain(1)), for_plain);
            assert_eq!(exception.holds_for(own(1)), for_own);
            assert_eq!(exception.holds_for(own(7)), for_same);
        }
    }
}
