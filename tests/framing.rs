//! Where a response begins and ends: what is understood, what is refused, and that nothing of one
//! response is ever taken for another (RFC 9112, sections 2 to 7).

mod support;

use ErrorKind::{BadServerResponse, CannotParseResponse, NetworkConnectionLost, ZeroByteResource};
use std::io::Write;
use std::time::Duration;
use support::{
    At, Client, Fault, Gate, Reply, Server, Tls, Way, assert_pattern, every_way, over_both, pattern,
    result_by,
};
use urlsession::{Configuration, ErrorKind, Request, Session};

/// What becomes of a response.
#[derive(Clone)]
enum Expected {
    Body(&'static str),
    Refused(ErrorKind, &'static str),
}

use Expected::{Body, Refused};

/// Has each of the responses sent, and looks what becomes of it.
fn check(table: &[(&str, Expected)]) {
    let replies: Vec<Reply> = table.iter().map(|(bytes, _)| Reply::raw((*bytes).to_owned())).collect();
    let handler = move |request: &support::Received| replies[number(&request.target)].clone();
    every_way(handler, |client| {
        for (index, (bytes, expected)) in table.iter().enumerate() {
            let result = client.get(&format!("/{index}"));
            match expected {
                Body(body) => match result {
                    Ok(response) => assert_eq!(response.bytes(), body, "{bytes:?}"),
                    Err(error) => panic!("{bytes:?}: {error}"),
                },
                Refused(kind, why) => {
                    let error = result.map(|response| response.into_body()).expect_err(bytes);
                    assert_eq!(error.kind(), *kind, "{bytes:?}: {error}");
                    assert!(error.to_string().contains(why), "{bytes:?}: {error}");
                }
            }
        }
    });
}

fn number(target: &str) -> usize {
    target[1..].parse().expect("a number for a path")
}

#[test]
fn lengths_that_agree_and_lengths_that_do_not() {
    check(&[
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", Body("hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length:    5  \r\n\r\nhello", Body("hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Body("")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            Refused(BadServerResponse, "two different values of Content-Length"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
            Refused(BadServerResponse, "two different values of Content-Length"),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", Refused(BadServerResponse, "+5")),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", Refused(BadServerResponse, "-5")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\nhello", Refused(BadServerResponse, "not a length")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello", Refused(BadServerResponse, "not a length")),
        ("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", Refused(BadServerResponse, "five")),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello", Refused(BadServerResponse, "not a length")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
            Refused(BadServerResponse, "not a length"),
        ),
    ]);
}

#[test]
fn a_length_beyond_all_memory_costs_none() {
    let handler =
        |_: &_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello".to_owned());
    every_way(handler, |client| {
        let error = client.get("/").unwrap_err();
        let expected = match client.way {
            // Who does not collect the body learns that it is too long when it has come.
            Way::Reader | Way::Delegate => NetworkConnectionLost,
            _ => ErrorKind::DataLengthExceedsMaximum,
        };
        assert_eq!(error.kind(), expected, "{error}");
    });
}

#[test]
fn transfer_codings() {
    check(&[
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            Body("hello"),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: ChunKed\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Body("hello")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Body("hello"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: odd\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Body("hello"),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
        // Not a coding, and so nothing but the end of the connection ends the body.
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\nhello", Body("hello")),
        // A proxy of the old kind has taken the chunks off and left the header.
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello", Body("hello")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            Refused(BadServerResponse, "compressed the transfer"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            Refused(BadServerResponse, "Transfer-Encoding"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            Refused(BadServerResponse, "xchunked"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
            Refused(BadServerResponse, "Transfer-Encoding"),
        ),
    ]);
}

#[test]
fn chunks() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        ("5;name=value;\"a b\"\r\nhello\r\n0;last\r\n\r\n", Body("hello")),
        ("5 \r\nhello\r\n0\r\n\r\n", Body("hello")),
        ("0005\r\nhello\r\n000\r\n\r\n", Body("hello")),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", Body("01234567890123456789")),
        ("5\nhello\r\n0\r\n\r\n", Refused(CannotParseResponse, "chunked coding is broken")),
        ("5\r\nhello\n0\r\n\r\n", Refused(CannotParseResponse, "chunked coding is broken")),
        ("5\r\nhello!\r\n0\r\n\r\n", Refused(CannotParseResponse, "chunked coding is broken")),
        ("x\r\nhello\r\n0\r\n\r\n", Refused(CannotParseResponse, "size")),
        ("-5\r\nhello\r\n0\r\n\r\n", Refused(CannotParseResponse, "size")),
        ("\r\nhello\r\n0\r\n\r\n", Refused(CannotParseResponse, "size")),
        ("10000000000000005\r\nhello\r\n0\r\n\r\n", Refused(CannotParseResponse, "64 bits")),
        ("fffffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(CannotParseResponse, "64 bits")),
        ("ffffffffffffffff\r\nhello", Refused(NetworkConnectionLost, "cut short")),
        ("5\r\nhello\r\n0\r\nTrailer without colon\r\n\r\n", Refused(CannotParseResponse, "trailer")),
        ("5\r\nhello\r\n0\r\nA: b\r\n fold\r\n\r\n", Refused(CannotParseResponse, "trailer")),
    ];
    let table: Vec<(String, Expected)> =
        table.into_iter().map(|(body, expected)| (format!("{CHUNKED}{body}"), expected)).collect();
    let borrowed: Vec<(&str, Expected)> =
        table.iter().map(|(bytes, expected)| (bytes.as_str(), expected.clone())).collect();
    check(&borrowed);
}

#[test]
fn what_has_no_end_is_bounded() {
    // Extensions and trailers that go on for ever, and leading zeros, must not be waited out.
    let beginnings = ["5;", "0", "0\r\nX-Trailer: "];
    let handler = move |request: &support::Received| {
        let beginning = beginnings[number(&request.target)];
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Reply::raw(format!("{head}{beginning}{}", "0".repeat(1_000_000)))
    };
    every_way(handler, |client| {
        for index in 0..beginnings.len() {
            let error = client.get(&format!("/{index}")).unwrap_err();
            assert_eq!(error.kind(), CannotParseResponse, "{error}");
        }
    });
}

#[test]
fn trailers_come_with_the_end_of_the_body() {
    let handler = |_: &_| {
        Reply::chunked(["some ", "text"])
            .header("Trailer", "X-Sum")
            .trailer("X-Sum", "17")
            .trailer("x-sum", "18")
            .trailer("Content-Length", "3")
    };
    every_way(handler, |client| {
        for _ in 0..2 {
            let response = client.get("/").unwrap();
            assert_eq!(response.bytes(), "some text");
            let trailers = response.trailers().expect("trailers");
            assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["17", "18"]);
            assert!(!trailers.contains_key("content-length"), "a trailer frames nothing");
            assert!(!response.headers().contains_key("x-sum"));
        }
        assert_eq!(client.server.accepted(), 1, "the connection is kept");
    });
    over_both(
        |_| Reply::chunked(["x"]),
        |server, session| {
            assert!(session.data_task(server.url("/")).wait().unwrap().trailers().is_none());
        },
    );
}

#[test]
fn a_reader_sees_the_trailers_at_the_end_only() {
    use std::io::Read;
    let handler = |_: &_| Reply::chunked(["some ", "text"]).trailer("x-sum", "17");
    over_both(handler, |server, session| {
        let mut response = session.data_task(server.url("/")).open().unwrap();
        assert!(response.trailers().is_none());
        response.body_mut().read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(response.trailers().unwrap()["x-sum"], "17");
    });
}

#[test]
fn heads_that_are_understood() {
    let table = [
        ("HTTP/1.1 200 OK\r\nName:value\r\nContent-Length: 2\r\n\r\nok", 200, Some("value")),
        ("HTTP/1.1 200 OK\r\nNAME:\t value \t\r\nContent-Length: 2\r\n\r\nok", 200, Some("value")),
        (
            "HTTP/1.1 200 OK\r\nName: one\r\n two\r\n\tthree\r\nContent-Length: 2\r\n\r\nok",
            200,
            Some("one two three"),
        ),
        ("HTTP/1.1 200 OK\nName: value\nContent-Length: 2\n\nok", 200, Some("value")),
        ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, None),
        ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, None),
        ("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, None),
        ("HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", 999, None),
        ("HTTP/1.1 600\r\nName:\r\nContent-Length: 2\r\n\r\nok", 600, Some("")),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, None),
    ];
    let handler = move |request: &support::Received| Reply::raw(table[number(&request.target)].0);
    every_way(handler, |client| {
        for (index, (bytes, status, name)) in table.iter().enumerate() {
            let response =
                client.get(&format!("/{index}")).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
            assert_eq!(response.status(), *status, "{bytes:?}");
            assert_eq!(response.header("name"), *name, "{bytes:?}");
            assert_eq!(response.bytes(), "ok");
        }
    });
}

#[test]
fn latin_1_in_a_value_is_kept_as_it_is() {
    let handler = |_: &_| Reply::raw(b"HTTP/1.1 200 OK\r\nName: caf\xe9\r\nContent-Length: 0\r\n\r\n");
    over_both(handler, |server, session| {
        let response = session.data_task(server.url("/")).wait().unwrap();
        assert_eq!(response.headers()["name"].as_bytes(), b"caf\xe9");
        assert_eq!(response.header("name"), None);
    });
}

#[test]
fn heads_that_are_refused() {
    let refused = |why| Refused(CannotParseResponse, why);
    check(&[
        // HTTP/0.9: a body and no head.
        ("<html>hello</html>\r\n", refused("not an HTTP response")),
        ("ICY 200 OK\r\n\r\n", refused("not an HTTP response")),
        ("220 mail.example.com ESMTP\r\n", refused("not an HTTP response")),
        ("SSH-2.0-OpenSSH_9.7\r\n", refused("SSH-2.0")),
        ("\r\n\r\n\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", refused("empty lines")),
        ("HTTP/2.0 200 OK\r\n\r\n", refused("neither HTTP/1.0 nor HTTP/1.1")),
        ("HTTP/1.2 200 OK\r\n\r\n", refused("neither HTTP/1.0 nor HTTP/1.1")),
        ("http/1.1 200 OK\r\n\r\n", refused("not an HTTP response")),
        ("HTTP/1.1 20 OK\r\n\r\n", refused("status line")),
        ("HTTP/1.1 2000 OK\r\n\r\n", refused("status line")),
        ("HTTP/1.1 099 OK\r\n\r\n", refused("status line")),
        ("HTTP/1.1 OK\r\n\r\n", refused("status line")),
        ("HTTP/1.1 200 OK\r\nName : value\r\n\r\n", refused("malformed name")),
        ("HTTP/1.1 200 OK\r\n: value\r\n\r\n", refused("malformed name")),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", refused("without colon")),
        ("HTTP/1.1 200 OK\r\n first: folded\r\n\r\n", refused("malformed")),
        ("HTTP/1.1 200 OK\r\nName: va\0lue\r\n\r\n", refused("0x00")),
        ("HTTP/1.1 200 OK\r\nName: va\rlue\r\n\r\n", refused("0x0d")),
        ("HTTP/1.1 200 OK\r\nName: va\x1blue\r\n\r\n", refused("0x1b")),
        ("HTTP/1.1 200 OK\r\nNa\0me: value\r\n\r\n", refused("malformed name")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", Refused(NetworkConnectionLost, "cut short")),
        ("HTTP/1.1 2", Refused(NetworkConnectionLost, "cut short")),
        ("", Refused(NetworkConnectionLost, "without an answer")),
    ]);
}

#[test]
fn a_malformed_head_tells_no_cookie() {
    let handler = |_: &_| Reply::raw("HTTP/1.1 200 OK\r\nSet-Cookie: id=secret\0\r\n\r\n".to_owned());
    over_both(handler, |server, session| {
        let error = session.data_task(server.url("/")).wait().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    });
}

#[test]
fn heads_have_a_size_and_a_number_of_lines() {
    let many = |count: usize| {
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "A: b\r\n".repeat(count - 1))
    };
    let large = |size: usize| {
        let rest = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nName: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nName: {}\r\n\r\nok", "x".repeat(size - rest))
    };
    let handler = move |request: &support::Received| {
        let count = request.path()[3..].parse().expect("a number");
        Reply::raw(if request.path().starts_with("/n/") { many(count) } else { large(count) })
    };
    let refused = |client: &Client<'_>, path: &str, why: &str| {
        let error = client.get(path).expect_err(path);
        assert_eq!(error.kind(), CannotParseResponse, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    every_way(handler, |client| {
        for fine in ["/n/256", "/s/262144"] {
            assert_eq!(client.get(fine).unwrap().bytes(), "ok", "{fine}");
        }
        refused(client, "/n/257", "more than 256 headers");
        refused(client, "/n/5000", "more than 256 headers");
        refused(client, "/s/262145", "larger than 262144 bytes");
        refused(client, "/s/9999999", "larger than 262144 bytes");
        let configuration = support::configuration_for(client.server);
        let strict = configuration.maximum_headers(10).maximum_header_bytes(2000);
        let strict = Client { session: Session::new(strict), ..Client::new(client.server, client.way) };
        assert_eq!(strict.get("/n/10").unwrap().bytes(), "ok");
        refused(&strict, "/n/11", "more than 10 headers");
        assert_eq!(strict.get("/s/2000").unwrap().bytes(), "ok");
        refused(&strict, "/s/2001", "larger than 2000 bytes");
    });
}

#[test]
fn a_head_without_end_is_given_up() {
    // Until the client goes away.
    let endless = |wire: &mut support::Wire, _| {
        let mut piece = b"HTTP/1.1 200 OK\r\n".to_vec();
        while wire.write_all(&piece).is_ok() {
            piece = b"X-Header: and another one\r\n".repeat(100);
        }
    };
    for server in [Server::builder().raw(endless), Server::builder().tls(Tls::new()).raw(endless)] {
        for way in support::WAYS {
            let client = Client::new(&server, way);
            let error = client.get("/").unwrap_err();
            assert_eq!(error.kind(), CannotParseResponse, "{client}: {error}");
        }
    }
}

#[test]
fn the_end_of_the_connection_is_the_end_of_the_body() {
    let handler = |request: &support::Received| match request.path() {
        "/1.0" => Reply::until_close(pattern(100_000)).http10(),
        _ => Reply::until_close(pattern(100_000)),
    };
    every_way(handler, |client| {
        for path in ["/", "/1.0"] {
            let response = client.get(path).unwrap();
            assert_pattern(response.bytes(), 100_000);
            assert_eq!(response.expected_content_length(), None);
        }
        assert_eq!(client.server.accepted(), 2);
    });
}

#[test]
fn a_reset_is_never_the_end_of_a_body() {
    let handler = |_: &_| Reply::head(200).then(Fault::ResetAfter(1000));
    every_way(handler, |client| {
        let error = client.get("/").unwrap_err();
        assert_eq!(error.kind(), NetworkConnectionLost, "{error}");
        assert!(error.to_string().contains("reset"), "{error}");
    });
}

#[test]
fn without_close_notify_a_body_is_complete_only_if_its_framing_says_so() {
    let handler = |request: &support::Received| match request.path() {
        "/length" => Reply::ok("hello").then(Fault::TruncateTls(5)),
        "/chunked" => Reply::chunked(["hello"]).then(Fault::TruncateTls(100)),
        "/nothing" => Reply::status(204).then(Fault::TruncateTls(0)),
        _ => Reply::until_close("hello").then(Fault::TruncateTls(5)),
    };
    for way in support::WAYS {
        let server = Server::tls(handler);
        let client = Client::new(&server, way);
        eprintln!("-- {client}");
        for path in ["/length", "/chunked"] {
            assert_eq!(client.get(path).unwrap().bytes(), "hello");
        }
        assert_eq!(client.get("/nothing").unwrap().status(), 204);
        let error = client.get("/until-close").unwrap_err();
        assert_eq!(error.kind(), NetworkConnectionLost, "{error}");
        assert!(error.to_string().contains("close_notify"), "{error}");
        assert_eq!(error.response().unwrap().status(), 200);
    }
}

#[test]
fn some_responses_have_no_body_whatever_they_say() {
    let handler = |request: &support::Received| match request.path() {
        "/204" => Reply::status(204).header("Content-Length", "5"),
        "/304" => Reply::status(304).header("Content-Length", "5"),
        "/304-chunked" => Reply::status(304).header("Transfer-Encoding", "chunked"),
        _ => Reply::ok("hello"),
    };
    every_way(handler, |client| {
        for (path, status) in [("/204", 204), ("/304", 304), ("/304-chunked", 304)] {
            let response = client.get(path).unwrap();
            assert_eq!(response.status(), status);
            assert!(response.bytes().is_empty());
        }
        let response = client.send(Request::head(client.server.url("/"))).unwrap();
        assert!(response.bytes().is_empty());
        assert_eq!(response.expected_content_length(), Some(5), "the length a GET would give");
        assert_eq!(client.get("/").unwrap().bytes(), "hello");
        assert_eq!(client.server.accepted(), 1, "each of them leaves the connection as it was");
    });
}

#[test]
fn a_body_that_is_cut_short_is_an_error() {
    let handler = |request: &support::Received| {
        let cut = number(request.path());
        match request.query() {
            Some("length") => Reply::ok(pattern(100_000)).then(Fault::CloseAfter(cut)),
            Some("reset") => Reply::ok(pattern(100_000)).then(Fault::ResetAfter(cut)),
            _ => Reply::chunked([pattern(50_000), pattern(50_000)]).then(Fault::CloseAfter(cut)),
        }
    };
    every_way(handler, |client| {
        for (path, kind) in [
            ("/0?length", ZeroByteResource),
            ("/1?length", NetworkConnectionLost),
            ("/99999?length", NetworkConnectionLost),
            ("/0?chunked", NetworkConnectionLost),
            ("/1?chunked", NetworkConnectionLost),
            ("/20000?chunked", NetworkConnectionLost),
            // After "c350\r\n", the data, and "\r".
            ("/50007?chunked", NetworkConnectionLost),
            // One byte before the end: the last LF.
            ("/100020?chunked", NetworkConnectionLost),
            ("/99999?reset", NetworkConnectionLost),
        ] {
            let error = client.get(path).expect_err(path);
            assert_eq!(error.kind(), kind, "{path}: {error}");
            assert_eq!(error.response().expect(path).status(), 200);
        }
    });
}

const EVIL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

#[test]
fn what_follows_a_response_is_never_the_next_one() {
    // All in one write, so that it is there when the response ends.
    let sized = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        Reply::raw([head.as_bytes(), &pattern(length), EVIL].concat()).keep_open()
    };
    let handler = move |request: &support::Received| {
        let reply = match request.path() {
            "/small" | "/head" => Reply::ok("good"),
            "/chunked" => Reply::chunked(["good"]),
            "/204" => Reply::status(204),
            "/byte" => return Reply::ok("good").then(Fault::ExtraBytes((&b"\n"[..]).into())),
            // Read past the buffer, straight to where it belongs; and just as long as the buffer.
            "/large" => return sized(100_000),
            "/full" => return sized(65_536 - 42),
            _ => return Reply::ok("fine"),
        };
        reply.then(Fault::ExtraBytes(EVIL.into())).keep_open()
    };
    every_way(handler, |client| {
        // The server's TLS has buffers of its own, which end where the client's do.
        let full = if client.is_tls() { "/small" } else { "/full" };
        for path in ["/small", "/chunked", "/204", "/head", "/byte", "/large", full] {
            let request = if path == "/head" { Request::head } else { Request::get };
            let response = client.send(request(client.server.url(path))).unwrap();
            assert!(!response.bytes().ends_with(b"evil"));
            assert_eq!(client.get("/next").unwrap().bytes(), "fine", "after {path}");
            let last = client.server.requests().pop().unwrap();
            assert_eq!(last.index, 0, "after {path} the next request went over the same connection");
            client.session.flush();
        }
    });
}

#[test]
fn what_comes_between_two_exchanges_costs_the_connection() {
    // A request that must not be repeated is not sent before a look at the connection.
    let (late, sent) = (Gate::new(), Gate::new());
    let handler = {
        let (late, sent) = (late.clone(), sent.clone());
        move |request: &support::Received| {
            if request.method == "POST" {
                return Reply::ok("fine");
            }
            let (late, sent) = (late.clone(), sent.clone());
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").keep_open().takeover(move |wire| {
                if late.pass() {
                    wire.write_all(EVIL).unwrap();
                    sent.pass();
                }
            })
        }
    };
    every_way(handler, |client| {
        late.close();
        sent.close();
        let before = sent.reached();
        assert_eq!(client.get("/").unwrap().bytes(), "good");
        late.open();
        sent.wait_until_reached_by(before + 1, support::PATIENCE);
        assert_eq!(client.send(Request::post(client.server.url("/"))).unwrap().bytes(), "fine");
        assert_eq!(client.server.requests()[1].connection, 1);
        sent.open();
    });
}

#[test]
fn two_opinions_on_the_length_cost_the_connection() {
    let handler = |request: &support::Received| match request.path() {
        "/both" => Reply::chunked(["hello"]).header("Content-Length", "5"),
        "/1.0" => Reply::ok("hello").http10().keep_open(),
        _ => Reply::ok("fine"),
    };
    every_way(handler, |client| {
        for path in ["/both", "/1.0"] {
            assert_eq!(client.get(path).unwrap().bytes(), "hello");
            assert_eq!(client.get("/next").unwrap().bytes(), "fine");
            assert_eq!(client.server.requests().pop().unwrap().index, 0, "after {path}");
            client.session.flush();
        }
    });
}

#[test]
fn http_1_0_can_be_told_to_keep_the_connection() {
    let handler = |_: &_| Reply::ok("hello").http10().header("Connection", "Keep-Alive");
    every_way(handler, |client| {
        for _ in 0..3 {
            let response = client.get("/").unwrap();
            assert_eq!(response.version(), urlsession::http::Version::HTTP_10);
        }
        assert_eq!(client.server.accepted(), 1);
    });
}

/// A response with a bit of everything.
const WHOLE: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nName: one\r\n two\r\n\
    Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n";

fn assert_whole(client: &Client<'_>, path: &str) {
    let response = client.get(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(response.bytes(), "hello world", "{path}");
    assert_eq!(response.header("name"), Some("one two"), "{path}");
    assert_eq!(response.trailers().expect(path)["x-sum"], "11");
}

#[test]
fn a_response_may_be_split_anywhere() {
    let handler = |request: &support::Received| {
        let at = At::After(number(&request.target));
        // The pause is what makes two pieces of it on the way, most of the time.
        Reply::raw(WHOLE).then(Fault::Delay { at, time: Duration::from_micros(300) }).keep_open()
    };
    every_way(handler, |client| {
        for at in 1..WHOLE.len() {
            assert_whole(client, &format!("/{at}"));
        }
        assert_eq!(client.server.accepted(), 1);
    });
}

#[test]
fn a_response_may_come_byte_by_byte() {
    let handler = |_: &_| {
        let drip = Fault::Drip { bytes_at_a_time: 1, every: Duration::from_micros(100) };
        Reply::raw(WHOLE).then(drip).keep_open()
    };
    every_way(handler, |client| {
        assert_whole(client, "/1");
        assert_whole(client, "/2");
        assert_eq!(client.server.accepted(), 1);
    });
}

#[test]
fn a_slow_drip_is_no_silence() {
    // All of it takes longer than the timeout, no pause does.
    let handler = |_: &_| {
        let drip = Fault::Drip { bytes_at_a_time: 5, every: Duration::from_millis(60) };
        Reply::raw(WHOLE).then(drip).keep_open()
    };
    let servers = [Server::start(handler), Server::tls(handler)];
    std::thread::scope(|scope| {
        for server in &servers {
            for way in support::WAYS {
                scope.spawn(move || {
                    let configuration = support::configuration_for(server);
                    let session =
                        Session::new(configuration.timeout_for_request(Duration::from_millis(1500)));
                    let response = result_by(way, &session.data_task(server.url("/"))).unwrap();
                    assert_eq!(response.bytes(), "hello world", "{way:?}");
                    session.invalidate_and_cancel();
                });
            }
        }
    });
}

#[test]
fn a_body_larger_than_may_be_in_memory() {
    let handler = |request: &support::Received| match request.path() {
        "/chunked" => Reply::chunked([pattern(600), pattern(500)]),
        "/until-close" => Reply::until_close(pattern(1001)),
        "/exactly" => Reply::ok(pattern(1000)),
        "/exactly-chunked" => Reply::chunked([pattern(1000)]),
        _ => Reply::ok(pattern(1001)),
    };
    over_both(handler, |server, _| {
        let small = || support::configuration_for(server).maximum_body_in_memory(1000);
        for way in support::WAYS {
            let client = Client { session: Session::new(small()), ..Client::new(server, way) };
            for path in ["/exactly", "/exactly-chunked"] {
                assert_eq!(client.get(path).unwrap().bytes().len(), 1000, "{client}");
            }
            for path in ["/", "/chunked", "/until-close"] {
                match (way, client.get(path)) {
                    // A reader holds nothing in memory.
                    (Way::Reader, result) => assert!(result.unwrap().bytes().len() > 1000),
                    (_, Ok(_)) => panic!("{client}: {path} was too large"),
                    (_, Err(error)) => {
                        assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum, "{client}: {error}");
                        assert!(error.to_string().contains("1000 bytes"), "{error}");
                    }
                }
            }
        }
    });
    assert!(Configuration::default().get_maximum_body_in_memory() > 1000);
}

#[test]
fn a_body_that_is_too_large_for_a_bystander_is_never_cut_to_fit() {
    // The delegate gives the last piece back, which is one too many, while the task is about to end.
    let server = Server::start(|_| Reply::chunked([pattern(90_000), pattern(20_000)]));
    // Several at a time, so that threads are interrupted anywhere.
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let small = support::configuration_for(&server).maximum_body_in_memory(100_000);
                let client = Client { session: Session::new(small), ..Client::new(&server, Way::Delegate) };
                for round in 0..100 {
                    let error = match client.get("/") {
                        Ok(response) => panic!("round {round}: {} bytes of it", response.bytes().len()),
                        Err(error) => error,
                    };
                    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum, "{error}");
                }
            });
        }
    });
}
