//! The basics against a server that others wrote (`tiny_http`).

mod support;

use support::{Independent, WAYS, assert_pattern, independent, pattern, result_by};
use urlsession::{Bytes, Configuration, Error, Request, Response, Session, wait_all};

/// Runs a test in each way a task can be used in.
fn every_way(test: impl Fn(&Independent, &dyn Fn(Request) -> Result<Response<Bytes>, Error>)) {
    let server = independent();
    for way in WAYS {
        eprintln!("-- {way:?}");
        let session = Session::new(Configuration::ephemeral().timeout_for_request(support::PATIENCE));
        test(&server, &|request| result_by(way, &session.data_task(request)));
        session.invalidate_and_cancel();
    }
}

#[test]
fn pages() {
    every_way(|server, send| {
        let get = |path: &str| send(Request::get(server.url(path))).expect(path);
        for _ in 0..3 {
            assert_eq!(get("/").text().unwrap(), "hello");
        }
        assert_eq!(get("/hello").mime_type().as_deref(), Some("text/plain"));
        assert_eq!(get("/nowhere").status(), 404);
        for length in [0, 1, 1000, 65_536, 3_000_000] {
            let response = get(&format!("/bytes/{length}"));
            assert_eq!(response.expected_content_length(), Some(length as u64));
            assert_pattern(response.bytes(), length);
        }
        let response = get("/chunked");
        assert_eq!(response.expected_content_length(), None);
        assert_pattern(response.bytes(), 100_000);
    });
}

#[test]
fn heads() {
    every_way(|server, send| {
        for path in ["/hello", "/bytes/1000", "/chunked"] {
            let response = send(Request::head(server.url(path))).expect(path);
            assert!(response.bytes().is_empty());
            assert_eq!(send(Request::get(server.url("/"))).unwrap().bytes(), "hello");
        }
    });
}

#[test]
fn statuses() {
    every_way(|server, send| {
        for status in [200, 201, 204, 206, 304, 400, 401, 404, 418, 500, 503, 599] {
            let response = send(Request::get(server.url(&format!("/status/{status}")))).expect("a response");
            assert_eq!(response.status(), status);
            assert!(response.bytes().is_empty());
        }
    });
}

#[test]
fn what_it_heard() {
    every_way(|server, send| {
        let request = Request::put(server.url("/echo?a=b%20c")).header("x-own", "1").body("content");
        let page = send(request).unwrap().text().unwrap().into_owned();
        let heard: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(
            (heard["method"].as_str(), heard["target"].as_str()),
            (Some("PUT"), Some("/echo?a=b%20c"))
        );
        assert_eq!((heard["body"].as_str(), heard["complete"].as_bool()), (Some("content"), Some(true)));
        let headers = heard["headers"].as_array().unwrap();
        let value =
            |name: &str| headers.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str());
        assert_eq!(value("Host"), Some(server.addr().to_string().as_str()));
        assert_eq!(value("Content-Length"), Some("7"));
    });
}

#[test]
fn bodies_go_there_and_back() {
    every_way(|server, send| {
        for length in [0, 1, 100_000, 2_000_000] {
            let request = Request::post(server.url("/body"))
                .header("content-type", "application/x-pattern")
                .body(pattern(length));
            let response = send(request).unwrap();
            assert_eq!(response.mime_type().as_deref(), Some("application/x-pattern"));
            assert_pattern(response.bytes(), length);
        }
    });
}

#[test]
fn expectations() {
    every_way(|server, send| {
        let began = std::time::Instant::now();
        let request = Request::post(server.url("/body")).body(pattern(100_000)).expect_continue(true);
        assert_pattern(send(request).unwrap().bytes(), 100_000);
        assert!(began.elapsed() < std::time::Duration::from_millis(900), "100 Continue was heard");
    });
}

#[cfg(feature = "gzip")]
#[test]
fn compressed() {
    every_way(|server, send| {
        assert_eq!(send(Request::get(server.url("/gzip"))).unwrap().text().unwrap(), "hello".repeat(1000));
    });
}

#[test]
fn redirects() {
    every_way(|server, send| {
        let response = send(Request::get(server.url("/redirect/20"))).unwrap();
        assert_eq!((response.bytes().as_ref(), response.url().path()), (&b"hello"[..], "/hello"));
        let error = send(Request::get(server.url("/redirect/21"))).unwrap_err();
        assert_eq!(error.kind(), urlsession::ErrorKind::HttpTooManyRedirects);
    });
}

#[test]
fn many_at_once() {
    let server = independent();
    // tiny_http has four threads for connections. The fifth may be left waiting for ever, if it comes
    // before those that have work have told so.
    let session = Session::new(Configuration::ephemeral().maximum_connections_per_host(4));
    let tasks: Vec<_> =
        (0..200).map(|number| session.data_task(server.url(&format!("/bytes/{}", number * 100)))).collect();
    for (number, result) in wait_all(&tasks).into_iter().enumerate() {
        assert_pattern(result.unwrap().bytes(), number * 100);
    }
}
