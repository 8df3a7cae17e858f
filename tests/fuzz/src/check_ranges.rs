use crate::error::ErrorKind;
use crate::proto::ranges::{
    AskedRange, ContentRange, RangeAnswer, accepts_ranges, answer_to_range, range_header,
};
use crate::proto::validator::Validator;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue};

const STATUS: [u16; 8] = [206, 206, 206, 416, 200, 203, 412, 404];

/// Whatever a server answers to a request for a range, what is put behind the bytes that are there
/// is what was asked for, or nothing.
pub fn range_answer(data: &[u8]) {
    let Some((&[status, flags], rest)) = data.split_first_chunk() else { return };
    let Some((numbers, lines)) = rest.split_first_chunk::<24>() else { return };
    let number = |at: usize| {
        let bytes = numbers[at * 8..at * 8 + 8].try_into().expect("eight bytes");
        (flags & 1 << at != 0).then_some(u64::from_le_bytes(bytes))
    };
    let validator = match flags >> 3 & 3 {
        0 => None,
        1 => Validator::last_modified(&HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")),
        _ => Validator::etag(&HeaderValue::from_static("\"a\"")),
    };
    let status = StatusCode::from_u16(STATUS[usize::from(status & 7)]).expect("a status");
    let headers = fields(lines);
    let first = number(0).unwrap_or(0);
    let last = number(1).filter(|last| *last >= first);
    let asked = AskedRange { first, last, validator: validator.as_ref(), total: number(2) };

    check_header(first, last);
    accepts_ranges(&headers);
    if let Some(validator) = Validator::of(&headers) {
        let value = validator.value();
        assert!(validator.matches(&headers) && !value.as_bytes().starts_with(b"W/"));
        assert_eq!(headers.get(validator.name()), Some(value));
        assert!(Validator::etag(value).is_some() != Validator::last_modified(value).is_some());
    }
    match answer_to_range(&asked, status, &headers) {
        Ok(RangeAnswer::Continue { total, length }) => {
            assert_eq!(status, 206);
            check_part(&asked, &headers, total, length);
        }
        Ok(RangeAnswer::Complete) => {
            assert_eq!(status, 416);
            assert!(asked.validator.is_some_and(|validator| validator.matches(&headers)));
            assert!(asked.total.is_none_or(|total| total == first));
        }
        Ok(RangeAnswer::StartOver) => assert!(status == 200 || status == 203),
        Ok(RangeAnswer::Restart) => assert!(status == 416 || status == 412),
        Ok(RangeAnswer::Other) => assert_eq!(status, 404),
        Err(error) => {
            assert_eq!((status.as_u16(), error.kind()), (206, ErrorKind::BadServerResponse));
            let message = error.to_string();
            assert!(message.len() < 5000 && !message.contains(|c: char| c.is_control()), "{message:?}");
        }
    }
}

/// The lines that are well-formed fields, as a head's parser would have them.
fn fields(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n').take(20) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn check_part(asked: &AskedRange<'_>, headers: &HeaderMap, total: Option<u64>, length: u64) {
    assert!(length > 0);
    let last = asked.first.checked_add(length - 1).expect("no overflow");
    assert!(asked.last.is_none_or(|most| last <= most));
    assert!(total.is_none_or(|total| last < total));
    assert!(asked.total.is_none() || total == asked.total);
    assert!(asked.validator.is_none_or(|validator| validator.matches(headers)));
    assert!(headers.get_all(CONTENT_RANGE).iter().count() == 1);
    if let Some(value) = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()) {
        assert!(value.split(',').all(|value| value.trim().parse() == Ok(length)), "{value}");
    }
    // Written as it was understood, it is understood in the same way.
    let range = ContentRange::of(headers).expect("a range");
    let Some(ContentRange::Part { first, last: end, total: whole }) = range else {
        panic!("{range:?} is no part");
    };
    assert_eq!((first, end), (asked.first, last));
    let whole_text = whole.map_or("*".to_owned(), |whole| whole.to_string());
    let text = format!("bytes {first}-{end}/{whole_text}");
    let mut again = HeaderMap::new();
    again.insert(CONTENT_RANGE, HeaderValue::try_from(text).expect("a value"));
    assert_eq!(ContentRange::of(&again).expect("a range"), range);
}

fn check_header(first: u64, last: Option<u64>) {
    let value = range_header(first, last);
    let text = value.to_str().expect("ASCII").strip_prefix("bytes=").expect("of bytes");
    let (from, to) = text.split_once('-').expect("a range");
    assert_eq!(from.parse(), Ok(first));
    assert_eq!(to.parse().ok(), last);
}
