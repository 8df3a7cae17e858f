//! Downloads over several connections, and what went wrong with them once.
#![cfg(feature = "tls")]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::PATIENCE;
use support::harness::{configuration, eventually};
use support::{At, Directory, Fault, Gate, Quirk, Received, Reply, Resource, Server};
use urlsession::{
    Delegate, DelegateQueue, DownloadRequest, ErrorKind, RedirectDecision, Request, ResponseHead, Session,
    TaskEvent,
};

const LENGTH: usize = 4 << 20;

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"")
}

/// Who brings a part follows nobody elsewhere: of a redirect the delegate is asked, which knows of the
/// task's own connection only.
#[test]
fn no_part_is_redirected_past_the_delegate() {
    #[derive(Default)]
    struct Refusing(Mutex<Vec<String>>);

    impl Delegate for Refusing {
        fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, next: Request) -> RedirectDecision {
            self.0.lock().unwrap().push(next.get_url().map(ToString::to_string).unwrap_or_default());
            RedirectDecision::Stop
        }
    }

    let elsewhere = Server::start(|_: &Received| Reply::status(500));
    let gate = Gate::new();
    let hold = Fault::GateAt(At::After(1000), gate.clone());
    let file = resource().fault_in(..1, hold);
    let (answers, to) = (file.clone(), elsewhere.url("/file"));
    let refused = std::sync::Arc::new(AtomicUsize::new(0));
    let (seen, open) = (refused.clone(), gate.clone());
    let server = Server::start(move |request: &Received| {
        if request.header("range").is_none() {
            return answers.answer(request);
        }
        if seen.fetch_add(1, Ordering::SeqCst) == 0 {
            open.open();
        }
        Reply::status(302).header("Location", &to)
    });
    let directory = Directory::new();
    let session = Session::new(configuration().download_directory(directory.path()));
    let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(3));
    task.set_delegate(Refusing::default());
    let response = task.wait().unwrap();
    assert_eq!(std::fs::read(response.body().path()).unwrap(), file.content());
    assert!(refused.load(Ordering::SeqCst) > 0);
    assert_eq!(elsewhere.accepted(), 0, "nobody was to go there");
    session.invalidate_and_cancel();
}

/// A server that answers each request with a byte or two would be asked for ever, and each request is
/// remembered in the metrics.
#[test]
fn parts_that_are_too_small_are_given_up() {
    let gate = Gate::new();
    let file = resource().quirk_in(1.., Quirk::AtMost(2));
    let file = file.fault_in(..1, Fault::GateAt(At::After(1000), gate));
    let server = Server::start(file.handler());
    let directory = Directory::new();
    let session = Session::new(configuration().download_directory(directory.path()));
    let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(3));
    let error = task.wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
    assert!(error.to_string().contains("parts of the download"), "{error}");
    assert!(file.served().len() < 1100, "{}", file.served().len());
    session.invalidate_and_cancel();
}

/// A server that answers no ranges, though its first answer looks like it, is none whose resource changes.
#[test]
fn who_refuses_every_range_sends_the_whole() {
    for status in [416, 412] {
        let gate = Gate::new();
        let file = resource().quirk_in(1.., Quirk::Status(status));
        let file = file.fault_in(..1, Fault::GateAt(At::After(1000), gate.clone()));
        let server = Server::start(file.handler());
        let directory = Directory::new();
        let session = Session::new(configuration().download_directory(directory.path()));
        let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(3));
        task.resume();
        eventually("a part that is refused", || file.served().len() > 1);
        gate.open();
        let response = task.wait().unwrap();
        assert_eq!(std::fs::read(response.body().path()).unwrap(), file.content());
        session.invalidate_and_cancel();
    }
}

/// On an inline queue the threads of several connections tell the delegate things. Whoever waits for the
/// task on one of them, in a handler of another task, would wait for itself.
#[test]
fn nobody_waits_on_the_thread_of_a_connection() {
    struct Holding(crossbeam_channel::Sender<()>, crossbeam_channel::Receiver<()>);

    impl Delegate for Holding {
        fn did_write_data(&self, _: &TaskEvent<'_>, _: u64, _: u64, _: Option<u64>) {
            if self.0.try_send(()).is_ok() {
                let _ = self.1.recv();
            }
        }
    }

    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let [first, others, other] = gates.clone();
    let file = resource().fault_in(..1, Fault::GateAt(At::After(1000), first.clone()));
    let file = file.fault_in(1.., Fault::GateAt(At::After(5000), others.clone()));
    let (answers, held) = (file.clone(), other.clone());
    let server = Server::start(move |request: &Received| match request.target.as_str() {
        "/other" => Reply::ok("").then(Fault::Gate(held.clone())),
        _ => answers.answer(request),
    });
    let directory = Directory::new();
    let session = Session::builder()
        .configuration(configuration().download_directory(directory.path()))
        .delegate_queue(DelegateQueue::inline())
        .build();
    let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(4));
    let (in_event, was_in_event) = crossbeam_channel::bounded(0);
    let (leave, may_leave) = crossbeam_channel::unbounded();
    // Nobody is told before all connections are there.
    task.set_delegate(Holding(in_event, may_leave));
    task.resume();
    others.wait_until_reached_by(3, PATIENCE);
    let download = task.clone();
    let (waited, has_waited) = crossbeam_channel::unbounded();
    let handled = session.data_task(server.url("/other")).on_completion(move |_| {
        let _ = waited.send(download.wait().map(drop));
    });
    handled.resume();
    let before = task.bytes_received();
    first.open();
    was_in_event.recv_timeout(PATIENCE).unwrap();
    others.open();
    eventually("what the others bring", || task.bytes_received() > before + 1_000_000);
    other.open();
    eventually("the end of the other one", || handled.metrics().is_some());
    drop(leave);
    drop(has_waited.recv_timeout(PATIENCE).expect("it waits for ever"));
    assert_eq!(task.wait().unwrap().body().len(), LENGTH as u64);
    session.invalidate_and_cancel();
}
