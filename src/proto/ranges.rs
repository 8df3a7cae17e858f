//! Parts of a body by range of bytes (RFC 9110, section 14): how to ask for one, and what to make of
//! the answer. Knows nothing of files, and of what came before only what it is told.
//!
//! What it decides: parts are put together only if everything the server says about them agrees. A
//! 206 that contradicts what was asked, what is known or itself is an error of the server's, and
//! never becomes part of a file. A server that does not want to send a part says so with another
//! status, and then all is asked for anew.

use super::http1::framing::{content_length, decimal};
use super::http1::lists_token;
use super::validator::Validator;
use crate::error::{Error, ErrorKind, Result};
use crate::header::{decoded, quoted};
use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};

/// The range that was asked for, and what was known when it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedRange<'a> {
    /// The position of the first byte: as many bytes as are there, if a download goes on.
    pub(crate) first: u64,
    /// The position of the last byte; `None` for all up to the end.
    pub(crate) last: Option<u64>,
    /// What stood in `If-Range`.
    pub(crate) validator: Option<&'a Validator>,
    /// The length of the whole resource.
    pub(crate) total: Option<u64>,
}

/// What came in answer to a request with `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeAnswer {
    /// 206: the body goes on where it was asked to.
    Continue {
        /// The length of the whole resource, if it is known now or was before.
        total: Option<u64>,
        /// The length of this part, at least 1. It may be less than was asked for (section 15.3.7),
        /// and then the rest can be asked for; it is never more.
        length: u64,
    },
    /// 200, or 203 from a proxy: the whole resource from its beginning. It has changed, or the
    /// server does not do ranges.
    StartOver,
    /// 416: there is nothing behind the bytes that are there, so they are all.
    Complete,
    /// 416 otherwise, or 412: nothing of use came, and all is to be asked for anew without a range.
    Restart,
    /// Another status, which is about something else than ranges.
    Other,
}

/// What to make of the answer to a request for a range.
///
/// 416 completes what goes on from the resource's very end, if a validator stood in `If-Range`, and
/// nothing in the response contradicts it. Without a validator the length is all there is to compare, and
/// that is not enough.
///
/// # Errors
///
/// [`ErrorKind::BadServerResponse`] for a 206 that is not of this range of this resource, with the
/// header that says so.
pub(crate) fn answer_to_range(
    asked: &AskedRange<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<RangeAnswer> {
    match status {
        StatusCode::PARTIAL_CONTENT => partial(asked, headers),
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => Ok(RangeAnswer::StartOver),
        StatusCode::RANGE_NOT_SATISFIABLE if is_complete(asked, headers) => Ok(RangeAnswer::Complete),
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => Ok(RangeAnswer::Restart),
        _ => Ok(RangeAnswer::Other),
    }
}

/// The value of `Range` for the bytes from a position on, up to and with another or the end.
pub(crate) fn range_header(first: u64, last: Option<u64>) -> HeaderValue {
    let text = match last {
        Some(last) => format!("bytes={first}-{last}"),
        None => format!("bytes={first}-"),
    };
    // Letters, digits and hyphens are always a value.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("bytes=0-"))
}

/// Whether the server may be asked for ranges: it may unless it says `Accept-Ranges: none` (RFC
/// 9110, section 14.3). One that says nothing may do them, and one that says so may not.
pub(crate) fn accepts_ranges(headers: &HeaderMap) -> bool {
    !lists_token(headers, &ACCEPT_RANGES, "none")
}

/// A `Content-Range` of bytes (RFC 9110, section 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// `bytes 0-4/10`: a part is there. `first <= last`, and `last < total`.
    Part {
        /// The position of the first byte.
        first: u64,
        /// The position of the last byte, not [`u64::MAX`].
        last: u64,
        /// The length of the whole; `*` is `None`.
        total: Option<u64>,
    },
    /// `bytes */10`: no part is there.
    Unsatisfied {
        /// The length of the whole.
        total: u64,
    },
}

impl ContentRange {
    /// The one of a message.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadServerResponse`] if it is malformed, of another unit, or there are several.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<ContentRange>> {
        let mut values = headers.get_all(CONTENT_RANGE).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(bad("the response has more than one Content-Range"));
        }
        match ContentRange::parse(value.as_bytes()) {
            Some(range) => Ok(Some(range)),
            None => Err(bad(format!("the response's Content-Range is no range of bytes: {}", shown(value)))),
        }
    }

    fn parse(value: &[u8]) -> Option<ContentRange> {
        let (unit, rest) = divided(value, b' ')?;
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let (range, total) = divided(rest, b'/')?;
        if range == b"*" {
            return Some(ContentRange::Unsatisfied { total: decimal(total)? });
        }
        let (first, last) = divided(range, b'-')?;
        let (first, last) = (decimal(first)?, decimal(last)?);
        let total = if total == b"*" { None } else { Some(decimal(total)?) };
        let fits = first <= last && last < total.unwrap_or(u64::MAX);
        fits.then_some(ContentRange::Part { first, last, total })
    }
}

fn partial(asked: &AskedRange<'_>, headers: &HeaderMap) -> Result<RangeAnswer> {
    let range = ContentRange::of(headers)?;
    if let Some(value) = headers.get(CONTENT_TYPE).filter(|value| is_multipart(value)) {
        let message = "a 206 answers a request for one range with several, Content-Type:";
        return Err(bad(format!("{message} {}", shown(value))));
    }
    let (first, last, total) = match range {
        Some(ContentRange::Part { first, last, total }) => (first, last, total),
        Some(ContentRange::Unsatisfied { total }) => {
            return Err(bad(format!("a 206 has no range in its Content-Range: `bytes */{total}`")));
        }
        None => return Err(bad("a 206 has no Content-Range")),
    };
    let here = format!("`bytes {first}-{last}`");
    if first != asked.first {
        let message = format!("Content-Range {here}, where bytes from {} on were asked for", asked.first);
        return Err(bad(message));
    }
    if let Some(end) = asked.last.filter(|end| last > *end) {
        return Err(bad(format!("Content-Range {here}, where no more than up to byte {end} was asked for")));
    }
    match (asked.total, total) {
        (Some(known), Some(total)) if known != total => {
            let message = format!("Content-Range says that the resource has {total} bytes");
            return Err(bad(format!("{message}, and it had {known}")));
        }
        (Some(known), None) if last >= known => {
            return Err(bad(format!("Content-Range {here} of a resource of {known} bytes")));
        }
        _ => {}
    }
    if let Some(validator) = asked.validator.filter(|validator| !validator.matches(headers)) {
        let name = validator.name();
        let now = headers.get(name).map(shown).unwrap_or_default();
        let message = format!("a 206 is of another version: {name} is {now}");
        return Err(bad(format!("{message}, and was {}", shown(validator.value()))));
    }
    // Neither can overflow: first <= last < u64::MAX.
    let length = last.saturating_sub(first).saturating_add(1);
    if let Some(announced) = content_length(headers)?.filter(|announced| *announced != length) {
        return Err(bad(format!(
            "Content-Range {here} and Content-Length {announced} contradict each other"
        )));
    }
    Ok(RangeAnswer::Continue { total: total.or(asked.total), length })
}

fn is_complete(asked: &AskedRange<'_>, headers: &HeaderMap) -> bool {
    let total = match ContentRange::of(headers) {
        Ok(Some(ContentRange::Unsatisfied { total })) => total,
        // A malformed one is no worse than none here: all is asked for anew.
        _ => return false,
    };
    total == asked.first
        && asked.total.is_none_or(|known| known == total)
        && asked.validator.is_some_and(|validator| validator.matches(headers))
}

fn is_multipart(content_type: &HeaderValue) -> bool {
    let mut parts = content_type.as_bytes().split(|&byte| byte == b';');
    parts.next().is_some_and(|mime| mime.trim_ascii().eq_ignore_ascii_case(b"multipart/byteranges"))
}

fn divided(bytes: &[u8], divider: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == divider)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

fn shown(value: &HeaderValue) -> String {
    quoted(&decoded(value))
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadServerResponse, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn parse(value: &'static str) -> Option<ContentRange> {
        ContentRange::of(&headers(&[("content-range", value)])).ok().flatten()
    }

    /// Bytes 5 to 9 of 10 at most are missing, of the version `"a"`.
    fn answer(status: u16, fields: &[(&'static str, &'static str)]) -> Result<RangeAnswer> {
        answer_of(Some(10), status, fields)
    }

    fn answer_of(
        total: Option<u64>,
        status: u16,
        fields: &[(&'static str, &'static str)],
    ) -> Result<RangeAnswer> {
        let validator = Validator::ETag(HeaderValue::from_static("\"a\""));
        let asked = AskedRange { first: 5, last: None, validator: Some(&validator), total };
        answer_to_range(&asked, StatusCode::from_u16(status).expect("a status"), &headers(fields))
    }

    fn refused(fields: &[(&'static str, &'static str)], part: &str) {
        let error = answer(206, fields).expect_err(part);
        assert_eq!(error.kind(), ErrorKind::BadServerResponse);
        assert!(error.to_string().contains(part), "{error} has no {part}");
    }

    #[test]
    fn content_ranges() {
        let part = |first, last, total| Some(ContentRange::Part { first, last, total });
        assert_eq!(parse("bytes 0-4/10"), part(0, 4, Some(10)));
        assert_eq!(parse("Bytes 00-9/10"), part(0, 9, Some(10)));
        assert_eq!(parse("bytes 7-7/*"), part(7, 7, None));
        assert_eq!(parse("bytes */10"), Some(ContentRange::Unsatisfied { total: 10 }));
        assert_eq!(parse("bytes */0"), Some(ContentRange::Unsatisfied { total: 0 }));
        let most = part(0, u64::MAX - 2, Some(u64::MAX - 1));
        assert_eq!(parse("bytes 0-18446744073709551613/18446744073709551614"), most);
    }

    #[test]
    fn what_is_no_content_range() {
        for value in [
            "",
            "bytes",
            "bytes ",
            "bytes=0-4/10",
            "bytes: 0-4/10",
            "bytes  0-4/10",
            "bytes 0-4 /10",
            "bytes 0 - 4/10",
            "bytes 0-4",
            "bytes 0-4/",
            "bytes 0-4/10/10",
            "bytes -4/10",
            "bytes 0-/10",
            "bytes 4-0/10",
            "bytes 0-10/10",
            "bytes +0-4/10",
            "bytes 0x0-4/10",
            "bytes */*",
            "bytes */",
            "bytes *-*/10",
            "items 0-4/10",
            "bytes 0-4/10, bytes 5-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-18446744073709551616/*",
            "bytes 0-4/99999999999999999999999",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
        let twice = headers(&[("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")]);
        assert!(ContentRange::of(&twice).is_err());
        assert!(ContentRange::of(&HeaderMap::new()).is_ok_and(|range| range.is_none()));
    }

    #[test]
    fn a_part_that_agrees_goes_on() {
        let goes_on = |total, length| Some(RangeAnswer::Continue { total, length });
        let range = ("content-range", "bytes 5-9/10");
        assert_eq!(answer(206, &[range]).ok(), goes_on(Some(10), 5));
        assert_eq!(
            answer(206, &[range, ("etag", "\"a\""), ("content-length", "5")]).ok(),
            goes_on(Some(10), 5)
        );
        assert_eq!(answer(206, &[("content-range", "bytes 5-6/10")]).ok(), goes_on(Some(10), 2));
        assert_eq!(answer(206, &[("content-range", "bytes 5-9/*")]).ok(), goes_on(Some(10), 5));
        assert_eq!(answer_of(None, 206, &[("content-range", "bytes 5-9/*")]).ok(), goes_on(None, 5));
        assert_eq!(answer_of(None, 206, &[range]).ok(), goes_on(Some(10), 5));
    }

    #[test]
    fn a_part_that_does_not_agree_is_an_error() {
        refused(&[], "no Content-Range");
        refused(&[("content-range", "bytes 4-9/10")], "`bytes 4-9`, where bytes from 5 on");
        refused(&[("content-range", "bytes 0-9/10")], "where bytes from 5 on");
        refused(&[("content-range", "bytes 5-10/11")], "has 11 bytes, and it had 10");
        refused(&[("content-range", "bytes 5-10/*")], "of a resource of 10 bytes");
        refused(&[("content-range", "bytes */10")], "no range in its Content-Range");
        refused(&[("content-range", "bytes 5-9/10\t")], "no range of bytes");
        let range = ("content-range", "bytes 5-9/10");
        refused(&[range, ("etag", "\"b\"")], "etag is `\\\"b\\\"`, and was `\\\"a\\\"`");
        refused(&[range, ("etag", "W/\"a\"")], "another version");
        refused(&[range, ("content-length", "6")], "Content-Length 6");
        refused(&[range, ("content-length", "x")], "Content-Length");
        refused(&[range, ("content-type", "Multipart/ByteRanges; boundary=x")], "several");
        refused(&[("content-type", "multipart/byteranges; boundary=x")], "several");
    }

    #[test]
    fn no_more_than_was_asked_for() {
        let asked = AskedRange { first: 5, last: Some(7), validator: None, total: None };
        let of = |value| {
            answer_to_range(&asked, StatusCode::PARTIAL_CONTENT, &headers(&[("content-range", value)]))
        };
        assert_eq!(of("bytes 5-7/10").ok(), Some(RangeAnswer::Continue { total: Some(10), length: 3 }));
        assert_eq!(of("bytes 5-5/10").ok(), Some(RangeAnswer::Continue { total: Some(10), length: 1 }));
        assert!(of("bytes 5-8/10").expect_err("more").to_string().contains("up to byte 7"));
    }

    #[test]
    fn other_statuses() {
        assert_eq!(answer(200, &[("content-range", "nonsense")]).ok(), Some(RangeAnswer::StartOver));
        assert_eq!(answer(203, &[]).ok(), Some(RangeAnswer::StartOver));
        assert_eq!(answer(412, &[]).ok(), Some(RangeAnswer::Restart));
        for status in [201, 204, 304, 401, 404, 500, 503] {
            assert_eq!(answer(status, &[]).ok(), Some(RangeAnswer::Other));
        }
    }

    #[test]
    fn nothing_left_is_complete_only_if_that_is_certain() {
        let end = ("content-range", "bytes */5");
        assert_eq!(answer_of(None, 416, &[end]).ok(), Some(RangeAnswer::Complete));
        assert_eq!(answer_of(Some(5), 416, &[end]).ok(), Some(RangeAnswer::Complete));
        assert_eq!(answer_of(Some(10), 416, &[end]).ok(), Some(RangeAnswer::Restart));
        assert_eq!(answer_of(None, 416, &[end, ("etag", "\"b\"")]).ok(), Some(RangeAnswer::Restart));
        for value in ["bytes */4", "bytes */6", "bytes 0-4/5", "nonsense"] {
            assert_eq!(answer_of(None, 416, &[("content-range", value)]).ok(), Some(RangeAnswer::Restart));
        }
        assert_eq!(answer_of(None, 416, &[]).ok(), Some(RangeAnswer::Restart));
        let asked = AskedRange { first: 5, last: None, validator: None, total: None };
        let answer = answer_to_range(&asked, StatusCode::RANGE_NOT_SATISFIABLE, &headers(&[end]));
        assert_eq!(answer.ok(), Some(RangeAnswer::Restart));
    }

    #[test]
    fn a_date_is_compared_too() {
        let validator = Validator::LastModified(HeaderValue::from_static(DATE));
        let asked = AskedRange { first: 5, last: None, validator: Some(&validator), total: None };
        let of = |date| {
            let fields = headers(&[("content-range", "bytes 5-9/10"), ("last-modified", date)]);
            answer_to_range(&asked, StatusCode::PARTIAL_CONTENT, &fields)
        };
        assert!(of(DATE).is_ok());
        assert!(of("Sun, 06 Nov 1994 08:49:38 GMT").is_err());
    }

    #[test]
    fn asking() {
        assert_eq!(range_header(5, None), "bytes=5-");
        assert_eq!(range_header(0, Some(9)), "bytes=0-9");
        assert_eq!(range_header(u64::MAX, Some(u64::MAX)), format!("bytes={0}-{0}", u64::MAX).as_str());
        assert!(accepts_ranges(&headers(&[])));
        assert!(accepts_ranges(&headers(&[("accept-ranges", "bytes")])));
        assert!(accepts_ranges(&headers(&[("accept-ranges", "")])));
        assert!(accepts_ranges(&headers(&[("accept-ranges", "nonesuch")])));
        assert!(!accepts_ranges(&headers(&[("accept-ranges", "None")])));
        assert!(!accepts_ranges(&headers(&[("accept-ranges", "bytes, none ")])));
    }
}
