//! TLS as a program meets it: whom it trusts and what it is told when it does not, its own
//! certificate, versions, resumption, and servers that speak something else.
#![cfg(feature = "tls")]

mod support;

use ErrorKind::{
    ClientCertificateRejected, ClientCertificateRequired, SecureConnectionFailed,
    ServerCertificateHasBadDate, ServerCertificateHasUnknownRoot, ServerCertificateNotYetValid,
    ServerCertificateUntrusted,
};
use rustls::ProtocolVersion;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use support::{
    Admission, Ca, Certs, Gate, PATIENCE, Reply, Resumption, Server, Tls, WAYS, ca, configuration_for,
    result_by,
};
use urlsession::{
    Bytes, Certificate, Configuration, Error, ErrorKind, Identity, Request, Response, RootCertificates,
    Session, TlsVersion,
};

fn serving(tls: Tls) -> Server {
    Server::builder().tls(tls).start(|_| Reply::ok("secret"))
}

/// The same error in each way a task can be used in.
fn refused(configuration: &Configuration, url: &str) -> Error {
    let mut first: Option<Error> = None;
    for way in WAYS {
        let session = Session::new(configuration.clone());
        let error = result_by(way, &session.data_task(url)).map(Response::into_body).expect_err(url);
        if let Some(first) = &first {
            assert_eq!((first.kind(), first.to_string()), (error.kind(), error.to_string()), "{way:?}");
        }
        first = Some(error);
    }
    first.expect("an error")
}

fn get(configuration: Configuration, url: &str) -> Result<Response<Bytes>, Error> {
    let session = Session::new(configuration);
    let result = session.data_task(url).wait();
    session.invalidate_and_cancel();
    result
}

fn identity(certs: &Certs) -> Identity {
    let chain = certs.chain.iter().map(|der| Certificate::from_der(der.to_vec()));
    Identity::from_der(chain, certs.key().secret_der().to_vec()).expect("an identity")
}

#[test]
fn certificates_that_are_wrong_in_one_way() {
    for (certs, kind, code, said) in [
        (Certs::expired(), ServerCertificateHasBadDate, -1201, &["expired 3 days ago"][..]),
        (Certs::wrong_name(), ServerCertificateUntrusted, -1202, &["wrong.example.test", "127.0.0.1"]),
        (Certs::self_signed(), ServerCertificateUntrusted, -1202, &["self-signed", "add_root_certificate"]),
        (
            Certs::missing_intermediate(),
            ServerCertificateHasUnknownRoot,
            -1203,
            &["urlsession test intermediate CA", "add_root_certificate"],
        ),
        (
            Certs::not_yet_valid(),
            ServerCertificateNotYetValid,
            -1204,
            &["becomes valid in", "days, on", "clock"],
        ),
    ] {
        for tls in [Tls::new(), Tls::new().only_tls12()] {
            let server = serving(tls.certs(certs.clone()));
            let error = refused(&configuration_for(&server), &server.url("/"));
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
            for said in said {
                assert!(error.to_string().contains(said), "{said}: {error}");
            }
            assert!(error.to_string().contains("127.0.0.1"), "{error}");
            assert!(error.is_connect());
            assert!(server.requests().is_empty(), "nothing is said to a server that is not trusted");

            let any = configuration_for(&server).danger_accept_invalid_certificates(true);
            assert_eq!(get(any, &server.url("/")).unwrap().bytes(), "secret");
        }
    }
}

#[test]
fn an_authority_that_only_has_the_right_name() {
    let server = serving(Tls::new().certs(Certs::unknown_ca()));
    let error = refused(&configuration_for(&server), &server.url("/"));
    assert!([ServerCertificateUntrusted, ServerCertificateHasUnknownRoot].contains(&error.kind()), "{error}");
}

#[test]
fn roots_are_replaced_and_added() {
    let server = serving(Tls::new());
    let url = server.url("/");
    let ours = || Certificate::from_der(server.ca_der());
    let other = || Certificate::from_der(Ca::new("another CA").der().to_vec());
    let plain = Configuration::ephemeral;
    for trusting in [
        plain().add_root_certificate(ours()),
        plain().add_root_certificate(other()).add_root_certificate(ours()),
        plain().root_certificates(vec![ours()]),
        plain().root_certificates(vec![other(), ours()]),
        plain().root_certificates(Vec::new()).add_root_certificate(ours()),
        plain().root_certificates(Certificate::from_pem(server.ca_pem()).unwrap()),
    ] {
        assert_eq!(get(trusting, &url).unwrap().bytes(), "secret");
    }
    for distrusting in [
        plain(),
        plain().root_certificates(RootCertificates::Bundled),
        plain().root_certificates(vec![other()]),
    ] {
        let error = get(distrusting, &url).unwrap_err();
        assert_eq!(error.kind(), ServerCertificateHasUnknownRoot, "{error}");
        assert!(error.to_string().contains("urlsession test CA"), "{error}");
    }
    let error = get(plain().root_certificates(Vec::new()), &url).unwrap_err();
    assert_eq!(error.kind(), SecureConnectionFailed, "{error}");
    assert!(error.to_string().contains("no root certificates"), "{error}");
    let malformed = plain().root_certificates(vec![Certificate::from_der(vec![0x30, 0x00])]);
    assert_eq!(get(malformed, &url).unwrap_err().kind(), SecureConnectionFailed);
}

#[test]
fn a_chain_with_an_intermediate() {
    let server = serving(Tls::new().certs(Certs::with_intermediate()));
    assert_eq!(get(configuration_for(&server), &server.url("/")).unwrap().bytes(), "secret");
}

#[test]
fn names_and_addresses() {
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let server = serving(Tls::new());
    let configuration = configuration_for(&server).resolver(Arc::new(here));
    for (host, server_name) in [
        ("localhost", Some("localhost")),
        ("example.test", Some("example.test")),
        ("www.example.test", Some("www.example.test")),
        ("WWW.Example.TEST", Some("www.example.test")),
        // RFC 6066, section 3: an address is no server name.
        ("127.0.0.1", None),
    ] {
        get(configuration.clone(), &server.url_of_host(host, "/")).expect(host);
        let handshake = server.handshakes().pop().unwrap();
        assert_eq!(handshake.server_name.as_deref(), server_name, "{host}");
    }
    for host in ["other.test", "a.b.example.test"] {
        let error = get(configuration.clone(), &server.url_of_host(host, "/")).expect_err(host);
        assert_eq!(error.kind(), ServerCertificateUntrusted, "{host}: {error}");
        assert!(error.to_string().contains(host), "{error}");
    }
}

#[test]
fn a_client_certificate() {
    for tls in [Tls::new().only_tls12(), Tls::new().only_tls13()] {
        let required = serving(tls.clone().require_client_certificate());
        let requested = serving(tls.request_client_certificate());
        let with =
            |server: &Server, certs: &Certs| configuration_for(server).client_identity(identity(certs));

        for server in [&required, &requested] {
            get(with(server, &Certs::client()), &server.url("/")).unwrap();
            let shown = server.handshakes().pop().unwrap().client_certificates;
            assert_eq!(shown.len(), 1);
        }
        get(configuration_for(&requested), &requested.url("/")).unwrap();
        assert!(requested.handshakes().pop().unwrap().client_certificates.is_empty());

        let error = refused(&configuration_for(&required), &required.url("/"));
        assert!(error.to_string().contains("client certificate"), "{error}");
        assert_eq!(error.kind(), ClientCertificateRequired, "{error}");
        assert_eq!(error.code(), -1206);

        let unknown = Certs::client_of_unknown_ca();
        let error = refused(&with(&required, &unknown), &required.url("/"));
        assert!(error.to_string().contains("client certificate"), "{error}");
        assert_eq!((error.kind(), error.code()), (ClientCertificateRejected, -1205), "{error}");
    }
}

#[test]
fn a_key_that_does_not_fit_its_certificate() {
    let server = serving(Tls::new());
    let chain = [Certificate::from_der(Certs::client().leaf().to_vec())];
    let odd = Identity::from_der(chain, Certs::valid().key().secret_der().to_vec()).unwrap();
    let error = get(configuration_for(&server).client_identity(odd), &server.url("/")).unwrap_err();
    assert_eq!(error.kind(), SecureConnectionFailed, "{error}");
}

#[test]
fn versions() {
    let old = serving(Tls::new().only_tls12());
    let new = serving(Tls::new().only_tls13());
    let both = serving(Tls::new());
    let version = |server: &Server, configuration: Configuration| {
        get(configuration, &server.url("/")).map(|_| server.handshakes().pop().unwrap().version)
    };
    let any = configuration_for(&both);
    let at_least = |version| configuration_for(&both).tls_minimum_version(version);
    let at_most = |version| configuration_for(&both).tls_maximum_version(version);
    assert_eq!(version(&old, any.clone()).unwrap(), ProtocolVersion::TLSv1_2);
    assert_eq!(version(&new, any.clone()).unwrap(), ProtocolVersion::TLSv1_3);
    assert_eq!(version(&both, any).unwrap(), ProtocolVersion::TLSv1_3);
    assert_eq!(version(&both, at_most(TlsVersion::Tls12)).unwrap(), ProtocolVersion::TLSv1_2);
    assert_eq!(version(&both, at_least(TlsVersion::Tls13)).unwrap(), ProtocolVersion::TLSv1_3);
    for (server, configuration, named) in
        [(&old, at_least(TlsVersion::Tls13), "1.3"), (&new, at_most(TlsVersion::Tls12), "1.2")]
    {
        let error = refused(&configuration, &server.url("/"));
        assert_eq!(error.kind(), SecureConnectionFailed, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let none = at_least(TlsVersion::Tls13).tls_maximum_version(TlsVersion::Tls12);
    let error = get(none, &both.url("/")).unwrap_err();
    assert!(error.to_string().contains("tls_minimum_version"), "{error}");
}

#[test]
fn sessions_are_resumed() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for (resumption, resumed) in
            [(Resumption::Remembered, 2), (Resumption::Tickets, 2), (Resumption::None, 0)]
        {
            let server = serving(Tls::new().resumption(resumption));
            let session = Session::new(configuration_for(&server).tls_maximum_version(version));
            for way in [WAYS[0], WAYS[1], WAYS[3]] {
                result_by(way, &session.data_task(server.url("/"))).unwrap();
                session.flush();
            }
            assert_eq!(server.accepted(), 3);
            assert_eq!(server.resumed_handshakes(), resumed, "{version:?} {resumption:?}");
            // What was forgotten is not taken up again, nor what another session has.
            session.reset();
            session.data_task(server.url("/")).wait().unwrap();
            assert_eq!(server.resumed_handshakes(), resumed, "{version:?} {resumption:?}");
            session.invalidate_and_cancel();
        }
    }
}

#[test]
fn application_protocols() {
    let server = serving(Tls::new().alpn(&["http/1.1"]));
    get(configuration_for(&server), &server.url("/")).unwrap();
    assert_eq!(server.handshakes()[0].alpn.as_deref(), Some(&b"http/1.1"[..]));
    let server = serving(Tls::new().alpn(&["spdy/1"]));
    let error = refused(&configuration_for(&server), &server.url("/"));
    assert_eq!(error.kind(), SecureConnectionFailed, "{error}");
    assert!(error.to_string().contains("application protocols"), "{error}");
}

#[test]
fn http_to_a_port_that_speaks_tls() {
    let server = serving(Tls::new());
    let url = server.url("/").replacen("https", "http", 1);
    let error = refused(&configuration_for(&server), &url);
    assert_eq!(error.kind(), ErrorKind::CannotParseResponse, "{error}");
    assert!(error.to_string().contains("use https"), "{error}");
}

#[test]
fn https_to_a_port_that_does_not_speak_tls() {
    // As nginx and Apache answer what is no request.
    let server = Server::builder().raw(|wire, _| {
        let _ = std::io::Read::read(wire, &mut [0; 4096]);
        let _ = wire.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        wire.finish();
        let _ = std::io::copy(wire, &mut std::io::sink());
    });
    let url = server.url("/").replacen("http", "https", 1);
    let error = refused(&configuration_for(&server), &url);
    assert_eq!(error.kind(), SecureConnectionFailed, "{error}");
    assert!(error.to_string().contains("use http"), "{error}");

    // One that speaks first.
    let mail = Server::builder().raw(|wire, _| {
        let _ = wire.write_all(b"220 mail.example.test ESMTP\r\n");
        let _ = std::io::copy(wire, &mut std::io::sink());
    });
    let url = mail.url("/").replacen("http", "https", 1);
    let error = refused(&configuration_for(&mail), &url);
    assert_eq!(error.kind(), SecureConnectionFailed, "{error}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[test]
fn a_handshake_that_is_cut() {
    // At once.
    let server = Server::builder().tls(Tls::new()).admission(|_| Admission::Close).start(|_| Reply::ok("x"));
    let session = Session::new(configuration_for(&server));
    for way in WAYS {
        let error = result_by(way, &session.data_task(server.url("/"))).unwrap_err();
        assert!(
            [SecureConnectionFailed, ErrorKind::NetworkConnectionLost].contains(&error.kind()),
            "{error}"
        );
        assert!(error.to_string().contains("TLS handshake"), "{error}");
    }
    // After every so many bytes of what the server has to say.
    let config = Arc::new(Tls::new().server_config());
    let server = Server::builder().raw(move |wire, number| {
        let mut tls = rustls::ServerConnection::new(config.clone()).expect("a connection");
        let mut tcp = wire.tcp();
        while !tls.wants_write() {
            if !matches!(tls.read_tls(&mut tcp), Ok(1..)) || tls.process_new_packets().is_err() {
                return;
            }
        }
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight).expect("writing to memory");
        }
        let _ = wire.write_all(&flight[..flight.len() * number / 20]);
        wire.finish();
        let _ = std::io::copy(wire, &mut std::io::sink());
    });
    let url = server.url("/").replacen("http", "https", 1);
    let trusting =
        Configuration::ephemeral().add_root_certificate(Certificate::from_der(ca().der().to_vec()));
    let session = Session::new(trusting);
    for number in 0..20 {
        let error = result_by(WAYS[number % WAYS.len()], &session.data_task(&url)).unwrap_err();
        assert_eq!(error.kind(), SecureConnectionFailed, "{number}: {error}");
        assert!(error.to_string().contains("closed the connection"), "{number}: {error}");
    }
}

#[test]
fn a_handshake_that_stands_still() {
    let gate = Gate::new();
    let server = Server::builder().tls(Tls::new()).stall_handshake(&gate).start(|_| Reply::ok("x"));
    for way in WAYS {
        let session = Session::new(configuration_for(&server));
        let request = Request::get(server.url("/"));
        for request in [
            request.clone().timeout(Duration::from_millis(150)),
            request.connect_timeout(Duration::from_millis(150)),
        ] {
            let error = result_by(way, &session.data_task(request)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            assert!(error.to_string().contains("TLS handshake"), "{error}");
        }
        // Cancelling does not wait for it.
        let task = session.data_task(server.url("/"));
        task.resume();
        let before = gate.reached();
        gate.wait_until_reached_by(before.max(1), PATIENCE);
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        session.invalidate_and_cancel();
    }
}

#[test]
fn nonsense_after_the_handshake() {
    // What is not a record, in the place of an answer.
    let server = Server::builder().tls(Tls::new()).raw(|wire, _| {
        let mut request = [0; 16];
        let _ = std::io::Read::read(wire, &mut request);
        let mut tcp = wire.tcp();
        let _ = tcp.write_all(&[0x17, 3, 3, 0, 32]);
        let _ = tcp.write_all(&[0xab; 32]);
        let _ = std::io::copy(&mut tcp, &mut std::io::sink());
    });
    let error = refused(&configuration_for(&server), &server.url("/"));
    assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
    assert!(error.to_string().contains("damaged"), "{error}");
}
