//! Establishing a TCP connection to one of a host's addresses: the sockets of a Happy Eyeballs
//! race.
//!
//! A [`Dial`] never blocks. Its owner calls [`advance`](Dial::advance), waits for its
//! [`sources`](Dial::sources) as it likes (`poll`, or parked), and calls it again. Whoever cancels
//! shuts the sources down, which wakes the owner; it must then look at the cancellation before it
//! advances, or the race goes on with the next address. The losers, and all when the dial is
//! dropped, are closed.

use crate::error::{Error, ErrorKind};
use crate::proto::eyeballs::{Eyeballs, Step};
use crate::sync::Arc;
use crate::sys::{self, Interest, Socket};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// Where a dial stands.
#[derive(Debug)]
pub(crate) enum DialStep {
    /// There is a connection: a blocking socket with `TCP_NODELAY`. The dial is over.
    Connected(Arc<Socket>),
    /// To be advanced when one of the sources is ready or this time comes.
    Wait {
        /// When the next attempt is due, if there is one.
        until: Option<Instant>,
    },
}

/// The establishment of a connection.
#[derive(Debug)]
pub(crate) struct Dial {
    /// What is connected to, as `host:port`, for messages.
    authority: String,
    eyeballs: Eyeballs<io::Error>,
    attempts: Vec<(SocketAddr, Arc<Socket>)>,
}

impl Dial {
    /// A dial to the addresses of a host in the resolver's order. Nothing happens until it is
    /// advanced. Host and port are what messages say.
    pub(crate) fn new(host: &str, port: u16, addresses: impl IntoIterator<Item = SocketAddr>) -> Dial {
        Dial { authority: authority(host, port), eyeballs: Eyeballs::new(addresses), attempts: Vec::new() }
    }

    /// Does what can be done now. While it says to wait, there is at least one source.
    ///
    /// Fails when every address has failed, or there was none, with the most telling of the
    /// failures; after it has returned a connection it fails, too.
    pub(crate) fn advance(&mut self, now: Instant) -> Result<DialStep, Error> {
        for (address, socket) in std::mem::take(&mut self.attempts) {
            if let Some(winner) = self.look_at(address, socket) {
                return Ok(DialStep::Connected(winner));
            }
        }
        loop {
            match self.eyeballs.step(now) {
                Step::Start(address) => match Socket::connect_nonblocking(address) {
                    Ok((socket, _)) => {
                        if let Some(winner) = self.look_at(address, Arc::new(socket)) {
                            return Ok(DialStep::Connected(winner));
                        }
                    }
                    Err(error) => self.eyeballs.failed(address, error),
                },
                Step::GiveUp(address) => {
                    self.attempts.retain(|(other, _)| *other != address);
                    self.eyeballs.failed(address, io::ErrorKind::TimedOut.into());
                }
                Step::Wait(until) => return Ok(DialStep::Wait { until }),
                Step::Exhausted => return Err(failure(&self.authority, self.eyeballs.take_failures())),
            }
        }
    }

    /// Every socket that is being connected, and what it waits for.
    pub(crate) fn sources(&self, visit: &mut dyn FnMut(&Arc<Socket>, Interest)) {
        for (_, socket) in &self.attempts {
            visit(socket, Interest::WRITE);
        }
    }

    /// Takes the attempt back in if it goes on; returns it, and closes the others, if it has won.
    fn look_at(&mut self, address: SocketAddr, socket: Arc<Socket>) -> Option<Arc<Socket>> {
        match socket.finish_connect() {
            Ok(()) => {
                self.attempts.clear();
                self.eyeballs = Eyeballs::new([]);
                Some(socket)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.attempts.push((address, socket));
                None
            }
            Err(error) => {
                self.eyeballs.failed(address, error);
                None
            }
        }
    }
}

/// `host:port`, with the brackets an IPv6 literal needs.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Why an attempt failed, the least telling first. The most telling failure is what the user
/// learns: that a host refuses is worth more than that there is no IPv6 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// There is no address of ours to connect from: no IPv6 here or, if it is the only reason,
    /// every port in use.
    NoLocalAddress,
    /// We have no route there: not connected.
    NoRoute,
    Other,
    /// A router, or the last link, says that the host is not there.
    HostUnreachable,
    TimedOut,
    /// Something on this machine forbids it.
    Forbidden,
    Refused,
    /// We are the reason.
    OutOfFiles,
}

impl Reason {
    fn of(error: &io::Error) -> Reason {
        if sys::is_out_of_files(error) {
            return Reason::OutOfFiles;
        }
        if sys::is_family_unsupported(error) {
            return Reason::NoLocalAddress;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Reason::Refused,
            io::ErrorKind::PermissionDenied => Reason::Forbidden,
            io::ErrorKind::TimedOut => Reason::TimedOut,
            io::ErrorKind::HostUnreachable => Reason::HostUnreachable,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Reason::NoRoute,
            io::ErrorKind::AddrNotAvailable => Reason::NoLocalAddress,
            _ => Reason::Other,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Reason::NoRoute => ErrorKind::NotConnectedToInternet,
            Reason::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::CannotConnectToHost,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Reason::OutOfFiles => ": too many open files, close some or raise the limit (ulimit -n)",
            Reason::NoRoute => ": there is no route to the network",
            Reason::NoLocalAddress => ": no local address or port to connect from",
            Reason::Forbidden => ": forbidden on this machine, by a firewall perhaps",
            Reason::Other | Reason::HostUnreachable | Reason::TimedOut | Reason::Refused => "",
        }
    }
}

fn failure(authority: &str, failures: Vec<(SocketAddr, io::Error)>) -> Error {
    let tried = match failures.len() {
        0 => {
            return Error::new(
                ErrorKind::CannotConnectToHost,
                format!("connecting to {authority}: no address"),
            );
        }
        1 => String::new(),
        count => format!(" ({count} addresses tried)"),
    };
    // Of equals the first, which the resolver preferred.
    let told = failures.into_iter().map(|(_, error)| (Reason::of(&error), error)).rev();
    match told.max_by_key(|(reason, _)| *reason) {
        Some((reason, error)) => {
            let message = format!("connecting to {authority}{tried}{}", reason.hint());
            Error::new(reason.kind(), message).with_source(error)
        }
        None => Error::new(ErrorKind::CannotConnectToHost, format!("connecting to {authority}: no address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::eyeballs::ATTEMPT_DELAY;
    use crate::sys::poll_sockets;
    use socket2::{Domain, Type};
    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    fn local() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// A port where connections are refused, as long as the socket is kept.
    fn refusing() -> (socket2::Socket, SocketAddr) {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&local().into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    /// A port where connections are neither accepted nor refused: the backlog is full.
    fn silent() -> (socket2::Socket, Vec<Socket>, SocketAddr) {
        let (socket, address) = refusing();
        socket.listen(0).unwrap();
        let fillers: Vec<_> = (0..4).map(|_| Socket::connect_nonblocking(address).unwrap().0).collect();
        let first = fillers.first().unwrap();
        assert!(poll_sockets(&[(first, Interest::WRITE)], Some(Duration::from_secs(10))).unwrap());
        (socket, fillers, address)
    }

    fn sources(dial: &Dial) -> Vec<Arc<Socket>> {
        let mut sources = Vec::new();
        dial.sources(&mut |socket, interest| {
            assert_eq!(interest, Interest::WRITE);
            sources.push(socket.clone());
        });
        sources
    }

    /// Advances as the owner of a dial does, with the real clock.
    fn run(dial: &mut Dial) -> Result<Arc<Socket>, Error> {
        loop {
            let now = Instant::now();
            match dial.advance(now)? {
                DialStep::Connected(socket) => return Ok(socket),
                DialStep::Wait { until } => {
                    let sources = sources(dial);
                    assert!(!sources.is_empty());
                    let waiting: Vec<_> = sources.iter().map(|socket| (&**socket, Interest::WRITE)).collect();
                    poll_sockets(&waiting, until.map(|until| until - now)).unwrap();
                }
            }
        }
    }

    fn dial(addresses: &[SocketAddr]) -> Dial {
        Dial::new("example.com", 443, addresses.iter().copied())
    }

    #[test]
    fn one_good_address_connects() {
        let listener = TcpListener::bind(local()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut dial = dial(&[address]);
        let socket = run(&mut dial).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), address);
        assert!(socket.stream().nodelay().unwrap());
        assert!(sources(&dial).is_empty());
        assert!(dial.advance(Instant::now()).is_err(), "it is over");
    }

    #[test]
    fn a_refusal_leads_to_the_next_address_without_delay() {
        let (_held, refusing) = refusing();
        let listener = TcpListener::bind(local()).unwrap();
        let mut dial = dial(&[refusing, listener.local_addr().unwrap()]);
        // Time stands still, so that the stagger cannot be what starts the second.
        let now = Instant::now();
        let socket = loop {
            match dial.advance(now).unwrap() {
                DialStep::Connected(socket) => break socket,
                DialStep::Wait { .. } => {
                    let sources = sources(&dial);
                    let first = sources.first().unwrap();
                    poll_sockets(&[(first, Interest::WRITE)], Some(Duration::from_secs(10))).unwrap();
                }
            }
        };
        assert_eq!(socket.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[test]
    fn a_silent_address_is_overtaken_and_closed() {
        let (_held, _fillers, silent) = silent();
        let listener = TcpListener::bind(local()).unwrap();
        let mut dial = dial(&[silent, listener.local_addr().unwrap()]);
        let begun = Instant::now();
        match dial.advance(begun).unwrap() {
            DialStep::Wait { until } => assert_eq!(until, Some(begun + ATTEMPT_DELAY)),
            connected => panic!("{connected:?}"),
        }
        let loser = Arc::downgrade(sources(&dial).first().unwrap());
        let socket = run(&mut dial).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert!(begun.elapsed() >= ATTEMPT_DELAY);
        assert!(loser.upgrade().is_none());
    }

    #[test]
    fn a_dropped_dial_closes_its_sockets() {
        let (_held, _fillers, silent) = silent();
        let mut dial = dial(&[silent]);
        assert!(matches!(dial.advance(Instant::now()).unwrap(), DialStep::Wait { until: None }));
        let socket = Arc::downgrade(sources(&dial).first().unwrap());
        drop(dial);
        assert!(socket.upgrade().is_none());
    }

    #[test]
    fn shutting_the_sources_down_ends_the_wait() {
        let (_held, _fillers, silent) = silent();
        let mut dial = dial(&[silent]);
        dial.advance(Instant::now()).unwrap();
        let sources = sources(&dial);
        let socket = sources.first().unwrap();
        socket.shutdown();
        assert!(poll_sockets(&[(socket, Interest::WRITE)], Some(Duration::from_secs(10))).unwrap());
        assert_eq!(dial.advance(Instant::now()).unwrap_err().kind(), ErrorKind::CannotConnectToHost);
    }

    #[test]
    fn the_winner_is_the_callers_alone() {
        let first = TcpListener::bind(local()).unwrap();
        let second = TcpListener::bind(local()).unwrap();
        let mut dial = dial(&[first.local_addr().unwrap(), second.local_addr().unwrap()]);
        let socket = run(&mut dial).unwrap();
        drop(socket);
        let (mut peer, _) = first.accept().unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the dial keeps nothing of it");
    }

    #[test]
    fn refusals_name_the_host_and_how_many_were_tried() {
        let held = [refusing(), refusing(), refusing()];
        let addresses: Vec<_> = held.iter().map(|(_, address)| *address).collect();
        let error = run(&mut dial(&addresses)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotConnectToHost);
        let text = error.to_string();
        assert!(
            text.starts_with("connecting to example.com:443 (3 addresses tried): Connection refused"),
            "{text}"
        );
        let text = run(&mut Dial::new("::1", 80, addresses.first().copied())).unwrap_err().to_string();
        assert!(text.starts_with("connecting to [::1]:80: Connection refused"), "{text}");
        let text = run(&mut dial(&[])).unwrap_err().to_string();
        assert!(text.starts_with("connecting to example.com:443: no address"), "{text}");
    }

    fn told(errors: &[io::ErrorKind]) -> Error {
        failure("host:1", errors.iter().map(|kind| (local(), (*kind).into())).collect())
    }

    #[test]
    fn the_most_telling_failure_is_told() {
        use io::ErrorKind::*;
        for (errors, kind) in [
            (&[NetworkUnreachable, NetworkUnreachable][..], ErrorKind::NotConnectedToInternet),
            (&[AddrNotAvailable, NetworkUnreachable], ErrorKind::NotConnectedToInternet),
            (&[NetworkDown], ErrorKind::NotConnectedToInternet),
            (&[AddrNotAvailable], ErrorKind::CannotConnectToHost),
            (&[HostUnreachable], ErrorKind::CannotConnectToHost),
            (&[NetworkUnreachable, HostUnreachable], ErrorKind::CannotConnectToHost),
            (&[NetworkUnreachable, ConnectionRefused], ErrorKind::CannotConnectToHost),
            (&[ConnectionRefused, TimedOut], ErrorKind::CannotConnectToHost),
            (&[HostUnreachable, TimedOut], ErrorKind::TimedOut),
        ] {
            assert_eq!(told(errors).kind(), kind, "{errors:?}");
        }
    }

    #[test]
    fn too_many_open_files_are_named() {
        let code = rustix::io::Errno::MFILE.raw_os_error();
        let errors = vec![
            (local(), io::ErrorKind::ConnectionRefused.into()),
            (local(), io::Error::from_raw_os_error(code)),
        ];
        let error = failure("host:1", errors);
        assert_eq!(error.kind(), ErrorKind::CannotConnectToHost);
        assert!(error.to_string().contains("too many open files"), "{error}");
    }
}
