//! Data tasks end to end, the plain cases.

mod support;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use support::{Reply, Server};
use urlsession::{Certificate, Configuration, ErrorKind, Request, Session, wait_all};

fn session_for(server: &Server) -> Session {
    let mut configuration = Configuration::ephemeral().timeout_for_request(Duration::from_secs(10));
    if server.url("/").starts_with("https") {
        configuration = configuration.add_root_certificate(Certificate::from_der(server.ca_der()));
    }
    Session::new(configuration)
}

/// The same test body over plain TCP and over TLS.
fn over_both(handler: fn(&support::Received) -> Reply, test: impl Fn(&Server, &Session)) {
    for server in [Server::start(handler), Server::tls(handler)] {
        let session = session_for(&server);
        test(&server, &session);
        session.invalidate_and_cancel();
    }
}

#[test]
fn a_get_waits_on_the_calling_thread() {
    over_both(
        |_| Reply::ok("hello"),
        |server, session| {
            let response = session.data_task(server.url("/")).wait().unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.text().unwrap(), "hello");
            let again = session.data_task(server.url("/x?y=1#frag")).wait().unwrap();
            assert_eq!(again.bytes(), "hello");
            assert_eq!(server.accepted(), 1, "the connection is kept");
            assert_eq!(server.request(1).target, "/x?y=1");
        },
    );
}

#[test]
fn a_resumed_task_runs_on_a_worker() {
    over_both(
        |request| Reply::ok(request.target.clone()),
        |server, session| {
            let tasks: Vec<_> = (0..50).map(|n| session.data_task(server.url(&format!("/{n}")))).collect();
            tasks.iter().for_each(|task| task.resume());
            for (n, task) in tasks.iter().enumerate() {
                assert_eq!(task.wait().unwrap().text().unwrap(), format!("/{n}"));
            }
            assert!(server.accepted() <= 6, "{}", server.accepted());
        },
    );
}

#[test]
fn all_of_many() {
    over_both(
        |request| Reply::ok(request.target.clone()),
        |server, session| {
            let tasks: Vec<_> = (0..300).map(|n| session.data_task(server.url(&format!("/{n}")))).collect();
            for (n, result) in wait_all(&tasks).into_iter().enumerate() {
                assert_eq!(result.unwrap().text().unwrap(), format!("/{n}"));
            }
        },
    );
}

#[test]
fn a_body_is_read_as_it_comes() {
    over_both(
        |_| Reply::ok(support::pattern(3_000_000)),
        |server, session| {
            let mut response = session.data_task(server.url("/")).open().unwrap();
            assert_eq!(response.expected_content_length(), Some(3_000_000));
            let mut body = Vec::new();
            response.body_mut().read_to_end(&mut body).unwrap();
            support::assert_pattern(&body, 3_000_000);
            assert_eq!(body.len(), 3_000_000);
            assert_eq!(session.data_task(server.url("/")).wait().unwrap().bytes().len(), 3_000_000);
            assert_eq!(server.accepted(), 1);
        },
    );
}

#[test]
fn a_completion_handler_is_called() {
    over_both(
        |_| Reply::chunked([&b"one "[..], b"two"]),
        |server, session| {
            let (sender, receiver) = crossbeam_channel::bounded(1);
            session
                .data_task(server.url("/"))
                .on_completion(move |result| sender.send(result).unwrap())
                .resume();
            let response = receiver.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
            assert_eq!(response.text().unwrap(), "one two");
        },
    );
}

#[test]
fn a_body_is_sent() {
    over_both(
        |request| Reply::ok(request.body().to_vec()),
        |server, session| {
            let body = support::pattern(2_000_000);
            let request = Request::post(server.url("/")).body(body.clone());
            assert_eq!(session.data_task(request).wait().unwrap().bytes(), &body);
            let request = Request::put(server.url("/")).body(body.clone());
            let task = session.data_task(request);
            task.resume();
            assert_eq!(task.wait().unwrap().bytes(), &body);
        },
    );
}

#[test]
fn errors_are_typed() {
    let session = Session::new(Configuration::ephemeral());
    let kind = |url: &str| session.data_task(url).wait().unwrap_err().kind();
    assert_eq!(kind("http://"), ErrorKind::BadUrl);
    assert_eq!(kind("gopher://example.com/"), ErrorKind::UnsupportedUrl);
    assert_eq!(kind("http://127.0.0.1:1/"), ErrorKind::CannotConnectToHost);
    let error = session.data_task("http://127.0.0.1:1/").wait().unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[test]
fn an_early_end_is_an_error() {
    over_both(
        |_| Reply::head(200).header("content-length", "1000").then(support::Fault::CloseAfter(100)),
        |server, session| {
            let error = session.data_task(server.url("/")).wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
            assert_eq!(error.response().unwrap().status(), 200);
        },
    );
}

#[test]
fn tasks_are_shared_by_threads() {
    let server = Server::start(|_| Reply::ok("x"));
    let session = session_for(&server);
    let task = Arc::new(session.data_task(server.url("/")));
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let task = Arc::clone(&task);
            std::thread::spawn(move || task.wait().unwrap().status().as_u16())
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 200);
    }
    assert_eq!(server.requests().len(), 1);
}
