//! Values of options that more than one of the programs has: headers, times, rates, URLs. Loads nothing.

// Not every program has a use for all of it.
#![allow(dead_code)]

use std::time::Duration;
use urlsession::{TransportSecurity, Url};

/// What is wrong with the command line.
#[derive(Debug)]
pub struct Usage(pub String);

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Usage {
        Usage(error.to_string())
    }
}

/// A header: without a value it is not to be sent.
pub type Header = (String, Option<String>);

/// `Name: value`; `Name:` takes a header away, `Name;` sends an empty one.
pub fn header(text: String) -> Result<Header, Usage> {
    if let Some((name, value)) = text.split_once(':') {
        let value = value.trim();
        return Ok((name.trim().to_owned(), (!value.is_empty()).then(|| value.to_owned())));
    }
    match text.trim().strip_suffix(';') {
        Some(name) => Ok((name.to_owned(), Some(String::new()))),
        // The text is not repeated: there may be a secret in it.
        None => Err(Usage("-H wants 'Name: value'".into())),
    }
}

/// A number of seconds, which may have decimals; 0 is no limit.
pub fn seconds(option: &str, text: String) -> Result<Option<Duration>, Usage> {
    let parsed = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match parsed {
        Some(time) => Ok((!time.is_zero()).then_some(time)),
        None => Err(Usage(format!("{option} wants a number of seconds, not {text:?}"))),
    }
}

/// Bytes in a second: a number with `k`, `m` or `g` behind it, of 1024 each, as curl has it. 0 is no
/// limit.
pub fn rate(option: &str, text: &str) -> Result<Option<u64>, Usage> {
    let wrong = || Usage(format!("{option} wants bytes in a second, such as 500k or 2m, not {text:?}"));
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1u32),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    if !number.is_finite() || number < 0.0 {
        return Err(wrong());
    }
    // Beyond the range it is as good as the largest number.
    let rate = (number * f64::from(factor)).ceil() as u64;
    Ok((rate > 0).then_some(rate))
}

/// A URL as it was given. If it had no scheme it is one of https, and of http where that is not refused:
/// for what is on this machine or near it.
pub fn with_scheme(text: String) -> String {
    if text.contains("://") || text.trim().is_empty() {
        return text;
    }
    let near = format!("http://{text}");
    match Url::parse(&near) {
        Ok(url) if !TransportSecurity::new().allows(&url) => format!("https://{text}"),
        _ => near,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_added_where_there_is_none() {
        let url = |text: &str| with_scheme(text.to_owned());
        assert_eq!(url("example.com/x?a://b"), "example.com/x?a://b");
        assert_eq!(url("example.com/x"), "https://example.com/x");
        for near in ["localhost:8080/x", "127.0.0.1", "[::1]:80/", "printer", "192.168.1.1/"] {
            assert_eq!(url(near), format!("http://{near}"));
        }
        assert_eq!(url("HTTP://example.com"), "HTTP://example.com");
        assert_eq!(url(""), "");
    }

    #[test]
    fn rates_have_suffixes() {
        let rate = |text| rate("--limit-rate", text).ok();
        assert_eq!(rate("1000"), Some(Some(1000)));
        assert_eq!(rate("1.5k"), Some(Some(1536)));
        assert_eq!(rate("2M"), Some(Some(2 << 20)));
        assert_eq!(rate("0"), Some(None));
        for wrong in ["", "k", "-1", "inf", "NaN", "1 k", "1t", "fast", "é"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }
}
