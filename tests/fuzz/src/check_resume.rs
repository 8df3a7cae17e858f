use crate::error::ErrorKind;
use crate::library::resume::facts::Facts;
use crate::library::resume::format::{decode, encode, sealed};
use http::header::HeaderMap;
use url::Url;

const NEVER: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "range",
    "if-range",
];

/// Resume data that is read says nothing that must not be acted upon, and is the same when it is
/// written and read again.
pub fn resume_data(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    // A checksum is nothing a fuzzer finds.
    let facts = if how & 1 == 0 { decode(rest) } else { decode(&sealed(rest)) };
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::CannotParseResumeData);
            let message = error.to_string();
            assert!(message.len() < 2000 && !message.contains(|c: char| c.is_control()), "{message:?}");
            return;
        }
    };
    check(&facts);
    let bytes = encode(&facts);
    assert!(bytes.len() <= 1 << 20);
    let again = decode(&bytes).expect("its own bytes");
    assert_eq!(again, facts);
    assert_eq!(encode(&again), bytes);
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
        assert!(decode(&bytes[..end]).is_err());
    }
}

fn check(facts: &Facts) {
    match facts {
        Facts::Download(facts) => {
            check_request(&facts.url, &facts.headers);
            let name = facts.file_name.as_bytes();
            assert!(name.ends_with(b".part") && name.len() <= 255);
            assert!(!name.iter().any(|&byte| matches!(byte, b'/' | b'\\' | 0..32)), "{:?}", facts.file_name);
            let most = facts.total.unwrap_or(i64::MAX as u64);
            assert!(most <= i64::MAX as u64 && (1..=4096).contains(&facts.ranges.len()));
            assert!(facts.ranges.iter().all(|range| range.start < range.end && range.end <= most));
            assert!(facts.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            let sum: u64 = facts.ranges.iter().map(|range| range.end - range.start).sum();
            assert_eq!(facts.bytes_received(), sum);
            assert!(!facts.validator.value().as_bytes().starts_with(b"W/"));
        }
        Facts::Upload(facts) => {
            check_request(&facts.url, &facts.headers);
            check_request(&facts.resource, &HeaderMap::new());
            assert!(facts.total.unwrap_or(0) <= i64::MAX as u64);
        }
    }
}

fn check_request(url: &Url, headers: &HeaderMap) {
    assert!(matches!(url.scheme(), "http" | "https"));
    assert!(url.host_str().is_some_and(|host| !host.is_empty()));
    assert!(!url.as_str().contains('#') && !url.authority().contains('@'), "{url}");
    assert!(headers.len() <= 100);
    for name in NEVER {
        assert!(!headers.contains_key(name), "{name}");
    }
    for value in headers.values() {
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
    }
}
