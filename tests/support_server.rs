//! The test server itself, looked at with plain sockets: what the other tests build on.

mod support;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use support::{
    Admission, At, Blackhole, Certs, Fault, Gate, PATIENCE, Part, Received, Refused, Reply, Resumption,
    Server, Tls, assert_pattern, ca, client_config, client_config_with, independent, multipart, pattern,
    pattern_at, process, raw,
};

/// Held by every test but the one that counts what the process holds.
static COUNTING: RwLock<()> = RwLock::new(());

fn others() -> RwLockReadGuard<'static, ()> {
    COUNTING.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send(server: &Server, request: &str) -> TcpStream {
    let mut stream = connect(server.addr());
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn get(server: &Server) -> TcpStream {
    send(server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Reads a head, byte by byte, and as much of a body as its Content-Length says.
fn read_reply(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// Reads to the end, or to the error that is there instead.
fn read_all(stream: &mut impl Read) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut all = Vec::new();
    let error = stream.read_to_end(&mut all).err().map(|error| error.kind());
    (all, error)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

type TlsClient = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn tls_connect(server: &Server, config: &Arc<rustls::ClientConfig>) -> io::Result<TlsClient> {
    let name = "localhost".try_into().unwrap();
    let client = rustls::ClientConnection::new(config.clone(), name).unwrap();
    let mut stream = rustls::StreamOwned::new(client, connect(server.addr()));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn tls_get(stream: &mut TlsClient) -> io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_request_is_recorded_as_it_came() {
    let _others = others();
    let server = Server::start(|request| Reply::ok(request.body()).header("X-Path", request.path()));
    let mut stream = send(
        &server,
        "POST /a?b=c HTTP/1.1\r\nHost: a\r\nX-oDd: 1\r\nx-other:  two \r\nContent-Length: 5\r\n\r\nhello\
         GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(
        read_reply(&mut stream),
        ("HTTP/1.1 200 OK\r\nX-Path: /a\r\nContent-Length: 5\r\n\r\n".to_owned(), b"hello".to_vec())
    );
    assert!(read_reply(&mut stream).0.contains("X-Path: /next"));
    drop(get(&server));
    let requests = server.wait_for_requests(3, PATIENCE);
    let names: Vec<_> = requests[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Host", "X-oDd", "x-other", "Content-Length"]);
    assert_eq!(requests[0].header("X-OTHER"), Some("two"));
    assert_eq!((requests[0].query(), requests[0].text().as_str()), (Some("b=c"), "hello"));
    let places = |request: &Arc<Received>| (request.connection, request.index);
    assert_eq!(requests.iter().map(places).collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0)]);
    assert_eq!(server.accepted(), 2);
    drop(stream);
    server.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn chunked_bodies_and_trailers_both_ways() {
    let _others = others();
    let server = Server::script([Reply::chunked(["ab", "", "cde"]).trailer("X-Sum", "5")]);
    let mut stream = send(
        &server,
        "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-End: yes\r\n\r\n",
    );
    let expected =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nX-Sum: 5\r\n\r\n";
    assert_eq!(text(&read_all(&mut stream).0), expected);
    assert_eq!(server.request(0).text(), "abc0123456789");
    assert_eq!(server.request(0).trailers(), [("X-End".to_owned(), "yes".to_owned())]);
}

#[test]
fn a_script_goes_on_over_connections_and_ends_in_500() {
    let _others = others();
    let server = Server::script([Reply::ok("one").close(), Reply::raw(b"no HTTP at all")]);
    let (first, error) = read_all(&mut get(&server));
    assert_eq!(text(&first), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none");
    assert_eq!(error, None);
    assert_eq!(read_all(&mut get(&server)).0, b"no HTTP at all");
    assert!(read_reply(&mut get(&server)).0.starts_with("HTTP/1.1 500"));
}

#[test]
fn forms_of_replies() {
    let _others = others();
    let server = Server::script([
        Reply::status(204).informational(103, &[("Link", "</a>")]),
        Reply::ok("unseen"),
        Reply::status(299).reason("Fine"),
        Reply::ok("old").http10(),
    ]);
    let mut stream = get(&server);
    assert_eq!(read_reply(&mut stream).0, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert_eq!(read_reply(&mut stream).0, "HTTP/1.1 204 No Content\r\n\r\n");
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let expected =
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHTTP/1.1 299 Fine\r\nContent-Length: 0\r\n\r\n";
    let mut both = vec![0; expected.len()];
    stream.read_exact(&mut both).unwrap();
    assert_eq!(text(&both), expected);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(text(&read_all(&mut stream).0), "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold");
}

#[test]
fn ends_of_replies_on_the_wire() {
    let _others = others();
    let head = "HTTP/1.1 200 OK\r\n\r\n".len();
    let cases = [
        (Fault::ResetAfter(512), head + 512, Some(io::ErrorKind::ConnectionReset)),
        (Fault::CloseAfter(300), head + 300, None),
        (Fault::TruncateTls(7), head + 7, None),
        (Fault::CloseAt(At::InHead(10)), 10, None),
        (Fault::ResetAt(At::BeforeHead), 0, Some(io::ErrorKind::ConnectionReset)),
        (Fault::CloseAt(At::BeforeBody), head, None),
    ];
    let server = Server::script(cases.iter().map(|(fault, ..)| Reply::head(200).then(fault.clone())));
    for (fault, length, error) in cases {
        let (bytes, ended) = read_all(&mut get(&server));
        assert_eq!((bytes.len(), ended), (length, error), "{fault:?}");
        assert_pattern(bytes.get(head..).unwrap_or_default(), length.saturating_sub(head));
    }
}

#[test]
fn lengths_that_are_wrong_and_bytes_that_are_too_many() {
    let _others = others();
    let server = Server::script([
        Reply::ok("hello").then(Fault::WrongLength(9)),
        Reply::ok("hello").then(Fault::WrongLength(2)),
        Reply::ok("hello").then(Fault::ExtraBytes("more".into())),
        Reply::ok("bye").then(Fault::CloseIdleAfterReply),
    ]);
    let (short, error) = read_all(&mut get(&server));
    assert!(text(&short).ends_with("Content-Length: 9\r\n\r\nhello") && error.is_none());
    let mut stream = get(&server);
    assert_eq!(read_reply(&mut stream).1, b"he");
    stream.read_exact(&mut [0; 3]).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).1, b"hello");
    let mut extra = [0; 4];
    stream.read_exact(&mut extra).unwrap();
    assert_eq!(&extra, b"more");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(text(&read_all(&mut stream).0), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye");
    server.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn gates_delays_and_drips() {
    let _others = others();
    let (first, second) = (Gate::new(), Gate::new());
    let time = Duration::from_millis(20);
    let server = Server::script([
        Reply::ok("abcdef")
            .then(Fault::Gate(first.clone()))
            .then(Fault::GateAt(At::After(2), second.clone())),
        Reply::ok("slow").then(Fault::Delay { at: At::BeforeBody, time }),
        Reply::ok(pattern(50)).then(Fault::Drip { bytes_at_a_time: 40, every: time }),
        Reply::ok("ab").then(Fault::Split(vec![At::InHead(3), At::After(1)])),
    ]);
    let mut stream = get(&server);
    first.wait_until_reached();
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    first.open();
    second.wait_until_reached();
    let mut part = vec![0; "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab".len()];
    stream.read_exact(&mut part).unwrap();
    assert!(part.ends_with(b"\r\n\r\nab"));
    second.admit(1);
    stream.read_exact(&mut part[..4]).unwrap();
    assert_eq!(&part[..4], b"cdef");

    let mut again = || {
        let start = Instant::now();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let (_, body) = read_reply(&mut stream);
        (body, start.elapsed())
    };
    let (body, took) = again();
    assert!(body == b"slow" && took >= time, "{took:?}");
    let (body, took) = again();
    assert!(took >= 2 * time, "{took:?}");
    assert_pattern(&body, 50);
    assert_eq!(again().0, b"ab");
}

#[test]
fn a_stall_ends_with_its_client() {
    let _others = others();
    let server = Server::start(|_| Reply::ok("never").then(Fault::Stall));
    let stream = get(&server);
    server.wait_for_requests(1, PATIENCE);
    assert_eq!(server.open_connections(), 1);
    drop(stream);
    server.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn bodies_that_are_not_read() {
    let _others = others();
    let gate = Gate::new();
    let server = Server::script([
        Reply::status(413).early().then(Fault::RefuseRead),
        Reply::ok("read").then(Fault::GateRead(4, gate.clone())),
        Reply::status(401).early(),
        Reply::ok("next"),
    ]);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    let mut stream = send(&server, request);
    assert!(read_reply(&mut stream).0.starts_with("HTTP/1.1 413 "));
    server.wait_for_requests(1, PATIENCE);
    assert!(!server.request(0).is_complete());
    drop(stream);
    server.wait_for_open_connections(0, PATIENCE);

    let mut stream = send(&server, &format!("{request}0123456789"));
    gate.wait_until_reached();
    server.wait_for_body_bytes(4, PATIENCE);
    assert_eq!(server.request(1).text(), "0123");
    gate.open();
    assert_eq!(read_reply(&mut stream).1, b"read");
    assert_eq!(server.request(1).text(), "0123456789");

    stream.write_all(request.as_bytes()).unwrap();
    assert!(read_reply(&mut stream).0.starts_with("HTTP/1.1 401 "));
    stream.write_all(b"0123456789GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).1, b"next");
    assert!(server.request(2).is_complete());
}

#[test]
fn answers_and_resets_within_a_body() {
    let _others = others();
    let gate = Gate::new();
    let server = Server::script([
        Reply::ok("halfway").early_after(5).then(Fault::GateRead(5, gate.clone())),
        Reply::ok("short").early_after(50),
        Reply::status(401).early_after(4).then(Fault::RefuseRead),
        Reply::status(413).early_after(4).then(Fault::CloseUnread),
        Reply::ok("unheard").then(Fault::ResetRead(4)),
        Reply::ok("unheard").then(Fault::ResetRead(10)),
    ]);
    let sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n7\r\n34";
    let mut stream = send(&server, chunked);
    assert_eq!(read_reply(&mut stream).1, b"halfway");
    gate.wait_until_reached();
    assert_eq!((server.request(0).text().as_str(), server.request(0).is_complete()), ("01234", false));
    gate.open();
    stream.write_all(format!("56789\r\n0\r\n\r\n{sized}0123456789").as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).1, b"short");
    assert_eq!(server.wait_for_requests(2, PATIENCE)[0].text(), "0123456789");
    assert!(server.request(1).is_complete());

    stream.write_all(format!("{sized}0123").as_bytes()).unwrap();
    assert!(read_reply(&mut stream).0.starts_with("HTTP/1.1 401 "));
    stream.write_all(b"456789").unwrap();
    drop(stream);
    server.wait_for_open_connections(0, PATIENCE);
    assert_eq!((server.request(2).text().as_str(), server.request(2).is_complete()), ("0123", false));

    let mut stream = send(&server, &format!("{sized}0123"));
    assert!(read_reply(&mut stream).0.starts_with("HTTP/1.1 413 "));
    server.wait_for_open_connections(0, PATIENCE);
    stream.write_all(b"4").unwrap();
    assert!(matches!(read_all(&mut stream), (rest, _) if rest.is_empty()));

    for (sent, request) in [("0123", 4), ("0123456789", 5)] {
        let mut stream = send(&server, &format!("{sized}{sent}"));
        assert_eq!(read_all(&mut stream), (Vec::new(), Some(io::ErrorKind::ConnectionReset)));
        assert_eq!(server.request(request).text(), sent);
    }
}

#[test]
fn a_refused_body_blocks_the_client() {
    let _others = others();
    let server = Server::builder().receive_buffer(4096).start(|_| Reply::ok("").then(Fault::RefuseRead));
    let mut stream = send(&server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    server.wait_for_heads(1, PATIENCE);
    stream.set_nonblocking(true).unwrap();
    let block = vec![0; 1 << 20];
    let written: usize = std::iter::from_fn(|| stream.write(&block).ok()).sum();
    assert!(written < 100_000_000, "{written}");
    // A FIN would wait behind what the server has no room for.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    server.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn forms_are_read_by_the_letter() {
    let _others = others();
    let form = |text: &str| {
        let body = text.replace('\n', "\r\n").replace("DISPOSITION", "Content-Disposition: form-data");
        multipart("multipart/form-data; boundary=xy", &body.into())
    };
    let parts = form(
        "--xy\nDISPOSITION; name=\"a%22b\"\n\n\n--xy\n\
         DISPOSITION; name=\"f\"; filename=\"é b.txt\"\nContent-Type: text/plain\n\nline\n--x\n\n--xy--\n",
    )
    .unwrap();
    let file = Part {
        name: "f".to_owned(),
        filename: Some("é b.txt".to_owned()),
        content_type: Some("text/plain".to_owned()),
        body: "line\r\n--x\r\n".into(),
    };
    let field = Part { name: "a\"b".to_owned(), filename: None, content_type: None, body: "".into() };
    assert_eq!(parts, [field, file]);
    for wrong in [
        "preamble\n--xy\nDISPOSITION; name=\"a\"\n\n\n--xy--\n",
        "--xy\nDISPOSITION; name=\"a\"\n\n\n--xy--\nepilogue",
        "--xy\nDISPOSITION; name=\"a\"\n\n--xy--\n",
        "--xy\nDISPOSITION; name=\"a\"\n\n\n--xy",
        "--xy\nDISPOSITION; name=\"a\"\n\n\n--xyz\n--xy--\n",
        "--xy \nDISPOSITION; name=\"a\"\n\n\n--xy--\n",
        "--xy\n\nno header\n--xy--\n",
        "--xy\nDISPOSITION; filename=\"a\"\n\n\n--xy--\n",
        "--xy\nDISPOSITION; name=a\n\n\n--xy--\n",
        "--xy\nDISPOSITION; name=\"a\"; name=\"b\"\n\n\n--xy--\n",
        "--xy\nDISPOSITION; name=\"a\"; filename*=\"b\"\n\n\n--xy--\n",
        "--xy\nDISPOSITION; name=\"a\\\"b\"\n\n\n--xy--\n",
        "--xy\nDISPOSITION; name=\"a\"\nContent-Transfer-Encoding: binary\n\n\n--xy--\n",
        "--xy\nContent-Disposition: attachment; name=\"a\"\n\n\n--xy--\n",
    ] {
        assert!(form(wrong).is_err(), "{wrong}");
    }
    for wrong in ["text/plain", "multipart/form-data", "multipart/form-data; boundary=a b"] {
        assert!(multipart(wrong, &"--a b--".into()).is_err(), "{wrong}");
    }
    assert_eq!(multipart("multipart/form-data; boundary=\"a b\"", &"--a b--".into()), Ok(Vec::new()));
}

#[test]
fn expectations() {
    let _others = others();
    let request = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let server = Server::start(|request| match request.path() {
        "/" => Reply::ok(request.body()),
        _ => Reply::ok("unheard").no_continue(),
    });
    let mut stream = send(&server, request);
    assert_eq!(read_reply(&mut stream).0, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").unwrap();
    assert_eq!(read_reply(&mut stream).1, b"ab");
    stream.write_all(request.replace("/ ", "/x ").as_bytes()).unwrap();
    stream.write_all(b"ab").unwrap();
    assert_eq!(read_reply(&mut stream).1, b"unheard");

    let server = Server::builder().expect_continue(false).start(|request| Reply::ok(request.body()));
    let mut stream = send(&server, &format!("{request}cd"));
    assert_eq!(read_reply(&mut stream).1, b"cd");
}

#[test]
fn what_http_forbids_is_refused_and_recorded() {
    let _others = others();
    let server = Server::start(|_| Reply::ok("taken"));
    let requests = [
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
    ];
    for request in requests {
        let (reply, error) = read_all(&mut send(&server, request));
        assert!(text(&reply).starts_with("HTTP/1.1 400 ") && error.is_none(), "{request:?}: {reply:?}");
    }
    assert_eq!(server.protocol_errors().len(), requests.len());
    assert!(server.requests().is_empty());
}

#[test]
fn admissions_accept_gate_and_places_without_a_server() {
    let _others = others();
    let gate = Gate::new();
    let choose = |connection| [Admission::Close, Admission::Reset, Admission::Serve][connection];
    let mut server =
        Server::builder().admission(choose).accept_gate(&gate).start(|_| Reply::ok("served").close());
    let mut streams = [connect(server.addr()), connect(server.addr()), get(&server)];
    gate.wait_until_reached();
    assert_eq!(server.accepted(), 0);
    gate.open();
    server.wait_for_accepts(3, PATIENCE);
    assert_eq!(read_all(&mut streams[0]), (Vec::new(), None));
    assert_eq!(read_all(&mut streams[1]), (Vec::new(), Some(io::ErrorKind::ConnectionReset)));
    assert!(read_all(&mut streams[2]).0.ends_with(b"served"));
    server.stop_listening();

    let refused = Refused::new();
    for address in [server.addr(), refused.addr()] {
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
    let hole = Blackhole::new();
    let error = TcpStream::connect_timeout(&hole.addr(), Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn tls_with_and_without_close_notify() {
    let _others = others();
    let server = Server::builder().tls(Tls::new().alpn(&["http/1.1"])).script([
        Reply::ok("hello"),
        Reply::head(200).then(Fault::CloseAfter(9)),
        Reply::head(200).then(Fault::TruncateTls(9)),
        Reply::head(200).then(Fault::ResetAfter(9)),
    ]);
    assert!(server.url("/a").starts_with("https://127.0.0.1:"));
    let mut config = client_config();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let mut stream = tls_connect(&server, &config).unwrap();
    tls_get(&mut stream).unwrap();
    assert_eq!(read_reply(&mut stream).1, b"hello");
    tls_get(&mut stream).unwrap();
    let (bytes, error) = read_all(&mut stream);
    assert!(bytes.ends_with(&pattern(9)) && error.is_none());
    for expected in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
        let mut stream = tls_connect(&server, &config).unwrap();
        tls_get(&mut stream).unwrap();
        let (bytes, error) = read_all(&mut stream);
        assert!(bytes.ends_with(&pattern(9)));
        assert_eq!(error, Some(expected));
    }
    let handshakes = server.handshakes();
    assert_eq!(handshakes[0].server_name.as_deref(), Some("localhost"));
    assert_eq!(handshakes[0].alpn.as_deref(), Some(&b"http/1.1"[..]));
}

#[test]
fn sessions_are_resumed_as_told() {
    let _others = others();
    for (version, tls) in [("1.2", Tls::new().only_tls12()), ("1.3", Tls::new().only_tls13())] {
        for (resumption, resumed) in
            [(Resumption::None, 0), (Resumption::Remembered, 2), (Resumption::Tickets, 2)]
        {
            let server = Server::builder().tls(tls.clone().resumption(resumption)).start(|_| Reply::ok("hi"));
            let config = Arc::new(client_config());
            for _ in 0..3 {
                let mut stream = tls_connect(&server, &config).unwrap();
                tls_get(&mut stream).unwrap();
                assert_eq!(read_reply(&mut stream).1, b"hi");
            }
            assert_eq!(server.resumed_handshakes(), resumed, "TLS {version}, {resumption:?}");
        }
    }
}

#[test]
fn certificates_are_wrong_in_one_way() {
    let _others = others();
    let config = Arc::new(client_config());
    let cases = [
        (Certs::expired(), "Expired"),
        (Certs::not_yet_valid(), "NotValidYet"),
        (Certs::wrong_name(), "NotValidForName"),
        (Certs::self_signed(), "UnknownIssuer"),
        (Certs::unknown_ca(), "BadSignature"),
        (Certs::missing_intermediate(), "UnknownIssuer"),
        (Certs::with_intermediate(), ""),
    ];
    for (certs, expected) in cases {
        let server = Server::builder().tls(Tls::new().certs(certs)).start(|_| Reply::ok("hi"));
        let result = tls_connect(&server, &config);
        server.wait_for_handshakes(1, PATIENCE);
        let error = result.err().map(|error| format!("{:?}", error.get_ref())).unwrap_or_default();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(server.failed_handshakes().is_empty(), expected.is_empty());
    }
}

#[test]
fn client_certificates_are_asked_for() {
    let _others = others();
    let server = Server::builder().tls(Tls::new().require_client_certificate()).start(|_| Reply::ok("hi"));
    let unknown = Certs::client_of_unknown_ca();
    for certs in [None, Some(&unknown)] {
        let stream = tls_connect(&server, &client_config_with(ca(), certs).into());
        // In TLS 1.3 the client is done before the server has looked at its certificate.
        let ended = stream.and_then(|mut stream| tls_get(&mut stream).and_then(|()| stream.read(&mut [0])));
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    server.wait_for_handshakes(2, PATIENCE);
    assert_eq!(server.failed_handshakes().len(), 2);
    let client = Certs::client();
    let mut stream = tls_connect(&server, &client_config_with(ca(), Some(&client)).into()).unwrap();
    tls_get(&mut stream).unwrap();
    assert_eq!(read_reply(&mut stream).1, b"hi");
    assert_eq!(server.handshakes()[0].client_certificates, client.chain);
}

#[test]
fn connections_can_be_taken_over() {
    let _others = others();
    let echo = |wire: &mut support::Wire| {
        let mut word = [0; 4];
        wire.read_exact(&mut word).unwrap();
        wire.write_all(&word).unwrap();
    };
    let server = Server::start(move |_| Reply::status(101).header("Upgrade", "x").takeover(echo));
    let mut stream = send(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\nping");
    assert_eq!(text(&read_all(&mut stream).0), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nping");

    let server = raw(|mut stream| {
        let mut word = [0; 4];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let mut stream = connect(server.addr());
    stream.write_all(b"ping").unwrap();
    assert_eq!(read_all(&mut stream).0, b"ping");
    server.join();
}

#[test]
fn a_handler_that_panics_fails_the_test() {
    let _others = others();
    let result = std::panic::catch_unwind(|| {
        let server = Server::start(|request| {
            assert_eq!(request.method, "POST", "on purpose");
            Reply::ok("")
        });
        assert_eq!(read_all(&mut get(&server)).0, b"");
        server.wait_for_open_connections(0, PATIENCE);
    });
    assert!(result.is_err());
}

#[test]
fn a_wait_in_vain_says_what_it_waited_for() {
    let _others = others();
    let result = std::panic::catch_unwind(|| {
        let server = Server::start(|_| Reply::ok(""));
        server.wait_for_requests(2, Duration::from_millis(5));
    });
    let message = result.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("2 requests") && message.contains("0 connections accepted"), "{message}");
}

#[test]
fn pieces_of_the_pattern_fit_together() {
    let whole = pattern(100);
    for at in 0..100 {
        assert_eq!(pattern_at(at, 100 - at as usize), whole[at as usize..]);
    }
    assert_eq!(support::first_mismatch(7, &[&whole[7..20], b"!"].concat()), Some(20));
}

#[test]
fn tiny_http_serves_its_pages() {
    let _others = others();
    let server = independent();
    let mut stream = connect(server.addr());
    let mut page = |request: &str| {
        stream.write_all(request.as_bytes()).unwrap();
        read_reply(&mut stream)
    };
    assert_eq!(page("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").1, b"hello");
    assert_pattern(&page("GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n").1, 100_000);
    assert!(page("GET /redirect/3 HTTP/1.1\r\nHost: a\r\n\r\n").0.contains("Location: /redirect/2\r\n"));
    assert!(page("GET /status/503 HTTP/1.1\r\nHost: a\r\n\r\n").0.starts_with("HTTP/1.1 503 "));
    assert!(page("GET /gzip HTTP/1.1\r\nHost: a\r\n\r\n").0.contains("Content-Encoding: gzip\r\n"));
    let (_, echo) = page("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
    let echo: serde_json::Value = serde_json::from_slice(&echo).unwrap();
    assert_eq!((echo["method"].as_str(), echo["body"].as_str()), (Some("POST"), Some("ab")));
    assert!(page("GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n").0.contains("Transfer-Encoding: chunked\r\n"));
}

/// Whatever a server is in the middle of, dropping it ends that at once and leaves nothing.
#[test]
#[cfg(target_os = "linux")]
fn a_dropped_server_leaves_no_thread_and_no_socket() {
    let _alone = COUNTING.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    // What tiny_http had may still be on its way out.
    process::wait_for_open_sockets(0, PATIENCE);
    let before = process::open_fds();
    let start = Instant::now();
    let gate = Gate::new();
    let big = vec![0; 50_000_000];

    let in_handler = gate.clone();
    let server = Server::start(move |request| match request.path() {
        "/handler" => {
            in_handler.pass();
            Reply::ok("")
        }
        "/stall" => Reply::ok("").then(Fault::Stall),
        "/gate" => Reply::ok("abc").then(Fault::GateAt(At::After(1), in_handler.clone())),
        "/delay" => Reply::ok("").then(Fault::Delay { at: At::End, time: 10 * PATIENCE }),
        "/drip" => Reply::ok("abc").then(Fault::Drip { bytes_at_a_time: 1, every: 10 * PATIENCE }),
        "/refuse" => Reply::ok("").then(Fault::RefuseRead),
        _ => Reply::ok(big.clone()),
    });
    let paths = ["handler", "stall", "gate", "delay", "drip", "refuse", "big", "body"];
    let streams = paths.map(|path| {
        let length = if path == "body" { 5 } else { 0 };
        send(&server, &format!("POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"))
    });
    server.wait_for_heads(streams.len(), PATIENCE);
    let idle = connect(server.addr());
    server.wait_for_accepts(streams.len() + 1, PATIENCE);

    let handshaking = Server::tls(|_| Reply::ok(""));
    let silent = connect(handshaking.addr());
    let held = Server::builder().tls(Tls::new()).stall_handshake(&gate).start(|_| Reply::ok(""));
    let waiting = connect(held.addr());
    let unaccepting = Server::builder().accept_gate(&gate).start(|_| Reply::ok(""));
    let unaccepted = connect(unaccepting.addr());
    let reading = raw(|mut stream| drop(stream.read(&mut [0])));
    let talking = connect(reading.addr());
    let expecting = raw(|_| {});
    handshaking.wait_for_accepts(1, PATIENCE);
    held.wait_for_accepts(1, PATIENCE);
    gate.wait_until_reached_by(3, PATIENCE);
    assert!(process::threads_named("test-server-") >= 14);

    drop((server, handshaking, held, unaccepting, reading, expecting));
    assert_eq!(process::threads_named("test-server-"), 0, "{:?}", process::thread_names());
    drop((streams, idle, silent, waiting, unaccepted, talking));
    assert_eq!(process::open_fds(), before, "{:?}", process::descriptors());
    assert!(start.elapsed() < PATIENCE);

    let server = independent();
    drop(connect(server.addr()));
    drop(server);
    assert_eq!(process::threads_named("test-server-"), 0, "{:?}", process::thread_names());
    process::wait_for_open_sockets(0, PATIENCE);
}
