//! The resource with ranges that downloads are tested against, looked at with a plain socket.

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use support::{At, Fault, Gate, PATIENCE, Quirk, Resource, Server, first_mismatch, gzip, pattern};

const LENGTH: usize = 10_000;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"").last_modified(DATE)
}

/// An answer, read to the end of the connection.
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn range(&self) -> Option<&str> {
        self.header("content-range")
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length").map(|length| length.parse().unwrap())
    }
}

fn ask(server: &Server, method: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let fields: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    write!(stream, "{method} /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: all[end + 4..].to_vec() }
}

fn get(server: &Server, headers: &[&str]) -> Answer {
    ask(server, "GET", headers)
}

/// The answer to a range of a resource.
fn part(resource: &Resource, range: &str) -> Answer {
    get(&Server::start(resource.handler()), &[&format!("Range: bytes={range}")])
}

#[track_caller]
fn assert_part(answer: &Answer, from: usize, to: usize) {
    assert_eq!(answer.status, 206);
    assert_eq!(answer.range(), Some(format!("bytes {from}-{}/{LENGTH}", to - 1).as_str()));
    assert_eq!(answer.length(), Some(to - from));
    assert_eq!(answer.body.len(), to - from);
    assert_eq!(first_mismatch(from as u64, &answer.body), None);
}

#[track_caller]
fn assert_whole(answer: &Answer) {
    assert_eq!((answer.status, answer.range(), answer.length()), (200, None, Some(LENGTH)));
    assert!(answer.body == pattern(LENGTH));
}

#[test]
fn ranges_as_rfc_9110_has_them() {
    let resource = resource();
    let server = Server::start(resource.handler());
    let range = |range: &str| get(&server, &[&format!("Range: {range}")]);
    let whole = get(&server, &[]);
    assert_whole(&whole);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!((whole.header("etag"), whole.header("last-modified")), (Some("\"v1\""), Some(DATE)));
    assert_part(&range("bytes=0-0"), 0, 1);
    assert_part(&range("bytes=100-199"), 100, 200);
    assert_part(&range("bytes=9000-"), 9000, LENGTH);
    assert_part(&range("bytes=9000-99999999999999999999"), 9000, LENGTH);
    assert_part(&range("bytes=-10"), LENGTH - 10, LENGTH);
    assert_part(&range("bytes=-20000"), 0, LENGTH);
    for unsatisfiable in ["bytes=10000-", "bytes=10000-10001", "bytes=-0"] {
        let answer = range(unsatisfiable);
        assert_eq!((answer.status, answer.range()), (416, Some("bytes */10000")), "{unsatisfiable}");
    }
    for ignored in ["bytes=0-1,5-6", "bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=+1-2"] {
        assert_whole(&range(ignored));
    }
    let head = ask(&server, "HEAD", &["Range: bytes=0-1"]);
    assert_eq!((head.status, head.length(), head.body.len()), (200, Some(LENGTH), 0));
    assert_eq!(ask(&server, "PUT", &[]).status, 405);

    let served = resource.served();
    assert_eq!(served[2].range.as_deref(), Some("bytes=100-199"));
    assert_eq!((served[2].status, served[2].bytes.clone(), served[2].connection), (206, 100..200, 2));
    assert_eq!(served.last().unwrap().method, "HEAD");
}

#[test]
fn preconditions_are_compared_strongly() {
    let server = Server::start(resource().handler());
    let tail = "Range: bytes=9000-";
    assert_part(&get(&server, &[tail, "If-Range: \"v1\""]), 9000, LENGTH);
    assert_part(&get(&server, &[tail, &format!("If-Range: {DATE}")]), 9000, LENGTH);
    assert_part(&get(&server, &[tail, "If-Match: \"v0\", \"v1\""]), 9000, LENGTH);
    for other in ["\"v2\"", "W/\"v1\"", "v1", "Sun, 06 Nov 1994 08:49:38 GMT"] {
        assert_whole(&get(&server, &[tail, &format!("If-Range: {other}")]));
    }
    assert_whole(&get(&server, &["If-Range: \"v2\""]));
    for failing in ["If-Match: \"v2\"", "If-Match: W/\"v1\"", "If-Unmodified-Since: never"] {
        assert_eq!(get(&server, &[tail, failing]).status, 412, "{failing}");
    }
    let weak = Server::start(Resource::pattern(LENGTH).weak_etag("\"v1\"").handler());
    let answer = get(&weak, &[tail, "If-Range: W/\"v1\""]);
    assert_whole(&answer);
    assert_eq!(answer.header("etag"), Some("W/\"v1\""));
}

#[test]
fn a_resource_changes_between_requests() {
    let changed = Resource::other_pattern(LENGTH).etag("\"v2\"");
    let resource = resource().changes_after(1, changed.clone());
    let server = Server::start(resource.handler());
    assert_whole(&get(&server, &[]));
    ask(&server, "HEAD", &[]);
    let answer = get(&server, &["Range: bytes=5000-", "If-Range: \"v1\""]);
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"v2\"")));
    assert!(answer.body == changed.content() && first_mismatch(0, &answer.body) == Some(0));
    // A server that does not look: bytes of the one behind bytes of the other.
    let resource = resource.quirk(Quirk::IgnoresIfRange);
    let answer = get(&Server::start(resource.handler()), &["Range: bytes=5000-", "If-Range: \"v1\""]);
    assert_eq!((answer.status, answer.header("etag")), (206, Some("\"v2\"")));
    assert!(answer.body == changed.content()[5000..]);
}

#[test]
fn lies_about_ranges() {
    let quirky = |quirk: Quirk| part(&resource().quirk(quirk), "1000-1999");
    assert_whole(&quirky(Quirk::IgnoresRange));
    let none = quirky(Quirk::NoRanges);
    assert_whole(&none);
    assert_eq!(none.header("accept-ranges"), Some("none"));
    let shifted = quirky(Quirk::Start(-10));
    assert_part(&shifted, 990, 2000);
    assert_part(&quirky(Quirk::AtMost(7)), 1000, 1007);
    assert_eq!(quirky(Quirk::Total(Some(5))).range(), Some("bytes 1000-1999/5"));
    assert_eq!(quirky(Quirk::Total(None)).range(), Some("bytes 1000-1999/*"));
    let fewer = quirky(Quirk::Fewer(1));
    assert_eq!((fewer.range(), fewer.length()), (Some("bytes 1000-1999/10000"), Some(999)));
    let more = quirky(Quirk::More(3));
    assert_eq!((more.range(), more.body.len()), (Some("bytes 1000-1999/10000"), 1003));
    assert_eq!(quirky(Quirk::ContentRange("bytes 7")).range(), Some("bytes 7"));
    let unsaid = quirky(Quirk::Without("content-range"));
    assert_eq!((unsaid.status, unsaid.range(), unsaid.body.len()), (206, None, 1000));
    let multipart = quirky(Quirk::Multipart);
    assert_eq!((multipart.status, multipart.range()), (206, None));
    assert!(multipart.header("content-type").unwrap().starts_with("multipart/byteranges"));
    let refused = quirky(Quirk::Status(416));
    assert_eq!((refused.status, refused.range()), (416, Some("bytes */10000")));
    assert_eq!(quirky(Quirk::Status(412)).status, 412);
    assert_eq!(quirky(Quirk::With("ETag", "\"v9\"")).header("etag"), Some("\"v9\""));
    assert_eq!(quirky(Quirk::Without("ETag")).header("etag"), None);

    let server = Server::start(resource().quirk_in(1..2, Quirk::Status(503)).handler());
    let statuses = [(); 3].map(|()| get(&server, &["Range: bytes=1-"]).status);
    assert_eq!(statuses, [206, 503, 206]);
}

#[test]
fn framings_and_codings() {
    let chunked = part(&resource().quirk(Quirk::Chunked(6)), "100-109");
    assert_eq!((chunked.status, chunked.length()), (206, None));
    let bytes = pattern(110);
    let expected = [b"6\r\n", &bytes[100..106], b"\r\n4\r\n", &bytes[106..], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(chunked.body, expected);
    let endless = part(&resource().quirk(Quirk::UntilClose), "100-109");
    assert_eq!((endless.length(), endless.body.len()), (None, 10));

    let compressed = gzip(&pattern(LENGTH));
    let server = Server::start(resource().compresses().handler());
    let answer = get(&server, &["Accept-Encoding: br, gzip"]);
    assert_eq!((answer.header("content-encoding"), answer.header("etag")), (Some("gzip"), Some("W/\"v1\"")));
    assert!(answer.body == compressed);
    assert_whole(&get(&server, &["Accept-Encoding: identity"]));
    let answer = part(&resource().quirk(Quirk::Gzip), "10-19");
    assert_eq!((answer.status, answer.header("content-encoding")), (206, Some("gzip")));
    assert_eq!(answer.body, compressed[10..20]);
}

#[test]
fn connections_are_cut_at_offsets_and_in_answers() {
    let resource = resource().cut_at([3000, 7000]).fault_in(3.., Fault::CloseAfter(1));
    let server = Server::start(resource.handler());
    let mut got = Vec::new();
    for _ in 0..3 {
        got.extend(get(&server, &[&format!("Range: bytes={}-", got.len())]).body);
    }
    assert!(got == pattern(LENGTH));
    let ends: Vec<_> = resource.served().into_iter().map(|served| served.bytes).collect();
    assert_eq!(ends, [0..3000, 3000..7000, 7000..LENGTH as u64]);
    assert_eq!(resource.bytes_served(), LENGTH as u64);
    assert_eq!(get(&server, &[]).body.len(), 1);
}

#[test]
fn a_stalled_answer_goes_on_when_the_gate_opens() {
    let gate = Gate::new();
    let resource = resource().fault_in(..1, Fault::GateAt(At::After(500), gate.clone()));
    let server = Server::start(resource.handler());
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| get(&server, &["Range: bytes=1000-"]));
        gate.wait_until_reached();
        assert!(!answer.is_finished());
        gate.open();
        assert_part(&answer.join().unwrap(), 1000, LENGTH);
    });
}
