//! The header fields of range requests, read as RFC 9110 says: which bytes a `Range` asks for, and
//! whether an entity tag or a date in a precondition is that of the representation.

use std::ops::Range;

/// What a `Range` field asks of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no range, one that is malformed, of another unit than bytes, or several.
    Whole,
    /// One run of bytes; not empty, and within the length.
    Part(Range<u64>),
    /// One that begins where there is nothing (RFC 9110 section 14.1.2).
    Unsatisfiable,
}

/// Reads a `Range` field for a representation of `length` bytes.
pub(super) fn asked(field: &str, length: u64) -> Asked {
    let Some(spec) = field.strip_prefix("bytes=").map(str::trim) else { return Asked::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Asked::Whole };
    let (Some(first), Some(last)) = (number(first), number(last)) else { return Asked::Whole };
    let range = match (first, last) {
        (None, None) => return Asked::Whole,
        (Some(first), Some(last)) if last < first => return Asked::Whole,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) => first..length,
        (None, Some(count)) => length.saturating_sub(count)..length,
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Unsatisfiable }
}

/// Whether an `If-Range` holds, by the strong comparison (RFC 9110 section 13.1.5).
pub(super) fn if_range_holds(field: &str, etag: Option<&str>, last_modified: Option<&str>) -> bool {
    match field.starts_with('"') || field.starts_with("W/") {
        true => is_same(field, etag),
        false => last_modified == Some(field),
    }
}

/// Whether an `If-Match` holds (RFC 9110 section 13.1.1).
pub(super) fn if_match_holds(field: &str, etag: Option<&str>) -> bool {
    // No tag of the tests has a comma in it.
    field == "*" || field.split(',').any(|one| is_same(one.trim(), etag))
}

/// The strong comparison of RFC 9110 section 8.8.3.2.
fn is_same(tag: &str, etag: Option<&str>) -> bool {
    !tag.starts_with("W/") && etag == Some(tag)
}

/// Digits and nothing else, or nothing at all.
#[allow(clippy::option_option)]
fn number(text: &str) -> Option<Option<u64>> {
    match text {
        "" => Some(None),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    }
}
