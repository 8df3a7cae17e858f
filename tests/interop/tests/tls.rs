//! TLS as OpenSSL speaks it, in nginx, Apache httpd and its own test server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;
use urlsession::{
    AuthenticationMethod, Certificate, Challenge, ChallengeDisposition, Configuration, Credential, Delegate,
    Error, ErrorKind, Identity, Session, TlsVersion,
};
use urlsession_interop::{PATIENCE, configuration, contents, identity, session, text, url};

fn error(session: &Session, server: &str) -> Error {
    match session.data_task(url(server, "/")).wait() {
        Ok(response) => panic!("{server}: {response:?}"),
        Err(error) => error,
    }
}

/// The kind of the error, and what its message has to say.
fn check(error: &Error, kind: ErrorKind, parts: &[&str]) {
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{message}");
    for part in ["localhost"].iter().chain(parts) {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn each_version_is_spoken() {
    for (server, name) in [("NGINX_TLS12", "TLS 1.2"), ("NGINX_TLS13", "TLS 1.3"), ("APACHE_TLS", "TLS 1.3")]
    {
        let task = session().data_task(url(server, "/text.txt"));
        assert_eq!(task.wait().unwrap().bytes(), &contents("www/text.txt"));
        let metrics = task.metrics().unwrap();
        let transaction = &metrics.transactions()[0];
        assert_eq!(transaction.tls_version_name(), Some(name), "{server}");
        assert!(transaction.tls_cipher_suite_name().is_some(), "{server}");
        assert!(transaction.secure_connection_duration().is_some_and(|time| time < PATIENCE));
    }
    let only_12 = Session::new(configuration().tls_maximum_version(TlsVersion::Tls12));
    assert_eq!(text(&only_12, &url("NGINX_TLS", "/tls")), "TLSv1.2 . NONE");
}

#[test]
fn no_common_version_is_an_error_that_says_so() {
    let at_least_13 = Session::new(configuration().tls_minimum_version(TlsVersion::Tls13));
    check(
        &error(&at_least_13, "NGINX_TLS12"),
        ErrorKind::SecureConnectionFailed,
        &["TLS 1.3", "only version"],
    );
    let at_most_12 = Session::new(configuration().tls_maximum_version(TlsVersion::Tls12));
    check(
        &error(&at_most_12, "NGINX_TLS13"),
        ErrorKind::SecureConnectionFailed,
        &["TLS 1.2", "only version"],
    );
    check(&error(&session(), "OLD_TLS"), ErrorKind::SecureConnectionFailed, &["from TLS 1.2 to TLS 1.3"]);
}

#[test]
fn a_session_is_resumed() {
    for (server, version) in [("NGINX_TLS12", "TLSv1.2"), ("NGINX_TLS13", "TLSv1.3")] {
        let session = session();
        assert_eq!(text(&session, &url(server, "/tls")), format!("{version} . NONE"));
        for _ in 0..3 {
            // New connections, but what was agreed on is kept.
            session.flush();
            assert_eq!(text(&session, &url(server, "/tls")), format!("{version} r NONE"));
        }
        session.reset();
        assert_eq!(text(&session, &url(server, "/tls")), format!("{version} . NONE"));
    }
}

#[test]
fn a_bad_certificate_is_an_error_that_says_why() {
    let session = session();
    let expired = error(&session, "EXPIRED");
    check(&expired, ErrorKind::ServerCertificateHasBadDate, &["expired 10 days ago", "UTC"]);
    assert_eq!((expired.code(), expired.is_connect()), (-1201, true));
    let early = error(&session, "NOT_YET_VALID");
    check(
        &early,
        ErrorKind::ServerCertificateNotYetValid,
        &["becomes valid in 9 days", "clock of this machine"],
    );
    let self_signed = error(&session, "SELF_SIGNED");
    check(&self_signed, ErrorKind::ServerCertificateUntrusted, &["self-signed", "add_root_certificate"]);
    let wrong_name = error(&session, "WRONG_NAME");
    check(&wrong_name, ErrorKind::ServerCertificateUntrusted, &["is for other.example, not for localhost"]);
    let unknown = error(&session, "UNKNOWN_ISSUER");
    check(
        &unknown,
        ErrorKind::ServerCertificateHasUnknownRoot,
        &["Nobody's authority", "add_root_certificate"],
    );

    // Without this run's authority, the good certificate is as bad.
    let bundled = Session::new(Configuration::ephemeral().timeout_for_request(PATIENCE));
    check(&error(&bundled, "NGINX_TLS"), ErrorKind::ServerCertificateHasUnknownRoot, &["Interop authority"]);
}

#[test]
fn a_certificate_that_was_added_is_trusted() {
    let own = Certificate::from_pem(contents("certificates/self-signed.crt")).unwrap().remove(0);
    let trusting = Session::new(configuration().add_root_certificate(own));
    assert!(text(&trusting, &url("SELF_SIGNED", "/")).contains("s_server"));
    // That is no reason to trust others.
    check(&error(&trusting, "UNKNOWN_ISSUER"), ErrorKind::ServerCertificateHasUnknownRoot, &[]);
}

#[test]
fn any_certificate_will_do_where_that_was_asked_for() {
    let careless = Session::new(configuration().danger_accept_invalid_certificates(true));
    for server in ["EXPIRED", "NOT_YET_VALID", "SELF_SIGNED", "WRONG_NAME", "UNKNOWN_ISSUER"] {
        assert!(text(&careless, &url(server, "/")).contains("s_server"), "{server}");
    }
}

#[test]
fn a_client_certificate_is_shown() {
    let known = Session::new(configuration().client_identity(identity("client")));
    assert!(text(&known, &url("NGINX_CLIENT", "/tls")).ends_with(" SUCCESS"));
    for server in ["APACHE_CLIENT", "CLIENT12", "CLIENT13"] {
        let path = if server == "APACHE_CLIENT" { "/text.txt" } else { "/" };
        assert!(!text(&known, &url(server, path)).is_empty(), "{server}");
    }
}

#[test]
fn a_client_certificate_that_is_missing_is_an_error() {
    let anonymous = session();
    // nginx says it in HTTP.
    let response = anonymous.data_task(url("NGINX_CLIENT", "/tls")).wait().unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().unwrap().contains("No required SSL certificate"));
    for server in ["APACHE_CLIENT", "CLIENT13"] {
        check(&error(&anonymous, server), ErrorKind::ClientCertificateRequired, &["client certificate"]);
    }
    // With TLS 1.2, OpenSSL's alert says no more than that it failed.
    check(
        &error(&anonymous, "CLIENT12"),
        ErrorKind::SecureConnectionFailed,
        &["requires a client certificate"],
    );
}

#[test]
fn a_client_certificate_that_is_refused_is_an_error() {
    let stranger = Session::new(configuration().client_identity(identity("stranger")));
    let response = stranger.data_task(url("NGINX_CLIENT", "/tls")).wait().unwrap();
    assert_eq!(response.status(), 400);
    for server in ["APACHE_CLIENT", "CLIENT12", "CLIENT13"] {
        check(&error(&stranger, server), ErrorKind::ClientCertificateRejected, &["client certificate"]);
    }
}

/// Accepts any server, gives one certificate, and writes down what it was asked.
#[derive(Default)]
struct Answers {
    identity: Option<Identity>,
    asked: Mutex<Vec<Challenge>>,
}

impl Delegate for Answers {
    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
        let space = challenge.protection_space();
        self.asked.lock().unwrap().push(challenge.clone());
        let credential = match space.server_trust() {
            Some(trust) => Some(Credential::for_trust(trust)),
            None => self.identity.clone().map(Credential::with_identity),
        };
        Some(ChallengeDisposition::UseCredential(credential))
    }
}

fn answering(identity: Option<Identity>) -> (Session, Arc<Answers>) {
    let answers = Arc::new(Answers { identity, ..Answers::default() });
    let builder = Session::builder().configuration(configuration()).delegate(Arc::clone(&answers));
    (builder.build(), answers)
}

#[test]
fn a_delegate_accepts_what_is_wrong() {
    for server in ["EXPIRED", "NOT_YET_VALID", "SELF_SIGNED", "WRONG_NAME", "UNKNOWN_ISSUER"] {
        let (session, answers) = answering(None);
        assert!(text(&session, &url(server, "/")).contains("s_server"), "{server}");
        let asked = answers.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{server}");
        let trust = asked[0].protection_space().server_trust().unwrap();
        assert_eq!(trust.evaluate().unwrap_err().kind(), error(&self::session(), server).kind());
    }
    // By either version, and with tickets that are not to be used.
    for server in ["NGINX_TLS12", "NGINX_TLS13"] {
        let (session, answers) = answering(None);
        for _ in 0..3 {
            assert!(text(&session, &url(server, "/tls")).ends_with("NONE"));
            session.flush();
        }
        assert_eq!(answers.asked.lock().unwrap().len(), 1, "what is good is resumed");
    }
}

#[test]
fn a_delegate_is_asked_for_a_certificate() {
    for server in ["APACHE_CLIENT", "CLIENT12", "CLIENT13", "NGINX_CLIENT"] {
        let path = if server.starts_with("CLIENT") { "/" } else { "/text.txt" };
        let (session, answers) = answering(Some(identity("client")));
        for _ in 0..2 {
            let task = session.data_task(url(server, path));
            assert_eq!(task.wait().unwrap().status(), 200, "{server}");
            session.flush();
        }
        let asked = answers.asked.lock().unwrap();
        let for_us: Vec<_> = asked
            .iter()
            .map(Challenge::protection_space)
            .filter(|space| space.authentication_method() == &AuthenticationMethod::ClientCertificate)
            .collect();
        assert_eq!(for_us.len(), 1, "{server}");
        let names = for_us[0].distinguished_names();
        assert!(names.iter().all(|name| name.starts_with(&[0x30])), "{server}: names in DER");
        if !names.is_empty() {
            assert!(names.iter().any(|name| String::from_utf8_lossy(name).contains("Interop authority")));
        }

        let (session, _) = answering(Some(identity("stranger")));
        if server != "NGINX_CLIENT" {
            check(&error(&session, server), ErrorKind::ClientCertificateRejected, &["client certificate"]);
        }
    }
}

#[test]
fn a_key_is_pinned_as_openssl_tells_it() {
    let pin = String::from_utf8(contents("certificates/server.pin")).unwrap();
    let pinned = |pin: &str| Session::new(configuration().pin_public_keys("localhost", false, [pin]));
    for separator in ["/", "//"] {
        let known = pinned(&format!("sha256{separator}{}", pin.trim()));
        assert!(text(&known, &url("NGINX_TLS", "/tls")).ends_with("NONE"));
        check(&error(&known, "SELF_SIGNED"), ErrorKind::ServerCertificateUntrusted, &["self-signed"]);
    }
    let other = pinned("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let shown = format!("sha256/{}", pin.trim());
    check(&error(&other, "NGINX_TLS"), ErrorKind::ServerCertificateUntrusted, &["pinned", &shown]);
}

#[test]
fn the_wrong_protocol_is_an_error_that_says_so() {
    let session = session();
    let plain = url("NGINX", "/hello").replace("http:", "https:");
    let error = session.data_task(plain).wait().unwrap_err();
    check(&error, ErrorKind::SecureConnectionFailed, &["does not speak TLS on this port"]);
    // nginx answers plain HTTP on a TLS port, with 400; OpenSSL's server just closes.
    let secure = url("NGINX_TLS", "/hello").replace("https:", "http:");
    assert_eq!(session.data_task(secure).wait().unwrap().status(), 400);
    let task = session.data_task(url("CLIENT13", "/").replace("https:", "http:"));
    assert!(task.wait_timeout(Duration::from_secs(20)).unwrap().is_err());
}
