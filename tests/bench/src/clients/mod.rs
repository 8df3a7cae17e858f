//! The clients, each used as its documentation says.

mod curl;
mod raw;
mod reqwest;
mod ureq;
mod urlsession;

use crate::Result;
use crate::pattern::Check;
use crate::server::{SMALL, Target};

/// A client of one kind, with its connections.
pub trait Client {
    /// One who makes requests, one after another. Callers of one client share what it lets them share.
    fn caller(&self) -> Result<Box<dyn Caller>>;
    /// As many small requests at once as are wanted, over so many connections, from one thread if the
    /// client can do that, and as its users would do it if not.
    fn fan_out(&mut self, url: &str, count: usize, connections: usize) -> Result<()>;
}

/// See [`Client::caller`].
pub trait Caller: Send {
    /// Gets a body as a whole.
    fn get(&mut self, url: &str, check: &mut Check) -> Result<()>;
    /// Gets a body in pieces, none of which is kept, and decodes it if it is encoded.
    fn stream(&mut self, url: &str, check: &mut Check) -> Result<()>;
}

/// All of them, the raw loop first: the others are compared with it.
pub const NAMES: [&str; 5] = ["raw loop", "urlsession", "ureq", "reqwest blocking", "curl"];

/// One of them, which may keep so many connections.
pub fn client(name: &str, target: &Target, connections: usize) -> Result<Box<dyn Client>> {
    Ok(match name {
        "raw loop" => Box::new(raw::Raw::new(target)?),
        "urlsession" => Box::new(urlsession::UrlSession::new(target, connections)?),
        "ureq" => Box::new(ureq::Ureq::new(target, connections)?),
        "reqwest blocking" => Box::new(reqwest::Reqwest::new(target, connections)?),
        "curl" => Box::new(curl::Curl::new(target)?),
        other => return Err(format!("there is no client {other:?}").into()),
    })
}

/// Gets a small body, and looks at it.
pub fn small(caller: &mut dyn Caller, url: &str) -> Result<()> {
    let mut check = Check::default();
    caller.get(url, &mut check)?;
    check.finish(SMALL as u64)
}

/// Fan-out for clients whose calls block: a thread a connection.
struct Threads(Vec<Box<dyn Caller>>);

impl Threads {
    fn run(
        &mut self,
        url: &str,
        count: usize,
        connections: usize,
        caller: &dyn Fn() -> Result<Box<dyn Caller>>,
    ) -> Result<()> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        while self.0.len() < connections {
            self.0.push(caller()?);
        }
        let next = &AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = |caller: &mut Box<dyn Caller>| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    small(caller.as_mut(), url)?;
                }
                Ok(())
            };
            let start = |caller| {
                std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, move || work(caller))
            };
            let threads: Vec<_> = self.0.iter_mut().take(connections).map(start).collect();
            threads.into_iter().try_for_each(|thread| thread?.join().map_err(|_| "a thread panicked")?)
        })
    }
}

/// Reads to the end, in pieces of 256 KiB.
fn read_all(mut reader: impl std::io::Read, buffer: &mut Vec<u8>, check: &mut Check) -> Result<()> {
    buffer.resize(256 * 1024, 0);
    loop {
        match reader.read(buffer)? {
            0 => return Ok(()),
            count => check.push(&buffer[..count]),
        }
    }
}
