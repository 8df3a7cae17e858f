//! Bodies of every kind: from files, readers and writers, with and without a length, sent again,
//! stopped halfway (SPEC U1 to U5, B6).

mod support;

use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::harness::aside;
use support::{Fault, PATIENCE, Received, Reply, Server, error_within, every_way, over_both, pattern};
use urlsession::{
    Body, Delegate, DelegateQueue, Error, ErrorKind, Multipart, Part, Request, Session, TaskEvent,
};

const LARGE: usize = 3_000_000;

fn echo_length(request: &Received) -> Reply {
    let length = request.body_length().to_string();
    Reply::ok(length)
}

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(bytes: &[u8]) -> Scratch {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("urlsession-body-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A reader that gives what is sent to it, and blocks until then.
struct Gated(Receiver<io::Result<Vec<u8>>>, Cursor<Vec<u8>>);

fn gated() -> (Sender<io::Result<Vec<u8>>>, Gated) {
    let (sender, receiver) = channel();
    (sender, Gated(receiver, Cursor::default()))
}

impl Read for Gated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.position() == self.1.get_ref().len() as u64 {
            match self.0.recv() {
                Ok(piece) => self.1 = Cursor::new(piece?),
                Err(_) => return Ok(0),
            }
        }
        self.1.read(buffer)
    }
}

fn check(received: &Received, length: usize, framing: &str) {
    assert!(received.is_complete(), "{:?}", received.head);
    assert_eq!(received.body_length(), length as u64);
    assert_eq!(received.body_mismatch(), None);
    let chunked = received.header("transfer-encoding").is_some();
    assert_eq!(if chunked { "chunked" } else { "length" }, framing);
    if !chunked {
        assert_eq!(received.header("content-length"), Some(length.to_string().as_str()));
    }
}

#[test]
fn every_kind_arrives_in_every_way() {
    every_way(echo_length, |client| {
        let (file, empty) = (Scratch::new(&pattern(LARGE)), Scratch::new(b""));
        let large = || Cursor::new(pattern(LARGE));
        for (body, length, framing) in [
            (Body::bytes(pattern(LARGE)), LARGE, "length"),
            (Body::file(&file.0), LARGE, "length"),
            (Body::file_range(&file.0, ..1000), 1000, "length"),
            (Body::reader(large()), LARGE, "chunked"),
            (Body::reader(large()).with_length(LARGE as u64), LARGE, "length"),
            (Body::from_fn(move || Ok(large())), LARGE, "chunked"),
            (Body::reader(io::empty()), 0, "chunked"),
            (Body::reader(io::empty()).with_length(0), 0, "length"),
            (Body::file(&empty.0), 0, "length"),
        ] {
            let before = client.server.requests().len();
            let shown = format!("{client}: {body:?}");
            let task = client.session.data_task(Request::post(client.server.url("/")).body(body));
            let result = support::result_by(client.way, &task);
            let response = result.unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(response.text().unwrap(), length.to_string(), "{shown}");
            assert_eq!(task.bytes_sent(), length as u64, "{shown}");
            let expected = (framing == "length").then_some(length as u64);
            assert_eq!(task.bytes_expected_to_send(), expected, "{shown}");
            check(&client.server.request(before), length, framing);
        }
        assert_eq!(client.server.protocol_errors(), Vec::<String>::new());
    });
}

#[test]
fn a_part_of_a_file_from_an_offset() {
    over_both(echo_length, |server, session| {
        let file = Scratch::new(b"0123456789");
        for (body, expected) in [
            (Body::file_range(&file.0, 3..), "3456789"),
            (Body::file_range(&file.0, 3..5), "34"),
            (Body::file_range(&file.0, 0..=3), "0123"),
            (Body::file_range(&file.0, 10..), ""),
        ] {
            session.data_task(Request::put(server.url("/")).body(body)).wait().unwrap();
            assert_eq!(server.requests().last().unwrap().text(), expected);
        }
        let beyond = Body::file_range(&file.0, 3..11);
        let error = session.data_task(Request::put(server.url("/")).body(beyond)).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "{error}");
    });
}

#[test]
fn files_that_cannot_be_opened() {
    over_both(echo_length, |server, session| {
        let kind = |path: &str| {
            let task = session.upload_task(server.url("/"), Body::file(path));
            let error = task.wait().unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
            error.kind()
        };
        assert_eq!(kind("/nonexistent/file"), ErrorKind::FileDoesNotExist);
        assert_eq!(kind("/tmp"), ErrorKind::FileIsDirectory);
        assert_eq!(server.requests().len(), 0);
    });
}

#[test]
fn a_file_that_changes_while_it_is_sent() {
    let gate = support::Gate::new();
    let reading = gate.clone();
    let handler = move |_: &Received| Reply::ok("").then(Fault::GateRead(100_000, reading.clone()));
    over_both(handler, |server, session| {
        const SIZE: usize = 30_000_000;
        for shrinks in [true, false] {
            gate.close();
            let (file, reached) = (Scratch::new(&vec![b'x'; SIZE]), gate.reached());
            let task = session.upload_task(Request::put(server.url("/")), Body::file(&file.0));
            task.resume();
            gate.wait_until_reached_by(reached + 1, PATIENCE);
            let opened = std::fs::OpenOptions::new().write(true).open(&file.0).unwrap();
            opened.set_len(if shrinks { 10 } else { SIZE as u64 + 10 }).unwrap();
            gate.open();
            let error = task.wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "{error}");
            assert!(error.to_string().contains("30000000"), "{error}");
        }
        assert!(server.wait_for_requests(2, PATIENCE).iter().all(|request| !request.is_complete()));
    });
}

#[cfg(unix)]
#[test]
fn a_fifo_is_a_stream() {
    over_both(echo_length, |server, session| {
        let directory = Scratch::new(b"");
        let path = directory.0.with_extension("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let task = session.upload_task(Request::put(server.url("/")), Body::file(&path));
        task.resume();
        std::fs::write(&path, b"through the pipe").unwrap();
        task.wait().unwrap();
        std::fs::remove_file(&path).unwrap();
        let request = server.requests().pop().unwrap();
        assert_eq!(request.text(), "through the pipe");
        assert_eq!(request.header("transfer-encoding"), Some("chunked"));
    });
}

#[test]
fn lengths_that_were_declared_are_checked() {
    over_both(echo_length, |server, session| {
        let with_header = |length: &str| Request::post(server.url("/")).header("content-length", length);
        for (request, numbers) in [
            (Request::post(server.url("/")).body(Body::reader(&b"12345"[..]).with_length(4)), ["4", "5"]),
            (Request::post(server.url("/")).body(Body::reader(&b"12345"[..]).with_length(6)), ["6", "5"]),
            (with_header("4").body(Body::reader(&b"12345"[..])), ["4", "5"]),
            (with_header("6").body(Body::from_fn(|| Ok(&b"12345"[..]))), ["6", "5"]),
        ] {
            let error = session.data_task(request).wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "{error}");
            assert!(numbers.iter().all(|number| error.to_string().contains(number)), "{error}");
        }
        assert!(server.requests().iter().all(|request| !request.is_complete()));
        let response = session.data_task(with_header("5").body(Body::reader(&b"12345"[..]))).wait().unwrap();
        assert_eq!(response.text().unwrap(), "5");
        // Those that were cut off may be noted later than they ended.
        let complete = server.requests().into_iter().rfind(|request| request.is_complete()).unwrap();
        assert_eq!(complete.header("content-length"), Some("5"));
        // What knows its own length is not asked (SPEC 46).
        let response = session.data_task(with_header("7").body("12345")).wait().unwrap();
        assert_eq!(response.text().unwrap(), "5");
        let error = session.data_task(with_header("-5").body(Body::reader(io::empty()))).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUrl, "{error}");
    });
}

#[test]
fn readers_that_fail_or_panic() {
    over_both(echo_length, |server, session| {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("on purpose")
            }
        }
        let (pieces, fails) = gated();
        pieces.send(Ok(pattern(1000))).unwrap();
        pieces.send(Err(io::Error::other("the disk is on fire"))).unwrap();
        for (body, words) in [
            (Body::reader(fails), "the disk is on fire"),
            (Body::reader(Panics), "panicked"),
            (Body::from_fn(|| -> io::Result<Panics> { panic!("on purpose") }), "panicked"),
            (Body::from_fn(|| Err::<io::Empty, _>(io::Error::other("not today"))), "not today"),
        ] {
            let error = session.data_task(Request::post(server.url("/")).body(body)).wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(server.requests().iter().all(|request| !request.is_complete()));
        // The session goes on.
        assert!(session.data_task(server.url("/")).wait().is_ok());
    });
}

#[test]
fn pieces_go_out_as_they_come() {
    every_way(echo_length, |client| {
        let (pieces, reader) = gated();
        let task = client.session.data_task(Request::post(client.server.url("/")).body(Body::reader(reader)));
        let (way, waiting) = (client.way, task.clone());
        let waiting = aside(move || support::result_by(way, &waiting));
        for count in 1..=5 {
            pieces.send(Ok(b"x".repeat(1000))).unwrap();
            client.server.wait_for_body_bytes(count * 1000, PATIENCE);
            assert!(waiting.is_pending());
        }
        drop(pieces);
        assert_eq!(waiting.join().unwrap().text().unwrap(), "5000");
    });
}

#[test]
fn a_body_is_written_with_the_back_pressure_of_the_socket() {
    let gate = support::Gate::new();
    let reading = gate.clone();
    let handler = move |_: &Received| Reply::ok("").then(Fault::GateRead(1000, reading.clone()));
    over_both(handler, |server, session| {
        gate.close();
        let (mut writer, body) = Body::writer();
        let task = session.upload_task(Request::post(server.url("/")), body);
        task.resume();
        let written = Arc::new(AtomicUsize::new(0));
        let (count, reached) = (Arc::clone(&written), gate.reached());
        const SIZE: usize = 50_000_000;
        let writing = aside(move || {
            let data = pattern(SIZE);
            for piece in data.chunks(100_000) {
                writer.write_all(piece)?;
                count.fetch_add(piece.len(), Ordering::SeqCst);
            }
            writer.finish()
        });
        gate.wait_until_reached_by(reached + 1, PATIENCE);
        assert!(writing.is_pending());
        assert!(written.load(Ordering::SeqCst) < SIZE);
        gate.open();
        writing.join().unwrap();
        task.wait().unwrap();
        check(server.requests().last().unwrap(), SIZE, "chunked");
    });
}

#[test]
fn a_writer_that_aborts_or_is_dropped() {
    over_both(echo_length, |server, session| {
        for aborts in [true, false] {
            let (mut writer, body) = Body::writer();
            let task = session.upload_task(Request::post(server.url("/")), body);
            task.resume();
            writer.write_all(&[b'x'; 1000]).unwrap();
            if aborts {
                writer.abort("no more paper");
            } else {
                drop(writer);
            }
            let error = task.wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBodyFailed);
            let words = if aborts { "no more paper" } else { "finish()" };
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(server.requests().iter().all(|request| !request.is_complete()));
    });
}

/// Writes until it fails, and gives the library's error.
fn write_on(mut writer: urlsession::BodyWriter) -> Error {
    loop {
        if let Err(error) = writer.write_all(&[0; 100_000]) {
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            return error_within(error);
        }
    }
}

#[test]
fn a_writer_learns_how_its_task_ended() {
    let handler = |_: &Received| Reply::ok("").then(Fault::RefuseRead);
    over_both(handler, |server, session| {
        // Cancelled while the writer and the socket are blocked.
        let (writer, body) = Body::writer();
        let task = session.upload_task(Request::post(server.url("/")), body);
        task.resume();
        let writing = aside(move || write_on(writer));
        server.wait_for_heads(1, PATIENCE);
        support::eventually("bytes on their way", || task.bytes_sent() > 0);
        task.cancel();
        assert_eq!(writing.join().kind(), ErrorKind::Cancelled);

        // Timed out, since the server does not read.
        let (writer, body) = Body::writer();
        let request = Request::post(server.url("/")).timeout(Duration::from_millis(300));
        let task = session.upload_task(request, body);
        task.resume();
        assert_eq!(aside(move || write_on(writer)).join().kind(), ErrorKind::TimedOut);
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::TimedOut);

        // Never connected.
        let refused = support::Refused::new();
        let (writer, body) = Body::writer();
        let task = session.upload_task(Request::post(refused.url("/")), body);
        task.resume();
        assert_eq!(aside(move || write_on(writer)).join().kind(), ErrorKind::CannotConnectToHost);

        // Given up by everybody.
        let (writer, body) = Body::writer();
        drop(session.upload_task(Request::post(server.url("/")), body));
        aside(move || write_on(writer)).join();
    });
}

#[test]
fn an_early_refusal_is_delivered_for_every_kind() {
    let handler = |_: &Received| Reply::status(413).body("no").early().then(Fault::CloseAfter(2));
    every_way(handler, |client| {
        let url = client.server.url("/");
        let send = |body: Body| {
            let response = client.send(Request::post(&url).body(body)).unwrap();
            assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (413, &b"no"[..]));
        };
        let file = Scratch::new(&vec![0; 20_000_000]);
        send(Body::file(&file.0));
        send(Body::reader(io::repeat(1)));
        send(Body::from_fn(|| Ok(io::repeat(1))));
        // A reader that blocks for ever.
        let (pieces, reader) = gated();
        pieces.send(Ok(vec![0; 10])).unwrap();
        send(Body::reader(reader));
        drop(pieces);
        // A writer is told.
        let (writer, body) = Body::writer();
        let writing = aside(move || write_on(writer));
        send(body);
        let error = writing.join();
        assert!(error.to_string().contains("answered"), "{error}");
    });
}

#[test]
fn nothing_waits_for_a_reader_that_blocks() {
    let handler = |_: &Received| Reply::ok("");
    every_way(handler, |client| {
        let blocked = |request: Request| {
            let (pieces, reader) = gated();
            pieces.send(Ok(b"x".repeat(10))).unwrap();
            (pieces, client.session.data_task(request.body(Body::reader(reader))))
        };
        // Cancelled, by another thread than those that wait.
        let heads = client.server.requests().len();
        let (pieces, task) = blocked(Request::post(client.server.url("/")));
        let (way, first, second) = (client.way, task.clone(), task.clone());
        let first = aside(move || support::result_by(way, &first));
        client.server.wait_for_heads(heads + 1, PATIENCE);
        let second = aside(move || second.wait());
        client.server.wait_for_body_bytes(10, PATIENCE);
        task.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        assert!(second.join().unwrap_err().is_cancelled());
        drop(pieces);
        // The idle limit is for the peer, the whole is for all.
        let request = Request::post(client.server.url("/"))
            .timeout(Duration::from_millis(50))
            .resource_timeout(Duration::from_millis(300));
        let (pieces, task) = blocked(request);
        let error = support::result_by(client.way, &task).unwrap_err();
        assert!(error.is_timeout() && error.to_string().contains("resource timeout"), "{error}");
        drop(pieces);
    });
}

#[test]
fn a_wait_with_a_limit_leaves_a_blocked_upload_to_others() {
    over_both(echo_length, |server, session| {
        let (pieces, reader) = gated();
        let task = session.data_task(Request::post(server.url("/")).body(Body::reader(reader)));
        assert!(task.wait_timeout(Duration::from_millis(50)).is_none());
        let (sender, done) = channel();
        task.on_completion(move |result| sender.send(result).unwrap());
        pieces.send(Ok(pattern(100_000))).unwrap();
        drop(pieces);
        assert_eq!(done.recv_timeout(PATIENCE).unwrap().unwrap().text().unwrap(), "100000");
    });
}

#[test]
fn an_early_answer_with_a_body_while_the_reader_has_nothing() {
    // The server echoes piece by piece: each side waits for the other in turn.
    let handler = |_: &Received| Reply::ok("going on").early();
    every_way(handler, |client| {
        let (pieces, reader) = gated();
        pieces.send(Ok(b"x".repeat(10))).unwrap();
        let task = client.session.data_task(Request::post(client.server.url("/")).body(Body::reader(reader)));
        let (way, waiting) = (client.way, task.clone());
        let waiting = aside(move || support::result_by(way, &waiting));
        support::eventually("the response", || task.response().is_some());
        pieces.send(Ok(b"x".repeat(10))).unwrap();
        drop(pieces);
        assert_eq!(waiting.join().unwrap().text().unwrap(), "going on");
        let request = &client.server.wait_for_requests(1, PATIENCE)[0];
        assert!(request.is_complete());
        assert_eq!(request.body_length(), 20);
    });
}

#[test]
fn a_failing_body_fails_the_task_though_the_answer_has_begun() {
    let handler = |_: &Received| Reply::ok("fine").early();
    over_both(handler, |server, session| {
        let (pieces, reader) = gated();
        let task = session.data_task(Request::post(server.url("/")).body(Body::reader(reader)));
        task.resume();
        support::eventually("the response", || task.response().is_some());
        pieces.send(Err(io::Error::other("too late"))).unwrap();
        let error = task.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "half a body is no success");
        assert!(error.response().is_some());
    });
}

#[test]
fn expectations_hold_streams_back() {
    let handler = |request: &Received| match request.path() {
        "/refuse" => Reply::status(403).no_continue().early().close(),
        _ => echo_length(request),
    };
    every_way(handler, |client| {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let body = Body::from_fn(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Cursor::new(pattern(LARGE)))
        });
        let request =
            |path: &str| Request::put(client.server.url(path)).body(body.clone()).expect_continue(true);
        assert_eq!(client.send(request("/")).unwrap().text().unwrap(), LARGE.to_string());
        assert_eq!(opened.load(Ordering::SeqCst), 1);
        assert_eq!(client.send(request("/refuse")).unwrap().status(), 403);
        assert_eq!(opened.load(Ordering::SeqCst), 1, "nobody wanted it");
    });
}

fn redirecting(status: u16) -> impl Fn(&Received) -> Reply + Clone + Send + Sync + 'static {
    move |request| match request.path() {
        "/from" => {
            request.body();
            Reply::redirect(status, "/to")
        }
        _ => echo_length(request),
    }
}

#[test]
fn redirects_send_the_body_again() {
    for status in [307, 308] {
        over_both(redirecting(status), |server, session| {
            let file = Scratch::new(&pattern(LARGE));
            for body in [
                Body::bytes(pattern(LARGE)),
                Body::file(&file.0),
                Body::from_fn(|| Ok(Cursor::new(pattern(LARGE)))),
            ] {
                let shown = format!("{body:?}");
                let response =
                    session.data_task(Request::post(server.url("/from")).body(body)).wait().unwrap();
                assert_eq!(response.text().unwrap(), LARGE.to_string(), "{shown}");
                assert_eq!(server.requests().last().unwrap().body_mismatch(), None);
            }
            let request = Request::post(server.url("/from")).body(Body::reader(Cursor::new(pattern(LARGE))));
            let error = session.data_task(request).wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted, "{error}");
            assert!(error.to_string().contains("Body::from_fn"), "{error}");
        });
    }
    over_both(redirecting(303), |server, session| {
        let request = Request::post(server.url("/from")).body(Body::reader(Cursor::new(pattern(LARGE))));
        assert_eq!(session.data_task(request).wait().unwrap().text().unwrap(), "0");
    });
}

#[test]
fn clones_share_a_reader() {
    over_both(echo_length, |server, session| {
        let request = Request::post(server.url("/")).body(Body::reader(&b"once"[..]));
        assert!(session.data_task(&request).wait().is_ok());
        let error = session.data_task(&request).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted);
        assert_eq!(error.code(), -1021);
    });
}

#[test]
fn a_reader_that_was_not_touched_may_be_used_again() {
    let refused = support::Refused::new();
    let body = Body::reader(&b"still here"[..]);
    over_both(echo_length, |server, session| {
        assert!(session.data_task(Request::post(refused.url("/")).body(body.clone())).wait().is_err());
        let _ = server;
    });
    let server = Server::start(echo_length);
    let session = Session::new(support::configuration_for(&server));
    let response = session.data_task(Request::post(server.url("/")).body(body.clone())).wait().unwrap();
    assert_eq!(response.text().unwrap(), "10");
}

/// Gives bodies, and writes down what it is told.
#[derive(Default)]
struct Uploading {
    bodies: Mutex<Vec<Body>>,
    sent: Mutex<Vec<(u64, u64, Option<u64>)>>,
}

impl Delegate for Uploading {
    fn need_new_body_stream(&self, _: &TaskEvent<'_>) -> Option<Body> {
        self.bodies.lock().unwrap().pop()
    }

    fn did_send_body_data(&self, _: &TaskEvent<'_>, bytes: u64, total: u64, expected: Option<u64>) {
        self.sent.lock().unwrap().push((bytes, total, expected));
    }
}

fn session_for(server: &Server, delegate: &Arc<Uploading>) -> Session {
    Session::builder()
        .configuration(support::configuration_for(server))
        .delegate(Arc::clone(delegate))
        .build()
}

#[test]
fn the_delegate_gives_bodies() {
    over_both(redirecting(307), |server, _| {
        let delegate = Arc::new(Uploading::default());
        let session = session_for(server, &delegate);
        let stream = || Body::reader(Cursor::new(pattern(LARGE)));
        // The first one and the one after the redirect.
        delegate.bodies.lock().unwrap().extend([stream(), stream()]);
        let request = Request::post(server.url("/from")).body("not sent");
        let task = session.upload_task_with_streamed_request(request);
        assert_eq!(task.wait().unwrap().text().unwrap(), LARGE.to_string());
        assert_eq!(server.requests().last().unwrap().body_mismatch(), None);
        // A header declares the length of whatever comes.
        delegate.bodies.lock().unwrap().push(stream());
        let request = Request::post(server.url("/to")).header("content-length", LARGE.to_string());
        session.upload_task_with_streamed_request(request).wait().unwrap();
        check(server.requests().last().unwrap(), LARGE, "length");
        // There are no more.
        let task = session.upload_task_with_streamed_request(server.url("/to"));
        let error = task.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted);
        assert!(error.to_string().contains("need_new_body_stream"), "{error}");
        // One that was used is none.
        let used = Body::reader(&b"used"[..]);
        session.data_task(Request::post(server.url("/to")).body(used.clone())).wait().unwrap();
        delegate.bodies.lock().unwrap().push(used);
        let task = session.upload_task_with_streamed_request(server.url("/to"));
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::RequestBodyStreamExhausted);
        session.invalidate_and_cancel();
    });
}

#[test]
fn what_was_sent_is_told() {
    over_both(redirecting(307), |server, _| {
        let delegate = Arc::new(Uploading::default());
        let session = session_for(server, &delegate);
        let told = |request: Request| {
            delegate.sent.lock().unwrap().clear();
            let (sender, done) = channel();
            let task = session.data_task(request);
            task.on_completion(move |result| sender.send(result).unwrap());
            task.wait().unwrap();
            done.recv_timeout(PATIENCE).unwrap().unwrap();
            delegate.sent.lock().unwrap().clone()
        };
        assert_eq!(told(Request::post(server.url("/to"))), [], "there is no body");
        assert_eq!(told(Request::post(server.url("/to")).body("small")), [(5, 5, Some(5))]);
        let lines = told(Request::post(server.url("/to")).body(pattern(LARGE)));
        assert_eq!(lines.iter().map(|line| line.0).sum::<u64>(), LARGE as u64);
        assert_eq!(lines.last().unwrap().1, LARGE as u64);
        let lines = told(Request::post(server.url("/to")).body(Body::reader(Cursor::new(pattern(LARGE)))));
        assert_eq!(lines.last().unwrap().1, LARGE as u64);
        assert!(lines.iter().all(|line| line.2.is_none()));
        // Anew with each time it is sent.
        let lines = told(Request::post(server.url("/from")).body("small"));
        assert_eq!(lines.last(), Some(&(5, 5, Some(5))));
        session.invalidate_and_cancel();
    });
}

#[test]
fn a_delegate_on_a_manual_queue_gives_bodies() {
    let server = Server::start(redirecting(307));
    let (queue, delegate) = (DelegateQueue::manual(), Arc::new(Uploading::default()));
    let session = Session::builder()
        .configuration(support::configuration_for(&server))
        .delegate(Arc::clone(&delegate))
        .delegate_queue(queue.clone())
        .build();
    let stream = || Body::reader(Cursor::new(pattern(LARGE)));
    delegate.bodies.lock().unwrap().extend([stream(), stream()]);
    let task = session.upload_task_with_streamed_request(Request::post(server.url("/from")));
    assert_eq!(task.wait().unwrap().text().unwrap(), LARGE.to_string());
    // Turned by the program, and run by a worker.
    delegate.bodies.lock().unwrap().extend([stream(), stream()]);
    let task = session.upload_task_with_streamed_request(Request::post(server.url("/from")));
    task.resume();
    while task.metrics().is_none() {
        queue.run_for(Duration::from_millis(1));
    }
    assert_eq!(task.wait().unwrap().text().unwrap(), LARGE.to_string());
}

#[test]
fn many_uploads_at_once() {
    over_both(echo_length, |server, session| {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let body = Body::reader(Cursor::new(pattern(300_000)));
                let task = session.upload_task(Request::post(server.url("/")), body);
                task.resume();
                task
            })
            .collect();
        for task in &tasks {
            assert_eq!(task.wait().unwrap().text().unwrap(), "300000");
        }
        assert!(server.requests().iter().all(|request| request.body_mismatch().is_none()));
    });
}

#[test]
fn forms_of_files_and_streams() {
    every_way(redirecting(307), |client| {
        let file = Scratch::new(&pattern(LARGE));
        let empty = Scratch::new(b"");
        let form = |stream: Body| {
            Multipart::new()
                .text("title", "Grüße")
                .file("file", &file.0)
                .file("empty", &empty.0)
                .part(Part::new("stream", stream).file_name("s.json"))
                .text("end", "")
        };
        let stream = || Body::from_fn(|| Ok(Cursor::new(pattern(100_000))));
        for (body, framing) in [(stream().with_length(100_000), "length"), (stream(), "chunked")] {
            let form = form(body);
            let boundary = form.boundary().to_owned();
            // Each part is read again after the redirect.
            client.send(Request::post(client.server.url("/from")).multipart(form)).unwrap();
            let request = client.server.requests().pop().unwrap();
            assert_eq!(request.header("content-length").is_some(), framing == "length");
            let content_type = format!("multipart/form-data; boundary={boundary}");
            assert_eq!(request.header("content-type"), Some(content_type.as_str()));
            let body = request.body();
            let separator = format!("--{boundary}");
            let parts = split(&body, separator.as_bytes());
            assert_eq!(parts.len(), 7, "five between six");
            let content = |index: usize| {
                let part = parts[index];
                let at = part.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                &part[at..part.len() - 2]
            };
            assert_eq!(content(1), "Grüße".as_bytes());
            assert!(content(2) == pattern(LARGE));
            assert_eq!(content(3), b"");
            assert!(content(4) == pattern(100_000));
            assert!(parts[4].starts_with(
                b"\r\nContent-Disposition: form-data; name=\"stream\"; filename=\"s.json\"\r\n\
                  Content-Type: application/json\r\n\r\n"
            ));
            assert_eq!(content(5), b"");
            assert_eq!(parts[6], b"--\r\n");
        }
        let missing = form(Body::file("/nonexistent"));
        let error = client.send(Request::post(client.server.url("/")).multipart(missing)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileDoesNotExist, "{error}");
    });
}

fn split<'a>(mut bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(separator.len()).position(|window| window == separator) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + separator.len()..];
    }
    parts.push(bytes);
    parts
}
