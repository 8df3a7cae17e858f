//! A program that runs the events of its session itself, while it waits.

mod support;

use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::{At, Fault, Gate, Reply, Server};
use urlsession::{Configuration, Delegate, DelegateQueue, Session, TaskEvent};

fn session(queue: DelegateQueue) -> Session {
    let configuration = Configuration::ephemeral().timeout_for_request(Duration::from_secs(15));
    Session::builder().configuration(configuration).delegate_queue(queue).build()
}

/// A server that answers `/gated` when the gate opens, and anything else at once.
fn gated(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(move |request| match request.path() {
        "/gated" => Reply::ok("at last").then(Fault::Gate(gate.clone())),
        _ => Reply::ok("at once"),
    })
}

#[test]
fn a_thread_that_waits_runs_the_events_its_own_task_depends_on() {
    let gate = Gate::new();
    let server = gated(&gate);
    let session = session(DelegateQueue::manual());
    let first = session.data_task(server.url("/gated"));
    first.resume();
    gate.wait_until_reached();
    let opener = gate.clone();
    session.data_task(server.url("/")).on_completion(move |_| opener.open()).resume();
    assert_eq!(first.wait().unwrap().bytes(), "at last");
}

#[test]
fn so_does_one_that_opens_a_body() {
    let gate = Gate::new();
    let server = gated(&gate);
    let session = session(DelegateQueue::manual());
    let opener = gate.clone();
    session.data_task(server.url("/")).on_completion(move |_| opener.open()).resume();
    let mut text = String::new();
    session.data_task(server.url("/gated")).open().unwrap().body_mut().read_to_string(&mut text).unwrap();
    assert_eq!(text, "at last");
}

#[test]
fn and_a_callback_that_waits_on_the_queue_of_its_session() {
    let gate = Gate::new();
    let server = gated(&gate);
    let session = session(DelegateQueue::serial());
    let (sender, receiver) = mpsc::channel();
    let nested = session.data_task(server.url("/gated"));
    let opening = (session.clone(), server.url("/"), gate.clone());
    session
        .data_task(server.url("/"))
        .on_completion(move |_| {
            let (session, url, gate) = opening;
            session.data_task(url).on_completion(move |_| gate.open()).resume();
            sender.send(nested.wait().map(|response| response.bytes().clone())).unwrap();
        })
        .resume();
    let body = receiver.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    assert_eq!(body, "at last");
}

#[test]
fn pieces_of_a_body_are_delivered_while_the_last_task_is_waited_for() {
    struct Pieces(mpsc::Sender<usize>);
    impl Delegate for Pieces {
        fn did_receive_data(&self, _: &TaskEvent<'_>, data: urlsession::Bytes) -> Option<urlsession::Bytes> {
            self.0.send(data.len()).unwrap();
            None
        }
    }
    let gate = Gate::new();
    let stop = gate.clone();
    let server = Server::start(move |_| {
        Reply::ok(support::pattern(1000)).then(Fault::GateAt(At::After(10), stop.clone()))
    });
    let session = session(DelegateQueue::manual());
    let (sender, receiver) = mpsc::channel();
    let task = session.data_task(server.url("/"));
    assert!(task.set_delegate(Pieces(sender)));
    let counter = thread::spawn(move || {
        let mut count = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        // The rest comes only after this has been seen.
        gate.open();
        while count < 1000 {
            count += receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    });
    task.wait().unwrap();
    counter.join().unwrap();
}
