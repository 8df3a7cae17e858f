//! Parts of resources as nginx, Apache httpd and Caddy serve them: what resumed downloads and
//! downloads in segments rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use urlsession::{Bytes, Request, Response, Session};
use urlsession_interop::{contents, session, url};

const ALL: [&str; 6] = ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS", "CADDY", "CADDY_TLS"];
const WITH_LOCATIONS: [&str; 2] = ["NGINX", "APACHE"];

/// GETs a path with these headers, without any content coding.
fn get(session: &Session, server: &str, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let request = Request::get(url(server, path)).header("accept-encoding", "identity");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    session.data_task(request).wait().unwrap()
}

#[track_caller]
fn assert_part(response: &Response<Bytes>, expected: &[u8], from: usize, to: usize, server: &str) {
    assert_eq!(response.status(), 206, "{server}");
    let range = format!("bytes {from}-{}/{}", to - 1, expected.len());
    assert_eq!(response.header("content-range"), Some(range.as_str()), "{server}");
    assert_eq!(response.expected_content_length(), Some((to - from) as u64), "{server}");
    assert!(response.bytes() == &expected[from..to], "{server}");
}

#[track_caller]
fn assert_whole(response: &Response<Bytes>, expected: &[u8], server: &str) {
    assert_eq!(response.status(), 200, "{server}");
    assert_eq!(response.header("content-range"), None, "{server}");
    assert!(response.bytes() == expected, "{server}");
}

#[test]
fn a_part_of_a_body_is_a_part() {
    let expected = contents("www/big.bin");
    let length = expected.len();
    for server in ALL {
        let session = session();
        let part = |range: &str| get(&session, server, "/big.bin", &[("range", range)]);
        assert_part(&part("bytes=0-0"), &expected, 0, 1, server);
        assert_part(&part("bytes=1000-1999"), &expected, 1000, 2000, server);
        assert_part(&part(&format!("bytes={}-", length / 2)), &expected, length / 2, length, server);
        assert_part(&part("bytes=-1000"), &expected, length - 1000, length, server);
    }
}

#[test]
fn a_part_of_another_version_is_not_given() {
    let expected = contents("www/text.txt");
    for server in ALL {
        let session = session();
        let whole = get(&session, server, "/text.txt", &[]);
        assert_whole(&whole, &expected, server);
        assert_ne!(whole.header("accept-ranges"), Some("none"), "{server}");
        let etag = whole.header("etag").unwrap();
        let date = whole.header("last-modified").unwrap();
        assert!(etag.starts_with('"'), "{server}: {etag}");
        let part = |if_range: &str| {
            get(&session, server, "/text.txt", &[("range", "bytes=100-"), ("if-range", if_range)])
        };
        assert_part(&part(etag), &expected, 100, expected.len(), server);
        for other in ["\"other\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_whole(&part(other), &expected, server);
        }
        // Whether a date is strong enough for that is the server's to say (RFC 9110, section 8.8.2.2).
        // The file is seconds old, so both answers are right.
        let dated = part(date);
        match dated.status().as_u16() {
            206 => assert_part(&dated, &expected, 100, expected.len(), server),
            _ => assert_whole(&dated, &expected, server),
        }
    }
}

#[test]
fn a_range_behind_the_end_is_refused() {
    let length = contents("www/big.bin").len();
    for server in ALL {
        let session = session();
        for range in [format!("bytes={length}-"), format!("bytes={}-{}", length + 5, length + 10)] {
            let response = get(&session, server, "/big.bin", &[("range", &range)]);
            assert_eq!(response.status(), 416, "{server}");
            // RFC 9110 section 15.5.17 says "SHOULD", and Apache httpd does not.
            let content_range = format!("bytes */{length}");
            let expected = (!server.starts_with("APACHE")).then_some(content_range.as_str());
            assert_eq!(response.header("content-range"), expected, "{server}");
        }
    }
}

#[test]
fn servers_without_ranges_and_without_entity_tags() {
    let expected = contents("www/big.bin");
    for server in WITH_LOCATIONS {
        let session = session();
        let range = ("range", "bytes=1000-");
        assert_whole(&get(&session, server, "/whole/big.bin", &[range]), &expected, server);
        let dated = get(&session, server, "/dated/big.bin", &[range]);
        assert_part(&dated, &expected, 1000, expected.len(), server);
        assert_eq!(dated.header("etag"), None, "{server}");
        assert!(dated.header("last-modified").is_some(), "{server}");
    }
}
