//! The name that a response suggests for its file: from `Content-Disposition` (RFC 6266,
//! RFC 8187), else from the URL; always one component of a path, whatever the server sent.

use super::parameters::Parameters;
use crate::header;
use http::header::{CONTENT_DISPOSITION, HeaderMap};
use std::borrow::Cow;
use url::Url;

/// The longest name that common file systems take, in bytes.
const LONGEST: usize = 255;

/// The suggested name. `Unknown` where neither headers nor URL give one, as Apple has it.
pub(crate) fn suggested(headers: &HeaderMap, url: &Url) -> String {
    from_disposition(headers).or_else(|| from_url(url)).unwrap_or_else(|| "Unknown".to_owned())
}

fn from_disposition(headers: &HeaderMap) -> Option<String> {
    let value = header::decoded(headers.get(CONTENT_DISPOSITION)?);
    // Some servers leave the disposition type out and begin with the file name.
    let value = match value.split(';').next() {
        Some(first) if first.contains('=') => Cow::Owned(format!(";{value}")),
        _ => value,
    };
    // RFC 6266 section 4.3: filename* is preferred to filename where both are.
    let extended = Parameters::of(&value).named("filename*").and_then(|value| extended_value(&value));
    extended
        .and_then(|name| safe(&name))
        .or_else(|| Parameters::of(&value).named("filename").and_then(|name| safe(&name)))
}

fn from_url(url: &Url) -> Option<String> {
    let segment = url.path_segments()?.rev().find(|segment| !segment.is_empty())?;
    safe(&String::from_utf8_lossy(&percent_decoded(segment)))
}

/// `UTF-8'en'%e2%82%ac%20rates` (RFC 8187 section 3.2).
fn extended_value(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes = percent_decoded(encoded);
    if charset.eq_ignore_ascii_case("utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.into_iter().map(char::from).collect())
    } else {
        None
    }
}

/// The bytes behind percent-encoding. A `%` that begins no code stands for itself.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let code = (byte == b'%').then(|| Some((hex(ahead.next())? << 4) | hex(ahead.next())?)).flatten();
        match code.and_then(|code| u8::try_from(code).ok()) {
            Some(code) => {
                decoded.push(code);
                bytes = ahead;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

/// Makes a name one visible component of a path, or nothing if nothing of it is left.
fn safe(name: &str) -> Option<String> {
    let name = name.trim();
    if name.chars().all(|c| matches!(c, '.' | '/' | '\\' | ' ') || is_hidden(c)) {
        return None;
    }
    let body = name.trim_start_matches('.');
    let dots = name.len() - body.len();
    let safe: String = std::iter::repeat_n('_', dots)
        .chain(body.chars().map(|c| if matches!(c, '/' | '\\') || is_hidden(c) { '_' } else { c }))
        .collect();
    Some(shortened(safe))
}

/// Characters that are not seen: controls, and those that turn the direction of writing, with
/// which `exe` can be made to look like `txt`.
fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Cuts a name that no file system would take, but keeps its extension.
fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let extension = match name.rfind('.').map(|at| name.split_at(at)) {
        Some((_, extension)) if extension.len() <= 32 => extension,
        _ => "",
    };
    let mut end = LONGEST - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn name(disposition: &str, url: &str) -> String {
        let mut headers = HeaderMap::new();
        if !disposition.is_empty() {
            headers.insert(CONTENT_DISPOSITION, HeaderValue::try_from(disposition).expect("a value"));
        }
        suggested(&headers, &Url::parse(url).expect("a URL"))
    }

    fn disposed(disposition: &str) -> String {
        name(disposition, "https://example.com/url.bin")
    }

    #[test]
    fn from_the_url() {
        assert_eq!(name("", "https://example.com/a/b.txt?c=/d#e"), "b.txt");
        assert_eq!(name("", "https://example.com/a%20b.txt"), "a b.txt");
        assert_eq!(name("", "https://example.com/a%2fb%00%"), "a_b_%");
        assert_eq!(name("", "https://example.com/dir/"), "dir");
        assert_eq!(name("", "https://example.com/"), "Unknown");
        assert_eq!(name("", "https://example.com/%ff.txt"), "\u{fffd}.txt");
    }

    #[test]
    fn from_the_headers() {
        assert_eq!(disposed("attachment; filename=report.pdf"), "report.pdf");
        assert_eq!(disposed(r#"attachment; FileName="a; b.pdf"; size=3"#), "a; b.pdf");
        assert_eq!(disposed("filename=bare.pdf"), "bare.pdf");
        assert_eq!(disposed("inline"), "url.bin");
        assert_eq!(disposed("attachment; filename=\"\""), "url.bin");
        assert_eq!(disposed("attachment; filename=naïve.txt"), "naïve.txt");
    }

    #[test]
    fn the_extended_form_is_preferred() {
        let value = "attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates";
        assert_eq!(disposed(value), "€ rates");
        assert_eq!(disposed("attachment; filename*=iso-8859-1'en'%A3%20rates"), "£ rates");
        // What cannot be decoded is as if it were not there.
        assert_eq!(disposed("attachment; filename*=utf-8''%ff; filename=plain"), "plain");
        assert_eq!(disposed("attachment; filename*=koi8-r''%c1; filename=plain"), "plain");
        assert_eq!(disposed("attachment; filename*=nothing; filename=plain"), "plain");
    }

    #[test]
    fn latin_1_in_the_plain_form() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"attachment; filename=\"\xe4.txt\"").expect("a value");
        headers.insert(CONTENT_DISPOSITION, value);
        assert_eq!(suggested(&headers, &Url::parse("http://h/").expect("a URL")), "ä.txt");
    }

    #[test]
    fn a_name_never_leaves_its_directory() {
        assert_eq!(disposed(r#"attachment; filename="../../etc/passwd""#), "___.._etc_passwd");
        assert_eq!(disposed(r#"attachment; filename="C:\\dir\\x""#), "C:_dir_x");
        assert_eq!(disposed("attachment; filename*=utf-8''%2e%2e%2fx%00%0ay"), "___x__y");
        assert_eq!(disposed("attachment; filename=.."), "url.bin");
        assert_eq!(disposed("attachment; filename=/"), "url.bin");
        assert_eq!(disposed("attachment; filename=.bashrc"), "_bashrc");
        assert_eq!(disposed("attachment; filename=a\u{202e}txt.exe"), "a_txt.exe");
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let long = disposed(&format!("attachment; filename=\"{}.tar.gz\"", "ä".repeat(300)));
        assert!(long.len() <= LONGEST && long.ends_with(".gz"), "{long}");
        assert!(disposed(&format!("attachment; filename={}", "x".repeat(400))).len() == LONGEST);
    }
}
