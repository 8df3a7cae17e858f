//! Sessions: their end, what they list, and what they keep.
#![cfg(feature = "tls")]

mod support;

use crossbeam_channel::bounded;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::harness::{Recorder, assert_cancelled, eventually, over_both, session, session_with, waiting};
use support::{Fault, Gate, PATIENCE, Reply, Server};
use urlsession::{Configuration, Delegate, DelegateQueue, Error, ErrorKind, Request, Session, TaskState};

/// A reply that waits at the gate.
fn gated(gate: &Gate) -> impl Fn(&support::Received) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    move |request| match request.path() {
        "/gated" => Reply::ok("gated").then(Fault::Gate(gate.clone())),
        _ => Reply::ok("x"),
    }
}

/// The lines of a session's end: `invalid` once, and last.
#[track_caller]
fn assert_ended(recorder: &Recorder) {
    recorder.wait_for("invalid");
    let lines = recorder.lines();
    assert_eq!(lines.iter().filter(|(_, line)| line == "invalid").count(), 1, "{lines:?}");
    assert_eq!(lines.last().unwrap().1, "invalid", "{lines:?}");
}

#[test]
fn it_ends_when_its_tasks_have() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let [running, suspended, unstarted, dropped] = ["/gated", "/suspended", "/unstarted", "/dropped"]
            .map(|path| session.data_task(server.url(path)));
        running.resume();
        gate.wait_until_reached();
        suspended.resume();
        suspended.suspend();
        session.finish_tasks_and_invalidate();
        session.finish_tasks_and_invalidate();
        gate.open();
        recorder.wait_for_end(&running);
        assert_eq!(running.wait().unwrap().bytes(), "gated");
        suspended.resume();
        assert_eq!(suspended.wait().unwrap().bytes(), "x");
        drop(dropped);
        assert!(session.delegate().is_some(), "there is one more");
        assert_eq!(session.all_tasks(), [unstarted.as_any()]);
        unstarted.resume();
        assert_eq!(unstarted.wait().unwrap().bytes(), "x");
        assert_ended(&recorder);
        server.wait_for_open_connections(0, PATIENCE);
        eventually("the delegate to be let go of", || session.delegate().is_none());
    });
}

#[test]
fn it_ends_at_once_without_tasks() {
    for queue in [DelegateQueue::serial(), DelegateQueue::inline()] {
        let recorder = Recorder::new();
        let session = Session::builder().delegate(recorder.clone()).delegate_queue(queue).build();
        session.finish_tasks_and_invalidate();
        assert_ended(&recorder);
        // One that was dropped without a start is none.
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        drop(session.data_task("http://127.0.0.1:1/"));
        session.finish_tasks_and_invalidate();
        assert_ended(&recorder);
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let task = session.data_task("http://127.0.0.1:1/");
        session.finish_tasks_and_invalidate();
        drop(task);
        assert_ended(&recorder);
    }
}

#[test]
fn it_ends_by_cancelling_its_tasks() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let done = session.data_task(server.url("/done"));
        done.wait().unwrap();
        let [running, waited, suspended, unstarted] =
            [(); 4].map(|()| session.data_task(server.url("/gated")));
        running.resume();
        let waiter = waiting(&waited);
        gate.wait_until_reached_by(2, PATIENCE);
        suspended.resume();
        suspended.suspend();
        let queued: Vec<_> = (0..20).map(|_| session.data_task(server.url("/gated"))).collect();
        queued.iter().for_each(|task| task.resume());
        session.invalidate_and_cancel();
        unstarted.resume();
        assert_cancelled(waiter.join());
        for task in [&running, &suspended, &unstarted].into_iter().chain(&queued) {
            assert_cancelled(task.wait());
            assert_eq!(recorder.wait_for_end(task).last().unwrap(), "complete Cancelled");
        }
        assert_ended(&recorder);
        assert_eq!(done.wait().unwrap().bytes(), "x");
        assert!(session.all_tasks().is_empty());
        gate.open();
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn cancelling_hurries_an_end_that_waits_for_tasks() {
    let server = Server::start(|_| Reply::ok("").then(Fault::Stall));
    let recorder = Recorder::new();
    let session = session_with(&recorder);
    let task = session.data_task(server.url("/"));
    task.resume();
    session.finish_tasks_and_invalidate();
    session.invalidate_and_cancel();
    assert_cancelled(task.wait());
    assert_ended(&recorder);
}

#[test]
fn no_task_is_made_after_the_end() {
    let queue = DelegateQueue::manual();
    let recorder = Recorder::new();
    let session = Session::builder().delegate(recorder.clone()).delegate_queue(queue.clone()).build();
    session.finish_tasks_and_invalidate();
    // The delegate has not been told of the end, and hears nothing of these.
    for round in 0..2 {
        let (sender, receiver) = bounded(1);
        let task = session.data_task("http://127.0.0.1:1/");
        task.on_completion(move |result| sender.send(result.map(drop)).unwrap());
        assert_eq!(task.state(), TaskState::Completed);
        assert_eq!(task.error().unwrap().kind(), ErrorKind::SessionInvalidated);
        task.resume();
        task.cancel();
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::SessionInvalidated);
        assert_eq!(task.open().unwrap_err().kind(), ErrorKind::SessionInvalidated);
        assert!(session.all_tasks().is_empty());
        assert_eq!(queue.run_for(Duration::from_millis(1)), if round == 0 { 2 } else { 1 });
        assert_eq!(receiver.try_recv().unwrap().unwrap_err().kind(), ErrorKind::SessionInvalidated);
    }
    assert_eq!(recorder.lines(), [(0, "invalid".to_owned())]);
}

/// Makes a task when it is told of the end, and asks its session when it is dropped.
struct Last(Arc<Mutex<Option<Session>>>, crossbeam_channel::Sender<String>);

impl Delegate for Last {
    fn did_become_invalid(&self, _: Option<&Error>) {
        let session = self.0.lock().unwrap().clone().unwrap();
        let kind = session.data_task("http://127.0.0.1:1/").wait().unwrap_err().kind();
        self.1.send(format!("{kind} {}", session.delegate().is_some())).unwrap();
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let session = self.0.lock().unwrap().take().unwrap();
        self.1.send(format!("dropped {}", session.delegate().is_some())).unwrap();
    }
}

#[test]
fn the_delegate_is_let_go_of_at_the_end() {
    let (sender, receiver) = bounded(2);
    let holder = Arc::new(Mutex::new(None));
    let session = Session::builder().delegate(Last(holder.clone(), sender)).build();
    *holder.lock().unwrap() = Some(session.clone());
    // The session outlives its handles: its delegate has one.
    drop(session);
    holder.lock().unwrap().clone().unwrap().invalidate_and_cancel();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), "SessionInvalidated true");
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), "dropped false");
}

#[test]
fn the_shared_session_has_no_end() {
    let server = Server::start(|_| Reply::ok("x"));
    let session = Session::shared();
    let task = session.data_task(server.url("/"));
    session.finish_tasks_and_invalidate();
    session.invalidate_and_cancel();
    assert_eq!(task.wait().unwrap().bytes(), "x");
    assert_eq!(Session::shared().data_task(server.url("/")).wait().unwrap().bytes(), "x");
    assert_eq!(urlsession::get(server.url("/")).unwrap().bytes(), "x");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn it_lists_the_tasks_that_are_not_over() {
    let gate = Gate::new();
    let server = Server::start(gated(&gate));
    let session = session();
    assert!(session.all_tasks().is_empty());
    let [unstarted, running, suspended, done, cancelled] =
        ["/a", "/gated", "/gated", "/c", "/d"].map(|path| session.data_task(server.url(path)));
    let dropped = session.data_task(server.url("/e"));
    assert_eq!(session.all_tasks().len(), 6);
    running.resume();
    gate.wait_until_reached();
    suspended.resume();
    suspended.suspend();
    done.wait().unwrap();
    cancelled.cancel();
    drop(dropped);
    let listed = session.tasks().data;
    assert_eq!(
        listed,
        [unstarted.clone(), running.clone(), suspended.clone()],
        "in the order they were made"
    );
    let ids: Vec<_> = session.all_tasks().iter().map(|task| task.id()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && ids[0] > 0, "{ids:?}");
    // A handle out of the list is as good as any other.
    drop((unstarted, running, suspended, listed));
    let listed = session.tasks().data;
    let (running, suspended) = (&listed[0], &listed[1]);
    suspended.resume();
    gate.open();
    assert_eq!(running.wait().unwrap().bytes(), "gated");
    assert_eq!(suspended.wait().unwrap().bytes(), "gated");
    drop(listed);
    assert!(session.all_tasks().is_empty());
    // A task that a worker carries out is over when a wait for it is, at the latest.
    for _ in 0..100 {
        let task = session.data_task(server.url("/f"));
        task.resume();
        task.wait().unwrap();
        assert!(session.all_tasks().is_empty());
    }
}

#[test]
fn flush_and_reset_close_connections() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let session = session();
        for forget in [Session::flush, Session::reset] {
            let accepted = server.accepted();
            gate.close();
            let running = session.data_task(server.url("/gated"));
            running.resume();
            gate.wait_until_reached_by(gate.reached() + usize::from(gate.waiting() == 0), PATIENCE);
            session.data_task(server.url("/")).wait().unwrap();
            assert_eq!(server.open_connections(), 2);
            forget(&session);
            server.wait_for_open_connections(1, PATIENCE);
            gate.open();
            assert_eq!(running.wait().unwrap().bytes(), "gated", "what is in use goes on");
            server.wait_for_open_connections(0, PATIENCE);
            session.data_task(server.url("/")).wait().unwrap();
            session.data_task(server.url("/")).wait().unwrap();
            assert_eq!(server.accepted(), accepted + 3, "and from then on connections are kept again");
            session.flush();
            server.wait_for_open_connections(0, PATIENCE);
        }
        // Sessions of TLS are taken up again after a flush, and not after a reset.
        let resumed = server.resumed_handshakes();
        session.data_task(server.url("/")).wait().unwrap();
        session.reset();
        session.data_task(server.url("/")).wait().unwrap();
        let is_tls = usize::from(transport == support::harness::Transport::Tls);
        assert_eq!(server.resumed_handshakes() - resumed, is_tls);
    });
}

#[test]
fn its_configuration_is_a_copy() {
    let server = Server::start(|request| Reply::ok(format!("{:?}", request.header("x-of-session"))));
    let original = Configuration::ephemeral().additional_header("x-of-session", "1");
    let session = Session::new(original.clone());
    let changed = original.additional_header("x-of-session", "2").timeout_for_request(Duration::from_secs(1));
    let of_session = session.configuration().timeout_for_request(Duration::from_secs(2));
    assert_eq!(session.configuration().get_timeout_for_request(), Duration::from_secs(60));
    assert_eq!(session.data_task(server.url("/")).wait().unwrap().bytes(), "Some(\"1\")");
    assert_eq!(Session::new(changed).data_task(server.url("/")).wait().unwrap().bytes(), "Some(\"2\")");
    assert_eq!(Session::new(of_session).data_task(server.url("/")).wait().unwrap().bytes(), "Some(\"1\")");
}

#[test]
fn labels() {
    let session = session();
    assert_eq!(session.description(), None);
    let same = session.clone();
    session.set_description("a session".to_owned());
    assert_eq!(same.description().as_deref(), Some("a session"));
    same.set_description(None);
    assert_eq!(session.description(), None);
    let task = session.data_task("http://127.0.0.1:1/");
    let same = task.clone();
    assert_eq!((task.description(), task.priority()), (None, 0.5));
    task.set_description("a task".to_owned());
    assert_eq!(same.description().as_deref(), Some("a task"));
    assert_eq!(same, task);
    assert_ne!(task, session.data_task("http://127.0.0.1:1/"));
    assert!(format!("{session:?} {task:?}").contains("a task"));
}

#[test]
fn a_session_without_handles_goes_on_while_it_has_tasks() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let tasks: Vec<_> = (0..10).map(|_| session.data_task(server.url("/gated"))).collect();
        tasks.iter().for_each(|task| task.resume());
        let (sender, receiver) = bounded(1);
        let unkept = session.data_task(server.url("/"));
        unkept.on_completion(move |result| sender.send(result).unwrap()).resume();
        let unstarted = session.data_task(Request::get(server.url("/")));
        drop((session, unkept));
        gate.open();
        for task in &tasks {
            assert_eq!(task.wait().unwrap().bytes(), "gated");
            recorder.wait_for_end(task);
        }
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().bytes(), "x");
        assert_eq!(unstarted.wait().unwrap().bytes(), "x");
        recorder.wait_for_end(&unstarted);
        drop((tasks, unstarted));
        server.wait_for_open_connections(0, PATIENCE);
        assert!(recorder.lines().iter().all(|(_, line)| line != "invalid"), "it was not invalidated");
    });
}

#[test]
fn sessions_share_nothing() {
    let server = Server::start(|_| Reply::ok("x"));
    let [one, other] = [(); 2].map(|()| session());
    for session in [&one, &other, &one, &other] {
        session.data_task(server.url("/")).wait().unwrap();
    }
    assert_eq!(server.accepted(), 2);
    one.invalidate_and_cancel();
    assert_eq!(other.data_task(server.url("/")).wait().unwrap().bytes(), "x");
    server.wait_for_open_connections(1, PATIENCE);
}
