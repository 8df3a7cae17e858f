//! Responses that come before the response: 1xx of any number, and the wait for `100 Continue`
//! (RFC 9110, sections 10.1.1 and 15.2).

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Client, Fault, Gate, Received, Reply, Server, Tls, Way, every_way, over_both, pattern};
use urlsession::{
    Configuration, Delegate, ErrorKind, Request, ResponseDisposition, ResponseHead, Session, TaskEvent,
};

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Delegate for Recorder {
    fn did_receive_informational(&self, _: &TaskEvent<'_>, head: &ResponseHead) {
        self.note(format!("{} {}", head.status().as_u16(), head.header("link").unwrap_or("-")));
    }

    fn did_receive_response(&self, _: &TaskEvent<'_>, head: &ResponseHead) -> ResponseDisposition {
        self.note(format!("final {}", head.status().as_u16()));
        ResponseDisposition::Allow
    }
}

#[test]
fn early_hints_reach_the_delegate_in_order() {
    let handler = |_: &_| {
        Reply::ok("page")
            .informational(103, &[("Link", "</a.css>")])
            .informational(102, &[])
            .informational(103, &[("Link", "</b.css>")])
    };
    let seen = ["103 </a.css>", "102 -", "103 </b.css>"];
    over_both(handler, |server, session| {
        let recorder = Recorder::default();
        let task = session.data_task(server.url("/"));
        assert!(task.set_delegate(recorder.clone()));
        assert_eq!(task.wait().unwrap().bytes(), "page");
        assert_eq!(recorder.lines(), [&seen[..], &["final 200"]].concat());

        // A worker's task with a completion handler: hints still go to the delegate (SPEC T18).
        let recorder = Recorder::default();
        let task = session.data_task(server.url("/"));
        assert!(task.set_delegate(recorder.clone()));
        let (sender, receiver) = crossbeam_channel::bounded(1);
        task.on_completion(move |result| sender.send(result).unwrap()).resume();
        assert_eq!(receiver.recv_timeout(support::PATIENCE).unwrap().unwrap().bytes(), "page");
        assert_eq!(recorder.lines(), seen);
    });
}

#[test]
fn a_session_s_delegate_is_told_too() {
    let recorder = Recorder::default();
    let server = Server::start(|_| Reply::ok("page").informational(103, &[("Link", "</a.css>")]));
    let session =
        Session::builder().configuration(Configuration::ephemeral()).delegate(recorder.clone()).build();
    let response = session.data_task(server.url("/")).open().unwrap();
    assert_eq!(response.status(), 200);
    // Dropping the reader would cancel the task, and a delegate is not told what came before that.
    support::eventually("told", || recorder.lines() == ["103 </a.css>"]);
    drop(response);
    session.invalidate_and_cancel();
}

#[test]
fn what_nobody_asked_for_is_no_harm() {
    let handler = |_: &_| Reply::ok("page").informational(100, &[]).informational(199, &[("X", "y")]);
    every_way(handler, |client| {
        for _ in 0..2 {
            assert_eq!(client.get("/").unwrap().bytes(), "page");
        }
        let request = Request::post(client.server.url("/")).body(pattern(300_000));
        assert_eq!(client.send(request).unwrap().bytes(), "page");
        assert_eq!(client.server.accepted(), 1);
    });
}

#[test]
fn a_length_in_front_of_no_body() {
    // RFC 9110, section 15.2: there is no content in a 1xx, whatever it says.
    let handler = |_: &_| Reply::ok("page").informational(103, &[("Content-Length", "5")]);
    every_way(handler, |client| assert_eq!(client.get("/").unwrap().bytes(), "page"));
}

#[test]
fn informational_responses_without_end_are_given_up() {
    let endless = |wire: &mut support::Wire, _| {
        while std::io::Write::write_all(wire, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").is_ok() {}
    };
    for server in [Server::builder().raw(endless), Server::builder().tls(Tls::new()).raw(endless)] {
        for way in support::WAYS {
            let client = Client::new(&server, way);
            let error = client.get("/").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CannotParseResponse, "{client}: {error}");
            assert!(error.to_string().contains("informational"), "{error}");
        }
    }
}

#[test]
fn protocols_are_not_switched_unasked() {
    let handler = |_: &_| {
        Reply::raw(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx".to_owned(),
        )
        .keep_open()
    };
    every_way(handler, |client| {
        let error = client.get("/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert!(error.to_string().contains("101"), "{error}");
        support::eventually("the connection is closed", || client.server.open_connections() == 0);
    });
}

fn expecting(server: &Server) -> Request {
    Request::put(server.url("/")).body(pattern(300_000)).expect_continue(true)
}

#[test]
fn the_body_waits_until_it_is_asked_for() {
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |request: &Received| {
            assert!(request.has_token("expect", "100-continue"), "{:?}", request.headers);
            gate.pass();
            // This says 100 Continue, and reads.
            assert_eq!(request.body_length(), 300_000);
            Reply::ok("thanks")
        }
    };
    over_both(handler, |server, session| {
        for way in [Way::Worker, Way::Taken] {
            gate.close();
            let before = gate.reached();
            let task = session.data_task(expecting(server));
            let (sender, receiver) = crossbeam_channel::bounded(1);
            let waiting = task.clone();
            std::thread::spawn(move || sender.send(support::result_by(way, &waiting)));
            gate.wait_until_reached_by(before + 1, support::PATIENCE);
            assert_eq!(task.bytes_sent(), 0, "{way:?}");
            gate.open();
            assert_eq!(receiver.recv_timeout(support::PATIENCE).unwrap().unwrap().bytes(), "thanks");
            assert_eq!(task.bytes_sent(), 300_000);
        }
        assert_eq!(server.accepted(), 1);
    });
    every_way(
        |request| Reply::ok(request.body_length().to_string()),
        |client| {
            let began = Instant::now();
            assert_eq!(client.send(expecting(client.server)).unwrap().bytes(), "300000");
            assert!(began.elapsed() < Duration::from_millis(900), "the answer to the expectation is heard");
        },
    );
}

#[test]
fn without_a_body_nothing_is_expected() {
    every_way(
        |request| Reply::ok(format!("{:?}", request.header("expect"))),
        |client| {
            let request = Request::post(client.server.url("/")).expect_continue(true);
            assert_eq!(client.send(request).unwrap().bytes(), "None");
        },
    );
}

#[test]
fn an_expectation_that_fails_is_not_repeated() {
    let handler = |request: &Received| match request.header("expect") {
        Some(_) => Reply::status(417).early().no_continue(),
        None => Reply::ok(request.body_length().to_string()),
    };
    every_way(handler, |client| {
        assert_eq!(client.send(expecting(client.server)).unwrap().bytes(), "300000");
        let requests = client.server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].body_length(), 0);
        assert_eq!(requests[1].body_mismatch(), None);
    });
}

#[test]
fn a_417_that_is_not_about_the_expectation_is_delivered() {
    every_way(
        |_| Reply::status(417).body("no"),
        |client| {
            let response = client.send(Request::put(client.server.url("/")).body("x")).unwrap();
            assert_eq!(response.status(), 417);
            // Also when the request without Expect is answered by it.
            assert_eq!(client.send(expecting(client.server)).unwrap().status(), 417);
        },
    );
}

#[test]
fn a_refusal_saves_the_body() {
    for status in [401, 413, 302] {
        let handler = move |_: &Received| Reply::status(status).body("no").early().no_continue();
        every_way(handler, |client| {
            let response = client.send(expecting(client.server)).unwrap();
            assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (status, &b"no"[..]));
            client.server.wait_for_requests(1, support::PATIENCE);
            assert_eq!(client.server.request(0).body_length(), 0);
            // That request has no end, so the connection has.
            support::eventually("closed", || client.server.open_connections() == 0);
        });
    }
}

#[test]
fn a_server_that_says_nothing_gets_the_body_after_a_second() {
    let handler = |request: &Received| Reply::ok(request.body_length().to_string());
    let servers = [
        Server::builder().expect_continue(false).start(handler),
        Server::builder().tls(Tls::new()).expect_continue(false).start(handler),
    ];
    std::thread::scope(|scope| {
        for server in &servers {
            for way in support::WAYS {
                scope.spawn(move || {
                    let client = Client::new(server, way);
                    let began = Instant::now();
                    assert_eq!(client.send(expecting(server)).unwrap().bytes(), "300000", "{client}");
                    assert!(began.elapsed() >= Duration::from_secs(1), "{client}");
                });
            }
        }
    });
}

#[test]
fn a_timeout_is_heeded_while_the_body_is_held_back() {
    let handler = |_: &Received| Reply::ok("").no_continue().then(Fault::GateRead(0, Gate::new()));
    over_both(handler, |server, session| {
        for way in [Way::Lent, Way::Worker] {
            let request = expecting(server).timeout(Duration::from_millis(200));
            let began = Instant::now();
            let error = support::result_by(way, &session.data_task(request)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
        }
    });
}
