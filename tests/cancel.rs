//! Cancelling a task in every state it can be in, whoever carries it out: it ends at once and once,
//! its connection goes, and the session's other tasks go on.
#![cfg(feature = "tls")]

mod support;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::harness::{
    Recorder, Runner, Running, Transport, after_all_others, aside, assert_cancelled, configuration,
    eventually, in_all_ways, over_both, session_with, waiting,
};
use support::{At, Blackhole, Fault, Gate, PATIENCE, Received, Reply, Server};
use urlsession::{
    Body, DataTask, Error, ErrorKind, RedirectDecision, Request, ResponseDisposition, Session, TaskState,
};

/// A session with a task that is under way while another one is cancelled.
struct Scene {
    server: Server,
    session: Session,
    recorder: Recorder,
    other: DataTask,
    gate: Gate,
}

impl Scene {
    /// The server answers by that function, but for the other task's request.
    fn new(
        transport: Transport,
        recorder: Recorder,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Scene {
        let gate = Gate::new();
        let of_other = gate.clone();
        let server =
            transport.builder().receive_buffer(64 * 1024).discard_bodies().start(
                move |request| match request.path() {
                    "/other" => Reply::ok("other").then(Fault::Gate(of_other.clone())),
                    _ => handler(request),
                },
            );
        let session = session_with(&recorder);
        let other = session.data_task(server.url("/other"));
        other.resume();
        gate.wait_until_reached();
        Scene { server, session, recorder, other, gate }
    }

    /// Cancels a task that is where it was to be, and looks at what comes of it.
    #[track_caller]
    fn cancel(&self, task: &DataTask, running: Running) {
        self.cancel_only(task, running);
        self.end(task);
    }

    #[track_caller]
    fn cancel_only(&self, task: &DataTask, running: Running) {
        assert_eq!(task.state(), TaskState::Running);
        task.cancel();
        assert!(matches!(task.state(), TaskState::Canceling | TaskState::Completed), "{:?}", task.state());
        assert_eq!(task.error().map(|error| error.kind()), Some(ErrorKind::Cancelled));
        let result = running.result();
        assert_eq!(result.as_ref().unwrap_err().url(), task.current_request().get_url());
        assert_cancelled(result);
        assert_cancelled(task.wait());
        // The other task's connection is the only one that is left.
        self.server.wait_for_open_connections(1, PATIENCE);
    }

    #[track_caller]
    fn end(&self, task: &DataTask) {
        task.cancel();
        task.resume();
        self.gate.open();
        assert_eq!(self.other.wait().expect("the other task").bytes(), "other");
        self.recorder.wait_for_end(&self.other);
        let lines = self.recorder.wait_for_end(task);
        assert_eq!(lines.iter().filter(|line| line.starts_with("complete")).count(), 1, "{lines:?}");
        assert_eq!(lines[lines.len() - 2..], ["metrics", "complete Cancelled"], "{lines:?}");
        assert_eq!(task.state(), TaskState::Completed);
        self.session.finish_tasks_and_invalidate();
        self.recorder.wait_for("invalid");
        self.server.wait_for_open_connections(0, PATIENCE);
        assert_eq!(self.recorder.of(task), lines, "nothing after the end");
    }
}

#[test]
fn a_task_that_was_never_resumed() {
    over_both(|transport| {
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok("never asked"));
        let task = scene.session.data_task(scene.server.url("/"));
        task.cancel();
        task.cancel();
        assert_cancelled(task.wait());
        scene.end(&task);
        assert_eq!(scene.recorder.of(&task), ["create", "metrics", "complete Cancelled"]);
        assert_eq!(scene.server.requests().len(), 1, "nothing was sent");
    });
}

#[test]
fn queued_behind_the_limit_of_its_host() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let of_first = gate.clone();
        let server = transport.builder().start(move |_| Reply::ok("x").then(Fault::Gate(of_first.clone())));
        let recorder = Recorder::new();
        let session = Session::builder()
            .configuration(configuration().maximum_connections_per_host(1).maximum_workers(1))
            .delegate(recorder.clone())
            .build();
        let [first, second, third] = [(); 3].map(|()| session.data_task(server.url("/")));
        first.resume();
        gate.wait_until_reached();
        let running = runner.start(&second);
        third.resume();
        after_all_others(&session);
        second.cancel();
        assert_cancelled(running.result());
        assert_eq!(recorder.wait_for_end(&second), ["create", "metrics", "complete Cancelled"]);
        gate.open();
        assert_eq!(first.wait().unwrap().bytes(), "x");
        assert_eq!(third.wait().unwrap().bytes(), "x", "the queue moves on");
        assert_eq!(server.requests().len(), 2);
        session.finish_tasks_and_invalidate();
        server.wait_for_open_connections(0, PATIENCE);
    });
}

#[test]
fn resolving_its_host() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let in_resolver = gate.clone();
        let recorder = Recorder::new();
        let resolver = move |_: &str| {
            in_resolver.pass();
            Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])
        };
        let session = Session::builder()
            .configuration(configuration().resolver(Arc::new(resolver)))
            .delegate(recorder.clone())
            .build();
        let server = transport.builder().start(|_| Reply::ok("x"));
        let task = session.data_task(server.url_of_host("gated.internal", "/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        task.cancel();
        assert_cancelled(running.result());
        assert_eq!(recorder.wait_for_end(&task), ["create", "metrics", "complete Cancelled"]);
        assert_eq!(session.data_task(server.url("/")).wait().unwrap().bytes(), "x", "others go on");
        gate.open();
        session.invalidate_and_cancel();
        server.wait_for_open_connections(0, PATIENCE);
    });
}

/// How many sockets of this machine wait for that port of this machine to answer.
#[cfg(target_os = "linux")]
fn connecting_to(port: u16) -> usize {
    const SYN_SENT: &str = "02";
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(&remote) && fields.next() == Some(SYN_SENT)
    };
    table.lines().filter(is_one).count()
}

#[cfg(target_os = "linux")]
#[test]
fn connecting() {
    in_all_ways(|transport, runner| {
        let hole = Blackhole::new();
        let port = hole.addr().port();
        // One of those that fill the backlog waits itself.
        eventually("a full backlog", || connecting_to(port) == 1);
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok(""));
        let url = match transport {
            Transport::Tcp => hole.url("/"),
            Transport::Tls => format!("https://{}/", hole.addr()),
        };
        let task = scene.session.data_task(url);
        let running = runner.start(&task);
        eventually("an attempt to connect", || connecting_to(port) == 2);
        scene.cancel_only(&task, running);
        eventually("the end of the attempt", || connecting_to(port) == 1);
        scene.end(&task);
    });
}

#[test]
fn in_the_tls_handshake() {
    for runner in [Runner::Lender, Runner::Worker] {
        let scene = Scene::new(Transport::Tls, Recorder::new(), |_| Reply::ok(""));
        let gate = Gate::new();
        let server = Transport::Tls.builder().stall_handshake(&gate).start(|_| Reply::ok(""));
        let task = scene.session.data_task(server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        scene.cancel_only(&task, running);
        gate.open();
        server.wait_for_open_connections(0, PATIENCE);
        assert!(server.handshakes().is_empty());
        scene.end(&task);
    }
}

#[test]
fn sending_to_a_server_that_does_not_read() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok("").then(Fault::RefuseRead));
        let request = Request::post(scene.server.url("/")).body(Body::bytes(vec![0; 32 * 1024 * 1024]));
        let task = scene.session.data_task(request);
        let running = runner.start(&task);
        scene.server.wait_for_heads(2, PATIENCE);
        eventually("the body on its way", || task.bytes_sent() > 0);
        assert_eq!(task.bytes_expected_to_send(), Some(32 * 1024 * 1024));
        scene.cancel(&task, running);
        assert!(task.bytes_sent() < 32 * 1024 * 1024, "{}", task.bytes_sent());
    });
}

#[test]
fn waiting_for_the_head() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok("").then(Fault::Stall));
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        scene.server.wait_for_heads(2, PATIENCE);
        scene.cancel(&task, running);
        assert_eq!(scene.recorder.of(&task), ["create", "metrics", "complete Cancelled"]);
        assert!(task.response().is_none());
    });
}

fn stalled_body() -> Reply {
    Reply::head(200).header("Content-Length", "1000000").then(Fault::StallAt(At::After(5000)))
}

#[test]
fn receiving_the_body() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Recorder::new(), |_| stalled_body());
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        eventually("a part of the body", || task.bytes_received() == 5000);
        scene.cancel(&task, running);
        let lines = scene.recorder.of(&task);
        assert_eq!(lines[..2], ["create", "response 200"]);
        assert_eq!(task.response().unwrap().status(), 200);
    });
}

#[test]
fn receiving_a_body_that_the_end_of_the_connection_ends() {
    // `shutdown` makes a receive return as if the peer had ended the body.
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Recorder::new(), |_| {
            Reply::head(200).then(Fault::StallAt(At::After(5000)))
        });
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        eventually("a part of the body", || task.bytes_received() == 5000);
        scene.cancel(&task, running);
    });
}

#[test]
fn while_the_delegate_decides_on_the_response() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let in_delegate = gate.clone();
        let recorder = Recorder::new().on_response(move |task, _| {
            if !task.original_request().get_url().unwrap().path().starts_with("/other") {
                in_delegate.pass();
            }
            ResponseDisposition::Allow
        });
        let scene = Scene::new(transport, recorder, |_| Reply::ok("never delivered"));
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        scene.cancel_only(&task, running);
        assert_eq!(task.state(), TaskState::Canceling, "the delegate has not been told yet");
        gate.open();
        scene.end(&task);
        assert_eq!(scene.recorder.of(&task), ["create", "response 200", "metrics", "complete Cancelled"]);
    });
}

#[test]
fn while_the_delegate_decides_on_a_redirect() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let in_delegate = gate.clone();
        let recorder = Recorder::new().on_redirect(move |_, request| {
            in_delegate.pass();
            RedirectDecision::Follow(request)
        });
        let scene = Scene::new(transport, recorder, |_| Reply::redirect(302, "/elsewhere"));
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        scene.cancel_only(&task, running);
        gate.open();
        scene.end(&task);
        assert_eq!(scene.server.requests().len(), 2, "the redirect was not followed");
    });
}

#[test]
fn while_the_delegate_holds_the_body_back() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let in_delegate = gate.clone();
        let recorder = Recorder::new().on_data(move |task, data| {
            if task.original_request().get_url().unwrap().path() != "/other" {
                in_delegate.pass();
            }
            Some(data)
        });
        let scene = Scene::new(transport, recorder, |_| Reply::ok(vec![0; 32 * 1024 * 1024]));
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        scene.cancel_only(&task, running);
        gate.open();
        scene.end(&task);
    });
}

#[test]
fn by_the_delegate_itself() {
    in_all_ways(|transport, runner| {
        let recorder = Recorder::new().on_data(move |task, data| {
            if task.original_request().get_url().unwrap().path() != "/other" {
                task.cancel();
            }
            Some(data)
        });
        let scene = Scene::new(transport, recorder, |_| Reply::ok(vec![0; 32 * 1024 * 1024]));
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        assert_cancelled(running.result());
        scene.server.wait_for_open_connections(1, PATIENCE);
        scene.end(&task);
        let pieces =
            scene.recorder.lines().into_iter().filter(|(id, line)| *id == task.id() && line == "data");
        assert_eq!(pieces.count(), 1, "nothing is delivered after the cancel");
    });
}

#[test]
fn by_its_disposition() {
    in_all_ways(|transport, runner| {
        let recorder =
            Recorder::new().on_response(|task, _| match task.original_request().get_url().unwrap().path() {
                "/other" => ResponseDisposition::Allow,
                _ => ResponseDisposition::Cancel,
            });
        let scene = Scene::new(transport, recorder, |_| stalled_body());
        let task = scene.session.data_task(scene.server.url("/"));
        let running = runner.start(&task);
        assert_cancelled(running.result());
        scene.server.wait_for_open_connections(1, PATIENCE);
        scene.end(&task);
        assert_eq!(scene.recorder.of(&task), ["create", "response 200", "metrics", "complete Cancelled"]);
    });
}

fn kind_of(error: &std::io::Error) -> ErrorKind {
    error.get_ref().and_then(|error| error.downcast_ref::<Error>()).expect("an Error").kind()
}

#[test]
fn before_open_has_a_head() {
    over_both(|transport| {
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok("").then(Fault::Stall));
        let task = scene.session.data_task(scene.server.url("/"));
        let opened = task.clone();
        let opener = aside(move || opened.open().map(drop));
        scene.server.wait_for_heads(2, PATIENCE);
        task.cancel();
        assert_cancelled(opener.join());
        scene.server.wait_for_open_connections(1, PATIENCE);
    });
}

#[test]
fn between_two_reads_of_the_body() {
    over_both(|transport| {
        let scene = Scene::new(transport, Recorder::new(), |_| stalled_body());
        let task = scene.session.data_task(scene.server.url("/"));
        let mut body = task.open().unwrap().into_body();
        let mut buffer = [0; 1000];
        body.read_exact(&mut buffer).unwrap();
        task.cancel();
        scene.server.wait_for_open_connections(1, PATIENCE);
        for _ in 0..2 {
            assert_eq!(kind_of(&body.read(&mut buffer).unwrap_err()), ErrorKind::Cancelled);
        }
        assert_cancelled(task.wait());
        drop(body);
        eventually("the metrics", || scene.recorder.of(&task).len() > 1);
        assert_eq!(scene.recorder.of(&task), ["create", "metrics"], "the reader had the rest");
    });
}

#[test]
fn within_a_read_of_the_body() {
    over_both(|transport| {
        let scene = Scene::new(transport, Recorder::new(), |_| stalled_body());
        let task = scene.session.data_task(scene.server.url("/"));
        let mut body = task.open().unwrap().into_body();
        let (sender, receiver) = crossbeam_channel::bounded(0);
        let reader = aside(move || {
            body.read_exact(&mut [0; 5000]).unwrap();
            sender.send(()).unwrap();
            body.read(&mut [0; 1]).map_err(|error| kind_of(&error))
        });
        receiver.recv_timeout(PATIENCE).unwrap();
        task.cancel();
        assert_eq!(reader.join(), Err(ErrorKind::Cancelled));
        scene.server.wait_for_open_connections(1, PATIENCE);
        assert_cancelled(task.wait());
    });
}

#[test]
fn a_task_that_is_over() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok("done"));
        let task = scene.session.data_task(scene.server.url("/"));
        assert_eq!(runner.start(&task).result().unwrap().bytes(), "done");
        task.cancel();
        assert_eq!(task.state(), TaskState::Completed);
        assert!(task.error().is_none());
        assert_eq!(task.wait().unwrap().bytes(), "done");
        assert_eq!(
            scene.recorder.wait_for_end(&task),
            ["create", "response 200", "data", "metrics", "complete"]
        );
    });
}

#[test]
fn with_several_threads_waiting() {
    over_both(|transport| {
        let scene = Scene::new(transport, Recorder::new(), |_| Reply::ok("").then(Fault::Stall));
        let task = scene.session.data_task(scene.server.url("/"));
        let waiters: Vec<_> = (0..4).map(|_| waiting(&task)).collect();
        scene.server.wait_for_heads(2, PATIENCE);
        let cancellers: Vec<_> = (0..4)
            .map(|_| {
                let task = task.clone();
                aside(move || task.cancel())
            })
            .collect();
        cancellers.into_iter().for_each(|canceller| canceller.join());
        waiters.into_iter().for_each(|waiter| assert_cancelled(waiter.join()));
        scene.end(&task);
    });
}

#[test]
fn just_when_it_ends() {
    // Whoever comes first, there is one end and everybody is told the same.
    in_all_ways(|transport, runner| {
        let server = transport.builder().start(|_| Reply::ok("x"));
        let recorder = Recorder::new();
        let session = session_with(&recorder);
        let cancelled = AtomicUsize::new(0);
        for n in 0..100 {
            let task = session.data_task(server.url("/"));
            let running = runner.start(&task);
            for _ in 0..n * 50 {
                std::hint::spin_loop();
            }
            task.cancel();
            let result = running.result();
            let expected = match &result {
                Ok(_) => "complete",
                Err(_) => "complete Cancelled",
            };
            cancelled.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            assert!(
                result.as_ref().map_or_else(Error::is_cancelled, |response| response.bytes() == "x"),
                "{result:?}"
            );
            assert_eq!(result.is_ok(), task.wait().is_ok());
            let lines = recorder.wait_for_end(&task);
            assert_eq!(lines.last().unwrap(), expected, "{lines:?}");
            assert_eq!(lines.iter().filter(|line| line.starts_with("complete")).count(), 1, "{lines:?}");
        }
        assert_eq!(session.data_task(server.url("/")).wait().unwrap().bytes(), "x");
    });
}
