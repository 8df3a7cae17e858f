//! What once went wrong, one test each.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::script::{head, hold, marked, ok, serve, serve_on, wait_for};
use support::{At, Fault, PATIENCE, Reply, Server};
use urlsession::{
    Bytes, Certificate, Configuration, Delegate, DelegateQueue, Error, Request, ResponseDisposition,
    ResponseHead, Session, TaskEvent, TaskState,
};

fn session() -> Session {
    Session::new(Configuration::ephemeral())
}
// a task that waited for its delegate at the end stays in the watch for the resource timeout.
struct Takes;
impl Delegate for Takes {
    fn did_receive_data(&self, _: &TaskEvent<'_>, _: Bytes) -> Option<Bytes> {
        std::thread::sleep(Duration::from_millis(50));
        None
    }
}
#[test]
fn a_completed_task_is_let_go() {
    let url = serve(|_, mut stream| {
        head(&mut stream);
        stream.read_exact(&mut [0; 4]).unwrap();
        ok(&mut stream, "hello");
        hold(&mut stream);
    });
    let session = Session::builder().configuration(Configuration::ephemeral()).delegate(Takes).build();
    let (request, mark) = marked(&url);
    let task = session.data_task(request);
    task.resume();
    wait_for("the end", || task.state() == TaskState::Completed);
    drop(task);
    wait_for("its end in memory", || Arc::strong_count(&mark) == 1);
}

// a task that nobody started and nobody holds keeps its session from becoming invalid.
struct Invalid(crossbeam_channel::Sender<()>);
impl Delegate for Invalid {
    fn did_become_invalid(&self, _: Option<&Error>) {
        let _ = self.0.send(());
    }
}
#[test]
fn a_dropped_unstarted_task_does_not_keep_the_session() {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let session =
        Session::builder().configuration(Configuration::ephemeral()).delegate(Invalid(sender)).build();
    drop(session.data_task("http://127.0.0.1:1/"));
    session.finish_tasks_and_invalidate();
    receiver.recv_timeout(Duration::from_secs(2)).expect("did_become_invalid");
}

// invalidate_and_cancel after finish_tasks_and_invalidate cancels.
#[test]
fn invalidate_and_cancel_cancels_after_finish() {
    let url = serve(|_, mut stream| {
        head(&mut stream);
        hold(&mut stream);
    });
    let session = session();
    let task = session.data_task(&url);
    task.resume();
    session.finish_tasks_and_invalidate();
    session.invalidate_and_cancel();
    assert!(
        matches!(task.pending().wait_timeout(Duration::from_secs(2)), Some(Err(error)) if error.is_cancelled())
    );
}

// open() on a running task of a session with a delegate loses what the delegate was told.
struct Nothing;
impl Delegate for Nothing {}
fn two_parts() -> (String, crossbeam_channel::Sender<()>) {
    let (go, wait) = crossbeam_channel::unbounded::<()>();
    let url = serve(move |_, mut stream| {
        head(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        let _ = wait.recv();
        let _ = write!(stream, "secnd");
        hold(&mut stream);
    });
    (url, go)
}
/// Says that data came, and does not want it.
struct Shows(crossbeam_channel::Sender<()>);
impl Delegate for Shows {
    fn did_receive_data(&self, _: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        let _ = self.0.try_send(());
        Some(data)
    }
}
#[test]
fn open_gives_all_of_the_body_or_an_error() {
    let (url, go) = two_parts();
    let (shows, shown) = crossbeam_channel::bounded(1);
    let session = Session::builder().configuration(Configuration::ephemeral()).delegate(Shows(shows)).build();
    let task = session.data_task(&url);
    task.resume();
    shown.recv_timeout(Duration::from_secs(20)).expect("the first part");
    go.send(()).unwrap();
    if let Ok(response) = task.open() {
        let mut body = String::new();
        response.into_body().read_to_string(&mut body).unwrap();
        assert_eq!(body, "firstsecnd");
    }
}
#[test]
fn a_late_handler_gets_all_of_the_body() {
    let (url, go) = two_parts();
    let (shows, shown) = crossbeam_channel::bounded(1);
    let session = Session::builder().configuration(Configuration::ephemeral()).delegate(Shows(shows)).build();
    let task = session.data_task(&url);
    task.resume();
    shown.recv_timeout(Duration::from_secs(20)).expect("the first part");
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let _ = task.on_completion(move |result| sender.send(result).unwrap());
    go.send(()).unwrap();
    let result = receiver.recv_timeout(Duration::from_secs(5)).unwrap().unwrap();
    assert_eq!(result.text().unwrap(), "firstsecnd");
}

// a head that drips: wait_timeout and the resource timeout hold
fn drip() -> String {
    serve(|_, mut stream| {
        head(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nX: ");
        for _ in 0..60 {
            std::thread::sleep(Duration::from_millis(50));
            if stream.write_all(b"y").is_err() {
                return;
            }
        }
        let _ = write!(stream, "\r\nContent-Length: 0\r\n\r\n");
        std::thread::sleep(Duration::from_secs(60));
    })
}
#[test]
fn wait_timeout_holds_for_a_dripping_head() {
    let session = session();
    let task = session.data_task(drip());
    let begun = Instant::now();
    let result = task.wait_timeout(Duration::from_millis(300));
    let took = begun.elapsed();
    task.cancel();
    assert!(result.is_none() && took < Duration::from_millis(600), "wait_timeout(300 ms) took {took:?}");
}
#[test]
fn the_resource_timeout_holds_for_a_dripping_head() {
    let session = session();
    let begun = Instant::now();
    let result = session.data_task(Request::get(drip()).resource_timeout(Duration::from_millis(300))).wait();
    let took = begun.elapsed();
    assert!(result.is_err() && took < Duration::from_millis(600), "{result:?} after {took:?}");
}
#[test]
fn a_dripping_head_is_no_silence_on_a_worker() {
    let session = session();
    let task = session.data_task(Request::get(drip()).timeout(Duration::from_millis(500)));
    task.resume();
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let _ = task.on_completion(move |result| sender.send(result).unwrap());
    let result = receiver.recv_timeout(Duration::from_secs(8)).unwrap();
    assert!(result.is_ok(), "on a worker: {result:?}");
    let result = session.data_task(Request::get(drip()).timeout(Duration::from_millis(500))).wait();
    assert!(result.is_ok(), "on the caller: {result:?}");
}

// the resource timeout and wait_timeout hold while data flows without a pause
fn endless() -> String {
    serve(|_, mut stream| {
        head(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        while stream.write_all(&piece).is_ok() {}
    })
}
#[test]
fn the_resource_timeout_holds_for_a_reader() {
    let session = session();
    let response = session
        .data_task(Request::get(endless()).resource_timeout(Duration::from_millis(300)))
        .open()
        .unwrap();
    let mut body = response.into_body();
    let begun = Instant::now();
    let mut buffer = [0; 1024];
    while begun.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(1));
        if body.read(&mut buffer).is_err() {
            return;
        }
    }
    panic!("read on for 3 s with a resource timeout of 0.3 s");
}

// a server that answers while the request still comes in (an echo)
#[test]
fn an_echo_is_received() {
    for worker in [false, true] {
        let url = serve(|_, mut stream| {
            head(&mut stream);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
            let mut left = 8_000_000;
            let mut buffer = vec![0; 65536];
            while left > 0 {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => {
                        left -= count;
                        if stream.write_all(&buffer[..count]).is_err() {
                            return;
                        }
                    }
                }
            }
            hold(&mut stream);
        });
        let session = session();
        let task = session
            .data_task(Request::post(&url).body(vec![b'e'; 8_000_000]).timeout(Duration::from_secs(2)));
        if worker {
            task.resume();
            std::thread::sleep(Duration::from_millis(300));
        }
        let response = task.wait().unwrap();
        assert_eq!(response.bytes().len(), 8_000_000);
    }
}

//
#[test]
fn run_for_ever_does_not_panic() {
    let queue = DelegateQueue::manual();
    let pump = queue.clone();
    let thread = std::thread::spawn(move || pump.run_for(Duration::MAX));
    let session = Session::builder().configuration(Configuration::ephemeral()).delegate_queue(queue).build();
    let (sender, ran) = crossbeam_channel::bounded(1);
    let task = session.data_task("not a URL").on_completion(move |_| sender.send(()).unwrap());
    task.resume();
    ran.recv_timeout(Duration::from_secs(20)).expect("an event that it runs");
    assert!(!thread.is_finished(), "run_for(Duration::MAX) ended: {:?}", thread.join());
}

// a reader that took all of the body, and did not ask for the end
#[test]
fn a_body_read_to_its_last_byte_is_complete() {
    let accepted = Arc::new(Mutex::new(0));
    let count = accepted.clone();
    let url = serve(move |_, mut stream| {
        *count.lock().unwrap() += 1;
        while head(&mut stream).is_some() {
            ok(&mut stream, "hello")
        }
    });
    let session = session();
    let task = session.data_task(&url);
    let mut body = task.open().unwrap().into_body();
    body.read_exact(&mut [0; 5]).unwrap();
    drop(body);
    assert!(task.error().is_none(), "{:?}", task.error());
    session.data_task(&url).wait().unwrap();
    assert_eq!(*accepted.lock().unwrap(), 1, "the connection was kept");
}

// the only worker sits in an inline callback: nobody watches what is parked.
#[test]
fn somebody_watches_while_a_callback_waits() {
    let gate = Arc::new(AtomicUsize::new(0));
    let seen = gate.clone();
    let one = serve(move |_, mut stream| {
        while let Some(head) = head(&mut stream) {
            if head.contains("slow") {
                seen.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(700));
            }
            ok(&mut stream, "x");
        }
    });
    let two = serve(|_, mut stream| {
        while head(&mut stream).is_some() {
            ok(&mut stream, "x")
        }
    });
    let session = Session::builder()
        .configuration(Configuration::ephemeral().maximum_connections_per_host(1))
        .delegate_queue(DelegateQueue::inline())
        .build();
    let (slow, last, first) =
        (session.data_task(format!("{one}slow")), session.data_task(&one), session.data_task(&two));
    slow.resume();
    wait_for("the slow request", || gate.load(Ordering::SeqCst) == 1);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let inner = last.clone();
    let _ = first.on_completion(move |_| sender.send(inner.wait().map(|r| r.status())).unwrap());
    first.resume();
    let result = receiver.recv_timeout(Duration::from_secs(5));
    let states = (slow.state(), last.state());
    slow.cancel();
    last.cancel();
    result.unwrap_or_else(|_| panic!("the callback's wait does not end: {states:?}")).unwrap();
}

// the same with nothing to wait for but time: other tasks stand still.
#[test]
fn an_inline_callback_that_blocks_holds_up_no_parked_task() {
    let (asked, is_asked) = crossbeam_channel::unbounded();
    let (answer, may_answer) = crossbeam_channel::unbounded::<()>();
    let two = serve(move |_, mut stream| {
        while head(&mut stream).is_some() {
            asked.send(()).unwrap();
            let _ = may_answer.recv();
            ok(&mut stream, "x")
        }
    });
    let one = serve(|_, mut stream| {
        while head(&mut stream).is_some() {
            ok(&mut stream, "x")
        }
    });
    let session = Session::builder()
        .configuration(Configuration::ephemeral().maximum_workers(1))
        .delegate_queue(DelegateQueue::inline())
        .build();
    let parked = session.data_task(&two);
    parked.resume();
    is_asked.recv_timeout(PATIENCE).unwrap();
    let (entered, is_entered) = crossbeam_channel::unbounded();
    let (leave, may_leave) = crossbeam_channel::unbounded::<()>();
    let quick = session.data_task(&one).on_completion(move |_| {
        entered.send(()).unwrap();
        let _ = may_leave.recv();
    });
    quick.resume();
    is_entered.recv_timeout(PATIENCE).unwrap();
    // The callback holds its thread until the parked task has ended on another one.
    answer.send(()).unwrap();
    wait_for("the end of the parked task", || parked.state() == TaskState::Completed);
    drop(leave);
}

// cancelling a task whose connection has gone to another one
struct SlowOnce(AtomicUsize);
impl Delegate for SlowOnce {
    fn did_receive_data(&self, _: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_secs(3));
        }
        Some(data)
    }
}
#[test]
fn cancel_leaves_a_connection_alone_that_went_to_another_task() {
    use socket2::{Domain, Socket, Type};
    // A full backlog, so that connecting takes until the first SYN is sent again.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let filler = TcpStream::connect(address).unwrap();
    let url = format!("http://{address}/");
    let session = Session::builder()
        .configuration(Configuration::ephemeral().maximum_connections_per_host(1))
        .delegate(SlowOnce(AtomicUsize::new(0)))
        .build();
    let one = session.data_task(&url);
    assert!(one.wait_timeout(Duration::from_millis(300)).is_none());
    // Now it dials on the watch.
    let listener: TcpListener = listener.into();
    let (first, _) = listener.accept().unwrap();
    drop((first, filler));
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    serve_on(listener, move |_, mut stream| {
        while head(&mut stream).is_some() {
            if count.fetch_add(1, Ordering::SeqCst) == 1 {
                std::thread::sleep(Duration::from_millis(1000));
            }
            ok(&mut stream, "x");
        }
    });
    wait_for("the first response", || one.bytes_received() == 1);
    let two = session.data_task(Request::post(&url).body("x"));
    let two = two.on_completion(|_| {});
    two.resume();
    wait_for("the second request", || served.load(Ordering::SeqCst) == 2);
    one.cancel();
    let result = two.wait();
    assert!(result.is_ok(), "{result:?}");
}

// many tasks with large bodies on the workers, and one thread that waits for each in turn
#[test]
fn waiting_for_large_bodies_among_many() {
    let url = serve(|_, mut stream| {
        let body = vec![b'x'; 5_000_000];
        while head(&mut stream).is_some() {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n");
            for piece in body.chunks(700_000) {
                if stream.write_all(piece).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let session = Session::new(Configuration::ephemeral().maximum_connections_per_host(20));
    let tasks: Vec<_> = (0..40).map(|_| session.data_task(&url)).collect();
    tasks.iter().for_each(|task| task.resume());
    for (n, task) in tasks.iter().enumerate() {
        let response =
            task.wait_timeout(Duration::from_secs(20)).unwrap_or_else(|| panic!("task {n} hangs: {task:?}"));
        assert_eq!(response.unwrap().bytes().len(), 5_000_000);
    }
}

// a wait with a limit on the thread that runs the events
struct Busy;
impl Delegate for Busy {
    fn did_receive_data(&self, _: &TaskEvent<'_>, _: Bytes) -> Option<Bytes> {
        std::thread::sleep(Duration::from_millis(20));
        None
    }
}
#[test]
fn a_limit_holds_while_events_run() {
    let url = serve(|_, mut stream| {
        head(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; 100_000_000]);
    });
    let queue = DelegateQueue::manual();
    let session = Session::builder()
        .configuration(Configuration::ephemeral())
        .delegate(Busy)
        .delegate_queue(queue.clone())
        .build();
    let task = session.data_task(&url);
    let begun = Instant::now();
    assert!(task.wait_timeout(Duration::from_millis(300)).is_none());
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(600), "wait_timeout(300 ms) took {took:?}");
    let begun = Instant::now();
    queue.run_for(Duration::from_millis(300));
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(600), "run_for(300 ms) took {took:?}");
    let begun = Instant::now();
    queue.run_pending();
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(600), "run_pending() took {took:?}");
    task.cancel();
}

// events of other tasks while an inline callback waits
struct Told(Mutex<std::collections::HashSet<u64>>);
impl Delegate for Told {
    fn did_receive_response(&self, event: &TaskEvent<'_>, _: &ResponseHead) -> ResponseDisposition {
        self.0.lock().unwrap().insert(event.task().id());
        ResponseDisposition::Allow
    }
}
fn events_go_on(queue: DelegateQueue) {
    let (answer, may_answer) = crossbeam_channel::unbounded::<()>();
    let slow = serve(move |_, mut stream| {
        while head(&mut stream).is_some() {
            let _ = may_answer.recv();
            ok(&mut stream, "x")
        }
    });
    let fast = serve(|_, mut stream| {
        while head(&mut stream).is_some() {
            ok(&mut stream, "x")
        }
    });
    let session = Session::builder()
        .configuration(Configuration::ephemeral())
        .delegate(Told(Mutex::default()))
        .delegate_queue(queue)
        .build();
    let (first, other, long) = (session.data_task(&fast), session.data_task(&fast), session.data_task(&slow));
    let inner = long.clone();
    let (entered, is_entered) = crossbeam_channel::unbounded();
    let first = first.on_completion(move |_| {
        entered.send(()).unwrap();
        drop(inner.wait());
    });
    first.resume();
    is_entered.recv_timeout(PATIENCE).unwrap();
    // The callback waits for what is not answered before the other task has ended.
    other.resume();
    wait_for("the end of the other task", || other.state() == TaskState::Completed);
    answer.send(()).unwrap();
    let _ = long.wait();
}
#[test]
fn events_go_on_while_a_callback_waits_inline() {
    events_go_on(DelegateQueue::inline())
}
#[test]
fn events_go_on_while_a_callback_waits_on_a_thread() {
    events_go_on(DelegateQueue::serial())
}
#[test]
fn events_go_on_while_a_callback_waits_on_an_executor() {
    events_go_on(DelegateQueue::from_fn(|run| {
        std::thread::spawn(run);
    }))
}

// the same over TLS, with records cut anywhere, and the end of the session
const SIZES: [usize; 7] = [0, 5, 16_384, 16_385, 70_000, 300_000, 1_200_000];
#[test]
fn bodies_of_every_kind_over_tls() {
    let server = Server::tls(|request| {
        let n: usize = request.target.trim_start_matches('/').parse().unwrap_or(0);
        let size = SIZES[n % 7];
        let reply = match n % 5 {
            0 => Reply::ok(support::pattern(size)),
            1 => Reply::chunked(support::pattern(size).chunks(n % 9000 + 700)),
            2 => Reply::gzipped(support::pattern(size)),
            3 => Reply::until_close(support::pattern(size)),
            _ => Reply::ok(support::pattern(size)).then(Fault::Split(vec![
                At::InHead(7),
                At::BeforeBody,
                At::After(size / 3),
                At::After(size / 2),
            ])),
        };
        match n % 11 {
            0 => reply.then(Fault::Delay { at: At::After(size / 2), time: Duration::from_millis(3) }),
            1 => reply.then(Fault::Delay { at: At::BeforeHead, time: Duration::from_millis(3) }),
            2 => reply.then(Fault::CloseIdleAfterReply),
            _ => reply,
        }
    });
    let configuration = Configuration::ephemeral()
        .timeout_for_request(Duration::from_secs(20))
        .add_root_certificate(Certificate::from_der(server.ca_der()));
    for delegate in [false, true] {
        let mut builder = Session::builder().configuration(configuration.clone());
        if delegate {
            builder = builder.delegate(Nothing);
        }
        let session = builder.build();
        let tasks: Vec<_> = (0..110usize).map(|n| session.data_task(server.url(&format!("/{n}")))).collect();
        for (n, task) in tasks.iter().enumerate() {
            if n % 3 != 0 {
                task.resume()
            }
        }
        for (n, task) in tasks.iter().enumerate() {
            let size = SIZES[n % 7];
            if n % 4 == 1 {
                let result = task.open();
                let mut body = Vec::new();
                match result {
                    Ok(response) => {
                        response.into_body().read_to_end(&mut body).unwrap();
                    }
                    Err(error) => panic!("{n}: {error}"),
                }
                assert_eq!(body.len(), size, "{n}");
                support::assert_pattern(&body, size);
            } else {
                let response = task
                    .wait_timeout(Duration::from_secs(20))
                    .unwrap_or_else(|| panic!("{n} hangs {task:?}"))
                    .unwrap();
                assert_eq!(response.bytes().len(), size, "{n}");
                support::assert_pattern(response.bytes(), size);
            }
        }
        session.finish_tasks_and_invalidate();
        wait_for("no tasks", || session.all_tasks().is_empty());
    }
}
// exactly as much as may be, compressed
#[test]
fn a_compressed_body_of_exactly_the_limit() {
    use flate2::{Compression, write::GzEncoder};
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&[b'z'; 100_000]).unwrap();
    let body = encoder.finish().unwrap();
    let url = serve(move |_, mut stream| {
        head(&mut stream);
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            body.len()
        );
        let _ = stream.write_all(&body);
        let _ = stream.write_all(b"\r\n");
        std::thread::sleep(Duration::from_millis(50));
        let _ = stream.write_all(b"0\r\n\r\n");
        hold(&mut stream);
    });
    let session = Session::new(Configuration::ephemeral().maximum_body_in_memory(100_000));
    assert_eq!(session.data_task(&url).wait().unwrap().bytes().len(), 100_000);
}
