//! Connections that are kept: which are used again, which are not, and what a task does when one
//! turns out to be dead (RFC 9112, section 9.3; SPEC N10).

mod support;

use ErrorKind::NetworkConnectionLost;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use support::{
    At, Client, Fault, Gate, PATIENCE, Received, Reply, Server, Way, configuration_for, every_way, over_both,
    pattern,
};
use urlsession::{Configuration, DataTask, ErrorKind, Request, Session, wait_all};

#[test]
fn one_connection_for_one_after_the_other() {
    every_way(
        |request| Reply::ok(request.target.clone()),
        |client| {
            for number in 0..20 {
                assert_eq!(client.get(&format!("/{number}")).unwrap().bytes(), &format!("/{number}"));
            }
            for method in ["HEAD", "POST", "DELETE", "OPTIONS", "PATCH"] {
                client.send(Request::new(method, client.server.url("/"))).unwrap();
            }
            assert_eq!(client.server.accepted(), 1);
            assert!(client.server.protocol_errors().is_empty());
        },
    );
}

#[test]
fn as_many_are_kept_as_one_host_may_have() {
    const MANY: usize = 200;
    let gate = Gate::new();
    let of_reply = gate.clone();
    let server =
        Server::builder().backlog(1024).start(move |_| Reply::ok("x").then(Fault::Gate(of_reply.clone())));
    let session = Session::new(Configuration::ephemeral().maximum_connections_per_host(MANY));
    for round in 1..=2 {
        let tasks: Vec<_> = (0..MANY).map(|_| session.data_task(server.url("/"))).collect();
        tasks.iter().for_each(DataTask::resume);
        gate.wait_until_reached_by(round * MANY, PATIENCE);
        gate.open();
        wait_all(&tasks).into_iter().for_each(|result| drop(result.unwrap()));
        gate.close();
    }
    assert_eq!(server.accepted(), MANY);
}

#[test]
fn tasks_of_all_ways_share_connections() {
    over_both(
        |_| Reply::ok("x"),
        |server, session| {
            for way in support::WAYS {
                support::result_by(way, &session.data_task(server.url("/"))).unwrap();
            }
            assert_eq!(server.accepted(), 1);
        },
    );
}

#[test]
fn a_connection_is_too_old_after_the_idle_timeout() {
    over_both(
        |_| Reply::ok("x"),
        |server, _| {
            let get = |session: &Session| session.data_task(server.url("/")).wait().unwrap();
            let short = Duration::from_millis(20);
            let session = Session::new(configuration_for(server).idle_connection_timeout(short));
            get(&session);
            std::thread::sleep(2 * short);
            get(&session);
            assert_eq!(server.accepted(), 2);
            server.wait_for_open_connections(1, PATIENCE);

            let session = Session::new(configuration_for(server).idle_connection_timeout(Duration::ZERO));
            get(&session);
            get(&session);
            assert_eq!(server.accepted(), 4);
        },
    );
}

#[test]
fn the_age_counts_from_the_end_of_the_last_exchange() {
    let slow = |request: &Received| match request.path() {
        "/slow" => {
            Reply::ok("x").then(Fault::Delay { at: At::BeforeHead, time: Duration::from_millis(2200) })
        }
        _ => Reply::ok("x"),
    };
    let server = Server::start(slow);
    let session = Session::new(configuration_for(&server).idle_connection_timeout(Duration::from_secs(2)));
    for path in ["/slow", "/", "/"] {
        session.data_task(server.url(path)).wait().unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_server_that_closes_after_each_answer() {
    // It does not say so, and a client finds out now before, now after it has sent the next request.
    let handler = |request: &Received| Reply::ok(request.target.clone()).then(Fault::CloseIdleAfterReply);
    every_way(handler, |client| {
        for number in 0..30 {
            let url = client.server.url(&format!("/{number}"));
            let response = client.send(Request::get(url)).unwrap();
            assert_eq!(response.bytes(), &format!("/{number}"));
        }
        assert_eq!(client.server.requests().len(), 30);
    });
}

#[test]
fn a_post_does_not_meet_a_connection_that_is_known_to_be_dead() {
    let handler = |request: &Received| Reply::ok(request.text()).then(Fault::CloseIdleAfterReply);
    every_way(handler, |client| {
        for number in 0..10 {
            client.server.wait_for_open_connections(0, PATIENCE);
            let request = Request::post(client.server.url("/")).body(number.to_string());
            assert_eq!(client.send(request).unwrap().bytes(), &number.to_string());
        }
    });
}

/// Answers the first request of a connection, and fails at the second as the query says. The first
/// connection only: the others work.
fn second_fails(request: &Received) -> Reply {
    if request.connection > 0 || request.index == 0 {
        return Reply::ok(request.text());
    }
    match request.query() {
        Some("close") => Reply::ok("").then(Fault::CloseAt(At::BeforeHead)),
        Some("reset") => Reply::ok("").then(Fault::ResetAt(At::BeforeHead)),
        Some("half") => Reply::ok("").then(Fault::CloseAt(At::InHead(10))),
        Some("body") => Reply::ok("").then(Fault::WrongLength(5)),
        query => panic!("{query:?}"),
    }
}

fn methods_seen(server: &Server) -> Vec<String> {
    server.requests().iter().map(|request| request.method.clone()).collect()
}

#[test]
fn what_may_be_repeated_is_repeated_once() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        for how in ["close", "reset"] {
            every_way(second_fails, |client| {
                client.get("/").unwrap();
                let request = Request::new(method, client.server.url(&format!("/?{how}"))).body("again");
                let response = client.send(request).unwrap_or_else(|error| panic!("{method} {how}: {error}"));
                assert_eq!(response.bytes(), if method == "HEAD" { "" } else { "again" });
                assert_eq!(methods_seen(client.server), ["GET", method, method], "{method} {how}");
            });
        }
    }
}

#[test]
fn what_may_not_be_repeated_is_not() {
    for method in ["POST", "PATCH", "OWN"] {
        for how in ["close", "reset"] {
            every_way(second_fails, |client| {
                client.get("/").unwrap();
                let request = Request::new(method, client.server.url(&format!("/?{how}"))).body("once");
                let error = client.send(request).expect_err(method);
                assert_eq!(error.kind(), NetworkConnectionLost, "{method} {how}: {error}");
                assert_eq!(methods_seen(client.server), ["GET", method], "{method} {how}");
                // The session has survived it.
                assert_eq!(client.get("/").unwrap().status(), 200);
            });
        }
    }
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    for (how, kind) in [("half", NetworkConnectionLost), ("body", ErrorKind::ZeroByteResource)] {
        every_way(second_fails, |client| {
            client.get("/").unwrap();
            let error = client.get(&format!("/?{how}")).expect_err(how);
            assert_eq!(error.kind(), kind, "{how}: {error}");
            assert_eq!(client.server.requests().len(), 2, "{how}");
        });
    }
}

#[test]
fn a_fresh_connection_that_gives_no_answer_is_no_reason_to_try_another() {
    every_way(
        |_| Reply::ok("").then(Fault::CloseAt(At::BeforeHead)),
        |client| {
            assert_eq!(client.get("/").unwrap_err().kind(), NetworkConnectionLost);
            assert_eq!(client.server.requests().len(), 1);
        },
    );
    // Nor is the second after the first was a kept one.
    let handler = |request: &Received| match (request.connection, request.index) {
        (0, 0) => Reply::ok("first"),
        _ => Reply::ok("").then(Fault::CloseAt(At::BeforeHead)),
    };
    every_way(handler, |client| {
        client.get("/").unwrap();
        assert_eq!(client.get("/").unwrap_err().kind(), NetworkConnectionLost);
        assert_eq!(client.server.requests().len(), 3);
    });
}

#[test]
fn a_crash_of_the_server_between_two_requests() {
    every_way(
        |_| Reply::ok("x"),
        |client| {
            for _ in 0..5 {
                client.get("/").unwrap();
                client.server.cut_connections();
                client.server.wait_for_open_connections(0, PATIENCE);
                client.send(Request::post(client.server.url("/")).body("x")).unwrap();
                client.server.cut_connections();
            }
        },
    );
}

#[test]
fn many_dead_connections_are_passed_over() {
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |request: &Received| {
            if request.path() == "/gated" {
                gate.pass();
            }
            Reply::ok("x")
        }
    };
    over_both(handler, |server, session| {
        gate.close();
        let before = gate.reached();
        let tasks: Vec<DataTask> = (0..6).map(|_| session.data_task(server.url("/gated"))).collect();
        tasks.iter().for_each(DataTask::resume);
        gate.wait_until_reached_by(before + 6, PATIENCE);
        gate.open();
        tasks.iter().for_each(|task| drop(task.wait().unwrap()));
        server.cut_connections();
        server.wait_for_open_connections(0, PATIENCE);
        let requests = server.requests().len();
        session.data_task(Request::post(server.url("/"))).wait().unwrap();
        assert_eq!(server.accepted(), 7);
        assert_eq!(server.requests().len() - requests, 1);
    });
}

#[test]
fn a_server_that_says_close() {
    let handler = |request: &Received| match request.query() {
        Some(value) => Reply::ok("x").header("Connection", value),
        None => Reply::ok("x"),
    };
    every_way(handler, |client| {
        // The client closes although the server does not.
        for value in ["close", "Close", "x,close", "keep-alive,close"] {
            let before = client.server.accepted();
            client.get(&format!("/?{value}")).unwrap();
            client.server.wait_for_open_connections(0, PATIENCE);
            client.get("/").unwrap();
            assert_eq!(client.server.accepted() - before, 2, "{value}");
            client.session.flush();
            client.server.wait_for_open_connections(0, PATIENCE);
        }
        client.get("/?keep-alive").unwrap();
        client.get("/").unwrap();
        assert_eq!(client.server.requests().last().unwrap().index, 1);
    });
}

#[test]
fn a_request_that_says_close() {
    every_way(
        |_| Reply::ok("x").keep_open(),
        |client| {
            for number in 1..=3 {
                let request = Request::get(client.server.url("/")).header("Connection", "close");
                client.send(request).unwrap();
                assert!(client.server.requests().pop().unwrap().has_token("connection", "close"));
                assert_eq!(client.server.accepted(), number);
                client.server.wait_for_open_connections(0, PATIENCE);
            }
        },
    );
}

#[test]
fn no_more_than_the_limit_at_a_time() {
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |request: &Received| {
            gate.pass();
            Reply::ok(request.target.clone())
        }
    };
    over_both(handler, |server, _| {
        for (limit, lent) in [(1, false), (2, false), (2, true), (6, false)] {
            gate.close();
            let before = (gate.reached(), server.accepted());
            let session = Session::new(configuration_for(server).maximum_connections_per_host(limit));
            let tasks: Vec<DataTask> =
                (0..20).map(|number| session.data_task(server.url(&format!("/{number}")))).collect();
            std::thread::scope(|scope| {
                let waiters: Vec<_> = tasks
                    .iter()
                    .map(|task| {
                        if lent {
                            return Some(scope.spawn(|| task.wait().unwrap()));
                        }
                        task.resume();
                        None
                    })
                    .collect();
                gate.wait_until_reached_by(before.0 + limit, PATIENCE);
                gate.open();
                for (number, (task, waiter)) in tasks.iter().zip(waiters).enumerate() {
                    let response = match waiter {
                        Some(waiter) => waiter.join().unwrap(),
                        None => task.wait().unwrap(),
                    };
                    assert_eq!(response.bytes(), &format!("/{number}"));
                }
            });
            assert_eq!(server.accepted() - before.1, limit, "limit {limit}, lent {lent}");
            session.invalidate_and_cancel();
            server.wait_for_open_connections(0, PATIENCE);
        }
    });
}

#[test]
fn the_limit_is_one_of_each_host() {
    let gate = Gate::new();
    let server = Server::start({
        let gate = gate.clone();
        move |_| {
            gate.pass();
            Reply::ok("x")
        }
    });
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let session =
        Session::new(configuration_for(&server).maximum_connections_per_host(1).resolver(Arc::new(here)));
    let tasks: Vec<DataTask> = (0..3)
        .map(|number| session.data_task(server.url_of_host(&format!("h{number}.example.internal"), "/")))
        .collect();
    tasks.iter().for_each(DataTask::resume);
    // All of them at a time, or nobody would come.
    gate.wait_until_reached_by(3, PATIENCE);
    gate.open();
    tasks.iter().for_each(|task| drop(task.wait().unwrap()));
}

#[test]
fn a_failed_task_frees_its_place() {
    let handler = |request: &Received| match request.path() {
        "/reset" => Reply::ok("").then(Fault::ResetAt(At::BeforeHead)),
        "/malformed" => Reply::raw("nonsense".to_owned()),
        "/short" => Reply::ok("x").then(Fault::WrongLength(2)),
        "/stall" => Reply::ok("x").then(Fault::Stall),
        _ => Reply::ok("fine"),
    };
    every_way(handler, |client| {
        let one = configuration_for(client.server).maximum_connections_per_host(1);
        let one = Client { session: Session::new(one), ..Client::new(client.server, client.way) };
        for path in ["/reset", "/malformed", "/short"] {
            one.get(path).expect_err(path);
            assert_eq!(one.get("/").expect(path).bytes(), "fine");
        }
        let task = one.session.data_task(client.server.url("/stall"));
        task.resume();
        client.server.wait_for_heads(7, PATIENCE);
        let next = one.session.data_task(client.server.url("/"));
        next.resume();
        task.cancel();
        assert_eq!(next.wait().unwrap().bytes(), "fine");
    });
}

#[test]
fn no_more_than_so_many_are_kept() {
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |_: &Received| {
            gate.pass();
            Reply::ok("x")
        }
    };
    over_both(handler, |server, _| {
        for kept in [0, 1, 3] {
            gate.close();
            let before = gate.reached();
            let session = Session::new(configuration_for(server).maximum_idle_connections_per_host(kept));
            let tasks: Vec<DataTask> = (0..4).map(|_| session.data_task(server.url("/"))).collect();
            tasks.iter().for_each(DataTask::resume);
            gate.wait_until_reached_by(before + 4, PATIENCE);
            gate.open();
            tasks.iter().for_each(|task| drop(task.wait().unwrap()));
            server.wait_for_open_connections(kept, PATIENCE);
            session.invalidate_and_cancel();
            server.wait_for_open_connections(0, PATIENCE);
        }
    });
}

#[test]
fn a_flush_and_the_end_of_a_session_close_what_is_kept() {
    every_way(
        |_| Reply::ok("x"),
        |client| {
            client.get("/").unwrap();
            assert_eq!(client.server.open_connections(), 1);
            client.session.flush();
            client.server.wait_for_open_connections(0, PATIENCE);
            client.get("/").unwrap();
            client.session.finish_tasks_and_invalidate();
            client.server.wait_for_open_connections(0, PATIENCE);
        },
    );
    over_both(
        |_| Reply::ok("x"),
        |server, _| {
            let session = Session::new(configuration_for(server));
            session.data_task(server.url("/")).wait().unwrap();
            assert_eq!(server.open_connections(), 1);
            drop(session);
            server.wait_for_open_connections(0, PATIENCE);
        },
    );
}

#[test]
fn connections_that_died_are_let_go_of_when_the_session_falls_idle() {
    let handler = |_: &Received| Reply::ok("x");
    let servers = [Server::start(handler), Server::tls(handler)];
    let sessions: Vec<Session> = servers
        .iter()
        .map(|server| {
            let short = Duration::from_millis(100);
            let session = Session::new(configuration_for(server).idle_connection_timeout(short));
            support::result_by(Way::Worker, &session.data_task(server.url("/"))).unwrap();
            session
        })
        .collect();
    // The workers end after ten seconds without work, and the last one looks after the connections.
    for server in &servers {
        server.wait_for_open_connections(0, PATIENCE);
    }
    drop(sessions);
}

#[test]
fn a_body_that_is_not_read_costs_the_connection() {
    over_both(
        |_| Reply::ok(pattern(10_000_000)),
        |server, session| {
            use std::io::Read;
            let mut body = session.data_task(server.url("/")).open().unwrap().into_body();
            body.read_exact(&mut [0; 1000]).unwrap();
            drop(body);
            server.wait_for_open_connections(0, PATIENCE);
            assert_eq!(session.data_task(Request::head(server.url("/"))).wait().unwrap().status(), 200);
            assert_eq!(server.accepted(), 2);
        },
    );
}

#[test]
fn sessions_share_nothing() {
    let server = Server::start(|_| Reply::ok("x"));
    for _ in 0..3 {
        let session = Session::new(Configuration::ephemeral());
        session.data_task(server.url("/")).wait().unwrap();
        session.data_task(server.url("/")).wait().unwrap();
    }
    assert_eq!(server.accepted(), 3);
}
