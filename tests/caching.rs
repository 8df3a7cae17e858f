//! The cache: what is answered from it, what is asked of the server, what is stored, and what is told of it
//! (RFC 9111, RFC 5861; SPEC A13). Time is the server's: what it sends says that it is old already.
#![cfg(feature = "tls")]

mod support;

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::harness::{Recorder, eventually};
use support::{
    Directory, Fault, Gate, PATIENCE, Received, Reply, Server, WAYS, configuration_for, every_way, pattern,
    result_by,
};
use urlsession::{
    Bytes, Cache, CacheDecision, CachePolicy, CachedResponse, Configuration, Delegate, DownloadRequest,
    Error, ErrorKind, ForwardReason, Request, ResourceFetchType, Response, Session, StoragePolicy, TaskEvent,
    TransactionMetrics,
};

/// A session with a cache of its own.
fn session(server: &Server) -> Session {
    Session::new(configuration_for(server).cache(Cache::in_memory(1 << 20)))
}

fn with_policy(server: &Server, policy: CachePolicy) -> Request {
    Request::get(server.url("/")).cache_policy(policy)
}

fn get(session: &Session, request: impl Into<Request>) -> Result<Response<Bytes>, Error> {
    session.data_task(request).wait()
}

/// The response, and what was measured of it.
fn measured(session: &Session, request: impl Into<Request>) -> (Response<Bytes>, Vec<TransactionMetrics>) {
    let task = session.data_task(request);
    let response = task.wait().expect("a response");
    (response, task.metrics().expect("metrics").transactions().to_vec())
}

/// Counts the requests in the body, and says how it may be cached.
fn counting(headers: &'static [(&'static str, &'static str)]) -> impl Fn(&Received) -> Reply {
    let count = AtomicUsize::new(0);
    move |_| {
        let reply = Reply::ok(format!("{}", count.fetch_add(1, Ordering::SeqCst) + 1));
        headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const TAG: (&str, &str) = ("ETag", "\"v1\"");

/// Answers a request for what has not changed with 304.
fn versioned(headers: &'static [(&'static str, &'static str)]) -> impl Fn(&Received) -> Reply + Clone {
    move |request| {
        let reply = match request.header("if-none-match") {
            Some("\"v1\"") => Reply::status(304),
            _ => Reply::ok("version 1"),
        };
        headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

#[test]
fn what_is_fresh_is_used_in_every_way() {
    let handler = |request: &Received| {
        Reply::ok(request.path().repeat(1_000)).header("Cache-Control", "max-age=60").header("X-Thing", "1")
    };
    every_way(handler, |client| {
        let session = Session::new(client.session.configuration().cache(Cache::in_memory(1 << 20)));
        let url = client.server.url("/x");
        let before = client.server.requests().len();
        for _ in 0..3 {
            let task = session.data_task(url.as_str());
            let response = result_by(client.way, &task).expect("a response");
            assert_eq!(response.bytes(), &"/x".repeat(1_000));
            assert_eq!((response.status().as_u16(), response.header("x-thing")), (200, Some("1")));
        }
        assert_eq!(client.server.requests().len() - before, 1);
        session.invalidate_and_cancel();
    });
}

#[test]
fn a_hit_is_measured_and_has_its_age() {
    let server = Server::start(counting(&[FRESH, ("Age", "20")]));
    let session = session(&server);
    let (first, metrics) = measured(&session, server.url("/"));
    assert_eq!(first.header("age"), Some("20"));
    let [transaction] = &metrics[..] else { panic!("{metrics:?}") };
    assert_eq!(transaction.resource_fetch_type(), ResourceFetchType::NetworkLoad);
    let status = transaction.cache_status().expect("a cache");
    assert_eq!(status.to_string(), "urlsession; fwd=uri-miss; stored");
    let (second, metrics) = measured(&session, server.url("/#fragment"));
    assert_eq!((second.text().unwrap().as_ref(), second.header("age")), ("1", Some("20")));
    assert_eq!(second.url().as_str(), server.url("/#fragment"));
    let [transaction] = &metrics[..] else { panic!("{metrics:?}") };
    assert_eq!(transaction.resource_fetch_type(), ResourceFetchType::LocalCache);
    let status = transaction.cache_status().expect("a cache");
    assert!(status.is_hit() && (39..=40).contains(&status.time_to_live().expect("a lifetime")), "{status}");
    assert_eq!((transaction.network_protocol_name(), transaction.remote_address()), (None, None));
    assert_eq!(server.requests().len(), 1);
}

/// The matrix of SPEC H2, as it was measured on macOS.
#[test]
fn what_each_policy_makes_of_what_the_server_says() {
    // What the server says; whether it is stored; whether it is used without asking.
    let cases: [(&str, bool, bool); 9] = [
        ("", true, false),
        ("public", true, false),
        ("private", true, false),
        ("max-age=0", true, false),
        ("max-age=3600", true, true),
        ("public, max-age=3600", true, true),
        ("no-cache", true, false),
        ("max-age=10", true, false),
        ("no-store", false, false),
    ];
    for (control, is_stored, is_fresh) in cases {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            let reply = Reply::ok(format!("{}", count.fetch_add(1, Ordering::SeqCst)));
            match control {
                "" => reply,
                // It was stored long ago.
                "max-age=10" => reply.header("Cache-Control", control).header("Age", "11"),
                _ => reply.header("Cache-Control", control),
            }
        });
        let is_hit = |policy| {
            let session = session(&server);
            let first = get(&session, server.url("/")).expect("the first response");
            match get(&session, with_policy(&server, policy)) {
                Ok(second) => Some(second.bytes() == first.bytes()),
                Err(error) => {
                    assert_eq!(
                        (error.kind(), error.response().is_some()),
                        (ErrorKind::ResourceUnavailable, false)
                    );
                    None
                }
            }
        };
        assert_eq!(is_hit(CachePolicy::UseProtocol), Some(is_fresh), "{control}");
        assert_eq!(is_hit(CachePolicy::ReloadIgnoringLocal), Some(false), "{control}");
        assert_eq!(is_hit(CachePolicy::ReloadIgnoringLocalAndRemote), Some(false), "{control}");
        assert_eq!(is_hit(CachePolicy::ReturnCacheElseLoad), Some(is_stored), "{control}");
        assert_eq!(is_hit(CachePolicy::ReturnCacheDontLoad), is_stored.then_some(true), "{control}");
        assert_eq!(is_hit(CachePolicy::ReloadRevalidating), Some(false), "{control}");
    }
}

#[test]
fn nothing_is_loaded_where_nothing_may_be() {
    let server = Server::start(counting(&[]));
    let only = || with_policy(&server, CachePolicy::ReturnCacheDontLoad);
    for session in [session(&server), Session::new(configuration_for(&server).cache(None))] {
        let error = get(&session, only()).expect_err("nothing is stored");
        assert_eq!((error.kind(), error.code()), (ErrorKind::ResourceUnavailable, -1008));
        assert!(error.to_string().contains("ReturnCacheDontLoad"), "{error}");
    }
    let configuration = configuration_for(&server).cache_policy(CachePolicy::ReturnCacheDontLoad);
    assert!(get(&Session::new(configuration), server.url("/")).is_err(), "the policy of the session");
    assert_eq!(server.accepted(), 0);
}

#[test]
fn the_caches_on_the_way_are_passed_by_too() {
    let server = Server::start(counting(&[FRESH]));
    let session = session(&server);
    let reload = || with_policy(&server, CachePolicy::ReloadIgnoringLocalAndRemote);
    get(&session, reload()).expect("a response");
    get(&session, reload().header("cache-control", "max-age=5")).expect("a response");
    get(&session, with_policy(&server, CachePolicy::ReloadIgnoringLocal)).expect("a response");
    let sent = |index: usize| {
        let request = server.request(index);
        [request.header("cache-control"), request.header("pragma")].map(|value| value.map(str::to_owned))
    };
    assert_eq!(sent(0), [Some("no-cache".into()), Some("no-cache".into())]);
    assert_eq!(sent(1), [Some("max-age=5".into()), None]);
    assert_eq!(sent(2), [None, None]);
    // What came is stored.
    assert_eq!(get(&session, server.url("/")).unwrap().text().unwrap(), "3");
}

#[test]
fn what_is_stale_is_validated() {
    let handler = |request: &Received| {
        let reply = versioned(&[("Cache-Control", "max-age=0"), TAG, ("X-Same", "1")])(request);
        reply.header("X-Count", if request.header("if-none-match").is_some() { "2" } else { "1" })
    };
    every_way(handler, |client| {
        let session = Session::new(client.session.configuration().cache(Cache::in_memory(1 << 20)));
        let send = || {
            let task = session.data_task(client.server.url("/"));
            let response = result_by(client.way, &task).expect("a response");
            assert_eq!((response.status().as_u16(), response.text().unwrap().as_ref()), (200, "version 1"));
            assert_eq!(response.header("x-same"), Some("1"));
            (response.header("x-count").map(str::to_owned), task.metrics().expect("metrics"))
        };
        assert_eq!(send().0.as_deref(), Some("1"));
        let (count, metrics) = send();
        assert_eq!(count.as_deref(), Some("2"), "the headers of the 304");
        let [network, cache] = metrics.transactions() else { panic!("{metrics:?}") };
        assert_eq!(network.status().map(|status| status.as_u16()), Some(304));
        assert_eq!(cache.status().map(|status| status.as_u16()), Some(200));
        assert_eq!(cache.resource_fetch_type(), ResourceFetchType::LocalCache);
        let status = cache.cache_status().expect("a cache");
        assert_eq!(status.forwarded_status().map(|status| status.as_u16()), Some(304));
        assert_eq!(status.to_string(), "urlsession; fwd=stale; fwd-status=304; stored; ttl=0");
        assert_eq!(client.server.accepted(), 1, "the connection of a 304 is used again");
        session.invalidate_and_cancel();
        client.server.cut_connections();
    });
}

#[test]
fn a_304_makes_it_fresh_again() {
    let handler = |request: &Received| match request.header("if-modified-since") {
        Some(_) => Reply::status(304).header("Cache-Control", "max-age=60"),
        None => Reply::ok("old")
            .header("Cache-Control", "max-age=60")
            .header("Age", "61")
            .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    };
    let server = Server::start(handler);
    let session = session(&server);
    for _ in 0..4 {
        let response = get(&session, server.url("/")).expect("a response");
        assert_eq!((response.status().as_u16(), response.text().unwrap().as_ref()), (200, "old"));
    }
    assert_eq!(server.requests().len(), 2, "the third and fourth are hits");
    assert_eq!(server.request(1).header("if-modified-since"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
}

#[test]
fn a_304_about_something_else_is_not_believed() {
    let handler = |request: &Received| match request.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "\"v2\""),
        None => Reply::ok("body")
            .header("Cache-Control", "max-age=0")
            .header("ETag", "\"v1\"")
            .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    };
    let server = Server::start(handler);
    let session = session(&server);
    for _ in 0..2 {
        assert_eq!(get(&session, server.url("/")).expect("a response").text().unwrap(), "body");
    }
    let asked: Vec<bool> =
        server.requests().iter().map(|request| request.header("if-none-match").is_some()).collect();
    assert_eq!(asked, [false, true, false]);
}

#[test]
fn own_conditions_see_the_answer_as_it_is() {
    let server = Server::start(versioned(&[FRESH, TAG]));
    let session = session(&server);
    get(&session, server.url("/")).expect("a response");
    let response = get(&session, Request::get(server.url("/")).header("if-none-match", "\"v1\"")).unwrap();
    assert_eq!((response.status().as_u16(), response.bytes().len()), (304, 0));
    assert_eq!(server.requests().len(), 2);
    let (_, metrics) = measured(&session, Request::get(server.url("/")).header("if-match", "\"v1\""));
    let status = metrics[0].cache_status().expect("a cache");
    assert_eq!((status.forwarded(), status.is_stored()), (Some(ForwardReason::Bypass), false));
}

#[test]
fn only_if_cached() {
    let server = Server::start(counting(&[FRESH]));
    let session = session(&server);
    let only = || Request::get(server.url("/")).header("cache-control", "only-if-cached");
    let response = get(&session, only()).expect("a response");
    assert_eq!((response.status().as_u16(), server.accepted()), (504, 0));
    get(&session, server.url("/")).expect("a response");
    assert_eq!(get(&session, only()).expect("a response").text().unwrap(), "1");
}

#[test]
fn variants_by_headers_of_request_and_session() {
    let handler = |request: &Received| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        Reply::ok(language).header("Cache-Control", "max-age=60").header("Vary", "Accept-Language")
    };
    let server = Server::start(handler);
    let cache = Cache::in_memory(1 << 20);
    let session = |language: &str| {
        let configuration = configuration_for(&server).cache(cache.clone());
        Session::new(configuration.additional_header("accept-language", language))
    };
    for _ in 0..2 {
        for language in ["en", "de"] {
            let response = get(&session(language), server.url("/")).expect("a response");
            assert_eq!(response.text().unwrap(), language);
        }
    }
    let own = Request::get(server.url("/")).header("accept-language", "de");
    assert_eq!(get(&session("en"), own).expect("a response").text().unwrap(), "de");
    assert_eq!(server.requests().len(), 2);
    let other = Request::get(server.url("/")).header("accept-language", "fr");
    let (_, metrics) = measured(&session("en"), other);
    assert_eq!(
        metrics[0].cache_status().and_then(|status| status.forwarded()),
        Some(ForwardReason::VaryMiss)
    );
}

#[test]
fn the_answer_to_one_user_is_not_for_another() {
    let handler = |request: &Received| {
        let user = request.header("authorization").unwrap_or("nobody").to_owned();
        Reply::ok(user).header("Cache-Control", "max-age=60")
    };
    let server = Server::start(handler);
    let directory = Directory::new();
    let cache = Cache::in_directory(directory.path(), 1 << 20, 1 << 20).expect("a cache");
    let session = Session::new(configuration_for(&server).cache(cache.clone()));
    for _ in 0..2 {
        for user in ["Bearer first", "Bearer second"] {
            let request = Request::get(server.url("/")).header("authorization", user);
            assert_eq!(get(&session, request).expect("a response").text().unwrap(), user);
        }
    }
    assert_eq!(server.requests().len(), 2);
    assert_eq!(get(&session, server.url("/")).expect("a response").text().unwrap(), "nobody");
    // What a user is known by is in no file.
    for entry in std::fs::read_dir(directory.path()).expect("the directory") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!bytes.windows(6).any(|window| window == b"Bearer"));
    }
}

#[test]
fn what_is_encoded_is_stored_so_and_decoded_when_it_is_used() {
    let text = || "some text".repeat(10_000);
    let handler = move |_: &Received| Reply::gzipped(text()).header("Cache-Control", "max-age=60");
    every_way(handler, |client| {
        let cache = Cache::in_memory(8 << 20);
        let session = Session::new(client.session.configuration().cache(cache.clone()));
        for _ in 0..2 {
            let task = session.data_task(client.server.url("/"));
            let response = result_by(client.way, &task).expect("a response");
            assert_eq!(response.bytes(), &text());
            assert_eq!(response.header("content-encoding"), Some("gzip"));
        }
        assert!(cache.current_memory_usage() > 0);
        // Who decodes for himself gets what the server has sent.
        let own = Request::get(client.server.url("/")).header("accept-encoding", "gzip");
        assert_eq!(&get(&session, own).expect("a response").bytes()[..2], b"\x1f\x8b");
        session.invalidate_and_cancel();
    });
    let server = Server::start(handler);
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(8 << 20)));
    get(&session, server.url("/")).expect("a response");
    let length = session.download_task(server.url("/")).wait().expect("a download").into_body().len();
    assert_eq!(length, 90_000);
    assert_eq!(server.requests().len(), 2, "a download does not take what was encoded for others");
}

#[test]
fn what_is_not_complete_is_not_stored() {
    let handler = |request: &Received| {
        let reply = Reply::ok(pattern(50_000)).header("Cache-Control", "max-age=60");
        match request.path() {
            "/cut" => reply.then(Fault::CloseAfter(20_000)),
            "/reset" => reply.then(Fault::ResetAfter(20_000)),
            "/until-close" => Reply::until_close(pattern(50_000)),
            _ => Reply::gzipped(pattern(50_000))
                .header("Cache-Control", "max-age=60")
                .then(Fault::WrongLength(30)),
        }
    };
    every_way(handler, |client| {
        let cache = Cache::in_memory(8 << 20);
        let session = Session::new(client.session.configuration().cache(cache.clone()));
        for path in ["/cut", "/reset", "/coding", "/until-close"] {
            let result = result_by(client.way, &session.data_task(client.server.url(path)));
            assert_eq!(result.is_ok(), path == "/until-close", "{path}");
            let only = Request::get(client.server.url(path)).cache_policy(CachePolicy::ReturnCacheDontLoad);
            assert!(get(&session, only).is_err(), "{path}");
        }
        assert_eq!(cache.current_memory_usage(), 0);
        session.invalidate_and_cancel();
    });
}

#[test]
fn what_was_given_up_is_not_stored() {
    let gate = Gate::new();
    let (held, server) = {
        let held = gate.clone();
        let handler = move |_: &Received| {
            let reply = Reply::ok(pattern(50_000)).header("Cache-Control", "max-age=60");
            reply.then(Fault::GateAt(support::At::After(20_000), held.clone()))
        };
        (gate, Server::start(handler))
    };
    let cache = Cache::in_memory(8 << 20);
    let session = Session::new(configuration_for(&server).cache(cache.clone()));
    let task = session.data_task(server.url("/"));
    task.resume();
    held.wait_until_reached();
    task.cancel();
    assert!(task.wait().is_err());
    let mut reader = session.data_task(server.url("/")).open().expect("a response").into_body();
    reader.read_exact(&mut [0; 100]).expect("the beginning");
    drop(reader);
    held.open();
    assert_eq!(cache.current_memory_usage(), 0);
    let mut reader = session.data_task(server.url("/")).open().expect("a response").into_body();
    let mut body = Vec::new();
    reader.read_to_end(&mut body).expect("all of it");
    assert_eq!(body, pattern(50_000));
    assert!(cache.current_memory_usage() >= 50_000);
}

#[test]
fn what_is_too_long_is_delivered_and_not_stored() {
    let handler = |request: &Received| {
        let body = pattern(100_000);
        let reply = if request.path() == "/chunked" { Reply::chunked([body]) } else { Reply::ok(body) };
        reply.header("Cache-Control", "max-age=60")
    };
    every_way(handler, |client| {
        let cache = Cache::in_memory(1 << 20);
        let session = Session::new(client.session.configuration().cache(cache.clone()));
        for path in ["/length", "/chunked"] {
            let response = result_by(client.way, &session.data_task(client.server.url(path)));
            assert_eq!(response.expect("a response").bytes(), &pattern(100_000));
        }
        assert_eq!(cache.current_memory_usage(), 0);
        session.invalidate_and_cancel();
    });
}

#[test]
fn stale_while_revalidate() {
    let gate = Gate::new();
    let count = AtomicUsize::new(0);
    let held = gate.clone();
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let control = "max-age=60, stale-while-revalidate=60";
        let reply = Reply::ok(format!("{number}")).header("Cache-Control", control);
        if number == 1 { reply.header("Age", "70") } else { reply.then(Fault::Gate(held.clone())) }
    });
    let session = session(&server);
    get(&session, server.url("/")).expect("the first");
    for _ in 0..3 {
        let (response, metrics) = measured(&session, server.url("/"));
        assert_eq!(response.text().unwrap(), "1", "the stale one, at once");
        let status = metrics[0].cache_status().expect("a cache");
        assert!(status.is_hit() && status.time_to_live() < Some(0), "{status}");
        assert!(session.all_tasks().is_empty(), "nobody sees who asks for it");
    }
    gate.wait_until_reached();
    gate.open();
    eventually("the new one is stored", || {
        let only = with_policy(&server, CachePolicy::ReturnCacheDontLoad);
        get(&session, only).expect("it is stored").text().unwrap() == "2"
    });
    assert_eq!(get(&session, server.url("/")).expect("the new one").text().unwrap(), "2");
    assert_eq!(server.requests().len(), 2, "it was asked for once");
}

#[test]
fn a_session_does_not_wait_for_what_it_asks_for_on_the_side() {
    struct Ends(crossbeam_channel::Sender<()>);
    impl Delegate for Ends {
        fn did_become_invalid(&self, _: Option<&Error>) {
            let _ = self.0.send(());
        }
    }
    for end in [Session::invalidate_and_cancel, Session::finish_tasks_and_invalidate] {
        let gate = Gate::new();
        let held = gate.clone();
        let server = Server::start(move |request| {
            let reply = Reply::ok("x")
                .header("Cache-Control", "max-age=60, stale-while-revalidate=60")
                .header("Age", "70")
                .header("ETag", "\"a\"");
            match request.header("if-none-match") {
                Some(_) => reply.then(Fault::Gate(held.clone())),
                None => reply,
            }
        });
        let (sender, ended) = crossbeam_channel::bounded(1);
        let configuration = configuration_for(&server).cache(Cache::in_memory(1 << 20));
        let session = Session::builder().configuration(configuration).delegate(Ends(sender)).build();
        get(&session, server.url("/")).expect("the first");
        get(&session, server.url("/")).expect("the stale one");
        gate.wait_until_reached();
        end(&session);
        ended.recv_timeout(PATIENCE).expect("the end of the session");
    }
}

/// What comes back has to be readable: nobody can decode the middle of a gzip stream.
#[test]
fn a_part_is_asked_for_without_coding() {
    let server =
        Server::start(|request| Reply::ok(request.header("accept-encoding").unwrap_or("-").to_owned()));
    let session = session(&server);
    let with = |request: Request| get(&session, request).expect("a response").text().unwrap().into_owned();
    let part = || Request::get(server.url("/")).header("range", "bytes=0-9");
    assert_eq!(with(part()), "identity");
    assert_eq!(with(part().header("accept-encoding", "br")), "br");
    assert_ne!(with(Request::get(server.url("/whole"))), "identity");
}

#[test]
fn stale_if_error() {
    let answers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answers);
    let mut server = Server::start(move |_| {
        let control = "max-age=60, stale-if-error=600";
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::ok("good").header("Cache-Control", control).header("Age", "70"),
            1 => Reply::status(503).body("bad"),
            2 => Reply::status(404).header("Cache-Control", "no-store").body("gone"),
            _ => Reply::ok("").then(Fault::CloseAt(support::At::BeforeHead)),
        }
    });
    let session = session(&server);
    get(&session, server.url("/")).expect("the first");
    let (response, metrics) = measured(&session, server.url("/"));
    assert_eq!((response.status().as_u16(), response.text().unwrap().as_ref()), (200, "good"));
    let [failed, cached] = &metrics[..] else { panic!("{metrics:?}") };
    assert_eq!(failed.status().map(|status| status.as_u16()), Some(503));
    let status = cached.cache_status().expect("a cache").to_string();
    assert!(status.starts_with("urlsession; fwd=stale; fwd-status=503; ttl=-1"), "{status}");
    let response =
        get(&session, Request::get(server.url("/")).cache_policy(CachePolicy::ReloadIgnoringLocal));
    assert_eq!(response.expect("a response").status(), 404, "that is no failure");
    for _ in 0..2 {
        assert_eq!(get(&session, server.url("/")).expect("what is stored").text().unwrap(), "good");
    }
    server.stop_listening();
    server.cut_connections();
    let (response, metrics) = measured(&session, server.url("/"));
    assert_eq!(response.text().unwrap(), "good");
    assert_eq!(metrics.len(), 2);
    let reload = with_policy(&server, CachePolicy::ReloadIgnoringLocal);
    assert_eq!(get(&session, reload).expect_err("nothing stands in").kind(), ErrorKind::CannotConnectToHost);
}

#[test]
fn a_failure_is_told_where_what_is_stale_must_not_be_used() {
    for control in
        ["max-age=60", "max-age=60, stale-if-error=600, must-revalidate", "stale-if-error=600, no-cache"]
    {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            // Too old to be used because the server cannot be reached.
            0 => Reply::ok("good").header("Cache-Control", control).header("Age", "130"),
            1 => Reply::status(500).body("bad"),
            _ => Reply::ok("").then(Fault::CloseAt(support::At::BeforeHead)),
        });
        let session = session(&server);
        get(&session, server.url("/")).expect("the first");
        assert_eq!(get(&session, server.url("/")).expect("a response").status(), 500, "{control}");
        assert!(get(&session, server.url("/")).is_err(), "{control}");
    }
}

#[test]
fn what_changes_a_resource_makes_what_is_stored_invalid() {
    let handler = |request: &Received| match (request.method.as_str(), request.path()) {
        ("GET", path) => Reply::ok(path.to_owned()).header("Cache-Control", "max-age=60"),
        ("DELETE", _) => Reply::status(404),
        _ => Reply::status(201)
            .header("Location", "/other")
            .header("Content-Location", "http://elsewhere/third"),
    };
    let server = Server::start(handler);
    let session = session(&server);
    let asked = |path: &str| {
        let before = server.requests().len();
        get(&session, server.url(path)).expect("a response");
        server.requests().len() > before
    };
    for (method, invalidates) in [("POST", true), ("PUT", true), ("X-NEW", true), ("DELETE", false)] {
        for path in ["/this", "/other", "/third"] {
            asked(path);
            assert!(!asked(path), "{path}");
        }
        get(&session, Request::new(method, server.url("/this")).body("x")).expect("a response");
        assert_eq!(asked("/this"), invalidates, "{method}");
        assert_eq!(asked("/other"), invalidates, "{method}");
        assert!(!asked("/third"), "{method}");
    }
}

#[test]
fn heads() {
    let handler = |request: &Received| {
        let (tag, control) = match request.query() {
            Some("new") => ("\"b\"", "max-age=60"),
            _ => ("\"a\"", "max-age=60"),
        };
        let reply = Reply::ok("12345").header("ETag", tag).header("Cache-Control", control);
        if request.path() == "/stale" && request.method == "GET" { reply.header("Age", "70") } else { reply }
    };
    let server = Server::start(handler);
    let session = session(&server);
    let asked = |method: &str, path: &str| {
        let before = server.requests().len();
        let response = get(&session, Request::new(method, server.url(path))).expect("a response");
        assert_eq!(response.header("content-length"), Some("5"));
        assert_eq!(response.bytes().len(), if method == "HEAD" { 0 } else { 5 });
        server.requests().len() > before
    };
    assert!(asked("GET", "/fresh"));
    assert!(!asked("HEAD", "/fresh"), "what is fresh answers HEAD too");
    assert!(asked("HEAD", "/never"), "the answer to HEAD itself is not stored");
    assert!(asked("GET", "/never"));
    assert!(asked("GET", "/stale") && asked("HEAD", "/stale"));
    assert!(!asked("GET", "/stale"), "HEAD has made it fresh");
}

#[test]
fn a_head_of_another_version() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let tag = format!("\"{number}\"");
        Reply::ok("12345").header("ETag", &tag).header("Cache-Control", "max-age=60").header("Age", "70")
    });
    let session = session(&server);
    get(&session, server.url("/")).expect("a response");
    get(&session, Request::head(server.url("/"))).expect("a response");
    let only = with_policy(&server, CachePolicy::ReturnCacheDontLoad);
    assert!(get(&session, only).is_err(), "it is outdated");
}

#[test]
fn ranges_of_what_is_stored() {
    let handler =
        |_: &Received| Reply::ok("0123456789").header("Cache-Control", "max-age=60").header("ETag", "\"a\"");
    let server = Server::start(handler);
    let session = session(&server);
    get(&session, server.url("/")).expect("a response");
    let range = |range: &str, condition: Option<&str>| {
        let request = Request::get(server.url("/")).header("range", range);
        let request = condition.into_iter().fold(request, |request, tag| request.header("if-range", tag));
        let response = get(&session, request).expect("a response");
        let (status, text) = (response.status().as_u16(), response.text().unwrap().into_owned());
        assert_eq!(response.header("content-length"), Some(text.len().to_string().as_str()));
        (status, text, response.header("content-range").unwrap_or_default().to_owned())
    };
    let part = |text: &str, range: &str| (206, text.to_owned(), range.to_owned());
    assert_eq!(range("bytes=2-4", None), part("234", "bytes 2-4/10"));
    assert_eq!(range("bytes=8-", Some("\"a\"")), part("89", "bytes 8-9/10"));
    assert_eq!(range("bytes=-1", None), part("9", "bytes 9-9/10"));
    assert_eq!(range("bytes=10-", None), (416, String::new(), "bytes */10".into()));
    assert_eq!(range("bytes=2-4", Some("\"b\"")).0, 200);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(range("bytes=0-0,9-9", None).0, 200, "several parts are the server's business");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn parts_are_stored_as_parts() {
    let handler = |request: &Received| match request.header("range") {
        Some("bytes=2-5") => Reply::status(206)
            .header("Content-Range", "bytes 2-5/10")
            .header("Cache-Control", "max-age=60")
            .body("2345"),
        _ => Reply::ok("0123456789").header("Cache-Control", "max-age=60"),
    };
    let server = Server::start(handler);
    let session = session(&server);
    let range = |range: &str| {
        let response =
            get(&session, Request::get(server.url("/")).header("range", range)).expect("a response");
        (response.status().as_u16(), response.text().unwrap().into_owned())
    };
    for _ in 0..2 {
        assert_eq!(range("bytes=2-5"), (206, "2345".into()));
    }
    assert_eq!(range("bytes=3-4"), (206, "34".into()));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(get(&session, server.url("/")).expect("a response").bytes().len(), 10);
    assert_eq!(server.requests().len(), 2, "a part is not the whole");
    assert_eq!(range("bytes=5-7"), (206, "567".into()));
    assert_eq!(server.requests().len(), 2, "of the whole");
}

#[test]
fn redirects_are_stored_and_followed_from_there() {
    let handler = |request: &Received| match request.path() {
        "/old" => Reply::redirect(301, "/new").header("Cache-Control", "max-age=60").body("moved"),
        "/large" => {
            Reply::redirect(301, "/new").header("Cache-Control", "max-age=60").body(pattern(1_000_000))
        }
        _ => Reply::ok("here").header("Cache-Control", "max-age=60"),
    };
    let server = Server::start(handler);
    let recorder = Recorder::new();
    let configuration = configuration_for(&server).cache(Cache::in_memory(1 << 20));
    let session = Session::builder().configuration(configuration).delegate(recorder.clone()).build();
    for _ in 0..2 {
        let task = session.data_task(server.url("/old"));
        let response = task.wait().expect("a response");
        assert_eq!((response.text().unwrap().as_ref(), response.url().path()), ("here", "/new"));
        let lines = recorder.wait_for_end(&task);
        assert!(lines.contains(&format!("redirect 301 {}", server.url("/new"))), "{lines:?}");
        let metrics = task.metrics().expect("metrics");
        assert_eq!((metrics.redirect_count(), metrics.transactions().len()), (1, 2));
    }
    assert_eq!(server.requests().len(), 2);
    get(&session, server.url("/large")).expect("a response");
    get(&session, server.url("/large")).expect("a response");
    assert_eq!(server.requests().len(), 4, "of the large one not all has come");
}

#[test]
fn the_delegate_hears_of_hits_as_of_all_responses() {
    let server = Server::start(|_| Reply::ok(pattern(10_000)).header("Cache-Control", "max-age=60"));
    let recorder = Recorder::new();
    let configuration = configuration_for(&server).cache(Cache::in_memory(1 << 20));
    let session = Session::builder().configuration(configuration).delegate(recorder.clone()).build();
    for _ in 0..2 {
        let task = session.data_task(server.url("/"));
        task.wait().expect("a response");
        let lines = recorder.wait_for_end(&task);
        assert_eq!(lines, ["create", "response 200", "data", "metrics", "complete"]);
    }
    assert_eq!(server.requests().len(), 1);
}

/// What it was asked, and what it answers.
struct Deciding {
    decide: Box<dyn Fn(&CachedResponse) -> CacheDecision + Send + Sync>,
    lines: Mutex<Vec<String>>,
}

impl Deciding {
    fn new(decide: impl Fn(&CachedResponse) -> CacheDecision + Send + Sync + 'static) -> Arc<Deciding> {
        Arc::new(Deciding { decide: Box::new(decide), lines: Mutex::default() })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Delegate for Deciding {
    fn did_receive_data(&self, _: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        self.lines.lock().unwrap().push("data".into());
        Some(data)
    }

    fn will_cache_response(&self, _: &TaskEvent<'_>, response: &CachedResponse) -> CacheDecision {
        let text = String::from_utf8_lossy(response.data()).into_owned();
        self.lines.lock().unwrap().push(format!("{} {text}", response.head().status()));
        (self.decide)(response)
    }

    fn did_complete(&self, _: &TaskEvent<'_>, _: Option<&Error>) {
        self.lines.lock().unwrap().push("complete".into());
    }
}

#[test]
fn the_delegate_decides_what_is_stored() {
    let server = Server::start(|_| Reply::gzipped("text").header("Cache-Control", "max-age=60"));
    type Decide = fn(&CachedResponse) -> CacheDecision;
    let cases: [(Decide, Option<&str>); 4] = [
        (|_| CacheDecision::Store, Some("text")),
        (|_| CacheDecision::DoNotStore, None),
        (
            |response| {
                let (head, _) = response.clone().into_response().into_parts();
                let mut other = urlsession::http::Response::builder().status(head.status());
                *other.headers_mut().unwrap() = head.headers().clone();
                other.headers_mut().unwrap().remove("content-encoding");
                let other = Response::from_http(other.body("other".into()).unwrap(), head.url().clone());
                CacheDecision::StoreAs(CachedResponse::new(other))
            },
            Some("other"),
        ),
        (
            |response| {
                let response = response.clone().with_storage_policy(StoragePolicy::NotAllowed);
                CacheDecision::StoreAs(response)
            },
            None,
        ),
    ];
    for (decide, stored) in cases {
        let delegate = Deciding::new(decide);
        let configuration = configuration_for(&server).cache(Cache::in_memory(1 << 20));
        let session = Session::builder().configuration(configuration).delegate(delegate.clone()).build();
        let task = session.data_task(server.url("/"));
        assert_eq!(task.wait().expect("a response").text().unwrap(), "text");
        eventually("it is complete", || delegate.lines.lock().unwrap().iter().any(|line| line == "complete"));
        assert_eq!(delegate.take(), ["data", "200 OK text", "complete"], "after the data, before the end");
        let only = || with_policy(&server, CachePolicy::ReturnCacheDontLoad);
        let found = get(&session, only()).ok().map(|response| response.text().unwrap().into_owned());
        assert_eq!(found.as_deref(), stored);
        eventually("it is complete", || delegate.lines.lock().unwrap().iter().any(|line| line == "complete"));
        let lines = delegate.take();
        assert!(!lines.iter().any(|line| line.starts_with("200")), "not for hits: {lines:?}");
        // A handler takes the response in the place of the delegate, which is not asked then.
        let handler = session.data_task(server.url("/handler"));
        let (sender, done) = crossbeam_channel::bounded(1);
        handler
            .on_completion(move |_| {
                let _ = sender.send(());
            })
            .resume();
        done.recv_timeout(PATIENCE).expect("the handler is called");
        assert!(!delegate.take().iter().any(|line| line.starts_with("200")));
    }
}

#[test]
fn downloads_use_what_is_stored_and_store_nothing() {
    let server = Server::start(|_| Reply::ok(pattern(30_000)).header("Cache-Control", "max-age=60"));
    let cache = Cache::in_memory(8 << 20);
    let session = Session::new(configuration_for(&server).cache(cache.clone()));
    let directory = Directory::new();
    let download = |name: &str| {
        let download = DownloadRequest::new(server.url("/")).destination(directory.path().join(name));
        session.download_task(download).wait().expect("a download");
        assert_eq!(std::fs::read(directory.path().join(name)).expect("the file"), pattern(30_000));
    };
    download("first");
    assert_eq!(cache.current_memory_usage(), 0);
    get(&session, server.url("/")).expect("a response");
    download("second");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn sessions_of_a_directory_find_what_others_have_stored() {
    let server = Server::start(|request| {
        let length = if request.path() == "/large" { 3_000_000 } else { 1_000 };
        Reply::ok(pattern(length)).header("Cache-Control", "max-age=60")
    });
    let directory = Directory::new();
    for round in 0..2 {
        for way in WAYS {
            let cache = Cache::in_directory(directory.path(), 0, 100 << 20).expect("a cache");
            let session = Session::new(configuration_for(&server).cache(cache));
            for (path, length) in [("/small", 1_000), ("/large", 3_000_000)] {
                let response = result_by(way, &session.data_task(server.url(path))).expect("a response");
                assert_eq!(response.bytes(), &pattern(length), "{round} {way:?}");
                let range = Request::get(server.url(path)).header("range", "bytes=500-599");
                let part = result_by(way, &session.data_task(range)).expect("a response");
                assert_eq!(part.bytes(), &pattern(length)[500..600], "{round} {way:?}");
            }
            session.invalidate_and_cancel();
        }
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_session_without_a_cache_stores_nothing() {
    let server = Server::start(counting(&[FRESH]));
    let session = Session::new(configuration_for(&server).cache(None));
    for number in ["1", "2"] {
        let (response, metrics) = measured(&session, server.url("/"));
        assert_eq!(response.text().unwrap(), number);
        assert!(metrics[0].cache_status().is_none());
    }
    // Each ephemeral session has its own.
    let fresh = || Session::new(Configuration::ephemeral());
    for number in ["3", "4"] {
        assert_eq!(get(&fresh(), server.url("/")).expect("a response").text().unwrap(), number);
    }
}

/// What came over a connection that was accepted by exception is not for those who make none.
#[test]
fn what_nobody_vouches_for_is_not_stored() {
    let server = Server::tls(versioned(&[FRESH, TAG]));
    let cache = Cache::in_memory(1 << 20);
    let careless = || {
        let configuration = Configuration::ephemeral().timeout_for_request(PATIENCE).cache(cache.clone());
        Session::new(configuration.danger_accept_invalid_certificates(true))
    };
    get(&careless(), server.url("/")).expect("a response");
    assert_eq!(cache.current_memory_usage(), 0);
    let careful = Session::new(configuration_for(&server).cache(cache.clone()));
    get(&careful, server.url("/")).expect("a response");
    assert!(cache.current_memory_usage() > 0);
    assert_eq!(get(&careless(), server.url("/")).expect("what is stored").text().unwrap(), "version 1");
    assert_eq!(server.requests().len(), 2);
}

/// A 503 that may be kept does not answer the tries that it leads to.
#[test]
fn tries_ask_the_server() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503).header("Cache-Control", "max-age=60").body("later"),
        _ => Reply::ok("now"),
    });
    let policy = urlsession::RetryPolicy::new(3).initial_delay(std::time::Duration::from_millis(1));
    let session = session(&server);
    let response = get(&session, Request::get(server.url("/")).retry(policy)).expect("a response");
    assert_eq!(response.text().unwrap(), "now");
}
