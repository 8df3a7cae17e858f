//! Suspending: it nests, it holds the peer back, and time stands still meanwhile.
#![cfg(feature = "tls")]

mod support;

use std::io::Read;
use std::time::Duration;
use support::harness::{
    Recorder, Runner, after_all_others, aside, assert_cancelled, configuration, eventually, in_all_ways,
    in_all_ways_at_once, over_both, session, session_with, waiting,
};
use support::{At, Fault, Flood, Gate, PATIENCE, Reply, assert_pattern, pattern};
use urlsession::{ErrorKind, Session, TaskState};

/// Above what socket buffers hold, and the pieces that may be on their way to a delegate.
const BUFFERS: u64 = 24 * 1024 * 1024;

/// As long as a task is suspended where a limit would have passed.
const LIMIT: Duration = Duration::from_millis(1200);
const LONGER: Duration = Duration::from_millis(1600);

#[test]
fn as_many_resumes_as_suspends() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok("x"));
        let session = Session::new(configuration().maximum_workers(1));
        let task = session.data_task(server.url("/"));
        assert_eq!(task.state(), TaskState::Suspended, "tasks are born suspended");
        task.suspend();
        task.suspend();
        for _ in 0..2 {
            task.resume();
            assert_eq!(task.state(), TaskState::Suspended);
        }
        after_all_others(&session);
        assert_eq!(server.accepted(), 0, "nothing happens before");
        task.resume();
        task.resume();
        task.resume();
        assert_eq!(task.wait().unwrap().bytes(), "x");
        assert_eq!(task.state(), TaskState::Completed);
        task.suspend();
        assert_eq!(task.state(), TaskState::Completed, "nothing happens after the end");
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn resumes_beyond_the_first_are_not_saved_up() {
    let gate = Gate::new();
    let of_reply = gate.clone();
    let server = support::Server::start(move |_| Reply::ok("x").then(Fault::Gate(of_reply.clone())));
    let task = session().data_task(server.url("/"));
    task.resume();
    task.resume();
    gate.wait_until_reached();
    task.suspend();
    assert_eq!(task.state(), TaskState::Suspended);
    task.resume();
    assert_eq!(task.state(), TaskState::Running);
    gate.open();
    assert_eq!(task.wait().unwrap().bytes(), "x");
}

#[test]
fn waiting_starts_a_task_but_undoes_no_suspend() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok("x"));
        let task = session().data_task(server.url("/"));
        task.suspend();
        // The resume that is in the first wait is the one for the birth.
        let first = waiting(&task);
        let second = waiting(&task);
        assert!(task.wait_timeout(Duration::from_millis(100)).is_none());
        assert!(task.pending().wait_timeout(Duration::from_millis(10)).is_none());
        assert_eq!(task.state(), TaskState::Suspended);
        assert_eq!(server.accepted(), 0);
        assert!(first.is_pending() && second.is_pending());
        task.resume();
        for waiter in [first, second] {
            assert_eq!(waiter.join().unwrap().bytes(), "x");
        }
    });
}

#[test]
fn a_suspended_task_reads_no_more() {
    for runner in [Runner::Lender, Runner::Worker] {
        let flood = Flood::start(64 * 1024 * 1024);
        let task = session().data_task(flood.url());
        let running = runner.start(&task);
        eventually("the beginning of the body", || task.bytes_received() > 0);
        task.suspend();
        assert_eq!(task.state(), TaskState::Suspended);
        let sent = flood.wait_until_blocked();
        let received = task.bytes_received();
        assert!(sent - received < BUFFERS, "{sent} were sent and {received} received");
        assert!(task.wait_timeout(Duration::from_millis(50)).is_none());
        assert_eq!(task.bytes_received(), received);
        task.resume();
        assert_eq!(running.result().unwrap().bytes().len(), 64 * 1024 * 1024);
    }
}

#[test]
fn a_suspended_reader_reads_no_more() {
    over_both(|transport| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| {
            Reply::ok(pattern(100_000)).then(Fault::GateAt(At::After(50_000), of_reply.clone()))
        });
        let session = session();
        let task = session.data_task(server.url("/"));
        let mut body = task.open().unwrap().into_body();
        let mut read = vec![0; 50_000];
        body.read_exact(&mut read).unwrap();
        task.suspend();
        let rest = aside(move || body.read_to_end(&mut read).map(|_| read));
        gate.open();
        assert!(task.wait_timeout(Duration::from_millis(50)).is_none());
        assert!(rest.is_pending());
        assert_eq!(task.bytes_received(), 50_000);
        task.resume();
        assert_pattern(&rest.join().unwrap(), 100_000);
    });
}

#[test]
fn the_idle_time_stands_still() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| Reply::ok("x").then(Fault::Gate(of_reply.clone())));
        let session = Session::new(configuration().timeout_for_request(LIMIT));
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        task.suspend();
        assert!(task.wait_timeout(LONGER).is_none());
        assert_eq!(task.state(), TaskState::Suspended);
        task.resume();
        gate.open();
        assert_eq!(running.result().unwrap().bytes(), "x");
    });
}

#[test]
fn the_resource_time_stands_still() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| Reply::ok("x").then(Fault::Gate(of_reply.clone())));
        let session = Session::new(configuration().timeout_for_resource(LIMIT));
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        task.suspend();
        assert!(task.wait_timeout(LONGER).is_none());
        task.resume();
        gate.open();
        assert_eq!(running.result().unwrap().bytes(), "x");
    });
}

#[test]
fn time_goes_on_with_the_task() {
    in_all_ways_at_once(|transport, runner| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| Reply::ok("x").then(Fault::Gate(of_reply.clone())));
        let session = Session::new(configuration().timeout_for_request(Duration::from_millis(150)));
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        task.suspend();
        assert!(task.wait_timeout(Duration::from_millis(200)).is_none_or(|result| {
            // It came to its end before it was suspended.
            result.unwrap_err().kind() == ErrorKind::TimedOut
        }));
        task.resume();
        assert_eq!(running.result().unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn cancelled_while_suspended() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok("").then(Fault::Stall));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        server.wait_for_heads(1, PATIENCE);
        task.suspend();
        task.cancel();
        assert_cancelled(running.result());
        server.wait_for_open_connections(0, PATIENCE);
        assert_eq!(recorder.wait_for_end(&task), ["create", "metrics", "complete Cancelled"]);
        task.resume();
        assert_eq!(task.state(), TaskState::Completed, "nothing brings it back");
    });
}

#[test]
fn suspended_in_the_queue_of_its_host() {
    over_both(|transport| {
        let gate = Gate::new();
        let of_first = gate.clone();
        let server = transport.builder().start(move |request| match request.path() {
            "/first" => Reply::ok("x").then(Fault::Gate(of_first.clone())),
            _ => Reply::ok("x"),
        });
        let session = Session::new(configuration().maximum_connections_per_host(1));
        let [first, second, third] =
            ["/first", "/second", "/third"].map(|path| session.data_task(server.url(path)));
        first.resume();
        gate.wait_until_reached();
        // A look so short leaves it in the queue.
        for task in [&second, &third] {
            assert!(task.wait_timeout(Duration::ZERO).is_none());
        }
        second.suspend();
        second.set_priority(1.0);
        gate.open();
        assert!(first.wait().is_ok());
        assert!(third.wait().is_ok(), "it does not stand in the way of those behind it");
        assert_eq!(second.state(), TaskState::Suspended);
        second.resume();
        assert!(second.wait().is_ok());
        let order: Vec<_> = server.requests().iter().map(|request| request.target.clone()).collect();
        assert_eq!(order, ["/first", "/third", "/second"]);
        assert_eq!(server.accepted(), 1);
    });
}
