//! What a session leaves behind: no thread, no descriptor, nothing that was not there before. And what
//! it does not even begin to use.
//!
//! The tests look at their whole process, so they run one at a time.
#![cfg(all(feature = "tls", target_os = "linux"))]

mod support;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use support::harness::{Recorder, Transport, assert_cancelled, configuration, over_both, session};
use support::{At, Blackhole, Fault, Gate, PATIENCE, Received, Refused, Reply, Server, process};
use urlsession::{Body, DelegateQueue, ErrorKind, Request, Session};

/// One test at a time, and its beginning.
struct Before {
    _turn: MutexGuard<'static, ()>,
    threads: usize,
    descriptors: usize,
}

impl Before {
    fn now() -> Before {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        process::wait_for_threads_named("urlsession", 0, PATIENCE);
        Before {
            _turn: turn,
            threads: process::threads_named("urlsession"),
            descriptors: process::open_fds(),
        }
    }

    /// Everything is as it was.
    #[track_caller]
    fn assert_restored(&self) {
        process::wait_for_threads_named("urlsession", self.threads, PATIENCE);
        let deadline = std::time::Instant::now() + PATIENCE;
        while process::open_fds() != self.descriptors {
            let message =
                format!("{} and not {}: {:?}", process::open_fds(), self.descriptors, process::descriptors());
            assert!(std::time::Instant::now() < deadline, "{message}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_plain_get_starts_no_thread() {
    let before = Before::now();
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok("x"));
        let session = session();
        for _ in 0..3 {
            assert_eq!(session.data_task(server.url("/")).wait().unwrap().bytes(), "x");
            let mut text = String::new();
            session.data_task(server.url("/")).open().unwrap().body_mut().read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
        let by_name = session.data_task(server.url_of_host("localhost", "/")).wait();
        assert!(by_name.is_ok() || transport == Transport::Tls, "{by_name:?}");
        assert!(session.data_task("http://127.0.0.1:1/").wait().is_err());
        assert_eq!(process::threads_named("urlsession"), 0);
        assert!(!process::descriptors().iter().any(|name| name.contains("eventpoll")));
        // Nor does one through the shared session.
        if transport == Transport::Tcp {
            assert!(urlsession::get(server.url("/")).is_ok());
            Session::shared().flush();
            assert_eq!(process::threads_named("urlsession"), 0);
        }
    });
    before.assert_restored();
}

#[test]
fn an_invalidated_session_leaves_neither_thread_nor_socket() {
    let before = Before::now();
    over_both(|transport| {
        let server = transport.builder().start(|_| Reply::ok("x"));
        let recorder = Recorder::new();
        let session = Session::builder().configuration(configuration()).delegate(recorder.clone()).build();
        let sockets = process::open_sockets();
        let tasks: Vec<_> = (0..20).map(|_| session.data_task(server.url("/"))).collect();
        tasks.iter().for_each(|task| task.resume());
        tasks.iter().for_each(|task| drop(recorder.wait_for_end(task)));
        assert!(process::threads_named("urlsession") > 0);
        assert!(server.open_connections() > 0);
        session.finish_tasks_and_invalidate();
        // With the session and its tasks still there.
        process::wait_for_threads_named("urlsession", 0, PATIENCE);
        server.wait_for_open_connections(0, PATIENCE);
        process::wait_for_open_sockets(sockets, PATIENCE);
        assert!(tasks.iter().all(|task| task.wait().is_ok()));
    });
    before.assert_restored();
}

#[test]
fn a_dropped_session_leaves_nothing() {
    let before = Before::now();
    over_both(|transport| {
        for queue in [None, Some(DelegateQueue::inline()), Some(DelegateQueue::manual())] {
            let server = transport.builder().start(|_| Reply::ok("x"));
            let builder = Session::builder().configuration(configuration()).delegate(Recorder::new());
            let session = match &queue {
                None => builder.build(),
                Some(queue) => builder.delegate_queue(queue.clone()).build(),
            };
            let task = session.data_task(server.url("/"));
            task.resume();
            assert!(task.wait().is_ok());
            drop((session, task));
            // What nobody runs is kept for whoever will.
            if let Some(queue) = queue {
                queue.run_for(Duration::from_millis(50));
            }
            server.wait_for_open_connections(0, PATIENCE);
        }
    });
    before.assert_restored();
}

#[test]
fn a_task_taken_over_from_the_watch_leaves_nothing() {
    let before = Before::now();
    over_both(|transport| {
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport.builder().start(move |_| Reply::ok("x").then(Fault::Gate(of_reply.clone())));
        let session = session();
        let task = session.data_task(server.url("/"));
        assert!(task.wait_timeout(Duration::from_millis(20)).is_none());
        gate.wait_until_reached();
        let waiter = support::harness::waiting(&task);
        gate.open();
        assert!(waiter.join().is_ok());
        session.invalidate_and_cancel();
    });
    before.assert_restored();
}

#[test]
fn an_abandoned_lookup_leaves_nothing_once_it_ends() {
    let before = Before::now();
    let gate = Gate::new();
    let in_resolver = gate.clone();
    let resolver = move |_: &str| {
        in_resolver.pass();
        Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])
    };
    let session = Session::new(configuration().resolver(Arc::new(resolver)));
    let tasks: Vec<_> = (0..50).map(|n| session.data_task(format!("http://host{n}.internal:1/"))).collect();
    tasks.iter().for_each(|task| task.resume());
    gate.wait_until_reached_by(8, PATIENCE);
    session.invalidate_and_cancel();
    tasks.iter().for_each(|task| assert_cancelled(task.wait()));
    drop((session, tasks));
    gate.open();
    before.assert_restored();
}

/// Tasks of each kind and end; what each of them is to come to.
fn mixed(server: &Server, session: &Session, hole: &Blackhole, refused: &Refused, n: usize) {
    let url = |path: &str| server.url(path);
    let short = |path: &str| Request::get(url(path)).timeout(Duration::from_millis(20));
    let stalling = || session.data_task(url("/stall"));
    let kind = |task: &urlsession::DataTask| task.wait().map(drop).map_err(|error| error.kind());
    match n % 14 {
        0 => assert_eq!(session.data_task(url("/")).wait().unwrap().bytes(), "x"),
        1 => {
            let task = session.data_task(url("/redirect"));
            task.resume();
            assert_eq!(task.wait().unwrap().bytes(), "x");
        }
        2 => {
            let mut body = Vec::new();
            session.data_task(url("/long")).open().unwrap().body_mut().read_to_end(&mut body).unwrap();
            assert_eq!(body.len(), 100_000);
        }
        3 => drop(session.data_task(url("/long")).open().unwrap()),
        4 => assert_eq!(kind(&session.data_task(short("/stall"))), Err(ErrorKind::TimedOut)),
        5 => {
            let task = session.data_task(short("/stall-body"));
            task.resume();
            assert_eq!(kind(&task), Err(ErrorKind::TimedOut));
        }
        6 => {
            let task = stalling();
            task.resume();
            task.cancel();
            assert_eq!(kind(&task), Err(ErrorKind::Cancelled));
        }
        7 => {
            let task = stalling();
            assert!(task.wait_timeout(Duration::from_millis(2)).is_none());
            task.cancel();
            assert_eq!(kind(&task), Err(ErrorKind::Cancelled));
        }
        8 => assert_eq!(kind(&session.data_task(url("/lost"))), Err(ErrorKind::NetworkConnectionLost)),
        9 => assert_eq!(kind(&session.data_task(refused.url("/"))), Err(ErrorKind::CannotConnectToHost)),
        10 => {
            let request = Request::get(hole.url("/")).timeout(Duration::from_millis(20));
            let task = session.data_task(request);
            task.resume();
            assert_eq!(kind(&task), Err(ErrorKind::TimedOut));
        }
        11 => drop(session.data_task(url("/never"))),
        12 => {
            let request = Request::post(url("/refuse")).body(Body::bytes(vec![0; 4 * 1024 * 1024]));
            let task = session.data_task(request);
            assert!(task.wait_timeout(Duration::from_millis(2)).is_none());
            task.suspend();
            task.cancel();
        }
        _ => {
            let (sender, receiver) = crossbeam_channel::bounded(1);
            session
                .data_task(url("/"))
                .on_completion(move |result| sender.send(result.is_ok()).unwrap())
                .resume();
            assert!(receiver.recv_timeout(PATIENCE).unwrap());
        }
    }
}

fn answer(request: &Received) -> Reply {
    let half = || Reply::head(200).header("Content-Length", "1000");
    match request.path() {
        "/redirect" => Reply::redirect(302, "/"),
        "/long" => Reply::ok(vec![0; 100_000]),
        "/stall" => Reply::ok("").then(Fault::Stall),
        "/stall-body" => half().then(Fault::StallAt(At::After(500))),
        "/lost" => half().then(Fault::CloseAfter(500)),
        "/refuse" => Reply::ok("").then(Fault::RefuseRead),
        _ => Reply::ok("x"),
    }
}

#[test]
fn a_thousand_mixed_tasks_leave_nothing() {
    let before = Before::now();
    over_both(|transport| {
        let server = transport.builder().receive_buffer(64 * 1024).discard_bodies().start(answer);
        let (hole, refused) = (Blackhole::new(), Refused::new());
        let recorder = Recorder::new();
        let session = Session::builder().configuration(configuration()).delegate(recorder.clone()).build();
        std::thread::scope(|scope| {
            for part in 0..5 {
                let (server, session, hole, refused) = (&server, &session, &hole, &refused);
                scope.spawn(move || {
                    for n in 0..100 {
                        mixed(server, session, hole, refused, 100 * part + n);
                    }
                });
            }
        });
        session.finish_tasks_and_invalidate();
        recorder.wait_for("invalid");
        server.wait_for_open_connections(0, PATIENCE);
        process::wait_for_threads_named("urlsession", 0, PATIENCE);
    });
    before.assert_restored();
}

#[test]
fn waiting_for_what_is_local_starts_no_thread() {
    let before = Before::now();
    let path = std::env::temp_dir().join(format!("urlsession-leaks-{}", std::process::id()));
    std::fs::write(&path, "abc").unwrap();
    let url = urlsession::Url::from_file_path(&path).unwrap();
    let session = Session::new(urlsession::Configuration::ephemeral());
    assert_eq!(session.data_task(&url).wait().unwrap().bytes(), "abc");
    assert_eq!(session.data_task("data:,x").wait_timeout(PATIENCE).unwrap().unwrap().bytes(), "x");
    let mut text = String::new();
    session.data_task(&url).open().unwrap().into_body().read_to_string(&mut text).unwrap();
    assert_eq!(session.download_task(&url).wait().unwrap().status(), 200);
    // They would stay for a while.
    assert_eq!(process::threads_named("urlsession"), before.threads);
    assert_eq!(process::open_fds(), before.descriptors);
    std::fs::remove_file(&path).unwrap();
}
