//! From host names to addresses: literals and `localhost` at once, other names from memory or by a
//! lookup on a thread of its own.
//!
//! A lookup cannot be interrupted (`getaddrinfo` has no way to), so nobody sits in one: a caller
//! gets `Pending`, and its waker is called when it is worth asking again. There is one lookup for
//! all who ask for a name at a time. A caller that loses interest just does not ask again; the
//! lookup ends by itself and its result serves the next.
//!
//! One lock guards the names; jobs are spawned and wakers called outside of it.

use crate::error::{Error, ErrorKind};
use crate::resolver::Resolver;
use crate::sync::{Arc, Mutex, lock};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long addresses are remembered. `getaddrinfo` does not tell their time to live.
pub(crate) const FOUND_FOR: Duration = Duration::from_secs(60);
/// How long a failure is: long enough for all who waited for it to learn of it.
pub(crate) const FAILED_FOR: Duration = Duration::from_secs(1);
/// How long a name that was waited for is kept for those who waited, though the memory be full.
const KEPT_FOR_WAITERS: Duration = Duration::from_secs(10);
/// The most names that are remembered.
const MAX_NAMES: usize = 256;
/// The most addresses that are remembered of a name.
const MAX_ADDRESSES: usize = 64;
/// The most lookups that run at once; each holds a thread.
const MAX_RUNNING: usize = 32;
/// The most names that wait for one of those.
const MAX_QUEUED: usize = 65_536;
/// The longest host name that is looked up, in bytes (RFC 1035, 3.1, with the final dot).
const MAX_HOST: usize = 254;

/// Runs a job on a thread that may block.
pub(crate) type Spawn = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// The answer to [`Names::lookup`].
#[derive(Debug)]
pub(crate) enum Lookup {
    /// The addresses with the port, at least one and the preferred first, or why there are none.
    Ready(Result<Vec<SocketAddr>, Error>),
    /// The waker will be called; ask again then.
    Pending,
}

/// The names a session knows.
pub(crate) struct Names {
    shared: Arc<Shared>,
}

impl Names {
    /// Names looked up by `resolver`, or else by the system, in jobs given to `spawn`.
    pub(crate) fn new(resolver: Option<Arc<dyn Resolver>>, spawn: Spawn) -> Names {
        Names { shared: Arc::new(Shared { names: Mutex::default(), resolver, spawn }) }
    }

    /// The addresses of a host: a name, an IPv4 literal, or an IPv6 literal with or without
    /// brackets. Does not block.
    ///
    /// A name that does not exist is [`ErrorKind::CannotFindHost`], a resolver that does not work
    /// [`ErrorKind::DnsLookupFailed`].
    pub(crate) fn lookup(&self, host: &str, port: u16, now: Instant, waker: &Waker) -> Lookup {
        let host = unbracketed(host);
        if let Some(addresses) = without_lookup(host) {
            return Lookup::Ready(Ok(with_port(&addresses, port)));
        }
        if host.is_empty() || host.len() > MAX_HOST {
            let start: String = host.chars().take(64).collect();
            let message = format!("resolving a host name of {} bytes: {start:?}", host.len());
            return Lookup::Ready(Err(Error::new(ErrorKind::CannotFindHost, message)));
        }
        let host = host.to_ascii_lowercase();
        let job = {
            let mut names = lock(&self.shared.names);
            match names.ask(&host, now, waker) {
                Answer::Known(result) => return Lookup::Ready(result.map(|known| with_port(&known, port))),
                Answer::Wait => return Lookup::Pending,
                Answer::Begin(generation) => {
                    Job { shared: self.shared.clone(), current: Some((host, generation)) }
                }
            }
        };
        (self.shared.spawn)(Box::new(move || job.run()));
        Lookup::Pending
    }

    /// Forgets all names. Lookups under way are not believed any more: who waits for one is woken
    /// to ask anew.
    pub(crate) fn clear(&self) {
        let forgotten = {
            let mut names = lock(&self.shared.names);
            names.queue.clear();
            std::mem::take(&mut names.known)
        };
        for (_, name) in forgotten {
            if let Name::Asked { waiters, .. } = name {
                waiters.into_iter().for_each(Waker::wake);
            }
        }
    }
}

struct Shared {
    names: Mutex<Table>,
    resolver: Option<Arc<dyn Resolver>>,
    spawn: Spawn,
}

/// Addresses whose port is zero. Not `IpAddr`, which would lose the zone of a link-local address.
type Addresses = Arc<[SocketAddr]>;

#[derive(Default)]
struct Table {
    known: HashMap<String, Name>,
    /// Names whose lookup has not begun, and the generations they were asked in.
    queue: VecDeque<(String, u64)>,
    /// Jobs that were spawned and have not ended.
    running: usize,
    /// Tells a lookup from an earlier one of the same name that is not believed any more.
    generation: u64,
}

enum Name {
    Asked { generation: u64, waiters: Vec<Waker> },
    Answered { result: Result<Addresses, Error>, at: Instant, generation: u64, unread: usize },
}

enum Answer {
    Known(Result<Addresses, Error>),
    Wait,
    /// The caller has a lookup to spawn.
    Begin(u64),
}

impl Table {
    fn ask(&mut self, host: &str, now: Instant, waker: &Waker) -> Answer {
        match self.known.get_mut(host) {
            Some(Name::Asked { waiters, .. }) => {
                if !waiters.iter().any(|waiter| waiter.will_wake(waker)) {
                    waiters.push(waker.clone());
                }
                return Answer::Wait;
            }
            Some(Name::Answered { result, at, unread, .. })
                if now.saturating_duration_since(*at) < fresh_for(result) =>
            {
                *unread = unread.saturating_sub(1);
                return Answer::Known(result.clone());
            }
            Some(Name::Answered { .. }) | None => {}
        }
        let starts = self.running < MAX_RUNNING;
        if !starts && self.queue.len() >= MAX_QUEUED {
            let message =
                format!("resolving {}: {MAX_QUEUED} names wait for it already", host.escape_debug());
            return Answer::Known(Err(Error::new(ErrorKind::DnsLookupFailed, message)));
        }
        self.generation += 1;
        let generation = self.generation;
        self.known.insert(host.to_owned(), Name::Asked { generation, waiters: vec![waker.clone()] });
        if starts {
            self.running += 1;
            Answer::Begin(generation)
        } else {
            self.queue.push_back((host.to_owned(), generation));
            Answer::Wait
        }
    }

    /// Takes a result down and returns who waits for it.
    fn answer(
        &mut self,
        host: &str,
        generation: u64,
        result: Result<Addresses, Error>,
        now: Instant,
    ) -> Vec<Waker> {
        let waiters = match self.known.get_mut(host) {
            Some(Name::Asked { generation: current, waiters }) if *current == generation => {
                std::mem::take(waiters)
            }
            _ => return Vec::new(),
        };
        let unread = waiters.len();
        self.known.insert(host.to_owned(), Name::Answered { result, at: now, generation, unread });
        self.make_room(now);
        waiters
    }

    /// Forgets answers until there are no more than may be: stale ones, and then the oldest. An
    /// answer whose waiters have not all come for it stays a while, or more waiting names than are
    /// remembered would push each other out for ever.
    fn make_room(&mut self, now: Instant) {
        if self.known.len() <= MAX_NAMES {
            return;
        }
        let mut answered = Vec::new();
        self.known.retain(|host, name| match name {
            Name::Asked { .. } => true,
            Name::Answered { result, at, generation, unread } => {
                let age = now.saturating_duration_since(*at);
                if age >= fresh_for(result) {
                    return false;
                }
                if *unread == 0 || age >= KEPT_FOR_WAITERS {
                    answered.push((*generation, host.clone()));
                }
                true
            }
        });
        // A quarter at a time, because finding the oldest takes a look at all.
        answered.sort_unstable();
        let too_many = self.known.len().saturating_sub(MAX_NAMES * 3 / 4);
        for (_, host) in answered.into_iter().take(too_many) {
            self.known.remove(&host);
        }
    }
}

fn fresh_for(result: &Result<Addresses, Error>) -> Duration {
    if result.is_ok() { FOUND_FOR } else { FAILED_FOR }
}

/// The work of a thread that looks names up: one, and then those in the queue. If it is dropped
/// without being run, or dies, its name has failed.
struct Job {
    shared: Arc<Shared>,
    current: Option<(String, u64)>,
}

impl Job {
    fn run(mut self) {
        while let Some((host, generation)) = &self.current {
            let result = self.shared.resolve(host);
            let (waiters, next) = {
                let mut names = lock(&self.shared.names);
                let waiters = names.answer(host, *generation, result, Instant::now());
                let next = names.queue.pop_front();
                if next.is_none() {
                    names.running -= 1;
                }
                (waiters, next)
            };
            self.current = next;
            waiters.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let Some(current) = self.current.take() else { return };
        let mut waiters = Vec::new();
        {
            let mut names = lock(&self.shared.names);
            names.running -= 1;
            let mut failed = VecDeque::from([current]);
            if names.running == 0 {
                // Nobody is left to serve the queue.
                failed.append(&mut names.queue);
            }
            for (host, generation) in failed {
                let message = format!("resolving {}: no thread to do it on", host.escape_debug());
                let error = Error::new(ErrorKind::DnsLookupFailed, message);
                waiters.append(&mut names.answer(&host, generation, Err(error), Instant::now()));
            }
        }
        waiters.into_iter().for_each(Waker::wake);
    }
}

impl Shared {
    /// Looks a name up. May block for as long as the resolver likes.
    fn resolve(&self, host: &str) -> Result<Addresses, Error> {
        let looked_up = match &self.resolver {
            // A resolver is the program's code; its panic ends its lookup, not the thread.
            Some(resolver) => catch_unwind(AssertUnwindSafe(|| resolver.resolve(host))).map(|result| {
                result.map(|addresses| {
                    bounded(addresses.into_iter().map(|address| SocketAddr::new(address, 0)))
                })
            }),
            None => Ok((host, 0).to_socket_addrs().map(bounded)),
        };
        match looked_up {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(Error::new(
                ErrorKind::CannotFindHost,
                format!("resolving {}: it has no address", host.escape_debug()),
            )),
            Ok(Ok(addresses)) => Ok(addresses.into()),
            Ok(Err(error)) => {
                Err(Error::new(failure_kind(&error), format!("resolving {}", host.escape_debug()))
                    .with_source(error))
            }
            Err(_) => Err(Error::new(
                ErrorKind::DnsLookupFailed,
                format!("resolving {}: the resolver of the configuration panicked", host.escape_debug()),
            )),
        }
    }
}

/// An IPv6 literal without the brackets that a URL has around it (RFC 3986, 3.2.2).
fn unbracketed(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(literal) if literal.contains(':') => literal,
        _ => host,
    }
}

/// The addresses that are written in the name, or that the name is reserved for.
fn without_lookup(host: &str) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(vec![SocketAddr::new(address, 0)]);
    }
    // std knows numeric zones only in the form with a port. Interface names go to the system.
    if host.contains('%') {
        if let Ok(address) = format!("[{host}]:0").parse::<SocketAddrV6>() {
            return Some(vec![address.into()]);
        }
    }
    // RFC 6761, 6.3: never asked of a name server, which could send us elsewhere.
    let name = host.strip_suffix('.').unwrap_or(host);
    let last_label = name.rsplit('.').next().unwrap_or(name);
    if last_label.eq_ignore_ascii_case("localhost") {
        return Some(vec![
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0),
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
        ]);
    }
    None
}

fn with_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    let mut addresses = addresses.to_vec();
    addresses.iter_mut().for_each(|address| address.set_port(port));
    addresses
}

fn bounded(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    addresses.take(MAX_ADDRESSES).collect()
}

/// Whether there is no such name or the resolver did not work. The system's error is a text only
/// (`gai_strerror`): what glibc, musl and Apple's say for EAI_AGAIN and EAI_FAIL is looked for, and
/// the rest means that there is no such name, as Apple has it.
fn failure_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        // InvalidInput is std's for a name with a NUL in it.
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput => return ErrorKind::CannotFindHost,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => return ErrorKind::DnsLookupFailed,
        _ => {}
    }
    let text = error.to_string().to_ascii_lowercase();
    let broken = ["temporary failure", "try again", "non-recoverable", "system error", "memory"];
    let from_getaddrinfo = error.raw_os_error().is_none() && text.starts_with("failed to lookup address");
    if from_getaddrinfo && !broken.iter().any(|part| text.contains(part)) {
        ErrorKind::CannotFindHost
    } else {
        ErrorKind::DnsLookupFailed
    }
}

#[cfg(test)]
mod tests;
