//! What is kept of a response beside its body, and the bytes that stand for it in a file. Knows no rule of
//! when it may be used.

use crate::header::{Shown, is_secret};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The first byte of the encoded form: another one is of another version of this library.
const FORMAT: u8 = 1;
/// The most that the encoded form of one response may take. A head that came over the network is far
/// smaller.
pub(crate) const MAX_ENCODED: usize = 1024 * 1024;
/// The most fields of either kind.
const MAX_FIELDS: usize = 4096;
/// The latest second that is believed, in the year 9999. All sums with it stay within [`SystemTime`].
const LATEST: u64 = 253_402_300_799;

/// A stored response: all of it but its URL and its body, which belong to the store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The status: 206 for a part.
    pub(crate) status: StatusCode,
    /// The version of HTTP it came in.
    pub(crate) version: Version,
    /// The headers as received, or as a 304 has updated them. They describe the body as it was sent,
    /// before its content coding is undone.
    pub(crate) headers: HeaderMap,
    /// The fields of the request that selected it (RFC 9111, section 4.1), in order of their names: those
    /// that `Vary` names, and for a part its `Range`.
    pub(crate) selecting: Vec<Selecting>,
    /// When the request was sent that it answers (section 4.2.3).
    pub(crate) request_time: SystemTime,
    /// When it was received.
    pub(crate) response_time: SystemTime,
    /// The length of the body that is stored, in bytes. The store sets it when all of it has come.
    pub(crate) body_length: u64,
}

/// A field of a request that a response was selected by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selecting {
    /// Its name, in lower case.
    pub(crate) name: String,
    /// All its lines as one, or that there was none.
    pub(crate) value: Option<Vec<u8>>,
}

impl Stored {
    /// Which of the responses of one URL it is: a new one takes the place of that with the same bytes.
    pub(crate) fn variant(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_selecting(&mut bytes, &self.selecting);
        bytes
    }

    /// Whether it was selected by something that is not to be in any file.
    pub(crate) fn is_secret(&self) -> bool {
        self.selecting.iter().any(|field| {
            let is_secret = |name: HeaderName| is_secret(&name);
            field.value.is_some() && HeaderName::from_bytes(field.name.as_bytes()).is_ok_and(is_secret)
        })
    }

    /// As bytes that [`decode`](Stored::decode) reads. `None` if there are more of them than it takes.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![FORMAT, version_byte(self.version)?];
        bytes.extend_from_slice(&self.status.as_u16().to_le_bytes());
        put_time(&mut bytes, self.request_time);
        put_time(&mut bytes, self.response_time);
        bytes.extend_from_slice(&self.body_length.to_le_bytes());
        if self.selecting.len() > MAX_FIELDS || self.headers.len() > MAX_FIELDS {
            return None;
        }
        put_selecting(&mut bytes, &self.selecting);
        put_length(&mut bytes, self.headers.len());
        for (name, value) in &self.headers {
            put_bytes(&mut bytes, name.as_str().as_bytes());
            put_bytes(&mut bytes, value.as_bytes());
        }
        (bytes.len() <= MAX_ENCODED).then_some(bytes)
    }

    /// What [`encode`](Stored::encode) made. `None` for anything else, with more behind it too.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Stored> {
        if bytes.len() > MAX_ENCODED {
            return None;
        }
        let mut rest = Reader(bytes);
        if rest.byte()? != FORMAT {
            return None;
        }
        let version = version_of(rest.byte()?)?;
        let status = StatusCode::from_u16(u16::from_le_bytes(rest.array()?)).ok()?;
        let (request_time, response_time) = (rest.time()?, rest.time()?);
        let body_length = u64::from_le_bytes(rest.array()?);
        let selecting = rest.selecting()?;
        let headers = rest.headers()?;
        let stored = Stored { status, version, headers, selecting, request_time, response_time, body_length };
        rest.0.is_empty().then_some(stored)
    }
}

impl fmt::Debug for Selecting {
    /// Without the value, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.value.is_some() { "" } else { " (absent)" })
    }
}

impl fmt::Debug for Stored {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("status", &self.status)
            .field("headers", &Shown(&self.headers))
            .field("selecting", &self.selecting)
            .field("response_time", &self.response_time)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}

fn version_byte(version: Version) -> Option<u8> {
    match version {
        Version::HTTP_09 => Some(9),
        Version::HTTP_10 => Some(10),
        Version::HTTP_11 => Some(11),
        Version::HTTP_2 => Some(20),
        Version::HTTP_3 => Some(30),
        _ => None,
    }
}

fn version_of(byte: u8) -> Option<Version> {
    match byte {
        9 => Some(Version::HTTP_09),
        10 => Some(Version::HTTP_10),
        11 => Some(Version::HTTP_11),
        20 => Some(Version::HTTP_2),
        30 => Some(Version::HTTP_3),
        _ => None,
    }
}

/// A time before 1970 becomes 1970: the response is old then, as it would have been.
fn put_time(bytes: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    bytes.extend_from_slice(&since.as_secs().min(LATEST).to_le_bytes());
    bytes.extend_from_slice(&since.subsec_nanos().to_le_bytes());
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    // What does not fit makes the whole too long, and no such whole is kept.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_length(bytes, value.len());
    bytes.extend_from_slice(value);
}

fn put_selecting(bytes: &mut Vec<u8>, selecting: &[Selecting]) {
    put_length(bytes, selecting.len());
    for field in selecting {
        put_bytes(bytes, field.name.as_bytes());
        bytes.push(u8::from(field.value.is_some()));
        put_bytes(bytes, field.value.as_deref().unwrap_or_default());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// How many fields follow.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        (count <= MAX_FIELDS).then_some(count)
    }

    fn time(&mut self) -> Option<SystemTime> {
        let (seconds, nanos) = (u64::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?));
        if seconds > LATEST || nanos > 999_999_999 {
            return None;
        }
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
    }

    fn selecting(&mut self) -> Option<Vec<Selecting>> {
        let mut fields = Vec::new();
        for _ in 0..self.count()? {
            let name = std::str::from_utf8(self.bytes()?).ok()?.to_owned();
            let is_there = self.byte()?;
            let value = self.bytes()?;
            let value = match is_there {
                0 if value.is_empty() => None,
                1 => Some(value.to_vec()),
                _ => return None,
            };
            fields.push(Selecting { name, value });
        }
        Some(fields)
    }

    fn headers(&mut self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        for _ in 0..self.count()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            let mut value = HeaderValue::from_bytes(self.bytes()?).ok()?;
            value.set_sensitive(is_secret(&name));
            headers.try_append(name, value).ok()?;
        }
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let mut headers = HeaderMap::new();
        headers.append("cache-control", HeaderValue::from_static("max-age=60"));
        headers.append("x-thing", HeaderValue::from_static("one"));
        headers.append("x-thing", HeaderValue::from_bytes(b"\xe4\t ").expect("a value"));
        headers.append("set-cookie", HeaderValue::from_static("id=hidden"));
        let selecting = vec![
            Selecting { name: "accept".into(), value: Some(b"text/html".to_vec()) },
            Selecting { name: "cookie".into(), value: Some(b"id=hidden".to_vec()) },
            Selecting { name: "x-empty".into(), value: Some(Vec::new()) },
            Selecting { name: "x-none".into(), value: None },
        ];
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        Stored {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers,
            selecting,
            request_time: time,
            response_time: time + Duration::from_millis(1_500),
            body_length: 7,
        }
    }

    #[test]
    fn there_and_back() {
        let stored = stored();
        let bytes = stored.encode().expect("short enough");
        assert_eq!(Stored::decode(&bytes).as_ref(), Some(&stored));
        assert!(stored.variant() != Stored { selecting: Vec::new(), ..stored.clone() }.variant());
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(9);
        let old = Stored { request_time: early, ..stored };
        let again = Stored::decode(&old.encode().expect("short enough")).expect("read");
        assert_eq!(again.request_time, SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn what_is_cut_or_longer_is_nothing() {
        let bytes = stored().encode().expect("short enough");
        for length in 0..bytes.len() {
            assert_eq!(Stored::decode(&bytes[..length]), None, "{length}");
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert_eq!(Stored::decode(&longer), None);
    }

    #[test]
    fn what_is_changed_is_read_or_refused() {
        let bytes = stored().encode().expect("short enough");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                if let Some(read) = Stored::decode(&other) {
                    // What is read can be written again.
                    assert!(read.encode().is_some(), "{at}");
                }
            }
        }
    }

    #[test]
    fn a_count_costs_no_memory() {
        let mut bytes = stored().encode().expect("short enough");
        let at = 2 + 2 + 12 + 12 + 8;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Stored::decode(&bytes), None);
    }

    #[test]
    fn what_is_too_long_is_not_encoded() {
        let mut stored = stored();
        let long = HeaderValue::from_bytes(&vec![b'a'; MAX_ENCODED]).expect("a value");
        stored.headers.append("x-long", long);
        assert_eq!(stored.encode(), None);
    }

    #[test]
    fn debug_keeps_secrets() {
        let text = format!("{:?}", stored());
        assert!(text.contains("max-age") && text.contains("x-none"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(stored().is_secret());
        assert!(!Stored { selecting: Vec::new(), ..stored() }.is_secret());
        let again = Stored::decode(&stored().encode().expect("short enough")).expect("read");
        assert!(again.headers["set-cookie"].is_sensitive());
    }
}
