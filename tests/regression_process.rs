//! What once went wrong and shows in the process only: its CPU time, descriptors and memory.
#![cfg(target_os = "linux")]

mod support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use support::script::{head, hold, marked, ok, serve, wait_for};
use urlsession::{Bytes, Configuration, Delegate, Request, Session, TaskEvent};

fn session() -> Session {
    Session::new(Configuration::ephemeral())
}
/// What these tests measure is the process: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
fn fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
// back-pressure arms the socket of a body that is not wanted: the worker spins.
struct Slow(Duration);
impl Delegate for Slow {
    fn did_receive_data(&self, _: &TaskEvent<'_>, _: Bytes) -> Option<Bytes> {
        std::thread::sleep(self.0);
        None
    }
}
#[test]
fn backpressure_does_not_spin() {
    let _alone = alone();
    let url = serve(|_, mut stream| {
        head(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; 100_000_000]);
    });
    let session = Session::builder()
        .configuration(Configuration::ephemeral())
        .delegate(Slow(Duration::from_secs(1)))
        .build();
    let task = session.data_task(&url);
    task.resume();
    wait_for("data", || task.bytes_received() > 300_000);
    std::thread::sleep(Duration::from_millis(100));
    let before = cpu();
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu() - before;
    task.cancel();
    assert!(used < Duration::from_millis(300), "used {used:?} of CPU in 2 s of waiting for a slow delegate");
}

// the same, when a lender takes over from a worker.
#[test]
fn a_task_taken_over_is_let_go() {
    let _alone = alone();
    let url = serve(|_, mut stream| {
        while head(&mut stream).is_some() {
            stream.read_exact(&mut [0; 4]).unwrap();
            std::thread::sleep(Duration::from_millis(10));
            ok(&mut stream, "hello");
        }
    });
    let session = session();
    let mut marks = Vec::new();
    for _ in 0..200 {
        let (request, mark) = marked(&url);
        let task = session.data_task(request);
        task.resume();
        std::thread::sleep(Duration::from_millis(2));
        task.wait().unwrap();
        marks.push(mark);
    }
    wait_for("the end of all tasks", || marks.iter().all(|mark| Arc::strong_count(mark) == 1));
}

// idle connections of many origins
#[test]
fn idle_connections_are_bounded() {
    let _alone = alone();
    let listeners: Vec<_> = (0..300)
        .map(|_| {
            serve(|_, mut stream| {
                while head(&mut stream).is_some() {
                    ok(&mut stream, "x")
                }
            })
        })
        .collect();
    let session = session();
    let before = fds();
    for url in &listeners {
        session.data_task(url).wait().unwrap();
    }
    // The server's ends are in this process, too.
    let more = (fds() - before) / 2;
    assert!(more <= 128, "{more} idle connections");
}

// what waits for 100 Continue, is repeated, and then waits in the queue: does it spin?
#[test]
fn a_repeated_expectation_does_not_spin_in_the_queue() {
    let _alone = alone();
    let busy = Arc::new(AtomicUsize::new(0));
    let seen = busy.clone();
    let url = serve(move |_, mut stream| {
        while let Some(head) = head(&mut stream) {
            if head.contains("hold") {
                seen.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_secs(6));
            }
            if head.contains("PUT") {
                std::thread::sleep(Duration::from_millis(300));
                return;
            }
            ok(&mut stream, "x");
        }
    });
    let session = Session::new(Configuration::ephemeral().maximum_connections_per_host(1));
    session.data_task(&url).wait().unwrap();
    let put = session.data_task(Request::put(&url).body("x".repeat(10)).expect_continue(true));
    put.resume();
    std::thread::sleep(Duration::from_millis(100));
    let hold = session.data_task(format!("{url}hold"));
    hold.resume();
    wait_for("the other one has the connection", || busy.load(Ordering::SeqCst) == 1);
    std::thread::sleep(Duration::from_millis(1200));
    let before = cpu();
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu() - before;
    put.cancel();
    hold.cancel();
    assert!(used < Duration::from_millis(200), "used {used:?} of CPU in a second of waiting in the queue");
}

// tiny decoded pieces and a slow delegate: what is held in memory
fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        / 1024
}
struct Sleeps;
impl Delegate for Sleeps {
    fn did_receive_data(&self, _: &TaskEvent<'_>, _: Bytes) -> Option<Bytes> {
        std::thread::sleep(Duration::from_secs(30));
        None
    }
}
#[test]
fn tiny_pieces_do_not_amplify() {
    let _alone = alone();
    use flate2::{Compress, Compression, Crc, FlushCompress};
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut deflate = Compress::new(Compression::none(), false);
    for n in 0..200_000u32 {
        let mut piece = Vec::with_capacity(64);
        deflate.compress_vec(&[n as u8; 2], &mut piece, FlushCompress::Sync).unwrap();
        out.extend_from_slice(&piece);
    }
    let _ = Crc::new();
    let url = serve(move |_, mut stream| {
        head(&mut stream);
        let _ =
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut wire = Vec::new();
        for piece in out.chunks(7) {
            wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        let _ = stream.write_all(&wire);
        hold(&mut stream);
    });
    let session = Session::builder().configuration(Configuration::ephemeral()).delegate(Sleeps).build();
    let before = rss();
    let task = session.data_task(&url);
    task.resume();
    let mut last = 0;
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(250));
        last = rss();
        if last > before + 500 {
            break;
        }
    }
    task.cancel();
    assert!(last < before + 64, "{} MiB more for {} bytes received", last - before, task.bytes_received());
}

/// A reader that has something once, and then nothing for a long time.
struct Pauses(u32);
impl Read for Pauses {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0 += 1;
        if self.0 > 1 {
            std::thread::sleep(Duration::from_millis(2500));
            return Ok(0);
        }
        buffer[..10].fill(b'x');
        Ok(10)
    }
}
// An exchange whose body has nothing to send has room in its socket, and must not look at that.
#[test]
fn waiting_for_a_reader_does_not_spin() {
    let _alone = alone();
    // Silent until the body is there; an answer that comes at once; and one that ends early.
    for (early, length) in [
        ("", 0),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 4),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", 0),
    ] {
        let arrived = Arc::new(AtomicUsize::new(0));
        let seen = arrived.clone();
        let url = serve(move |_, mut stream| {
            head(&mut stream);
            stream.write_all(early.as_bytes()).unwrap();
            let mut body = Vec::new();
            while !body.ends_with(b"0\r\n\r\n") {
                let mut piece = [0; 100];
                let count = stream.read(&mut piece).unwrap();
                assert!(count > 0);
                body.extend_from_slice(&piece[..count]);
                seen.fetch_add(count, Ordering::SeqCst);
            }
            match (early.is_empty(), length) {
                (true, _) => ok(&mut stream, "done"),
                (false, 0) => {}
                (false, _) => stream.write_all(b"done").unwrap(),
            }
        });
        for resumed in [true, false] {
            arrived.store(0, Ordering::SeqCst);
            let session = session();
            let task = session.data_task(Request::post(&url).body(urlsession::Body::reader(Pauses(0))));
            if resumed {
                task.resume();
            }
            let waiting = task.clone();
            let waiter = (!resumed).then(|| std::thread::spawn(move || waiting.wait()));
            wait_for("a piece of the body", || arrived.load(Ordering::SeqCst) >= 10);
            let before = cpu();
            std::thread::sleep(Duration::from_secs(1));
            let used = cpu() - before;
            let result = waiter.map_or_else(|| task.wait(), |waiter| waiter.join().unwrap());
            assert_eq!(result.unwrap().bytes(), "done");
            assert!(
                used < Duration::from_millis(200),
                "{early:?}, resumed {resumed}: {used:?} of CPU in 1 s"
            );
        }
    }
}
