//! Waiting: from anywhere, any number of times, with or without a limit, for one task or for many,
//! through `wait`, `Pending`, a channel or a reader.
#![cfg(feature = "tls")]

mod support;

use crossbeam_channel::{bounded, select};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::harness::{
    Recorder, after_all_others, aside, assert_cancelled, configuration, eventually, in_all_ways, over_both,
    session, session_with, waiting,
};
use support::{At, Fault, Gate, PATIENCE, Reply, Server, assert_pattern, pattern};
use urlsession::{
    Bytes, Delegate, DelegateQueue, ErrorKind, Request, ResponseDisposition, ResponseHead, Session,
    TaskEvent, TaskState, wait_all, wait_any,
};

/// Short enough to wait for in a test, and passed for sure by a server that does not answer.
const SHORT: Duration = Duration::from_millis(50);

fn echo(request: &support::Received) -> Reply {
    Reply::ok(request.target.clone())
}

/// A reply that waits at the gate.
fn gated(gate: &Gate) -> impl Fn(&support::Received) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    move |request| match request.path() {
        "/gated" => Reply::ok("gated").then(Fault::Gate(gate.clone())),
        _ => echo(request),
    }
}

#[test]
fn twice_gives_the_same() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(echo);
        let task = session().data_task(server.url("/x"));
        let first = runner.start(&task).result().unwrap();
        let second = task.wait().unwrap();
        assert_eq!(first.bytes(), second.bytes());
        assert_eq!(first.bytes().as_ptr(), second.bytes().as_ptr(), "the body is not copied");
        assert_eq!(server.requests().len(), 1);
        let error = |task: &urlsession::DataTask| task.wait().unwrap_err().to_string();
        let failing = session().data_task("http://127.0.0.1:1/");
        assert_eq!(error(&failing), error(&failing));
    });
}

#[test]
fn from_several_threads() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let task = session().data_task(server.url("/gated"));
        let running = runner.start(&task);
        let waiters: Vec<_> = (0..8).map(|_| waiting(&task)).collect();
        gate.wait_until_reached();
        gate.open();
        assert_eq!(running.result().unwrap().bytes(), "gated");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().bytes(), "gated");
        }
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn after_the_invalidation() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let session = session();
        let [done, running, unstarted] =
            ["/x", "/gated", "/y"].map(|path| session.data_task(server.url(path)));
        done.wait().unwrap();
        running.resume();
        gate.wait_until_reached();
        session.finish_tasks_and_invalidate();
        let late = session.data_task(server.url("/z"));
        assert_eq!(late.wait().unwrap_err().kind(), ErrorKind::SessionInvalidated);
        gate.open();
        assert_eq!(running.wait().unwrap().bytes(), "gated");
        assert_eq!(unstarted.wait().unwrap().bytes(), "/y");
        drop(session);
        assert_eq!(done.wait().unwrap().bytes(), "/x");
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn a_limit_that_passes_leaves_the_exchange_going_on() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let session = session();
        let task = session.data_task(server.url("/gated"));
        // Nobody has started it, so the wait does.
        assert!(task.wait_timeout(SHORT).is_none());
        assert_eq!(task.state(), TaskState::Running);
        gate.wait_until_reached();
        for limit in [Duration::ZERO, SHORT] {
            assert!(task.wait_timeout(limit).is_none());
        }
        let waiter = waiting(&task);
        gate.open();
        assert_eq!(waiter.join().unwrap().bytes(), "gated");
        assert_eq!(task.wait_timeout(Duration::ZERO).unwrap().unwrap().bytes(), "gated");
        assert_eq!(server.requests().len(), 1);
        // And one that nobody waits for any more.
        gate.close();
        let task = session.data_task(server.url("/gated"));
        assert!(task.wait_timeout(Duration::ZERO).is_none());
        server.wait_for_requests(2, PATIENCE);
        gate.open();
        eventually("the end of the task", || task.state() == TaskState::Completed);
        assert!(task.error().is_none());
    });
}

#[test]
fn a_limit_holds_in_every_phase() {
    let start = std::time::Instant::now();
    let hole = support::Blackhole::new();
    let session = session();
    assert!(session.data_task(hole.url("/")).wait_timeout(SHORT).is_none(), "connecting");
    let gate = Gate::new();
    let server = Server::builder().tls(support::Tls::new()).stall_handshake(&gate).start(echo);
    assert!(session.data_task(server.url("/")).wait_timeout(SHORT).is_none(), "in the handshake");
    let server =
        Server::start(|_| Reply::head(200).header("Content-Length", "10").then(Fault::StallAt(At::After(5))));
    assert!(session.data_task(server.url("/")).wait_timeout(SHORT).is_none(), "in the body");
    let upload = Request::post(server.url("/")).body(vec![0; 16 * 1024 * 1024]);
    let server = Server::start(|_| Reply::ok("").then(Fault::RefuseRead));
    let upload = upload.url(server.url("/"));
    assert!(session.data_task(upload).wait_timeout(SHORT).is_none(), "sending");
    session.invalidate_and_cancel();
    assert!(start.elapsed() >= 4 * SHORT);
}

/// The queues that a session may have, by name, with what turns them.
fn queues() -> [(&'static str, DelegateQueue); 4] {
    [
        ("serial", DelegateQueue::serial()),
        ("inline", DelegateQueue::inline()),
        ("manual", DelegateQueue::manual()),
        ("from_fn", DelegateQueue::from_fn(|run| drop(std::thread::spawn(run)))),
    ]
}

/// Waits for something that happens on a queue, which is turned if it is a manual one.
#[track_caller]
fn turning<T>(queue: &DelegateQueue, is_there: impl Fn() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = is_there() {
            return value;
        }
        assert!(std::time::Instant::now() < deadline, "waited {PATIENCE:?} in vain");
        queue.run_for(Duration::from_millis(1));
    }
}

#[test]
fn inside_a_handler() {
    over_both(|transport| {
        for (name, queue) in queues() {
            let server = transport.builder().start(echo);
            let session =
                Session::builder().configuration(configuration()).delegate_queue(queue.clone()).build();
            let inner_session = session.clone();
            let inner_url = server.url("/inner");
            let (sender, receiver) = bounded(1);
            session
                .data_task(server.url("/outer"))
                .on_completion(move |outer| {
                    let inner = inner_session.data_task(inner_url.as_str());
                    let first = inner.wait();
                    // A second one that a worker carries out, and its own handler.
                    let other = inner_session.data_task(inner_url.as_str());
                    let (inside, told) = bounded(1);
                    other.on_completion(move |result| inside.send(result).unwrap()).resume();
                    let second = other.wait();
                    sender.send((outer, first, second, told)).unwrap();
                })
                .resume();
            let (outer, first, second, told) = turning(&queue, || receiver.try_recv().ok());
            assert_eq!(outer.unwrap().bytes(), "/outer", "{name}");
            assert_eq!(first.unwrap().bytes(), "/inner", "{name}");
            assert_eq!(second.unwrap().bytes(), "/inner", "{name}");
            assert!(turning(&queue, || told.try_recv().ok()).is_ok(), "{name}");
            session.invalidate_and_cancel();
        }
    });
}

/// Waits for other tasks of the session in every method.
struct Nested {
    session: Mutex<Option<Session>>,
    url: String,
    results: Mutex<Vec<String>>,
}

impl Nested {
    fn wait(&self, event: &TaskEvent<'_>, method: &str) {
        let is_outer = event.task().original_request().get_url().is_some_and(|url| url.path() == "/outer");
        let session = self.session.lock().unwrap().clone();
        if let (true, Some(session)) = (is_outer, session) {
            let resumed = session.data_task(self.url.as_str());
            resumed.resume();
            let waited = session
                .data_task(self.url.as_str())
                .wait()
                .map(|response| response.text().unwrap().into_owned());
            let resumed = resumed.wait().map(|response| response.text().unwrap().into_owned());
            self.results.lock().unwrap().push(format!("{method} {} {}", waited.unwrap(), resumed.unwrap()));
        }
    }
}

impl Delegate for Nested {
    fn did_create(&self, event: &TaskEvent<'_>) {
        self.wait(event, "create");
    }
    fn will_redirect(
        &self,
        event: &TaskEvent<'_>,
        _: &ResponseHead,
        request: Request,
    ) -> urlsession::RedirectDecision {
        self.wait(event, "redirect");
        urlsession::RedirectDecision::Follow(request)
    }
    fn did_receive_informational(&self, event: &TaskEvent<'_>, _: &ResponseHead) {
        self.wait(event, "informational");
    }
    fn did_receive_response(&self, event: &TaskEvent<'_>, _: &ResponseHead) -> ResponseDisposition {
        self.wait(event, "response");
        ResponseDisposition::Allow
    }
    fn did_receive_data(&self, event: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        self.wait(event, "data");
        Some(data)
    }
    fn did_finish_collecting(&self, event: &TaskEvent<'_>, _: &urlsession::TaskMetrics) {
        self.wait(event, "metrics");
    }
    fn did_complete(&self, event: &TaskEvent<'_>, _: Option<&urlsession::Error>) {
        self.wait(event, "complete");
    }
}

#[test]
fn inside_every_method_of_a_delegate() {
    in_all_ways(|transport, runner| {
        for (name, queue) in queues() {
            let server = transport.builder().start(|request| match request.path() {
                "/outer" => Reply::redirect(302, "/final").informational(103, &[]),
                "/final" => Reply::ok("final").informational(103, &[]),
                _ => echo(request),
            });
            let delegate = Arc::new(Nested {
                session: Mutex::default(),
                url: server.url("/inner"),
                results: Mutex::default(),
            });
            let session = Session::builder()
                .configuration(configuration())
                .delegate(delegate.clone())
                .delegate_queue(queue.clone())
                .build();
            *delegate.session.lock().unwrap() = Some(session.clone());
            let task = session.data_task(server.url("/outer"));
            assert_eq!(runner.start(&task).result().unwrap().bytes(), "final", "{name}");
            let results = turning(&queue, || {
                let results = delegate.results.lock().unwrap();
                results.iter().any(|line| line.starts_with("complete")).then(|| results.clone())
            });
            let methods = [
                "create",
                "informational",
                "redirect",
                "informational",
                "response",
                "data",
                "metrics",
                "complete",
            ];
            assert_eq!(results, methods.map(|method| format!("{method} /inner /inner")), "{name}");
            *delegate.session.lock().unwrap() = None;
            session.invalidate_and_cancel();
        }
    });
}

#[test]
fn for_oneself_is_an_error() {
    in_all_ways(|transport, runner| {
        for (name, queue) in queues() {
            let server = transport.builder().start(|request| match request.path() {
                "/" => Reply::redirect(302, "/final"),
                _ => echo(request),
            });
            let kinds = Arc::new(Mutex::new(Vec::new()));
            let [of_redirect, of_response, of_data, of_end] = [(); 4].map(|()| {
                let kinds = kinds.clone();
                move |task: &urlsession::DataTask| {
                    let kind = |result: urlsession::Result<()>| result.err().map(|error| error.kind());
                    kinds.lock().unwrap().push(kind(task.wait().map(drop)));
                    kinds.lock().unwrap().push(kind(wait_any([task, task]).unwrap().1.map(drop)));
                }
            });
            let recorder = Recorder::new()
                .on_redirect(move |task, request| {
                    of_redirect(task);
                    urlsession::RedirectDecision::Follow(request)
                })
                .on_response(move |task, _| {
                    of_response(task);
                    ResponseDisposition::Allow
                })
                .on_data(move |task, data| {
                    of_data(task);
                    Some(data)
                })
                .on_line(move |task, line| {
                    if line.starts_with("complete") {
                        of_end(task);
                    }
                });
            let session = Session::builder()
                .configuration(configuration())
                .delegate(recorder.clone())
                .delegate_queue(queue.clone())
                .build();
            let task = session.data_task(server.url("/"));
            assert_eq!(runner.start(&task).result().unwrap().bytes(), "/final", "{name}");
            let own = Some(ErrorKind::ResourceUnavailable);
            let kinds =
                turning(&queue, || Some(kinds.lock().unwrap().clone()).filter(|kinds| kinds.len() == 8));
            assert_eq!(kinds, [own, own, own, own, own, own, None, None], "{name}");
            session.invalidate_and_cancel();
        }
    });
}

#[test]
fn for_any() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let session = session();
        assert!(wait_any::<urlsession::Data>([]).is_none());
        let one = session.data_task(server.url("/1"));
        assert_eq!(wait_any([&one]).unwrap().1.unwrap().bytes(), "/1");
        let slow = session.data_task(server.url("/gated"));
        let fast = session.data_task(server.url("/2"));
        let (index, result) = wait_any([&slow, &slow, &fast]).unwrap();
        assert_eq!((index, result.unwrap().bytes().as_ref()), (2, &b"/2"[..]));
        let (index, _) = wait_any([&slow, &fast, &one]).unwrap();
        assert_eq!(index, 1, "those that are over are there at once, the first of them first");
        assert_eq!(slow.state(), TaskState::Running, "the others go on");
        let both = aside({
            let slow = slow.clone();
            move || wait_any([&slow, &slow])
        });
        gate.open();
        let (index, result) = both.join().unwrap();
        assert_eq!((index, result.unwrap().bytes().as_ref()), (0, &b"gated"[..]));
        let failing = session.data_task("http://127.0.0.1:1/");
        let suspended = session.data_task(server.url("/3"));
        suspended.suspend();
        let (index, result) = wait_any([&suspended, &failing]).unwrap();
        assert_eq!((index, result.unwrap_err().kind()), (1, ErrorKind::CannotConnectToHost));
    });
}

#[test]
fn for_all() {
    over_both(|transport| {
        let server = transport.builder().start(echo);
        let session = session();
        assert!(wait_all::<urlsession::Data>([]).is_empty());
        let done = session.data_task(server.url("/done"));
        done.wait().unwrap();
        let failing = session.data_task("http://127.0.0.1:1/");
        let cancelled = session.data_task(server.url("/never"));
        cancelled.cancel();
        let fresh = session.data_task(server.url("/fresh"));
        let results = wait_all([&fresh, &done, &failing, &fresh, &cancelled]);
        let results: Vec<_> = results
            .into_iter()
            .map(|result| {
                result.map(|response| response.text().unwrap().into_owned()).map_err(|error| error.kind())
            })
            .collect();
        let fresh = Ok("/fresh".to_owned());
        let expected = [
            fresh.clone(),
            Ok("/done".to_owned()),
            Err(ErrorKind::CannotConnectToHost),
            fresh,
            Err(ErrorKind::Cancelled),
        ];
        assert_eq!(results, expected);
        assert_eq!(wait_all([&done]).len(), 1);
    });
}

#[test]
fn through_a_pending() {
    over_both(|transport| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let session = session();
        let task = session.data_task(server.url("/gated"));
        let pending = task.pending();
        assert!(pending.try_take().is_none());
        assert_eq!(task.state(), TaskState::Suspended, "to look starts nothing");
        assert!(pending.wait_timeout(SHORT).is_none());
        gate.wait_until_reached();
        assert!(pending.try_take().is_none());
        drop(pending);
        gate.open();
        let pending = task.pending();
        assert_eq!(pending.wait().unwrap().bytes(), "gated");
        for result in [pending.try_take(), pending.wait_timeout(Duration::ZERO), Some(pending.wait())] {
            assert_eq!(result.unwrap().unwrap().bytes(), "gated");
        }
        let (sender, receiver) = bounded(1);
        let other = session.data_task(server.url("/other"));
        other.pending().on_completion(move |result| sender.send(result).unwrap());
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().bytes(), "/other");
        let suspended = session.data_task(server.url("/suspended"));
        suspended.suspend();
        suspended.pending().on_completion(drop);
        suspended.pending().on_completion(drop);
        assert_eq!(suspended.state(), TaskState::Suspended, "no suspend is undone");
    });
}

#[test]
fn through_a_channel() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let server = transport.builder().start(gated(&gate));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let slow = session.data_task(server.url("/gated"));
        let fast = session.data_task(server.url("/fast"));
        let (slow_pending, fast_pending) = (slow.pending(), fast.pending());
        for _ in 0..2 {
            // Asking for the channel again changes nothing.
            assert_eq!(slow_pending.receiver().len(), 0);
        }
        let _running = runner.start(&fast);
        select! {
            recv(slow_pending.receiver()) -> _ => panic!("the gate is closed"),
            recv(fast_pending.receiver()) -> result => assert_eq!(result.unwrap().unwrap().bytes(), "/fast"),
            default(PATIENCE) => panic!("neither"),
        }
        gate.open();
        assert_eq!(slow_pending.receiver().recv_timeout(PATIENCE).unwrap().unwrap().bytes(), "gated");
        let late = fast.pending();
        assert!(late.receiver().recv_timeout(PATIENCE).unwrap().is_ok(), "also after the end");
        assert!(fast_pending.receiver().is_empty(), "each result comes once");
    });
}

#[test]
fn through_a_channel_on_the_thread_that_turns_the_queue() {
    let server = Server::start(echo);
    let queue = DelegateQueue::manual();
    let recorder = Recorder::new();
    let session = Session::builder()
        .configuration(configuration())
        .delegate(recorder.clone())
        .delegate_queue(queue.clone())
        .build();
    let task = session.data_task(server.url("/"));
    task.on_completion(drop);
    // It needs no answer of the delegate's, whose turn comes only afterwards.
    let pending = task.pending();
    assert!(pending.receiver().recv_timeout(PATIENCE).unwrap().is_ok());
    assert_eq!(recorder.of(&task), ["create"]);
    turning(&queue, || (recorder.of(&task) == ["create", "metrics"]).then_some(()));
}

#[test]
fn dropped_handles_cancel_nothing() {
    over_both(|transport| {
        let server = transport.builder().start(echo);
        let session = Session::new(configuration().maximum_workers(1));
        session.data_task(server.url("/resumed")).resume();
        let (sender, receiver) = bounded(1);
        session
            .data_task(server.url("/handled"))
            .on_completion(move |result| sender.send(result).unwrap())
            .resume();
        session.data_task(server.url("/pending")).pending().receiver();
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok());
        drop(session.data_task(server.url("/never")));
        server.wait_for_requests(3, PATIENCE);
        eventually("the end of all tasks", || session.all_tasks().is_empty());
        after_all_others(&session);
        assert_eq!(server.requests().len(), 3);
    });
}

#[test]
fn a_reader_after_resume() {
    over_both(|transport| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| {
            Reply::ok(pattern(300_000)).then(Fault::GateAt(At::After(100_000), of_reply.clone()))
        });
        let session = session();
        // A worker has collected a part of it already.
        let task = session.data_task(server.url("/"));
        task.resume();
        eventually("a part of the body", || task.bytes_received() == 100_000);
        let mut body = task.open().unwrap().into_body();
        let mut read = vec![0; 60_000];
        body.read_exact(&mut read).unwrap();
        gate.open();
        body.read_to_end(&mut read).unwrap();
        assert_pattern(&read, 300_000);
        // Here all of it.
        let task = session.data_task(server.url("/"));
        task.resume();
        task.wait().unwrap();
        let mut read = Vec::new();
        task.open().unwrap().into_body().read_to_end(&mut read).unwrap();
        assert_pattern(&read, 300_000);
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn a_body_has_one_reader() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok(pattern(100_000)));
        let task = session().data_task(server.url("/"));
        let mut body = task.open().unwrap().into_body();
        assert_eq!(task.open().unwrap_err().kind(), ErrorKind::ResourceUnavailable);
        // It is read on another thread while this one waits for the end.
        let reader = aside(move || {
            let mut read = Vec::new();
            body.read_to_end(&mut read).map(|_| (read, body))
        });
        let response = task.wait().unwrap();
        assert!(response.bytes().is_empty(), "the reader has it");
        let (read, mut body) = reader.join().unwrap();
        assert_pattern(&read, 100_000);
        assert_eq!(body.read(&mut [0; 8]).unwrap(), 0, "the end stays the end");
        assert_eq!(task.state(), TaskState::Completed);
        assert_eq!(task.bytes_received(), 100_000);
    });
}

#[test]
fn a_reader_that_is_dropped_early_ends_the_task() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok(pattern(10_000_000)));
        let session = session();
        let task = session.data_task(server.url("/"));
        let mut body = task.open().unwrap().into_body();
        body.read_exact(&mut [0; 1000]).unwrap();
        drop(body);
        assert_cancelled(task.wait());
        server.wait_for_open_connections(0, PATIENCE);
        drop(session.data_task(server.url("/")).open().unwrap());
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn a_reader_that_has_it_all_may_be_dropped() {
    over_both(|transport| {
        for chunked in [false, true] {
            let server = transport.builder().start(move |_| match chunked {
                false => Reply::ok(pattern(100_000)),
                true => Reply::chunked([pattern(100_000)]),
            });
            let session = session();
            let task = session.data_task(server.url("/"));
            let mut body = task.open().unwrap().into_body();
            let mut read = vec![0; 100_000];
            body.read_exact(&mut read).unwrap();
            assert_pattern(&read, 100_000);
            if chunked {
                assert_eq!(body.read(&mut read).unwrap(), 0);
            }
            drop(body);
            assert!(task.wait().is_ok());
            assert!(session.data_task(server.url("/")).wait().is_ok());
            assert_eq!(server.accepted(), 1, "the connection is kept");
        }
    });
}

#[test]
fn a_reader_of_nothing() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::status(204));
        let session = session();
        let task = session.data_task(server.url("/"));
        let mut read = Vec::new();
        assert_eq!(task.open().unwrap().body_mut().read_to_end(&mut read).unwrap(), 0);
        assert!(task.wait().is_ok());
        let failing = session.data_task("http://127.0.0.1:1/");
        assert_eq!(failing.open().unwrap_err().kind(), ErrorKind::CannotConnectToHost);
    });
}

#[test]
fn a_reader_on_another_thread_tells_of_a_lost_connection() {
    over_both(|transport| {
        let server = transport
            .builder()
            .start(|_| Reply::head(200).header("Content-Length", "100000").then(Fault::CloseAfter(50_000)));
        let session = session();
        let task = session.data_task(server.url("/"));
        let body = task.open().unwrap().into_body();
        let reader = aside(move || {
            let mut body = body;
            let mut read = Vec::new();
            let error = body.read_to_end(&mut read).unwrap_err();
            (read.len(), error.get_ref().unwrap().downcast_ref::<urlsession::Error>().unwrap().kind())
        });
        assert_eq!(reader.join(), (50_000, ErrorKind::NetworkConnectionLost));
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::NetworkConnectionLost);
    });
}

#[test]
fn what_a_reader_does_not_read_stays_with_the_server() {
    let flood = support::Flood::start(64 * 1024 * 1024);
    let session = session();
    let mut body = session.data_task(flood.url()).open().unwrap().into_body();
    let sent = flood.wait_until_blocked();
    assert!(sent < 24 * 1024 * 1024, "{sent}");
    assert_eq!(std::io::copy(&mut body, &mut std::io::sink()).unwrap(), 64 * 1024 * 1024);
}
