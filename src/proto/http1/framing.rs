//! Where a response's body ends and whether its connection may carry another exchange (RFC 9112,
//! sections 6.3 and 9.3).
//!
//! Whatever could be read in two ways is an error or costs the connection: two answers to "where
//! does it end" are how one response is taken for another.

use super::head::ParsedHead;
use super::{lists_token, quoted};
use crate::error::{Error, ErrorKind, Result};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// All until the connection is closed.
    UntilClose,
}

/// Whether a connection may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It may, once the exchange is complete.
    KeepAlive,
    /// It ends with this exchange.
    Close,
}

/// A compression of the body as it is transferred. We never ask for one, so whoever delivers the
/// body has to decode it or refuse it, but must not deliver it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferCoding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`.
    Deflate,
    /// `compress`, `x-compress`.
    Compress,
}

/// What [`framing`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageFraming {
    /// Where the body ends.
    pub(crate) framing: Framing,
    /// Whether the response lets the connection be used again.
    pub(crate) persistence: Persistence,
    /// What the body is compressed by below its framing.
    pub(crate) coding: Option<TransferCoding>,
}

/// The framing of the response to a request of a method.
///
/// Fails with `BadServerResponse` if `Content-Length` or `Transfer-Encoding` make no sense.
pub(crate) fn framing(method: &Method, head: &ParsedHead) -> Result<MessageFraming> {
    let no_body = has_no_body(method, head.status);
    if let Some(plain) = head.plain {
        let (framing, persistence) = match plain.content_length {
            _ if no_body => (Framing::None, Persistence::KeepAlive),
            Some(length) => (Framing::Length(length), Persistence::KeepAlive),
            None => (Framing::UntilClose, Persistence::Close),
        };
        return Ok(MessageFraming { framing, persistence, coding: None });
    }
    let persistence = persistence(head.version, &head.headers);
    if no_body {
        return Ok(MessageFraming { framing: Framing::None, persistence, coding: None });
    }
    let close = Persistence::Close;
    if head.headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112, section 6.1: in an HTTP/1.0 message it is a sign of faulty framing. Proxies
        // that undo the chunks leave it there, so what comes is taken as it comes.
        if head.version == Version::HTTP_10 {
            return Ok(MessageFraming { framing: Framing::UntilClose, persistence: close, coding: None });
        }
        let codings = transfer_codings(&head.headers)?;
        let coding = codings.compression;
        if codings.chunked {
            // Section 6.3, rule 3: the chunks win over a Content-Length, but who sent both is
            // not to be trusted with another exchange.
            let both = head.headers.contains_key(CONTENT_LENGTH);
            let persistence = if both { close } else { persistence };
            return Ok(MessageFraming { framing: Framing::Chunked, persistence, coding });
        }
        if coding.is_some() {
            return Ok(MessageFraming { framing: Framing::UntilClose, persistence: close, coding });
        }
        if codings.unknown {
            return Ok(MessageFraming { framing: Framing::UntilClose, persistence: close, coding: None });
        }
        // Nothing but `identity`, which RFC 2616 still had and which says nothing.
        let framing = content_length(&head.headers)?.map_or(Framing::UntilClose, Framing::Length);
        return Ok(MessageFraming { framing, persistence: close, coding: None });
    }
    Ok(match content_length(&head.headers)? {
        Some(length) => MessageFraming { framing: Framing::Length(length), persistence, coding: None },
        None => MessageFraming { framing: Framing::UntilClose, persistence: close, coding: None },
    })
}

/// The length that a `Content-Length` announces, whether or not such a body follows, as in the
/// response to HEAD (RFC 9110, section 8.6). Equal values may be repeated; anything else fails
/// with `BadServerResponse`.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for element in value.as_bytes().split(|&byte| byte == b',') {
            let this = decimal(element.trim_ascii()).ok_or_else(|| {
                bad(format!(
                    "the response's Content-Length is not a length: {}",
                    quoted(value.as_bytes(), 40)
                ))
            })?;
            if length.is_some_and(|before| before != this) {
                return Err(bad("the response has two different values of Content-Length"));
            }
            length = Some(this);
        }
    }
    Ok(length)
}

/// The number that digits are, and nothing but digits: no sign, no space, no overflow.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// RFC 9112, section 6.3, rules 1 and 2. After a CONNECT that succeeded it is a tunnel.
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || (*method == Method::CONNECT && status.is_success())
}

fn persistence(version: Version, headers: &HeaderMap) -> Persistence {
    if !headers.contains_key(CONNECTION) {
        return if version == Version::HTTP_11 { Persistence::KeepAlive } else { Persistence::Close };
    }
    if lists_token(headers, &CONNECTION, "close") {
        return Persistence::Close;
    }
    if version == Version::HTTP_11 || lists_token(headers, &CONNECTION, "keep-alive") {
        return Persistence::KeepAlive;
    }
    Persistence::Close
}

struct Codings {
    chunked: bool,
    /// Something that is none, and stands alone.
    unknown: bool,
    compression: Option<TransferCoding>,
}

/// At most one compression, then at most once `chunked`, which is the last if it is there at all:
/// section 7 knows more, but nobody sends it and each is a way to be fooled.
fn transfer_codings(headers: &HeaderMap) -> Result<Codings> {
    let mut codings = Codings { chunked: false, unknown: false, compression: None };
    if is_unknown(headers) {
        return Ok(Codings { unknown: true, ..codings });
    }
    for value in headers.get_all(TRANSFER_ENCODING) {
        for element in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let is = |name: &str| element.eq_ignore_ascii_case(name.as_bytes());
            if element.is_empty() || is("identity") {
                continue;
            }
            if codings.chunked {
                return Err(bad("the response's Transfer-Encoding has something after chunked"));
            }
            let compression = match () {
                () if is("chunked") => {
                    codings.chunked = true;
                    continue;
                }
                () if is("gzip") || is("x-gzip") => TransferCoding::Gzip,
                () if is("deflate") => TransferCoding::Deflate,
                () if is("compress") || is("x-compress") => TransferCoding::Compress,
                () => {
                    let element = quoted(element, 40);
                    return Err(bad(format!("the response's Transfer-Encoding is not known: {element}")));
                }
            };
            if codings.compression.replace(compression).is_some() {
                return Err(bad("the response's Transfer-Encoding compresses twice"));
            }
        }
    }
    Ok(codings)
}

/// A single word that is no coding says nothing but that the body ends with the connection (RFC 9112,
/// section 6.3, rule 4), as browsers have it. What looks like `chunked` is refused.
fn is_unknown(headers: &HeaderMap) -> bool {
    const KNOWN: [&str; 7] = ["chunked", "identity", "gzip", "x-gzip", "deflate", "compress", "x-compress"];
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let word = value.as_bytes().to_ascii_lowercase();
    let is_word = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let is_like_chunked = word.windows(5).any(|part| part == b"chunk");
    is_word && !is_like_chunked && KNOWN.iter().all(|known| known.as_bytes() != word)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadServerResponse, message)
}

#[cfg(test)]
mod tests {
    use super::super::head::{Limits, parse_head};
    use super::*;
    use Framing::*;
    use Persistence::*;

    fn of(method: Method, status_line: &str, headers: &[&str]) -> Result<MessageFraming> {
        let head = format!(
            "{status_line}\r\n{}\r\n",
            headers.iter().map(|h| format!("{h}\r\n")).collect::<String>()
        );
        let (head, _) =
            parse_head(head.as_bytes(), &Limits::default()).expect("well-formed").expect("complete");
        framing(&method, &head)
    }

    fn get(headers: &[&str]) -> (Framing, Persistence) {
        let found = of(Method::GET, "HTTP/1.1 200 OK", headers).expect("a framing");
        (found.framing, found.persistence)
    }

    fn refuse(headers: &[&str]) {
        let error = of(Method::GET, "HTTP/1.1 200 OK", headers).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{headers:?}");
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        let headers = ["Content-Length: 5", "Transfer-Encoding: chunked"];
        for (method, line) in [
            (Method::HEAD, "HTTP/1.1 200 OK"),
            (Method::GET, "HTTP/1.1 103 Early Hints"),
            (Method::GET, "HTTP/1.1 204 No Content"),
            (Method::GET, "HTTP/1.1 304 Not Modified"),
            (Method::CONNECT, "HTTP/1.1 200 OK"),
        ] {
            let found = of(method, line, &headers).expect("a framing");
            assert_eq!((found.framing, found.persistence), (None, KeepAlive), "{line}");
        }
        let refused = of(Method::CONNECT, "HTTP/1.1 407 Proxy", &["Content-Length: 5"]).expect("a framing");
        assert_eq!(refused.framing, Length(5));
    }

    #[test]
    fn lengths() {
        assert_eq!(get(&["Content-Length: 5"]), (Length(5), KeepAlive));
        assert_eq!(get(&["Content-Length: 0"]), (Length(0), KeepAlive));
        assert_eq!(get(&["Content-Length: 005"]), (Length(5), KeepAlive));
        assert_eq!(get(&["Content-Length: 5, 5"]), (Length(5), KeepAlive));
        assert_eq!(get(&["Content-Length: 5", "content-length: 5"]), (Length(5), KeepAlive));
        assert_eq!(get(&["Content-Length: 18446744073709551615"]), (Length(u64::MAX), KeepAlive));
        for odd in [
            "+5",
            "-1",
            "5 5",
            "0x5",
            "",
            ",",
            "5,",
            ",5",
            "5, 6",
            "5;",
            "5.0",
            "1e3",
            "\u{0665}",
            "18446744073709551616",
            "99999999999999999999999",
        ] {
            refuse(&[&format!("Content-Length: {odd}")]);
        }
        refuse(&["Content-Length: 5", "Content-Length: 6"]);
    }

    #[test]
    fn chunks() {
        assert_eq!(get(&["Transfer-Encoding: chunked"]), (Chunked, KeepAlive));
        assert_eq!(get(&["Transfer-Encoding:  ChunkED ,"]), (Chunked, KeepAlive));
        assert_eq!(get(&["Transfer-Encoding: identity, chunked"]), (Chunked, KeepAlive));
        assert_eq!(get(&["Transfer-Encoding: chunked", "Content-Length: 5"]), (Chunked, Close));
        assert_eq!(get(&["Transfer-Encoding: chunked", "Content-Length: odd"]), (Chunked, Close));
        assert_eq!(get(&["Transfer-Encoding: chunked", "Connection: close"]), (Chunked, Close));
        for odd in [
            "chunked, chunked",
            "chunked, gzip",
            "xchunked",
            "chunked;q=1",
            "chunked gzip",
            "\"chunked\"",
            "cow, chunked",
            "gzip, deflate, chunked",
        ] {
            refuse(&[&format!("Transfer-Encoding: {odd}")]);
        }
        refuse(&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]);
    }

    #[test]
    fn a_compression_that_nobody_asked_for_is_told() {
        let found =
            of(Method::GET, "HTTP/1.1 200 OK", &["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"]);
        let coding = Some(TransferCoding::Gzip);
        assert_eq!(
            found.expect("a framing"),
            MessageFraming { framing: Chunked, persistence: KeepAlive, coding }
        );
        let found = of(Method::GET, "HTTP/1.1 200 OK", &["Transfer-Encoding: x-gzip", "Content-Length: 5"]);
        assert_eq!(
            found.expect("a framing"),
            MessageFraming { framing: UntilClose, persistence: Close, coding }
        );
    }

    #[test]
    fn a_word_that_is_no_coding_ends_with_the_connection() {
        assert_eq!(get(&["Transfer-Encoding: cow"]), (UntilClose, Close));
        assert_eq!(get(&["Transfer-Encoding: COW-2", "Content-Length: 5"]), (UntilClose, Close));
        for odd in ["cow, cow", "cow;q=1", "cow moo", "unchunked", "x-Chunk"] {
            refuse(&[&format!("Transfer-Encoding: {odd}")]);
        }
        refuse(&["Transfer-Encoding: cow", "Transfer-Encoding: identity"]);
    }

    #[test]
    fn identity_says_nothing_but_costs_the_connection() {
        assert_eq!(get(&["Transfer-Encoding: identity", "Content-Length: 5"]), (Length(5), Close));
        assert_eq!(get(&["Transfer-Encoding: identity"]), (UntilClose, Close));
        assert_eq!(get(&["Transfer-Encoding:"]), (UntilClose, Close));
    }

    #[test]
    fn transfer_encoding_in_http_1_0_is_faulty() {
        let headers = ["Transfer-Encoding: chunked", "Content-Length: 5", "Connection: keep-alive"];
        let found = of(Method::GET, "HTTP/1.0 200 OK", &headers).expect("a framing");
        assert_eq!((found.framing, found.persistence), (UntilClose, Close));
    }

    #[test]
    fn without_either_the_connections_end_is_the_bodys() {
        assert_eq!(get(&[]), (UntilClose, Close));
        assert_eq!(get(&["Connection: keep-alive"]), (UntilClose, Close));
    }

    #[test]
    fn persistence_by_version_and_header() {
        let length = "Content-Length: 1";
        for (version, connection, expected) in [
            ("1.1", "X: y", KeepAlive),
            ("1.1", "Connection: close", Close),
            ("1.1", "Connection: Keep-Alive, CLOSE", Close),
            ("1.1", "Connection: upgrade", KeepAlive),
            ("1.1", "Connection: closed", KeepAlive),
            ("1.0", "X: y", Close),
            ("1.0", "Connection: Keep-Alive", KeepAlive),
            ("1.0", "Connection: keep-alive, close", Close),
            ("1.0", "Connection: upgrade", Close),
        ] {
            let found = of(Method::GET, &format!("HTTP/{version} 200 OK"), &[connection, length]);
            assert_eq!(found.expect("a framing").persistence, expected, "{version} {connection}");
        }
        assert_eq!(get(&[length, "Connection: x", "Connection: close"]), (Length(1), Close));
    }
}
