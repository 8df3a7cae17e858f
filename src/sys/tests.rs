use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

mod copying;

const SECOND: Duration = Duration::from_secs(1);

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

fn finish(socket: &Socket) -> io::Result<()> {
    loop {
        match socket.finish_connect() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_sockets(&[(socket, Interest::WRITE)], None)?;
            }
            result => return result,
        }
    }
}

/// A connected socket and its peer.
fn pair() -> (Arc<Socket>, TcpStream) {
    let listener = listener();
    let (socket, _) = Socket::connect_nonblocking(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    finish(&socket).unwrap();
    (Arc::new(socket), peer)
}

/// A socket that goes on connecting, because the listener's backlog is full, and what it takes to
/// keep it so.
fn connecting() -> (Arc<Socket>, impl Sized) {
    let listener = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let (first, _) = Socket::connect_nonblocking(address).unwrap();
    finish(&first).unwrap();
    let fillers: Vec<_> = (0..4).map(|_| Socket::connect_nonblocking(address).unwrap()).collect();
    let (socket, connected) = Socket::connect_nonblocking(address).unwrap();
    assert!(!connected);
    assert_eq!(kind(socket.finish_connect()), io::ErrorKind::WouldBlock);
    (Arc::new(socket), (listener, first, fillers))
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("an error").kind()
}

/// Runs `wait` on a thread, and `act` once that thread is blocked; returns what `wait` did.
fn interrupt<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static, act: impl FnOnce()) -> T {
    let (say, hear) = mpsc::channel();
    let thread = thread::spawn(move || {
        say.send(std::fs::read_link("/proc/thread-self").ok()).unwrap();
        wait()
    });
    if let Some(path) = hear.recv().unwrap() {
        let state = std::path::Path::new("/proc").join(path).join("stat");
        while !std::fs::read_to_string(&state).unwrap().contains(") S ") {
            thread::yield_now();
        }
    }
    act();
    thread.join().unwrap()
}

/// Sends until there is no room, and none comes by what the kernel still moves to the peer.
fn fill(socket: &Socket) {
    while poll_sockets(&[(socket, Interest::WRITE)], Some(Duration::from_millis(50))).unwrap() {
        while socket.send(&[IoSlice::new(&[0; 65_536])]).is_ok() {}
    }
}

/// Waits for data, or the end of it, that was sent on loopback.
fn arrived(socket: &Socket) {
    assert!(poll_sockets(&[(socket, Interest::READ)], Some(10 * SECOND)).unwrap());
}

#[test]
fn a_connected_socket_blocks_and_does_not_delay() {
    let (socket, peer) = pair();
    assert!(socket.stream().nodelay().unwrap());
    assert!(!socket2::SockRef::from(socket.stream()).nonblocking().unwrap());
    assert_eq!(socket.peer_addr().unwrap(), peer.local_addr().unwrap());
    assert_eq!(socket.local_addr().unwrap(), peer.peer_addr().unwrap());
}

#[test]
fn a_refused_connection_says_so() {
    // Bound, so that nobody else gets the port, and not listening.
    let held = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    held.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap();
    let result = Socket::connect_nonblocking(address).and_then(|(socket, _)| finish(&socket));
    assert_eq!(kind(result), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_socket_connected_to_itself_is_refused() {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&socket.local_addr().unwrap()).unwrap();
    assert_eq!(
        kind(Socket::from(TcpStream::from(socket)).finish_connect()),
        io::ErrorKind::ConnectionRefused
    );
}

#[test]
fn receiving_without_patience_does_not_wait() {
    let (socket, mut peer) = pair();
    let mut buffer = [0; 8];
    for patience in [Patience::Never, Patience::UpTo(Some(Duration::ZERO))] {
        assert_eq!(kind(socket.recv(&mut buffer, patience)), io::ErrorKind::WouldBlock);
    }
    peer.write_all(b"abc").unwrap();
    arrived(&socket);
    assert_eq!(socket.recv(&mut buffer, Patience::Never).unwrap(), 3);
    drop(peer);
    arrived(&socket);
    assert_eq!(socket.recv(&mut buffer, Patience::Never).unwrap(), 0);
}

#[test]
fn receiving_with_patience_waits_as_long_as_told() {
    let (socket, mut peer) = pair();
    let mut buffer = [0; 8];
    for limit in [Duration::from_nanos(1), Duration::from_millis(30)] {
        let begun = Instant::now();
        let result = socket.recv(&mut buffer, Patience::UpTo(Some(limit)));
        assert_eq!(kind(result), io::ErrorKind::WouldBlock);
        assert!(begun.elapsed() >= limit);
    }
    let waiting = socket.clone();
    let read = interrupt(
        move || waiting.recv(&mut [0; 8], Patience::UpTo(None)),
        || peer.write_all(b"late").unwrap(),
    );
    assert_eq!(read.unwrap(), 4);
    assert_eq!(socket.stream().read_timeout().unwrap(), None);
}

#[test]
fn receiving_into_nothing_is_an_error_and_not_the_end() {
    let (socket, _peer) = pair();
    assert_eq!(kind(socket.recv(&mut [], Patience::Never)), io::ErrorKind::InvalidInput);
    let mut full = Vec::new();
    assert_eq!(kind(socket.recv_into(&mut full, None, Patience::Never)), io::ErrorKind::InvalidInput);
    full.reserve(8);
    assert_eq!(kind(socket.recv_into(&mut full, Some(0), Patience::Never)), io::ErrorKind::InvalidInput);
}

#[test]
fn a_vector_is_filled_up_to_its_capacity_or_the_maximum() {
    let (socket, mut peer) = pair();
    peer.write_all(b"hello, world").unwrap();
    arrived(&socket);
    let mut vec = Vec::with_capacity(9);
    vec.extend(b"> ");
    assert_eq!(socket.recv_into(&mut vec, Some(5), Patience::Never).unwrap(), 5);
    assert_eq!(vec, b"> hello");
    let capacity = vec.capacity();
    assert_eq!(socket.recv_into(&mut vec, Some(100), Patience::Never).unwrap(), capacity - 7);
    vec.reserve(100);
    assert!(socket.recv_into(&mut vec, None, Patience::Never).unwrap() > 0);
    assert_eq!(vec, b"> hello, world");
    let result = socket.recv_into(&mut vec, Some(5), Patience::Never);
    assert_eq!((kind(result), vec.len()), (io::ErrorKind::WouldBlock, 14));
}

#[test]
fn sending_takes_all_parts_and_never_blocks() {
    let (socket, mut peer) = pair();
    assert_eq!(socket.send(&[]).unwrap(), 0);
    assert_eq!(socket.send(&[IoSlice::new(b"one ")]).unwrap(), 4);
    assert_eq!(socket.send(&[IoSlice::new(b"two "), IoSlice::new(b""), IoSlice::new(b"three")]).unwrap(), 9);
    let mut read = [0; 13];
    peer.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"one two three");
    let many = vec![IoSlice::new(b"x"); MAX_PARTS + 1];
    assert_eq!(socket.send(&many).unwrap(), MAX_PARTS);
    let chunk = [0; 65_536];
    let full = loop {
        if let Err(error) = socket.send(&[IoSlice::new(&chunk)]) {
            break error.kind();
        }
    };
    assert_eq!(full, io::ErrorKind::WouldBlock);
}

#[test]
fn sending_to_nobody_is_an_error_and_no_signal() {
    let (socket, _peer) = pair();
    socket.shutdown();
    assert_eq!(kind(socket.send(&[IoSlice::new(b"x")])), io::ErrorKind::BrokenPipe);
}

#[test]
fn only_an_open_and_silent_connection_is_quiet() {
    let (socket, mut peer) = pair();
    assert!(socket.is_quiet());
    peer.write_all(b"x").unwrap();
    arrived(&socket);
    assert!(!socket.is_quiet());
    assert_eq!(socket.recv(&mut [0; 8], Patience::Never).unwrap(), 1);
    assert!(socket.is_quiet());
    drop(peer);
    arrived(&socket);
    assert!(!socket.is_quiet());
}

#[test]
fn shutdown_wakes_a_blocked_receive() {
    let (socket, _peer) = pair();
    let waiting = socket.clone();
    let read =
        interrupt(move || waiting.recv(&mut [0; 8], Patience::UpTo(Some(60 * SECOND))), || socket.shutdown());
    assert_eq!(read.unwrap(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn shutdown_wakes_a_poll_on_a_connecting_socket() {
    let (socket, _kept) = connecting();
    let waiting = socket.clone();
    let ready = interrupt(
        move || poll_sockets(&[(&waiting, Interest::WRITE)], Some(60 * SECOND)),
        || socket.shutdown(),
    );
    assert!(ready.unwrap());
    assert_ne!(kind(socket.finish_connect()), io::ErrorKind::WouldBlock);
}

#[test]
fn shutdown_wakes_a_poll_for_room_to_write() {
    let (socket, _peer) = pair();
    fill(&socket);
    let waiting = socket.clone();
    let ready = interrupt(
        move || poll_sockets(&[(&waiting, Interest::WRITE)], Some(60 * SECOND)),
        || socket.shutdown(),
    );
    assert!(ready.unwrap());
    assert_eq!(kind(socket.send(&[IoSlice::new(b"x")])), io::ErrorKind::BrokenPipe);
}

#[test]
fn polling_gives_up_after_its_timeout_and_not_before() {
    let (socket, _peer) = pair();
    let begun = Instant::now();
    let limit = Duration::from_micros(20_500);
    assert!(!poll_sockets(&[(&socket, Interest::READ)], Some(limit)).unwrap());
    assert!(begun.elapsed() >= limit);
    assert!(poll_sockets(&[(&socket, Interest::READ_WRITE)], None).unwrap());
    assert!(!poll_sockets(&[], Some(Duration::ZERO)).unwrap());
    assert_eq!(kind(poll_sockets(&[], None)), io::ErrorKind::InvalidInput);
}

#[test]
fn time_is_rounded_up() {
    assert_eq!(whole_milliseconds(Duration::ZERO), 0);
    assert_eq!(whole_milliseconds(Duration::from_nanos(1)), 1);
    assert_eq!(whole_milliseconds(Duration::from_micros(1001)), 2);
    assert_eq!(whole_milliseconds(Duration::MAX), i32::MAX as u32);
}

macro_rules! poller_tests {
    ($name:ident, $Poller:ty) => {
        mod $name {
            use super::*;

            /// What is reported in the next wait that reports something.
            fn next(poller: &$Poller) -> Vec<u64> {
                let mut keys = Vec::new();
                let begun = Instant::now();
                while keys.is_empty() && begun.elapsed() < 10 * SECOND {
                    poller.wait(Some(SECOND), &mut keys).unwrap();
                }
                keys.sort();
                keys
            }

            /// What is reported without waiting.
            fn now(poller: &$Poller) -> Vec<u64> {
                let mut keys = vec![99];
                poller.wait(Some(Duration::ZERO), &mut keys).unwrap();
                keys
            }

            #[test]
            fn a_socket_is_reported_once_each_time_it_is_armed() {
                let poller = <$Poller>::new().unwrap();
                let (socket, mut peer) = pair();
                poller.arm(&socket, 7, Interest::READ).unwrap();
                assert!(now(&poller).is_empty());
                peer.write_all(b"x").unwrap();
                assert_eq!(next(&poller), [7]);
                assert!(now(&poller).is_empty());
                poller.arm(&socket, 8, Interest::READ).unwrap();
                assert_eq!(next(&poller), [8]);
                poller.arm(&socket, 9, Interest::WRITE).unwrap();
                assert_eq!(next(&poller), [9]);
            }

            #[test]
            fn arming_again_replaces_key_and_interest() {
                let poller = <$Poller>::new().unwrap();
                let (socket, _peer) = pair();
                poller.arm(&socket, 1, Interest::READ).unwrap();
                poller.arm(&socket, 2, Interest::READ_WRITE).unwrap();
                assert_eq!(next(&poller), [2]);
            }

            #[test]
            fn a_disarmed_socket_is_not_reported() {
                let poller = <$Poller>::new().unwrap();
                let (socket, _peer) = pair();
                poller.disarm(&socket).unwrap();
                poller.arm(&socket, 1, Interest::WRITE).unwrap();
                poller.disarm(&socket).unwrap();
                assert!(now(&poller).is_empty());
                poller.arm(&socket, 2, Interest::WRITE).unwrap();
                assert_eq!(next(&poller), [2]);
            }

            #[test]
            fn a_closed_socket_is_forgotten_and_its_peer_told() {
                let poller = Arc::new(<$Poller>::new().unwrap());
                let (socket, mut peer) = pair();
                poller.arm(&socket, 1, Interest::READ).unwrap();
                let waiting = poller.clone();
                let waiter = thread::spawn(move || next(&waiting));
                drop(socket);
                assert_eq!(peer.read(&mut [0]).unwrap(), 0);
                // The same descriptor number again, most likely.
                let (other, _peer) = pair();
                poller.arm(&other, 2, Interest::WRITE).unwrap();
                assert_eq!(waiter.join().unwrap(), [2]);
            }

            #[test]
            fn a_socket_may_change_its_poller() {
                let (one, other) = (<$Poller>::new().unwrap(), <$Poller>::new().unwrap());
                let (socket, _peer) = pair();
                one.arm(&socket, 1, Interest::READ).unwrap();
                one.disarm(&socket).unwrap();
                other.arm(&socket, 2, Interest::WRITE).unwrap();
                assert_eq!(next(&other), [2]);
                one.arm(&socket, 3, Interest::WRITE).unwrap();
                assert_eq!(next(&one), [3]);
            }

            #[test]
            fn the_end_of_the_data_is_reported_to_readers_only() {
                let poller = <$Poller>::new().unwrap();
                let (socket, peer) = pair();
                fill(&socket);
                peer.shutdown(Shutdown::Write).unwrap();
                arrived(&socket);
                poller.arm(&socket, 1, Interest::WRITE).unwrap();
                assert!(now(&poller).is_empty());
                poller.arm(&socket, 2, Interest::READ).unwrap();
                assert_eq!(next(&poller), [2]);
            }

            #[test]
            fn shutdown_is_reported_whatever_the_interest() {
                let poller = <$Poller>::new().unwrap();
                for interest in [Interest::READ, Interest::WRITE] {
                    let (socket, _peer) = pair();
                    fill(&socket);
                    poller.arm(&socket, 4, interest).unwrap();
                    assert!(now(&poller).is_empty());
                    socket.shutdown();
                    assert_eq!(next(&poller), [4]);
                }
            }

            #[test]
            fn a_wait_under_way_sees_what_is_armed_meanwhile() {
                let poller = Arc::new(<$Poller>::new().unwrap());
                let (socket, _peer) = pair();
                let waiting = poller.clone();
                let keys =
                    interrupt(move || next(&waiting), || poller.arm(&socket, 5, Interest::WRITE).unwrap());
                assert_eq!(keys, [5]);
            }

            #[test]
            fn waking_ends_one_wait_however_often_it_is_done() {
                let poller = Arc::new(<$Poller>::new().unwrap());
                let waiting = poller.clone();
                let wait = move || waiting.wait(None, &mut Vec::new()).unwrap();
                interrupt(wait, || poller.wake());
                for _ in 0..100_000 {
                    poller.wake();
                }
                let mut keys = Vec::new();
                poller.wait(None, &mut keys).unwrap();
                assert!(keys.is_empty());
                let begun = Instant::now();
                poller.wait(Some(Duration::from_millis(20)), &mut keys).unwrap();
                assert!(begun.elapsed() >= Duration::from_millis(20));
            }

            #[test]
            fn many_sockets_are_all_reported() {
                let poller = <$Poller>::new().unwrap();
                let sockets: Vec<_> = (0..300).map(|_| pair()).collect();
                for (key, (socket, _)) in (0..).zip(&sockets) {
                    poller.arm(socket, key, Interest::WRITE).unwrap();
                }
                let mut all = Vec::new();
                while all.len() < sockets.len() {
                    let keys = next(&poller);
                    assert!(!keys.is_empty());
                    all.extend(keys);
                }
                all.sort();
                assert!(all.into_iter().eq(0..300));
            }
        }
    };
}

#[cfg(any(target_os = "linux", target_os = "android"))]
poller_tests!(with_epoll, super::super::epoll::Poller);
poller_tests!(with_poll, super::super::portable::Poller);
