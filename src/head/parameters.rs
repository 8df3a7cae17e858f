//! Parameters of a header value: `; name=value; name="quoted value"` (RFC 9110 section 5.6.6),
//! read leniently, because what servers send is what it is.

use std::borrow::Cow;

/// The parameters behind the first `;` of a header value, in order. Names keep their case.
pub(crate) struct Parameters<'a> {
    rest: &'a str,
}

impl<'a> Parameters<'a> {
    pub(crate) fn of(value: &'a str) -> Self {
        Parameters { rest: value.split_once(';').map_or("", |(_, rest)| rest) }
    }

    /// The first parameter of a name, whatever its case.
    pub(crate) fn named(mut self, name: &str) -> Option<Cow<'a, str>> {
        self.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start_matches([';', ' ', '\t']);
            if self.rest.is_empty() {
                return None;
            }
            let end = self.rest.find(['=', ';']).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            let Some(value) = rest.strip_prefix('=') else {
                // A name without a value is no parameter.
                self.rest = rest;
                continue;
            };
            let value = value.trim_start_matches([' ', '\t']);
            let (value, rest) = match value.strip_prefix('"') {
                Some(quoted) => unquote(quoted),
                None => {
                    let (value, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
                    (Cow::Borrowed(value.trim()), rest)
                }
            };
            // What stands between a closing quote and the next `;` belongs to nothing.
            self.rest = rest.find(';').map_or("", |at| rest.get(at..).unwrap_or(""));
            return Some((name.trim(), value));
        }
    }
}

/// Reads up to the closing quote, or to the end if there is none; gives what is behind it too.
fn unquote(text: &str) -> (Cow<'_, str>, &str) {
    match text.split_once('"') {
        None if !text.contains('\\') => return (Cow::Borrowed(text), ""),
        Some((value, rest)) if !value.contains('\\') => return (Cow::Borrowed(value), rest),
        _ => {}
    }
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (Cow::Owned(value), chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &str) -> Vec<(String, String)> {
        Parameters::of(value).map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn tokens_and_quoted_strings() {
        assert_eq!(all("text/html"), []);
        assert_eq!(all("text/html;"), []);
        assert_eq!(all("text/html; charset=utf-8"), pairs(&[("charset", "utf-8")]));
        assert_eq!(all("a;b=1 ; c = \"2;3\" ;d=4"), pairs(&[("b", "1"), ("c", "2;3"), ("d", "4")]));
        assert_eq!(all(r#"a; b="x\"y\\z"; c=d"#), pairs(&[("b", r#"x"y\z"#), ("c", "d")]));
    }

    #[test]
    fn malformed_ones_do_no_harm() {
        assert_eq!(all("a;;; b; =; c=1"), pairs(&[("", ""), ("c", "1")]));
        assert_eq!(all(r#"a; b="open; c=1"#), pairs(&[("b", "open; c=1")]));
        assert_eq!(all(r#"a; b="open\"#), pairs(&[("b", "open")]));
        assert_eq!(all(r#"a; b="x"junk; c=1"#), pairs(&[("b", "x"), ("c", "1")]));
        assert_eq!(all("a; b=ü; ü=1"), pairs(&[("b", "ü"), ("ü", "1")]));
    }

    #[test]
    fn names_are_found_in_any_case_and_the_first_wins() {
        let value = "a; Charset=X; charset=y";
        assert_eq!(Parameters::of(value).named("charset").as_deref(), Some("X"));
        assert_eq!(Parameters::of(value).named("boundary"), None);
    }
}
