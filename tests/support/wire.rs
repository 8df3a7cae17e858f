//! One connection as the server sees it: TCP or TLS over it, bytes read ahead, and the ways to end it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ServerConnection;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A connection; reads and writes go through TLS where the server has it.
pub struct Wire {
    tcp: Arc<TcpStream>,
    tls: Option<Box<ServerConnection>>,
    ahead: Vec<u8>,
    consumed: usize,
    at_end: bool,
}

impl Wire {
    pub(super) fn new(tcp: Arc<TcpStream>) -> Wire {
        Wire { tcp, tls: None, ahead: Vec::new(), consumed: 0, at_end: false }
    }

    /// The socket below. What is read from it here is missing above.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The TLS connection, where there is one.
    pub fn tls(&self) -> Option<&ServerConnection> {
        self.tls.as_deref()
    }

    /// Makes the connection a TLS one and shakes hands; for STARTTLS, or a TLS server in a tunnel.
    pub fn start_tls(&mut self, mut tls: ServerConnection) -> io::Result<()> {
        // What came together with the plain text before may be the ClientHello already.
        let mut early = &self.ahead[self.consumed..];
        while !early.is_empty() && tls.read_tls(&mut early)? > 0 {}
        self.ahead.clear();
        self.consumed = 0;
        let result = match tls.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let result = result.and_then(|()| {
            while tls.is_handshaking() {
                tls.complete_io(&mut &*self.tcp)?;
            }
            Ok(())
        });
        self.tls = Some(Box::new(tls));
        result.and_then(|()| self.flush_tls())
    }

    /// What has been read and not yet consumed.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead[self.consumed..]
    }

    /// Takes up to `count` bytes out of what has been read ahead.
    pub(super) fn consume(&mut self, count: usize) -> Vec<u8> {
        let end = self.ahead.len().min(self.consumed + count);
        let taken = self.ahead[self.consumed..end].to_vec();
        self.consumed = end;
        if self.consumed == self.ahead.len() {
            self.ahead.clear();
            self.consumed = 0;
        }
        taken
    }

    /// Reads more; 0 at the end.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 32 * 1024];
        let count = self.receive(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Ends what this side has to say: `close_notify` over TLS, and FIN.
    pub fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.flush_tls();
        }
        self.truncate();
    }

    /// FIN without a `close_notify`: over TLS that looks like an attack that cuts the answer short.
    pub fn truncate(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Has the close of the socket send RST, by SO_LINGER with a time of 0.
    pub fn reset_on_close(&self) {
        let _ = socket2::SockRef::from(&*self.tcp).set_linger(Some(Duration::ZERO));
    }

    /// Reads until the peer ends, if it has sent something that was not read: a close would send RST
    /// otherwise, which may overtake the answer (RFC 9112 section 9.6).
    pub(super) fn drain_before_close(&mut self) {
        if self.at_end || !self.is_readable() {
            return;
        }
        let mut buffer = [0; 16 * 1024];
        while matches!((&*self.tcp).read(&mut buffer), Ok(1..)) {}
    }

    /// Waits, without reading anything, until the peer is gone or the server is dropped.
    pub(super) fn wait_for_hangup(&self) {
        #[cfg(target_os = "linux")]
        let interest = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let interest = PollFlags::empty();
        loop {
            match poll(&mut [PollFd::new(&*self.tcp, interest)], None) {
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
        }
    }

    fn is_readable(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut [PollFd::new(&*self.tcp, PollFlags::IN)], Some(&now)), Ok(1..))
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            let count = (&*self.tcp).read(buffer)?;
            self.at_end |= count == 0;
            return Ok(count);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.at_end |= matches!(result, Ok(0) | Err(_));
                    return result;
                }
            }
            tls.read_tls(&mut &*self.tcp)?;
            let processed = tls.process_new_packets();
            // Alerts, and answers to a key update.
            while tls.wants_write() {
                tls.write_tls(&mut &*self.tcp)?;
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn flush_tls(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut &*self.tcp)?;
        }
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead().is_empty() {
            return self.receive(buffer);
        }
        let taken = self.consume(buffer.len());
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => (&*self.tcp).write(bytes),
            Some(tls) => {
                let count = tls.writer().write(bytes)?;
                self.flush_tls()?;
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_tls()
    }
}
