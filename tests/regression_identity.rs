//! What once went wrong with who we are and whom we trust: a test for each, named for what it guards.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{At, Fault, Gate, PATIENCE, Received, Reply, Resource, Server, configuration_for};
use urlsession::{Credential, DownloadRequest, Persistence, Request, Session};

/// `Basic` for `me:secret`.
const GOOD: &str = "Basic bWU6c2VjcmV0";

fn me(password: &str, persistence: Persistence) -> Credential {
    Credential::new("me", password, persistence)
}

fn who_are_you() -> Reply {
    Reply::status(401).header("WWW-Authenticate", "Basic realm=\"staff\"").body("who are you?")
}

/// What other servers than those it was meant for have learnt.
fn told(server: &Server) -> Vec<Arc<Received>> {
    server.requests().into_iter().filter(|request| request.header("authorization").is_some()).collect()
}

/// The credential of a request is for where the request was sent, also when a download that was led elsewhere
/// takes further connections there.
#[test]
fn the_parts_of_a_download_take_no_credential_to_where_it_was_led() {
    let gate = Gate::new();
    let resource = Resource::pattern(8 << 20)
        .etag("\"v1\"")
        .fault_in(..1, Fault::GateAt(At::After(64 * 1024), gate.clone()));
    let (refused, count) = (gate.clone(), AtomicUsize::new(0));
    let elsewhere = Server::start(move |request| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            return resource.answer(request);
        }
        refused.open();
        who_are_you()
    });
    let to = elsewhere.url("/file");
    let here = Server::start(move |request| match request.header("authorization") {
        Some(GOOD) => Reply::redirect(302, &to),
        _ => who_are_you(),
    });
    let session = Session::new(configuration_for(&here));
    let request = Request::get(here.url("/")).credential(me("secret", Persistence::None));
    let file = session.download_task(DownloadRequest::new(request).segments(4)).wait().expect("a file");
    support::assert_pattern(&std::fs::read(file.into_body().path()).expect("a file"), 8 << 20);
    assert!(elsewhere.requests().len() >= 2, "others were to help");
    assert!(told(&elsewhere).is_empty());
}

/// The same of what is asked for on the side, because what is stored was stale.
#[test]
fn what_is_asked_for_on_the_side_takes_no_credential_to_where_it_was_led() {
    let elsewhere = Server::start(|request| match request.header("if-none-match") {
        None => Reply::ok("stored")
            .header("ETag", "\"v1\"")
            .header("Cache-Control", "max-age=0, stale-while-revalidate=1000"),
        Some(_) => who_are_you(),
    });
    let to = elsewhere.url("/file");
    let here = Server::start(move |request| match request.header("authorization") {
        Some(GOOD) => Reply::redirect(302, &to),
        _ => who_are_you(),
    });
    let session = Session::new(configuration_for(&here));
    for _ in 0..2 {
        let request = Request::get(here.url("/")).credential(me("secret", Persistence::None));
        let response = session.data_task(request).wait().expect("a response");
        assert_eq!(response.text().expect("text"), "stored");
    }
    elsewhere.wait_for_requests(2, PATIENCE);
    // What is under way keeps the session's connections.
    drop(session);
    elsewhere.wait_for_open_connections(0, PATIENCE);
    assert!(told(&elsewhere).is_empty());
}
