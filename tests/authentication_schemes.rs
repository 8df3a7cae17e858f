//! Schemes that a program brings: several messages over one connection, as NTLM has them, tokens both ways,
//! as Negotiate has them, and signatures for every request.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{Fault, Reply, Server, TwoSteps, by_connection, configuration_for, over_both};
use urlsession::http::{HeaderMap, HeaderName, HeaderValue};
use urlsession::{
    AuthenticatingRequest, AuthenticationExchange, AuthenticationMethod, AuthenticationScheme,
    AuthenticationStep, Body, Challenge, ChallengeDisposition, Configuration, Credential, Delegate, Error,
    ErrorKind, Persistence, ProtectionSpace, Request, Result, Session, TaskEvent,
};

fn me(password: &str) -> Credential {
    Credential::new("me", password, Persistence::ForSession)
}

#[test]
fn messages_go_over_one_connection() {
    over_both(by_connection, |server, _| {
        let scheme = TwoSteps::default();
        let configuration = configuration_for(server).authentication_scheme(scheme.clone());
        let session = Session::new(configuration);
        let request = Request::post(server.url("/")).body("content").credential(me("secret"));
        let response = session.data_task(request).wait().expect("a response");
        assert_eq!(
            (response.status().as_u16(), response.text().expect("text").as_ref()),
            (200, "welcomecontent")
        );
        let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 0, 0]);
        // The connection is somebody's now, and no other request goes over it.
        assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 401);
        assert_eq!(server.request(3).connection, 1);
        assert_eq!(scheme.begun.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_scheme_may_give_up() {
    let server = Server::start(by_connection);
    let configuration = configuration_for(&server).authentication_scheme(TwoSteps::default());
    let session = Session::new(configuration);
    let request = Request::get(server.url("/")).credential(me("wrong"));
    let response = session.data_task(request).wait().expect("a response");
    assert_eq!((response.status().as_u16(), response.text().expect("text").as_ref()), (401, "who are you?"));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_connection_that_is_lost_on_the_way_begins_the_messages_anew() {
    let seen = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let reply = by_connection(request);
        match seen.fetch_add(1, Ordering::SeqCst) {
            // It says that it keeps the connection, and does not.
            1 => reply.then(Fault::CloseIdleAfterReply),
            _ => reply,
        }
    });
    let scheme = TwoSteps::default();
    let session = Session::new(configuration_for(&server).authentication_scheme(scheme.clone()));
    let request = Request::get(server.url("/")).credential(me("secret"));
    let response = session.data_task(request).wait().expect("a response");
    assert_eq!(response.status(), 200);
    let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    let (first, rest) = connections.split_at(2);
    assert_eq!(first, [0, 0]);
    assert!(rest.iter().all(|&connection| connection == 1), "{connections:?}");
}

#[test]
fn a_server_that_closes_each_time_is_asked_no_more_than_so_often() {
    let server = Server::start(|request| by_connection(request).close());
    let session = Session::new(configuration_for(&server).authentication_scheme(TwoSteps::default()));
    let request = Request::get(server.url("/")).credential(me("secret"));
    let response = session.data_task(request).wait().expect("a response");
    assert_eq!(response.status(), 401);
    assert!(server.requests().len() < 100, "{}", server.requests().len());
}

#[test]
fn a_long_challenge_is_drained_to_keep_the_connection() {
    let body = support::pattern(300_000);
    let server = Server::start(move |request| match by_connection(request) {
        reply if request.header("authorization") == Some("NTLM one") => reply
            .body(body.clone())
            .then(Fault::Drip { bytes_at_a_time: 64 * 1024, every: std::time::Duration::from_millis(2) }),
        reply => reply,
    });
    let session = Session::new(configuration_for(&server).authentication_scheme(TwoSteps::default()));
    for resumed in [false, true] {
        let task = session.data_task(Request::get(server.url("/")).credential(me("secret")));
        if resumed {
            task.resume();
        }
        assert_eq!(task.wait().expect("a response").status(), 200);
    }
    assert_eq!(server.accepted(), 2);
}

/// The session is asked before the task about what authenticates a connection (SPEC Au2).
#[test]
fn the_session_is_asked_first() {
    #[derive(Clone, Default)]
    struct Both(Arc<Mutex<Vec<&'static str>>>, bool);
    impl Delegate for Both {
        fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
            assert_eq!(*challenge.protection_space().authentication_method(), AuthenticationMethod::Ntlm);
            self.0.lock().expect("no panic").push("session");
            self.1.then(|| ChallengeDisposition::UseCredential(Some(me("secret"))))
        }

        fn did_receive_challenge(&self, _: &TaskEvent<'_>, _: &Challenge) -> ChallengeDisposition {
            self.0.lock().expect("no panic").push("task");
            ChallengeDisposition::UseCredential(Some(me("secret")))
        }
    }
    let server = Server::start(by_connection);
    for (session_answers, expected) in [(true, vec!["session"]), (false, vec!["session", "task"])] {
        let both = Both(Arc::default(), session_answers);
        let configuration = configuration_for(&server).authentication_scheme(TwoSteps::default());
        let session = Session::builder().configuration(configuration).delegate(both.clone()).build();
        let task = session.data_task(server.url("/"));
        assert_eq!(task.wait().expect("a response").status(), 200);
        assert_eq!(*both.0.lock().expect("no panic"), expected);
    }
}

/// Tokens both ways: the server proves itself in the answer that counts.
#[derive(Clone)]
struct Mutual {
    proof: &'static str,
}

impl AuthenticationScheme for Mutual {
    fn name(&self) -> &str {
        "Negotiate"
    }

    fn has_own_credentials(&self) -> bool {
        true
    }

    fn begin(&self, _: &ProtectionSpace, _: Option<&Credential>) -> Result<Box<dyn AuthenticationExchange>> {
        Ok(Box::new(self.clone()))
    }
}

impl AuthenticationExchange for Mutual {
    fn respond(
        &mut self,
        challenge: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep> {
        match challenge {
            Some("") => {
                let value = HeaderValue::from_static("Negotiate dGlja2V0");
                Ok(AuthenticationStep::authorize(request, value))
            }
            _ => Ok(AuthenticationStep::GiveUp),
        }
    }

    fn finish(&mut self, challenge: Option<&str>) -> Result<()> {
        match challenge {
            Some(proof) if proof == self.proof => Ok(()),
            _ => Err(Error::new(ErrorKind::UserAuthenticationRequired, "the server proved nothing")),
        }
    }
}

#[test]
fn a_server_may_have_to_prove_itself() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Negotiate dGlja2V0") => Reply::ok("in").header("WWW-Authenticate", "Negotiate cHJvb2Y="),
        _ => Reply::status(401).header("WWW-Authenticate", "Negotiate, Basic realm=\"x\""),
    });
    let load = |proof| {
        let configuration = configuration_for(&server).authentication_scheme(Mutual { proof });
        Session::new(configuration).data_task(server.url("/")).wait()
    };
    assert_eq!(load("cHJvb2Y=").expect("a response").status(), 200);
    let error = load("b3RoZXI=").expect_err("no proof");
    assert_eq!(error.kind(), ErrorKind::UserAuthenticationRequired);
    assert!(error.to_string().contains("proved nothing"), "{error}");
}

/// Signs every request to one host.
#[derive(Clone)]
struct Signer {
    port: u16,
}

impl AuthenticationScheme for Signer {
    fn name(&self) -> &str {
        "Sum"
    }

    fn signs_every_request(&self, space: &ProtectionSpace) -> bool {
        space.port() == self.port
    }

    fn has_own_credentials(&self) -> bool {
        true
    }

    fn begin(&self, _: &ProtectionSpace, _: Option<&Credential>) -> Result<Box<dyn AuthenticationExchange>> {
        Ok(Box::new(self.clone()))
    }
}

impl AuthenticationExchange for Signer {
    fn respond(
        &mut self,
        _: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep> {
        let Some(body) = request.body() else {
            return Err(Error::new(ErrorKind::RequestBodyFailed, "what is to be signed has to be in memory"));
        };
        let sum: u32 = body.iter().map(|&byte| u32::from(byte)).sum();
        let mut headers = HeaderMap::new();
        let add = |headers: &mut HeaderMap, name: &'static str, value: String| {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).expect("a value"));
        };
        let own = request.headers().get("x-own").and_then(|value| value.to_str().ok()).unwrap_or_default();
        add(
            &mut headers,
            "authorization",
            format!("Sum {} {} {sum} {own}", request.method(), request.url().path()),
        );
        add(&mut headers, "x-sum", sum.to_string());
        Ok(AuthenticationStep::Send(headers))
    }
}

#[test]
fn every_request_is_signed_as_it_is_sent() {
    let server = Server::start(|request| match request.path() {
        "/old" => Reply::redirect(307, "/new"),
        _ => Reply::ok(request.header("authorization").unwrap_or_default().to_owned()),
    });
    let other =
        Server::start(|request| Reply::ok(request.header("authorization").unwrap_or("none").to_owned()));
    let configuration = configuration_for(&server).authentication_scheme(Signer { port: server.port() });
    let session = Session::new(configuration.additional_header("x-own", "mine"));
    let signed = |request: Request| {
        let response = session.data_task(request).wait().expect("a response");
        response.text().expect("text").into_owned()
    };
    assert_eq!(signed(Request::post(server.url("/old")).body("\x01\x02")), "Sum POST /new 3 mine");
    assert_eq!(signed(Request::get(server.url("/a"))), "Sum GET /a 0 mine");
    let sums: Vec<_> =
        server.requests().iter().filter_map(|request| request.header("x-sum").map(str::to_owned)).collect();
    assert_eq!(sums, ["3", "3", "0"]);
    assert_eq!(signed(Request::get(server.url("/")).header("authorization", "Own")), "Own");
    assert_eq!(signed(Request::get(other.url("/"))), "none");
    let streamed = Request::post(server.url("/")).body(Body::reader(&b"x"[..]));
    let error = session.data_task(streamed).wait().expect_err("cannot be signed");
    assert_eq!(error.kind(), ErrorKind::RequestBodyFailed);
}

#[test]
fn a_scheme_that_panics_fails_its_task() {
    struct Panics;
    impl AuthenticationScheme for Panics {
        fn name(&self) -> &str {
            "Panics"
        }

        fn signs_every_request(&self, _: &ProtectionSpace) -> bool {
            true
        }

        fn begin(
            &self,
            _: &ProtectionSpace,
            _: Option<&Credential>,
        ) -> Result<Box<dyn AuthenticationExchange>> {
            panic!("on purpose")
        }
    }
    let server = Server::start(|_| Reply::ok(""));
    let session = Session::new(Configuration::ephemeral().authentication_scheme(Panics));
    let error = session.data_task(server.url("/")).wait().expect_err("failed");
    assert_eq!(error.kind(), ErrorKind::UserAuthenticationRequired);
    assert!(error.to_string().contains("panicked"), "{error}");
}
