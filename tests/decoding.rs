//! Bodies in a content coding: decoded where that was asked for, left alone where not, an error
//! where they are broken, and bounded in memory (RFC 9110, section 8.4).
#![cfg(feature = "gzip")]

mod support;

use flate2::{Compression, write};
use std::io::{Read, Write};
use std::sync::OnceLock;
use std::time::Duration;
use support::{
    At, Client, Fault, Gate, Received, Reply, Way, assert_pattern, configuration_for, every_way, gzip,
    over_both, pattern,
};
use urlsession::{Bytes, Error, ErrorKind, Request, Response, Session};

/// Text that compresses, of more bytes than a buffer.
fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| (0..8_000).map(|number| format!("line {number}\n")).collect())
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn encoded(coding: &str, body: Vec<u8>) -> Reply {
    Reply::ok(body).header("Content-Encoding", coding)
}

#[test]
fn codings_that_are_known() {
    let handler = |request: &Received| {
        let plain = text().as_bytes();
        match request.path() {
            "/gzip" => encoded("gzip", gzip(plain)),
            "/x-gzip" => encoded("X-GZIP", gzip(plain)),
            "/zlib" => encoded("deflate", zlib(plain)),
            "/raw" => encoded("deflate", raw_deflate(plain)),
            "/identity" => encoded("identity", plain.to_vec()),
            "/stacked" => encoded("deflate, gzip", gzip(&zlib(plain))),
            "/lines" => encoded("gzip", gzip(&gzip(plain))).header("content-encoding", "identity, gzip"),
            "/members" => encoded("gzip", [gzip(&plain[..1000]), gzip(&plain[1000..])].concat()),
            "/trailing" => encoded("gzip", [&gzip(plain)[..], b"\0\0\0 garbage"].concat()),
            "/chunked" => Reply::chunked(gzip(plain).chunks(777)).header("Content-Encoding", "gzip"),
            "/until-close" => Reply::until_close(gzip(plain)).header("Content-Encoding", "gzip"),
            path => panic!("{path}"),
        }
    };
    every_way(handler, |client| {
        for path in [
            "gzip", "x-gzip", "zlib", "raw", "identity", "stacked", "lines", "members", "trailing", "chunked",
        ] {
            let response = client.get(&format!("/{path}")).expect(path);
            assert!(response.bytes() == text(), "{path}: {} bytes", response.bytes().len());
            assert!(response.header("content-encoding").is_some(), "{path}: it stays visible");
            let length = (path == "identity").then_some(text().len() as u64);
            assert_eq!(response.expected_content_length(), length, "{path}");
        }
        assert_eq!(client.server.accepted(), 1, "each body was taken to its end");
        assert!(client.get("/until-close").unwrap().bytes() == text());
    });
}

#[test]
fn what_is_counted_is_what_came() {
    over_both(
        |_| Reply::gzipped(text()),
        |server, session| {
            let length = gzip(text().as_bytes()).len() as u64;
            let task = session.data_task(server.url("/"));
            task.wait().unwrap();
            assert_eq!(task.bytes_received(), length);
            assert_eq!(task.bytes_expected_to_receive(), Some(length));
        },
    );
}

#[cfg(feature = "brotli")]
#[test]
fn brotli() {
    // A stored metablock, and the same cut short.
    const HELLO: &[u8] = b"\x0b\x02\x80hello\x03";
    let handler = |request: &Received| match request.path() {
        "/" => encoded("br", HELLO.to_vec()),
        "/gzip" => encoded("br, gzip", gzip(HELLO)),
        _ => encoded("br", HELLO[..6].to_vec()),
    };
    every_way(handler, |client| {
        assert_eq!(client.get("/").unwrap().bytes(), "hello");
        assert_eq!(client.get("/gzip").unwrap().bytes(), "hello");
        assert_eq!(client.get("/cut").unwrap_err().kind(), ErrorKind::CannotDecodeContentData);
        assert!(client.server.request(0).has_token("accept-encoding", "br"));
    });
}

/// A frame of zeros, `blocks` times 128 KiB of them (RFC 8878, section 3.1.1).
#[cfg(feature = "zstd")]
fn zstd_zeros(blocks: u32) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x48".to_vec();
    for block in 1..=blocks {
        let header = (128 * 1024) << 3 | 1 << 1 | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[cfg(feature = "zstd")]
#[test]
fn zstd() {
    const HELLO: &[u8] = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
    let handler = |request: &Received| match request.path() {
        "/" => encoded("zstd", HELLO.to_vec()),
        "/zeros" => encoded("zstd", zstd_zeros(4)),
        "/bomb" => encoded("zstd", zstd_zeros(100_000)),
        _ => encoded("zstd", HELLO[..10].to_vec()),
    };
    every_way(handler, |client| {
        assert_eq!(client.get("/").unwrap().bytes(), "hello");
        assert_eq!(client.get("/zeros").unwrap().bytes().len(), 512 * 1024);
        assert_eq!(client.get("/cut").unwrap_err().kind(), ErrorKind::CannotDecodeContentData);
        assert!(client.server.request(0).has_token("accept-encoding", "zstd"));
        if client.way != Way::Reader {
            let small = configuration_for(client.server).maximum_body_in_memory(1_000_000);
            let small = Client { session: Session::new(small), ..Client::new(client.server, client.way) };
            assert_eq!(small.get("/bomb").unwrap_err().kind(), ErrorKind::DataLengthExceedsMaximum);
        }
    });
}

#[test]
fn a_coding_that_is_not_known_is_left_to_the_program() {
    let handler = |request: &Received| match request.path() {
        "/cow" => encoded("cow", b"moo".to_vec()),
        _ => encoded("cow, gzip", gzip(b"moo")),
    };
    every_way(handler, |client| {
        let response = client.get("/cow").unwrap();
        assert_eq!(response.bytes(), "moo");
        assert_eq!(response.expected_content_length(), Some(3));
        let response = client.get("/both").unwrap();
        assert_eq!(response.bytes(), &gzip(b"moo"), "half decoded would be neither one nor the other");
    });
}

#[test]
fn nothing_is_decoded_that_was_not_asked_for() {
    let handler = |_: &Received| Reply::gzipped(text());
    every_way(handler, |client| {
        let url = client.server.url("/");
        let raw = gzip(text().as_bytes());
        let is_raw = |response: Response<Bytes>| {
            assert!(response.bytes() == &raw);
            assert_eq!(response.expected_content_length(), Some(raw.len() as u64));
        };
        client.get("/").unwrap();
        for accepted in ["gzip", "identity", "br;q=1.0, *;q=0.1", ""] {
            is_raw(client.send(Request::get(&url).header("Accept-Encoding", accepted)).unwrap());
            let sent = client.server.requests().pop().unwrap();
            assert_eq!(sent.header_values("accept-encoding"), [accepted]);
        }
        let off = configuration_for(client.server).automatic_decoding(false);
        let off = Client { session: Session::new(off), ..Client::new(client.server, client.way) };
        is_raw(off.get("/").unwrap());
        assert_eq!(client.server.requests().pop().unwrap().header("accept-encoding"), None);
        // Asked for on every request: the same as on one.
        let own = configuration_for(client.server).additional_header("accept-encoding", "gzip");
        let own = Client { session: Session::new(own), ..Client::new(client.server, client.way) };
        is_raw(own.get("/").unwrap());
    });
}

#[test]
fn what_is_asked_for_is_what_can_be_decoded() {
    over_both(
        |_| Reply::ok("x"),
        |server, session| {
            session.data_task(server.url("/")).wait().unwrap();
            let asked = server.request(0);
            assert!(
                asked.has_token("accept-encoding", "gzip") && asked.has_token("accept-encoding", "deflate")
            );
            assert_eq!(asked.has_token("accept-encoding", "br"), cfg!(feature = "brotli"));
            assert_eq!(asked.has_token("accept-encoding", "zstd"), cfg!(feature = "zstd"));
        },
    );
}

#[test]
fn no_body_needs_no_decoding() {
    let handler = |request: &Received| match request.path() {
        "/204" => Reply::status(204).header("Content-Encoding", "gzip"),
        "/304" => Reply::status(304).header("Content-Encoding", "gzip"),
        "/empty" => encoded("gzip", Vec::new()),
        "/chunked" => Reply::chunked([""; 0]).header("Content-Encoding", "deflate, gzip"),
        _ => Reply::gzipped(text()),
    };
    every_way(handler, |client| {
        for path in ["/204", "/304", "/empty", "/chunked"] {
            assert!(client.get(path).expect(path).bytes().is_empty(), "{path}");
        }
        assert!(client.send(Request::head(client.server.url("/head"))).unwrap().bytes().is_empty());
        assert_eq!(client.server.accepted(), 1);
    });
}

#[track_caller]
fn undecodable<T: std::fmt::Debug>(result: Result<T, Error>, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::CannotDecodeContentData, "{what}: {error}");
    assert_eq!(error.response().expect(what).status(), 200, "{what}");
}

#[test]
fn a_body_that_ends_inside_its_coding() {
    let handler = |request: &Received| {
        static WHOLE: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
        let [deflate, gzip] = WHOLE.get_or_init(|| [zlib(text().as_bytes()), gzip(text().as_bytes())]);
        let whole = if request.query() == Some("deflate") { deflate } else { gzip };
        let end = request.path()[1..].parse::<usize>().expect("a number").min(whole.len() - 1);
        match request.query() {
            Some("chunked") => Reply::chunked([&whole[..end]]).header("Content-Encoding", "gzip"),
            Some("until-close") => {
                Reply::until_close(whole[..end].to_vec()).header("Content-Encoding", "gzip")
            }
            Some(coding) => encoded(coding, whole[..end].to_vec()),
            None => panic!("{}", request.target),
        }
    };
    every_way(handler, |client| {
        for query in ["gzip", "deflate", "chunked", "until-close"] {
            // In the header, before the first block, in the data, in the checksum.
            for end in [1, 9, 10, 11, 1000, 40_000, 1_000_000] {
                undecodable(client.get(&format!("/{end}?{query}")), &format!("{end} {query}"));
            }
        }
    });
}

#[test]
fn a_body_that_is_corrupt() {
    let handler = |request: &Received| {
        let mut body = gzip(text().as_bytes());
        let end = body.len();
        match request.path() {
            "/magic" => body[0] = b'X',
            "/method" => body[2] = 99,
            "/checksum" => body[end - 8] ^= 1,
            "/length" => body[end - 4] ^= 1,
            "/data" => body[end / 2..end / 2 + 50].fill(0xff),
            "/not-at-all" => body = b"this is no gzip, whatever the header says".to_vec(),
            path => panic!("{path}"),
        }
        encoded("gzip", body)
    };
    every_way(handler, |client| {
        for path in ["/magic", "/method", "/checksum", "/length", "/data", "/not-at-all"] {
            undecodable(client.get(path), path);
        }
    });
}

#[test]
fn a_connection_that_ends_is_not_a_corrupt_body() {
    let handler = |_: &Received| Reply::gzipped(text()).then(Fault::CloseAfter(5_000));
    every_way(handler, |client| {
        let error = client.get("/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
    });
}

#[test]
fn too_many_codings() {
    let handler = |_: &Received| encoded(&["gzip"; 6].join(", "), gzip(b"x"));
    every_way(handler, |client| undecodable(client.get("/"), "six of them"));
}

#[test]
fn bombs_are_bounded() {
    static BOMBS: OnceLock<[Bytes; 2]> = OnceLock::new();
    let bombs = || {
        BOMBS.get_or_init(|| {
            let bomb = gzip(&vec![0; 16_000_000]);
            [gzip(&bomb).into(), bomb.into()]
        })
    };
    let handler = move |request: &Received| match request.path() {
        "/twice" => Reply::ok(bombs()[0].clone()).header("Content-Encoding", "gzip, gzip"),
        _ => Reply::ok(bombs()[1].clone()).header("Content-Encoding", "gzip"),
    };
    every_way(handler, |client| {
        let small = configuration_for(client.server).maximum_body_in_memory(200_000);
        let small = Client { session: Session::new(small), ..Client::new(client.server, client.way) };
        for path in ["/", "/twice"] {
            if small.way == Way::Reader {
                let mut body = small.session.data_task(client.server.url(path)).open().unwrap().into_body();
                body.by_ref().take(1_000_000).read_to_end(&mut Vec::new()).unwrap();
                continue;
            }
            let error = small.get(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum, "{path}: {error}");
        }
    });
}

#[test]
fn a_body_of_exactly_as_much_as_is_allowed() {
    let handler = |request: &Received| match request.query() {
        None => Reply::gzipped(pattern(number(request))),
        Some(_) => Reply::gzipped(vec![b'x'; number(request)]),
    };
    every_way(handler, |client| {
        for limit in [1, 1000, 64 * 1024, 200_000] {
            let exact = configuration_for(client.server).maximum_body_in_memory(limit);
            let exact = Client { session: Session::new(exact), ..Client::new(client.server, client.way) };
            for query in ["", "?x"] {
                let body =
                    exact.get(&format!("/{limit}{query}")).expect("no more than is allowed").into_body();
                assert_eq!(body.len() as u64, limit);
                let result = exact.get(&format!("/{}{query}", limit + 1));
                if client.way != Way::Reader {
                    assert_eq!(result.unwrap_err().kind(), ErrorKind::DataLengthExceedsMaximum);
                }
            }
        }
    });
}

fn number(request: &Received) -> usize {
    request.path()[1..].parse().expect("a number for a path")
}

#[test]
fn tiny_reads_of_a_large_body() {
    let handler = |request: &Received| match request.path() {
        "/runs" => Reply::gzipped(vec![b'x'; 100_000]),
        _ => Reply::gzipped(pattern(100_000)),
    };
    over_both(handler, |server, session| {
        for size in [1, 3, 257] {
            let mut body = session.data_task(server.url("/")).open().unwrap().into_body();
            let mut all = Vec::new();
            let mut piece = vec![0; size];
            loop {
                match body.read(&mut piece).unwrap() {
                    0 => break,
                    count => all.extend_from_slice(&piece[..count]),
                }
            }
            assert_pattern(&all, 100_000);
            assert_eq!(body.read(&mut piece).unwrap(), 0, "and again");
            let runs = session.data_task(server.url("/runs")).open().unwrap().into_body();
            assert_eq!(
                std::io::BufReader::new(runs)
                    .bytes()
                    .map(Result::unwrap)
                    .filter(|byte| *byte == b'x')
                    .count(),
                100_000
            );
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn what_came_is_given_before_more_comes() {
    // A server falls silent in the middle. A few bytes encoded are a long line in plain, which a
    // reader with a small buffer gets to its end, though nothing more comes.
    let whole = gzip(&[b'x'; 20_000]);
    let available = |end: usize| {
        let mut decoder = flate2::Decompress::new(false);
        let mut line = Vec::with_capacity(30_000);
        let head = 10;
        decoder.decompress_vec(&whole[head..end], &mut line, flate2::FlushDecompress::Sync).unwrap();
        line.len()
    };
    let gate = Gate::new();
    let handler = {
        let (gate, whole) = (gate.clone(), whole.clone());
        move |request: &Received| {
            let stop = Fault::GateAt(At::After(number(request)), gate.clone());
            Reply::ok(whole.clone()).header("Content-Encoding", "gzip").then(stop)
        }
    };
    over_both(handler, |server, session| {
        for (end, size) in (11..whole.len()).flat_map(|end| [(end, 1), (end, 100), (end, 4096)]) {
            let request = Request::get(server.url(&format!("/{end}"))).timeout(Duration::from_secs(5));
            let mut body = session.data_task(request).open().unwrap().into_body();
            let mut left = available(end);
            while left > 0 {
                let count = body.read(&mut vec![0; size.min(left)]).expect("what came before");
                assert!(count > 0);
                left -= count;
            }
            gate.admit(1);
            body.read_to_end(&mut Vec::new()).unwrap();
        }
    });
}
