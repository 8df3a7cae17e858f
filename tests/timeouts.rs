//! Time limits: which of them holds in which phase, what does not trip them, and what the error says.
#![cfg(feature = "tls")]

mod support;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::harness::{Recorder, Runner, configuration, in_all_ways_at_once, over_both, session_with};
use support::{At, Blackhole, Fault, Gate, PATIENCE, Reply, Server};
use urlsession::{
    Configuration, DataTask, Error, ErrorKind, RedirectDecision, Request, ResponseDisposition, Session,
};

const SHORT: Duration = Duration::from_millis(150);

/// A limit under which a loaded machine still does something small: where a test needs to come to a
/// certain phase before the limit passes.
const ENOUGH: Duration = Duration::from_millis(800);

/// Carries a task out that is to run into that limit, and no sooner.
#[track_caller]
fn times_out(runner: Runner, task: &DataTask, limit: Duration, named: &[&str]) -> Error {
    let start = Instant::now();
    let error = runner.start(task).result().expect_err("a timeout");
    let elapsed = start.elapsed();
    assert_eq!((error.kind(), error.code()), (ErrorKind::TimedOut, -1001), "{error}");
    assert!(error.is_timeout());
    assert_eq!(
        error.url().map(urlsession::Url::path),
        task.current_request().get_url().map(urlsession::Url::path)
    );
    for part in named.iter().copied().chain([format!("{limit:?}").as_str()]) {
        assert!(error.to_string().contains(part), "{error} does not name {part}");
    }
    assert!(elapsed >= limit, "{elapsed:?}");
    assert!(elapsed < limit + PATIENCE / 2, "{elapsed:?}");
    error
}

fn stalling(configuration: Configuration) -> Configuration {
    configuration.timeout_for_request(ENOUGH)
}

/// A resolver that does not answer before the gate opens.
fn gated_resolver(gate: &Gate) -> Arc<dyn urlsession::Resolver> {
    let gate = gate.clone();
    Arc::new(move |_: &str| {
        gate.pass();
        Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])
    })
}

#[test]
fn resolving() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let server = transport.builder().start(|_| Reply::ok("x"));
        let session = Session::new(stalling(configuration()).resolver(gated_resolver(&gate)));
        let url = server.url_of_host("gated.internal", "/");
        let error = times_out(
            runner,
            &session.data_task(url.as_str()),
            ENOUGH,
            &["resolving", "gated.internal", "request timeout"],
        );
        assert!(error.response().is_none());
        gate.open();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn connecting() {
    for runner in [Runner::Lender, Runner::Worker] {
        let hole = Blackhole::new();
        let session = Session::new(stalling(configuration()));
        let host = hole.addr().to_string();
        times_out(
            runner,
            &session.data_task(hole.url("/")),
            ENOUGH,
            &["connecting", &host, "request timeout"],
        );
    }
}

#[test]
fn in_the_tls_handshake() {
    for runner in [Runner::Lender, Runner::Worker] {
        let gate = Gate::new();
        let server =
            support::harness::Transport::Tls.builder().stall_handshake(&gate).start(|_| Reply::ok("x"));
        let session = Session::new(stalling(configuration()));
        let host = server.addr().to_string();
        times_out(
            runner,
            &session.data_task(server.url("/")),
            ENOUGH,
            &["TLS handshake", &host, "request timeout"],
        );
        gate.open();
        server.wait_for_open_connections(0, PATIENCE);
    }
}

#[test]
fn sending() {
    in_all_ways_at_once(|transport, runner| {
        let server =
            transport.builder().receive_buffer(64 * 1024).start(|_| Reply::ok("").then(Fault::RefuseRead));
        let session = Session::new(stalling(configuration()));
        let request = Request::post(server.url("/")).body(vec![0; 16 * 1024 * 1024]);
        let host = server.addr().to_string();
        times_out(runner, &session.data_task(request), ENOUGH, &["sending", &host, "request timeout"]);
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn waiting_for_the_response() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok("").then(Fault::Stall));
        let session = Session::new(stalling(configuration()));
        let task = session.data_task(server.url("/?secret=1"));
        let host = server.addr().to_string();
        let error = times_out(runner, &task, ENOUGH, &["waiting for the response", &host, "request timeout"]);
        assert!(!error.to_string().contains("secret"), "{error}");
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn in_the_head() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok("").then(Fault::StallAt(At::InHead(20))));
        let session = Session::new(stalling(configuration()));
        times_out(runner, &session.data_task(server.url("/")), ENOUGH, &["waiting for the response"]);
    });
}

fn half_a_body() -> Reply {
    Reply::head(200).header("Content-Length", "1000").then(Fault::StallAt(At::After(500)))
}

#[test]
fn receiving() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|_| half_a_body());
        let recorder = Recorder::new();
        for session in [
            Session::new(stalling(configuration())),
            Session::builder().configuration(stalling(configuration())).delegate(recorder.clone()).build(),
        ] {
            let task = session.data_task(server.url("/"));
            let host = server.addr().to_string();
            let error = times_out(runner, &task, ENOUGH, &["receiving the body", &host, "request timeout"]);
            assert_eq!(error.response().unwrap().status(), 200);
            assert_eq!(task.bytes_received(), 500);
            server.wait_for_open_connections(0, PATIENCE);
        }
    });
}

#[test]
fn reading() {
    over_both(|transport| {
        let server = transport.builder().start(|_| half_a_body());
        let session = Session::new(stalling(configuration()));
        let task = session.data_task(server.url("/"));
        let mut body = task.open().unwrap().into_body();
        body.read_exact(&mut [0; 500]).unwrap();
        // Between two reads no time passes: the program is slow, and not the server.
        std::thread::sleep(ENOUGH + SHORT);
        let start = Instant::now();
        let error = body.read(&mut [0; 8]).unwrap_err();
        assert!(start.elapsed() >= ENOUGH);
        let error = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("receiving the body"), "{error}");
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::TimedOut);
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn nobody_has_to_wait_for_it_to_pass() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok("").then(Fault::Stall));
        let recorder = Recorder::new();
        let session =
            Session::builder().configuration(stalling(configuration())).delegate(recorder.clone()).build();
        let task = session.data_task(server.url("/"));
        task.resume();
        assert_eq!(recorder.wait_for_end(&task), ["create", "metrics", "complete TimedOut"]);
        let task = session.data_task(server.url("/"));
        assert!(task.wait_timeout(Duration::ZERO).is_none());
        assert_eq!(recorder.wait_for_end(&task), ["create", "metrics", "complete TimedOut"]);
    });
}

#[test]
fn a_steady_drip_trips_nothing() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|_| {
            Reply::ok("0123456789abcdef")
                .then(Fault::Drip { bytes_at_a_time: 4, every: Duration::from_millis(100) })
        });
        let session = Session::new(configuration().timeout_for_request(ENOUGH));
        let start = Instant::now();
        let task = session.data_task(server.url("/"));
        assert_eq!(runner.start(&task).result().unwrap().bytes(), "0123456789abcdef");
        assert!(start.elapsed() > ENOUGH, "{:?}", start.elapsed());
    });
}

#[test]
fn a_slow_upload_trips_nothing() {
    let server = Server::builder().receive_buffer(16 * 1024).raw(|wire, _| {
        use std::io::Write;
        // As much at a time as is sure to have the client send more.
        let mut left = 8 * 1024 * 1024;
        let mut piece = vec![0; 640 * 1024];
        while left > 0 {
            let count = piece.len().min(left);
            if wire.tcp().read_exact(&mut piece[..count]).is_err() {
                return;
            }
            left -= count;
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = wire.tcp().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    for runner in [Runner::Lender, Runner::Worker] {
        let session = Session::new(configuration().timeout_for_request(Duration::from_secs(1)));
        let request = Request::post(server.url("/")).body(vec![0; 8 * 1024 * 1024]);
        let start = Instant::now();
        assert_eq!(runner.start(&session.data_task(request)).result().unwrap().status(), 200);
        assert!(start.elapsed() > Duration::from_secs(1));
    }
}

#[test]
fn the_resource_time_is_for_the_whole_task() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/drip" => Reply::ok(vec![0; 1000])
                .then(Fault::Drip { bytes_at_a_time: 10, every: Duration::from_millis(20) }),
            _ => Reply::redirect(302, "/")
                .then(Fault::Delay { at: At::BeforeHead, time: Duration::from_millis(50) }),
        });
        let limit = Duration::from_millis(300);
        let session = Session::new(configuration().timeout_for_resource(limit));
        times_out(runner, &session.data_task(server.url("/drip")), limit, &["resource timeout"]);
        times_out(runner, &session.data_task(server.url("/")), limit, &["resource timeout"]);
        let request = Request::get(server.url("/drip")).resource_timeout(SHORT);
        times_out(runner, &session.data_task(request), SHORT, &["resource timeout"]);
    });
}

#[test]
fn the_resource_time_passes_in_the_queue_of_a_host() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok("").then(Fault::Stall));
        let session =
            Session::new(configuration().maximum_connections_per_host(1).timeout_for_request(SHORT));
        let first = session.data_task(Request::get(server.url("/")).timeout(PATIENCE));
        first.resume();
        server.wait_for_heads(1, PATIENCE);
        // The idle time does not: nothing of this task is on the network.
        let limit = 2 * SHORT;
        let task = session.data_task(Request::get(server.url("/")).resource_timeout(limit));
        times_out(runner, &task, limit, &["waiting for a connection", "resource timeout"]);
        first.cancel();
    });
}

#[test]
fn connecting_has_a_limit_of_its_own() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let is_tls = transport == support::harness::Transport::Tls;
        let server = transport.builder().stall_handshake(&gate).start(|_| Reply::ok("x"));
        let session = Session::new(configuration().connect_timeout(ENOUGH).resolver(gated_resolver(&gate)));
        let url = server.url_of_host("gated.internal", "/");
        times_out(runner, &session.data_task(url.as_str()), ENOUGH, &["resolving", "connect timeout"]);
        if is_tls {
            times_out(
                runner,
                &session.data_task(server.url("/")),
                ENOUGH,
                &["TLS handshake", "connect timeout"],
            );
        }
        #[cfg(target_os = "linux")]
        {
            let hole = Blackhole::new();
            times_out(runner, &session.data_task(hole.url("/")), ENOUGH, &["connecting", "connect timeout"]);
            let request = Request::get(hole.url("/")).connect_timeout(ENOUGH + SHORT);
            times_out(
                runner,
                &session.data_task(request),
                ENOUGH + SHORT,
                &["connecting", "connect timeout"],
            );
        }
        gate.open();
        // Once there is a connection it does not count.
        let server = transport
            .builder()
            .start(|_| Reply::ok("x").then(Fault::Delay { at: At::BeforeHead, time: ENOUGH + SHORT }));
        let session = Session::new(configuration().connect_timeout(ENOUGH));
        assert_eq!(runner.start(&session.data_task(server.url("/"))).result().unwrap().bytes(), "x");
    });
}

#[test]
fn what_the_request_says_goes_before_the_configuration() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/slow" => Reply::ok("x").then(Fault::Delay { at: At::BeforeHead, time: 2 * SHORT }),
            _ => Reply::ok("").then(Fault::Stall),
        });
        let session = Session::new(configuration());
        times_out(
            runner,
            &session.data_task(Request::get(server.url("/")).timeout(SHORT)),
            SHORT,
            &["request timeout"],
        );
        let session = Session::new(configuration().timeout_for_request(SHORT));
        let request = Request::get(server.url("/slow")).timeout(PATIENCE);
        assert_eq!(runner.start(&session.data_task(request)).result().unwrap().bytes(), "x");
        // Also if it says what happens to be the default.
        let request = Request::get(server.url("/slow")).timeout(Duration::from_secs(60));
        assert_eq!(runner.start(&session.data_task(request)).result().unwrap().bytes(), "x");
        let request =
            Request::get(server.url("/slow")).timeout(Duration::MAX).resource_timeout(Duration::MAX);
        assert_eq!(runner.start(&session.data_task(request)).result().unwrap().bytes(), "x");
    });
}

/// A delegate that takes its time over a question.
fn pondering(gate: &Gate) -> Recorder {
    let (of_redirect, of_response) = (gate.clone(), gate.clone());
    Recorder::new()
        .on_redirect(move |_, request| {
            of_redirect.pass();
            RedirectDecision::Follow(request)
        })
        .on_response(move |_, _| {
            of_response.pass();
            ResponseDisposition::Allow
        })
}

fn redirecting(request: &support::Received) -> Reply {
    match request.path() {
        "/old" => Reply::redirect(302, "/new"),
        _ => Reply::ok("x"),
    }
}

#[test]
fn the_idle_time_stands_still_while_the_delegate_ponders() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let server = transport.builder().start(redirecting);
        let session = Session::builder()
            .configuration(configuration().timeout_for_request(ENOUGH))
            .delegate(pondering(&gate))
            .build();
        let task = session.data_task(server.url("/old"));
        let running = runner.start(&task);
        for question in 1..=2 {
            gate.wait_until_reached_by(question, PATIENCE);
            assert!(task.wait_timeout(ENOUGH + SHORT).is_none());
            gate.admit(1);
        }
        assert_eq!(running.result().unwrap().bytes(), "x");
    });
}

#[test]
fn the_idle_time_begins_anew_after_the_delegate_held_the_body_back() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let in_delegate = gate.clone();
        let of_reply = Gate::new();
        let in_reply = of_reply.clone();
        // So much that it has to be held back, and then a pause.
        let held = 1024 * 1024;
        let server = transport.builder().start(move |_| {
            Reply::ok(vec![0; held + 1]).then(Fault::GateAt(At::After(held), in_reply.clone()))
        });
        let recorder = Recorder::new().on_data(move |_, data| {
            in_delegate.pass();
            Some(data)
        });
        let session = Session::builder()
            .configuration(configuration().timeout_for_request(ENOUGH))
            .delegate(recorder)
            .build();
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        of_reply.wait_until_reached();
        assert!(task.wait_timeout(ENOUGH + SHORT).is_none());
        gate.open();
        support::harness::eventually("what is there", || task.bytes_received() == held as u64);
        of_reply.open();
        assert_eq!(running.result().unwrap().bytes().len(), held + 1);
    });
}

#[test]
fn the_resource_time_runs_on_while_the_delegate_ponders() {
    in_all_ways_at_once(|transport, runner| {
        for path in ["/old", "/new"] {
            let gate = Gate::new();
            let server = transport.builder().start(redirecting);
            let recorder = pondering(&gate);
            let limit = ENOUGH;
            let session = Session::builder()
                .configuration(configuration().timeout_for_resource(limit))
                .delegate(recorder.clone())
                .build();
            let task = session.data_task(server.url(path));
            times_out(runner, &task, limit, &["waiting for the delegate", "resource timeout"]);
            server.wait_for_open_connections(0, PATIENCE);
            gate.open();
            assert_eq!(recorder.wait_for_end(&task).last().unwrap(), "complete TimedOut");
        }
    });
}

#[test]
fn each_redirect_has_its_own_idle_time() {
    in_all_ways_at_once(|transport, runner| {
        let server = transport.builder().start(|request| {
            let reply = match request.path() {
                "/4" => Reply::ok("x"),
                path => Reply::redirect(302, &format!("/{}", path[1..].parse::<u32>().unwrap() + 1)),
            };
            reply.then(Fault::Delay { at: At::BeforeHead, time: ENOUGH / 3 })
        });
        let session = session_with(&Recorder::new());
        let request = Request::get(server.url("/1")).timeout(ENOUGH);
        assert_eq!(runner.start(&session.data_task(request)).result().unwrap().bytes(), "x");
    });
}
