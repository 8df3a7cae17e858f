//! Requests for a part, answered from what is stored: all of a representation, or a part of it that was
//! asked for before (RFC 9110, section 14; RFC 9111, section 3.4).

use super::fields::RequestFields;
use super::stored::Stored;
use crate::proto::http1::framing::decimal;
use crate::proto::ranges::ContentRange;
use crate::proto::validator::Validator;
use http::StatusCode;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE,
};

/// What of a stored body is the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// All that is stored, with the stored status.
    Whole,
    /// So many bytes from here on: 206.
    Part {
        /// Where the part begins in the stored body.
        offset: u64,
        /// How many bytes it has, 1 at least.
        length: u64,
        /// Where it begins in the whole.
        first: u64,
        /// The length of the whole, if it is known.
        total: Option<u64>,
    },
    /// Nothing: 416, with the length of the whole.
    Unsatisfiable {
        /// The length of the whole.
        total: u64,
    },
}

/// What a request asks for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// From one position to another, both included.
    Between(u64, u64),
    From(u64),
    Last(u64),
}

/// What a `Range` says.
enum Range {
    /// It is not there, or says nothing that may be understood, or is of a unit nobody knows: it is to be
    /// ignored (RFC 9110, section 14.2).
    None,
    One(Asked),
    /// Several parts are asked for at once.
    Several,
}

impl Portion {
    /// Whether nothing of the stored body belongs to the answer.
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Portion::Unsatisfiable { .. })
    }
}

/// What of a stored response answers a request, if anything does.
pub(crate) fn portion<'a>(stored: &Stored, request: impl Into<RequestFields<'a>>) -> Option<Portion> {
    let request = request.into();
    let is_part = stored.status == StatusCode::PARTIAL_CONTENT;
    // A range is a matter of successful requests.
    if !is_part && stored.status != StatusCode::OK {
        return Some(Portion::Whole);
    }
    let asked = match range(request) {
        Range::None => None,
        Range::One(asked) => Some(asked),
        Range::Several => return None,
    };
    let holds = request.get(&IF_RANGE).is_none_or(|condition| is_same(condition, &stored.headers));
    match (asked, is_part) {
        (Some(asked), true) if holds => of_part(stored, asked, request),
        (_, true) => None,
        // Nobody can decode a piece from the middle.
        (Some(_), false) if holds && stored.headers.contains_key(CONTENT_ENCODING) => None,
        (Some(asked), false) if holds => Some(of_whole(stored.body_length, asked)),
        (_, false) => Some(Portion::Whole),
    }
}

/// Whether a request asks for a part or several.
pub(crate) fn is_for_part(request: RequestFields<'_>) -> bool {
    request.contains_key(&RANGE)
}

/// Whether a 206 is one part that says which.
pub(super) fn is_part(request: RequestFields<'_>, response: &HeaderMap) -> bool {
    matches!(range(request), Range::One(_))
        && matches!(ContentRange::of(response), Ok(Some(ContentRange::Part { .. })))
}

/// The status and the headers of an answer from stored ones.
pub(super) fn describe(portion: Portion, status: StatusCode, headers: &mut HeaderMap) -> StatusCode {
    let (status, range, length) = match portion {
        Portion::Whole => return status,
        Portion::Part { length, first, total, .. } => {
            let last = first.saturating_add(length).saturating_sub(1);
            let total = total.map_or_else(|| "*".into(), |total| total.to_string());
            (StatusCode::PARTIAL_CONTENT, format!("bytes {first}-{last}/{total}"), length)
        }
        Portion::Unsatisfiable { total } => {
            (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{total}"), 0)
        }
    };
    // Digits and signs are always a value; and both names are in the map or take the place of none.
    if let Ok(range) = HeaderValue::from_str(&range) {
        let _ = headers.try_insert(CONTENT_RANGE, range);
    }
    let _ = headers.try_insert(CONTENT_LENGTH, HeaderValue::from(length));
    status
}

fn of_whole(total: u64, asked: Asked) -> Portion {
    let (first, last) = match asked {
        Asked::Between(first, last) => (first, last),
        Asked::From(first) => (first, u64::MAX),
        Asked::Last(0) => return Portion::Unsatisfiable { total },
        Asked::Last(count) => (total.saturating_sub(count), u64::MAX),
    };
    if first >= total {
        return Portion::Unsatisfiable { total };
    }
    let length = last.min(total - 1) - first + 1;
    Portion::Part { offset: first, length, first, total: Some(total) }
}

fn of_part(stored: &Stored, asked: Asked, request: RequestFields<'_>) -> Option<Portion> {
    // The same question has the same answer.
    let same = stored.selecting.iter().find(|field| field.name == RANGE.as_str());
    if same.is_some_and(|field| field.value.is_some() && field.value == super::vary::value(&RANGE, request)) {
        return Some(Portion::Whole);
    }
    let Ok(Some(ContentRange::Part { first: begin, last: end, total })) = ContentRange::of(&stored.headers)
    else {
        return None;
    };
    // What was announced and has not come is not there.
    let held = begin.checked_add(stored.body_length.checked_sub(1)?)?.min(end);
    let is_end = total.is_some_and(|total| total - 1 == end);
    let (first, last) = match asked {
        Asked::Between(first, last) => (first, last.min(total.map_or(u64::MAX, |total| total - 1))),
        // Less than was asked for may be sent, and what there is, is to the end (section 15.3.7).
        Asked::From(first) if is_end => (first, held),
        Asked::Last(count) if is_end && held == end && count > 0 => (total?.saturating_sub(count), held),
        Asked::From(_) | Asked::Last(_) => return None,
    };
    if first < begin || last > held || first > last {
        return None;
    }
    Some(Portion::Part { offset: first - begin, length: last - first + 1, first, total })
}

fn range(request: RequestFields<'_>) -> Range {
    let mut lines = request.get_all(&RANGE);
    let Some(line) = lines.next() else { return Range::None };
    if lines.next().is_some() {
        return Range::Several;
    }
    let line = line.as_bytes().trim_ascii();
    let Some((unit, specs)) = line.split_at_checked(6) else { return Range::None };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Range::None;
    }
    let mut specs = specs.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty());
    match (specs.next().map(asked), specs.next()) {
        (Some(Some(asked)), None) => Range::One(asked),
        (_, Some(_)) => Range::Several,
        _ => Range::None,
    }
}

fn asked(spec: &[u8]) -> Option<Asked> {
    let at = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (spec.get(..at)?, spec.get(at + 1..)?);
    match (first, last) {
        (b"", last) => Some(Asked::Last(decimal(last)?)),
        (first, b"") => Some(Asked::From(decimal(first)?)),
        (first, last) => {
            let (first, last) = (decimal(first)?, decimal(last)?);
            (first <= last).then_some(Asked::Between(first, last))
        }
    }
}

/// Whether `If-Range` is about the stored representation, byte by byte (RFC 9110, section 13.1.5).
fn is_same(condition: &HeaderValue, stored: &HeaderMap) -> bool {
    if Validator::etag(condition).is_some() {
        return stored.get(ETAG) == Some(condition);
    }
    let mut dates = stored.clone();
    dates.remove(ETAG);
    match Validator::of(&dates) {
        Some(Validator::LastModified(date)) => date == *condition && stored.contains_key(LAST_MODIFIED),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, Version};
    use std::time::SystemTime;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        headers
    }

    fn stored(status: u16, asked: &str, fields: &[(&str, &str)], body_length: u64) -> Stored {
        let (status, headers_in) = (StatusCode::from_u16(status).expect("a status"), headers(fields));
        let request = headers(&[("range", asked)]);
        Stored {
            status,
            version: Version::HTTP_11,
            selecting: super::super::vary::selecting(status, &headers_in, &request)
                .expect("it may be selected"),
            headers: headers_in,
            request_time: SystemTime::UNIX_EPOCH,
            response_time: SystemTime::UNIX_EPOCH,
            body_length,
        }
    }

    fn part(offset: u64, length: u64, first: u64, total: u64) -> Option<Portion> {
        Some(Portion::Part { offset, length, first, total: Some(total) })
    }

    #[test]
    fn parts_of_a_whole() {
        let whole = stored(200, "", &[("etag", "\"a\"")], 10);
        let of = |range: &str| portion(&whole, &headers(&[("range", range)]));
        assert_eq!(of("bytes=0-1"), part(0, 2, 0, 10));
        assert_eq!(of("BYTES=9-9"), part(9, 1, 9, 10));
        assert_eq!(of("bytes=3-"), part(3, 7, 3, 10));
        assert_eq!(of("bytes=-3"), part(7, 3, 7, 10));
        assert_eq!(of("bytes=-30"), part(0, 10, 0, 10));
        assert_eq!(of("bytes=5-99999999999999"), part(5, 5, 5, 10));
        assert_eq!(of("bytes= 0-1 , "), part(0, 2, 0, 10));
        for range in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(of(range), Some(Portion::Unsatisfiable { total: 10 }), "{range}");
        }
        for range in ["bytes=5-4", "bytes=", "bytes=a-b", "bytes=-", "items=0-1", "", "bytes=+1-2", "bytes"] {
            assert_eq!(of(range), Some(Portion::Whole), "{range}");
        }
        assert_eq!(of("bytes=0-1,4-5"), None);
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]);
        assert_eq!(portion(&whole, &twice), None);
        assert_eq!(portion(&whole, &headers(&[])), Some(Portion::Whole));
        let empty = stored(200, "", &[], 0);
        let first = portion(&empty, &headers(&[("range", "bytes=0-")]));
        assert_eq!(first, Some(Portion::Unsatisfiable { total: 0 }));
        let missing = stored(404, "", &[], 10);
        assert_eq!(portion(&missing, &headers(&[("range", "bytes=0-1")])), Some(Portion::Whole));
    }

    #[test]
    fn only_of_the_same_representation() {
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:39 GMT");
        let whole = stored(200, "", &[("etag", "\"a\""), ("last-modified", date), ("date", later)], 10);
        let of = |condition: &str| {
            portion(&whole, &headers(&[("range", "bytes=0-1"), ("if-range", condition)])) == part(0, 2, 0, 10)
        };
        assert!(of("\"a\"") && of(date));
        assert!(!of("\"b\"") && !of("W/\"a\"") && !of(later) && !of(""));
        let weak = stored(200, "", &[("etag", "W/\"a\""), ("last-modified", date), ("date", date)], 10);
        for condition in ["W/\"a\"", "\"a\"", date] {
            let request = headers(&[("range", "bytes=0-1"), ("if-range", condition)]);
            assert_eq!(portion(&weak, &request), Some(Portion::Whole), "{condition}");
        }
    }

    #[test]
    fn parts_of_a_part() {
        let middle = stored(206, "bytes=4-7", &[("content-range", "bytes 4-7/10"), ("etag", "\"a\"")], 4);
        let of = |range: &str| portion(&middle, &headers(&[("range", range)]));
        assert_eq!(of("bytes=4-7"), Some(Portion::Whole));
        assert_eq!(of("bytes=5-6"), part(1, 2, 5, 10));
        for range in ["bytes=3-7", "bytes=4-8", "bytes=4-", "bytes=-1", "bytes=9-", "bytes=8-9", "items=4-7"]
        {
            assert_eq!(of(range), None, "{range}");
        }
        assert_eq!(portion(&middle, &headers(&[])), None);
        let other = headers(&[("range", "bytes=4-7"), ("if-range", "\"b\"")]);
        assert_eq!(portion(&middle, &other), None);

        let end = stored(206, "bytes=-6", &[("content-range", "bytes 4-9/10")], 6);
        let of = |range: &str| portion(&end, &headers(&[("range", range)]));
        assert_eq!(of("bytes=6-"), part(2, 4, 6, 10));
        assert_eq!(of("bytes=-1"), part(5, 1, 9, 10));
        assert_eq!(of("bytes=6-99"), part(2, 4, 6, 10));
        for range in ["bytes=-7", "bytes=3-", "bytes=10-", "bytes=-0"] {
            assert_eq!(of(range), None, "{range}");
        }
    }

    #[test]
    fn what_has_not_come_is_not_there() {
        let cut = stored(206, "bytes=-6", &[("content-range", "bytes 4-9/10")], 5);
        let of = |range: &str| portion(&cut, &headers(&[("range", range)]));
        assert_eq!(of("bytes=6-8"), part(2, 3, 6, 10));
        assert_eq!(of("bytes=6-"), part(2, 3, 6, 10));
        assert_eq!(of("bytes=6-9"), None);
        assert_eq!(of("bytes=-1"), None);
        let none = stored(206, "bytes=-6", &[("content-range", "bytes 4-9/10")], 0);
        assert_eq!(portion(&none, &headers(&[("range", "bytes=4-4")])), None);
        let unknown = stored(206, "bytes=4-9", &[("content-range", "bytes 4-9/*")], 6);
        let inner = portion(&unknown, &headers(&[("range", "bytes=5-5")]));
        assert_eq!(inner, Some(Portion::Part { offset: 1, length: 1, first: 5, total: None }));
        assert_eq!(portion(&unknown, &headers(&[("range", "bytes=5-")])), None);
    }

    #[test]
    fn what_is_said_of_a_part() {
        let mut said = headers(&[("content-length", "10"), ("content-range", "x"), ("a", "b")]);
        let portion = Portion::Part { offset: 1, length: 2, first: 5, total: None };
        assert_eq!(describe(portion, StatusCode::OK, &mut said), 206);
        assert_eq!(
            (&said["content-range"], &said["content-length"]),
            (&"bytes 5-6/*".parse().expect("a value"), &"2".parse().expect("a value"))
        );
        assert_eq!(describe(Portion::Unsatisfiable { total: 7 }, StatusCode::OK, &mut said), 416);
        assert_eq!(said["content-range"], "bytes */7");
        assert_eq!(describe(Portion::Whole, StatusCode::NOT_FOUND, &mut HeaderMap::new()), 404);
    }
}
