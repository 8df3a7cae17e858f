//! What may go out in cleartext, and what must not because a server has asked for https (RFC 6797; SPEC A17, R10).
#![cfg(feature = "tls")]

mod support;

use ErrorKind::AppTransportSecurityRequiresSecureConnection as Insecure;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use support::{Directory, Received, Reply, Server, WAYS, configuration_for, result_by};
use urlsession::{
    Configuration, Delegate, DomainException, DownloadRequest, Error, ErrorKind, HstsHost, HstsStorage,
    RedirectDecision, Request, ResponseHead, Session, TaskEvent, TransportSecurity,
};

/// Every name is this machine. What was asked is in the list.
fn here(asked: &Arc<Mutex<Vec<String>>>) -> Arc<dyn urlsession::Resolver> {
    let asked = Arc::clone(asked);
    Arc::new(move |host: &str| {
        asked.lock().unwrap().push(host.to_owned());
        Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])
    })
}

fn everywhere_here(server: &Server) -> Configuration {
    configuration_for(server).resolver(here(&Arc::default()))
}

fn get(configuration: Configuration, request: impl Into<Request>) -> Result<String, Error> {
    let session = Session::new(configuration);
    let result = session.data_task(request).wait().map(|response| response.text().unwrap().to_string());
    session.invalidate_and_cancel();
    result
}

#[track_caller]
fn refused(result: Result<String, Error>) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Insecure, "{error}");
    error
}

#[test]
fn nothing_leaves_for_a_public_host_in_cleartext() {
    let server = Server::start(|_| Reply::ok("insecure"));
    let asked = Arc::default();
    for way in WAYS {
        let session = Session::new(configuration_for(&server).resolver(here(&asked)));
        for host in ["example.test", "203.0.113.7", "[2001:db8::7]"] {
            let task = session.data_task(server.url_of_host(&format!("u:secret@{host}"), "/x?secret"));
            let error = result_by(way, &task).unwrap_err();
            assert_eq!((error.kind(), error.code()), (Insecure, -1022), "{error}");
            for said in
                [host, "TransportSecurity::exception", "TransportSecurity::allow_cleartext", "Request::"]
            {
                assert!(error.to_string().contains(said), "{error}");
            }
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        session.invalidate_and_cancel();
    }
    assert!(asked.lock().unwrap().is_empty(), "no name was resolved");
    assert_eq!(server.accepted(), 0);
}

#[test]
fn what_is_near_may_be_asked() {
    let server = Server::start(|_| Reply::ok("near"));
    for host in
        ["localhost", "127.0.0.1", "printer.local", "intranet", "db.internal", "tv.home.arpa", "a.localhost"]
    {
        assert_eq!(get(everywhere_here(&server), server.url_of_host(host, "/")).unwrap(), "near", "{host}");
    }
}

#[test]
fn cleartext_can_be_allowed_in_three_ways() {
    let server = Server::start(|_| Reply::ok("insecure"));
    let with = |policy| everywhere_here(&server).transport_security(policy);
    let url = |host| server.url_of_host(host, "/");

    let exception = DomainException::new("example.test").allow_cleartext(true);
    let policy = TransportSecurity::new().exception(exception.clone());
    assert_eq!(get(with(policy.clone()), url("example.test")).unwrap(), "insecure");
    refused(get(with(policy.clone()), url("www.example.test")));
    let policy = policy.exception(exception.include_subdomains(true));
    assert_eq!(get(with(policy.clone()), url("www.example.test")).unwrap(), "insecure");
    refused(get(with(policy), url("other.test")));

    let open = TransportSecurity::new().allow_cleartext(true);
    assert_eq!(get(with(open), url("example.test")).unwrap(), "insecure");

    let request = Request::get(url("example.test"));
    refused(get(everywhere_here(&server), request.clone()));
    assert_eq!(get(everywhere_here(&server), request.allow_cleartext(true)).unwrap(), "insecure");
}

#[test]
fn an_exception_for_no_domain_is_an_error_of_the_configuration() {
    let policy = TransportSecurity::new().exception(DomainException::new("https://example.test/"));
    let configuration = Configuration::ephemeral().transport_security(policy);
    assert_eq!(configuration.check().unwrap_err().kind(), ErrorKind::BadUrl);
    let error = get(configuration, "http://127.0.0.1:1/").unwrap_err();
    assert!(error.to_string().contains("`https://example.test/`"), "{error}");
}

#[test]
fn a_redirect_in_cleartext_is_held_to_the_same() {
    let server = Server::start(|request| match request.query() {
        Some(target) => Reply::redirect(302, target),
        None => Reply::ok("insecure"),
    });
    let public = server.url_of_host("example.test", "/");
    let url = server.url(&format!("/?{public}"));
    refused(get(everywhere_here(&server), url.as_str()));
    assert_eq!(server.requests().len(), 1);
    let exception = DomainException::new("example.test").allow_cleartext(true);
    for allowed in [
        everywhere_here(&server).transport_security(TransportSecurity::new().exception(exception)),
        everywhere_here(&server).transport_security(TransportSecurity::new().allow_cleartext(true)),
        everywhere_here(&server).allow_insecure_redirects(true),
    ] {
        assert_eq!(get(allowed, url.as_str()).unwrap(), "insecure");
    }
    assert_eq!(get(everywhere_here(&server), Request::get(url).allow_cleartext(true)).unwrap(), "insecure");
    // That redirects may do so says nothing of what the program asks for.
    refused(get(everywhere_here(&server).allow_insecure_redirects(true), public));
}

#[test]
fn from_https_to_http_takes_an_exception_of_the_host() {
    let plain = Server::start(|_| Reply::ok("insecure"));
    let secure = Server::tls(|request| Reply::redirect(302, request.query().unwrap()));
    let with = |policy| everywhere_here(&secure).transport_security(policy);
    let exception = |host| DomainException::new(host).allow_cleartext(true);
    for (host, url) in
        [("127.0.0.1", plain.url("/")), ("example.test", plain.url_of_host("example.test", "/"))]
    {
        let url = secure.url(&format!("/?{url}"));
        let go = |policy| get(with(policy), url.as_str());
        refused(go(TransportSecurity::new()));
        // That a program may ask for cleartext is no reason to leave https.
        refused(go(TransportSecurity::new().allow_cleartext(true)));
        refused(go(TransportSecurity::new().exception(exception("other.test"))));
        assert_eq!(go(TransportSecurity::new().exception(exception(host))).unwrap(), "insecure");
        let request = Request::get(url.as_str()).allow_cleartext(true);
        assert_eq!(get(everywhere_here(&secure), request).unwrap(), "insecure");
        let lenient = everywhere_here(&secure).allow_insecure_redirects(true);
        assert_eq!(get(lenient, url.as_str()).unwrap(), "insecure");
    }
}

#[test]
fn a_part_of_a_download_may_go_where_the_download_was_led() {
    let resource = support::Resource::new(support::pattern(1_000_000));
    let plain = Server::start(resource.handler());
    let target = plain.url_of_host("example.test", "/");
    let secure = Server::tls(move |_| Reply::redirect(302, &target));
    let session = Session::new(everywhere_here(&secure).allow_insecure_redirects(true));
    let download = DownloadRequest::new(secure.url("/")).segments(4);
    assert_eq!(session.download_task(download).wait().unwrap().into_body().len(), 1_000_000);
}

/// Asks for https in all it says, but where it says something else.
fn strict(request: &Received) -> Reply {
    let reply = match request.query() {
        Some(target) => Reply::redirect(302, target),
        None if request.path() == "/401" => Reply::status(401).header("WWW-Authenticate", "Own realm=x"),
        None => Reply::ok("secure"),
    };
    match request.header("x-say") {
        Some("") => reply,
        Some(field) => reply.header("Strict-Transport-Security", field),
        None => reply.header("Strict-Transport-Security", "max-age=1000"),
    }
}

/// A URL of that server which is not secure.
fn cleartext(server: &Server, host: &str, path: &str) -> String {
    format!("http://{host}:{}{path}", server.port())
}

#[test]
fn a_host_that_has_asked_for_https_is_asked_by_https() {
    let server = Server::tls(strict);
    for way in WAYS {
        let session = Session::new(everywhere_here(&server));
        session.data_task(server.url_of_host("example.test", "/")).wait().unwrap();
        let url = cleartext(&server, "example.test", "/x");
        let task = session.data_task(url.as_str());
        assert_eq!(result_by(way, &task).unwrap().bytes(), "secure", "{way:?}");
        let secure = server.url_of_host("example.test", "/x");
        assert_eq!(task.original_request().get_url().unwrap().as_str(), url);
        assert_eq!(task.current_request().get_url().unwrap().as_str(), secure);
        assert_eq!(task.response().unwrap().url().as_str(), secure);
        let metrics = task.metrics().unwrap();
        assert_eq!((metrics.transactions().len(), metrics.redirect_count()), (1, 0));
        assert_eq!(metrics.transactions()[0].url().unwrap().path(), "/x");
        assert_eq!(metrics.transactions()[0].url().unwrap().scheme(), "https");
        assert!(metrics.transactions()[0].tls_version().is_some());
        // It has not asked for those below it.
        assert_eq!(
            session.data_task(cleartext(&server, "www.example.test", "/")).wait().unwrap_err().kind(),
            Insecure
        );
        session.invalidate_and_cancel();
    }
    assert!(server.protocol_errors().is_empty(), "{:?}", server.protocol_errors());
}

#[test]
fn names_below_are_meant_if_it_says_so() {
    let server = Server::tls(strict);
    let session = Session::new(everywhere_here(&server));
    let say = |host: &str, field: &str| {
        let request = Request::get(server.url_of_host(host, "/")).header("x-say", field);
        session.data_task(request).wait().unwrap();
    };
    let outcome = |host: &str| {
        let result =
            session.data_task(Request::get(cleartext(&server, host, "/")).header("x-say", "")).wait();
        result.map(|response| response.url().scheme().to_owned()).map_err(|error| error.kind())
    };
    say("example.test", "max-age=1000; includeSubDomains");
    assert_eq!(outcome("www.example.test").unwrap(), "https");
    assert_eq!(outcome("example.test").unwrap(), "https");
    // Taken back.
    say("www.example.test", "max-age=0");
    assert_eq!(outcome("www.example.test").unwrap(), "https", "the one above still asks for it");
    say("example.test", "max-age=0");
    assert_eq!(outcome("www.example.test"), Err(Insecure));
    // What is malformed says nothing.
    for field in
        ["includeSubDomains", "max-age=x", "max-age=1; max-age=1", "max-age=1000; includeSubDomains=\"x"]
    {
        say("example.test", field);
        assert_eq!(outcome("example.test"), Err(Insecure), "{field}");
    }
    let request = Request::get(cleartext(&server, "other.test", "/")).allow_cleartext(true);
    say("example.test", "max-age=1000");
    assert!(session.data_task(request).wait().is_err(), "cleartext to a server that speaks TLS");
    let request = Request::get(cleartext(&server, "example.test", "/")).allow_cleartext(true);
    assert_eq!(session.data_task(request).wait().unwrap().url().scheme(), "https");
}

/// Keeps where it is led.
#[derive(Default)]
struct Watcher(Mutex<Vec<String>>);

impl Delegate for Watcher {
    fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, request: Request) -> RedirectDecision {
        self.0.lock().unwrap().push(request.get_url().unwrap().to_string());
        RedirectDecision::Follow(request)
    }
}

#[test]
fn a_redirect_to_such_a_host_leads_to_https() {
    let server = Server::tls(strict);
    let watcher = Arc::new(Watcher::default());
    let session =
        Session::builder().configuration(everywhere_here(&server)).delegate(Arc::clone(&watcher)).build();
    // What asks for it is a redirect, or an error, as well as any other response.
    for first in ["/401", "/?/"] {
        session.data_task(server.url_of_host("example.test", first)).wait().unwrap();
        watcher.0.lock().unwrap().clear();
        let there = cleartext(&server, "example.test", "/there");
        let request = Request::get(server.url_of_host("www.example.test", &format!("/?{there}")));
        let task = session.data_task(request.header("x-say", ""));
        assert_eq!(task.wait().unwrap().bytes(), "secure");
        let secure = server.url_of_host("example.test", "/there");
        assert_eq!(*watcher.0.lock().unwrap(), [secure.as_str()]);
        // From http the program is not asked for one more redirect either.
        watcher.0.lock().unwrap().clear();
        session.data_task(there).wait().unwrap();
        assert!(watcher.0.lock().unwrap().is_empty());
        let forget = Request::get(server.url_of_host("example.test", "/")).header("x-say", "max-age=0");
        session.data_task(forget).wait().unwrap();
    }
}

#[test]
fn a_delegate_cannot_lead_such_a_host_back() {
    struct Back(String);
    impl Delegate for Back {
        fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, request: Request) -> RedirectDecision {
            RedirectDecision::Follow(request.url(&self.0))
        }
    }
    let server = Server::tls(strict);
    let back = Back(cleartext(&server, "example.test", "/there"));
    let session = Session::builder().configuration(everywhere_here(&server)).delegate(back).build();
    let response = session.data_task(server.url_of_host("example.test", "/?/anywhere")).wait().unwrap();
    assert_eq!(response.url().as_str(), server.url_of_host("example.test", "/there"));
}

#[test]
fn who_cannot_be_known_to_have_asked_has_not() {
    let secure = Server::tls(strict);
    let plain = Server::start(strict);
    let storage = HstsStorage::in_memory();
    let with = |configuration: Configuration| configuration.hsts_storage(storage.clone());
    let allowing = || TransportSecurity::new().allow_cleartext(true);
    // In cleartext.
    get(with(everywhere_here(&plain).transport_security(allowing())), plain.url_of_host("example.test", "/"))
        .unwrap();
    // An address, and this machine.
    for host in ["127.0.0.1", "localhost"] {
        get(with(everywhere_here(&secure)), secure.url_of_host(host, "/")).unwrap();
    }
    // Somebody whose certificate was not looked at.
    let configuration = everywhere_here(&secure).danger_accept_invalid_certificates(true);
    get(with(configuration), secure.url_of_host("example.test", "/")).unwrap();
    assert!(storage.hosts().is_empty(), "{:?}", storage.hosts());
    get(with(everywhere_here(&secure)), secure.url_of_host("example.test", "/")).unwrap();
    assert_eq!(storage.hosts().len(), 1);
    assert!(storage.hosts()[0].expires() > SystemTime::now() + Duration::from_secs(900));
}

#[test]
fn a_failure_of_tls_is_no_way_back_to_cleartext() {
    let storage = HstsStorage::in_memory();
    storage.insert(HstsHost::new("example.test", SystemTime::now() + Duration::from_secs(100)).unwrap());
    let server = Server::tls(strict);
    // Nobody trusts it here.
    let configuration = Configuration::ephemeral()
        .resolver(here(&Arc::default()))
        .hsts_storage(storage)
        .allow_insecure_redirects(true);
    let request = Request::get(cleartext(&server, "example.test", "/")).allow_cleartext(true);
    let error = get(configuration, request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerCertificateHasUnknownRoot, "{error}");
    assert_eq!(error.url().unwrap().scheme(), "https");
    assert_eq!(server.accepted(), 1);
    assert!(server.requests().is_empty());
}

#[test]
fn it_can_be_turned_off() {
    let server = Server::tls(strict);
    let session = Session::new(everywhere_here(&server).hsts_storage(None));
    session.data_task(server.url_of_host("example.test", "/")).wait().unwrap();
    let error = session.data_task(cleartext(&server, "example.test", "/")).wait().unwrap_err();
    assert_eq!(error.kind(), Insecure);
}

#[test]
fn sessions_that_are_ephemeral_have_each_their_own() {
    let server = Server::tls(strict);
    let sessions = [(); 2].map(|()| Session::new(everywhere_here(&server)));
    sessions[0].data_task(server.url_of_host("example.test", "/")).wait().unwrap();
    let outcome =
        |session: &Session| session.data_task(cleartext(&server, "example.test", "/")).wait().is_ok();
    assert!(outcome(&sessions[0]));
    assert!(!outcome(&sessions[1]));
}

#[test]
fn what_was_asked_for_is_known_the_next_time() {
    let server = Server::tls(strict);
    let directory = Directory::new();
    let place = directory.join("own/state");
    let configuration = || {
        Configuration::default()
            .storage_directory(&place)
            .resolver(here(&Arc::default()))
            .add_root_certificate(urlsession::Certificate::from_der(server.ca_der()))
    };
    get(configuration(), server.url_of_host("example.test", "/")).unwrap();
    let session = Session::new(configuration());
    let response = session.data_task(cleartext(&server, "example.test", "/")).wait().unwrap();
    assert_eq!(response.url().scheme(), "https");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700);
    assert_eq!(mode(&place.join("hsts")), 0o600);
    assert!(HstsStorage::in_directory(&place).unwrap().covers("example.test"));
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error_of_the_session() {
    let directory = Directory::new();
    std::fs::write(directory.join("file"), "").unwrap();
    let configuration = Configuration::default().storage_directory(directory.join("file"));
    let error = Session::builder().configuration(configuration.clone()).try_build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotCreateFile, "{error}");
    let error = get(configuration, "http://127.0.0.1:1/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotCreateFile, "{error}");
}
