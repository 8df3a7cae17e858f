//! Digest authentication over real connections, with a server that checks every digest and count by itself
//! (RFC 7616).

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use support::{Received, Reply, Server, configuration_for};
use urlsession::{
    AuthenticationMethod, Body, Challenge, ChallengeDisposition, Checksum, ChecksumAlgorithm, Configuration,
    Credential, Delegate, Persistence, Request, Session, TaskEvent, wait_all,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn sha256(text: &str) -> String {
    Checksum::of(ChecksumAlgorithm::Sha256, text).to_string()
}

/// A server that lets `me:secret` in.
#[derive(Clone)]
struct Guard(Arc<State>);

struct State {
    /// Of what is protected.
    qop: &'static str,
    /// Further parameters of a challenge.
    more: &'static str,
    nonce: Mutex<String>,
    /// Counts of nonces that were used.
    used: Mutex<HashSet<(String, String)>>,
    /// Sent with each answer, where `$` is for the right rspauth.
    info: Mutex<String>,
}

impl Guard {
    fn new(qop: &'static str, more: &'static str) -> Guard {
        Guard(Arc::new(State {
            qop,
            more,
            nonce: Mutex::new("n1".to_owned()),
            used: Mutex::default(),
            info: Mutex::default(),
        }))
    }

    fn server(&self) -> Server {
        let guard = self.clone();
        Server::start(move |request| guard.reply(request))
    }

    fn change_nonce(&self, nonce: &str) {
        *lock(&self.0.nonce) = nonce.to_owned();
    }

    fn inform(&self, info: &str) {
        *lock(&self.0.info) = info.to_owned();
    }

    fn challenge(&self, more: &str) -> Reply {
        let (nonce, qop) = (lock(&self.0.nonce).clone(), self.0.qop);
        let more = format!("{}{more}", self.0.more);
        let text =
            format!("Digest realm=\"staff\", nonce=\"{nonce}\", qop=\"{qop}\", algorithm=SHA-256{more}");
        Reply::status(401).header("WWW-Authenticate", &text).body("who are you?")
    }

    fn reply(&self, request: &Received) -> Reply {
        let Some(answer) = request.header("authorization").and_then(parameters) else {
            return self.challenge("");
        };
        let part = |name: &str| answer.get(name).cloned().unwrap_or_default();
        let (nonce, count) = (part("nonce"), part("nc"));
        let about = match part("qop").as_str() {
            "auth-int" => format!("{}:{}", part("uri"), sha256(&request.text())),
            _ => part("uri"),
        };
        let digest = |method: &str| {
            let key = sha256("me:staff:secret");
            let (client_nonce, qop) = (part("cnonce"), part("qop"));
            let hashed = sha256(&format!("{method}:{about}"));
            sha256(&format!("{key}:{nonce}:{count}:{client_nonce}:{qop}:{hashed}"))
        };
        if part("uri") != request.target || part("response") != digest(&request.method) {
            return self.challenge("");
        }
        if nonce != *lock(&self.0.nonce) {
            return self.challenge(", stale=true");
        }
        if !lock(&self.0.used).insert((nonce.clone(), count.clone())) {
            return Reply::status(400).body("that count was used");
        }
        let reply = Reply::ok(format!("{} {} {}", request.method, request.target, request.text()));
        match lock(&self.0.info).as_str() {
            "" => reply,
            info => reply.header("Authentication-Info", &info.replace('$', &digest(""))),
        }
    }
}

/// The parameters of an answer. What this library sends has no escapes in these tests.
fn parameters(answer: &str) -> Option<HashMap<String, String>> {
    let pairs = answer.strip_prefix("Digest ")?.split(", ");
    pairs
        .map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.trim_matches('"').to_owned())))
        .collect()
}

fn counts(server: &Server) -> Vec<String> {
    let shown = |request: &Arc<Received>| match request.header("authorization").and_then(parameters) {
        Some(answer) => format!("{} {}", answer["nonce"], answer["nc"].trim_start_matches('0')),
        None => "-".to_owned(),
    };
    server.requests().iter().map(shown).collect()
}

fn me(password: &str) -> Credential {
    Credential::new("me", password, Persistence::ForSession)
}

/// Answers every challenge with the right password, and counts them.
#[derive(Clone, Default)]
struct Knows(Arc<Mutex<Vec<Challenge>>>);

impl Delegate for Knows {
    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        if *challenge.protection_space().authentication_method() != AuthenticationMethod::Digest {
            return ChallengeDisposition::PerformDefaultHandling;
        }
        lock(&self.0).push(challenge.clone());
        ChallengeDisposition::UseCredential(Some(me("secret")))
    }
}

fn session(server: &Server) -> (Session, Knows) {
    let knows = Knows::default();
    let session = Session::builder().configuration(configuration_for(server)).delegate(knows.clone()).build();
    (session, knows)
}

fn text(session: &Session, request: impl Into<Request>) -> String {
    let response = session.data_task(request).wait().expect("a response");
    assert_eq!(response.status(), 200, "{:?}", response.bytes());
    response.text().expect("text").to_string()
}

#[test]
fn it_is_asked_once_and_answers_unasked_from_then_on() {
    for tls in [false, true] {
        let guard = Guard::new("auth", "");
        let handler = move |request: &Received| guard.reply(request);
        let server = if tls { Server::tls(handler) } else { Server::start(handler) };
        let (session, knows) = session(&server);
        assert_eq!(text(&session, server.url("/a?b=c%20d")), "GET /a?b=c%20d ");
        assert_eq!(text(&session, server.url("/elsewhere")), "GET /elsewhere ");
        assert_eq!(counts(&server), ["-", "n1 1", "n1 2"]);
        assert_eq!(lock(&knows.0).len(), 1);
    }
}

#[test]
fn an_old_nonce_is_no_failure() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let (session, knows) = session(&server);
    text(&session, server.url("/"));
    guard.change_nonce("n2");
    text(&session, server.url("/"));
    text(&session, server.url("/"));
    assert_eq!(counts(&server), ["-", "n1 1", "n1 2", "n2 1", "n2 2"]);
    assert_eq!(lock(&knows.0).len(), 1);
}

/// Servers that have forgotten their nonces, and do not say that it is that.
#[test]
fn a_nonce_that_is_not_known_any_more_is_replaced_when_it_was_sent_unasked() {
    let asked = Arc::new(Mutex::new(0));
    let guard = Guard::new("auth", "");
    let (inner, forgotten) = (guard.clone(), Arc::clone(&asked));
    let server = Server::start(move |request| {
        let reply = inner.reply(request);
        let answer = request.header("authorization").and_then(parameters);
        if answer.is_some_and(|answer| answer["nonce"] != *lock(&inner.0.nonce)) {
            *lock(&forgotten) += 1;
            return inner.challenge("");
        }
        reply
    });
    let (session, knows) = session(&server);
    text(&session, server.url("/"));
    guard.change_nonce("n2");
    text(&session, server.url("/"));
    assert_eq!(counts(&server), ["-", "n1 1", "n1 2", "n2 1"]);
    assert_eq!((*lock(&asked), lock(&knows.0).len()), (1, 1));
}

#[test]
fn the_next_nonce_is_used_next() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let (session, _) = session(&server);
    guard.inform("nextnonce=\"n2\", rspauth=\"$\", qop=auth");
    text(&session, server.url("/"));
    guard.change_nonce("n2");
    guard.inform("");
    text(&session, server.url("/"));
    assert_eq!(counts(&server), ["-", "n1 1", "n2 1"]);
}

#[test]
fn a_server_that_does_not_know_the_password_gets_no_more_digests_of_its_nonce() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let (session, knows) = session(&server);
    guard.inform("rspauth=\"$\"");
    text(&session, server.url("/"));
    guard.inform("rspauth=\"00\"");
    text(&session, server.url("/"));
    guard.change_nonce("n2");
    text(&session, server.url("/"));
    assert_eq!(counts(&server), ["-", "n1 1", "n1 2", "-", "n2 1"]);
    assert_eq!(lock(&knows.0).len(), 2);
}

#[test]
fn the_body_can_be_part_of_it() {
    let guard = Guard::new("auth-int", "");
    let server = guard.server();
    let (session, _) = session(&server);
    let post = |body: &'static str| Request::post(server.url("/")).body(body);
    assert_eq!(text(&session, post("hello")), "POST / hello");
    assert_eq!(text(&session, post("another")), "POST / another");
    assert_eq!(text(&session, server.url("/")), "GET / ");
    assert_eq!(counts(&server), ["-", "n1 1", "n1 2", "n1 3"]);
    // One that is not in memory cannot.
    let body = Body::reader(&b"streamed"[..]).with_length(8);
    let response = session.data_task(Request::post(server.url("/")).body(body)).wait();
    assert!(response.is_err() || response.is_ok_and(|response| response.status() == 401));
}

#[test]
fn a_wrong_password_is_refused_once() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let session = Session::new(configuration_for(&server));
    let request = || Request::get(server.url("/")).credential(me("wrong"));
    for _ in 0..2 {
        let response = session.data_task(request()).wait().expect("a response");
        assert_eq!(
            (response.status().as_u16(), response.text().expect("text").as_ref()),
            (401, "who are you?")
        );
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn the_delegate_sees_what_was_refused() {
    /// Failures so far, and the password that was proposed.
    type Try = (u32, Option<String>);
    #[derive(Clone, Default)]
    struct Tries(Arc<Mutex<Vec<Try>>>);

    impl Delegate for Tries {
        fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
            let proposed = challenge.proposed_credential().and_then(Credential::password).map(str::to_owned);
            let mut tries = lock(&self.0);
            tries.push((challenge.previous_failure_count(), proposed));
            ChallengeDisposition::UseCredential(Some(me(if tries.len() < 3 { "wrong" } else { "secret" })))
        }
    }

    let server = Guard::new("auth", "").server();
    let tries = Tries::default();
    let builder = Session::builder().configuration(configuration_for(&server));
    let session = builder.delegate(tries.clone()).build();
    assert_eq!(text(&session, server.url("/")), "GET / ");
    let wrong = || Some("wrong".to_owned());
    assert_eq!(*lock(&tries.0), [(0, None), (1, wrong()), (2, wrong())]);
}

#[test]
fn no_count_is_used_twice_by_tasks_at_once() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let (session, _) = session(&server);
    let many = |number: usize| {
        let tasks: Vec<_> = (0..number).map(|n| session.data_task(server.url(&format!("/{n}")))).collect();
        for result in wait_all(&tasks) {
            let response = result.expect("a response");
            assert_eq!(response.status(), 200, "{:?}", response.bytes());
        }
    };
    many(20);
    many(50);
    let used: Vec<_> = counts(&server).into_iter().filter(|count| count != "-").collect();
    assert_eq!(used.len(), 70);
    assert_eq!(used.iter().collect::<HashSet<_>>().len(), 70);
}

#[test]
fn it_goes_unasked_only_where_the_domain_says() {
    let guard = Guard::new("auth", ", domain=\"/in /there/\"");
    let server = guard.server();
    let (session, knows) = session(&server);
    text(&session, server.url("/in/a"));
    text(&session, server.url("/there/b"));
    text(&session, server.url("/out"));
    assert_eq!(counts(&server), ["-", "n1 1", "n1 2", "-", "n1 3"]);
    assert_eq!(lock(&knows.0).len(), 2);
}

#[test]
fn other_sessions_know_nothing_of_it() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let (one, _) = session(&server);
    text(&one, server.url("/"));
    let other = Session::new(configuration_for(&server));
    let response = other.data_task(server.url("/")).wait().expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(counts(&server), ["-", "n1 1", "-"]);
}

#[test]
fn names_and_passwords_of_a_netrc_are_used_for_their_host() {
    let guard = Guard::new("auth", "");
    let server = guard.server();
    let path = std::env::temp_dir().join(format!("urlsession-digest-netrc-{}", std::process::id()));
    let host = server.addr().ip();
    std::fs::write(&path, format!("machine {host} login me password secret")).expect("a file");
    let configuration = configuration_for(&server).netrc(&path);
    std::fs::remove_file(&path).expect("the file");
    let session = Session::new(configuration);
    assert_eq!(text(&session, server.url("/")), "GET / ");
    assert_eq!(text(&session, server.url("/")), "GET / ");
    assert_eq!(counts(&server), ["-", "n1 1", "n1 2"]);
}

#[test]
fn a_netrc_has_the_password_for_the_user_of_a_url() {
    // `Basic` for `me:secret`.
    let server = Server::start(|request| match request.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => Reply::ok("in"),
        _ => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
    });
    let path = std::env::temp_dir().join(format!("urlsession-digest-netrc-user-{}", std::process::id()));
    let host = server.addr().ip();
    let text = format!("machine {host} login you password no machine {host} login me password secret");
    std::fs::write(&path, text).expect("a file");
    let session = Session::new(configuration_for(&server).netrc(&path));
    std::fs::remove_file(&path).expect("the file");
    let url = server.url("/").replace("://", "://me@");
    let response = session.data_task(&*url).wait().expect("a response");
    assert_eq!((response.status().as_u16(), server.requests().len()), (200, 1));
    // What a URL says itself is what it says.
    let url = server.url("/").replace("://", "://me:wrong@");
    let response = session.data_task(&*url).wait().expect("a response");
    assert_eq!(response.status(), 200, "after the refusal the file is looked at");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_netrc_that_cannot_be_read_fails_the_task() {
    let session = Session::new(Configuration::ephemeral().netrc("/nowhere/netrc"));
    let error = session.data_task("http://127.0.0.1:9/").wait().expect_err("an error");
    assert!(error.to_string().contains("/nowhere/netrc"), "{error}");
}
