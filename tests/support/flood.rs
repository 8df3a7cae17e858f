//! A server that sends a long body as fast as it is taken, and knows how much of it was.

use super::{Raw, pattern, raw};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long nothing may go out before the client is thought to read no more.
const QUIET: Duration = Duration::from_millis(200);

/// A server for one request over TCP.
pub struct Flood {
    server: Raw,
    sent: Arc<AtomicU64>,
}

impl Flood {
    /// One whose body is that long.
    pub fn start(length: u64) -> Flood {
        let sent = Arc::new(AtomicU64::new(0));
        let counted = sent.clone();
        let server = raw(move |stream| drop(flood(stream, length, &counted)));
        Flood { server, sent }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.server.url("/flood")
    }

    /// How much of the body the system has taken so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Waits until nothing goes out any more; how much did. It is to be used when that will stay so:
    /// it takes a client that is only slow for one that reads no more.
    pub fn wait_until_blocked(&self) -> u64 {
        let (mut sent, mut since) = (self.sent(), Instant::now());
        while since.elapsed() < QUIET || sent == 0 {
            thread::sleep(Duration::from_millis(1));
            let now = self.sent();
            if now != sent {
                (sent, since) = (now, Instant::now());
            }
        }
        sent
    }
}

fn flood(mut stream: TcpStream, length: u64, sent: &AtomicU64) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
    let piece = pattern(64 * 1024);
    let mut left = length;
    while left > 0 {
        let count = stream.write(&piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))])?;
        sent.fetch_add(count as u64, Ordering::SeqCst);
        left -= count as u64;
    }
    Ok(())
}
