//! The test server of resumable uploads, looked at with plain sockets.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Mishap, PATIENCE, Resumable, Server, assert_pattern, pattern};

const OURS: &str = "Upload-Draft-Interop-Version: 8\r\n";

struct Connection(TcpStream);

impl Connection {
    fn to(server: &Server) -> Connection {
        let stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection(stream)
    }

    fn send(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) -> &mut Connection {
        let length = if body.is_empty() && method != "PATCH" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.send_part(method, target, &format!("{fields}{length}"), body)
    }

    /// Sends a head whose Content-Length, if any, is in the fields, and as much of a body as there is.
    fn send_part(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) -> &mut Connection {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        self.0.write_all(head.as_bytes()).unwrap();
        // A server that cuts may do so before all is written.
        let _ = self.0.write_all(body);
        self
    }

    /// The next head; `None` when the connection has ended.
    fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        Some(String::from_utf8(head).unwrap())
    }

    fn status(&mut self) -> (u16, String) {
        let head = self.head().expect("an answer");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        if !head.starts_with("HTTP/1.1 1") {
            self.0.read_exact(&mut body).unwrap();
        }
        (head[9..12].parse().unwrap(), head + &String::from_utf8(body).unwrap())
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// HEAD: the offset and the completeness.
fn state(server: &Server, target: &str) -> (String, String) {
    let mut connection = Connection::to(server);
    let (status, head) = connection.send("HEAD", target, OURS, b"").status();
    assert_eq!(status, 204, "{head}");
    assert_eq!(field(&head, "Cache-Control"), Some("no-store"));
    let said = |name| field(&head, name).unwrap().to_owned();
    (said("Upload-Offset"), said("Upload-Complete"))
}

fn pair(offset: &str, complete: &str) -> (String, String) {
    (offset.to_owned(), complete.to_owned())
}

fn create(length: usize) -> String {
    format!("{OURS}Upload-Complete: ?1\r\nUpload-Length: {length}\r\n")
}

fn append(offset: usize, complete: bool) -> String {
    let complete = u8::from(complete);
    format!(
        "{OURS}Content-Type: application/partial-upload\r\nUpload-Offset: {offset}\r\nUpload-Complete: ?{complete}\r\n"
    )
}

fn start(uploads: &Resumable) -> Server {
    Server::start(uploads.handler())
}

#[test]
fn an_upload_in_one_go() {
    let uploads = Resumable::new().tell_progress();
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    connection.send_part("POST", "/files", &format!("{}Content-Length: 1000\r\n", create(1000)), b"");
    // While the body is on its way.
    let head = connection.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 104 Upload Resumption Supported\r\n"), "{head}");
    assert_eq!(field(&head, "Location"), Some("/uploads/0"));
    assert_eq!(field(&head, "Upload-Draft-Interop-Version"), Some("8"));
    connection.0.write_all(&pattern(1000)).unwrap();
    assert_eq!(field(&connection.head().unwrap(), "Upload-Offset"), Some("1000"));
    let (status, answer) = connection.status();
    assert_eq!((status, field(&answer, "Upload-Complete")), (200, Some("?1")));
    assert!(answer.ends_with("1000 bytes"), "{answer}");
    assert_eq!(state(&server, "/uploads/0"), pair("1000", "?1"));
    assert_pattern(&uploads.uploads()[0].content, 1000);
    assert_eq!(uploads.log(), ["create!", "query"]);
    assert_eq!(uploads.violations(), [""; 0]);
}

#[test]
fn an_upload_that_is_cut_twice() {
    let uploads = Resumable::new().then(Mishap::CutAfter(300)).then(Mishap::CutAfter(200)).tell_progress();
    let server = start(&uploads);
    let body = pattern(1000);
    let mut connection = Connection::to(&server);
    connection.send("POST", "/files", &create(1000), &body);
    assert!(connection.head().is_some_and(|head| head.contains(" 104 ")));
    assert_eq!(field(&connection.head().unwrap(), "Upload-Offset"), Some("300"));
    assert_eq!(connection.head(), None);
    assert_eq!(state(&server, "/uploads/0"), pair("300", "?0"));
    let mut connection = Connection::to(&server);
    connection.send("PATCH", "/uploads/0", &append(300, true), &body[300..]);
    assert_eq!(field(&connection.head().unwrap(), "Upload-Offset"), Some("500"));
    assert_eq!(connection.head(), None);
    assert_eq!(state(&server, "/uploads/0"), pair("500", "?0"));
    let mut connection = Connection::to(&server);
    connection.send("PATCH", "/uploads/0", &append(500, true), &body[500..]);
    assert_eq!(connection.status().0, 104);
    let (status, answer) = connection.status();
    assert_eq!((status, field(&answer, "Upload-Complete")), (200, Some("?1")));
    assert_pattern(&uploads.uploads()[0].content, 1000);
    assert_eq!(uploads.log(), ["create!", "query", "append 300+700!", "query", "append 500+500!"]);
    assert_eq!(uploads.violations(), [""; 0]);
}

#[test]
fn what_a_client_sent_before_it_went_is_kept() {
    let uploads = Resumable::new();
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    let fields = format!("{OURS}Upload-Complete: ?1\r\nTransfer-Encoding: chunked\r\n");
    connection.send_part("PUT", "/files", &fields, b"5\r\nabcde\r\n5\r\nfg");
    assert!(connection.head().is_some());
    drop(connection);
    // The offset is answered when all that was on its way has been taken.
    assert_eq!(state(&server, "/uploads/0"), pair("7", "?0"));
    let mut connection = Connection::to(&server);
    connection.send("PATCH", "/uploads/0", &append(7, false), b"hij");
    let (status, answer) = connection.status();
    assert_eq!((status, field(&answer, "Upload-Complete")), (204, Some("?0")));
    connection.send("PATCH", "/uploads/0", &append(10, true), b"");
    assert_eq!(connection.status().0, 200);
    assert_eq!(uploads.uploads()[0].content, b"abcdefghij");
    assert_eq!(uploads.log(), ["create!", "query", "append 7+3", "append 10+0!"]);
}

#[test]
fn an_answer_that_is_lost() {
    let uploads = Resumable::new().then(Mishap::LoseAnswer);
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    connection.send("POST", "/files", &create(3), b"abc");
    assert!(connection.head().is_some());
    assert_eq!(connection.head(), None);
    assert_eq!(state(&server, "/uploads/0"), pair("3", "?1"));
}

#[test]
fn wrong_offsets_and_other_violations() {
    let uploads = Resumable::new().then(Mishap::CutAfter(3));
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    connection.send("POST", "/files", &create(6), b"abcdef");
    while connection.head().is_some() {}
    let mut connection = Connection::to(&server);
    connection.send("PATCH", "/uploads/0", &append(2, true), b"cdef");
    let (status, answer) = connection.status();
    assert_eq!((status, field(&answer, "Upload-Offset")), (409, Some("3")));
    assert!(answer.contains("#mismatching-upload-offset"), "{answer}");
    assert_eq!(uploads.violations(), [""; 0]);
    let wrong = append(3, true).replace("partial-upload", "octet-stream");
    assert_eq!(connection.send("PATCH", "/uploads/0", &wrong, b"def").status().0, 415);
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(3, true), b"defg").status().0, 400);
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(7, true), b"").status().0, 404);
    assert_eq!(connection.send("HEAD", "/uploads/7", OURS, b"").status().0, 404);
    assert_eq!(uploads.violations().len(), 2, "{:?}", uploads.violations());
}

#[test]
fn cancelling() {
    let uploads = Resumable::new().then(Mishap::CutAfter(3));
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    connection.send("POST", "/files", &create(6), b"abcdef");
    while connection.head().is_some() {}
    let mut connection = Connection::to(&server);
    assert_eq!(connection.send("DELETE", "/uploads/0", OURS, b"").status().0, 204);
    assert_eq!(connection.send("HEAD", "/uploads/0", OURS, b"").status().0, 404);
    assert!(uploads.uploads()[0].cancelled);
    assert_eq!(uploads.log(), ["create!", "cancel", "HEAD in vain"]);
}

#[test]
fn limits() {
    let uploads = Resumable::new().max_append_size(4).min_append_size(2).max_size(100);
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    connection.send("POST", "/files", &create(6), b"abcdef");
    let head = connection.head().unwrap();
    let limits = Some("max-size=100, max-append-size=4, min-append-size=2");
    assert_eq!(field(&head, "Upload-Limit"), limits);
    let (status, answer) = connection.status();
    assert_eq!((status, field(&answer, "Upload-Limit")), (413, limits));
    assert_eq!(state(&server, "/uploads/0"), pair("0", "?0"));
    let mut connection = Connection::to(&server);
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(0, false), b"a").status().0, 400);
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(0, true), b"abcdef").status().0, 413);
    assert_eq!(uploads.violations().len(), 2);
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(0, false), b"abcd").status().0, 204);
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(4, true), b"ef").status().0, 200);
    assert_eq!(uploads.uploads()[0].content, b"abcdef");
}

#[test]
fn mishaps_of_heads() {
    let interim = |mishap| {
        let uploads = Resumable::new().then(mishap);
        let server = start(&uploads);
        let mut connection = Connection::to(&server);
        connection.send("POST", "/files", &create(3), b"abc");
        let mut heads = Vec::new();
        loop {
            match connection.status() {
                (104, head) => heads.push(head),
                (status, _) => break assert_eq!(status, 200),
            }
        }
        heads
    };
    assert_eq!(interim(Mishap::NoInterim), [""; 0]);
    let heads = interim(Mishap::InteropVersion(Some("7".to_owned())));
    assert_eq!(field(&heads[0], "Upload-Draft-Interop-Version"), Some("7"));
    let heads = interim(Mishap::InteropVersion(None));
    assert_eq!(field(&heads[0], "Upload-Draft-Interop-Version"), None);
    let heads = interim(Mishap::Base("http://other/base".to_owned()));
    assert_eq!(field(&heads[0], "Location"), Some("http://other/base/uploads/0"));
    assert_eq!(interim(Mishap::SecondLocation).len(), 2);
}

#[test]
fn mishaps_of_answers() {
    let mut uploads = Resumable::new().then(Mishap::CutAfter(3));
    for status in [503, 500] {
        uploads = uploads.then(Mishap::AppendAnswer(status)).then(Mishap::QueryAnswer(status));
    }
    let uploads = uploads.then(Mishap::OffsetSaid("9".to_owned())).then(Mishap::QueryRedirect(307));
    let server = start(&uploads);
    let mut connection = Connection::to(&server);
    connection.send("POST", "/files", &create(6), b"abcdef");
    while connection.head().is_some() {}
    let mut connection = Connection::to(&server);
    for status in [503, 500] {
        assert_eq!(connection.send("HEAD", "/uploads/0", OURS, b"").status().0, status);
        assert_eq!(connection.send("PATCH", "/uploads/0", &append(3, true), b"def").status().0, status);
    }
    let (status, head) = connection.send("HEAD", "/uploads/0", OURS, b"").status();
    assert_eq!((status, field(&head, "Location")), (307, Some("/moved/uploads/0")));
    assert_eq!(state(&server, "/moved/uploads/0"), pair("9", "?0"));
    assert_eq!(state(&server, "/moved/uploads/0"), pair("3", "?0"));
    assert_eq!(connection.send("PATCH", "/uploads/0", &append(3, true), b"def").status().0, 200);
}

#[test]
fn clients_that_do_not_speak_the_version() {
    let uploads = Resumable::new();
    let server = start(&uploads);
    for fields in
        ["", "Upload-Complete: ?1\r\n", "Upload-Complete: ?1\r\nUpload-Draft-Interop-Version: 7\r\n", OURS]
    {
        let mut connection = Connection::to(&server);
        assert_eq!(connection.send("POST", "/files", fields, b"abc").status().0, 200);
    }
    assert_eq!((uploads.plain_uploads(), uploads.uploads().len()), (4, 0));
}
