//! Many tasks at a time cost sockets, and not threads.
#![cfg(all(feature = "tls", target_os = "linux"))]

mod support;

use std::time::Duration;
use support::harness::{Recorder, Transport, configuration, over_both};
use support::{Fault, Gate, Reply, process};
use urlsession::{Session, wait_all};

const TASKS: usize = 1000;

/// Threads of the library, at the most: workers as the machine has processors, and one for the events.
fn most_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(8) + 1
}

fn tasks(transport: Transport) -> usize {
    // A handshake in a test build takes its time.
    if transport == Transport::Tls { TASKS / 4 } else { TASKS }
}

/// Both over TCP and over TLS in one test: they count the threads of the process.
#[test]
fn a_thousand_tasks_that_wait_for_their_server() {
    over_both(|transport| {
        let count = tasks(transport);
        let gate = Gate::new();
        let of_reply = gate.clone();
        let server = transport
            .builder()
            .backlog(4096)
            .start(move |request| Reply::ok(request.target.clone()).then(Fault::Gate(of_reply.clone())));
        let recorder = Recorder::new();
        let session = Session::builder()
            .configuration(
                configuration()
                    .maximum_connections_per_host(count)
                    .timeout_for_request(Duration::from_secs(120)),
            )
            .delegate(recorder.clone())
            .build();
        let tasks: Vec<_> = (0..count).map(|n| session.data_task(server.url(&format!("/{n}")))).collect();
        tasks.iter().for_each(|task| task.resume());
        gate.wait_until_reached_by(count, Duration::from_secs(120));
        let threads = process::threads_named("urlsession");
        assert!((1..=most_threads()).contains(&threads), "{threads} threads");
        assert_eq!(server.open_connections(), count);
        gate.open();
        for (n, result) in wait_all(&tasks).into_iter().enumerate() {
            assert_eq!(result.unwrap().text().unwrap(), format!("/{n}"));
        }
        let threads = process::threads_named("urlsession");
        assert!(threads <= most_threads(), "{threads} threads");
        tasks.iter().for_each(|task| drop(recorder.wait_for_end(task)));
        assert_eq!(server.accepted(), count);
        session.invalidate_and_cancel();
        server.wait_for_open_connections(0, Duration::from_secs(60));
        process::wait_for_threads_named("urlsession", 0, Duration::from_secs(20));
    });
}
