//! Priority: who comes first among those that wait for a connection to the same host.
#![cfg(feature = "tls")]

mod support;

use support::harness::{Transport, after_all_others, configuration, over_both, waiting};
use support::{Fault, Gate, Reply, Server};
use urlsession::{DataTask, Session};

/// A session with one connection to a server, and a task that holds it until the gate opens.
struct Scene {
    server: Server,
    session: Session,
    first: DataTask,
    gate: Gate,
}

impl Scene {
    fn new(transport: Transport) -> Scene {
        let gate = Gate::new();
        let of_first = gate.clone();
        let server = transport.builder().start(move |request| match request.path() {
            "/first" => Reply::ok("x").then(Fault::Gate(of_first.clone())),
            _ => Reply::ok("x"),
        });
        let session = Session::new(configuration().maximum_connections_per_host(1).maximum_workers(1));
        let first = session.data_task(server.url("/first"));
        first.resume();
        gate.wait_until_reached();
        Scene { server, session, first, gate }
    }

    /// A task in the queue.
    fn queued(&self, path: &str, priority: f32) -> DataTask {
        let task = self.session.data_task(self.server.url(path));
        task.set_priority(priority);
        task.resume();
        task
    }

    /// In which order they came to the server.
    fn order(&self, tasks: &[DataTask]) -> Vec<String> {
        after_all_others(&self.session);
        self.gate.open();
        assert!(self.first.wait().is_ok());
        for task in tasks {
            assert!(task.wait().is_ok());
        }
        let requests = self.server.requests();
        requests.iter().skip(1).map(|request| request.target.clone()).collect()
    }
}

#[test]
fn the_highest_first_and_the_oldest_among_equals() {
    over_both(|transport| {
        let scene = Scene::new(transport);
        let tasks = [
            scene.queued("/low", 0.25),
            scene.queued("/default", 0.5),
            scene.queued("/also-default", 0.5),
            scene.queued("/lowest", 0.0),
            scene.queued("/high", 0.75),
            scene.queued("/highest", 1.0),
        ];
        let order = scene.order(&tasks);
        assert_eq!(order, ["/highest", "/high", "/default", "/also-default", "/low", "/lowest"]);
    });
}

#[test]
fn it_may_change_in_the_queue() {
    over_both(|transport| {
        let scene = Scene::new(transport);
        let tasks = [scene.queued("/a", 0.5), scene.queued("/b", 0.5), scene.queued("/c", 0.5)];
        after_all_others(&scene.session);
        tasks[2].set_priority(0.9);
        tasks[0].set_priority(0.1);
        assert_eq!(tasks[2].priority(), 0.9);
        assert_eq!(scene.order(&tasks), ["/c", "/b", "/a"]);
    });
}

#[test]
fn a_thread_that_waits_has_no_advantage() {
    over_both(|transport| {
        let scene = Scene::new(transport);
        let waited = scene.session.data_task(scene.server.url("/waited"));
        let waiter = waiting(&waited);
        after_all_others(&scene.session);
        let high = scene.queued("/high", 0.75);
        let order = scene.order(&[high]);
        assert!(waiter.join().is_ok());
        assert_eq!(order[0], "/high");
    });
}

#[test]
fn what_is_no_number_between_0_and_1_harms_nobody() {
    let scene = Scene::new(Transport::Tcp);
    let tasks = [
        scene.queued("/minus", -1.0),
        scene.queued("/nan", f32::NAN),
        scene.queued("/infinite", f32::INFINITY),
        scene.queued("/high", 0.9),
    ];
    assert_eq!(scene.order(&tasks), ["/infinite", "/high", "/nan", "/minus"]);
}
