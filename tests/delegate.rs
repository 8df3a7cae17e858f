//! What a delegate is told and asked: in which order, how often, on which queue, and what its answers
//! do.
#![cfg(feature = "tls")]

mod support;

use crossbeam_channel::{bounded, unbounded};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;
use support::harness::{
    Recorder, Runner, assert_cancelled, configuration, eventually, in_all_ways, over_both, session_with,
    waiting,
};
use support::{At, Fault, Flood, Gate, PATIENCE, Reply, Server, assert_pattern, gzip, pattern};
use urlsession::{
    Bytes, DataTask, Delegate, DelegateQueue, Error, ErrorKind, RedirectDecision, Request,
    ResponseDisposition, ResponseHead, Session, TaskEvent, TaskMetrics, TaskState,
};

#[test]
fn the_life_of_a_plain_task() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok(pattern(300_000)));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/"));
        assert_eq!(recorder.of(&task), ["create"], "told before the factory returns");
        assert_pattern(runner.start(&task).result().unwrap().bytes(), 300_000);
        assert_eq!(recorder.wait_for_end(&task), ["create", "response 200", "data", "metrics", "complete"]);
    });
}

#[test]
fn the_life_of_a_redirected_task() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/1" => Reply::redirect(302, "/2").informational(103, &[("Link", "</style.css>")]),
            "/2" => Reply::redirect(307, "/3").body("elsewhere"),
            _ => Reply::ok("x").informational(100, &[]).informational(103, &[]),
        });
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/1"));
        let response = runner.start(&task).result().unwrap();
        assert_eq!(response.url().as_str(), server.url("/3"));
        let lines = recorder.wait_for_end(&task);
        let expected = [
            "create".to_owned(),
            "informational 103".to_owned(),
            format!("redirect 302 {}", server.url("/2")),
            format!("redirect 307 {}", server.url("/3")),
            "informational 100".to_owned(),
            "informational 103".to_owned(),
            "response 200".to_owned(),
            "data".to_owned(),
            "metrics".to_owned(),
            "complete".to_owned(),
        ];
        assert_eq!(lines, expected);
        assert_eq!(task.original_request().get_url().unwrap().path(), "/1");
        assert_eq!(task.current_request().get_url().unwrap().path(), "/3");
    });
}

#[test]
fn the_life_of_a_failed_task() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/none" => Reply::ok("").then(Fault::CloseAt(At::BeforeHead)),
            _ => Reply::head(200).header("Content-Length", "100000").then(Fault::CloseAfter(50_000)),
        });
        let received = Arc::new(AtomicUsize::new(0));
        let count = received.clone();
        let recorder = Recorder::new().on_data(move |_, data| {
            count.fetch_add(data.len(), Ordering::SeqCst);
            None
        });
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/none"));
        assert!(runner.start(&task).result().is_err());
        assert_eq!(recorder.wait_for_end(&task), ["create", "metrics", "complete NetworkConnectionLost"]);
        let task = session.data_task(server.url("/half"));
        let error = runner.start(&task).result().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 200);
        let lines = recorder.wait_for_end(&task);
        assert_eq!(lines, ["create", "response 200", "data", "metrics", "complete NetworkConnectionLost"]);
        assert_eq!(received.load(Ordering::SeqCst), 50_000, "what came before the failure is delivered");
        let task = session.data_task("gopher://example.com/");
        assert!(runner.start(&task).result().is_err());
        assert_eq!(recorder.wait_for_end(&task), ["create", "metrics", "complete UnsupportedUrl"]);
    });
}

#[test]
fn no_data_where_there_is_no_body() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/empty" => Reply::ok(""),
            "/none" => Reply::status(204),
            "/same" => Reply::status(304),
            "/chunked" => Reply::chunked([b""; 0]),
            _ => Reply::ok("for a GET"),
        });
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let requests = [
            (Request::get(server.url("/empty")), 200),
            (Request::get(server.url("/none")), 204),
            (Request::get(server.url("/same")), 304),
            (Request::get(server.url("/chunked")), 200),
            (Request::head(server.url("/head")), 200),
        ];
        for (request, status) in requests {
            let task = session.data_task(request);
            assert!(runner.start(&task).result().unwrap().bytes().is_empty());
            let response = format!("response {status}");
            assert_eq!(recorder.wait_for_end(&task), ["create", &response, "metrics", "complete"]);
        }
    });
}

#[test]
fn everything_is_set_before_the_end_is_told() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/good" => Reply::ok("x"),
            _ => Reply::head(200).header("Content-Length", "10").then(Fault::CloseAfter(5)),
        });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let recorder = Recorder::new().on_line(move |task, line| {
            if line.starts_with("complete") || line == "metrics" {
                let waited = task.wait().map(drop).map_err(|error| error.kind());
                let error = task.error().map(|error| error.kind());
                notes.lock().unwrap().push((
                    task.state(),
                    error,
                    waited,
                    task.response().is_some(),
                    task.metrics().is_some(),
                ));
            }
        });
        let session = session_with(&recorder);
        for (path, error) in [("/good", None), ("/bad", Some(ErrorKind::NetworkConnectionLost))] {
            let task = session.data_task(server.url(path));
            let _ = runner.start(&task).result();
            recorder.wait_for_end(&task);
            eventually("both notes", || seen.lock().unwrap().len() == 2);
            let expected = (TaskState::Completed, error, error.map_or(Ok(()), Err), true, true);
            assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [expected, expected]);
            eventually("the task to leave the list", || session.all_tasks().is_empty());
        }
    });
}

/// Notes where it was created, and leaves the rest to who comes after it.
#[derive(Default)]
struct Creations(Arc<Mutex<Vec<ThreadId>>>);

impl Delegate for Creations {
    fn did_create(&self, event: &TaskEvent<'_>) {
        assert_eq!(event.task().state(), TaskState::Suspended);
        self.0.lock().unwrap().push(thread::current().id());
    }
}

#[test]
fn created_on_the_thread_that_makes_it() {
    for queue in [DelegateQueue::serial(), DelegateQueue::manual()] {
        let creations = Creations::default();
        let notes = creations.0.clone();
        let session = Session::builder()
            .configuration(configuration())
            .delegate(creations)
            .delegate_queue(queue)
            .build();
        drop(session.data_task("http://127.0.0.1:1/"));
        assert_eq!(*notes.lock().unwrap(), [thread::current().id()]);
        session.invalidate_and_cancel();
    }
}

/// Implements one method of many.
struct OnlyResponse(Arc<AtomicUsize>);

impl Delegate for OnlyResponse {
    fn did_receive_response(&self, _: &TaskEvent<'_>, _: &ResponseHead) -> ResponseDisposition {
        self.0.fetch_add(1, Ordering::SeqCst);
        ResponseDisposition::Allow
    }
}

#[test]
fn a_delegate_of_its_own_comes_first() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/old" => Reply::redirect(301, "/new").informational(103, &[]),
            _ => Reply::ok("x"),
        });
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/old"));
        let count = Arc::new(AtomicUsize::new(0));
        assert!(task.set_delegate(OnlyResponse(count.clone())));
        assert_eq!(runner.start(&task).result().unwrap().bytes(), "x");
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let redirect = format!("redirect 301 {}", server.url("/new"));
        assert_eq!(
            recorder.wait_for_end(&task),
            ["create", "informational 103", &redirect, "data", "metrics", "complete"],
            "the session's has what the task's does not implement"
        );
        assert!(!task.set_delegate(OnlyResponse(count.clone())), "it is too late");
        eventually("the delegate to be let go of", || Arc::strong_count(&count) == 1);
        // Without one of the session.
        let session = support::harness::session();
        let task = session.data_task(server.url("/old"));
        let own = Recorder::new();
        assert!(task.set_delegate(own.clone()));
        assert_eq!(runner.start(&task).result().unwrap().bytes(), "x");
        assert_eq!(
            own.wait_for_end(&task),
            ["informational 103", &redirect, "response 200", "data", "metrics", "complete"]
        );
    });
}

#[test]
fn a_response_that_is_cancelled() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok(pattern(10_000_000)));
        let recorder = Recorder::new().on_response(|_, _| ResponseDisposition::Cancel);
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/"));
        let result = runner.start(&task).result();
        assert_eq!(result.as_ref().unwrap_err().response().unwrap().status(), 200);
        assert_cancelled(result);
        assert_eq!(recorder.wait_for_end(&task), ["create", "response 200", "metrics", "complete Cancelled"]);
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn a_redirect_that_is_changed() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/old" => Reply::redirect(302, "/proposed"),
            _ => Reply::ok(format!("{} {} {:?}", request.method, request.path(), request.header("x-added"))),
        });
        let changed = server.url("/chosen");
        let recorder = Recorder::new().on_redirect(move |_, request| {
            assert_eq!(request.get_url().unwrap().path(), "/proposed");
            RedirectDecision::Follow(request.url(changed.as_str()).header("x-added", "yes"))
        });
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/old"));
        assert_eq!(runner.start(&task).result().unwrap().bytes(), "GET /chosen Some(\"yes\")");
        assert_eq!(task.current_request().get_url().unwrap().path(), "/chosen");
    });
}

#[test]
fn a_redirect_that_is_not_followed() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|_| Reply::redirect(302, "/elsewhere").body("go elsewhere"));
        let recorder = Recorder::new().on_redirect(|_, _| RedirectDecision::Stop);
        let session = session_with(&recorder);
        let task = session.data_task(server.url("/"));
        let response = runner.start(&task).result().unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (302, &b"go elsewhere"[..]));
        assert_eq!(response.header("location"), Some("/elsewhere"));
        let redirect = format!("redirect 302 {}", server.url("/elsewhere"));
        assert_eq!(
            recorder.wait_for_end(&task),
            ["create", &redirect, "response 302", "data", "metrics", "complete"]
        );
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn data_that_is_taken_and_data_that_is_given_back() {
    let gzipped = Bytes::from(gzip(&pattern(200_000)));
    in_all_ways(|transport, runner| {
        for encoded in [false, true] {
            let gzipped = gzipped.clone();
            let server = transport.builder().start(move |_| match encoded {
                false => Reply::ok(pattern(200_000)),
                true => Reply::ok(gzipped.clone()).header("Content-Encoding", "gzip"),
            });
            let pieces = Arc::new(Mutex::new(Vec::new()));
            let taken = pieces.clone();
            let recorder = Recorder::new().on_data(move |_, data| {
                taken.lock().unwrap().extend_from_slice(&data);
                None
            });
            let task = session_with(&recorder).data_task(server.url("/"));
            assert!(runner.start(&task).result().unwrap().bytes().is_empty(), "the delegate has it");
            assert_pattern(&pieces.lock().unwrap(), 200_000);
            let task = session_with(&Recorder::new()).data_task(server.url("/"));
            assert_pattern(runner.start(&task).result().unwrap().bytes(), 200_000);
        }
    });
}

#[test]
fn a_slow_delegate_holds_the_server_back() {
    for runner in [Runner::Lender, Runner::Worker] {
        let gate = Gate::new();
        let in_delegate = gate.clone();
        let received = Arc::new(AtomicUsize::new(0));
        let count = received.clone();
        let recorder = Recorder::new().on_data(move |_, data| {
            in_delegate.pass();
            count.fetch_add(data.len(), Ordering::SeqCst);
            None
        });
        let flood = Flood::start(64 * 1024 * 1024);
        let session = session_with(&recorder);
        let task = session.data_task(flood.url());
        let running = runner.start(&task);
        gate.wait_until_reached();
        let sent = flood.wait_until_blocked();
        assert!(sent < 24 * 1024 * 1024, "{sent}");
        assert!(task.bytes_received() < 1024 * 1024, "{} bytes in memory", task.bytes_received());
        gate.open();
        running.result().unwrap();
        assert_eq!(received.load(Ordering::SeqCst), 64 * 1024 * 1024);
    }
}

#[test]
fn a_handler_takes_the_place_of_the_delegate() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|request| match request.path() {
            "/old" => Reply::redirect(302, "/new").informational(103, &[]),
            _ => Reply::ok("x"),
        });
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let (sender, receiver) = bounded(2);
        let task = session.data_task(server.url("/old"));
        let recorded = recorder.clone();
        let noted = task.clone();
        task.on_completion(move |result| sender.send((result, recorded.of(&noted))).unwrap());
        let _running = runner.start(&task);
        let (result, lines) = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(result.unwrap().bytes(), "x");
        let redirect = format!("redirect 302 {}", server.url("/new"));
        assert_eq!(
            lines,
            ["create", "informational 103", &redirect, "metrics"],
            "what a handler does not replace"
        );
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err(), "called once");
        // One that comes after the end is called all the same.
        let (sender, receiver) = bounded(1);
        task.on_completion(move |result| sender.send(result).unwrap());
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().bytes(), "x");
    });
}

/// Panics in every method it is told to.
struct Panics(&'static str, Recorder);

impl Panics {
    fn check(&self, method: &str) {
        assert!(self.0 != method, "as this test wants it: a panic in {method}");
    }
}

impl Delegate for Panics {
    fn did_create(&self, event: &TaskEvent<'_>) {
        self.1.did_create(event);
        self.check("create");
    }
    fn will_redirect(
        &self,
        event: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        self.check("redirect");
        self.1.will_redirect(event, response, request)
    }
    fn did_receive_informational(&self, event: &TaskEvent<'_>, response: &ResponseHead) {
        self.check("informational");
        self.1.did_receive_informational(event, response);
    }
    fn did_receive_response(&self, event: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
        self.check("response");
        self.1.did_receive_response(event, response)
    }
    fn did_receive_data(&self, event: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        self.check("data");
        self.1.did_receive_data(event, data)
    }
    fn did_finish_collecting(&self, event: &TaskEvent<'_>, metrics: &TaskMetrics) {
        self.check("metrics");
        self.1.did_finish_collecting(event, metrics);
    }
    fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
        self.1.did_complete(event, error);
        self.check("complete");
    }
    fn did_become_invalid(&self, error: Option<&Error>) {
        self.1.did_become_invalid(error);
        self.check("invalid");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.check("drop");
    }
}

#[test]
fn a_panic_in_a_method_is_contained() {
    let methods =
        ["create", "redirect", "informational", "response", "data", "metrics", "complete", "invalid", "drop"];
    in_all_ways(|transport, runner| {
        for method in methods {
            for queue in [DelegateQueue::serial(), DelegateQueue::inline()] {
                let server = transport.builder().start(|request| match request.path() {
                    "/old" => Reply::redirect(302, "/new").informational(103, &[]),
                    _ => Reply::ok("x"),
                });
                let recorder = Recorder::new();
                let session = Session::builder()
                    .configuration(configuration())
                    .delegate(Panics(method, recorder.clone()))
                    .delegate_queue(queue)
                    .build();
                let task = session.data_task(server.url("/old"));
                let response = runner.start(&task).result().unwrap();
                let expected = if method == "data" { "" } else { "x" };
                assert_eq!(response.bytes(), expected, "{method}");
                recorder.wait_for_end(&task);
                session.finish_tasks_and_invalidate();
                recorder.wait_for("invalid");
                eventually("the session to let go of its delegate", || session.delegate().is_none());
                server.wait_for_open_connections(0, PATIENCE);
            }
        }
    });
}

#[test]
fn a_panic_in_a_handler_is_contained() {
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok("x"));
        let session = support::harness::session();
        let (sender, receiver) = bounded(1);
        let task = session.data_task(server.url("/"));
        task.on_completion(|_| panic!("as this test wants it: a panic in a handler"));
        task.on_completion(move |result| sender.send(result).unwrap());
        assert!(runner.start(&task).result().is_ok());
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok(), "the next one is called");
        assert!(session.data_task(server.url("/")).wait().is_ok());
    });
}

/// A thread and its name.
type Named = (ThreadId, Option<String>);

/// Sees whether two methods run at a time, and on which threads.
#[derive(Clone, Default)]
struct Exclusive {
    busy: Arc<AtomicBool>,
    overlaps: Arc<AtomicUsize>,
    threads: Arc<Mutex<Vec<Named>>>,
}

impl Exclusive {
    fn enter(&self) {
        let here = thread::current();
        if self.busy.swap(true, Ordering::SeqCst) {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        thread::yield_now();
        self.threads.lock().unwrap().push((here.id(), here.name().map(str::to_owned)));
        self.busy.store(false, Ordering::SeqCst);
    }
}

/// Runs many tasks on a queue whose events `turn` runs, if nobody else does.
fn many_on(queue: DelegateQueue, turn: impl Fn(&[DataTask])) -> Exclusive {
    let server = Server::start(|_| Reply::chunked([&b"one"[..], b"two"]).informational(103, &[]));
    let exclusive = Exclusive::default();
    let noted = exclusive.clone();
    let recorder = Recorder::new().on_line(move |_, line| {
        if line != "create" {
            noted.enter();
        }
    });
    let session = Session::builder()
        .configuration(configuration())
        .delegate(recorder.clone())
        .delegate_queue(queue)
        .build();
    let tasks: Vec<_> = (0..50).map(|_| session.data_task(server.url("/"))).collect();
    tasks.iter().for_each(|task| task.resume());
    turn(&tasks);
    for task in &tasks {
        let lines = recorder.wait_for_end(task);
        assert_eq!(lines, ["create", "informational 103", "response 200", "data", "metrics", "complete"]);
    }
    assert_eq!(exclusive.overlaps.load(Ordering::SeqCst), 0);
    exclusive
}

#[test]
fn a_serial_queue_is_one_thread() {
    let exclusive = many_on(DelegateQueue::serial(), |_| ());
    let threads = exclusive.threads.lock().unwrap();
    assert!(threads.iter().all(|thread| *thread == threads[0]));
    assert_eq!(threads[0].1.as_deref(), Some("urlsession-delegate"));
}

#[test]
fn an_inline_queue_is_whoever_is_there() {
    let exclusive = many_on(DelegateQueue::inline(), |_| ());
    let threads = exclusive.threads.lock().unwrap();
    assert!(threads.iter().all(|(_, name)| name.as_deref() == Some("urlsession-worker")), "{threads:?}");
    drop(threads);
    // A thread that lends itself runs them itself.
    let server = Server::start(|_| Reply::ok("x"));
    let exclusive = Exclusive::default();
    let noted = exclusive.clone();
    let session = Session::builder()
        .configuration(configuration())
        .delegate(Recorder::new().on_line(move |_, _| noted.enter()))
        .delegate_queue(DelegateQueue::inline())
        .build();
    session.data_task(server.url("/")).wait().unwrap();
    let threads = exclusive.threads.lock().unwrap();
    assert_eq!(threads.len(), 5, "all of it before the wait returns");
    assert!(threads.iter().all(|(id, _)| *id == thread::current().id()));
}

#[test]
fn a_manual_queue_is_the_thread_that_turns_it() {
    let here = thread::current().id();
    let queue = DelegateQueue::manual();
    let turned = queue.clone();
    let exclusive = many_on(queue, |tasks| {
        let mut count = 0;
        while tasks.iter().any(|task| task.state() != TaskState::Completed) || turned.run_pending() > 0 {
            count += turned.run_for(Duration::from_millis(1));
        }
        assert!(count > 0);
        // The last of them may have been on its way.
        turned.run_for(Duration::from_millis(50));
    });
    assert!(exclusive.threads.lock().unwrap().iter().all(|(id, _)| *id == here));
    // Or one that waits for a task.
    let queue = DelegateQueue::manual();
    let turned = queue.clone();
    let exclusive = many_on(queue, |tasks| {
        tasks.iter().for_each(|task| drop(task.wait().unwrap()));
        turned.run_for(Duration::from_millis(50));
    });
    assert!(exclusive.threads.lock().unwrap().iter().all(|(id, _)| *id == here));
}

#[test]
fn a_queue_of_the_programs_own() {
    // Threads of which several may have something at a time.
    let (sender, receiver) = unbounded::<Box<dyn FnOnce() + Send>>();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let receiver = receiver.clone();
            support::harness::aside(move || receiver.iter().for_each(|run| run()))
        })
        .collect();
    many_on(DelegateQueue::from_fn(move |run| sender.send(run).unwrap()), |_| ());
    drop(receiver);
    threads.into_iter().for_each(|thread| thread.join());
    // And one that runs what it gets at once.
    many_on(DelegateQueue::from_fn(|run| run()), |_| ());
}

#[test]
fn a_queue_that_two_sessions_share() {
    let server = Server::start(|_| Reply::ok("x"));
    let queue = DelegateQueue::serial();
    let exclusive = Exclusive::default();
    let sessions: Vec<_> = (0..2)
        .map(|_| {
            let noted = exclusive.clone();
            let recorder = Recorder::new().on_line(move |_, line| {
                if line != "create" {
                    noted.enter();
                }
            });
            let builder = Session::builder().configuration(configuration()).delegate(recorder.clone());
            (builder.delegate_queue(queue.clone()).build(), recorder)
        })
        .collect();
    let tasks: Vec<_> = (0..40).map(|n| sessions[n % 2].0.data_task(server.url("/"))).collect();
    tasks.iter().for_each(|task| task.resume());
    for (n, task) in tasks.iter().enumerate() {
        sessions[n % 2].1.wait_for_end(task);
    }
    assert_eq!(exclusive.overlaps.load(Ordering::SeqCst), 0);
    // The end of one is not the end of the queue.
    sessions[0].0.finish_tasks_and_invalidate();
    sessions[0].1.wait_for("invalid");
    let task = sessions[1].0.data_task(server.url("/"));
    task.resume();
    sessions[1].1.wait_for_end(&task);
}

#[test]
fn several_waiters_and_a_manual_queue() {
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::redirect(302, "/").with_status(302));
        let recorder = Recorder::new().on_redirect(|_, _| RedirectDecision::Stop);
        let queue = DelegateQueue::manual();
        let session = Session::builder()
            .configuration(configuration())
            .delegate(recorder.clone())
            .delegate_queue(queue)
            .build();
        // Each of them may be the one that runs an event of another's.
        let tasks: Vec<_> = (0..20).map(|_| session.data_task(server.url("/"))).collect();
        let waiters: Vec<_> = tasks.iter().flat_map(|task| [waiting(task), waiting(task)]).collect();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().status(), 302);
        }
    });
}

#[test]
fn a_task_knows_its_own_delegate_until_it_has_completed() {
    struct Own;
    impl urlsession::Delegate for Own {}

    let session = urlsession::Session::builder().delegate(Own).build();
    let task = session.data_task("http://127.0.0.1:1/");
    assert!(task.delegate().is_none(), "that is the session's");
    assert!(task.set_delegate(Own));
    assert!(task.delegate().is_some());
    assert!(task.wait().is_err());
    session.finish_tasks_and_invalidate();
    support::harness::eventually("it is let go", || task.delegate().is_none());
}
