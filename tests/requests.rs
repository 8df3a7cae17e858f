//! Requests as they are on the wire: names and order of headers, `Host`, the target, the framing of
//! bodies (RFC 9112, section 3; SPEC A19, B13).

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use support::{Received, Reply, Server, Tls, configuration_for, every_way, over_both};
use urlsession::http::{self, HeaderMap, HeaderValue};
use urlsession::{Body, Configuration, Request, Session};

/// What reached the server of a request.
fn sent(server: &Server, configuration: Configuration, request: impl Into<Request>) -> Arc<Received> {
    let session = Session::new(configuration);
    session.data_task(request).wait().expect("a response");
    session.invalidate_and_cancel();
    server.requests().pop().expect("a request")
}

fn server() -> Server {
    Server::start(|_| Reply::ok("x"))
}

fn usual(server: &Server, request: impl Into<Request>) -> Arc<Received> {
    sent(server, configuration_for(server), request)
}

#[test]
fn the_head_of_a_plain_get() {
    for server in [server(), Server::tls(|_| Reply::ok("x"))] {
        let request = usual(&server, server.url("/a/b?c=d"));
        let version = env!("CARGO_PKG_VERSION");
        let coding = request
            .header("accept-encoding")
            .map_or(String::new(), |value| format!("Accept-Encoding: {value}\r\n"));
        assert_eq!(
            String::from_utf8_lossy(&request.head),
            format!(
                "GET /a/b?c=d HTTP/1.1\r\nHost: {}\r\nUser-Agent: urlsession/{version}\r\nAccept: */*\r\n{coding}\r\n",
                server.addr()
            )
        );
    }
}

#[test]
fn names_are_in_title_case() {
    let server = server();
    let request = Request::get(server.url("/"))
        .header("x-api-KEY", "1")
        .header("etag", "2")
        .header("WWW-thing", "3")
        .header("a", "4")
        .header("x--y-", "5");
    let head = String::from_utf8_lossy(&usual(&server, request).head).into_owned();
    for line in ["X-Api-Key: 1", "Etag: 2", "Www-Thing: 3", "A: 4", "X--Y-: 5"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
}

#[test]
fn values_go_as_they_are() {
    let server = server();
    let latin = HeaderValue::from_bytes(b"caf\xe9").expect("a value");
    let request = Request::get(server.url("/"))
        .header("x-latin", latin)
        .header("x-utf8", "é")
        .header("x-inner", "a  b\tc")
        .header("x-empty", "")
        .header("x-number", 42);
    let head = usual(&server, request).head.clone();
    let has = |line: &[u8]| head.windows(line.len()).any(|window| window == line);
    assert!(has(b"\r\nX-Latin: caf\xe9\r\n") && has("\r\nX-Utf8: é\r\n".as_bytes()));
    assert!(has(b"\r\nX-Inner: a  b\tc\r\n") && has(b"\r\nX-Empty: \r\n") && has(b"\r\nX-Number: 42\r\n"));
}

#[test]
fn several_headers_of_a_name() {
    let server = server();
    let request =
        Request::get(server.url("/")).header("x-a", "1").add_header("X-A", "2").add_header("x-b", "3");
    let received = usual(&server, request.clone());
    assert_eq!(received.header_values("x-a"), ["1", "2"]);
    let received = usual(&server, request.header("x-a", "4").remove_header("X-B"));
    assert_eq!((received.header_values("x-a"), received.header("x-b")), (vec!["4"], None));
}

#[test]
fn the_host() {
    let server = server();
    let port = server.port();
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let configuration = || configuration_for(&server).resolver(Arc::new(here));
    for (host, said) in [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("Example.INTERNAL", "example.internal"),
        ("bücher.example.internal", "xn--bcher-kva.example.internal"),
        ("user:pass@example.internal", "example.internal"),
        ("0x7f.1", "127.0.0.1"),
    ] {
        let request = sent(&server, configuration(), server.url_of_host(host, "/"));
        assert_eq!(request.header("host"), Some(format!("{said}:{port}").as_str()), "{host}");
    }
    for by_hand in ["by-hand.test", "by-hand.test:80", ""] {
        let request = Request::get(server.url("/")).header("HOST", by_hand);
        assert_eq!(usual(&server, request).header_values("host"), [by_hand]);
    }
    let twice = Request::get(server.url("/")).add_header("host", "one").add_header("host", "two");
    assert_eq!(usual(&server, twice).header_values("host"), ["one"]);
}

#[test]
fn ipv6_literals() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("there is no IPv6 on this machine");
        return;
    }
    let plain = Server::builder().address(Ipv6Addr::LOCALHOST);
    let secure = Server::builder().address(Ipv6Addr::LOCALHOST).tls(Tls::new());
    for server in [plain.start(|_| Reply::ok("x")), secure.start(|_| Reply::ok("x"))] {
        let request = usual(&server, server.url_of_host("[::1]", "/"));
        assert_eq!(request.header("host"), Some(format!("[::1]:{}", server.port()).as_str()));
        let request = usual(&server, server.url_of_host("[0:0::0:1]", "/"));
        assert_eq!(request.header("host"), Some(format!("[::1]:{}", server.port()).as_str()));
    }
}

#[test]
fn default_headers_and_what_goes_before_them() {
    let server = server();
    let get = || Request::get(server.url("/"));
    let plain = || configuration_for(&server);
    let of = |configuration: Configuration, request: Request, name: &str| {
        let received = sent(&server, configuration, request);
        received.header_values(name).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let own = concat!("urlsession/", env!("CARGO_PKG_VERSION"));
    assert_eq!(of(plain(), get(), "user-agent"), [own]);
    assert_eq!(of(plain().user_agent("mine/1"), get(), "user-agent"), ["mine/1"]);
    assert!(of(plain().user_agent(""), get(), "user-agent").is_empty());
    assert_eq!(of(plain().additional_header("user-agent", "added"), get(), "user-agent"), ["added"]);
    assert_eq!(of(plain().user_agent("mine/1"), get().user_agent("request/1"), "user-agent"), ["request/1"]);
    assert_eq!(of(plain(), get().header("accept", "text/html"), "accept"), ["text/html"]);
    assert_eq!(of(plain().additional_header("accept", "a/b"), get(), "accept"), ["a/b"]);

    let mut several = HeaderMap::new();
    several.append("x-list", HeaderValue::from_static("1"));
    several.append("x-list", HeaderValue::from_static("2"));
    let several = plain().additional_header("x-one", "1").additional_headers(several);
    assert_eq!(of(several.clone(), get(), "x-list"), ["1", "2"]);
    assert_eq!(of(several.clone(), get(), "x-one"), ["1"]);
    // One in the request is in place of all of them.
    assert_eq!(of(several, get().header("X-List", "3"), "x-list"), ["3"]);
}

#[test]
fn lengths_of_bodies_that_are_none() {
    let server = server();
    for (method, length) in [
        ("GET", None),
        ("HEAD", None),
        ("DELETE", None),
        ("OPTIONS", None),
        ("POST", Some("0")),
        ("PUT", Some("0")),
        ("PATCH", Some("0")),
    ] {
        for body in [Body::empty(), Body::from(""), Body::from(())] {
            let request = usual(&server, Request::new(method, server.url("/")).body(body));
            assert_eq!(request.header("content-length"), length, "{method}");
            assert_eq!(request.header("content-type"), None);
        }
    }
}

#[test]
fn any_method_may_have_a_body() {
    every_way(
        |request| Reply::ok(format!("{} {}", request.method, request.text())),
        |client| {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] {
                let request = Request::new(method, client.server.url("/")).body("content");
                assert_eq!(client.send(request).unwrap().bytes(), &format!("{method} content"));
                let received = client.server.requests().pop().unwrap();
                assert_eq!(received.header_values("content-length"), ["7"]);
                assert_eq!(received.header("content-type"), None, "raw bytes are of no type");
            }
        },
    );
}

#[test]
fn framing_is_not_the_users() {
    // Two opinions on where a request ends are how one is smuggled into another.
    let server = server();
    let request = Request::post(server.url("/"))
        .header("content-length", "100")
        .add_header("content-length", "1")
        .header("transfer-encoding", "chunked")
        .body("content");
    let received = usual(&server, request);
    assert_eq!(received.header_values("content-length"), ["7"]);
    assert_eq!(received.header("transfer-encoding"), None);
    assert_eq!(received.text(), "content");
    assert!(server.protocol_errors().is_empty());
}

#[test]
fn methods() {
    let server = server();
    for (given, on_the_wire) in [
        ("get", "GET"),
        ("Post", "POST"),
        ("head", "HEAD"),
        ("pUT", "PUT"),
        ("delete", "DELETE"),
        // URLSession leaves all others as they are typed.
        ("patch", "patch"),
        ("options", "options"),
        ("PROPFIND", "PROPFIND"),
        ("x-own!", "x-own!"),
    ] {
        let request = usual(&server, Request::new(given, server.url("/")));
        assert_eq!(request.method, on_the_wire, "{given}");
    }
}

#[test]
fn user_name_and_password_of_the_url() {
    let server = server();
    for (userinfo, header) in [
        ("user:pass", Some("Basic dXNlcjpwYXNz")),
        ("user", Some("Basic dXNlcjo=")),
        (":pass", Some("Basic OnBhc3M=")),
        ("us%20er:p%40%3A%25", Some("Basic dXMgZXI6cEA6JQ==")),
        ("%C3%BC:%E2%82%AC", Some("Basic w7w64oKs")),
        ("", None),
    ] {
        let url = server.url("/x?y#z").replacen("://", &format!("://{userinfo}@"), 1);
        let request = usual(&server, url.as_str());
        assert_eq!(request.header("authorization"), header, "{userinfo}");
        assert_eq!(request.target, "/x?y");
        assert_eq!(request.header("host"), Some(server.addr().to_string().as_str()));
        // What is set by hand goes before it.
        let request = usual(&server, Request::get(url).bearer_auth("token"));
        assert_eq!(request.header_values("authorization"), ["Bearer token"]);
    }
    let request = Request::get(server.url("/")).basic_auth("Aladdin", "open sesame");
    assert_eq!(usual(&server, request).header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[test]
fn a_user_name_that_basic_cannot_carry() {
    let server = server();
    let url = server.url("/").replacen("://", "://a%3Ab:secret@", 1);
    let error = Session::new(configuration_for(&server)).data_task(url).wait().unwrap_err();
    assert_eq!(error.kind(), urlsession::ErrorKind::BadUrl);
    assert!(error.to_string().contains("colon") && !error.to_string().contains("secret"), "{error}");
}

#[test]
fn targets() {
    let server = server();
    for (path, target) in [
        ("", "/"),
        ("/", "/"),
        ("?q", "/?q"),
        ("/?", "/?"),
        ("/a//b/", "/a//b/"),
        ("/a/../b/./c", "/b/c"),
        ("/a b", "/a%20b"),
        ("/é?é", "/%C3%A9?%C3%A9"),
        ("/%2e%2E/%2f%zz", "/%2f%zz"),
        ("/a?b#c?d", "/a?b"),
        ("#c", "/"),
        ("/a\tb\nc", "/abc"),
        ("/[x]|{y}?[x]|{y}", "/[x]|%7By%7D?[x]|{y}"),
        ("/\"<>`?'\"<>", "/%22%3C%3E%60?%27%22%3C%3E"),
    ] {
        assert_eq!(usual(&server, server.url(path)).target, target, "{path:?}");
    }
    assert!(server.protocol_errors().is_empty(), "{:?}", server.protocol_errors());
}

#[test]
fn queries() {
    let server = server();
    let request = Request::get(server.url("/x?a=1"))
        .query("b c", "d&e=f")
        .query("ü", 2.5)
        .query("", "")
        .query("plus", "1+1 %");
    assert_eq!(usual(&server, request).target, "/x?a=1&b+c=d%26e%3Df&%C3%BC=2.5&=&plus=1%2B1+%25");
}

#[test]
fn forms() {
    let server = server();
    let fields = [("name", "Ü & I"), ("b", "1+1=2")];
    let received = usual(&server, Request::post(server.url("/")).form(fields));
    assert_eq!(received.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(received.text(), "name=%C3%9C+%26+I&b=1%2B1%3D2");
    let own = Request::post(server.url("/")).header("content-type", "own/type").form(fields);
    assert_eq!(usual(&server, own).header_values("content-type"), ["own/type"]);
}

#[cfg(feature = "json")]
#[test]
fn json() {
    let server = Server::start(|request| {
        Reply::ok(request.body()).header("Content-Type", request.header("content-type").unwrap_or_default())
    });
    let value = serde_json::json!({"name": "Ü", "list": [1, 2.5, null]});
    let request = Request::post(server.url("/")).json(&value).unwrap();
    let response = Session::new(configuration_for(&server)).data_task(request).wait().unwrap();
    assert_eq!(response.mime_type().as_deref(), Some("application/json"));
    assert_eq!(response.json::<serde_json::Value>().unwrap(), value);
}

#[test]
fn requests_of_the_crate_http() {
    let server = server();
    let request = http::Request::put(server.url("/x")).header("x-a", "1").body("content").unwrap();
    let received = usual(&server, request);
    assert_eq!((received.method.as_str(), received.target.as_str()), ("PUT", "/x"));
    assert_eq!((received.header("x-a"), received.text().as_str()), (Some("1"), "content"));
}

#[test]
fn a_large_head() {
    over_both(
        |request| Reply::ok(request.headers.len().to_string()),
        |server, session| {
            let names: Vec<String> = (0..500).map(|number| format!("x-{number}")).collect();
            let request = names
                .iter()
                .fold(Request::get(server.url("/")), |request, name| request.header(name, "x".repeat(1000)));
            let count: usize = session.data_task(request).wait().unwrap().text().unwrap().parse().unwrap();
            assert!(count > 500);
            let long = format!("/{}", "x".repeat(500_000));
            session.data_task(server.url(&long)).wait().unwrap();
            assert_eq!(server.request(1).target, long);
            assert_eq!(server.accepted(), 1);
        },
    );
}
