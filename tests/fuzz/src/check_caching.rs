use crate::library::proto::caching::stored::Stored;
use crate::library::proto::caching::{
    By304, ByHead, CachePolicy, Decision, Portion, Presented, Received, by_304, by_head, conditions, decide,
    head_of, may_stand_in, to_store,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use std::time::{Duration, SystemTime};
use url::Url;

const POLICIES: [CachePolicy; 6] = [
    CachePolicy::UseProtocol,
    CachePolicy::ReloadIgnoringLocal,
    CachePolicy::ReturnCacheElseLoad,
    CachePolicy::ReturnCacheDontLoad,
    CachePolicy::ReloadIgnoringLocalAndRemote,
    CachePolicy::ReloadRevalidating,
];

/// Whatever a server says of how long a response may be used, and a request of what it takes: what is used
/// without asking is fresh or wanted stale, is within what is stored, is never for a request with conditions
/// of its own, and does not come from what must not be stored; what is stored is read again as it is written.
pub fn cache_control(data: &[u8]) {
    let Some((first, rest)) = data.split_first_chunk::<8>() else { return };
    let [flags, status, later @ .., length, _] = *first;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let now = at + Duration::from_secs(u64::from(u32::from_le_bytes(later))) - Duration::from_secs(100);
    let (request, new_request) = (fields(rest, b'q'), fields(rest, b'n'));
    let (response, second) = (fields(rest, b'r'), fields(rest, b's'));
    let method = if flags & 1 == 0 { Method::GET } else { Method::HEAD };
    let has_body = flags & 2 != 0;
    let status = [200, 203, 206, 301, 404, 416, 503, 599][usize::from(status % 8)];
    let status = StatusCode::from_u16(status).expect("a status");
    let url = Url::parse("http://example.com/a?b").expect("a URL");
    let presented = Presented { method: &Method::GET, url: &url, headers: (&request).into(), has_body };
    let received = Received {
        status,
        version: Version::HTTP_11,
        headers: &response,
        is_delimited: flags & 4 != 0,
        request_time: at,
        response_time: at + Duration::from_secs(u64::from(flags >> 6)),
    };
    let Some(stored) = to_store(&presented, &received) else { return };
    let stored = Stored { body_length: u64::from(length), ..stored };
    assert!(!presented.bypasses_cache());
    for name in ["connection", "keep-alive", "te", "upgrade", "transfer-encoding", "proxy-authenticate"] {
        assert!(!stored.headers.contains_key(name), "{name}");
    }
    if let Some(bytes) = stored.encode() {
        assert_eq!(Stored::decode(&bytes).as_ref(), Some(&stored));
    }
    let presented = Presented { method: &method, url: &url, headers: (&new_request).into(), has_body };
    for policy in POLICIES {
        check(policy, &presented, &stored, now);
    }
    let received = Received { headers: &second, status: StatusCode::NOT_MODIFIED, ..received };
    if let Decision::Ask(asked) = decide(CachePolicy::ReloadRevalidating, &presented, [&stored], now) {
        if let Some(conditions) = asked.conditions {
            if let By304::Valid { stored: new, .. } = by_304(&stored, &presented, conditions, &received) {
                check_same_body(&stored, &new);
            }
        }
    }
    let received = Received { headers: &second, status: StatusCode::OK, ..received };
    if let ByHead::Updated(new) = by_head(&stored, &received) {
        check_same_body(&stored, &new);
    }
}

fn check(policy: CachePolicy, request: &Presented<'_>, stored: &Stored, now: SystemTime) {
    let only = request.headers.own.get_all("cache-control").iter().any(|value| value == "only-if-cached");
    let serve = match decide(policy, request, [stored], now) {
        Decision::Serve(serve) => serve,
        Decision::Ask(asked) => {
            assert!(policy != CachePolicy::ReturnCacheDontLoad && !only);
            if let Some(conditions_) = asked.conditions {
                assert!(!conditions(stored, conditions_).is_empty());
                assert_eq!(asked.stored, Some(0));
            }
            return;
        }
        Decision::Missing => return assert_eq!(policy, CachePolicy::ReturnCacheDontLoad),
        Decision::GatewayTimeout => return,
    };
    assert!(!request.bypasses_cache());
    let ignores = [CachePolicy::ReloadIgnoringLocal, CachePolicy::ReloadIgnoringLocalAndRemote];
    assert!(!ignores.contains(&policy));
    if policy == CachePolicy::UseProtocol && !serve.freshness.is_fresh() {
        let says = |headers: &HeaderMap, what: &[u8]| {
            let mut lines = headers.get_all("cache-control").iter();
            lines
                .any(|line| line.as_bytes().to_ascii_lowercase().windows(what.len()).any(|part| part == what))
        };
        assert!(says(request.headers.own, b"max-stale") || says(&stored.headers, b"stale-while-revalidate"));
    }
    let (status, headers) = head_of(stored, serve.portion, serve.freshness);
    assert!(headers.contains_key("age"));
    match serve.portion {
        Portion::Whole => assert_eq!(status, stored.status),
        Portion::Part { offset, length, first, total } => {
            assert_eq!(status, 206);
            assert!(length > 0 && offset.checked_add(length).expect("a sum") <= stored.body_length);
            assert!(total.is_none_or(|total| first.checked_add(length).expect("a sum") <= total));
        }
        Portion::Unsatisfiable { total } => assert_eq!((status.as_u16(), total), (416, stored.body_length)),
    }
    let _ = may_stand_in(request.headers, stored, now);
}

fn check_same_body(old: &Stored, new: &Stored) {
    assert_eq!((old.status, old.body_length), (new.status, new.body_length));
    for name in ["content-encoding", "content-length", "content-range", "etag"] {
        assert_eq!(old.headers.get(name), new.headers.get(name), "{name}");
    }
}

/// The lines that begin with that letter.
fn fields(data: &[u8], letter: u8) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n').take(40) {
        let Some(field) = line.strip_prefix(&[letter]) else { continue };
        let Some(at) = field.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&field[..at]), HeaderValue::from_bytes(&field[at + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// What is read of a stored response is read again as it is written.
pub fn stored_response(data: &[u8]) {
    let Some(stored) = Stored::decode(data) else { return };
    let bytes = stored.encode().expect("it was no longer");
    assert_eq!(Stored::decode(&bytes).as_ref(), Some(&stored));
    for length in [bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(Stored::decode(&bytes[..length]), None);
    }
    assert!(!stored.variant().is_empty());
}
