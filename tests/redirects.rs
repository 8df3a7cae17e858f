//! Redirects: which are followed, to where, with what of the request, and what becomes of the
//! connections on the way (RFC 9110, section 15.4; SPEC A11).

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use support::{Client, Received, Reply, Server, configuration_for, every_way, over_both, pattern};
use urlsession::{
    Configuration, Delegate, Error, ErrorKind, RedirectDecision, Request, ResponseHead, Session, TaskEvent,
    TransportSecurity,
};

/// Answers `/status?target` with that redirect, and everything else with what the request was.
fn redirector(request: &Received) -> Reply {
    match (request.path()[1..].parse(), request.query()) {
        (Ok(status), Some(target)) => Reply::redirect(status, target).body("moved"),
        _ => Reply::ok(format!("{} {} {}", request.method, request.target, request.text())),
    }
}

/// Every name is this machine, and may be asked in cleartext.
fn everywhere_here(server: &Server) -> Configuration {
    configuration_for(server)
        .resolver(Arc::new(|_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])))
        .transport_security(TransportSecurity::new().allow_cleartext(true))
}

#[test]
fn statuses_and_methods() {
    every_way(redirector, |client| {
        for (status, method, followed_by) in [
            (300, "GET", None),
            (301, "GET", Some("GET")),
            (301, "HEAD", Some("HEAD")),
            (301, "POST", Some("GET")),
            (301, "PUT", Some("PUT")),
            (302, "GET", Some("GET")),
            (302, "POST", Some("GET")),
            (302, "DELETE", Some("DELETE")),
            (303, "GET", Some("GET")),
            (303, "HEAD", Some("HEAD")),
            (303, "POST", Some("GET")),
            (303, "PUT", Some("GET")),
            (304, "GET", None),
            (305, "GET", None),
            (306, "GET", None),
            (307, "GET", Some("GET")),
            (307, "POST", Some("POST")),
            (307, "PATCH", Some("PATCH")),
            (308, "POST", Some("POST")),
            (308, "HEAD", Some("HEAD")),
        ] {
            let what = format!("{status} {method}");
            let has_body = ["POST", "PUT", "PATCH"].contains(&method);
            let mut request = Request::new(method, client.server.url(&format!("/{status}?/new")));
            if has_body {
                request = request.header("content-type", "text/plain").body("content");
            }
            let before = client.server.requests().len();
            let response = client.send(request).expect(&what);
            let requests = &client.server.requests()[before..];
            let Some(expected) = followed_by else {
                assert_eq!((requests.len(), response.status().as_u16()), (1, status), "{what}");
                let body = if status == 304 { "" } else { "moved" };
                assert_eq!(response.bytes(), body, "{what}");
                continue;
            };
            let [_, second] = requests else { panic!("{what}: {} requests", requests.len()) };
            assert_eq!((response.status().as_u16(), second.method.as_str()), (200, expected), "{what}");
            let keeps_body = has_body && expected == method;
            assert_eq!(second.text(), if keeps_body { "content" } else { "" }, "{what}");
            assert_eq!(second.header("content-type").is_some(), keeps_body, "{what}");
            let length = second.header("content-length");
            assert_eq!(length, keeps_body.then_some("7"), "{what}");
        }
        assert_eq!(client.server.accepted(), 1, "all over one connection");
    });
}

#[test]
fn the_body_of_a_redirect_leaves_the_connection_usable() {
    let handler = |request: &Received| match request.path() {
        "/none" => Reply::redirect(302, "/new").body(""),
        "/length" => Reply::redirect(302, "/new").body(pattern(10_000)),
        "/chunked" => {
            Reply::chunked([pattern(5000), pattern(5000)]).with_status(302).header("Location", "/new")
        }
        "/large" => Reply::redirect(302, "/new").body(pattern(10_000_000)),
        "/until-close" => Reply::until_close("moved").with_status(302).header("Location", "/new"),
        "/broken" => Reply::raw(
            "HTTP/1.1 302 Found\r\nLocation: /new\r\nTransfer-Encoding: chunked\r\n\r\nbroken".to_owned(),
        )
        .keep_open(),
        _ => Reply::ok("new"),
    };
    every_way(handler, |client| {
        for (path, connections) in [
            ("/none", 1),
            ("/length", 1),
            ("/chunked", 1),
            ("/until-close", 2),
            ("/broken", 2),
            ("/large", 2),
        ] {
            let before = client.server.accepted();
            assert_eq!(client.get(path).expect(path).bytes(), "new");
            assert_eq!(client.server.accepted() - before, connections, "{path}");
            client.session.flush();
        }
    });
}

#[test]
fn locations_of_all_kinds() {
    let handler = |request: &Received| match (request.target.as_str(), request.header("x-location")) {
        ("/a/b?q", Some(location)) => Reply::redirect(302, location),
        _ => Reply::ok(request.target.clone()),
    };
    over_both(handler, |server, session| {
        let absolute = server.url("/abs");
        let scheme_relative = absolute.split_once(':').expect("a scheme").1.to_owned();
        let upper = absolute.replacen("http", "HTTP", 1);
        for (location, target) in [
            ("/x", "/x"),
            ("x", "/a/x"),
            ("./x?y=1", "/a/x?y=1"),
            ("../../x", "/x"),
            ("?z", "/a/b?z"),
            ("  /x\t", "/x"),
            ("/a b/%C3%A9?%C3%BC", "/a%20b/%C3%A9?%C3%BC"),
            ("/%zz", "/%zz"),
            ("\\x", "/x"),
            ("/x#new", "/x"),
            (&absolute, "/abs"),
            (&scheme_relative, "/abs"),
            (&upper, "/abs"),
        ] {
            let request = Request::get(server.url("/a/b?q#old")).header("x-location", location);
            let response = session.data_task(request).wait().expect(location);
            assert_eq!(response.text().unwrap(), target, "{location:?}");
            // RFC 9110, section 10.2.2: the fragment is inherited.
            let fragment = if location.contains('#') { "new" } else { "old" };
            assert_eq!(response.url().fragment(), Some(fragment), "{location:?}");
        }
    });
}

#[test]
fn what_leads_nowhere_is_the_answer() {
    let handler = |request: &Received| match request.path() {
        "/none" => Reply::status(302).body("moved"),
        "/empty" => Reply::redirect(302, "").body("moved"),
        "/odd" => Reply::redirect(302, "http://[::1").body("moved"),
        "/port" => Reply::redirect(302, "http://h:99999/").body("moved"),
        "/two" => Reply::redirect(302, "/a").header("Location", "/b").body("moved"),
        _ => Reply::redirect(302, "http://").body("moved"),
    };
    every_way(handler, |client| {
        for path in ["/none", "/empty", "/odd", "/port", "/two"] {
            let response = client.get(path).expect(path);
            assert_eq!(
                (response.status().as_u16(), response.bytes().as_ref()),
                (302, &b"moved"[..]),
                "{path}"
            );
        }
        let error = client.get("/no-host").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RedirectToNonExistentLocation, "{error}");
    });
}

#[test]
fn the_task_knows_both_requests_and_the_last_url() {
    every_way(redirector, |client| {
        let url = client.server.url("/302?/307?/new");
        let task = client.session.data_task(Request::post(&url).body("x").header("x-a", "1"));
        let response = support::result_by(client.way, &task).unwrap();
        assert_eq!(response.url().as_str(), client.server.url("/new"));
        assert_eq!(task.original_request().get_url().unwrap().as_str(), url);
        assert_eq!(task.original_request().get_method(), "POST");
        let current = task.current_request();
        assert_eq!(current.get_url().unwrap().as_str(), client.server.url("/new"));
        assert_eq!((current.get_method().as_str(), current.get_header("x-a")), ("GET", Some("1")));
        assert_eq!(task.response().unwrap().status(), 200);
    });
}

const SECRETS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

fn with_secrets(url: String) -> Request {
    SECRETS
        .iter()
        .fold(Request::get(url), |request, name| request.header(name, "secret"))
        .header("x-kept", "1")
}

/// Which of the secrets came along.
fn secrets(request: &Received) -> Vec<&'static str> {
    assert_eq!(request.header("x-kept"), Some("1"));
    SECRETS.iter().copied().filter(|name| request.header(name).is_some()).collect()
}

#[test]
fn credentials_stay_with_the_origin() {
    over_both(redirector, |server, _| {
        let other = Server::start(|_| Reply::ok("other"));
        let session = Session::new(everywhere_here(server).allow_insecure_redirects(true));
        let go = |location: &str| {
            let request = with_secrets(server.url_of_host("one.example.test", &format!("/302?{location}")));
            session.data_task(request).wait().unwrap_or_else(|error| panic!("{location}: {error}"));
        };
        go("/new");
        assert_eq!(secrets(&server.requests().pop().unwrap()), SECRETS);
        // Another name, though it is the same machine and port.
        go(&server.url_of_host("two.example.test", "/new"));
        assert!(secrets(&server.requests().pop().unwrap()).is_empty());
        go(&server.url_of_host("example.test", "/new"));
        assert!(secrets(&server.requests().pop().unwrap()).is_empty());
        // Another port, and for one of the two another scheme.
        go(&other.url_of_host("one.example.test", "/"));
        assert!(secrets(&other.requests().pop().unwrap()).is_empty());
        // Once lost, they are not found again on the way back.
        let back = server.url_of_host("one.example.test", "/new");
        go(&server.url_of_host("two.example.test", &format!("/302?{back}")));
        let last = server.requests().pop().unwrap();
        assert_eq!(last.path(), "/new");
        assert!(secrets(&last).is_empty());
        session.invalidate_and_cancel();
    });
}

#[test]
fn credentials_can_be_made_to_stay_behind_always() {
    let server = Server::start(redirector);
    let session = Session::new(Configuration::ephemeral().strip_authorization_on_redirect(true));
    session.data_task(with_secrets(server.url("/302?/new"))).wait().unwrap();
    assert_eq!(secrets(&server.request(0)), SECRETS);
    assert!(secrets(&server.request(1)).is_empty());
    let url = server.url("/302?/new").replacen("://", "://user:pass@", 1);
    session.data_task(url).wait().unwrap();
    assert!(server.request(2).header("authorization").is_some());
    assert_eq!(server.request(3).header("authorization"), None);
}

#[test]
fn credentials_of_the_url_stay_with_the_origin_too() {
    over_both(redirector, |server, _| {
        let session = Session::new(everywhere_here(server));
        let go = |location: &str| {
            let url = server.url_of_host("one.example.test", &format!("/302?{location}"));
            let response = session.data_task(url.replacen("://", "://user:pass@", 1)).wait().unwrap();
            assert!(!response.url().as_str().contains("pass"), "{}", response.url());
            server.requests().pop().unwrap().header("authorization").map(str::to_owned)
        };
        assert_eq!(go("/new").as_deref(), Some("Basic dXNlcjpwYXNz"));
        assert_eq!(go("/302?/new").as_deref(), Some("Basic dXNlcjpwYXNz"));
        assert_eq!(go(&server.url_of_host("two.example.test", "/new")), None);
        session.invalidate_and_cancel();
    });
}

#[test]
fn credentials_in_a_location_are_used() {
    over_both(redirector, |server, session| {
        let target = server.url("/new").replacen("://", "://user:p%40ss@", 1);
        let request = Request::get(server.url(&format!("/302?{target}")));
        assert_eq!(session.data_task(&request).wait().unwrap().status(), 200);
        assert_eq!(server.request(1).header("authorization"), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(server.request(1).target, "/new");
        // What the user has set goes before it.
        session.data_task(request.bearer_auth("token")).wait().unwrap();
        assert_eq!(server.request(3).header("authorization"), Some("Bearer token"));
    });
}

#[test]
fn a_host_set_by_hand_is_for_the_first_origin() {
    over_both(redirector, |server, _| {
        let session = Session::new(everywhere_here(server));
        let host = |location: &str| {
            let url = server.url_of_host("one.example.test", &format!("/302?{location}"));
            session.data_task(Request::get(url).header("host", "by-hand")).wait().unwrap();
            server.requests().pop().unwrap().header("host").unwrap().to_owned()
        };
        assert_eq!(host("/new"), "by-hand");
        let other = server.url_of_host("two.example.test", "/new");
        assert_eq!(host(&other), format!("two.example.test:{}", server.port()));
        session.invalidate_and_cancel();
    });
}

#[test]
fn the_twenty_first_is_one_too_many() {
    let handler = |request: &Received| match request.path()[1..].parse::<u32>() {
        Ok(0) => Reply::ok("there"),
        Ok(left) => Reply::redirect(302, &format!("/{}", left - 1)),
        _ => Reply::redirect(302, "/loop?secret=1"),
    };
    fn too_many<T>(result: Result<T, Error>, path: &str) {
        let error = result.map(drop).expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::HttpTooManyRedirects);
        assert_eq!(error.code(), -1007);
        assert_eq!(error.url().expect("the last target").path(), path);
        assert!(error.response().is_none());
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    every_way(handler, |client| {
        assert_eq!(client.get("/20").unwrap().bytes(), "there");
        let before = client.server.requests().len();
        too_many(client.get("/21"), "/0");
        assert_eq!(client.server.requests().len() - before, 21);
        too_many(client.get("/loop"), "/loop");
        let request = Request::get(client.server.url("/3"));
        too_many(client.send(request.clone().redirect_limit(2)), "/0");
        assert_eq!(client.send(request.clone().redirect_limit(3)).unwrap().bytes(), "there");
        too_many(client.send(request.redirect_limit(0)), "/2");
    });
}

#[test]
fn from_https_to_http_only_if_it_is_allowed() {
    let plain = Server::start(|_| Reply::ok("insecure"));
    let target = plain.url("/x?secret");
    let secure = Server::tls(move |_| Reply::redirect(302, &target));
    for way in support::WAYS {
        let client = Client::new(&secure, way);
        let error = client.get("/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AppTransportSecurityRequiresSecureConnection, "{error}");
        assert_eq!(error.code(), -1022);
        assert!(error.to_string().contains(&plain.port().to_string()), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(plain.requests().is_empty());
    }
    let session = Session::new(configuration_for(&secure).allow_insecure_redirects(true));
    let request = with_secrets(secure.url("/")).header("referer", "https://h/");
    assert_eq!(session.data_task(request).wait().unwrap().bytes(), "insecure");
    assert!(secrets(&plain.request(0)).is_empty());
    assert_eq!(plain.request(0).header("referer"), None);
}

#[test]
fn from_http_to_https() {
    let secure = Server::tls(|_| Reply::ok("secure"));
    let target = secure.url("/");
    let plain = Server::start(move |_| Reply::redirect(301, &target));
    for way in support::WAYS {
        let session = Session::new(configuration_for(&secure));
        let task = session.data_task(plain.url("/"));
        assert_eq!(support::result_by(way, &task).unwrap().bytes(), "secure");
        session.invalidate_and_cancel();
    }
}

#[test]
fn other_schemes_are_refused() {
    let locations = ["file:///etc/passwd", "data:text/plain,secret", "ftp://h/secret", "javascript:secret"];
    let handler = move |request: &Received| match request.path()[1..].parse::<usize>() {
        Ok(index) => Reply::redirect(302, locations[index]),
        _ => Reply::status(404),
    };
    every_way(handler, |client| {
        for (index, location) in locations.iter().enumerate() {
            let error = client.get(&format!("/{index}")).expect_err(location);
            assert_eq!(error.kind(), ErrorKind::UnsupportedUrl, "{error}");
            assert!(error.to_string().contains(location.split(':').next().unwrap()), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    });
}

#[test]
fn a_large_body_is_sent_again() {
    let handler = |request: &Received| match request.path() {
        "/first" => {
            request.body();
            Reply::redirect(307, "/second")
        }
        "/early" => Reply::redirect(308, "/second").early(),
        _ => Reply::ok(format!("{} {:?}", request.body_length(), request.body_mismatch())),
    };
    every_way(handler, |client| {
        for path in ["/first", "/early"] {
            let request = Request::put(client.server.url(path)).body(pattern(1_000_000));
            assert_eq!(client.send(request).unwrap().bytes(), "1000000 None", "{path}");
        }
    });
}

/// Does with a redirect what it is told, and keeps where it led.
struct Judge {
    verdict: fn(Request) -> RedirectDecision,
    seen: Mutex<Vec<(u16, String)>>,
}

impl Judge {
    fn new(verdict: fn(Request) -> RedirectDecision) -> Arc<Judge> {
        Arc::new(Judge { verdict, seen: Mutex::default() })
    }
}

impl Delegate for Judge {
    fn will_redirect(&self, _: &TaskEvent<'_>, head: &ResponseHead, request: Request) -> RedirectDecision {
        let path = request.get_url().expect("a URL").path().to_owned();
        self.seen.lock().unwrap().push((head.status().as_u16(), path));
        (self.verdict)(request)
    }
}

#[test]
fn the_delegate_decides() {
    every_way(redirector, |client| {
        // That way has a delegate of its own.
        if client.way == support::Way::Delegate {
            return;
        }
        let go = |judge: &Arc<Judge>, path: &str| {
            let task = client.session.data_task(client.server.url(path));
            assert!(task.set_delegate(Arc::clone(judge)));
            support::result_by(client.way, &task)
        };
        let follower = Judge::new(RedirectDecision::Follow);
        assert_eq!(go(&follower, "/302?/307?/new").unwrap().bytes(), "GET /new ");
        assert_eq!(*follower.seen.lock().unwrap(), [(302, "/307".to_owned()), (307, "/new".to_owned())]);

        let stopper = Judge::new(|_| RedirectDecision::Stop);
        let response = go(&stopper, "/302?/new").unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (302, &b"moved"[..]));
        assert_eq!(stopper.seen.lock().unwrap().len(), 1);

        let changer = Judge::new(|request| {
            let url = request.get_url().expect("a URL").join("/elsewhere");
            RedirectDecision::Follow(request.url(url).method("PUT").body("changed"))
        });
        assert_eq!(go(&changer, "/302?/new").unwrap().bytes(), "PUT /elsewhere changed");

        let breaker = Judge::new(|request| RedirectDecision::Follow(request.url("gopher://h/")));
        assert_eq!(go(&breaker, "/302?/new").unwrap_err().kind(), ErrorKind::UnsupportedUrl);

        // Approval of each one does not lift the limit.
        let looper = Judge::new(|request| {
            let url = request.get_url().expect("a URL").join("/302?/new");
            RedirectDecision::Follow(request.url(url))
        });
        let error = go(&looper, "/302?/new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HttpTooManyRedirects, "{error}");
        assert_eq!(looper.seen.lock().unwrap().len(), 21);
    });
}

#[test]
fn a_redirect_between_hosts_uses_the_connections_of_both() {
    over_both(redirector, |server, _| {
        let session = Session::new(everywhere_here(server));
        for round in 0..3 {
            let target = server.url_of_host("two.example.test", "/new");
            let url = server.url_of_host("one.example.test", &format!("/302?{target}"));
            assert_eq!(session.data_task(url).wait().unwrap().bytes(), "GET /new ");
            assert_eq!(server.accepted(), 2, "round {round}");
        }
        let hosts: Vec<String> =
            server.requests().iter().map(|request| request.header("host").unwrap().to_owned()).collect();
        assert!(hosts.chunks(2).all(|pair| pair[0].starts_with("one.") && pair[1].starts_with("two.")));
        session.invalidate_and_cancel();
    });
}
