//! Structured fields (RFC 9651): items and dictionaries, read as strictly as the RFC has it, so that
//! a field is either understood in whole or not at all.
//!
//! Knows the syntax of every type, since a member nobody asked for must be well-formed too, and
//! gives the values of booleans, integers and byte sequences; what else there is stays
//! [`Value::Other`].

use http::HeaderMap;
use http::header::HeaderName;
use std::collections::HashMap;
use std::fmt;

/// The largest integer there is: fifteen digits (RFC 9651 section 3.3.1).
pub(crate) const MAX_INTEGER: u64 = 999_999_999_999_999;

/// The members that a dictionary may have here. RFC 9651 section 3.2 asks for 1024 at least.
const MAX_MEMBERS: usize = 1024;

/// Why a field is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is not a structured field, or has more behind its end.
    Syntax,
    /// An integer or decimal has more digits than there may be.
    TooLong,
    /// It is of another type than it has to be.
    Type,
    /// A dictionary has too many members.
    TooMany,
}

/// A value as far as anybody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `?1` or `?0`.
    Boolean(bool),
    /// `42`.
    Integer(i64),
    /// `:YWI=:`.
    Bytes(Vec<u8>),
    /// Well-formed, and of another type.
    Other,
}

/// The members of a dictionary. Of several with the same key the last is what counts.
pub(crate) type Dictionary = HashMap<String, Value>;

impl Value {
    /// As a boolean.
    pub(crate) fn boolean(self) -> Result<bool, Malformed> {
        match self {
            Value::Boolean(value) => Ok(value),
            _ => Err(Malformed::Type),
        }
    }

    /// As an integer that counts something.
    pub(crate) fn count(self) -> Result<u64, Malformed> {
        match self {
            Value::Integer(value) => u64::try_from(value).map_err(|_| Malformed::Type),
            _ => Err(Malformed::Type),
        }
    }
}

/// The item in a field, if the field is there. Parameters are checked and dropped.
pub(crate) fn item(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Value>, Malformed> {
    let Some(text) = combined(headers, name) else { return Ok(None) };
    let mut parser = Parser { rest: &text };
    parser.skip_spaces();
    let value = parser.bare_item()?;
    parser.parameters()?;
    parser.skip_spaces();
    if parser.rest.is_empty() { Ok(Some(value)) } else { Err(Malformed::Syntax) }
}

/// The dictionary in a field, if the field is there. Parameters and inner lists are checked and
/// dropped.
pub(crate) fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Dictionary>, Malformed> {
    let Some(text) = combined(headers, name) else { return Ok(None) };
    let mut parser = Parser { rest: &text };
    parser.skip_spaces();
    let mut members = Dictionary::new();
    while !parser.rest.is_empty() {
        let key = parser.key()?;
        let value = if !parser.take(b'=') {
            Value::Boolean(true)
        } else if parser.peek() == Some(b'(') {
            parser.inner_list()?
        } else {
            parser.bare_item()?
        };
        parser.parameters()?;
        members.insert(key.to_owned(), value);
        if members.len() > MAX_MEMBERS {
            return Err(Malformed::TooMany);
        }
        parser.skip_whitespace();
        if parser.rest.is_empty() {
            break;
        }
        if !parser.take(b',') {
            return Err(Malformed::Syntax);
        }
        parser.skip_whitespace();
        // A comma promises another member.
        if parser.rest.is_empty() {
            return Err(Malformed::Syntax);
        }
    }
    Ok(Some(members))
}

/// All lines of a field as one (RFC 9651 section 4.2).
fn combined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    if lines.is_empty() { None } else { Some(lines.join(&b", "[..])) }
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.rest.strip_prefix(&[byte]) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, condition: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !condition(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_spaces(&mut self) {
        self.take_while(|byte| byte == b' ');
    }

    fn skip_whitespace(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn key(&mut self) -> Result<&'a str, Malformed> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*') {
            return Err(Malformed::Syntax);
        }
        let key = self
            .take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte));
        std::str::from_utf8(key).map_err(|_| Malformed::Syntax)
    }

    fn parameters(&mut self) -> Result<(), Malformed> {
        while self.take(b';') {
            self.skip_spaces();
            self.key()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Ok(())
    }

    fn inner_list(&mut self) -> Result<Value, Malformed> {
        self.take(b'(');
        loop {
            self.skip_spaces();
            if self.take(b')') {
                return Ok(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(Malformed::Syntax);
            }
        }
    }

    fn bare_item(&mut self) -> Result<Value, Malformed> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'?') => self.boolean(),
            Some(b'"') => self.string(),
            Some(b':') => self.byte_sequence(),
            Some(b'@') => self.date(),
            Some(b'%') => self.display_string(),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'*' => {
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                self.take_while(is_part);
                Ok(Value::Other)
            }
            _ => Err(Malformed::Syntax),
        }
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let negative = self.take(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if whole.is_empty() {
            return Err(Malformed::Syntax);
        }
        if self.take(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit());
            return match (whole.len(), fraction.len()) {
                (_, 0) => Err(Malformed::Syntax),
                (1..=12, 1..=3) => Ok(Value::Other),
                _ => Err(Malformed::TooLong),
            };
        }
        if whole.len() > 15 {
            return Err(Malformed::TooLong);
        }
        let value = whole.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        Ok(Value::Integer(if negative { -value } else { value }))
    }

    fn boolean(&mut self) -> Result<Value, Malformed> {
        self.take(b'?');
        match self.next() {
            Some(b'1') => Ok(Value::Boolean(true)),
            Some(b'0') => Ok(Value::Boolean(false)),
            _ => Err(Malformed::Syntax),
        }
    }

    fn string(&mut self) -> Result<Value, Malformed> {
        self.take(b'"');
        loop {
            match self.next().ok_or(Malformed::Syntax)? {
                b'"' => return Ok(Value::Other),
                b'\\' if matches!(self.next(), Some(b'"' | b'\\')) => {}
                b'\\' => return Err(Malformed::Syntax),
                b' '..=b'~' => {}
                _ => return Err(Malformed::Syntax),
            }
        }
    }

    fn byte_sequence(&mut self) -> Result<Value, Malformed> {
        self.take(b':');
        let text = self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        if !self.take(b':') {
            return Err(Malformed::Syntax);
        }
        base64(text).map(Value::Bytes).ok_or(Malformed::Syntax)
    }

    fn date(&mut self) -> Result<Value, Malformed> {
        self.take(b'@');
        match self.number()? {
            Value::Integer(_) => Ok(Value::Other),
            _ => Err(Malformed::Syntax),
        }
    }

    fn display_string(&mut self) -> Result<Value, Malformed> {
        self.take(b'%');
        if !self.take(b'"') {
            return Err(Malformed::Syntax);
        }
        let mut bytes = Vec::new();
        loop {
            match self.next().ok_or(Malformed::Syntax)? {
                b'"' => break,
                b'%' => bytes.push((self.hex()? << 4) | self.hex()?),
                byte @ b' '..=b'~' => bytes.push(byte),
                _ => return Err(Malformed::Syntax),
            }
        }
        std::str::from_utf8(&bytes).map(|_| Value::Other).map_err(|_| Malformed::Syntax)
    }

    /// A lower-case hexadecimal digit, as RFC 9651 section 4.2.10 has it.
    fn hex(&mut self) -> Result<u8, Malformed> {
        match self.next() {
            Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
            Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
            _ => Err(Malformed::Syntax),
        }
    }
}

/// What base64 stands for (RFC 4648 section 4). Padding may be missing, and the bits behind the last
/// byte may be anything, as RFC 9651 section 4.2.7 recommends.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
    let (digits, padding) = text.split_at(end);
    let whole = text.len() % 4 == 0 || padding.is_empty();
    if digits.len() % 4 == 1 || padding.len() > 2 || padding.iter().any(|&byte| byte != b'=') || !whole {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Syntax => "is not a structured field (RFC 9651)",
            Malformed::TooLong => "has a number with too many digits (RFC 9651 section 3.3)",
            Malformed::Type => "has a value of another type than it should have",
            Malformed::TooMany => "has too many members",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NAME: HeaderName = HeaderName::from_static("field");

    fn lines(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        }
        headers
    }

    fn one(text: &str) -> Result<Value, Malformed> {
        item(&lines(&[text]), &NAME).map(|value| value.expect("a field"))
    }

    fn keys(text: &str) -> Result<Vec<(String, Value)>, Malformed> {
        let members = dictionary(&lines(&[text]), &NAME)?.expect("a field");
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(members)
    }

    #[test]
    fn booleans() {
        assert_eq!(one("?1"), Ok(Value::Boolean(true)));
        assert_eq!(one("  ?0  "), Ok(Value::Boolean(false)));
        assert_eq!(one("?1;a;b=\"c\"; d=?0"), Ok(Value::Boolean(true)));
        for text in ["", "?", "?2", "?true", "?1 ?1", "?1,", "?1;", "?1;A", "\t?1", "?1\t", "? 1", "?10"] {
            assert_eq!(one(text), Err(Malformed::Syntax), "{text:?}");
        }
        assert_eq!(one("true").and_then(Value::boolean), Err(Malformed::Type));
        assert_eq!(one("1").and_then(Value::boolean), Err(Malformed::Type));
    }

    #[test]
    fn integers() {
        assert_eq!(one("0"), Ok(Value::Integer(0)));
        assert_eq!(one("007"), Ok(Value::Integer(7)));
        assert_eq!(one("-0"), Ok(Value::Integer(0)));
        assert_eq!(one("999999999999999").and_then(Value::count), Ok(MAX_INTEGER));
        assert_eq!(one("-999999999999999"), Ok(Value::Integer(-999_999_999_999_999)));
        assert_eq!(one("-1").and_then(Value::count), Err(Malformed::Type));
        assert_eq!(one("1.5"), Ok(Value::Other));
        for text in ["+1", "-", "--1", "1.", ".5", "1 2", "1,2", "1e3", "0x10", "1_000", "١"] {
            assert_eq!(one(text), Err(Malformed::Syntax), "{text:?}");
        }
        for text in ["1000000000000000", "18446744073709551616", "1234567890123.1", "1.2345"] {
            assert_eq!(one(text), Err(Malformed::TooLong), "{text:?}");
        }
    }

    #[test]
    fn a_field_in_several_lines_is_no_item() {
        assert_eq!(item(&lines(&[]), &NAME), Ok(None));
        assert_eq!(item(&lines(&["1", "1"]), &NAME), Err(Malformed::Syntax));
        assert_eq!(item(&lines(&["", "1"]), &NAME), Err(Malformed::Syntax));
    }

    #[test]
    fn other_types_are_checked() {
        for text in ["token", "*a/b:c", "\"a \\\" \\\\\"", "@1659578233", "%\"f%c3%bc\"", "a;q=0.5"] {
            assert_eq!(one(text), Ok(Value::Other), "{text:?}");
        }
        for text in
            ["\"a", "\"\\n\"", ":a", ":a b:", "@1.5", "%\"%C3%BC\"", "%\"%ff\"", "%a", "(1)", "ü", "{"]
        {
            assert_eq!(one(text), Err(Malformed::Syntax), "{text:?}");
        }
    }

    #[test]
    fn byte_sequences() {
        let bytes = |text: &[u8]| Ok(Value::Bytes(text.to_vec()));
        assert_eq!(one("::"), bytes(b""));
        assert_eq!(one(":YQ==:"), bytes(b"a"));
        assert_eq!(one(":YWI=:"), bytes(b"ab"));
        assert_eq!(one(":YWJj:"), bytes(b"abc"));
        assert_eq!(one(":YWI:"), bytes(b"ab"));
        assert_eq!(one(":YWJ=:"), bytes(b"ab"));
        assert_eq!(one(":+/+/;a:".replace(";a:", ":;a").as_str()), bytes(&[0xfb, 0xff, 0xbf]));
        for text in [":Y:", ":Y=:", ":YQ=:", ":YQ===:", ":====:", ":YQ=a:", ":YWJj=:", ":-_-_:"] {
            assert_eq!(one(text), Err(Malformed::Syntax), "{text:?}");
        }
    }

    #[test]
    fn dictionaries() {
        let integer = |key: &str, value| (key.to_owned(), Value::Integer(value));
        assert_eq!(keys("a=1, b=2"), Ok(vec![integer("a", 1), integer("b", 2)]));
        let three = vec![integer("*c", 3), integer("a", 1), integer("b", 2)];
        assert_eq!(keys("a=1,b=2;x=\"y\"\t,\t*c=3"), Ok(three));
        let set = |key: &str| (key.to_owned(), Value::Boolean(true));
        assert_eq!(keys("a, b;c=1"), Ok(vec![set("a"), set("b")]));
        assert_eq!(keys("a=(1 \"b\";c d);e"), Ok(vec![("a".to_owned(), Value::Other)]));
        assert_eq!(keys("a=1, a=2"), Ok(vec![integer("a", 2)]));
        assert_eq!(keys(""), Ok(vec![]));
        for text in
            ["a=1,", ",a=1", "a=", "A=1", "a=1 b=2", "a==1", "a =1", "a=1;;b", "1=a", "a=(1", "a=(1(2))"]
        {
            assert_eq!(keys(text), Err(Malformed::Syntax), "{text:?}");
        }
        let joined = dictionary(&lines(&["a=1", "b=2"]), &NAME).map(|members| members.map_or(0, |m| m.len()));
        assert_eq!(joined, Ok(2));
        let many: Vec<String> = (0..2000).map(|number| format!("k{number}")).collect();
        assert_eq!(keys(&many.join(",")), Err(Malformed::TooMany));
    }
}
