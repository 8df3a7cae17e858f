//! Authentication: who is asked when a server wants to know who we are, what the request then goes out
//! with, and what is remembered (SPEC A10, B9; RFC 9110 section 11, RFC 7617).

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, mpsc};
use support::{Client, Received, Reply, Server, Way, configuration_for, every_way, over_both};
use urlsession::{
    AuthenticationMethod, Body, Bytes, Challenge, ChallengeDisposition, Configuration, Credential,
    CredentialStorage, Delegate, DelegateQueue, DownloadRequest, ErrorKind, Persistence, ProtectionSpace,
    Request, Response, Session, TaskEvent,
};

/// `Basic` for `me:secret`.
const GOOD: &str = "Basic bWU6c2VjcmV0";

/// Lets in who has the password, and echoes what came.
fn guarded(request: &Received) -> Reply {
    if request.header("authorization") == Some(GOOD) {
        return Reply::ok(format!("{} {} {}", request.method, request.target, request.text()));
    }
    Reply::status(401).header("WWW-Authenticate", "Basic realm=\"staff\"").body("who are you?")
}

fn me(password: &str, persistence: Persistence) -> Credential {
    Credential::new("me", password, persistence)
}

/// Answers challenges from a list, and notes them.
#[derive(Clone, Default)]
struct Answers(Arc<State>);

#[derive(Default)]
struct State {
    answers: Mutex<Vec<ChallengeDisposition>>,
    asked: Mutex<Vec<Challenge>>,
    /// What the session was asked, as against the task.
    session: Mutex<Vec<String>>,
    answers_for_session: Mutex<Option<ChallengeDisposition>>,
    body: Mutex<Option<Body>>,
}

impl Answers {
    fn new(answers: impl IntoIterator<Item = ChallengeDisposition>) -> Self {
        let state = State { answers: Mutex::new(answers.into_iter().collect()), ..State::default() };
        Answers(Arc::new(state))
    }

    fn asked(&self) -> Vec<Challenge> {
        self.0.asked.lock().expect("no panic").clone()
    }

    fn session(&self, configuration: Configuration) -> Session {
        Session::builder().configuration(configuration).delegate(self.clone()).build()
    }
}

impl Delegate for Answers {
    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
        let method = challenge.protection_space().authentication_method();
        if *method == AuthenticationMethod::ServerTrust {
            return Some(ChallengeDisposition::PerformDefaultHandling);
        }
        self.0.session.lock().expect("no panic").push(format!("{method:?}"));
        self.0.answers_for_session.lock().expect("no panic").clone()
    }

    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        self.0.asked.lock().expect("no panic").push(challenge.clone());
        let mut answers = self.0.answers.lock().expect("no panic");
        if answers.is_empty() { ChallengeDisposition::PerformDefaultHandling } else { answers.remove(0) }
    }

    fn need_new_body_stream(&self, _: &TaskEvent<'_>) -> Option<Body> {
        self.0.body.lock().expect("no panic").take()
    }
}

fn use_it(credential: Credential) -> ChallengeDisposition {
    ChallengeDisposition::UseCredential(Some(credential))
}

fn status_and_text(response: &Response<Bytes>) -> (u16, String) {
    (response.status().as_u16(), String::from_utf8_lossy(response.bytes()).into_owned())
}

#[test]
fn without_credentials_a_401_is_a_response() {
    every_way(guarded, |client| {
        let response = client.get("/").expect("a response");
        assert_eq!(status_and_text(&response), (401, "who are you?".into()));
        assert_eq!(client.server.requests().len(), 1);
    });
}

#[test]
fn a_401_that_asks_for_nothing_is_a_response_and_no_challenge() {
    for value in [None, Some(""), Some(",, ,"), Some("=x"), Some("Mystery realm=\"x\"")] {
        let server = Server::start(move |_| {
            let reply = Reply::status(401).body("no");
            value.map_or(reply.clone(), |value| reply.header("WWW-Authenticate", value))
        });
        let answers = Answers::new([use_it(me("secret", Persistence::None))]);
        let session = answers.session(configuration_for(&server));
        let request = Request::get(server.url("/")).credential(me("secret", Persistence::None));
        let response = session.data_task(request).wait().expect("a response");
        assert_eq!(response.status(), 401, "{value:?}");
        let asked: Vec<_> = answers.asked().iter().map(|c| c.protection_space().clone()).collect();
        assert!(asked.is_empty(), "{value:?}: {asked:?}");
    }
}

#[test]
fn the_delegate_gives_the_credential() {
    over_both(guarded, |server, _| {
        let answers = Answers::new([use_it(me("secret", Persistence::ForSession))]);
        let session = answers.session(configuration_for(server));
        let response = session.data_task(server.url("/a/b")).wait().expect("a response");
        assert_eq!(status_and_text(&response), (200, "GET /a/b ".into()));
        assert_eq!(server.accepted(), 1, "the connection is kept");
        let [challenge] = &answers.asked()[..] else { panic!("one challenge") };
        let space = challenge.protection_space();
        assert_eq!(space.host(), server.addr().ip().to_string().as_str());
        assert_eq!((space.port(), space.realm()), (server.port(), Some("staff")));
        assert_eq!(space.protocol(), server.url("/").split_once(':').expect("a URL").0);
        assert_eq!(*space.authentication_method(), AuthenticationMethod::Basic);
        assert!(
            space.is_server() && space.receives_credential_securely() == server.url("/").starts_with("https")
        );
        assert_eq!(challenge.previous_failure_count(), 0);
        assert_eq!(challenge.proposed_credential(), None);
        assert_eq!(challenge.failure_response().map(|head| head.status().as_u16()), Some(401));

        // From now on it is sent unasked, in its part of the server (RFC 7617, section 2.2).
        let response = session.data_task(server.url("/a/c")).wait().expect("a response");
        assert_eq!(response.status(), 200);
        assert_eq!(server.requests().len(), 3);
        let metrics = session.data_task(server.url("/a/b/d"));
        assert_eq!(metrics.wait().expect("a response").status(), 200);
        assert_eq!(metrics.metrics().expect("measured").transactions().len(), 1);
        // Elsewhere it is proposed.
        let response = session.data_task(server.url("/other")).wait().expect("a response");
        assert_eq!(response.status(), 200);
        let asked = answers.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].proposed_credential().and_then(Credential::user), Some("me"));
        session.invalidate_and_cancel();
    });
}

#[test]
fn a_credential_for_this_use_is_forgotten() {
    let server = Server::start(guarded);
    let once = use_it(me("secret", Persistence::None));
    let answers = Answers::new([once.clone(), once]);
    let session = answers.session(configuration_for(&server));
    for asked in 1..=2 {
        let response = session.data_task(server.url("/")).wait().expect("a response");
        assert_eq!((response.status().as_u16(), answers.asked().len()), (200, asked));
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_refused_credential_is_asked_about_again() {
    let server = Server::start(guarded);
    let answers = Answers::new([
        use_it(me("wrong", Persistence::ForSession)),
        use_it(me("wronger", Persistence::None)),
        ChallengeDisposition::RejectProtectionSpace,
    ]);
    let session = answers.session(configuration_for(&server));
    let response = session.data_task(server.url("/")).wait().expect("a response");
    assert_eq!(status_and_text(&response), (401, "who are you?".into()));
    let asked = answers.asked();
    let counts: Vec<_> = asked.iter().map(Challenge::previous_failure_count).collect();
    assert_eq!(counts, [0, 1, 2]);
    let shown: Vec<_> =
        asked.iter().map(|asked| asked.proposed_credential().and_then(Credential::password)).collect();
    assert_eq!(shown, [None, Some("wrong"), Some("wronger")]);
    assert_eq!(server.requests().len(), 3);
    // What was refused is not stored.
    let none = Answers::new([]).session(session.configuration());
    assert_eq!(none.data_task(server.url("/")).wait().expect("a response").status(), 401);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn default_handling_uses_a_credential_once() {
    let server = Server::start(guarded);
    let url = urlsession::Url::parse(&server.url("/")).expect("a URL");
    for (password, status) in [("secret", 200), ("wrong", 401)] {
        for has_delegate in [false, true] {
            let before = server.requests().len();
            let storage = CredentialStorage::in_memory();
            let host = url.host_str().expect("a host");
            let space = ProtectionSpace::new(host, server.port(), "http", AuthenticationMethod::Basic);
            storage.set_default(&space.with_realm("staff"), me(password, Persistence::ForSession));
            let configuration = configuration_for(&server).credential_storage(storage);
            let answers = Answers::new([]);
            let session =
                if has_delegate { answers.session(configuration) } else { Session::new(configuration) };
            let response = session.data_task(server.url("/")).wait().expect("a response");
            assert_eq!(response.status(), status, "{password}");
            assert_eq!(server.requests().len() - before, 2, "{password}");
            let asked = answers.asked();
            let expected = usize::from(has_delegate) * if status == 200 { 1 } else { 2 };
            assert_eq!(asked.len(), expected, "{password}");
            for (count, challenge) in asked.iter().enumerate() {
                assert_eq!(challenge.previous_failure_count() as usize, count);
                assert_eq!(challenge.proposed_credential().and_then(Credential::password), Some(password));
            }
        }
    }
}

#[test]
fn without_a_storage_nothing_is_remembered() {
    let server = Server::start(guarded);
    let session = Session::new(configuration_for(&server).credential_storage(None));
    let request = Request::get(server.url("/")).credential(me("secret", Persistence::ForSession));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 401);
}

#[test]
fn the_credential_of_a_request_is_used_when_it_is_asked_for() {
    every_way(guarded, |client| {
        let request = || Request::post(client.server.url("/x")).body("content");
        let good = request().credential(me("secret", Persistence::None));
        let response = client.send(good).expect("a response");
        assert_eq!(status_and_text(&response), (200, "POST /x content".into()));
        let requests = client.server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].header("authorization"), None);
        let bad = request().credential(me("wrong", Persistence::None));
        assert_eq!(client.send(bad).expect("a response").status(), 401);
        assert_eq!(client.server.requests().len(), 4);
    });
}

#[test]
fn credentials_of_the_url_are_sent_unasked_and_once() {
    every_way(guarded, |client| {
        let url = |user: &str| client.server.url("/").replacen("://", &format!("://{user}@"), 1);
        assert_eq!(client.send(url("me:secret")).expect("a response").status(), 200);
        assert_eq!(client.server.requests().len(), 1);
        assert_eq!(client.send(url("me:wrong")).expect("a response").status(), 401);
        assert_eq!(client.server.requests().len(), 2);
    });
}

#[test]
fn netrc_is_looked_at_when_asked_for() {
    let server = Server::start(guarded);
    let directory = support::Directory::new();
    let file = directory.path().join("netrc");
    let text = "machine other.example login x password y\nmachine 127.0.0.1 login me password secret\n";
    std::fs::write(&file, text).expect("written");
    let session = Session::new(configuration_for(&server).netrc(&file));
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 200);
    assert_eq!(server.requests().len(), 2, "nothing is sent unasked");
    // Who is named in the URL gets the password that belongs to him, or none.
    for (user, status) in [("me", 200), ("you", 401)] {
        let url = server.url("/").replacen("://", &format!("://{user}@"), 1);
        let session = Session::new(configuration_for(&server).netrc(&file));
        assert_eq!(session.data_task(url).wait().expect("a response").status(), status, "{user}");
    }
    let session = Session::new(configuration_for(&server));
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 401);
}

#[test]
fn the_delegate_sees_what_the_url_was_refused_with() {
    let server = Server::start(guarded);
    let answers = Answers::new([use_it(me("secret", Persistence::None))]);
    let session = answers.session(configuration_for(&server));
    let url = server.url("/").replacen("://", "://me:wr%6fng@", 1);
    assert_eq!(session.data_task(url).wait().expect("a response").status(), 200);
    let [challenge] = &answers.asked()[..] else { panic!("one challenge") };
    assert_eq!(challenge.previous_failure_count(), 1);
    assert_eq!(challenge.proposed_credential().and_then(Credential::password), Some("wrong"));
}

#[test]
fn what_a_delegate_may_answer() {
    let server = Server::start(guarded);
    let outcome = |answer: ChallengeDisposition| {
        let answers = Answers::new([answer]);
        let session = answers.session(configuration_for(&server));
        session.data_task(server.url("/")).wait()
    };
    let none = outcome(ChallengeDisposition::UseCredential(None)).expect("a response");
    assert_eq!(status_and_text(&none), (401, "who are you?".into()));
    let default = outcome(ChallengeDisposition::PerformDefaultHandling).expect("a response");
    assert_eq!(default.status(), 401);
    let cancelled = outcome(ChallengeDisposition::CancelChallenge).expect_err("cancelled");
    assert_eq!((cancelled.kind(), cancelled.code()), (ErrorKind::Cancelled, -999));
    let token = outcome(use_it(Credential::token("abc", Persistence::None))).expect_err("of no use");
    assert_eq!(token.kind(), ErrorKind::UserAuthenticationRequired);
    assert!(!token.to_string().contains("abc"), "{token}");
    let colon = outcome(use_it(Credential::new("a:b", "c", Persistence::None))).expect_err("malformed");
    assert!(colon.to_string().contains("colon"), "{colon}");
}

#[test]
fn the_strongest_comes_first_and_the_next_after_it() {
    let offers =
        ["Basic realm=\"b, \\\"c\\\"\"", "Bearer", "broken=", "DIGEST realm=d, nonce=\"n\", qop=\"auth\""];
    for joined in [false, true] {
        let server = Server::start(move |request| {
            if request.header("authorization") == Some(GOOD) {
                return Reply::ok("in");
            }
            if joined {
                return Reply::status(401).header("WWW-Authenticate", &offers.join(", "));
            }
            let reply = |reply: Reply, offer: &&str| reply.header("WWW-Authenticate", offer);
            offers.iter().fold(Reply::status(401), reply)
        });
        let next = ChallengeDisposition::RejectProtectionSpace;
        // In one list what is broken spoils the challenge that it stands in.
        let left = std::iter::repeat_n(next.clone(), if joined { 1 } else { 2 });
        let answers = Answers::new(left.chain([use_it(me("secret", Persistence::None))]));
        let session = answers.session(configuration_for(&server));
        let response = session.data_task(server.url("/")).wait().expect("a response");
        assert_eq!(response.status(), 200);
        let spaces: Vec<_> = answers
            .asked()
            .iter()
            .map(|asked| {
                let space = asked.protection_space();
                (space.authentication_method().clone(), space.realm().map(str::to_owned))
            })
            .collect();
        let expected = [
            (AuthenticationMethod::Digest, Some("d".to_owned())),
            (AuthenticationMethod::Bearer, None),
            (AuthenticationMethod::Basic, Some("b, \"c\"".to_owned())),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .filter(|(method, _)| !(joined && *method == AuthenticationMethod::Bearer))
            .collect();
        assert_eq!(spaces, expected, "joined: {joined}");
        assert_eq!(server.requests().len(), 2);

        // When all are left, the 401 is the response.
        let answers = Answers::new([next.clone(), next.clone(), next.clone()]);
        let session = answers.session(configuration_for(&server));
        assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 401);
        assert_eq!(answers.asked().len(), spaces.len());
    }
}

#[test]
fn a_bearer_token_answers_its_challenge() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer abc.def") => Reply::ok("in"),
        _ => Reply::status(401).header("WWW-Authenticate", "Bearer realm=\"api\", error=\"invalid_token\""),
    });
    let session = Session::new(configuration_for(&server));
    let answers = Answers::new([ChallengeDisposition::RejectProtectionSpace]);
    let refused = answers.session(configuration_for(&server)).data_task(server.url("/")).wait();
    assert_eq!(refused.expect("a response").status(), 401);
    assert_eq!(answers.asked()[0].parameter("error"), Some("invalid_token"));
    let token = Credential::token("abc.def", Persistence::ForSession);
    let request = || Request::get(server.url("/v1/items")).credential(token.clone());
    assert_eq!(session.data_task(request()).wait().expect("a response").status(), 200);
    assert_eq!(session.data_task(server.url("/v1/more")).wait().expect("a response").status(), 200);
    assert_eq!(server.requests().len(), 4, "the second is sent with the token unasked");
}

#[test]
fn nothing_is_said_to_other_hosts() {
    let server = Server::start(|request| match (request.path(), request.header("authorization")) {
        ("/elsewhere", Some(_)) => Reply::status(400).body("it was told"),
        ("/elsewhere", None) => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"staff\""),
        (_, Some(GOOD)) => Reply::redirect(302, request.query().unwrap_or_default()),
        _ => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"staff\""),
    });
    let everywhere_here = Arc::new(|_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]));
    let session = Session::new(configuration_for(&server).resolver(everywhere_here));
    let to = format!("http://other.localhost:{}/elsewhere", server.port());
    let url = server.url(&format!("/?{to}"));
    let credential = me("secret", Persistence::ForSession);
    let response = session.data_task(Request::get(url).credential(credential)).wait().expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(response.url().host_str(), Some("other.localhost"));
    // Within the same origin it goes along.
    let within = server.url(&format!("/?{}", server.url("/?/done")));
    let credential = me("secret", Persistence::None);
    let session = Session::new(configuration_for(&server).redirect_limit(1));
    let before = server.requests().len();
    let error = session.data_task(Request::get(within).credential(credential)).wait().expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::HttpTooManyRedirects);
    let sent: Vec<_> =
        server.requests()[before..].iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(sent, [false, true, true]);
}

#[test]
fn a_body_that_is_used_up_is_asked_for_again() {
    let server = Server::start(guarded);
    let reader = || Body::reader(&b"streamed"[..]);
    let answers = Answers::new([use_it(me("secret", Persistence::None))]);
    *answers.0.body.lock().expect("no panic") = Some(reader());
    let session = answers.session(configuration_for(&server));
    let response = session.upload_task(Request::put(server.url("/")), reader()).wait().expect("a response");
    assert_eq!(status_and_text(&response), (200, "PUT / streamed".into()));

    let answers = Answers::new([use_it(me("secret", Persistence::None))]);
    let session = answers.session(configuration_for(&server));
    let error =
        session.upload_task(Request::put(server.url("/")), reader()).wait().expect_err("none is left");
    assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted);
}

#[test]
fn downloads_authenticate() {
    let server = Server::start(guarded);
    let session = Session::new(configuration_for(&server));
    let request = Request::get(server.url("/f")).credential(me("secret", Persistence::None));
    let file = session.download_task(DownloadRequest::new(request)).wait().expect("a file").into_body();
    assert_eq!(std::fs::read_to_string(file.path()).expect("read"), "GET /f ");
}

#[test]
fn an_authorization_of_the_users_own_goes_first_and_is_replaced_when_refused() {
    let server = Server::start(guarded);
    let answers = Answers::new([use_it(me("secret", Persistence::None))]);
    let session = answers.session(configuration_for(&server));
    let request = Request::get(server.url("/")).header("authorization", "Basic d3Jvbmc=");
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
    assert_eq!(answers.asked()[0].previous_failure_count(), 0, "it was no credential of ours");
    let requests = server.requests();
    assert_eq!(requests[0].header_values("authorization"), ["Basic d3Jvbmc="]);
    assert_eq!(requests[1].header_values("authorization"), [GOOD]);
}

#[test]
fn an_answer_may_take_its_time() {
    let server = Server::start(guarded);
    let queue = DelegateQueue::manual();
    let answers = Answers::new([use_it(me("secret", Persistence::None))]);
    let session = Session::builder()
        .configuration(configuration_for(&server))
        .delegate(answers)
        .delegate_queue(queue.clone())
        .build();
    let task = session.data_task(server.url("/"));
    task.resume();
    server.wait_for_requests(1, support::PATIENCE);
    while !task.state().eq(&urlsession::TaskState::Completed) {
        queue.run_next(support::PATIENCE);
    }
    assert_eq!(task.wait().expect("a response").status(), 200);
}

#[test]
fn a_task_can_be_cancelled_while_it_is_asked_about() {
    struct Asked(mpsc::SyncSender<()>, Mutex<mpsc::Receiver<()>>);
    impl Delegate for Asked {
        fn did_receive_challenge(&self, _: &TaskEvent<'_>, _: &Challenge) -> ChallengeDisposition {
            self.0.send(()).expect("the test waits");
            self.1.lock().expect("no panic").recv().expect("the test says when");
            use_it(me("secret", Persistence::None))
        }
    }
    let server = Server::start(guarded);
    let ((asking, asked), (answer, answers)) = (mpsc::sync_channel(1), mpsc::sync_channel(1));
    let delegate = Asked(asking, Mutex::new(answers));
    let session = Session::builder().configuration(configuration_for(&server)).delegate(delegate).build();
    let task = session.data_task(server.url("/"));
    task.resume();
    asked.recv().expect("asked");
    task.cancel();
    assert_eq!(task.error().expect("settled").kind(), ErrorKind::Cancelled);
    answer.send(()).expect("the delegate waits");
    assert_eq!(task.wait().expect_err("cancelled").kind(), ErrorKind::Cancelled);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn passwords_are_in_no_message() {
    let server =
        Server::start(|_| Reply::status(401).header("WWW-Authenticate", "Basic realm=\"s\"").close());
    let mut server = server;
    let session = Session::new(configuration_for(&server));
    let request = Request::get(server.url("/")).credential(me("hidden-word", Persistence::None));
    assert!(!format!("{request:?}").contains("hidden-word"));
    let task = session.data_task(request);
    assert_eq!(task.wait().expect("a response").status(), 401);
    assert!(!format!("{:?} {:?}", task, task.metrics()).contains("hidden-word"));
    server.stop_listening();
    let url = server.url("/").replacen("://", "://me:hidden-word@", 1);
    let error = session.data_task(url).wait().expect_err("nobody there");
    assert!(!format!("{error} {error:?}").contains("hidden-word"), "{error}");
}

#[test]
fn all_ways_of_waiting_are_the_same() {
    let server = Server::start(guarded);
    for way in support::WAYS {
        if way == Way::Delegate {
            continue;
        }
        let answers = Answers::new([use_it(me("secret", Persistence::None))]);
        let session = answers.session(configuration_for(&server));
        let client = Client { server: &server, session, way };
        assert_eq!(client.get("/").expect("a response").status(), 200, "{way:?}");
        assert_eq!(answers.asked().len(), 1, "{way:?}");
    }
}
