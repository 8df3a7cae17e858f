//! How far tasks are: snapshots, who is told while data moves, and the sum over a session.
#![cfg(feature = "tls")]

mod support;

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::harness::{
    Recorder, Waiting, aside, configuration, eventually, in_all_ways, over_both, session, waiting,
};
use support::{At, Fault, Gate, PATIENCE, Reply, Server, pattern};
use urlsession::{
    Body, DelegateQueue, Error, ErrorKind, Progress, Request, Session, SessionProgress, TaskState, wait_all,
};

const HALF: usize = 50_000;
const WHOLE: usize = 2 * HALF;

/// Longer than any test lasts: whoever asks for it is told at first, and then only what has to be told.
const NEVER: Duration = Duration::from_secs(1000);

/// What a handler was told, in order.
#[derive(Clone)]
struct Told<T>(Arc<Mutex<Vec<T>>>);

impl<T: Copy + Send + 'static> Told<T> {
    fn new() -> Self {
        Told(Arc::default())
    }

    fn handler(&self) -> impl FnMut(T) + Send + 'static {
        let told = self.clone();
        move |progress| told.0.lock().unwrap().push(progress)
    }

    fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

/// A server whose body of [`WHOLE`] bytes stops halfway at a gate.
fn halting(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(move |_| Reply::ok(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), gate.clone())))
}

fn inline() -> Session {
    Session::builder().configuration(configuration()).delegate_queue(DelegateQueue::inline()).build()
}

fn completed(told: &[Progress]) -> Vec<u64> {
    told.iter().map(Progress::completed).collect()
}

#[test]
fn a_body_that_comes_in() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport
            .builder()
            .start(move |_| Reply::ok(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), of_reply.clone())));
        let task = session().data_task(server.url("/"));
        let before = task.progress();
        assert_eq!((before.completed(), before.total(), before.fraction()), (0, None, None));
        assert_eq!((before.bytes_per_second(), before.time_left()), (None, None));
        let running = runner.start(&task);
        eventually("half of the body", || task.progress().received == HALF as u64);
        let asked = task.clone();
        let half = aside(move || asked.progress()).join();
        assert_eq!((half.completed(), half.total()), (HALF as u64, Some(WHOLE as u64)));
        assert_eq!(half.fraction(), Some(0.5));
        assert_eq!((half.sent, half.expected_to_send), (0, Some(0)));
        assert!(!half.is_finished());
        assert!(half.to_string().starts_with("48.8 KiB of 97.7 KiB (50.0 %)"), "{half}");
        gate.open();
        running.result().unwrap();
        let end = task.progress();
        assert_eq!((end.completed(), end.total()), (WHOLE as u64, Some(WHOLE as u64)));
        assert!(end.is_finished());
        assert_eq!((end.bytes_per_second(), end.time_left()), (None, Some(Duration::ZERO)));
        assert_eq!(end.to_string(), "97.7 KiB of 97.7 KiB (100.0 %)");
    });
}

#[test]
fn a_rate_is_known_after_a_while_and_falls_when_nothing_moves() {
    let gate = Gate::new();
    let server = halting(&gate);
    let task = session().data_task(server.url("/"));
    task.resume();
    eventually("a rate", || task.progress().bytes_per_second().is_some());
    let first = task.progress().bytes_per_second().unwrap();
    assert!(first >= 0.0);
    eventually("a rate that has fallen", || {
        let progress = task.progress();
        assert_eq!(progress.received, HALF as u64);
        progress.bytes_per_second().unwrap() < first || first == 0.0
    });
    gate.open();
    task.wait().unwrap();
}

#[test]
fn a_steady_stream_has_a_rate_and_an_end() {
    let of_told: Told<Progress> = Told::new();
    let server = Server::start(|_| {
        Reply::ok(pattern(60_000))
            .then(Fault::Drip { bytes_at_a_time: 2000, every: Duration::from_millis(10) })
    });
    let task = inline().data_task(server.url("/")).on_progress(Duration::ZERO, of_told.handler());
    task.wait().unwrap();
    let told = of_told.all();
    let known: Vec<_> = told.iter().filter(|progress| progress.bytes_per_second().is_some()).collect();
    assert!(!known.is_empty(), "{told:?}");
    for progress in known {
        let rate = progress.bytes_per_second().unwrap();
        // The server does not send faster than 2000 bytes in 10 ms, but for what piles up on the way.
        assert!(rate > 0.0 && rate < 1_000_000.0, "{progress:?}");
        let left = progress.time_left().unwrap().as_secs_f64();
        let expected = (60_000 - progress.completed()) as f64 / rate;
        assert!((left - expected).abs() < 1e-6, "{left} and not {expected}");
    }
}

#[test]
fn a_body_of_unknown_length() {
    over_both(|transport| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| {
            Reply::until_close(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), of_reply.clone()))
        });
        let task = session().data_task(server.url("/"));
        task.resume();
        eventually("half of the body", || task.progress().completed() == HALF as u64);
        let half = task.progress();
        assert_eq!((half.total(), half.fraction(), half.time_left()), (None, None, None));
        assert!(half.to_string().starts_with("48.8 KiB"), "{half}");
        gate.open();
        task.wait().unwrap();
        assert_eq!(task.progress().total(), Some(WHOLE as u64));
        assert_eq!(task.progress().fraction(), Some(1.0));
    });
}

#[test]
fn both_directions_count() {
    over_both(|transport| {
        let gates = [Gate::new(), Gate::new()];
        let [before, within] = gates.clone();
        let server = transport.builder().start(move |_| {
            Reply::ok(pattern(1000))
                .then(Fault::Gate(before.clone()))
                .then(Fault::GateAt(At::After(500), within.clone()))
        });
        let task = session().data_task(Request::put(server.url("/")).body(pattern(3000)));
        let before = task.progress();
        assert_eq!((before.completed(), before.total(), before.fraction()), (0, Some(3000), Some(0.0)));
        task.resume();
        gates[0].wait_until_reached();
        eventually("the request", || task.progress().sent == 3000);
        let sent = task.progress();
        assert_eq!((sent.completed(), sent.total(), sent.fraction()), (3000, Some(3000), Some(1.0)));
        assert!(!sent.is_finished());
        gates[0].open();
        gates[1].wait_until_reached();
        eventually("half of the response", || task.progress().received == 500);
        let within = task.progress();
        assert_eq!((within.completed(), within.total(), within.fraction()), (3500, Some(4000), Some(0.875)));
        gates[1].open();
        task.wait().unwrap();
        assert_eq!((task.progress().completed(), task.progress().total()), (4000, Some(4000)));
    });
}

#[test]
fn a_response_without_a_body() {
    let server = Server::start(|_| Reply::status(204));
    let told = Told::new();
    let task = inline().data_task(server.url("/")).on_progress(Duration::ZERO, told.handler());
    task.wait().unwrap();
    let told = told.all();
    assert_eq!(completed(&told), [0]);
    assert_eq!((told[0].total(), told[0].fraction(), told[0].is_finished()), (Some(0), Some(1.0), true));
}

#[test]
fn an_error_status_is_an_end_like_others() {
    let server = Server::start(|_| Reply::status(404).body("not here"));
    let told = Told::new();
    let task = inline().data_task(server.url("/")).on_progress(Duration::ZERO, told.handler());
    assert_eq!(task.wait().unwrap().status(), 404);
    let told = told.all();
    assert_eq!(completed(&told), [8]);
    assert_eq!(told[0].fraction(), Some(1.0));
}

#[test]
fn a_failure_stays_where_it_was() {
    let server = Server::start(|_| Reply::ok(pattern(WHOLE)).then(Fault::CloseAfter(HALF)));
    let told = Told::new();
    let task = inline().data_task(server.url("/")).on_progress(NEVER, told.handler());
    task.wait().unwrap_err();
    let last = *told.all().last().unwrap();
    assert_eq!((last.completed(), last.total()), (HALF as u64, Some(WHOLE as u64)));
    assert!(last.is_finished());
    assert_eq!(last.to_string(), "48.8 KiB of 97.7 KiB (50.0 %)");
}

#[test]
fn who_is_told_is_told_the_beginning_and_the_end() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport
            .builder()
            .start(move |_| Reply::ok(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), of_reply.clone())));
        let told = Told::new();
        let task = session().data_task(server.url("/")).on_progress(NEVER, told.handler());
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let at_end = told.clone();
        task.on_completion(move |_| sender.send(at_end.all()).unwrap());
        let running = runner.start(&task);
        eventually("the first call", || !told.all().is_empty());
        eventually("half of the body", || task.progress().received == HALF as u64);
        gate.open();
        running.result().unwrap();
        let told = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].completed() > 0 && told[0].completed() <= HALF as u64 && !told[0].is_finished());
        assert!(told[1].completed() == WHOLE as u64 && told[1].is_finished());
    });
}

#[test]
fn the_end_comes_before_the_delegate_and_the_handlers_hear_of_it() {
    let order: Arc<Mutex<Vec<String>>> = Arc::default();
    let of_delegate = order.clone();
    let recorder = Recorder::new().on_line(move |_, line| of_delegate.lock().unwrap().push(line.to_owned()));
    let server = Server::start(|_| Reply::ok("x"));
    let session = Session::builder().configuration(configuration()).delegate(recorder.clone()).build();
    let push = |what: &'static str| {
        let order = order.clone();
        move || order.lock().unwrap().push(what.to_owned())
    };
    let task = session.data_task(server.url("/"));
    let on_progress = push("progress");
    task.on_progress(NEVER, move |progress| {
        assert!(progress.is_finished());
        on_progress();
    });
    task.resume();
    recorder.wait_for_end(&task);
    eventually("the last line", || order.lock().unwrap().len() >= 6);
    assert_eq!(*order.lock().unwrap(), ["create", "response 200", "data", "progress", "metrics", "complete"]);

    order.lock().unwrap().clear();
    let task = session.data_task(server.url("/"));
    let (on_completion, on_progress) = (push("completion"), push("progress"));
    let (sender, receiver) = crossbeam_channel::bounded(1);
    task.on_completion(move |_| {
        on_completion();
        sender.send(()).unwrap();
    });
    task.on_progress(NEVER, move |_| on_progress()).resume();
    receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(*order.lock().unwrap(), ["create", "progress", "metrics", "completion"]);
}

#[test]
fn without_a_delegate_too() {
    let queue = DelegateQueue::manual();
    let session = Session::builder().configuration(configuration()).delegate_queue(queue.clone()).build();
    let server = Server::start(|_| Reply::ok("x"));
    let order: Arc<Mutex<Vec<&str>>> = Arc::default();
    let (first, second) = (order.clone(), order.clone());
    let task = session.data_task(server.url("/"));
    task.on_completion(move |_| first.lock().unwrap().push("completion"));
    task.on_progress(NEVER, move |_| second.lock().unwrap().push("progress"));
    task.wait().unwrap();
    let late = order.clone();
    task.on_completion(move |_| late.lock().unwrap().push("late"));
    while order.lock().unwrap().len() < 3 {
        assert!(queue.run_next(PATIENCE));
    }
    assert_eq!(*order.lock().unwrap(), ["progress", "completion", "late"]);
}

#[test]
fn calls_do_not_pile_up() {
    let queue = DelegateQueue::manual();
    let session = Session::builder().configuration(configuration()).delegate_queue(queue.clone()).build();
    let gates: [Gate; 5] = std::array::from_fn(|_| Gate::new());
    let of_reply = gates.clone();
    let server = Server::start(move |_| {
        of_reply.iter().enumerate().fold(Reply::ok(pattern(WHOLE)), |reply, (index, gate)| {
            reply.then(Fault::GateAt(At::After((index + 1) * HALF / 5), gate.clone()))
        })
    });
    let told = Told::new();
    let task = session.data_task(server.url("/")).on_progress(Duration::ZERO, told.handler());
    task.resume();
    let [before @ .., last] = &gates;
    for (index, gate) in before.iter().enumerate() {
        eventually("a piece", || task.progress().received == ((index + 1) * HALF / 5) as u64);
        gate.open();
    }
    eventually("half of the body", || task.progress().received == HALF as u64);
    assert!(queue.run_next(PATIENCE));
    assert_eq!(completed(&told.all()), [HALF as u64], "it sees what there is when it runs");
    assert!(queue.run_pending() <= 1, "one call, however many pieces, and one for the last of them");
    last.open();
    eventually("all of the body", || task.progress().received == WHOLE as u64);
    while !told.all().last().is_some_and(Progress::is_finished) {
        assert!(queue.run_next(PATIENCE));
    }
    let told = told.all();
    assert!(told.len() <= 4, "{told:?}");
    assert_eq!(told.iter().filter(|progress| progress.is_finished()).count(), 1);
    assert!(told.last().unwrap().is_finished());
}

#[test]
fn no_more_often_than_asked_for() {
    let interval = Duration::from_millis(50);
    let server = Server::start(|_| {
        Reply::ok(pattern(60_000)).then(Fault::Drip { bytes_at_a_time: 500, every: Duration::from_millis(2) })
    });
    let times: Arc<Mutex<Vec<std::time::Instant>>> = Arc::default();
    let written = times.clone();
    let task = inline().data_task(server.url("/")).on_progress(interval, move |progress| {
        if !progress.is_finished() {
            written.lock().unwrap().push(std::time::Instant::now());
        }
    });
    task.wait().unwrap();
    let times = times.lock().unwrap();
    assert!(times.len() >= 2, "{times:?}");
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= interval, "{:?}", pair[1] - pair[0]);
    }
}

#[test]
fn the_end_of_an_upload_is_told_at_once() {
    let gates = [Gate::new(), Gate::new()];
    let [reading, answering] = gates.clone();
    let server = Server::start(move |_| {
        Reply::ok("x").then(Fault::GateRead(1000, reading.clone())).then(Fault::Gate(answering.clone()))
    });
    // More than the buffers of sockets take.
    let length = 64 * 1024 * 1024;
    let told = Told::new();
    let task = session().upload_task(Request::put(server.url("/")), Body::from(vec![7; length]));
    task.on_progress(NEVER, told.handler()).resume();
    eventually("the first call", || told.all().len() == 1);
    let first = told.all()[0];
    assert!(first.sent > 0 && first.sent < length as u64, "{first:?}");
    assert_eq!(first.total(), Some(length as u64));
    gates[0].open();
    gates[1].wait_until_reached();
    eventually("the second call", || told.all().len() == 2);
    let second = told.all()[1];
    assert_eq!((second.sent, second.fraction(), second.is_finished()), (length as u64, Some(1.0), false));
    gates[1].open();
    task.wait().unwrap();
    eventually("the last call", || told.all().len() == 3);
    assert!(told.all()[2].is_finished());
}

#[test]
fn cancelled_half_way() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport
            .builder()
            .start(move |_| Reply::ok(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), of_reply.clone())));
        let told = Told::new();
        let session = session();
        let task = session.data_task(server.url("/")).on_progress(Duration::ZERO, told.handler());
        let running = runner.start(&task);
        eventually("half of the body", || task.progress().received == HALF as u64);
        task.cancel();
        assert_eq!(running.result().unwrap_err().kind(), ErrorKind::Cancelled);
        eventually("the last call", || told.all().last().is_some_and(Progress::is_finished));
        eventually("the end", || session.all_tasks().is_empty());
        gate.open();
        let told = told.all();
        assert_eq!(told.iter().filter(|progress| progress.is_finished()).count(), 1, "{told:?}");
        let last = told.last().unwrap();
        assert_eq!((last.completed(), last.total()), (HALF as u64, Some(WHOLE as u64)));
    });
}

#[test]
fn cancelled_by_the_handler() {
    for queue in [DelegateQueue::serial(), DelegateQueue::inline()] {
        let gate = Gate::new();
        let server = halting(&gate);
        let session = Session::builder().configuration(configuration()).delegate_queue(queue).build();
        let task = session.data_task(server.url("/"));
        let cancelled = task.clone();
        task.on_progress(NEVER, move |_| cancelled.cancel());
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn never_started() {
    let told = Told::new();
    let task = inline().data_task("http://127.0.0.1:1/").on_progress(NEVER, told.handler());
    task.cancel();
    assert_eq!(completed(&told.all()), [0]);
    assert!(told.all()[0].is_finished());
    assert_eq!(task.state(), TaskState::Completed);
}

#[test]
fn who_comes_after_the_end_is_told_the_end() {
    let server = Server::start(|_| Reply::ok("four"));
    let told = Told::new();
    let task = inline().data_task(server.url("/"));
    task.wait().unwrap();
    task.on_progress(NEVER, told.handler());
    assert_eq!(completed(&told.all()), [4]);
    assert!(told.all()[0].is_finished());
}

#[test]
fn several_may_follow_and_one_may_panic() {
    let server = Server::start(|_| Reply::ok("four"));
    let (first, second) = (Told::new(), Told::new());
    let task = inline()
        .data_task(server.url("/"))
        .on_progress(NEVER, first.handler())
        .on_progress(NEVER, |_| panic!("on purpose"))
        .on_progress(NEVER, second.handler());
    task.wait().unwrap();
    assert_eq!(completed(&first.all()), [4]);
    assert_eq!(completed(&second.all()), [4]);
}

#[test]
fn a_handler_that_waits_for_its_own_task_is_refused() {
    let gate = Gate::new();
    let server = halting(&gate);
    let (sender, receiver) = crossbeam_channel::unbounded();
    let task = session().data_task(server.url("/"));
    let same = task.clone();
    task.on_progress(NEVER, move |_| sender.send(same.wait().map(|_| ())).unwrap());
    let waiting = waiting(&task);
    let refused: Result<(), Error> = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ResourceUnavailable);
    gate.open();
    waiting.join().unwrap();
    receiver.recv_timeout(PATIENCE).unwrap().expect("after the end it may");
}

#[test]
fn handlers_are_dropped_after_the_end() {
    let server = Server::start(|_| Reply::ok("x"));
    let mark = Arc::new(());
    let held = mark.clone();
    let task = inline().data_task(server.url("/")).on_progress(NEVER, move |_| {
        let _ = &held;
    });
    assert_eq!(Arc::strong_count(&mark), 2);
    task.wait().unwrap();
    assert_eq!(Arc::strong_count(&mark), 1);
}

#[test]
fn a_reader_makes_progress_as_it_reads() {
    let server = Server::start(|_| Reply::ok(pattern(WHOLE)));
    let told = Told::new();
    let task = inline().data_task(server.url("/")).on_progress(Duration::ZERO, told.handler());
    let mut body = task.open().unwrap().into_body();
    body.read_exact(&mut [0; 10]).unwrap();
    let sofar = task.progress();
    assert!(sofar.completed() >= 10 && sofar.total() == Some(WHOLE as u64));
    let mut rest = Vec::new();
    body.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), WHOLE - 10);
    let told = completed(&told.all());
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&(WHOLE as u64)));
}

#[test]
fn suspended() {
    let gate = Gate::new();
    let server = halting(&gate);
    let told = Told::new();
    let task = session().data_task(server.url("/")).on_progress(Duration::ZERO, told.handler());
    task.resume();
    eventually("half of the body", || task.progress().received == HALF as u64);
    task.suspend();
    gate.open();
    assert!(task.wait_timeout(Duration::from_millis(50)).is_none());
    let half = task.progress();
    assert_eq!((half.completed(), half.is_finished()), (HALF as u64, false));
    assert!(!told.all().iter().any(Progress::is_finished));
    task.resume();
    task.wait().unwrap();
    eventually("the last call", || told.all().last().is_some_and(Progress::is_finished));
}

#[test]
fn a_redirected_request_is_sent_anew() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::redirect(307, "/there"),
        _ => Reply::ok("four"),
    });
    let task = session().data_task(Request::put(server.url("/")).body(pattern(1000)));
    task.wait().unwrap();
    let progress = task.progress();
    assert_eq!((progress.sent, progress.received, progress.completed()), (1000, 4, 1004));
}

#[test]
fn a_session_with_nothing_to_do() {
    let session = session();
    let progress = session.progress();
    assert!(progress.is_finished());
    assert_eq!((progress.tasks, progress.finished, progress.completed()), (0, 0, 0));
    let _unstarted = session.data_task("http://127.0.0.1:1/");
    assert!(session.progress().is_finished(), "what was never started does not count");
}

#[test]
fn the_sum_of_several_tasks() {
    in_all_ways(|transport, runner| {
        let gates = [Gate::new(), Gate::new()];
        let of_reply = gates.clone();
        let server = transport.builder().start(move |request| {
            let gate = &of_reply[usize::from(request.path() == "/1")];
            Reply::ok(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), gate.clone()))
        });
        let session = session();
        let tasks = [session.data_task(server.url("/0")), session.data_task(server.url("/1"))];
        let [first, second] = tasks.each_ref().map(|task| runner.start(task));
        eventually("half of both", || session.progress().completed() == WHOLE as u64);
        let half = session.progress();
        assert_eq!((half.tasks, half.finished, half.total()), (2, 0, Some(2 * WHOLE as u64)));
        assert_eq!(half.fraction(), Some(0.5));
        assert!(half.to_string().starts_with("0 of 2, 97.7 KiB of 195.3 KiB (50.0 %)"), "{half}");
        gates[0].open();
        first.result().unwrap();
        let more = session.progress();
        assert_eq!((more.tasks, more.finished), (1, 1));
        assert_eq!((more.completed(), more.total()), (3 * HALF as u64, Some(2 * WHOLE as u64)));
        gates[1].open();
        second.result().unwrap();
        let end = session.progress();
        assert_eq!((end.tasks, end.finished, end.completed()), (0, 2, 2 * WHOLE as u64));
        assert_eq!((end.fraction(), end.bytes_per_second()), (Some(1.0), None));
        eventually("idleness", || session.all_tasks().is_empty());
        assert_eq!(session.progress(), end, "it stays");
    });
}

#[test]
fn another_batch_begins_anew() {
    let server = Server::start(|_| Reply::ok("four"));
    let session = inline();
    for _ in 0..3 {
        // All of it, the end too, is done by this thread.
        session.data_task(server.url("/")).wait().unwrap();
        let progress = session.progress();
        assert_eq!((progress.finished, progress.completed()), (1, 4));
    }
}

#[test]
fn the_total_is_unknown_as_long_as_one_is() {
    let gate = Gate::new();
    let of_reply = gate.clone();
    let server = Server::start(move |request| match request.path() {
        "/waits" => Reply::ok("four").then(Fault::Gate(of_reply.clone())),
        _ => Reply::ok(pattern(WHOLE)).then(Fault::GateAt(At::After(HALF), of_reply.clone())),
    });
    let session = session();
    let [known, unknown] = ["/", "/waits"].map(|path| session.data_task(server.url(path)));
    known.resume();
    eventually("half of it", || session.progress().completed() == HALF as u64);
    assert_eq!(session.progress().total(), Some(WHOLE as u64));
    unknown.resume();
    assert_eq!((session.progress().tasks, session.progress().total()), (2, None));
    unknown.cancel();
    assert_eq!((session.progress().tasks, session.progress().total()), (1, Some(WHOLE as u64)));
    gate.open();
    known.wait().unwrap();
}

#[test]
fn the_sum_never_jumps_back() {
    let server = Server::start(|_| Reply::ok(pattern(20_000)));
    let session = session();
    let gate = Gate::new();
    let holding = halting(&gate);
    let holder = session.data_task(holding.url("/"));
    holder.resume();
    let watched = session.clone();
    let watcher: Waiting<Vec<SessionProgress>> = aside(move || {
        let mut seen = vec![watched.progress()];
        while seen[seen.len() - 1].finished < 200 {
            seen.push(watched.progress());
        }
        seen
    });
    let tasks: Vec<_> = (0..200).map(|_| session.data_task(server.url("/"))).collect();
    wait_all(&tasks);
    let seen = watcher.join();
    assert!(seen.is_sorted_by(|a, b| a.completed() <= b.completed() && a.finished <= b.finished));
    eventually("half of the other", || session.progress().completed() == 200 * 20_000 + HALF as u64);
    gate.open();
    holder.wait().unwrap();
}

#[test]
fn who_follows_a_session_is_told_until_it_is_idle() {
    let gate = Gate::new();
    let server = halting(&gate);
    let recorder = Recorder::new();
    let session = Session::builder().configuration(configuration()).delegate(recorder.clone()).build();
    let told = Told::new();
    let mark = Arc::new(());
    let (held, mut handler) = (mark.clone(), told.handler());
    session.on_progress(NEVER, move |progress| {
        let _ = &held;
        handler(progress);
    });
    let tasks = [session.data_task(server.url("/")), session.data_task(server.url("/"))];
    tasks.iter().for_each(|task| task.resume());
    eventually("the first call", || told.all().len() == 1);
    assert!(!told.all()[0].is_finished());
    gate.open();
    wait_all(&tasks);
    eventually("the last call", || told.all().len() == 2);
    let last = told.all()[1];
    assert_eq!((last.tasks, last.finished, last.completed()), (0, 2, 2 * WHOLE as u64));

    let task = session.data_task(server.url("/"));
    task.resume();
    session.finish_tasks_and_invalidate();
    recorder.wait_for("invalid");
    let told = told.all();
    assert!(told[told.len() - 1].is_finished());
    assert_eq!(told[told.len() - 1].finished, 1);
    eventually("nobody who holds the handler", || Arc::strong_count(&mark) == 1);
}

#[test]
fn other_kinds_of_tasks_have_progress_too() {
    let server = Server::start(|_| Reply::ok("four"));
    let session = inline();
    let task = session.upload_task(Request::put(server.url("/")), "three");
    task.wait().unwrap();
    assert_eq!(task.as_any().progress().completed(), 9);
}
