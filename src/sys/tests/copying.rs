//! Bodies between sockets and files: what the kernel's path and the buffer's have in common, and
//! what is only the kernel's.

use super::*;
use std::fs::{File, OpenOptions};
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty file that nobody else sees.
fn empty(options: &mut OpenOptions) -> File {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("urlsession-sys-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = options.read(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

fn file(content: &[u8]) -> File {
    let mut file = empty(OpenOptions::new().write(true));
    file.write_all(content).unwrap();
    file
}

fn content(file: &File) -> Vec<u8> {
    let mut content = vec![0; file.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut content, 0).unwrap();
    content
}

/// Bytes of which no two stretches are alike.
fn body(len: usize) -> Vec<u8> {
    (0_u32..).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).take(len).collect()
}

const LARGE: usize = 5_000_001;

macro_rules! copying_tests {
    ($name:ident, $Copier:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn a_body_goes_to_a_file_and_what_follows_it_stays() {
                let (socket, mut peer) = pair();
                let sent = body(LARGE + 4);
                let expected = sent.clone();
                let writer = thread::spawn(move || {
                    peer.write_all(&sent).unwrap();
                    peer
                });
                let file = file(b"");
                let mut copier = <$Copier>::new();
                let mut at = 0;
                while at < LARGE {
                    let received =
                        copier.receive(&socket, LARGE - at, Patience::UpTo(Some(10 * SECOND))).unwrap();
                    assert_eq!(copier.len(), received);
                    assert_eq!(copier.drain_to_at(&file, at as u64).unwrap(), received);
                    at += received;
                }
                assert_eq!((at, copier.len()), (LARGE, 0));
                assert!(content(&file) == expected[..LARGE]);
                arrived(&socket);
                let mut rest = [0; 8];
                assert_eq!(socket.recv(&mut rest, Patience::Never).unwrap(), 4);
                assert_eq!(rest[..4], expected[LARGE..]);
                drop(writer.join().unwrap());
            }

            #[test]
            fn a_limit_is_kept_to_the_byte() {
                let (socket, mut peer) = pair();
                peer.write_all(b"0123456789").unwrap();
                arrived(&socket);
                let mut copier = <$Copier>::new();
                let mut read = Vec::new();
                for limit in [1, 3, 2] {
                    assert_eq!(copier.receive(&socket, limit, Patience::Never).unwrap(), limit);
                    assert_eq!(copier.read_out(&mut read).unwrap(), limit);
                }
                assert_eq!(read, b"012345");
                assert_eq!(socket.recv(&mut [0; 8], Patience::Never).unwrap(), 4);
            }

            #[test]
            fn without_patience_receiving_does_not_wait() {
                let (socket, mut peer) = pair();
                let mut copier = <$Copier>::new();
                for patience in [Patience::Never, Patience::UpTo(Some(Duration::ZERO))] {
                    assert_eq!(kind(copier.receive(&socket, 8, patience)), io::ErrorKind::WouldBlock);
                }
                peer.write_all(b"abc").unwrap();
                arrived(&socket);
                assert_eq!(copier.receive(&socket, 8, Patience::Never).unwrap(), 3);
                assert_eq!(copier.read_out(&mut Vec::new()).unwrap(), 3);
                drop(peer);
                arrived(&socket);
                for _ in 0..2 {
                    assert_eq!(copier.receive(&socket, 8, Patience::Never).unwrap(), 0);
                }
            }

            #[test]
            fn with_patience_receiving_waits_as_long_as_told() {
                let (socket, mut peer) = pair();
                let limit = Duration::from_millis(30);
                let begun = Instant::now();
                let result = <$Copier>::new().receive(&socket, 8, Patience::UpTo(Some(limit)));
                assert_eq!(kind(result), io::ErrorKind::WouldBlock);
                assert!(begun.elapsed() >= limit);
                let waiting = socket.clone();
                let wait = move || <$Copier>::new().receive(&waiting, 8, Patience::UpTo(None));
                assert_eq!(interrupt(wait, || peer.write_all(b"late").unwrap()).unwrap(), 4);
            }

            #[test]
            fn shutdown_wakes_a_blocked_receive() {
                let (socket, _peer) = pair();
                let waiting = socket.clone();
                let wait = move || <$Copier>::new().receive(&waiting, 8, Patience::UpTo(Some(60 * SECOND)));
                assert_eq!(interrupt(wait, || socket.shutdown()).unwrap(), 0);
            }

            #[test]
            fn a_reset_is_an_error_and_not_the_end() {
                let (socket, peer) = pair();
                socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                drop(peer);
                arrived(&socket);
                let result = <$Copier>::new().receive(&socket, 8, Patience::Never);
                assert_eq!(kind(result), io::ErrorKind::ConnectionReset);
            }

            #[test]
            fn receiving_nothing_or_onto_what_is_there_is_an_error() {
                let (socket, mut peer) = pair();
                peer.write_all(b"abcdef").unwrap();
                arrived(&socket);
                let mut copier = <$Copier>::new();
                let nothing = copier.receive(&socket, 0, Patience::Never);
                assert_eq!(kind(nothing), io::ErrorKind::InvalidInput);
                assert_eq!(copier.receive(&socket, 3, Patience::Never).unwrap(), 3);
                let more = copier.receive(&socket, 3, Patience::UpTo(None));
                assert_eq!(kind(more), io::ErrorKind::InvalidInput);
                let mut read = Vec::new();
                copier.read_out(&mut read).unwrap();
                assert_eq!(read, b"abc");
            }

            #[cfg(target_os = "linux")]
            #[test]
            fn urgent_data_is_passed_over_and_is_not_the_end() {
                let (socket, mut peer) = pair();
                peer.write_all(b"abc").unwrap();
                rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
                peer.write_all(b"def").unwrap();
                drop(peer);
                let mut copier = <$Copier>::new();
                let mut read = Vec::new();
                while copier.receive(&socket, 100, Patience::UpTo(Some(10 * SECOND))).unwrap() > 0 {
                    copier.read_out(&mut read).unwrap();
                }
                assert_eq!(read, b"abcdef");
            }

            #[test]
            fn bytes_are_not_lost_to_a_file_that_does_not_take_them() {
                let (socket, mut peer) = pair();
                peer.write_all(b"precious").unwrap();
                arrived(&socket);
                let mut copier = <$Copier>::new();
                assert_eq!(copier.receive(&socket, 100, Patience::Never).unwrap(), 8);
                let unwritable = File::open("/dev/null").unwrap();
                assert!(copier.drain_to_at(&unwritable, 0).is_err());
                #[cfg(target_os = "linux")]
                {
                    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
                    assert_eq!(kind(copier.drain_to_at(&full, 0)), io::ErrorKind::StorageFull);
                }
                assert_eq!(copier.len(), 8);
                let file = file(b"most ");
                assert_eq!(copier.drain_to_at(&file, 5).unwrap(), 8);
                assert_eq!(content(&file), b"most precious");
                assert_eq!(copier.drain_to_at(&file, 13).unwrap(), 0);
            }

            #[test]
            fn a_file_that_only_appends_is_written_to() {
                let (socket, mut peer) = pair();
                let file = empty(OpenOptions::new().append(true));
                let mut copier = <$Copier>::new();
                for part in [&b"one "[..], b"two ", b"three"] {
                    peer.write_all(part).unwrap();
                    arrived(&socket);
                    let count = copier.receive(&socket, 100, Patience::Never).unwrap();
                    let at = file.metadata().unwrap().len();
                    assert_eq!(copier.drain_to_at(&file, at).unwrap(), count);
                }
                assert_eq!(content(&file), b"one two three");
            }

            #[test]
            fn a_file_goes_to_a_peer_that_reads_at_its_leisure() {
                let (socket, mut peer) = pair();
                let sent = body(LARGE + 100);
                let file = file(&sent);
                let reader = thread::spawn(move || {
                    let mut read = Vec::new();
                    peer.read_to_end(&mut read).unwrap();
                    read
                });
                let mut copier = <$Copier>::new();
                let mut at = 50;
                while at < LARGE + 50 {
                    match copier.send_file(&socket, &file, at as u64, LARGE + 50 - at) {
                        Ok(count) => at += count,
                        Err(error) => {
                            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                            assert!(poll_sockets(&[(&socket, Interest::WRITE)], Some(10 * SECOND)).unwrap());
                        }
                    }
                }
                socket.shutdown();
                assert!(reader.join().unwrap() == sent[50..LARGE + 50]);
            }

            #[test]
            fn sending_to_a_peer_that_does_not_read_does_not_wait() {
                let (socket, mut peer) = pair();
                let sent = body(LARGE);
                let file = file(&sent);
                let mut copier = <$Copier>::new();
                let mut at = 0;
                // As in `fill`: the peer's system still takes a little.
                while poll_sockets(&[(&socket, Interest::WRITE)], Some(Duration::from_millis(50))).unwrap() {
                    let from = at % LARGE;
                    match copier.send_file(&socket, &file, from as u64, LARGE - from) {
                        Ok(count) => at += count,
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
                assert_eq!(kind(copier.send_file(&socket, &file, 0, LARGE)), io::ErrorKind::WouldBlock);
                socket.shutdown();
                assert_eq!(kind(copier.send_file(&socket, &file, 0, LARGE)), io::ErrorKind::BrokenPipe);
                let mut read = Vec::new();
                peer.read_to_end(&mut read).unwrap();
                assert_eq!(read.len(), at);
                assert!(read.iter().eq(sent.iter().cycle().take(at)));
            }

            #[test]
            fn a_file_that_has_shrunk_ends() {
                let (socket, mut peer) = pair();
                let file = file(b"0123456789");
                let mut copier = <$Copier>::new();
                assert_eq!(copier.send_file(&socket, &file, 0, 4).unwrap(), 4);
                file.set_len(7).unwrap();
                assert_eq!(copier.send_file(&socket, &file, 4, 6).unwrap(), 3);
                assert_eq!(copier.send_file(&socket, &file, 7, 3).unwrap(), 0);
                assert_eq!(copier.send_file(&socket, &file, 100, 3).unwrap(), 0);
                socket.shutdown();
                let mut read = Vec::new();
                peer.read_to_end(&mut read).unwrap();
                assert_eq!(read, b"0123456");
            }

            #[test]
            fn a_file_that_cannot_be_read_is_an_error() {
                let (socket, _peer) = pair();
                let file = empty(OpenOptions::new().write(true));
                let directory = File::open(std::env::temp_dir()).unwrap();
                let mut copier = <$Copier>::new();
                assert_eq!(copier.send_file(&socket, &file, 0, 10).unwrap(), 0);
                assert_eq!(kind(copier.send_file(&socket, &directory, 0, 10)), io::ErrorKind::IsADirectory);
            }

            /// What is held back for more to come is held for 200 ms.
            #[test]
            fn what_is_sent_is_not_held_back() {
                let (socket, mut peer) = pair();
                let file = file(&body(100));
                let mut copier = <$Copier>::new();
                let begun = Instant::now();
                for at in 0..50 {
                    assert_eq!(copier.send_file(&socket, &file, at, 50).unwrap(), 50);
                    peer.read_exact(&mut [0; 50]).unwrap();
                }
                assert!(begun.elapsed() < 5 * SECOND);
            }
        }
    };
}

copying_tests!(through_a_buffer, crate::sys::bounce::Bounce);
#[cfg(any(target_os = "linux", target_os = "android"))]
copying_tests!(through_the_kernel, crate::sys::splice::Splice);
