//! HTTP/1.1 as nginx and Apache httpd speak it, over plain TCP and over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Read;
use std::time::{Duration, Instant};
use urlsession::http::Method;
use urlsession::{ErrorKind, Request, Session};
use urlsession_interop::{await_close_by_peer, configuration, contents, session, text, url, variable};

const ALL: [&str; 4] = ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"];
const NGINX: [&str; 2] = ["NGINX", "NGINX_TLS"];
const APACHE: [&str; 2] = ["APACHE", "APACHE_TLS"];

/// How many connections a session used, by nginx's own count.
fn connection(session: &Session, server: &str) -> (u64, u64) {
    let text = text(session, &url(server, "/connection"));
    let (connection, requests) = text.split_once(' ').unwrap();
    (connection.parse().unwrap(), requests.parse().unwrap())
}

#[test]
fn a_connection_is_kept_alive() {
    for server in NGINX {
        let session = session();
        let (first, _) = connection(&session, server);
        for n in 2..=100 {
            assert_eq!(connection(&session, server), (first, n), "{server}");
        }
    }
    for server in APACHE {
        let session = session();
        for n in 0..100 {
            let task = session.data_task(url(server, "/text.txt"));
            assert_eq!(task.wait().unwrap().bytes(), &contents("www/text.txt"));
            let reused = task.metrics().unwrap().transactions()[0].is_reused_connection();
            assert_eq!(reused, n > 0, "{server}, request {n}");
        }
    }
}

#[test]
fn a_server_that_announces_the_end_of_a_connection_is_believed() {
    let session = session();
    let all: Vec<_> = (0..9).map(|_| connection(&session, "NGINX_THREE")).collect();
    let requests: Vec<_> = all.iter().map(|(_, requests)| *requests).collect();
    assert_eq!(requests, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_server_that_closes_an_idle_connection_does_no_harm() {
    let session = session();
    for method in ["GET", "POST", "GET", "POST"] {
        let first = session.data_task(url("NGINX_HASTY", "/hello"));
        first.wait().unwrap();
        await_close_by_peer(first.metrics().unwrap().transactions()[0].local_address().unwrap());
        let request = Request::new(method, url("NGINX_HASTY", "/method")).body("body");
        let response = session.data_task(request).wait().unwrap();
        assert_eq!(response.text().unwrap(), format!("{method} [4] []"));
    }
}

#[test]
fn a_big_body_is_read_as_it_comes() {
    let expected = contents("www/big.bin");
    for server in ALL {
        let session = session();
        let response = session.data_task(url(server, "/big.bin")).open().unwrap();
        assert_eq!(response.expected_content_length(), Some(expected.len() as u64), "{server}");
        let mut body = response.into_body();
        let mut buffer = vec![0; 100_000];
        let mut at = 0;
        loop {
            let count = body.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            assert!(buffer[..count] == expected[at..at + count], "{server}: bytes from {at}");
            at += count;
        }
        assert_eq!(at, expected.len(), "{server}");
        drop(body);
        let task = session.data_task(url(server, "/big.bin"));
        task.resume();
        assert!(task.wait().unwrap().bytes() == &expected, "{server}");
        assert!(task.metrics().unwrap().transactions()[0].is_reused_connection(), "{server}");
    }
}

#[test]
fn gzip_is_decoded() {
    let expected = contents("www/text.txt");
    for server in ALL {
        let session = session();
        let task = session.data_task(url(server, "/gzip/text.txt"));
        let response = task.wait().unwrap();
        assert_eq!(response.header("content-encoding"), Some("gzip"), "{server}");
        assert_eq!(response.expected_content_length(), None);
        assert!(response.bytes() == &expected, "{server}");
        assert!(task.bytes_received() < expected.len() as u64 / 4, "{server}");
        let mut read = Vec::new();
        let mut body = session.data_task(url(server, "/gzip/text.txt")).open().unwrap().into_body();
        body.read_to_end(&mut read).unwrap();
        assert!(read == expected, "{server}");
        // Random bytes become longer by it, over many chunks.
        assert!(
            session.data_task(url(server, "/gzip/big.bin")).wait().unwrap().bytes()
                == &contents("www/big.bin")
        );

        let plain = Request::get(url(server, "/gzip/text.txt")).header("accept-encoding", "identity");
        let response = session.data_task(plain).wait().unwrap();
        assert_eq!(response.header("content-encoding"), None, "{server}");
        assert!(response.bytes() == &expected, "{server}");
    }
}

#[test]
fn chunks_become_a_body() {
    for server in ALL {
        let session = session();
        for _ in 0..3 {
            let request = Request::get(url(server, "/page.shtml")).header("accept-encoding", "identity");
            let response = session.data_task(request).wait().unwrap();
            assert_eq!(response.header("transfer-encoding"), Some("chunked"), "{server}");
            assert_eq!(response.text().unwrap(), "<p>/page.shtml</p>\n", "{server}");
        }
    }
    for server in APACHE {
        let mut parts = String::new();
        let mut body = session().data_task(url(server, "/cgi/parts")).open().unwrap().into_body();
        body.read_to_string(&mut parts).unwrap();
        assert_eq!(parts, "part 1\npart 2\npart 3\npart 4\npart 5\n", "{server}");
    }
}

#[test]
fn an_empty_body_is_empty() {
    for server in ALL {
        let session = session();
        for _ in 0..2 {
            let response = session.data_task(url(server, "/empty.txt")).wait().unwrap();
            assert_eq!((response.status().as_u16(), response.bytes().len()), (200, 0), "{server}");
            assert_eq!(response.expected_content_length(), Some(0));
        }
    }
}

#[test]
fn head_has_a_length_and_no_body() {
    for server in ALL {
        let session = session();
        for _ in 0..2 {
            let task = session.data_task(Request::head(url(server, "/big.bin")));
            let response = task.wait().unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.expected_content_length(), Some(50_000_000), "{server}");
            assert!(response.bytes().is_empty(), "{server}");
        }
        assert!(!text(&session, &url(server, "/text.txt")).is_empty(), "{server}");
    }
}

#[test]
fn what_has_not_changed_is_304() {
    for server in ALL {
        let session = session();
        let first = session.data_task(url(server, "/text.txt")).wait().unwrap();
        let tag = first.header("etag").unwrap();
        let date = first.header("last-modified").unwrap();
        for (name, value) in [("if-none-match", tag), ("if-modified-since", date)] {
            let task = session.data_task(Request::get(url(server, "/text.txt")).header(name, value));
            let response = task.wait().unwrap();
            assert_eq!(response.status(), 304, "{server}, {name}");
            assert!(response.bytes().is_empty());
            assert!(task.metrics().unwrap().transactions()[0].is_reused_connection(), "{server}");
        }
    }
}

#[test]
fn an_error_status_is_a_response() {
    let check = |session: &Session, server: &str, status: u16| {
        let response = session.data_task(url(server, &format!("/status/{status}"))).wait().unwrap();
        assert_eq!(response.status(), status, "{server}");
        let is_error = response.error_for_status().is_err_and(|error| error.kind() == ErrorKind::HttpStatus);
        assert_eq!(is_error, status >= 400, "{server}, {status}");
    };
    for server in NGINX {
        let session = session();
        for status in [201, 204, 400, 401, 404, 410, 418, 429, 500, 503, 599] {
            check(&session, server, status);
        }
    }
    for server in APACHE {
        let session = session();
        for status in [404, 410, 503] {
            check(&session, server, status);
        }
    }
}

#[test]
fn redirects_are_followed() {
    for server in ALL {
        let session = session();
        for (status, method, length) in
            [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "4"), (308, "POST", "4")]
        {
            let task =
                session.data_task(Request::post(url(server, &format!("/redirect/{status}"))).body("body"));
            let response = task.wait().unwrap();
            assert_eq!(response.status(), 200, "{server}, {status}");
            let answer = response.text().unwrap().into_owned();
            assert!(answer.starts_with(&format!("{method} [{length}]")), "{server}, {status}: {answer}");
            assert!(response.url().path().ends_with("/method"));
            assert_eq!(task.metrics().unwrap().redirect_count(), 1);
        }
    }
}

#[test]
fn redirects_come_to_an_end() {
    let session = session();
    let two = session.data_task(url("NGINX", "/redirect/twice"));
    assert_eq!(two.wait().unwrap().text().unwrap(), "GET [] []");
    assert_eq!(two.metrics().unwrap().redirect_count(), 2);
    let error = session.data_task(url("NGINX", "/redirect/loop")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpTooManyRedirects);
    let limited = Request::get(url("NGINX", "/redirect/twice")).redirect_limit(1);
    assert_eq!(session.data_task(limited).wait().unwrap_err().kind(), ErrorKind::HttpTooManyRedirects);
}

#[test]
fn credentials_stay_with_their_origin() {
    let session = session();
    let answer = |path: &str| {
        let request = Request::get(url("NGINX", path)).basic_auth("user", "open sesame");
        session.data_task(request).wait().unwrap().text().unwrap().into_owned()
    };
    assert_eq!(answer("/redirect/absolute"), "GET [] [Basic dXNlcjpvcGVuIHNlc2FtZQ==]");
    assert_eq!(answer("/redirect/other"), "GET [] []");
    assert_eq!(answer("/redirect/secure"), "GET [] []");
}

#[test]
fn from_https_to_http_is_an_error_unless_allowed() {
    let error = session().data_task(url("NGINX_TLS", "/redirect/other")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AppTransportSecurityRequiresSecureConnection);
    let lenient = Session::new(configuration().allow_insecure_redirects(true));
    assert_eq!(text(&lenient, &url("NGINX_TLS", "/redirect/other")), "GET [] []");
}

#[test]
fn basic_authentication_gives_access() {
    for server in NGINX {
        let session = session();
        let status = |request| session.data_task(request).wait().unwrap().status().as_u16();
        assert_eq!(status(Request::get(url(server, "/private"))), 401);
        assert_eq!(status(Request::get(url(server, "/private")).basic_auth("user", "open sesame")), 200);
        assert_eq!(status(Request::get(url(server, "/private")).basic_auth("user", "wrong")), 401);
        let in_url = url(server, "/private").replace("://", "://user:open%20sesame@");
        assert_eq!(status(Request::get(in_url)), 200);
    }
}

#[test]
fn a_body_that_is_too_large_is_answered_before_it_is_read() {
    let body = vec![b'x'; 50_000_000];
    let cases = [("NGINX", "/limited"), ("NGINX", "/limited/abrupt"), ("NGINX_TLS", "/limited")];
    let more = [("NGINX_TLS", "/limited/abrupt"), ("APACHE", "/limited"), ("APACHE_TLS", "/limited")];
    for (server, path) in cases.into_iter().chain(more) {
        for resumed in [false, true] {
            let task = session().data_task(Request::post(url(server, path)).body(body.clone()));
            if resumed {
                task.resume();
            }
            let response = task.wait().unwrap_or_else(|error| panic!("{server}{path}: {error}"));
            assert_eq!(response.status(), 413, "{server}{path}");
            assert!(task.bytes_sent() < 50_000_000, "{server}{path}: {} bytes went out", task.bytes_sent());
        }
    }
}

#[test]
fn a_body_that_is_held_back_is_not_sent_for_nothing() {
    for server in ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"] {
        let request =
            Request::post(url(server, "/limited")).body(vec![b'x'; 1_000_000]).expect_continue(true);
        let task = session().data_task(request);
        assert_eq!(task.wait().unwrap().status(), 413, "{server}");
        assert_eq!(task.bytes_sent(), 0, "{server}");
    }
}

#[test]
fn a_body_arrives_as_it_was_sent() {
    let body = contents("www/big.bin");
    for server in APACHE {
        for expect in [false, true] {
            let request =
                Request::post(url(server, "/cgi/sha256")).body(body.clone()).expect_continue(expect);
            let task = session().data_task(request);
            let answer = task.wait().unwrap();
            assert_eq!(answer.text().unwrap().trim(), variable("INTEROP_BIG_SHA256").trim(), "{server}");
            assert_eq!(task.bytes_sent(), body.len() as u64);
        }
    }
    for server in NGINX {
        let response =
            session().data_task(Request::put(url(server, "/unread")).body(body.clone())).wait().unwrap();
        assert_eq!(response.text().unwrap(), "not looked at", "{server}");
    }
}

#[test]
fn methods_arrive_as_they_are() {
    let session = session();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let response =
            session.data_task(Request::new(method.as_str(), url("APACHE", "/cgi/method"))).wait().unwrap();
        assert!(response.text().unwrap().starts_with(method.as_str()), "{method}");
    }
}

#[test]
fn a_slow_body_is_ended_by_time_or_by_cancelling() {
    for server in NGINX {
        let session = session();
        let begun = Instant::now();
        let limit = Duration::from_millis(600);
        let slow = Request::get(url(server, "/slow/big.bin")).resource_timeout(limit);
        let error = session.data_task(slow).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{server}");
        assert!((limit..PATIENT).contains(&begun.elapsed()), "{server}: {:?}", begun.elapsed());

        let task = session.data_task(url(server, "/slow/big.bin"));
        let mut body = task.open().unwrap().into_body();
        body.read_exact(&mut [0; 1000]).unwrap();
        task.cancel();
        let error = body.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted, "{server}");
        assert_eq!(task.error().unwrap().kind(), ErrorKind::Cancelled);
    }
}

const PATIENT: Duration = Duration::from_secs(10);
