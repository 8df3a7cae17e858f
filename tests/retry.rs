//! Tries by policy: which failures, how often, what is waited for, and what is never repeated.

mod support;

use std::time::Duration;
use support::{At, Fault, Reply, Resource, Server};
use urlsession::{Configuration, Delegate, ErrorKind, Request, RetryPolicy, Session, TaskEvent};

fn policy(attempts: u32) -> RetryPolicy {
    RetryPolicy::new(attempts).initial_delay(Duration::from_millis(5))
}

fn session(attempts: u32) -> Session {
    Session::new(Configuration::ephemeral().retry(policy(attempts)))
}

/// A server that fails the first requests, and answers `last` to the others.
fn failing(times: usize, failure: fn() -> Reply) -> Server {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        n if n < times => failure(),
        _ => Reply::ok("at last"),
    })
}

fn cut() -> Reply {
    Reply::ok("never seen").then(Fault::CloseAt(At::BeforeHead))
}

#[test]
fn a_lost_connection_is_tried_again() {
    let server = failing(2, cut);
    let response = session(2).data_task(server.url("/")).wait().unwrap();
    assert_eq!(response.bytes(), "at last");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn no_more_often_than_the_policy_says() {
    let server = failing(3, cut);
    let task = session(2).data_task(server.url("/"));
    assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::NetworkConnectionLost);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(task.metrics().unwrap().transactions().len(), 3);
}

#[test]
fn without_a_policy_nothing_is_repeated() {
    let server = failing(1, cut);
    let session = Session::new(Configuration::ephemeral());
    assert!(session.data_task(server.url("/")).wait().is_err());
    assert_eq!(server.requests().len(), 1);
    let again = session.data_task(Request::get(server.url("/")).retry(policy(1))).wait();
    assert_eq!(again.unwrap().bytes(), "at last");
}

#[test]
fn a_status_that_will_pass_is_tried_again() {
    let server = failing(1, || Reply::status(503).header("retry-after", "0").body("busy"));
    let response = session(1).data_task(server.url("/")).wait().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.accepted(), 1, "the connection is kept");
}

#[test]
fn the_last_answer_is_the_result() {
    let server = failing(9, || Reply::status(503).body("busy"));
    let response = session(2).data_task(server.url("/")).wait().unwrap();
    assert_eq!((response.status().as_u16(), response.text().unwrap().as_ref()), (503, "busy"));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn who_asks_for_too_long_a_wait_has_answered() {
    let server = failing(1, || Reply::status(429).header("retry-after", "3600").body("go away"));
    let response = session(5).data_task(server.url("/")).wait().unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_post_is_not_repeated_unless_it_may_be() {
    let server = failing(1, cut);
    let request = || Request::post(server.url("/")).body("once");
    assert!(session(3).data_task(request()).wait().is_err());
    assert_eq!(server.requests().len(), 1);
    let server = failing(1, cut);
    let request = Request::post(server.url("/")).body("again").retry(policy(1).any_method(true));
    assert_eq!(session(0).data_task(request).wait().unwrap().bytes(), "at last");
    assert_eq!(server.request(1).body(), "again");
}

#[test]
fn a_delegate_that_has_seen_the_response_gets_the_error() {
    struct Takes;
    impl Delegate for Takes {
        fn did_receive_data(&self, _: &TaskEvent<'_>, _: urlsession::Bytes) -> Option<urlsession::Bytes> {
            None
        }
    }
    let server = failing(1, || Reply::ok("half of it").then(Fault::CloseAfter(4)));
    let configuration = Configuration::ephemeral().retry(policy(3));
    let session = Session::builder().configuration(configuration).delegate(Takes).build();
    assert!(session.data_task(server.url("/")).wait().is_err());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_whole_time_is_limited_all_the_same() {
    let server = failing(99, cut);
    let policy =
        RetryPolicy::new(99).initial_delay(Duration::from_secs(60)).maximum_delay(Duration::from_secs(60));
    let request = Request::get(server.url("/")).resource_timeout(Duration::from_secs(20)).retry(policy);
    assert!(session(0).data_task(request).wait().is_err(), "at once: another try would come too late");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn cancelling_ends_the_pause() {
    let server = failing(99, cut);
    let policy =
        RetryPolicy::new(1).initial_delay(Duration::from_secs(600)).maximum_delay(Duration::from_secs(600));
    let task = session(0).data_task(Request::get(server.url("/")).retry(policy));
    task.resume();
    server.wait_for_requests(1, Duration::from_secs(20));
    task.cancel();
    assert!(task.wait().unwrap_err().is_cancelled());
}

#[test]
fn a_download_goes_on_where_it_was() {
    let file = Resource::pattern(1 << 20).etag("\"v1\"").cut_at([1000, 70_000, 900_000]);
    let server = Server::start(file.handler());
    let response = session(3).download_task(server.url("/")).wait().unwrap();
    assert_eq!(std::fs::read(response.body().path()).unwrap(), file.content());
    assert_eq!(file.bytes_served(), 1 << 20, "nothing is had twice");
}

#[test]
fn progress_counts_as_success() {
    let piece = 2 << 20;
    let file = Resource::pattern(5 * piece).etag("\"v1\"").cut_at((1..5).map(|n| n * piece as u64));
    let server = Server::start(file.handler());
    let response = session(1).download_task(server.url("/")).wait().unwrap();
    assert_eq!(std::fs::read(response.body().path()).unwrap(), file.content());
}
