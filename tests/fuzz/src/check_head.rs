use crate::error::ErrorKind;
use crate::http1::framing::{Framing, Persistence, framing};
use crate::http1::head::{HeadParser, Limits, ParsedHead, parse_head};
use crate::pieces::Sizes;
use http::Method;

/// A head in one piece and in many is the same head, or an error both times.
pub fn response_head(data: &[u8]) {
    let Some((mut sizes, input)) = Sizes::split(data) else { return };
    let limits = match sizes.next() % 3 {
        0 => Limits { max_head_bytes: 256, max_headers: 8 },
        1 => Limits { max_head_bytes: 2048, max_headers: 70 },
        _ => Limits::default(),
    };
    let whole = parse_head(input, &limits);
    let mut parser = HeadParser::new(limits);
    let mut end = 0;
    let pieces = loop {
        match parser.parse(&input[..end]) {
            Ok(None) if end == input.len() => {
                let error = parser.at_eof(input);
                let cut = error.kind() == ErrorKind::NetworkConnectionLost;
                break if cut { Ok(None) } else { Err(error) };
            }
            Ok(None) => end = (end + sizes.next()).min(input.len()),
            result => break result,
        }
    };
    match (whole, pieces) {
        (Ok(Some((whole, consumed))), Ok(Some((pieces, same)))) => {
            assert!(consumed <= input.len() && consumed <= limits.max_head_bytes);
            assert_eq!(consumed, same);
            assert_eq!((whole.version, whole.status), (pieces.version, pieces.status));
            assert_eq!(whole.headers, pieces.headers);
            check(&whole, &limits);
            assert!(matches!(parse_head(&input[..consumed], &limits), Ok(Some((_, n))) if n == consumed));
            assert!(matches!(parse_head(&input[..consumed - 1], &limits), Ok(None)));
        }
        (Ok(None), Ok(None)) => assert!(input.len() < limits.max_head_bytes),
        (Err(whole), Err(pieces)) => {
            for error in [whole, pieces] {
                assert_eq!(error.kind(), ErrorKind::CannotParseResponse);
                let message = error.to_string();
                assert!(message.len() < 500 && !message.contains(|c: char| c.is_control()), "{message:?}");
            }
        }
        (whole, pieces) => panic!("in one piece {whole:?}, in many {pieces:?}"),
    }
}

fn check(head: &ParsedHead, limits: &Limits) {
    assert!(head.headers.len() <= limits.max_headers);
    for value in head.headers.values() {
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
        assert_eq!(value.as_bytes().trim_ascii(), value.as_bytes());
    }
    for method in [Method::GET, Method::HEAD, Method::CONNECT] {
        match framing(&method, head) {
            Ok(found) => {
                if method == Method::HEAD {
                    assert_eq!(found.framing, Framing::None);
                }
                if found.framing == Framing::UntilClose {
                    assert_eq!(found.persistence, Persistence::Close);
                }
                let both = ["content-length", "transfer-encoding"].map(|n| head.headers.contains_key(n));
                if both == [true, true] && found.framing != Framing::None {
                    assert_eq!(found.persistence, Persistence::Close);
                }
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::BadServerResponse),
        }
    }
}
