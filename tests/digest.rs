//! Digest authentication against a server that computes its side by itself (RFC 7616).

#![cfg(feature = "digest")]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{Received, Reply, Server, configuration_for, every_way};
use urlsession::{
    AuthenticationMethod, Body, Challenge, ChallengeDisposition, Credential, Delegate, Persistence, Request,
    Session, TaskEvent, wait_all,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(algorithm: &str, text: &str) -> String {
    let name = algorithm.to_ascii_uppercase();
    match name.trim_end_matches("-SESS") {
        "MD5" => hex(&md5::compute(text).0),
        "SHA-256" => hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()),
        "SHA-512-256" => hex(ring::digest::digest(&ring::digest::SHA512_256, text.as_bytes()).as_ref()),
        other => panic!("an algorithm {other}"),
    }
}

/// The parameters of an answer. None of those here have a comma in them.
fn parameters(value: &str) -> HashMap<&str, &str> {
    let list = value.strip_prefix("Digest ").expect("Digest");
    list.split(',')
        .map(|part| part.trim().split_once('=').expect("name=value"))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// What a server asks for.
#[derive(Clone)]
struct Realm {
    algorithm: Option<&'static str>,
    qop: Option<&'static str>,
    userhash: bool,
    user: &'static str,
}

impl Realm {
    fn challenge(&self, nonce: &str, more: &str) -> String {
        let mut challenge = format!("Digest realm=\"the realm\", nonce=\"{nonce}\", opaque=\"o\\\"paque\"");
        if let Some(algorithm) = self.algorithm {
            challenge += &format!(", algorithm={algorithm}");
        }
        if let Some(qop) = self.qop {
            challenge += &format!(", qop=\"{qop}\"");
        }
        if self.userhash {
            challenge += ", userhash=true, charset=UTF-8";
        }
        challenge + more
    }

    /// Whether an answer shows the password. The nonce and the count it has, if so.
    fn accepts(&self, request: &Received) -> Option<(String, u64)> {
        let answer = parameters(request.header("authorization")?);
        let algorithm = self.algorithm.unwrap_or("MD5");
        let h = |text: String| hash(algorithm, &text);
        let user = match self.userhash {
            true => h(format!("{}:the realm", self.user)),
            false => self.user.to_owned(),
        };
        assert_eq!(answer.get("username").copied(), Some(&*user));
        assert_eq!(answer["uri"], request.target);
        assert_eq!(answer.get("opaque").copied(), Some("o\\\"paque"));
        let (nonce, cnonce) = (answer["nonce"], answer.get("cnonce").copied().unwrap_or_default());
        let mut a1 = h(format!("{}:the realm:secret", self.user));
        if algorithm.to_ascii_lowercase().ends_with("-sess") {
            a1 = h(format!("{a1}:{nonce}:{cnonce}"));
        }
        let qop = answer.get("qop").copied();
        let a2 = match qop {
            Some("auth-int") => {
                let body = h(request.text());
                h(format!("{}:{}:{body}", request.method, request.target))
            }
            _ => h(format!("{}:{}", request.method, request.target)),
        };
        let response = match qop {
            Some(qop) => {
                assert_eq!(answer["nc"].len(), 8);
                h(format!("{a1}:{nonce}:{}:{cnonce}:{qop}:{a2}", answer["nc"]))
            }
            None => h(format!("{a1}:{nonce}:{a2}")),
        };
        let count = answer.get("nc").map_or(0, |count| u64::from_str_radix(count, 16).expect("hexadecimal"));
        (answer["response"] == response).then(|| (nonce.to_owned(), count))
    }
}

const PLAIN: Realm = Realm { algorithm: None, qop: Some("auth"), userhash: false, user: "me" };

fn credential(user: &str, persistence: Persistence) -> Credential {
    Credential::new(user, "secret", persistence)
}

#[test]
fn all_algorithms_and_protections() {
    for algorithm in [
        None,
        Some("MD5"),
        Some("md5-sess"),
        Some("SHA-256"),
        Some("SHA-256-sess"),
        Some("SHA-512-256"),
        Some("SHA-512-256-sess"),
    ] {
        for qop in [None, Some("auth"), Some("auth-int"), Some("auth,auth-int"), Some("auth-int, auth")] {
            for userhash in [false, true] {
                if qop.is_none() && (userhash || algorithm.is_some_and(|name| name.ends_with("sess"))) {
                    continue;
                }
                let realm = Realm { algorithm, qop, userhash, user: "me" };
                let what = realm.challenge("n1", "");
                let server = Server::start(move |request| match realm.accepts(request) {
                    Some(_) => Reply::ok("in"),
                    None => Reply::status(401).header("WWW-Authenticate", &realm.challenge("n1", "")),
                });
                let session = Session::new(configuration_for(&server));
                let request = Request::post(server.url("/a?b=c&d")).body("content");
                let request = request.credential(credential("me", Persistence::None));
                let response = session.data_task(request).wait().expect(&what);
                assert_eq!(response.status(), 200, "{what}");
                assert_eq!(server.requests().len(), 2, "{what}");
            }
        }
    }
}

#[test]
fn it_works_in_every_way() {
    let realm = |request: &Received| match PLAIN.accepts(request) {
        Some(_) => Reply::ok(request.text()),
        None => Reply::status(401).header("WWW-Authenticate", &PLAIN.challenge("n", "")),
    };
    every_way(realm, |client| {
        let request = Request::post(client.server.url("/")).body("content");
        let request = request.credential(credential("me", Persistence::None));
        let response = client.send(request).expect("a response");
        assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (200, &b"content"[..]));
    });
}

#[test]
fn user_names_beyond_ascii_are_hashed_or_extended() {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&answers);
    let server = Server::start(move |request| match request.header("authorization") {
        Some(answer) => {
            seen.lock().expect("no panic").push(answer.to_owned());
            Reply::ok("")
        }
        None => {
            let challenge = Realm { user: "", ..PLAIN }.challenge("n", ", charset=UTF-8");
            Reply::status(401).header("WWW-Authenticate", &challenge)
        }
    });
    let session = Session::new(configuration_for(&server));
    let request = Request::get(server.url("/")).credential(credential("Jäsøn Doe", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
    let answers = answers.lock().expect("no panic");
    assert!(answers[0].contains("username*=UTF-8''J%C3%A4s%C3%B8n%20Doe"), "{}", answers[0]);
}

/// A nonce and the counts that were seen with it.
fn counting(realm: Realm, uses: u64) -> impl Fn(&Received) -> Reply + Send + Sync {
    let seen: Mutex<HashSet<(String, u64)>> = Mutex::default();
    let number = AtomicUsize::new(0);
    move |request| {
        let fresh = || format!("nonce{}", number.fetch_add(1, Ordering::SeqCst));
        let stale =
            |more: &str| Reply::status(401).header("WWW-Authenticate", &realm.challenge(&fresh(), more));
        if request.header("authorization").is_none() {
            return stale("");
        }
        match realm.accepts(request) {
            None => stale(""),
            Some((_, count)) if count > uses => stale(", stale=TRUE"),
            Some(used) if seen.lock().expect("no panic").insert(used.clone()) => Reply::ok(""),
            Some((nonce, count)) => Reply::status(400).body(format!("{nonce} {count} was used before")),
        }
    }
}

#[test]
fn a_nonce_is_used_again_and_counted() {
    for server in [Server::start(counting(PLAIN, u64::MAX)), Server::tls(counting(PLAIN, u64::MAX))] {
        let server = &server;
        let session = Session::new(configuration_for(server));
        let first = Request::get(server.url("/0")).credential(credential("me", Persistence::ForSession));
        assert_eq!(session.data_task(first).wait().expect("a response").status(), 200);
        for path in 1..10 {
            let response = session.data_task(server.url(&format!("/{path}"))).wait().expect("a response");
            assert_eq!(response.status(), 200);
        }
        assert_eq!(server.requests().len(), 11, "one of them without an answer");
    }
}

#[test]
fn many_tasks_at_once_count_each_for_itself() {
    let server = Server::start(counting(PLAIN, u64::MAX));
    let session = Session::new(configuration_for(&server));
    let first = Request::get(server.url("/")).credential(credential("me", Persistence::ForSession));
    assert_eq!(session.data_task(first).wait().expect("a response").status(), 200);
    let tasks: Vec<_> = (0..200).map(|n| session.data_task(server.url(&format!("/{n}")))).collect();
    for result in wait_all(&tasks) {
        let response = result.expect("a response");
        assert_eq!(response.status(), 200, "{}", response.text().expect("text"));
    }
    assert_eq!(server.requests().len(), 202);
}

#[test]
fn a_stale_nonce_is_no_failure() {
    #[derive(Clone, Default)]
    struct Once(Arc<AtomicUsize>);
    impl Delegate for Once {
        fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
            assert_eq!(*challenge.protection_space().authentication_method(), AuthenticationMethod::Digest);
            assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "asked once");
            ChallengeDisposition::UseCredential(Some(credential("me", Persistence::ForSession)))
        }
    }
    let server = Server::start(counting(PLAIN, 3));
    let session =
        Session::builder().configuration(configuration_for(&server)).delegate(Once::default()).build();
    for _ in 0..10 {
        assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 200);
    }
    // Ten that counted, the first without an answer, and three with a nonce that was used up.
    assert_eq!(server.requests().len(), 14);
}

#[test]
fn a_server_that_calls_every_nonce_stale_is_not_asked_for_ever() {
    let server = Server::start(|_| {
        Reply::status(401).header("WWW-Authenticate", &PLAIN.challenge("n", ", stale=true"))
    });
    let session = Session::new(configuration_for(&server));
    let request = Request::get(server.url("/")).credential(credential("me", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 401);
    assert!(server.requests().len() < 70, "{}", server.requests().len());
}

#[test]
fn the_next_nonce_is_taken() {
    let nonces = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&nonces);
    let server = Server::start(move |request| match PLAIN.accepts(request) {
        Some((nonce, count)) => {
            let mut seen = seen.lock().expect("no panic");
            seen.push((nonce, count));
            Reply::ok("").header("Authentication-Info", &format!("nextnonce=\"next{}\"", seen.len()))
        }
        None => Reply::status(401).header("WWW-Authenticate", &PLAIN.challenge("first", "")),
    });
    let session = Session::new(configuration_for(&server));
    for _ in 0..3 {
        let request = Request::get(server.url("/")).credential(credential("me", Persistence::ForSession));
        assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
    }
    let nonces = nonces.lock().expect("no panic").clone();
    assert_eq!(nonces, [("first".into(), 1), ("next1".into(), 1), ("next2".into(), 1)]);
}

#[test]
fn an_answer_to_the_url_is_not_given_to_a_weaker_question_twice() {
    // Credentials of the URL go out as Basic unasked; a server that wants a digest gets that next.
    let server = Server::start(|request| match request.header("authorization") {
        Some(answer) if answer.starts_with("Digest") && PLAIN.accepts(request).is_some() => Reply::ok("in"),
        _ => Reply::status(401).header("WWW-Authenticate", &PLAIN.challenge("n", "")),
    });
    let session = Session::new(configuration_for(&server));
    let url = server.url("/").replacen("://", "://me:secret@", 1);
    assert_eq!(session.data_task(url).wait().expect("a response").status(), 200);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_stream_cannot_be_protected_but_can_be_authenticated() {
    for (qop, status) in [("auth-int", 401), ("auth,auth-int", 200)] {
        let realm = Realm { qop: Some(qop), ..PLAIN };
        let server = Server::start(move |request| match realm.accepts(request) {
            Some(_) => Reply::ok("in"),
            None => Reply::status(401).header("WWW-Authenticate", &realm.challenge("n1", "")),
        });
        let session = Session::new(configuration_for(&server));
        let body = Body::from_fn(|| Ok(std::io::Cursor::new(b"streamed")));
        let request =
            Request::post(server.url("/")).body(body).credential(credential("me", Persistence::None));
        assert_eq!(session.data_task(request).wait().expect("a response").status(), status, "{qop}");
    }
}
