//! HTTP/1.1 from a client's side, over slices: a request's head is encoded, a response's head and
//! body are decoded (RFC 9112). Knows nothing of sockets; whoever owns the bytes feeds them.
//!
//! ```text
//! encode_head ─▶ HeadParser ─▶ framing ─▶ BodyDecoder ─▶ done, or at_eof
//!                   ▲   │ 1xx
//!                   └───┘
//! ```

pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod request;

use crate::error::{Error, ErrorKind};
use http::{HeaderMap, HeaderName};

/// Whether one of a header's comma-separated elements is this token, whatever its case.
pub(crate) fn lists_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| has_element(value.as_bytes(), token))
}

/// The same for one line.
pub(crate) fn has_element(list: &[u8], token: &str) -> bool {
    list.split(|&byte| byte == b',')
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// What a peer sent, fit for a message: escaped, and cut after `most` bytes.
fn quoted(bytes: &[u8], most: usize) -> String {
    match bytes.get(..most) {
        Some(start) if bytes.len() > most => format!("\"{}…\"", start.escape_ascii()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::CannotParseResponse, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::CONNECTION;

    #[test]
    fn tokens_are_found_in_any_line_and_case() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.append(CONNECTION, HeaderValue::from_static("x ,\tClOsE , y"));
        assert!(lists_token(&headers, &CONNECTION, "close"));
        assert!(lists_token(&headers, &CONNECTION, "upgrade"));
        assert!(!lists_token(&headers, &CONNECTION, "clos"));
        assert!(!lists_token(&headers, &CONNECTION, "keep-alive"));
    }

    #[test]
    fn quotes_are_escaped_and_cut() {
        assert_eq!(quoted(b"a\x00\"\xff", 10), "\"a\\x00\\\"\\xff\"");
        assert_eq!(quoted(b"abcdef", 3), "\"abc…\"");
        assert_eq!(quoted(b"abc", 3), "\"abc\"");
    }
}
