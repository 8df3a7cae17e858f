//! Servers that ask for a certificate of ours: what a delegate is asked, what comes of its answers, and who
//! gets to see what it gave.
#![cfg(feature = "tls")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use support::harness::{Runner, assert_cancelled, configuration, waiting};
use support::judge::{Judge, default};
use support::{Ca, Certs, Gate, PATIENCE, Reply, Server, Tls, ca};
use urlsession::{
    AuthenticationMethod, Certificate, Challenge, ChallengeDisposition, Configuration, Credential, DataTask,
    DelegateQueue, ErrorKind, Identity, Session,
};

const RUNNERS: [Runner; 2] = [Runner::Lender, Runner::Worker];

fn identity(certs: &Certs) -> Identity {
    let chain = certs.chain.iter().map(|der| Certificate::from_der(der.to_vec()));
    Identity::from_der(chain, certs.key().secret_der().to_vec()).expect("an identity")
}

/// A server that asks by either version of TLS, and needs an answer or not.
fn servers() -> Vec<(Server, bool)> {
    let mut servers = Vec::new();
    for tls in [Tls::new().only_tls12(), Tls::new().only_tls13()] {
        for needed in [false, true] {
            let tls = match needed {
                true => tls.clone().require_client_certificate(),
                false => tls.clone().request_client_certificate(),
            };
            servers.push((Server::builder().tls(tls).start(|_| Reply::ok("secret")), needed));
        }
    }
    servers
}

fn is_for_us(challenge: &Challenge) -> bool {
    challenge.protection_space().authentication_method() == &AuthenticationMethod::ClientCertificate
}

/// Answers with a certificate, and trusts servers by the rules.
fn giving(identity: &Identity) -> impl Fn(&Challenge) -> ChallengeDisposition + Send + Sync + 'static {
    answering(ChallengeDisposition::UseCredential(Some(Credential::with_identity(identity.clone()))))
}

fn answering(
    answer: ChallengeDisposition,
) -> impl Fn(&Challenge) -> ChallengeDisposition + Send + Sync + 'static {
    move |challenge| match is_for_us(challenge) {
        true => answer.clone(),
        false => ChallengeDisposition::PerformDefaultHandling,
    }
}

fn session(configuration: Configuration, judge: &Judge) -> Session {
    Session::builder().configuration(configuration).delegate(judge.clone()).build()
}

fn questions(judge: &Judge) -> Vec<Challenge> {
    judge.asked().into_iter().filter(is_for_us).collect()
}

/// The certificates that the server was shown in its last handshake.
fn last_shown(server: &Server) -> Vec<Vec<u8>> {
    let handshakes = server.handshakes();
    let shown = &handshakes.last().expect("a handshake").client_certificates;
    shown.iter().map(|der| der.to_vec()).collect()
}

#[track_caller]
fn load(session: &Session, url: &str) {
    assert_eq!(session.data_task(url).wait().expect("a response").bytes(), "secret");
}

#[test]
fn a_delegate_is_asked_and_gives_one() {
    let certs = Certs::client();
    for (server, _) in servers() {
        for runner in RUNNERS {
            for judge in
                [Judge::of_session(giving(&identity(&certs))), Judge::of_tasks(giving(&identity(&certs)))]
            {
                let session = session(configuration(), &judge);
                let before = server.accepted();
                let task = session.data_task(server.url("/"));
                assert_eq!(runner.start(&task).result().expect("a response").bytes(), "secret");
                assert_eq!(last_shown(&server), [certs.leaf().to_vec()]);

                let asked = judge.asked();
                assert_eq!(asked.len(), 2, "about the server, and then about us: once");
                let space = asked[1].protection_space();
                assert_eq!(space.authentication_method(), &AuthenticationMethod::ClientCertificate);
                assert_eq!((space.host(), space.port()), ("127.0.0.1", server.port()));
                assert!(space.receives_credential_securely() && space.server_trust().is_none());
                let [name] = space.distinguished_names() else { panic!("one authority") };
                assert!(String::from_utf8_lossy(name).contains("urlsession test CA"));
                let root = ca().der();
                assert!(root.windows(name.len()).any(|part| part == name), "as it is in its certificate");
                assert_eq!(asked[1].proposed_credential(), None);

                // It was dialled again, and from now on the certificate is offered at once.
                assert_eq!(server.accepted(), before + 2);
                session.flush();
                load(&session, &server.url("/"));
                assert_eq!((server.accepted(), questions(&judge).len()), (before + 3, 1));
                assert_eq!(last_shown(&server), [certs.leaf().to_vec()]);
                session.reset();
                load(&session, &server.url("/"));
                assert_eq!(questions(&judge).len(), 2, "that was forgotten");
            }
        }
    }
}

#[test]
fn going_on_without_one() {
    for (server, needed) in servers() {
        for answer in [
            ChallengeDisposition::PerformDefaultHandling,
            ChallengeDisposition::UseCredential(None),
            ChallengeDisposition::RejectProtectionSpace,
        ] {
            for runner in RUNNERS {
                let judge = Judge::of_session(answering(answer.clone()));
                let session = session(configuration(), &judge);
                let before = server.accepted();
                let task = session.data_task(server.url("/"));
                let result = runner.start(&task).result();
                assert_eq!(questions(&judge).len(), 1);
                assert_eq!(server.accepted(), before + 1, "on the same connection");
                if needed {
                    let error = result.expect_err("it is required");
                    assert_eq!((error.kind(), error.code()), (ErrorKind::ClientCertificateRequired, -1206));
                } else {
                    assert_eq!(result.expect("a response").bytes(), "secret");
                    assert!(last_shown(&server).is_empty());
                    // That was for this connection.
                    session.reset();
                    load(&session, &server.url("/"));
                    assert_eq!(questions(&judge).len(), 2);
                }
            }
        }
    }
}

#[test]
fn the_configured_one_is_proposed() {
    let (configured, other) = (Certs::client(), Certs::client());
    let own = identity(&configured);
    for (server, needed) in servers() {
        for (answer, shown) in [
            (ChallengeDisposition::PerformDefaultHandling, Some(&configured)),
            (
                ChallengeDisposition::UseCredential(Some(Credential::with_identity(own.clone()))),
                Some(&configured),
            ),
            (
                ChallengeDisposition::UseCredential(Some(Credential::with_identity(identity(&other)))),
                Some(&other),
            ),
            (ChallengeDisposition::UseCredential(None), None),
        ] {
            let judge = Judge::of_tasks(answering(answer));
            let session = session(configuration().client_identity(own.clone()), &judge);
            let result = session.data_task(server.url("/")).wait();
            let [question] = &questions(&judge)[..] else { panic!("asked once") };
            let proposed = question.proposed_credential().and_then(Credential::identity);
            assert_eq!(proposed, Some(&own));
            match shown {
                None if needed => {
                    assert_eq!(result.unwrap_err().kind(), ErrorKind::ClientCertificateRequired)
                }
                shown => {
                    assert_eq!(result.expect("a response").bytes(), "secret");
                    let shown: Vec<_> = shown.iter().map(|certs| certs.leaf().to_vec()).collect();
                    assert_eq!(last_shown(&server), shown);
                }
            }
        }
    }
}

#[test]
fn cancelled_and_nothing_said() {
    for (server, _) in servers() {
        for runner in RUNNERS {
            let judge = Judge::of_session(answering(ChallengeDisposition::CancelChallenge));
            let session = session(configuration(), &judge);
            assert_cancelled(runner.start(&session.data_task(server.url("/"))).result());
            assert_eq!(questions(&judge).len(), 1);
            server.wait_for_open_connections(0, PATIENCE);
            // While it ponders the task can be cancelled, too.
            let gate = Gate::new();
            let of_delegate = gate.clone();
            let judge = Judge::of_session(move |challenge| {
                if is_for_us(challenge) {
                    of_delegate.pass();
                }
                default(challenge)
            });
            let session = self::session(configuration(), &judge);
            let task = session.data_task(server.url("/"));
            let running = runner.start(&task);
            gate.wait_until_reached();
            task.cancel();
            assert_cancelled(running.result());
            gate.open();
            server.wait_for_open_connections(0, PATIENCE);
        }
        assert!(server.handshakes().is_empty());
    }
}

#[test]
fn one_that_the_server_refuses_is_not_offered_again() {
    let known = Certs::client();
    let unknown = identity(&Certs::client_of_unknown_ca());
    for tls in [Tls::new().only_tls12(), Tls::new().only_tls13()] {
        let server = Server::builder().tls(tls.require_client_certificate()).start(|_| Reply::ok("secret"));
        let count = AtomicUsize::new(0);
        let answers = [unknown.clone(), identity(&known)];
        let judge = Judge::of_session(move |challenge| {
            if !is_for_us(challenge) {
                return default(challenge);
            }
            let identity = answers[count.fetch_add(1, Ordering::SeqCst)].clone();
            ChallengeDisposition::UseCredential(Some(Credential::with_identity(identity)))
        });
        let session = session(configuration(), &judge);
        let error = session.data_task(server.url("/")).wait().expect_err("nobody it knows");
        assert_eq!((error.kind(), error.code()), (ErrorKind::ClientCertificateRejected, -1205), "{error}");
        load(&session, &server.url("/"));
        assert_eq!(questions(&judge).len(), 2);
        assert_eq!(last_shown(&server), [known.leaf().to_vec()]);
    }
}

#[test]
fn what_was_given_for_one_server_is_for_no_other() {
    let certs = Certs::client();
    let asks =
        || Server::builder().tls(Tls::new().request_client_certificate()).start(|_| Reply::ok("secret"));
    let (first, second) = (asks(), asks());
    let port = first.port();
    let giving = giving(&identity(&certs));
    let judge = Judge::of_session(move |challenge| match challenge.protection_space().port() == port {
        true => giving(challenge),
        false => default(challenge),
    });
    let session = session(configuration(), &judge);
    load(&session, &first.url("/"));
    assert_eq!(last_shown(&first), [certs.leaf().to_vec()]);
    load(&session, &second.url("/"));
    // The same server by another name is another origin.
    load(&session, &first.url_of_host("localhost", "/"));
    assert!(last_shown(&second).is_empty());
    session.flush();
    load(&session, &second.url("/"));
    assert!(last_shown(&second).is_empty());
    assert_eq!(second.resumed_handshakes(), 1, "what was resumed had none either");

    // Tasks without a delegate of their own offer it too, other sessions do not.
    let session = Session::new(configuration());
    let task = session.data_task(first.url("/"));
    assert!(task.set_delegate(Judge::of_tasks(self::giving(&identity(&certs)))));
    assert_eq!(task.wait().expect("a response").bytes(), "secret");
    session.flush();
    load(&session, &first.url("/"));
    assert_eq!(last_shown(&first), [certs.leaf().to_vec()]);
    load(&session, &second.url("/"));
    assert!(last_shown(&second).is_empty());
    load(&Session::new(configuration()), &first.url("/"));
    assert!(last_shown(&first).is_empty());
}

#[test]
fn sessions_are_resumed_with_the_certificate_they_were_begun_with() {
    let certs = Certs::client();
    for (server, _) in servers() {
        let judge = Judge::of_session(giving(&identity(&certs)));
        let session = session(configuration(), &judge);
        for resumed in 0..3 {
            load(&session, &server.url("/"));
            assert_eq!(server.resumed_handshakes(), resumed);
            assert_eq!(last_shown(&server), [certs.leaf().to_vec()]);
            session.flush();
        }
        assert_eq!(judge.asked().len(), 2);
    }
}

#[test]
fn a_server_that_is_not_trusted_is_not_told_that_there_is_one() {
    let stranger = Ca::new("nobody").issue(&["127.0.0.1"]);
    for tls in [Tls::new().only_tls12(), Tls::new().only_tls13()] {
        let tls = tls.certs(stranger.clone()).require_client_certificate();
        let server = Server::builder().tls(tls).start(|_| Reply::ok("secret"));
        let judge = Judge::of_session(giving(&identity(&Certs::client())));
        let configuration = configuration().client_identity(identity(&Certs::client()));
        let error = session(configuration, &judge).data_task(server.url("/")).wait().expect_err("a stranger");
        assert_eq!(error.kind(), ErrorKind::ServerCertificateHasUnknownRoot, "{error}");
        assert!(questions(&judge).is_empty() && server.handshakes().is_empty());
    }
}

#[test]
fn an_exception_holds_for_the_connection_that_takes_its_place() {
    let certs = Certs::self_signed();
    let server = Server::builder()
        .tls(Tls::new().certs(certs).require_client_certificate())
        .start(|_| Reply::ok("secret"));
    let giving = giving(&identity(&Certs::client()));
    let judge = Judge::of_session(move |challenge| match is_for_us(challenge) {
        true => giving(challenge),
        false => support::judge::accept(challenge),
    });
    let session = session(configuration(), &judge);
    load(&session, &server.url("/"));
    assert_eq!(judge.count(), 2);
    session.flush();
    load(&session, &server.url("/"));
    assert_eq!((judge.count(), server.resumed_handshakes()), (3, 0), "about a new one it is asked again");
}

#[test]
fn several_tasks_at_once_and_every_kind_of_queue() {
    let certs = Certs::client();
    let threads = DelegateQueue::from_fn(|run| drop(std::thread::spawn(run)));
    for queue in [DelegateQueue::serial(), DelegateQueue::inline(), DelegateQueue::manual(), threads] {
        for (server, _) in servers() {
            let judge = Judge::of_session(giving(&identity(&certs)));
            let builder = Session::builder().configuration(configuration()).delegate(judge.clone());
            let session = builder.delegate_queue(queue.clone()).build();
            let tasks: Vec<DataTask> = (0..8).map(|_| session.data_task(server.url("/"))).collect();
            for result in tasks.iter().map(waiting).collect::<Vec<_>>() {
                assert_eq!(result.join().expect("a response").bytes(), "secret");
            }
            assert!((1..=6).contains(&questions(&judge).len()), "{}", questions(&judge).len());
            let shown = server.handshakes().iter().all(|one| one.client_certificates.len() == 1);
            assert!(shown, "no connection without");
            session.invalidate_and_cancel();
        }
    }
}

#[test]
fn a_key_that_does_not_fit() {
    let server = Server::builder().tls(Tls::new().request_client_certificate()).start(|_| Reply::ok("x"));
    let chain = [Certificate::from_der(Certs::client().leaf().to_vec())];
    let odd = Identity::from_der(chain, Certs::valid().key().secret_der().to_vec()).unwrap();
    let judge = Judge::of_session(giving(&odd));
    let session = session(configuration(), &judge);
    for count in 1..=2 {
        let error = session.data_task(server.url("/")).wait().expect_err("a key of something else");
        assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed, "{error}");
        assert!(error.to_string().contains("client certificate and its key"), "{error}");
        assert_eq!(questions(&judge).len(), count, "nobody remembers it");
    }
}
