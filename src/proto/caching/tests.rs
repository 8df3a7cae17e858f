//! The rules together: what is stored and how it is used, as the sections of RFC 9111 say it.

use super::decision::Serve;
use super::*;
use crate::proto::date::to_imf_fixdate;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use std::time::{Duration, SystemTime};
use stored::Stored;
use url::Url;

const NOW: u64 = 1_700_000_000;
const URL: &str = "http://example.com/dir/page?q";

fn at(later: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + later)
}

fn date(seconds: u64) -> String {
    to_imf_fixdate(seconds).expect("a date")
}

/// Fields as lines, `name: value`.
fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a field");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).expect("a value"));
    }
    headers
}

/// The server is asked, and nothing stored has a part in it.
fn fetch(why: ForwardReason) -> Decision {
    Decision::Ask(Ask { why, stored: None, conditions: None })
}

/// One exchange, and what comes of it.
struct Exchange {
    method: Method,
    request: HeaderMap,
    has_body: bool,
    status: u16,
}

fn get(request: &[&str]) -> Exchange {
    Exchange { method: Method::GET, request: headers(request), has_body: false, status: 200 }
}

impl Exchange {
    fn by(self, method: Method) -> Self {
        Exchange { method, ..self }
    }

    fn with_body(self) -> Self {
        Exchange { has_body: true, ..self }
    }

    fn answered(self, status: u16) -> Self {
        Exchange { status, ..self }
    }

    fn within<T>(&self, run: impl FnOnce(&Presented<'_>) -> T) -> T {
        let url = Url::parse(URL).expect("a URL");
        run(&Presented {
            method: &self.method,
            url: &url,
            headers: (&self.request).into(),
            has_body: self.has_body,
        })
    }

    fn stored(&self, response: &[&str]) -> Option<Stored> {
        let headers = headers(response);
        let received = Received {
            status: StatusCode::from_u16(self.status).expect("a status"),
            version: Version::HTTP_11,
            headers: &headers,
            is_delimited: true,
            request_time: at(0),
            response_time: at(0),
        };
        self.within(|request| to_store(request, &received))
    }

    fn decided(&self, policy: CachePolicy, stored: &[Stored], later: u64) -> Decision {
        self.within(|request| decide(policy, request, stored, at(later)))
    }

    fn by_protocol(&self, stored: &[Stored], later: u64) -> Decision {
        self.decided(CachePolicy::UseProtocol, stored, later)
    }
}

/// A stored response to a plain GET.
fn stored(response: &[&str]) -> Stored {
    get(&[]).stored(response).expect("it may be stored")
}

fn is_hit(decision: &Decision) -> bool {
    matches!(decision, Decision::Serve(_))
}

/// Whether it may be used, so much later, for a plain GET.
fn hits(response: &[&str], later: u64) -> bool {
    is_hit(&get(&[]).by_protocol(&[stored(response)], later))
}

/// The measured behaviour of URLSession: what of these is used at once after it was stored, and what of
/// them by the policies that do not ask how old it is.
#[test]
fn the_matrix_of_policies() {
    let past = format!("expires: {}", date(NOW - 5_000));
    let cases: &[(&[&str], bool, bool)] = &[
        // What the server says, whether it is stored, and whether it is fresh.
        (&[], true, false),
        (&["cache-control: public"], true, false),
        (&["cache-control: private"], true, false),
        (&["cache-control: max-age=0"], true, false),
        (&["cache-control: max-age=3600"], true, true),
        (&["cache-control: no-cache"], true, false),
        (&["cache-control: no-cache, max-age=3600"], true, false),
        (&[&past], true, false),
        (&["cache-control: no-store"], false, false),
        (&["cache-control: no-store, max-age=3600"], false, false),
    ];
    for (response, is_stored, is_fresh) in cases {
        let kept: Vec<Stored> = get(&[]).stored(response).into_iter().collect();
        assert_eq!(!kept.is_empty(), *is_stored, "{response:?}");
        let hit = |policy| is_hit(&get(&[]).decided(policy, &kept, 1));
        assert_eq!(hit(CachePolicy::UseProtocol), *is_fresh, "{response:?}");
        assert_eq!(hit(CachePolicy::ReturnCacheElseLoad), *is_stored, "{response:?}");
        assert_eq!(hit(CachePolicy::ReturnCacheDontLoad), *is_stored, "{response:?}");
        assert!(!hit(CachePolicy::ReloadIgnoringLocal), "{response:?}");
        assert!(!hit(CachePolicy::ReloadIgnoringLocalAndRemote), "{response:?}");
        assert!(!hit(CachePolicy::ReloadRevalidating), "{response:?}");
        let only = get(&[]).decided(CachePolicy::ReturnCacheDontLoad, &kept, 1);
        assert_eq!(only == Decision::Missing, !*is_stored, "{response:?}");
    }
}

/// Section 3.
#[test]
fn what_is_stored() {
    let keeps = |exchange: Exchange, response: &[&str]| exchange.stored(response).is_some();
    assert!(keeps(get(&[]), &[]));
    assert!(!keeps(get(&["cache-control: no-store"]), &["cache-control: max-age=9"]));
    assert!(!keeps(get(&["if-none-match: \"a\""]), &["cache-control: max-age=9"]));
    assert!(!keeps(get(&[]).with_body(), &["cache-control: max-age=9"]));
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        assert!(!keeps(get(&[]).by(method), &["cache-control: max-age=9"]));
    }
    // What says nothing is kept if its status may be.
    for (status, implicit) in
        [(201, false), (404, true), (403, false), (500, false), (301, true), (302, false)]
    {
        assert_eq!(keeps(get(&[]).answered(status), &["etag: \"a\""]), implicit, "{status}");
        for explicit in ["cache-control: max-age=9", "expires: 0", "cache-control: private"] {
            assert!(keeps(get(&[]).answered(status), &[explicit]), "{status}");
        }
    }
    for status in [304, 416, 103] {
        assert!(!keeps(get(&[]).answered(status), &["cache-control: max-age=9"]), "{status}");
    }
    assert!(!keeps(get(&[]), &["vary: *", "cache-control: max-age=9"]));
}

#[test]
fn what_ends_with_its_connection() {
    let keeps = |response: &[&str]| {
        let headers = headers(response);
        let received = Received { is_delimited: false, ..received(200, &headers) };
        get(&[]).within(|request| to_store(request, &received)).is_some()
    };
    assert!(keeps(&["cache-control: max-age=60"]) && keeps(&["expires: 0"]));
    assert!(!keeps(&["etag: \"a\""]) && !keeps(&["cache-control: private"]));
}

/// Section 5.2.2.3.
#[test]
fn what_must_be_understood() {
    let keeps = |status, control: &str| get(&[]).answered(status).stored(&[control]).is_some();
    assert!(keeps(200, "cache-control: max-age=9, must-understand"));
    assert!(keeps(200, "cache-control: max-age=9, must-understand, no-store"));
    assert!(!keeps(599, "cache-control: max-age=9, must-understand"));
    assert!(keeps(599, "cache-control: max-age=9"));
}

/// RFC 9110, section 9.3.3.
#[test]
fn an_answer_to_post_that_is_the_resource() {
    let keeps = |response: &[&str]| get(&[]).by(Method::POST).with_body().stored(response).is_some();
    assert!(keeps(&["cache-control: max-age=9", "content-location: page?q"]));
    assert!(keeps(&["cache-control: max-age=9", "content-location: http://example.com/dir/page?q#x"]));
    assert!(keeps(&["expires: 0", "content-location:"]));
    assert!(!keeps(&["content-location: page?q"]));
    assert!(!keeps(&["cache-control: max-age=9", "content-location: page"]));
    assert!(!keeps(&["cache-control: max-age=9", "content-location: http://other/dir/page?q"]));
    assert!(!keeps(&["cache-control: max-age=9"]));
    assert_eq!(
        get(&[]).by(Method::POST).by_protocol(&[stored(&["cache-control: max-age=9"])], 1),
        fetch(ForwardReason::Method)
    );
}

/// Sections 3.1 and 5.2.2.4.
#[test]
fn fields_that_are_not_stored() {
    let kept = stored(&[
        "connection: x-hop, close",
        "connection: x-other",
        "x-hop: 1",
        "x-other: 1",
        "keep-alive: 5",
        "te: x",
        "transfer-encoding: chunked",
        "upgrade: x",
        "proxy-authenticate: Basic",
        "proxy-authentication-info: x",
        "proxy-connection: close",
        "cache-control: max-age=9, no-cache=\"x-private\"",
        "x-private: 1",
        "set-cookie: a=b",
        "x-end: 1",
    ]);
    let mut names: Vec<_> = kept.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "date", "set-cookie", "x-end"]);
    assert_eq!(kept.headers["date"], date(NOW));
    assert_eq!(stored(&["date: yesterday"]).headers["date"], "yesterday");
}

/// Section 4.1.
#[test]
fn variants() {
    let fresh = ["cache-control: max-age=60", "vary: accept, X-Y"];
    let text = get(&["accept: text/html"]).stored(&fresh).expect("it may be stored");
    let json = get(&["accept: application/json", "x-y: 1"]).stored(&fresh).expect("it may be stored");
    assert_ne!(text.variant(), json.variant());
    let both = [text, json];
    let index = |request: &[&str]| match get(request).by_protocol(&both, 1) {
        Decision::Serve(serve) => Ok(serve.index),
        other => Err(other),
    };
    assert_eq!(index(&["accept: text/html", "x-z: 1"]), Ok(0));
    assert_eq!(index(&["x-y: 1", "accept:  application/json"]), Ok(1));
    let missed = Err(fetch(ForwardReason::VaryMiss));
    assert_eq!(index(&["accept: application/json"]), missed);
    assert_eq!(index(&["accept: text/html", "x-y: 1"]), missed);
    assert_eq!(index(&[]), missed);
    assert_eq!(get(&[]).by_protocol(&[], 1), fetch(ForwardReason::UriMiss));
}

#[test]
fn the_most_recent_of_several_is_used() {
    let old = stored(&["cache-control: max-age=60"]);
    let new = Stored { response_time: at(5), ..old.clone() };
    for (order, index) in [([old.clone(), new.clone()], 1), ([new, old], 0)] {
        match get(&[]).by_protocol(&order, 6) {
            Decision::Serve(serve) => assert_eq!(serve.index, index),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_was_answered_to_one_user_is_not_for_another() {
    let kept = get(&["authorization: Basic YTpi"]).stored(&["cache-control: max-age=60"]);
    let kept = [kept.expect("it may be stored")];
    assert!(is_hit(&get(&["authorization: Basic YTpi"]).by_protocol(&kept, 1)));
    assert!(!is_hit(&get(&["authorization: Basic YTpj"]).by_protocol(&kept, 1)));
    assert!(!is_hit(&get(&[]).by_protocol(&kept, 1)));
    assert!(kept[0].is_secret());
}

/// Section 5.2.1.
#[test]
fn what_requests_ask_for() {
    let kept = [stored(&["cache-control: max-age=60", "age: 20", "etag: \"a\""])];
    let hit = |control: &str, later| is_hit(&get(&[control]).by_protocol(&kept, later));
    for (control, later, expected) in [
        ("cache-control: max-age=30", 10, true),
        ("cache-control: max-age=30", 11, false),
        ("cache-control: max-age=0", 0, false),
        ("cache-control: max-age=x", 0, false),
        ("cache-control: min-fresh=30", 10, true),
        ("cache-control: min-fresh=31", 10, false),
        ("cache-control: no-cache", 0, false),
        ("cache-control: no-store", 0, false),
        ("pragma: no-cache", 0, false),
        ("cache-control: only-if-cached", 0, true),
        ("cache-control: max-stale", 9_999, true),
        ("cache-control: max-stale=10", 50, true),
        ("cache-control: max-stale=10", 51, false),
        ("cache-control: max-stale=10, min-fresh=1", 41, false),
        ("x: y", 39, true),
        ("x: y", 40, false),
    ] {
        assert_eq!(hit(control, later), expected, "{control} {later}");
    }
    let only = get(&["cache-control: only-if-cached"]);
    assert_eq!(only.by_protocol(&kept, 99), Decision::GatewayTimeout);
    assert_eq!(only.by_protocol(&[], 0), Decision::GatewayTimeout);
    assert_eq!(only.decided(CachePolicy::ReturnCacheDontLoad, &[], 0), Decision::Missing);
    let strict = [stored(&["cache-control: max-age=60, must-revalidate"])];
    assert!(!is_hit(&get(&["cache-control: max-stale"]).by_protocol(&strict, 61)));
}

/// Section 4.3.1.
#[test]
fn how_what_is_stale_is_validated() {
    let lm = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let of = |response: &[&str]| {
        let kept = stored(&[response, &["cache-control: max-age=0"]].concat());
        match get(&[]).by_protocol(std::slice::from_ref(&kept), 1) {
            Decision::Ask(Ask { why: ForwardReason::Stale, stored: Some(0), conditions: Some(asked) }) => {
                conditions(&kept, asked)
                    .into_iter()
                    .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
                    .collect::<Vec<_>>()
            }
            Decision::Ask(Ask { conditions: None, .. }) => Vec::new(),
            other => panic!("{other:?}"),
        }
    };
    let since = "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(of(&["etag: \"a\""]), ["if-none-match: \"a\""]);
    assert_eq!(of(&["etag: W/\"a,b\""]), ["if-none-match: W/\"a,b\""]);
    assert_eq!(of(&["etag: abc"]), ["if-none-match: abc"]);
    assert_eq!(of(&["etag: \"a\"", lm]), ["if-none-match: \"a\"", since]);
    assert_eq!(of(&[lm]), [since]);
    assert_eq!(of(&["etag: *", lm]), [since]);
    assert_eq!(of(&["etag: \"a\"", "etag: \"b\"", lm]), [since]);
    assert!(of(&["last-modified: yesterday"]).is_empty());
    assert!(of(&["etag:"]).is_empty());
}

#[test]
fn reloads() {
    let kept = [stored(&["cache-control: max-age=60", "etag: \"a\""])];
    let reload = |kept: &[Stored]| get(&[]).decided(CachePolicy::ReloadRevalidating, kept, 1);
    assert!(matches!(
        reload(&kept),
        Decision::Ask(Ask { why: ForwardReason::Request, conditions: Some(_), .. })
    ));
    // RFC 8246.
    let immutable = [stored(&["cache-control: max-age=60, immutable", "etag: \"a\""])];
    assert!(is_hit(&reload(&immutable)));
    let old = get(&[]).decided(CachePolicy::ReloadRevalidating, &immutable, 61);
    assert!(matches!(old, Decision::Ask(Ask { conditions: Some(_), .. })));
    assert!(!hits(&["cache-control: max-age=60, immutable"], 61));
}

/// Requests with conditions of their own see the answer as it is.
#[test]
fn own_conditions() {
    let kept = [stored(&["cache-control: max-age=60"])];
    for field in ["if-none-match: \"a\"", "if-modified-since: x", "if-match: *", "if-unmodified-since: x"] {
        assert_eq!(get(&[field]).by_protocol(&kept, 1), fetch(ForwardReason::Bypass), "{field}");
    }
    assert_eq!(get(&[]).with_body().by_protocol(&kept, 1), fetch(ForwardReason::Bypass));
}

#[test]
fn heads() {
    let kept = [Stored { body_length: 5, ..stored(&["cache-control: max-age=60", "etag: \"a\""]) }];
    let head = get(&["range: bytes=0-1"]).by(Method::HEAD);
    match head.by_protocol(&kept, 1) {
        Decision::Serve(Serve { portion: Portion::Whole, .. }) => {}
        other => panic!("{other:?}"),
    }
    let asks = Ask { why: ForwardReason::Stale, stored: Some(0), conditions: None };
    assert_eq!(head.by_protocol(&kept, 61), Decision::Ask(asks));
}

/// RFC 5861.
#[test]
fn stale_while_revalidate() {
    let kept = [stored(&["cache-control: max-age=60, stale-while-revalidate=10", "etag: \"a\""])];
    let refreshes = |exchange: Exchange, later| match exchange.by_protocol(&kept, later) {
        Decision::Serve(serve) => Some(serve.revalidate),
        _ => None,
    };
    assert_eq!(refreshes(get(&[]), 59), Some(false));
    assert_eq!(refreshes(get(&[]), 70), Some(true));
    assert_eq!(refreshes(get(&[]), 71), None);
    assert_eq!(refreshes(get(&["cache-control: no-cache"]), 65), None);
    assert_eq!(refreshes(get(&["range: bytes=0-1"]), 65), None);
    assert_eq!(refreshes(get(&[]).by(Method::HEAD), 65), None);
    assert!(!hits(&["cache-control: max-age=60, must-revalidate, stale-while-revalidate=10"], 65));
    assert!(!hits(&["cache-control: no-cache, stale-while-revalidate=10"], 5));
}

#[test]
fn stale_if_error() {
    let stands_in = |response: &[&str], request: &[&str], later| {
        may_stand_in((&headers(request)).into(), &stored(response), at(later)).is_some()
    };
    assert!(stands_in(&["cache-control: max-age=60, stale-if-error=10"], &[], 70));
    assert!(!stands_in(&["cache-control: max-age=60, stale-if-error=10"], &[], 71));
    assert!(stands_in(&["cache-control: max-age=60"], &["cache-control: stale-if-error=10"], 70));
    assert!(!stands_in(&["cache-control: max-age=60"], &[], 61));
    for control in ["must-revalidate", "no-cache"] {
        let line = format!("cache-control: max-age=60, stale-if-error=10, {control}");
        assert!(!stands_in(&[&line], &[], 61), "{control}");
    }
    assert!(is_failure(StatusCode::BAD_GATEWAY) && !is_failure(StatusCode::NOT_IMPLEMENTED));
}

#[test]
fn answers_have_their_age() {
    let kept = stored(&["cache-control: max-age=60", "age: 5", "content-length: 10"]);
    let kept = Stored { body_length: 10, ..kept };
    let Decision::Serve(serve) = get(&["range: bytes=2-3"]).by_protocol(std::slice::from_ref(&kept), 7)
    else {
        panic!("a hit");
    };
    assert_eq!(serve.freshness.time_to_live(), 48);
    let (status, said) = head_of(&kept, serve.portion, serve.freshness);
    assert_eq!(status, 206);
    assert_eq!((&said["age"], &said["content-length"]), (&"12".parse().unwrap(), &"2".parse().unwrap()));
    assert_eq!(said["content-range"], "bytes 2-3/10");
    let whole = Serve { portion: Portion::Whole, ..serve };
    let (status, said) = head_of(&kept, whole.portion, whole.freshness);
    assert_eq!((status.as_u16(), &said["content-length"]), (200, &"10".parse().unwrap()));
}

fn received(status: u16, headers: &HeaderMap) -> Received<'_> {
    Received {
        status: StatusCode::from_u16(status).expect("a status"),
        version: Version::HTTP_11,
        headers,
        is_delimited: true,
        request_time: at(100),
        response_time: at(101),
    }
}

fn after_304(kept: &Stored, asked: Conditions, response: &[&str]) -> Option<(Stored, bool)> {
    let headers = headers(response);
    match get(&[]).within(|request| by_304(kept, request, asked, &received(304, &headers))) {
        By304::Valid { stored, keep } => Some((*stored, keep)),
        By304::Other => None,
    }
}

/// Section 3.2.
#[test]
fn a_304_updates_what_is_stored() {
    let kept = stored(&[
        "cache-control: max-age=1",
        "age: 50",
        "date: Sun, 06 Nov 1994 08:49:37 GMT",
        "etag: \"a\"",
        "content-length: 5",
        "content-encoding: gzip",
        "content-range: x",
        "content-md5: x",
        "x-a: 1",
        "x-a: 2",
        "x-b: 1",
    ]);
    let (new, keep) = after_304(
        &kept,
        Conditions::Tag,
        &[
            "cache-control: max-age=9",
            "etag: \"b\"",
            "content-length: 9",
            "content-encoding: br",
            "content-range: y",
            "content-md5: y",
            "x-a: 3",
            "x-c: 4",
            "connection: x-hop",
            "x-hop: 1",
        ],
    )
    .expect("it is about it");
    assert!(keep);
    let value =
        |name: &str| new.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    for (name, expected) in [
        ("cache-control", &["max-age=9"][..]),
        ("etag", &["\"a\""]),
        ("content-length", &["5"]),
        ("content-encoding", &["gzip"]),
        ("content-range", &["x"]),
        ("content-md5", &["x"]),
        ("x-a", &["3"]),
        ("x-b", &["1"]),
        ("x-c", &["4"]),
        ("x-hop", &[]),
        ("connection", &[]),
        ("age", &[]),
        ("date", &[]),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert_eq!((new.request_time, new.response_time), (at(100), at(101)));
    assert!(is_hit(&get(&[]).by_protocol(&[new], 105)));
}

/// Section 4.3.4: what a 304 is about.
#[test]
fn a_304_about_something_else() {
    let lm = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let other = "last-modified: Sun, 06 Nov 1994 08:49:38 GMT";
    let kept = stored(&["etag: \"a\"", lm]);
    let about = |asked, response: &[&str]| after_304(&kept, asked, response).is_some();
    assert!(about(Conditions::Tag, &[]));
    assert!(about(Conditions::TagAndDate, &[]));
    assert!(about(Conditions::TagAndDate, &["etag: W/\"a\""]));
    assert!(!about(Conditions::TagAndDate, &["etag: \"b\""]));
    assert!(about(Conditions::Date, &[lm]));
    assert!(!about(Conditions::Date, &[other]));
}

#[test]
fn a_304_that_takes_it_out_of_the_store() {
    let kept = stored(&["etag: \"a\""]);
    let keep = |response: &[&str]| after_304(&kept, Conditions::Tag, response).map(|(_, keep)| keep);
    assert_eq!(keep(&["cache-control: no-store"]), Some(false));
    assert_eq!(keep(&["vary: *"]), Some(false));
    assert_eq!(keep(&["vary: x"]), Some(true));
    let (new, _) = after_304(&kept, Conditions::Tag, &["vary: x"]).expect("it is about it");
    assert!(!is_hit(&get(&["x: 1"]).decided(CachePolicy::ReturnCacheElseLoad, &[new], 105)));
}

/// Section 4.3.5.
#[test]
fn heads_update_and_outdate() {
    let kept = stored(&["etag: \"a\"", "content-length: 5", "x: 1", "cache-control: max-age=0"]);
    let kept = Stored { body_length: 5, ..kept };
    let after = |status, response: &[&str]| by_head(&kept, &received(status, &headers(response)));
    match after(200, &["cache-control: max-age=60", "content-length: 5", "etag: \"a\""]) {
        ByHead::Updated(new) => {
            assert_eq!(new.headers["x"], "1");
            assert!(is_hit(&get(&[]).by_protocol(&[*new], 110)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(after(200, &[]), ByHead::Updated(_)));
    assert!(matches!(after(200, &["content-length: 6", "content-encoding: gzip"]), ByHead::Updated(_)));
    for response in ["etag: \"b\"", "content-length: 6", "vary: x", "cache-control: no-store"] {
        assert_eq!(after(200, &[response]), ByHead::Outdated, "{response}");
    }
    assert_eq!(after(410, &["etag: \"b\""]), ByHead::Nothing);
}

/// Section 4.4.
#[test]
fn what_unsafe_requests_make_invalid() {
    let of = |method: &str, status: u16, response: &[&str]| {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = Url::parse(URL).expect("a URL");
        let status = StatusCode::from_u16(status).expect("a status");
        let urls = invalidated(&method, &url, status, &headers(response));
        urls.into_iter().map(String::from).collect::<Vec<_>>()
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        assert_eq!(of(method, 204, &[]), [URL], "{method}");
        assert_eq!(of(method, 303, &["location: new"]), [URL, "http://example.com/dir/new"]);
        assert!(of(method, 404, &["location: new"]).is_empty());
        assert!(of(method, 500, &[]).is_empty());
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert!(of(method, 200, &[]).is_empty(), "{method}");
    }
    let both = ["location: /a", "content-location: http://example.com:80/b"];
    assert_eq!(of("PUT", 201, &both), [URL, "http://example.com/a", "http://example.com/b"]);
    let foreign = ["location: https://example.com/a", "content-location: http://other/b"];
    assert_eq!(of("PUT", 201, &foreign), [URL]);
}

/// A part is not stored as a whole, and only what says which part it is.
#[test]
fn parts_are_stored_as_parts() {
    let asked = || get(&["range: bytes=0-4"]).answered(206);
    let fresh = "cache-control: max-age=60";
    let kept = asked().stored(&[fresh, "content-range: bytes 0-4/10"]).expect("it may be stored");
    let kept = [Stored { body_length: 5, ..kept }];
    assert_eq!(get(&[]).by_protocol(&kept, 1), fetch(ForwardReason::Partial));
    assert_eq!(get(&[]).by(Method::HEAD).by_protocol(&kept, 1), fetch(ForwardReason::Partial));
    assert!(is_hit(&get(&["range: bytes=1-2"]).by_protocol(&kept, 1)));
    assert!(!is_hit(&get(&["range: bytes=1-5"]).by_protocol(&kept, 1)));
    assert!(asked().stored(&[fresh]).is_none());
    assert!(asked().stored(&[fresh, "content-range: bytes */10"]).is_none());
    assert!(asked().stored(&[fresh, "content-type: multipart/byteranges; boundary=x"]).is_none());
    let unasked = get(&[]).answered(206);
    assert!(unasked.stored(&[fresh, "content-range: bytes 0-4/10"]).is_none());
    let several = get(&["range: bytes=0-1,4-5"]).answered(206);
    assert!(several.stored(&[fresh, "content-range: bytes 0-4/10"]).is_none());
}

/// RFC 9213: what is for other caches is not for this one.
#[test]
fn directives_for_others() {
    assert!(!hits(&["cdn-cache-control: max-age=60", "surrogate-control: max-age=60"], 1));
    assert!(hits(&["cdn-cache-control: no-store", "cache-control: max-age=60"], 1));
}
