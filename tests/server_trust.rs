//! Who says whether a server is to be trusted: the rules, a delegate that is asked about each new
//! connection, and keys that are pinned.
#![cfg(feature = "tls")]

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::harness::{Recorder, Runner, aside, assert_cancelled, configuration, session_with, waiting};
use support::judge::{Judge, accept, cancel, default};
use support::{At, Ca, Certs, Fault, Gate, PATIENCE, Reply, Resource, Server, Tls, ca};
use urlsession::{
    AuthenticationMethod, Certificate, Challenge, ChallengeDisposition, Configuration, Credential, DataTask,
    Delegate, DelegateQueue, DomainException, DownloadRequest, Error, ErrorKind, HstsStorage, PinnedKeys,
    Request, Session, TaskEvent, TlsVersion, TransportSecurity,
};

const RUNNERS: [Runner; 2] = [Runner::Lender, Runner::Worker];

fn serving(tls: Tls) -> Server {
    Server::builder().tls(tls).start(|_| Reply::ok("secret"))
}

fn both_versions() -> [Tls; 2] {
    [Tls::new().only_tls12(), Tls::new().only_tls13()]
}

fn asking(judge: &Judge) -> Session {
    Session::builder().configuration(configuration()).delegate(judge.clone()).build()
}

/// The error without a delegate.
fn by_the_rules(server: &Server) -> Error {
    Session::new(configuration()).data_task(server.url("/")).wait().expect_err("a bad certificate")
}

/// GETs on a connection that is kept, and says whether it was another one's before.
fn get(session: &Session, url: &str) -> bool {
    let task = session.data_task(url);
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    task.metrics().expect("metrics").transactions()[0].is_reused_connection()
}

fn sha256(der: &[u8]) -> [u8; 32] {
    Certificate::from_der(der).public_key_sha256().expect("a certificate")
}

#[test]
fn whatever_is_wrong_with_a_server_a_delegate_may_accept_it() {
    for certs in [Certs::self_signed(), Certs::wrong_name(), Certs::expired(), Certs::unknown_ca()] {
        for tls in both_versions() {
            let server = serving(tls.certs(certs.clone()));
            let rules = by_the_rules(&server);
            for runner in RUNNERS {
                let judge = Judge::of_session(accept);
                let session = asking(&judge);
                let task = session.data_task(server.url("/"));
                assert_eq!(runner.start(&task).result().expect("a response").bytes(), "secret");
                let [challenge] = &judge.asked()[..] else { panic!("asked once") };
                assert_eq!((challenge.previous_failure_count(), challenge.proposed_credential()), (0, None));
                let space = challenge.protection_space();
                assert_eq!((space.host(), space.port()), ("127.0.0.1", server.port()));
                assert_eq!(space.protocol(), "https");
                assert_eq!(space.authentication_method(), &AuthenticationMethod::ServerTrust);
                assert!(space.is_server() && space.distinguished_names().is_empty());
                let trust = space.server_trust().expect("what the server shows");
                assert_eq!(trust.host(), "127.0.0.1");
                let shown: Vec<_> = trust.certificates().iter().map(|one| one.der().to_vec()).collect();
                let chain: Vec<_> = certs.chain.iter().map(|der| der.to_vec()).collect();
                assert_eq!(shown, chain);
                assert_eq!(trust.public_key_sha256(), [sha256(certs.leaf())]);
                let verdict = trust.evaluate().expect_err("the rules do not accept it");
                assert_eq!(verdict.kind(), rules.kind());
                assert!(rules.to_string().starts_with(verdict.to_string().split(" (").next().unwrap()));
            }
        }
    }
}

#[test]
fn every_other_answer_leaves_it_to_the_rules() {
    let good = serving(Tls::new());
    let bad = serving(Tls::new().certs(Certs::wrong_name()));
    let rules = by_the_rules(&bad);
    let stranger = Credential::new("me", "secret", urlsession::Persistence::ForSession);
    for answer in [
        ChallengeDisposition::PerformDefaultHandling,
        ChallengeDisposition::UseCredential(None),
        ChallengeDisposition::UseCredential(Some(stranger)),
        ChallengeDisposition::RejectProtectionSpace,
    ] {
        for runner in RUNNERS {
            let answer = answer.clone();
            let judge = Judge::of_session(move |_| answer.clone());
            let session = asking(&judge);
            let task = session.data_task(good.url("/"));
            assert_eq!(runner.start(&task).result().expect("a response").bytes(), "secret");
            let task = session.data_task(bad.url("/"));
            let error = runner.start(&task).result().expect_err("not for this host");
            assert_eq!((error.kind(), error.to_string()), (rules.kind(), rules.to_string()));
            let trust = error.server_trust().expect("what the server had shown");
            assert_eq!(trust, judge.asked()[1].protection_space().server_trust().unwrap());
        }
    }
    assert!(bad.requests().is_empty() && bad.handshakes().is_empty());
}

#[test]
fn errors_have_what_the_server_had_shown() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    let error = by_the_rules(&server);
    let trust = error.server_trust().expect("what the server had shown");
    assert_eq!(trust.host(), "127.0.0.1");
    assert_eq!(trust.evaluate().unwrap_err().kind(), error.kind());
    assert!(trust.evaluate().unwrap_err().server_trust().is_none());
    let nobody = Session::new(configuration()).data_task("https://127.0.0.1:1/").wait().unwrap_err();
    assert!(nobody.server_trust().is_none());
}

#[test]
fn a_good_server_that_is_not_wanted() {
    for tls in both_versions() {
        let server = serving(tls);
        for runner in RUNNERS {
            let judge = Judge::of_tasks(cancel);
            let session = asking(&judge);
            let task = session.data_task(server.url("/"));
            let result = runner.start(&task).result();
            assert!(result.as_ref().unwrap_err().server_trust().is_some());
            assert_cancelled(result);
            server.wait_for_open_connections(0, PATIENCE);
        }
        assert!(server.requests().is_empty());
        assert!(server.handshakes().is_empty(), "it never got our Finished");
    }
}

#[test]
fn nothing_is_said_while_the_delegate_ponders() {
    for tls in both_versions() {
        let server = serving(tls);
        for runner in RUNNERS {
            let before = server.handshakes().len();
            let gate = Gate::new();
            let of_delegate = gate.clone();
            let judge = Judge::of_session(move |challenge| {
                of_delegate.pass();
                accept(challenge)
            });
            // No worker is held meanwhile, either.
            let configuration = configuration().maximum_workers(1);
            let session = Session::builder().configuration(configuration).delegate(judge.clone()).build();
            let task = session.data_task(server.url("/"));
            let running = runner.start(&task);
            gate.wait_until_reached();
            let plain = Server::start(|_| Reply::ok("plain"));
            let other = session.data_task(plain.url("/"));
            other.resume();
            plain.wait_for_requests(1, PATIENCE);
            assert_eq!(server.handshakes().len(), before);
            gate.open();
            assert_eq!(running.result().expect("a response").bytes(), "secret");
            assert_eq!(server.handshakes().len(), before + 1);
        }
    }
}

#[test]
fn once_for_each_connection_that_is_not_resumed() {
    for tls in both_versions() {
        let server = serving(tls);
        let judge = Judge::of_session(default);
        let session = asking(&judge);
        assert!(!get(&session, &server.url("/")));
        assert!(get(&session, &server.url("/")));
        assert!(get(&session, &server.url("/")));
        assert_eq!(judge.count(), 1, "a connection that is reused is not asked about");
        session.flush();
        assert!(!get(&session, &server.url("/")));
        assert_eq!((server.resumed_handshakes(), judge.count()), (1, 1), "nor one that is resumed");
        session.reset();
        assert!(!get(&session, &server.url("/")));
        assert_eq!((server.resumed_handshakes(), judge.count()), (1, 2));
    }
}

#[test]
fn an_exception_is_not_resumed() {
    for tls in both_versions() {
        let server = serving(tls.certs(Certs::self_signed()));
        let judge = Judge::of_session(accept);
        let session = asking(&judge);
        for count in 1..=3 {
            assert!(!get(&session, &server.url("/")));
            assert!(get(&session, &server.url("/")), "but its connection is reused");
            assert_eq!(judge.count(), count);
            session.flush();
        }
        assert_eq!(server.resumed_handshakes(), 0);
    }
}

#[test]
fn the_trust_of_another_connection_does_not_count() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    let first = Mutex::new(None);
    let judge = Judge::of_session(move |challenge| {
        let mut first = first.lock().unwrap();
        let answer = first.get_or_insert_with(|| accept(challenge));
        answer.clone()
    });
    let session = asking(&judge);
    assert!(!get(&session, &server.url("/")));
    session.flush();
    let error = session.data_task(server.url("/")).wait().expect_err("that was another one");
    assert_eq!(error.kind(), ErrorKind::ServerCertificateUntrusted);
}

#[test]
fn the_session_is_asked_before_the_task() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    // The session's method first, also for a task with a delegate of its own.
    let (judge, own) = (Judge::of_session(accept), Judge::of_tasks(cancel));
    let task = asking(&judge).data_task(server.url("/"));
    assert!(task.set_delegate(own.clone()));
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    assert_eq!((judge.count(), own.count()), (1, 0));

    // What it does not implement: the task's own delegate, then that of the session.
    let (judge, own) = (Judge::of_tasks(cancel), Judge::of_tasks(accept));
    let session = asking(&judge);
    let task = session.data_task(server.url("/"));
    assert!(task.set_delegate(own.clone()));
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    assert_eq!((judge.count(), own.tasks()), (0, vec![Some(task.id())]));
    let task = session.data_task(server.url("/"));
    assert_cancelled(task.wait());
    assert_eq!(judge.tasks(), [Some(task.id())]);

    // A task's delegate is not asked as if it were the session's.
    let task = Session::new(configuration()).data_task(server.url("/"));
    assert!(task.set_delegate(Judge::of_session(accept)) && task.wait().is_err());
}

/// Implements no method about challenges, so that what comes after it does.
struct Bystander;
impl Delegate for Bystander {}

#[test]
fn an_exception_is_for_those_who_would_have_asked_the_same() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    let url = server.url("/");
    let refused = |task: &DataTask| {
        let error = task.wait().expect_err("nobody made an exception for it");
        assert_eq!(error.kind(), ErrorKind::ServerCertificateUntrusted, "{error}");
    };
    let with = |session: &Session, own: Judge| {
        let task = session.data_task(&url);
        assert!(task.set_delegate(own));
        task
    };

    // Of a task's own delegate: for this task, whose connection waits to be used again.
    let session = Session::new(configuration());
    let own = Judge::of_tasks(accept);
    assert_eq!(with(&session, own.clone()).wait().expect("a response").bytes(), "secret");
    assert_eq!(server.open_connections(), 1);
    refused(&session.data_task(&url));
    refused(&with(&session, Judge::of_tasks(default)));
    assert_eq!(with(&session, own.clone()).wait().expect("a response").bytes(), "secret");
    assert_eq!(own.count(), 2);
    session.flush();
    refused(&session.data_task(&url));

    // Of the session's delegate, asked as that of the tasks: for those that have no own.
    let judge = Judge::of_tasks(accept);
    let session = asking(&judge);
    assert!(!get(&session, &url));
    assert!(get(&session, &url));
    refused(&with(&session, Judge::of_tasks(default)));
    assert_eq!(judge.count(), 1);
    assert!(get(&session, &url), "what was of no use to the other is still there");

    // Of the session: for all.
    let judge = Judge::of_session(accept);
    let session = asking(&judge);
    assert!(!get(&session, &url));
    let task = session.data_task(&url);
    assert!(task.set_delegate(Bystander));
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    assert_eq!(with(&session, Judge::of_tasks(cancel)).wait().expect("a response").bytes(), "secret");
    assert_eq!(judge.count(), 1);

    // Another session knows nothing of any.
    assert!(by_the_rules(&server).to_string().contains("self-signed"));
    assert_eq!(server.resumed_handshakes(), 0);
}

#[test]
fn a_connection_by_the_rules_is_for_all() {
    let server = serving(Tls::new());
    let (judge, own) = (Judge::of_tasks(accept), Judge::of_tasks(cancel));
    let session = asking(&judge);
    assert!(!get(&session, &server.url("/")));
    let task = session.data_task(server.url("/"));
    assert!(task.set_delegate(own.clone()));
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    assert_eq!((judge.count(), own.count(), server.accepted()), (1, 0, 1));
    // Nothing is resumed that another one was asked about.
    session.flush();
    let task = session.data_task(server.url("/"));
    assert!(task.set_delegate(own.clone()));
    assert_cancelled(task.wait());
    assert_eq!((own.count(), server.resumed_handshakes()), (1, 0));
}

#[test]
fn each_host_of_a_redirect_is_asked_about() {
    let second = serving(Tls::new().certs(Certs::self_signed()));
    let url = second.url("/");
    let first = Server::builder()
        .tls(Tls::new().certs(Certs::wrong_name()))
        .start(move |_| Reply::redirect(302, &url));
    let judge = Judge::of_tasks(accept);
    let task = asking(&judge).data_task(first.url("/"));
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    let ports: Vec<u16> = judge.asked().iter().map(|asked| asked.protection_space().port()).collect();
    assert_eq!(ports, [first.port(), second.port()]);
}

#[test]
fn on_every_kind_of_queue() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    let threads = DelegateQueue::from_fn(|run| drop(std::thread::spawn(run)));
    for queue in [DelegateQueue::serial(), DelegateQueue::inline(), DelegateQueue::manual(), threads] {
        let judge = Judge::of_session(accept);
        let session = || {
            let builder = Session::builder().configuration(configuration()).delegate(judge.clone());
            builder.delegate_queue(queue.clone()).build()
        };
        assert_eq!(session().data_task(server.url("/")).wait().expect("a response").bytes(), "secret");
        // From within the queue.
        let session = session();
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let (other, url) = (session.clone(), server.url("/"));
        session
            .data_task("data:,x")
            .on_completion(move |_| {
                let nested = other.data_task(url).wait().map(|response| response.bytes().clone());
                sender.send(nested).unwrap();
            })
            .resume();
        let body = loop {
            if let Ok(body) = receiver.recv_timeout(Duration::from_millis(1)) {
                break body;
            }
            queue.run_pending();
        };
        assert_eq!(body.expect("a response"), "secret");
        assert_eq!(judge.count(), 2);
        session.invalidate_and_cancel();
    }
}

#[test]
fn an_answer_that_the_program_gives_when_it_likes() {
    for tls in both_versions() {
        let server = serving(tls.certs(Certs::self_signed()));
        let queue = DelegateQueue::manual();
        let judge = Judge::of_tasks(accept);
        let builder = Session::builder().configuration(configuration()).delegate(judge.clone());
        let session = builder.delegate_queue(queue.clone()).build();
        let tasks: Vec<_> = (0..4).map(|_| session.data_task(server.url("/"))).collect();
        tasks.iter().for_each(DataTask::resume);
        server.wait_for_accepts(4, PATIENCE);
        assert_eq!((judge.count(), server.handshakes().len()), (0, 0));
        while tasks.iter().any(|task| task.metrics().is_none()) {
            queue.run_next(PATIENCE);
        }
        for task in &tasks {
            assert_eq!(task.wait().expect("a response").bytes(), "secret");
        }
        // Those that came later may have got the connection of those that came first.
        assert!((1..=4).contains(&judge.count()));
        session.invalidate_and_cancel();
    }
}

#[test]
fn a_delegate_that_panics_has_said_nothing() {
    let (good, bad) = (serving(Tls::new()), serving(Tls::new().certs(Certs::self_signed())));
    let judge = Judge::of_session(|_| panic!("on purpose"));
    let session = asking(&judge);
    assert!(!get(&session, &good.url("/")));
    assert!(session.data_task(bad.url("/")).wait().is_err());
}

/// A session whose delegate ponders at a gate.
fn pondering(gate: &Gate, configuration: Configuration) -> Session {
    let of_delegate = gate.clone();
    let judge = Judge::of_session(move |challenge| {
        of_delegate.pass();
        accept(challenge)
    });
    Session::builder().configuration(configuration).delegate(judge).build()
}

#[test]
fn cancelling_does_not_wait_for_the_answer() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    for runner in RUNNERS {
        let gate = Gate::new();
        let session = pondering(&gate, configuration());
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        task.cancel();
        assert_cancelled(running.result());
        server.wait_for_open_connections(0, PATIENCE);
        gate.open();
        // The permit is free again.
        assert!(!get(&session, &server.url("/")));
    }
}

#[test]
fn suspending_holds_the_connection_where_it_is() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    for runner in RUNNERS {
        let before = server.handshakes().len();
        let gate = Gate::new();
        let session = pondering(&gate, configuration().maximum_workers(1));
        let task = session.data_task(server.url("/"));
        let running = runner.start(&task);
        gate.wait_until_reached();
        task.suspend();
        gate.open();
        support::harness::after_all_others(&session);
        assert_eq!(server.handshakes().len(), before, "it was answered, and stands still");
        task.resume();
        assert_eq!(running.result().expect("a response").bytes(), "secret");
    }
}

#[test]
fn the_time_for_the_answer_is_not_the_servers() {
    const LIMIT: Duration = Duration::from_millis(1200);
    let server = serving(Tls::new().certs(Certs::self_signed()));
    let stands_still = &|runner: Runner, request: Request| {
        let gate = Gate::new();
        let session = pondering(&gate, configuration());
        let running = runner.start(&session.data_task(request));
        gate.wait_until_reached();
        std::thread::sleep(LIMIT + LIMIT / 3);
        gate.open();
        assert_eq!(running.result().expect("a response").bytes(), "secret");
    };
    let runs_on = &|runner: Runner| {
        let gate = Gate::new();
        let session = pondering(&gate, configuration());
        let task = session.data_task(Request::get(server.url("/")).resource_timeout(LIMIT));
        let error = runner.start(&task).result().expect_err("a limit of its own");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("waiting for the delegate to decide about the certificate of"));
        gate.open();
    };
    std::thread::scope(|scope| {
        for runner in RUNNERS {
            let request = || Request::get(server.url("/"));
            let (timed, connecting) = (request().timeout(LIMIT), request().connect_timeout(LIMIT));
            scope.spawn(move || stands_still(runner, timed));
            scope.spawn(move || stands_still(runner, connecting));
            scope.spawn(move || runs_on(runner));
        }
    });
}

#[test]
fn a_server_that_does_not_wait_for_the_answer() {
    for tls in both_versions() {
        let server = serving(tls.certs(Certs::self_signed()));
        for runner in RUNNERS {
            let gate = Gate::new();
            let session = pondering(&gate, configuration());
            let running = runner.start(&session.data_task(server.url("/")));
            gate.wait_until_reached();
            server.cut_connections();
            server.wait_for_open_connections(0, PATIENCE);
            gate.open();
            let error = running.result().expect_err("a connection that is gone");
            let kinds = [ErrorKind::SecureConnectionFailed, ErrorKind::NetworkConnectionLost];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
    }
}

#[test]
fn several_tasks_at_once() {
    let server = serving(Tls::new().certs(Certs::self_signed()));
    let judge = Judge::of_session(accept);
    let session = asking(&judge);
    let tasks: Vec<_> = (0..30).map(|_| session.data_task(server.url("/"))).collect();
    let waiting: Vec<_> = tasks.iter().map(waiting).collect();
    for result in waiting {
        assert_eq!(result.join().expect("a response").bytes(), "secret");
    }
    assert_eq!(judge.count(), server.accepted());
    assert!(server.accepted() <= 6);
}

#[test]
fn waiting_for_the_task_that_asks_is_an_error_and_no_deadlock() {
    struct Waits(Mutex<Option<Error>>);
    impl Delegate for Waits {
        fn did_receive_challenge(
            &self,
            event: &TaskEvent<'_>,
            challenge: &Challenge,
        ) -> ChallengeDisposition {
            let task = event.task().as_data().expect("a data task");
            *self.0.lock().unwrap() = task.wait().err();
            accept(challenge)
        }
    }
    let server = serving(Tls::new().certs(Certs::self_signed()));
    for queue in [DelegateQueue::serial(), DelegateQueue::inline()] {
        let delegate = Arc::new(Waits(Mutex::new(None)));
        let builder = Session::builder().configuration(configuration()).delegate(delegate.clone());
        let session = builder.delegate_queue(queue).build();
        let url = server.url("/");
        let result = aside(move || session.data_task(url).wait()).join();
        assert_eq!(result.expect("a response").bytes(), "secret");
        let error = delegate.0.lock().unwrap().take().expect("an error");
        assert_eq!(error.kind(), ErrorKind::ResourceUnavailable);
    }
}

#[test]
fn the_connections_of_a_download_ask_for_their_task() {
    // The first connection stands still until another one has shown its certificate.
    let (gate, count) = (Gate::new(), AtomicUsize::new(0));
    let fault = Fault::GateAt(At::After(64 * 1024), gate.clone());
    let resource = Resource::pattern(8 << 20).etag("\"v1\"").fault_in(..1, fault);
    let server = Server::builder().tls(Tls::new().certs(Certs::self_signed())).start(resource.handler());
    let judge = Judge::of_tasks(move |challenge| {
        if count.fetch_add(1, Ordering::SeqCst) == 1 {
            gate.open();
        }
        accept(challenge)
    });
    let session = asking(&judge);
    let task = session.download_task(DownloadRequest::new(server.url("/")).segments(4));
    let file = task.wait().expect("a file").into_body();
    support::assert_pattern(&std::fs::read(file.path()).expect("a file"), 8 << 20);
    assert!(judge.tasks().iter().all(|asked| *asked == Some(task.id())), "{:?}", judge.tasks());
    assert!(judge.count() >= 2 && judge.count() >= server.handshakes().len(), "each is asked about");
}

#[test]
fn pinned_keys_for_hosts() {
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let configuration = || configuration().resolver(Arc::new(here));
    let server = serving(Tls::new().certs(Certs::with_intermediate()));
    let chain = Certs::with_intermediate();
    assert_ne!(sha256(chain.leaf()), sha256(&chain.chain[1]));
    let pin = |der: &[u8]| PinnedKeys::from_sha256([sha256(der)]).to_string();
    let (root, other) = (pin(&ca().der()), pin(&Ca::new("another").der()));
    let load = |configuration: Configuration, host: &str| {
        let session = Session::new(configuration);
        session.data_task(server.url_of_host(host, "/")).wait().map(|response| response.bytes().clone())
    };
    let pinned = |domain: &str, subdomains: bool, pin: &str| {
        configuration().pin_public_keys(domain, subdomains, [pin])
    };
    assert_eq!(load(pinned("example.test", true, &root), "www.example.test").unwrap(), "secret");
    assert_eq!(load(pinned("example.test", false, &other), "www.example.test").unwrap(), "secret");
    assert_eq!(
        load(pinned("example.test", true, &format!("{other};{root}")), "example.test").unwrap(),
        "secret"
    );
    for (domain, subdomains, host) in [
        ("example.test", false, "example.test"),
        ("example.test", false, "EXAMPLE.test"),
        ("example.test", true, "www.example.test"),
        ("127.0.0.1", false, "127.0.0.1"),
        ("*", false, "localhost"),
    ] {
        let careless = pinned(domain, subdomains, &other).danger_accept_invalid_certificates(true);
        for configuration in [pinned(domain, subdomains, &other), careless] {
            let error = load(configuration, host).expect_err("another key");
            assert_eq!(error.kind(), ErrorKind::ServerCertificateUntrusted);
            let trust = error.server_trust().expect("what the server had shown");
            let seen = PinnedKeys::from_sha256([trust.public_key_sha256()[0]]).to_string();
            for said in [host.to_lowercase().as_str(), seen.as_str(), "pin_public_keys"] {
                assert!(error.to_string().contains(said), "{said}: {error}");
            }
        }
    }
    assert!(server.requests().iter().all(|request| request.path() == "/"));
    let malformed = configuration().pin_public_keys("example.test", false, ["sha256/?"]);
    assert!(load(malformed, "localhost").unwrap_err().to_string().contains("sha256/?"));
}

#[test]
fn pinned_keys_bind_the_delegate_too() {
    let certs = Certs::self_signed();
    let server = serving(Tls::new().certs(certs.clone()));
    let own = PinnedKeys::from_sha256([sha256(certs.leaf())]);
    let other = PinnedKeys::from_sha256([sha256(&ca().der())]);
    for (keys, is_met) in [(own, true), (other, false)] {
        let judge = Judge::of_session(accept);
        let pinned = configuration().pin_public_keys("127.0.0.1", false, [keys.to_string()]);
        let session = Session::builder().configuration(pinned).delegate(judge.clone()).build();
        let result = session.data_task(server.url("/")).wait();
        assert_eq!(result.is_ok(), is_met);
        assert_eq!(judge.count(), usize::from(is_met), "there is nothing to decide");
        if let Err(error) = result {
            assert!(error.to_string().contains("pinned"), "{error}");
            assert!(error.server_trust().is_some());
        }
    }
    // With a key but without trust it is refused.
    let pinned = configuration().pin_public_keys(
        "127.0.0.1",
        false,
        [PinnedKeys::from_sha256([sha256(certs.leaf())]).to_string()],
    );
    let error = Session::new(pinned).data_task(server.url("/")).wait().expect_err("self-signed");
    assert!(error.to_string().contains("self-signed"), "{error}");
}

#[test]
fn a_delegate_that_pins_by_itself() {
    let certs = Certs::with_intermediate();
    let server = serving(Tls::new().certs(certs.clone()));
    let intermediate = PinnedKeys::from_sha256([sha256(&certs.chain[1])]);
    let root = PinnedKeys::from_sha256([sha256(&ca().der())]);
    for (keys, is_met) in [(intermediate, true), (root, false)] {
        let judge = Judge::of_session(move |challenge| {
            let trust = challenge.protection_space().server_trust().expect("what the server shows");
            match keys.are_met_by(trust) {
                true => ChallengeDisposition::PerformDefaultHandling,
                false => ChallengeDisposition::CancelChallenge,
            }
        });
        let result = asking(&judge).data_task(server.url("/")).wait();
        assert_eq!(result.is_ok(), is_met, "{result:?}");
    }
}

#[test]
fn a_delegate_that_has_no_opinion_changes_nothing() {
    let server = serving(Tls::new());
    let session = session_with(&Recorder::new());
    assert!(!get(&session, &server.url("/")));
    assert!(get(&session, &server.url("/")));
    session.flush();
    assert!(!get(&session, &server.url("/")));
    assert_eq!(server.resumed_handshakes(), 1);
}

#[test]
fn versions_for_hosts() {
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let (old, both) = (serving(Tls::new().only_tls12()), serving(Tls::new()));
    let newest = DomainException::new("example.test").minimum_tls_version(TlsVersion::Tls13);
    let any = DomainException::new("localhost").minimum_tls_version(TlsVersion::Tls12);
    for (minimum, elsewhere) in [(TlsVersion::Tls12, true), (TlsVersion::Tls13, false)] {
        let policy = TransportSecurity::new().exception(newest.clone()).exception(any.clone());
        let configuration = configuration().resolver(Arc::new(here)).tls_minimum_version(minimum);
        let session = Session::new(configuration.transport_security(policy));
        let load = |server: &Server, host: &str| session.data_task(server.url_of_host(host, "/")).wait();
        let error = load(&old, "example.test").expect_err("too old");
        assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed);
        assert!(error.to_string().contains("TLS 1.3"), "{error}");
        assert_eq!(load(&both, "example.test").expect("a response").bytes(), "secret");
        assert_eq!(load(&old, "localhost").expect("a response").bytes(), "secret");
        assert_eq!(load(&old, "127.0.0.1").is_ok(), elsewhere);
    }
}

#[test]
fn a_server_by_exception_says_nothing_about_later_ones() {
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    for (certs, noted) in [(Certs::valid(), true), (Certs::self_signed(), false)] {
        let server = Server::builder()
            .tls(Tls::new().certs(certs))
            .start(|_| Reply::ok("secret").header("Strict-Transport-Security", "max-age=60"));
        let storage = HstsStorage::in_memory();
        let configuration = configuration().resolver(Arc::new(here)).hsts_storage(storage.clone());
        let builder = Session::builder().configuration(configuration);
        let session = builder.delegate(Judge::of_session(accept)).build();
        // RFC 6797, section 8.1: not over a connection with anything wrong.
        for reused in [false, true] {
            assert_eq!(get(&session, &server.url_of_host("example.test", "/")), reused);
            assert_eq!(!storage.hosts().is_empty(), noted);
        }
    }
}
