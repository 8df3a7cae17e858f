//! What once went wrong with who we are and whom we trust: a test for each, named for what it guards.
#![cfg(feature = "tls")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{
    At, Directory, Fault, Gate, Mishap, PATIENCE, Received, Reply, Resource, Resumable, Server, TwoSteps,
    by_connection, configuration_for,
};
use urlsession::{
    AuthenticationMethod, Challenge, ChallengeDisposition, Configuration, Credential, CredentialStorage,
    DataTask, Delegate, DelegateQueue, DownloadRequest, Persistence, ProtectionSpace, RedirectDecision,
    Request, ResponseHead, Session, TaskEvent,
};

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
        // Who gets no parts asks for the whole.
        if count.fetch_add(1, Ordering::SeqCst) == 0 || request.header("range").is_none() {
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

fn asks(what: &str) -> Reply {
    Reply::status(401).header("WWW-Authenticate", what).body("who are you?")
}

fn connections(server: &Server) -> Vec<usize> {
    server.requests().iter().map(|request| request.connection).collect()
}

/// Some servers authenticate a connection and refuse what is asked for over it, both with 401.
#[test]
fn a_connection_that_was_refused_as_somebody_is_for_nobody_else() {
    let server = Server::start(by_connection);
    let session = Session::new(configuration_for(&server).authentication_scheme(TwoSteps::default()));
    let request = Request::get(server.url("/")).credential(me("wrong", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 401);
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 401);
    assert_eq!(connections(&server), [0, 0, 0, 1]);
}

/// The answer to what a server said on one connection makes no sense on another one.
#[test]
fn a_connection_that_is_closed_between_two_messages_begins_them_anew() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        1 => by_connection(request).close(),
        _ => by_connection(request),
    });
    let scheme = TwoSteps::default();
    let session = Session::new(configuration_for(&server).authentication_scheme(scheme.clone()));
    let request = Request::get(server.url("/")).credential(me("secret", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
    assert_eq!(connections(&server), [0, 0, 1, 1]);
    assert_eq!(scheme.begun.load(Ordering::SeqCst), 2);

    // Once, and then the next that the server offers.
    let server = Server::start(|request| match request.header("authorization") {
        Some(GOOD) => Reply::ok("welcome"),
        _ => by_connection(request).header("WWW-Authenticate", "Basic realm=\"staff\"").close(),
    });
    let session = Session::new(configuration_for(&server).authentication_scheme(scheme));
    let request = Request::get(server.url("/")).credential(me("secret", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
    assert!(server.requests().len() <= 6, "{}", server.requests().len());
}

/// A connection that is kept for the next message is for its server, wherever the task goes meanwhile.
#[test]
fn a_kept_connection_carries_nothing_for_other_servers() {
    let elsewhere = Server::start(|_| Reply::ok("elsewhere"));
    let to = elsewhere.url("/file");
    let (held, seen) = (Gate::new(), Gate::new());
    let (hold, see) = (held.clone(), seen.clone());
    let here = Server::start(move |request| match request.header("authorization") {
        Some("NTLM one") => {
            see.open();
            by_connection(request).then(Fault::Gate(hold.clone()))
        }
        _ if request.header("x-plain").is_some() => {
            // For this user too, whoever has asked.
            Reply::redirect(301, &to).header("Cache-Control", "public, max-age=1000")
        }
        _ => by_connection(request),
    });
    let session = Session::new(configuration_for(&here).authentication_scheme(TwoSteps::default()));
    let request = Request::get(here.url("/")).credential(me("secret", Persistence::None));
    let task = session.data_task(request);
    task.resume();
    assert!(seen.pass());
    // Another task learns where the resource is by now.
    let request = Request::get(here.url("/")).credential(me("secret", Persistence::None));
    let other = session.data_task(request.header("x-plain", "1"));
    assert_eq!(other.wait().expect("a response").text().expect("text"), "elsewhere");
    held.open();
    assert_eq!(task.wait().expect("a response").text().expect("text"), "elsewhere");
    assert!(here.requests().iter().all(|request| request.path() == "/"), "{:?}", here.requests());
}

/// Answers challenges by their realm, and notes them.
#[derive(Clone)]
struct Realms {
    passwords: &'static [(&'static str, &'static str)],
    persistence: Persistence,
    asked: Arc<Mutex<Vec<Challenge>>>,
}

impl Realms {
    fn new(passwords: &'static [(&'static str, &'static str)], persistence: Persistence) -> Self {
        Realms { passwords, persistence, asked: Arc::default() }
    }

    fn session(&self, configuration: Configuration) -> Session {
        Session::builder().configuration(configuration).delegate(self.clone()).build()
    }

    /// Realm, failures, and the user that is proposed.
    fn asked(&self) -> Vec<(String, u32, Option<String>)> {
        let asked = self.asked.lock().expect("no panic");
        let short = |challenge: &Challenge| {
            let proposed = challenge.proposed_credential().and_then(|credential| credential.password());
            let realm = challenge.protection_space().realm().unwrap_or_default().to_owned();
            (realm, challenge.previous_failure_count(), proposed.map(str::to_owned))
        };
        asked.iter().map(short).collect()
    }
}

impl Delegate for Realms {
    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        self.asked.lock().expect("no panic").push(challenge.clone());
        let realm = challenge.protection_space().realm();
        match self.passwords.iter().find(|(known, _)| Some(*known) == realm) {
            Some((_, password)) => ChallengeDisposition::UseCredential(Some(me(password, self.persistence))),
            None => ChallengeDisposition::PerformDefaultHandling,
        }
    }
}

/// What is right for the paths above is no failure below, where another realm begins, nor wrong above from then on.
#[test]
fn a_realm_within_another_one_counts_for_itself() {
    let server = Server::start(|request| {
        let (realm, good) = match request.path().starts_with("/a/b/") {
            true => ("inner", "Basic bWU6b3RoZXI="),
            false => ("outer", GOOD),
        };
        match request.header("authorization") {
            Some(answer) if answer == good => Reply::ok("welcome"),
            _ => asks(&format!("Basic realm=\"{realm}\"")),
        }
    });
    let realms = Realms::new(&[("outer", "secret"), ("inner", "other")], Persistence::ForSession);
    let session = realms.session(configuration_for(&server));
    let get = |path: &str| session.data_task(server.url(path)).wait().expect("a response").status();
    for path in ["/a/x", "/a/b/x", "/a/y", "/a/b/y"] {
        assert_eq!(get(path), 200, "{path}");
    }
    assert_eq!(realms.asked(), [("outer".into(), 0, None), ("inner".into(), 0, None)]);
    assert_eq!(server.requests().len(), 6, "each is asked about once");
}

/// Resume data have no credentials: who goes on with an upload is asked for them by the upload resource.
#[test]
fn an_upload_resource_that_wants_to_know_who_we_are_is_told() {
    let content = support::pattern(3_000_000);
    for password in ["secret", "wrong"] {
        let resumable = Resumable::new().then(Mishap::CutAfter(500_000));
        let upload = resumable.handler();
        let server = Server::start(move |request| match request.header("authorization") {
            Some(GOOD) => upload(request),
            _ if request.path() == "/" => upload(request),
            _ => who_are_you(),
        });
        let realms = match password {
            "secret" => Realms::new(&[("staff", "secret")], Persistence::None),
            _ => Realms::new(&[], Persistence::None),
        };
        let session = realms.session(configuration_for(&server));
        let request = Request::put(server.url("/")).resumable_upload(true);
        let result = session.upload_task(request, content.clone()).wait();
        assert_eq!(realms.asked(), [("staff".to_owned(), 0, None)], "{password}");
        if password == "secret" {
            assert_eq!(result.expect("a response").status(), 200);
            assert_eq!(resumable.uploads()[0].content, content);
        } else {
            result.expect_err("nobody says who we are");
        }
        assert!(resumable.violations().is_empty(), "{:?}", resumable.violations());
    }
}

/// A request with a credential of its own is that user's, whoever was there before.
#[test]
fn a_request_that_is_one_users_does_not_go_out_as_another_one() {
    let server = Server::start(|request| match request.header("authorization") {
        Some(GOOD) => Reply::ok("me"),
        Some("Basic eW91Om90aGVy") => Reply::ok("you"),
        _ => who_are_you(),
    });
    let session = Session::new(configuration_for(&server));
    let you = Credential::new("you", "other", Persistence::ForSession);
    let users = [me("secret", Persistence::ForSession), you];
    for (user, name) in users.iter().cycle().zip(["me", "you", "me", "you"]) {
        let request = Request::get(server.url("/")).credential(user.clone());
        assert_eq!(session.data_task(request).wait().expect("a response").text().expect("text"), name);
    }
    // Who says nothing is the last one, and who says the same is not asked.
    let before = server.requests().len();
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").text().expect("text"), "you");
    let request =
        Request::get(server.url("/")).credential(users[1].clone().with_persistence(Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").text().expect("text"), "you");
    assert_eq!(server.requests().len(), before + 2);

    // So it is with the one that a configuration names.
    let storage = CredentialStorage::in_memory();
    let session = Session::new(configuration_for(&server).credential_storage(storage.clone()));
    let request = Request::get(server.url("/")).credential(users[1].clone());
    assert_eq!(session.data_task(request).wait().expect("a response").text().expect("text"), "you");
    let directory = Directory::new();
    std::fs::write(directory.join("netrc"), "default login me password secret").expect("written");
    let configuration = configuration_for(&server).netrc(directory.join("netrc"));
    let session = Session::new(configuration.credential_storage(storage));
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").text().expect("text"), "me");
}

/// A 401 is about who has asked: nobody else is told the same from the cache.
#[test]
fn a_401_is_not_stored() {
    let server = Server::start(|request| match request.header("authorization") {
        Some(GOOD) => Reply::ok("welcome"),
        _ => who_are_you().header("Cache-Control", "max-age=1000"),
    });
    let session = Session::new(configuration_for(&server));
    assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 401);
    let request = Request::get(server.url("/")).credential(me("secret", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
}

/// What a server says beside its challenge is of no interest, and so is that it breaks off.
#[test]
fn a_challenge_whose_body_breaks_off_is_one() {
    for fault in [Fault::CloseAfter(3), Fault::ResetAfter(3)] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
            0 => by_connection(request).then(fault.clone()),
            _ => by_connection(request),
        });
        let session = Session::new(configuration_for(&server).authentication_scheme(TwoSteps::default()));
        let request = Request::get(server.url("/")).credential(me("secret", Persistence::None));
        assert_eq!(session.data_task(request).wait().expect("a response").status(), 200);
        assert_eq!(connections(&server), [0, 1, 1]);
    }
}

/// However many tasks meet the first challenge together, and whatever becomes of them meanwhile: each ends, and each
/// as it has to.
#[test]
fn many_tasks_at_the_first_challenge() {
    for queue in [
        DelegateQueue::serial(),
        DelegateQueue::inline(),
        DelegateQueue::from_fn(|run| drop(std::thread::spawn(run))),
    ] {
        let server = Server::start(|request| match request.header("authorization") {
            Some(GOOD) => Reply::ok(request.text()),
            _ => who_are_you(),
        });
        let realms = Realms::new(&[("staff", "secret")], Persistence::ForSession);
        let builder = Session::builder().configuration(configuration_for(&server)).delegate(realms.clone());
        let session = builder.delegate_queue(queue).build();
        let tasks: Vec<_> = (0..200)
            .map(|number| session.data_task(Request::put(server.url("/")).body(number.to_string())))
            .collect();
        tasks.iter().for_each(DataTask::resume);
        for (number, task) in tasks.iter().enumerate() {
            match number % 4 {
                1 => task.cancel(),
                2 => task.suspend(),
                _ => {}
            }
        }
        tasks.iter().skip(2).step_by(4).for_each(DataTask::resume);
        for (number, task) in tasks.iter().enumerate() {
            match task.wait() {
                Ok(response) => {
                    assert_eq!(response.status(), 200);
                    assert_eq!(response.text().expect("text"), number.to_string());
                }
                Err(error) => assert!(number % 4 == 1 && error.is_cancelled(), "{number}: {error}"),
            }
        }
        assert!(realms.asked().iter().all(|(_, failures, _)| *failures == 0));
        // The connections serve those who come later.
        assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 200);
        session.invalidate_and_cancel();
    }
}

/// A session that ends while its delegate is asked ends.
#[test]
fn a_session_can_end_while_it_is_asked_who_it_is() {
    let server = Server::start(|_| who_are_you());
    let queue = DelegateQueue::manual();
    let realms = Realms::new(&[("staff", "secret")], Persistence::ForSession);
    let builder = Session::builder().configuration(configuration_for(&server)).delegate(realms.clone());
    let session = builder.delegate_queue(queue.clone()).build();
    let tasks: Vec<_> = (0..20).map(|_| session.data_task(server.url("/"))).collect();
    tasks.iter().for_each(DataTask::resume);
    server.wait_for_requests(6, PATIENCE);
    session.invalidate_and_cancel();
    // A session lets go of its delegate when it has told that it has ended.
    while session.delegate().is_some() {
        assert!(queue.run_next(PATIENCE), "there is more to tell");
    }
    for task in &tasks {
        assert!(task.wait().expect_err("cancelled").is_cancelled());
    }
    assert!(realms.asked().is_empty(), "nobody is asked for those who are gone");
    server.wait_for_open_connections(0, PATIENCE);
}

/// Sends each redirect on with a credential for where it leads.
struct Introducing(Credential);

impl Delegate for Introducing {
    fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, request: Request) -> RedirectDecision {
        match request.get_url().is_some_and(|url| url.path() == "/introduced") {
            true => RedirectDecision::Follow(request.credential(self.0.clone())),
            false => RedirectDecision::Follow(request),
        }
    }
}

/// What a delegate gives a redirect along is for where that leads, and not for where the task began.
#[test]
fn a_credential_that_a_delegate_adds_is_for_where_the_redirect_leads() {
    let back = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&back);
    let elsewhere = Server::start(move |request| match request.header("authorization") {
        Some("Basic eW91Om90aGVy") => Reply::redirect(302, &to.lock().expect("no panic")),
        _ => who_are_you(),
    });
    let to = elsewhere.url("/introduced");
    let here = Server::start(move |request| match request.path() {
        "/" => Reply::redirect(302, &to),
        _ => who_are_you(),
    });
    *back.lock().expect("no panic") = here.url("/back");
    let delegate = Introducing(Credential::new("you", "other", Persistence::None));
    let session = Session::builder().configuration(configuration_for(&here)).delegate(delegate).build();
    let response = session.data_task(here.url("/")).wait().expect("a response");
    assert_eq!((response.status().as_u16(), response.url().path()), (401, "/back"));
    assert_eq!(told(&elsewhere).len(), 1);
    assert!(told(&here).is_empty());
}

/// How long a credential is kept makes it no other one for the server that has refused it, and that may count.
#[test]
fn a_refused_credential_is_not_used_again_because_it_is_kept_elsewhere() {
    let server = Server::start(|_| who_are_you());
    let storage = CredentialStorage::in_memory();
    let space = ProtectionSpace::new("127.0.0.1", server.port(), "http", AuthenticationMethod::Basic);
    storage.set(&space.with_realm("staff"), me("wrong", Persistence::Permanent));
    let directory = Directory::new();
    std::fs::write(directory.join("netrc"), "default login me password wrong").expect("written");
    let configuration = configuration_for(&server).netrc(directory.join("netrc")).credential_storage(storage);
    let session = Session::new(configuration);
    let request = Request::get(server.url("/")).credential(me("wrong", Persistence::None));
    assert_eq!(session.data_task(request).wait().expect("a response").status(), 401);
    assert_eq!(told(&server).len(), 1);
    let url = server.url("/").replace("http://", "http://me:wrong@");
    assert_eq!(session.data_task(url).wait().expect("a response").status(), 401);
    assert_eq!(told(&server).len(), 2);
}

/// A server that is out of order has not looked at the credential, and what is known to be right stays so.
#[test]
fn a_server_that_is_out_of_order_makes_no_credential_right() {
    for status in [503, 429] {
        let server = Server::start(move |request| match request.header("authorization") {
            Some(GOOD) => Reply::ok("welcome"),
            Some(_) => Reply::status(status),
            None => who_are_you(),
        });
        let storage = CredentialStorage::in_memory();
        let space = ProtectionSpace::new("127.0.0.1", server.port(), "http", AuthenticationMethod::Basic);
        let space = space.with_realm("staff");
        storage.set(&space, me("secret", Persistence::ForSession));
        let session = Session::new(configuration_for(&server).credential_storage(storage.clone()));
        let wrong = Credential::new("you", "wrong", Persistence::ForSession);
        let request = Request::get(server.url("/")).credential(wrong);
        assert_eq!(session.data_task(request).wait().expect("a response").status().as_u16(), status);
        assert_eq!(storage.default_credential(&space), Some(me("secret", Persistence::ForSession)));
        assert_eq!(session.data_task(server.url("/")).wait().expect("a response").status(), 200);
    }
}

/// Gets a token from another place, which wants to know who we are too.
struct Fetching {
    session: Mutex<Option<Session>>,
    token: String,
}

impl Delegate for Fetching {
    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        if *challenge.protection_space().authentication_method() == AuthenticationMethod::Basic {
            return ChallengeDisposition::UseCredential(Some(me("secret", Persistence::None)));
        }
        let session = self.session.lock().expect("no panic").clone();
        let token = session.and_then(|session| session.data_task(self.token.as_str()).wait().ok());
        let token = token.and_then(|response| response.text().ok().map(|text| text.into_owned()));
        ChallengeDisposition::UseCredential(
            token.map(|token| Credential::token(token, Persistence::ForSession)),
        )
    }
}

/// A delegate that asks somebody else before it answers may be asked about that meanwhile, and the tasks that wait
/// for it do not keep the connections that it takes.
#[test]
fn a_delegate_may_fetch_what_it_answers_with() {
    let server = Server::start(|request| match (request.path(), request.header("authorization")) {
        ("/token", Some(GOOD)) => Reply::ok("token"),
        ("/token", _) => who_are_you(),
        (_, Some("Bearer token")) => Reply::ok("welcome"),
        _ => asks("Bearer realm=\"things\""),
    });
    let threads = DelegateQueue::from_fn(|run| drop(std::thread::spawn(run)));
    for queue in [DelegateQueue::serial(), DelegateQueue::inline(), threads] {
        let delegate = Arc::new(Fetching { session: Mutex::default(), token: server.url("/token") });
        let builder =
            Session::builder().configuration(configuration_for(&server)).delegate(Arc::clone(&delegate));
        let session = builder.delegate_queue(queue).build();
        *delegate.session.lock().expect("no panic") = Some(session.clone());
        let tasks: Vec<_> = (0..20).map(|_| session.data_task(server.url("/"))).collect();
        tasks.iter().for_each(DataTask::resume);
        for task in &tasks {
            assert_eq!(task.wait().expect("a response").text().expect("text"), "welcome");
        }
        session.invalidate_and_cancel();
        delegate.session.lock().expect("no panic").take();
    }
}

/// What comes with a challenge is delivered whole if nobody answers that, however it came.
#[test]
fn a_challenge_that_is_left_is_delivered_whole() {
    let body = support::pattern(300_000);
    for (length, method) in [(0, "GET"), (12, "GET"), (300_000, "GET"), (12, "HEAD")] {
        for is_chunked in [false, true] {
            let content = body[..length].to_vec();
            let server = Server::start(move |_| match is_chunked {
                false => who_are_you().body(content.clone()),
                true => who_are_you().chunks(content.clone().into(), 5000),
            });
            let realms = Realms::new(&[], Persistence::None);
            let session = realms.session(configuration_for(&server));
            let request = Request::new(method, server.url("/"));
            let response = session.data_task(request).wait().expect("a response");
            let expected = if method == "HEAD" { 0 } else { length };
            assert_eq!(
                (response.status().as_u16(), response.bytes().len()),
                (401, expected),
                "{method} {length}"
            );
            assert_eq!(response.bytes()[..], body[..expected]);
            assert_eq!(realms.asked().len(), 1);
        }
    }
}
