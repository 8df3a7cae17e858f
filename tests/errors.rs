//! What goes wrong, said in words and kinds: which error each cause has, what its message names, and
//! that no message, no `Debug` and no line of the log tells a secret.

mod support;

use ErrorKind::{
    BadUrl, CannotConnectToHost, CannotFindHost, DataLengthExceedsMaximum, DnsLookupFailed, TimedOut,
    UnsupportedUrl,
};
use std::error::Error as _;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use support::{
    At, Blackhole, Fault, PATIENCE, Received, Refused, Reply, Server, WAYS, configuration_for, result_by,
};
use urlsession::{Body, Configuration, Delegate, Error, ErrorKind, Request, Response, Session, TaskEvent};

/// The error of a request, which is the same in each way a task can be used in. All at a time, since
/// some take their time to fail.
fn error_with(configuration: Configuration, request: impl Into<Request>) -> Error {
    let request = request.into();
    let in_one_way = |way| {
        let session = Session::new(configuration.clone());
        let task = session.data_task(request.clone());
        let error = result_by(way, &task).map(Response::into_body).expect_err("an error");
        let of_task = task.error().expect("the error of the task");
        assert_eq!((of_task.kind(), of_task.to_string()), (error.kind(), error.to_string()));
        session.invalidate_and_cancel();
        error
    };
    let errors: Vec<Error> = std::thread::scope(|scope| {
        let running = WAYS.map(|way| {
            let in_one_way = &in_one_way;
            scope.spawn(move || in_one_way(way))
        });
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for (error, way) in errors.iter().zip(WAYS) {
        let first = &errors[0];
        assert_eq!((first.kind(), first.to_string()), (error.kind(), error.to_string()), "{way:?}");
    }
    errors.into_iter().next().expect("an error")
}

fn error_of(request: impl Into<Request>) -> Error {
    error_with(Configuration::ephemeral().timeout_for_request(PATIENCE), request)
}

#[track_caller]
fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.code(), kind.code());
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn urls_that_are_none() {
    for (url, words) in [
        ("", &["empty"][..]),
        ("  ", &["empty"]),
        ("/path", &["`/path`", "relative"]),
        ("example.com/x", &["example.com/x", "did you mean `https://example.com/x`?"]),
        ("http://", &["`http://`", "empty host"]),
        ("http:///", &["empty host"]),
        ("http://:80/", &["empty host"]),
        ("http://example.com:99999/", &["99999", "port"]),
        ("http://example.com:x/", &["port"]),
        ("http://[::1/", &["IPv6"]),
        ("http://a b/", &["a b"]),
        ("http://%00/", &["%00"]),
        ("http://1.2.3.256/", &["IPv4"]),
    ] {
        let error = error_of(url);
        says(&error, BadUrl, words);
        assert_eq!(error.code(), -1000);
        // A second thought: the URL of another request.
        assert!(Request::get(url).url("http://127.0.0.1/").check().is_ok(), "{url:?}");
    }
}

#[test]
fn schemes_that_nothing_loads() {
    for url in ["gopher://example.com/", "ftp://example.com/", "mailto:me@example.com"] {
        let error = error_of(url);
        let scheme = url.split(':').next().expect("a scheme");
        says(&error, UnsupportedUrl, &[scheme, "http, https, data and file"]);
        assert_eq!(error.code(), -1002);
    }
    says(&error_of("localhost:8080/x"), UnsupportedUrl, &["did you mean `http://localhost:8080/x`?"]);
    // What was meant may be another thing: a user name and a password, without a scheme.
    for url in ["date:text/plain,secret", "me:secret@example.com/x", "me:secret@example.com/?secret"] {
        let error = error_of(url);
        assert_eq!(error.kind(), UnsupportedUrl);
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
}

#[test]
fn headers_and_methods_that_are_none() {
    let request = || Request::get("http://127.0.0.1:1/");
    for value in ["a\r\nX-Admin: 1", "a\n b", "a\rb", "a\0b", "a\x1b[2J", "\n"] {
        says(&error_of(request().header("x-name", value)), BadUrl, &["`x-name`", "control character"]);
        says(&error_of(request().add_header("x-name", value)), BadUrl, &["`x-name`"]);
        says(&error_of(request().header("authorization", value)), BadUrl, &["`authorization`"]);
    }
    for name in ["", "a b", "a:b", "a\r\nb", "é"] {
        says(&error_of(request().header(name, "x")), BadUrl, &["not a header name"]);
    }
    for method in ["", "GET /", "a b", "GET\r\nX: y", "é"] {
        says(&error_of(request().method(method)), BadUrl, &[]);
    }
    says(&error_of(request().bearer_auth("a\r\nb")), BadUrl, &["authorization"]);
    says(&error_of(request().basic_auth("a:b", "c")), BadUrl, &["colon"]);
    // The first thing that was wrong is the one that is told.
    says(&error_of(request().header("a", "\n").header("b", "\n")), BadUrl, &["`a`"]);
}

#[test]
fn configurations_that_are_none() {
    let configuration = || Configuration::ephemeral();
    let url = "http://127.0.0.1:1/";
    says(&error_with(configuration().additional_header("x", "\n"), url), BadUrl, &["`x`"]);
    says(&error_with(configuration().additional_header("Host", "x"), url), BadUrl, &["`host`", "reserved"]);
    says(&error_with(configuration().user_agent("a\nb"), url), BadUrl, &["user-agent"]);
}

#[test]
fn names_that_do_not_resolve() {
    let with = |resolve: fn(&str) -> io::Result<Vec<IpAddr>>| {
        error_with(Configuration::ephemeral().resolver(Arc::new(resolve)), "http://name.example.internal/")
    };
    let error = with(|_| Err(io::ErrorKind::NotFound.into()));
    says(&error, CannotFindHost, &["resolving name.example.internal"]);
    assert!(error.is_connect());
    says(&with(|_| Ok(Vec::new())), CannotFindHost, &["name.example.internal", "no address"]);
    let error = with(|_| Err(io::Error::other("the cat has it")));
    says(&error, DnsLookupFailed, &["name.example.internal", "the cat has it"]);
    assert!(error.source().is_some());
    says(&with(|_| panic!("a resolver of a test that panics")), DnsLookupFailed, &["panicked"]);
    // A machine without a network cannot know that there is none of this name (RFC 2606).
    let error = error_of("https://nonexistent.invalid/");
    assert!([CannotFindHost, DnsLookupFailed].contains(&error.kind()), "{error}");
    assert!(error.to_string().contains("nonexistent.invalid"), "{error}");
    let long = format!("https://{}/", vec!["x".repeat(60); 5].join("."));
    says(&error_of(&long), CannotFindHost, &["304 bytes"]);
}

#[test]
fn the_resolver_is_asked_for_names_only() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let server = Server::start(|_| Reply::ok("x"));
    let resolver = {
        let asked = Arc::clone(&asked);
        move |host: &str| {
            asked.lock().unwrap().push(host.to_owned());
            Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])
        }
    };
    let session = Session::new(configuration_for(&server).resolver(Arc::new(resolver)));
    for host in ["127.0.0.1", "localhost", "Bücher.Example.INTERNAL", "bücher.example.internal"] {
        session.data_task(server.url_of_host(host, "/")).wait().expect(host);
        session.data_task(server.url_of_host(host, "/")).wait().expect(host);
    }
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().all(|host| host == "xn--bcher-kva.example.internal"), "{asked:?}");
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[test]
fn connections_that_are_refused() {
    let refused = Refused::new();
    let error = error_of(refused.url("/path?secret"));
    says(&error, CannotConnectToHost, &[&refused.addr().to_string(), "refused"]);
    assert_eq!(error.code(), -1004);
    assert!(error.is_connect() && !error.is_timeout());
    assert_eq!(error.url().expect("a URL").path(), "/path");

    // All addresses of a name are tried. There is a server at one of them.
    let server = Server::start(|_| Reply::ok("x"));
    let two = |_: &str| Ok(["127.0.0.9", "127.0.0.1"].map(|ip| ip.parse().expect("an address")).to_vec());
    let configuration = Configuration::ephemeral().resolver(Arc::new(two));
    for way in WAYS {
        let session = Session::new(configuration.clone());
        result_by(way, &session.data_task(server.url_of_host("two.example.internal", "/"))).unwrap();
    }
    let url = format!("http://two.example.internal:{}/", refused.addr().port());
    says(&error_with(configuration, url), CannotConnectToHost, &["two.example.internal", "refused"]);
}

#[test]
fn connects_that_hang() {
    let hole = Blackhole::new();
    let request = Request::get(hole.url("/")).timeout(Duration::from_millis(150));
    let error = error_of(request);
    says(&error, TimedOut, &["connecting to", &hole.addr().to_string(), "150ms"]);
    assert!(error.is_timeout());
    assert_eq!(error.code(), -1001);
    let request = Request::get(hole.url("/")).connect_timeout(Duration::from_millis(150));
    says(&error_of(request), TimedOut, &["connecting to", "connect timeout"]);
    let request = Request::get(hole.url("/")).resource_timeout(Duration::from_millis(150));
    says(&error_of(request), TimedOut, &["connecting to", "resource timeout"]);
}

#[test]
fn timeouts_say_what_was_waited_for() {
    let handler = |request: &Received| match request.path() {
        "/head" => Reply::ok("x").then(Fault::Stall),
        _ => Reply::ok("0123456789").then(Fault::StallAt(At::After(5))),
    };
    let server = Server::start(handler);
    let short = |path| Request::get(server.url(path)).timeout(Duration::from_millis(1500));
    says(&error_of(short("/head")), TimedOut, &["waiting for the response", "request timeout"]);
    let error = error_of(short("/body"));
    says(&error, TimedOut, &["receiving the body", "request timeout"]);
    assert_eq!(error.response().expect("the head").status(), 200);
    let limited = Request::get(server.url("/body")).resource_timeout(Duration::from_millis(1500));
    says(&error_of(limited), TimedOut, &["receiving the body", "resource timeout"]);
}

#[test]
fn bodies_that_are_too_large() {
    let server = Server::start(|_| Reply::ok(support::pattern(1000)));
    for way in WAYS.into_iter().filter(|way| *way != support::Way::Reader) {
        let session = Session::new(Configuration::ephemeral().maximum_body_in_memory(999));
        let error = result_by(way, &session.data_task(server.url("/"))).unwrap_err();
        says(&error, DataLengthExceedsMaximum, &["999 bytes", "open()", "maximum_body_in_memory"]);
        assert_eq!(error.code(), -1103);
        assert_eq!(error.url().expect("a URL").port(), Some(server.port()), "{way:?}");
        assert_eq!(error.response().expect("the head").status(), 200, "{way:?}");
    }
}

#[test]
fn tasks_that_come_too_late() {
    let server = Server::start(|_| Reply::ok("x"));
    let session = Session::new(Configuration::ephemeral());
    session.finish_tasks_and_invalidate();
    for way in WAYS {
        let task = session.data_task(server.url("/"));
        if way == support::Way::Delegate {
            continue;
        }
        says(&result_by(way, &task).unwrap_err(), ErrorKind::SessionInvalidated, &["another session"]);
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_body_has_one_reader() {
    let server = Server::start(|_| Reply::ok("x"));
    let session = Session::new(Configuration::ephemeral());
    let task = session.data_task(server.url("/"));
    let response = task.open().unwrap();
    says(&task.open().unwrap_err(), ErrorKind::ResourceUnavailable, &["one reader"]);
    let mut text = String::new();
    response.into_body().read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
}

#[test]
fn an_error_status_is_an_error_when_asked_for() {
    let server = Server::start(|_| Reply::status(404).body("no"));
    let session = Session::new(Configuration::ephemeral());
    let response = session.data_task(server.url("/x?secret")).wait().unwrap();
    assert_eq!(response.text().unwrap(), "no");
    let error = response.error_for_status().unwrap_err();
    says(&error, ErrorKind::HttpStatus, &["404", "/x"]);
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn what_a_reader_is_told() {
    let server =
        Server::start(|_| Reply::head(200).header("content-length", "1000").then(Fault::CloseAfter(10)));
    let session = Session::new(Configuration::ephemeral());
    let mut body = session.data_task(server.url("/")).open().unwrap().into_body();
    let error = body.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    says(&support::error_within(error), ErrorKind::NetworkConnectionLost, &["10 of 1000 bytes"]);
    // And again: an error is not the end of the body.
    assert!(body.read(&mut [0]).is_err());
}

/// Keeps all that is logged.
struct Log(Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn log_lines() -> &'static Log {
    static LOG: OnceLock<&'static Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log: &'static Log = Box::leak(Box::new(Log(Mutex::default())));
        log::set_logger(log).expect("the only logger");
        log::set_max_level(log::LevelFilter::Trace);
        log
    })
}

/// Prints all it gets to see.
struct Printer(Arc<Mutex<Vec<String>>>);

impl Delegate for Printer {
    fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
        let task = event.task();
        self.0.lock().unwrap().push(format!("{event:?} {task:?} {error:?} {:?}", task.current_request()));
    }

    fn did_finish_collecting(&self, _: &TaskEvent<'_>, metrics: &urlsession::TaskMetrics) {
        self.0.lock().unwrap().push(format!("{metrics:?} {metrics}"));
    }
}

#[test]
fn secrets_are_told_nowhere() {
    // Each in a form that nothing else has: user name, password, query, header, cookie, body, token.
    const SECRETS: [&str; 9] = [
        "qUser",
        "qPass",
        "qQuery",
        "qToken",
        "qCookie",
        "qBody",
        "qProxy",
        // "qUser:qPass" and "qToken:qToken" in base64.
        "cVVzZXI6cVBhc3M",
        "cVRva2VuOnFUb2tlbg",
    ];
    let log = log_lines();
    let refused = Refused::new();
    let handler = |request: &Received| match request.path() {
        "/302" => Reply::redirect(302, "/200?qQuery"),
        "/elsewhere" => Reply::redirect(302, "http://qUser:qPass@localhost:1/?qQuery"),
        "/scheme" => Reply::redirect(302, "gopher://qUser:qPass@localhost/?qQuery"),
        "/nowhere" => Reply::redirect(302, "http://qUser:qPass@/?qQuery"),
        "/loop" => Reply::redirect(302, "/loop?qQuery"),
        "/cut" => Reply::ok("x").header("Set-Cookie", "id=qCookie").then(Fault::WrongLength(5)),
        "/odd" => Reply::raw("HTTP/1.1 200 OK\r\nSet-Cookie: id=qCookie\x01\r\n\r\n".to_owned()),
        "/stall" => Reply::ok("x").then(Fault::Stall),
        "/close" => Reply::ok("x").then(Fault::CloseIdleAfterReply),
        _ => Reply::ok("x").header("Set-Cookie", "id=qCookie").header("Proxy-Authenticate", "x"),
    };
    let mut shown: Vec<String> = Vec::new();
    for server in [Server::start(handler), Server::tls(handler)] {
        let printed: Arc<Mutex<Vec<String>>> = Arc::default();
        let configuration = configuration_for(&server)
            .additional_header("cookie", "id=qCookie")
            .redirect_limit(3)
            .allow_insecure_redirects(true)
            .maximum_body_in_memory(1000);
        shown.push(format!("{configuration:?}"));
        let session =
            Session::builder().configuration(configuration).delegate(Printer(Arc::clone(&printed))).build();
        let urls = [
            "/200",
            "/302",
            "/elsewhere",
            "/scheme",
            "/nowhere",
            "/loop",
            "/cut",
            "/odd",
            "/stall",
            "/close",
            "/close",
        ]
        .map(|path| server.url(path))
        .into_iter()
        .chain([
            refused.url("/"),
            server.url_of_host("nonexistent.invalid", "/"),
            "gopher://localhost/".to_owned(),
            "http://localhost:99999/".to_owned(),
            "http://".to_owned(),
        ]);
        for url in urls {
            let secret = url.replacen("://", "://qUser:qPass@", 1) + "?qQuery=qQuery#qQuery";
            for (number, way) in WAYS.into_iter().enumerate() {
                let request = Request::post(&secret).timeout(Duration::from_millis(300)).body("qBody");
                let request = match number % 4 {
                    0 => request.bearer_auth("qToken"),
                    1 => request.basic_auth("qToken", "qToken"),
                    2 => request.header("cookie", "id=qCookie").header("proxy-authorization", "qProxy"),
                    _ => request,
                };
                shown.push(format!("{request:?}"));
                let task = session.data_task(request);
                let result = result_by(way, &task);
                shown.push(format!("{task:?} {result:?} {:?} {:?}", task.error(), task.response()));
                shown.push(format!(
                    "{:?} {:?} {:?}",
                    task.current_request(),
                    task.progress(),
                    task.metrics()
                ));
                if let Err(error) = result {
                    let mut cause = error.source();
                    shown.push(format!("{error} {error:?} {error:#?}"));
                    while let Some(error) = cause {
                        shown.push(format!("{error} {error:?}"));
                        cause = error.source();
                    }
                    shown.push(format!("{:?}", io::Error::from(error)));
                }
            }
        }
        shown.push(format!("{session:?} {:?}", session.configuration()));
        session.finish_tasks_and_invalidate();
        shown.extend(printed.lock().unwrap().drain(..));
    }
    shown.push(format!("{:?}", Body::from("qBody")));
    let logged = log.0.lock().unwrap().clone();
    assert!(logged.iter().any(|line| line.contains("302")), "the log was captured");
    for line in shown.iter().chain(&logged) {
        for secret in SECRETS {
            assert!(!line.contains(secret), "{secret} in: {line}");
        }
    }
}
