//! Answers that come before the request is out: refusals that would get lost in the reset that
//! follows them, and servers that answer while they read (RFC 9112, section 9.5; SPEC B1.10).

mod support;

use std::io::{Read, Write};
use std::sync::OnceLock;
use std::time::Duration;
use support::{Fault, Received, Reply, Server, Tls, Wire, every_way, over_both, pattern};
use urlsession::{Bytes, DataTask, Request, Response};

const LARGE: usize = 8_000_000;

/// More than fits into the buffers of both systems.
fn body() -> Bytes {
    static BODY: OnceLock<Bytes> = OnceLock::new();
    BODY.get_or_init(|| pattern(LARGE).into()).clone()
}

fn large(server: &Server, path: &str) -> Request {
    Request::post(server.url(path)).body(body())
}

fn assert_echoed(response: Response<Bytes>) {
    assert!(response.bytes() == &body(), "{:?}", support::first_mismatch(0, response.bytes()));
}

/// Runs a test with a server that works on the wire, over TCP and TLS and in each way. Its buffers
/// are small, so that what is not read stops who writes.
fn on_the_wire(run: fn(&mut Wire), test: impl Fn(&support::Client<'_>)) {
    for way in support::WAYS {
        for tls in [false, true] {
            let builder = Server::builder().receive_buffer(16 * 1024).send_buffer(256 * 1024);
            let builder = if tls { builder.tls(Tls::new()) } else { builder };
            let server = builder.raw(move |wire, _| run(wire));
            let client = support::Client::new(&server, way);
            eprintln!("-- {client}");
            test(&client);
        }
    }
}

/// Reads a head.
fn read_head(wire: &mut Wire) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        wire.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}

fn head_of(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn a_refusal_before_the_body_is_read() {
    let handler = |_: &Received| Reply::status(413).body("too large").early().then(Fault::CloseAfter(100));
    every_way(handler, |client| {
        let response = client.send(large(client.server, "/")).unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.bytes(), "too large");
        assert!(client.server.request(0).body_length() < LARGE as u64);
    });
}

#[test]
fn what_is_left_of_a_body_is_not_sent_after_a_refusal() {
    // Not even to a server that would take it, as fast as it comes.
    const SIZE: usize = 100_000_000;
    let body = Bytes::from(vec![b'x'; SIZE]);
    over_both(
        |_| Reply::status(413).early(),
        |server, session| {
            for resumed in [false, true] {
                let task = session.data_task(Request::post(server.url("/")).body(body.clone()));
                if resumed {
                    task.resume();
                }
                assert_eq!(task.wait().unwrap().status(), 413);
                assert!(task.bytes_sent() < SIZE as u64, "resumed: {resumed}: all of it was sent");
            }
        },
    );
}

#[test]
fn a_refusal_by_a_server_that_closes_on_what_it_has_not_read() {
    // The close of a socket with unread data sends RST (RFC 9112, section 9.6), and sends fail.
    fn refuse(wire: &mut Wire) {
        read_head(wire);
        wire.write_all(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large",
        )
        .expect("an answer");
    }
    on_the_wire(refuse, |client| {
        for _ in 0..5 {
            let response = client.send(large(client.server, "/")).unwrap();
            assert_eq!(response.status(), 413);
            assert_eq!(response.bytes(), "too large");
        }
    });
}

#[test]
fn a_server_that_goes_away_without_an_answer() {
    fn leave(wire: &mut Wire) {
        read_head(wire);
        wire.reset_on_close();
    }
    on_the_wire(leave, |client| {
        let error = client.send(large(client.server, "/")).unwrap_err();
        assert_eq!(error.kind(), urlsession::ErrorKind::NetworkConnectionLost, "{error}");
        assert!(error.response().is_none());
    });
}

#[test]
fn an_early_ok_does_not_cut_the_body_short() {
    // Such servers process the stream as it comes; half of it would be processed as the whole.
    let handler = |_: &Received| Reply::ok("going on").early();
    every_way(handler, |client| {
        for round in 1..=2 {
            let response = client.send(large(client.server, "/")).unwrap();
            assert_eq!(response.bytes(), "going on");
            let requests = client.server.wait_for_requests(round, support::PATIENCE);
            assert!(requests[round - 1].is_complete());
            assert_eq!(requests[round - 1].body_mismatch(), None);
        }
        assert_eq!(client.server.accepted(), 1, "nothing is wrong with the connection");
    });
}

#[test]
fn an_early_ok_of_a_server_that_closes() {
    let handler = |_: &Received| Reply::ok("enough").early().close();
    every_way(handler, |client| {
        assert_eq!(client.send(large(client.server, "/")).unwrap().bytes(), "enough");
    });
}

#[test]
fn an_early_ok_of_a_server_that_reads_no_further() {
    // The answer is complete. It is given when the time to wait for the server is over.
    let handler = |_: &Received| Reply::ok("done").early().then(Fault::RefuseRead);
    every_way(handler, |client| {
        let request = large(client.server, "/").timeout(Duration::from_millis(300));
        assert_eq!(client.send(request).unwrap().bytes(), "done");
        let next = Request::get(client.server.url("/")).timeout(Duration::from_secs(5));
        assert_eq!(client.send(next).unwrap().bytes(), "done");
        assert_eq!(client.server.accepted(), 2, "nothing is sent behind half a request");
    });
}

#[test]
fn an_echo_that_reads_as_it_writes() {
    fn echo(wire: &mut Wire) {
        read_head(wire);
        wire.write_all(head_of(LARGE).as_bytes()).expect("a head");
        let mut piece = [0; 10_000];
        let mut left = LARGE;
        while left > 0 {
            let count = wire.read(&mut piece).expect("a piece");
            assert!(count > 0, "the body ended {left} bytes early");
            wire.write_all(&piece[..count]).expect("a piece");
            left -= count;
        }
    }
    on_the_wire(echo, |client| {
        assert_echoed(client.send(large(client.server, "/")).unwrap());
    });
}

#[test]
fn an_echo_without_length_that_reads_as_it_writes() {
    fn echo(wire: &mut Wire) {
        read_head(wire);
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").expect("a head");
        let mut piece = [0; 10_000];
        let mut left = LARGE;
        while left > 0 {
            let count = wire.read(&mut piece).expect("a piece");
            assert!(count > 0, "the body ended {left} bytes early");
            let chunk = [format!("{count:x}\r\n").as_bytes(), &piece[..count], b"\r\n"].concat();
            wire.write_all(&chunk).expect("a piece");
            left -= count;
        }
        wire.write_all(b"0\r\n\r\n").expect("the end");
    }
    on_the_wire(echo, |client| {
        assert_echoed(client.send(large(client.server, "/")).unwrap());
    });
}

#[test]
fn a_server_that_writes_all_before_it_reads() {
    fn answer(wire: &mut Wire) {
        read_head(wire);
        wire.write_all(&[head_of(LARGE).as_bytes(), &body()].concat()).expect("an answer");
        let mut left = LARGE;
        let mut piece = vec![0; 100_000];
        while left > 0 {
            let count = wire.read(&mut piece).expect("a piece");
            assert!(count > 0, "the body ended {left} bytes early");
            left -= count;
        }
    }
    on_the_wire(answer, |client| {
        assert_echoed(client.send(large(client.server, "/")).unwrap());
    });
}

#[test]
fn a_server_that_reads_all_before_it_writes() {
    every_way(
        |request| Reply::ok(request.body()),
        |client| assert_echoed(client.send(large(client.server, "/")).unwrap()),
    );
}

#[test]
fn what_was_sent_is_counted_to_the_end() {
    let handler = |_: &Received| Reply::ok("going on").early();
    every_way(handler, |client| {
        let task: DataTask = client.session.data_task(large(client.server, "/"));
        assert_eq!(task.bytes_expected_to_send(), Some(LARGE as u64));
        support::result_by(client.way, &task).unwrap();
        assert_eq!(task.bytes_sent(), LARGE as u64);
    });
}

#[test]
fn a_refusal_while_the_client_is_blocked_in_sending() {
    // Nothing is read for a while, so the client's buffers are full when the answer comes.
    fn refuse(wire: &mut Wire) {
        read_head(wire);
        let mut some = [0; 100_000];
        wire.read_exact(&mut some).expect("a part of the body");
        wire.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").expect("an answer");
        // Until the client gives up.
        while matches!(wire.read(&mut some), Ok(1..)) {}
    }
    on_the_wire(refuse, |client| {
        let response = client.send(large(client.server, "/")).unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (503, &b"busy"[..]));
    });
}
