//! `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110 section 11.6): several challenges in one field,
//! or in many, each with a token68 or with parameters.
//!
//! ```text
//! Digest realm="a, b", nonce="x", Negotiate, Newauth dG9rZW4=, Basic realm=c
//! └──────────────────────────┘    └───────┘  └──────────────┘  └───────────┘
//! ```
//!
//! A comma divides parameters and challenges alike; what follows it is a parameter if it has a `=` behind
//! its first word. A challenge that is malformed is left out, and the next one taken. What is read
//! leniently, since servers are as they are: empty list elements, characters in an unquoted value that
//! belong into a quoted one, and text that is not UTF-8.

use crate::header::decoded;
use http::header::{HeaderMap, HeaderName};

/// The most challenges that are looked at. What is behind them is left out.
pub(crate) const MOST_CHALLENGES: usize = 32;

/// The most parameters that a challenge may have.
pub(crate) const MOST_PARAMETERS: usize = 64;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthChallenge {
    /// The scheme, as it is written; its case does not matter.
    pub(crate) scheme: String,
    /// What stands in place of parameters, if it does.
    pub(crate) token68: Option<String>,
    /// The parameters in order, their names in lower case, each of them once, values unquoted.
    pub(crate) parameters: Vec<(String, String)>,
    /// What is behind the scheme, as it is written.
    pub(crate) rest: String,
    /// The field was not UTF-8, and each of its bytes is a character of the values.
    pub(crate) is_latin1: bool,
}

impl AuthChallenge {
    /// Whether it is of this scheme.
    pub(crate) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter. `name` is in lower case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The bytes that a value was sent as.
    pub(crate) fn bytes(&self, value: &str) -> Vec<u8> {
        if self.is_latin1 {
            // Each character was made of a byte.
            value.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
        } else {
            value.as_bytes().to_vec()
        }
    }
}

/// The challenges in all fields of a name, in order.
pub(crate) fn challenges(headers: &HeaderMap, name: &HeaderName) -> Vec<AuthChallenge> {
    let mut found = Vec::new();
    for value in headers.get_all(name) {
        let text = decoded(value);
        let is_latin1 = matches!(text, std::borrow::Cow::Owned(_));
        Parser { text: &text, at: 0 }.challenges(is_latin1, &mut found);
        if found.len() >= MOST_CHALLENGES {
            log::debug!("{name} has more than {MOST_CHALLENGES} challenges; the rest is left out");
            found.truncate(MOST_CHALLENGES);
            break;
        }
    }
    found
}

/// Parameters that have no scheme, as in `Authentication-Info` (RFC 7615). `None` if they are malformed.
pub(crate) fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut parser = Parser { text, at: 0 };
    let mut parameters = Vec::new();
    loop {
        parser.skip_separators();
        if parser.is_at_end() {
            return Some(parameters);
        }
        let name = parser.token()?;
        let value = parser.value()?;
        add(&mut parameters, name, value)?;
        parser.end_of_element()?;
    }
}

/// Adds a parameter, which must not be there already (RFC 9110 section 11.2).
fn add(parameters: &mut Vec<(String, String)>, name: &str, value: String) -> Option<()> {
    let name = name.to_ascii_lowercase();
    if parameters.len() >= MOST_PARAMETERS || parameters.iter().any(|(other, _)| *other == name) {
        return None;
    }
    parameters.push((name, value));
    Some(())
}

/// Reads a field from left to right. All that it stops at is ASCII, so that positions are always between
/// characters.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// The challenge that is being read.
struct Current {
    challenge: AuthChallenge,
    /// Where what is behind its scheme begins.
    rest: usize,
    sound: bool,
}

impl<'a> Parser<'a> {
    fn challenges(mut self, is_latin1: bool, found: &mut Vec<AuthChallenge>) {
        let mut current: Option<Current> = None;
        loop {
            let end = self.at;
            self.skip_separators();
            let at_end = self.is_at_end();
            let word = self.token().filter(|_| !at_end);
            let names_parameter = word.is_some() && self.names_parameter();
            if at_end || (word.is_some() && !names_parameter) {
                self.finish(current.take(), end, found);
                if found.len() > MOST_CHALLENGES {
                    return;
                }
            }
            if at_end {
                return;
            }
            let sound = match (word, names_parameter) {
                (None, _) => None,
                (Some(scheme), false) => {
                    let (new, end) = self.begin(scheme, is_latin1);
                    current = Some(new);
                    end
                }
                (Some(name), true) => self.value().and_then(|value| {
                    let current = current.as_mut()?;
                    // There is either a token68 or parameters.
                    if current.challenge.token68.is_some() {
                        return None;
                    }
                    add(&mut current.challenge.parameters, name, value)
                }),
            };
            if sound.and_then(|()| self.end_of_element()).is_none() {
                if let Some(current) = &mut current {
                    current.sound = false;
                }
                self.skip_element();
            }
        }
    }

    /// A scheme was read: with what may directly stand behind it. `None` beside it if that is not well-formed.
    fn begin(&mut self, scheme: &str, is_latin1: bool) -> (Current, Option<()>) {
        let spaced = self.skip_whitespace();
        let rest = self.at;
        let mut challenge = AuthChallenge {
            scheme: scheme.to_owned(),
            token68: None,
            parameters: Vec::new(),
            rest: String::new(),
            is_latin1,
        };
        let sound = match self.peek() {
            None | Some(b',') => Some(()),
            Some(_) if !spaced => None,
            Some(_) => match self.token68() {
                Some(token) => {
                    challenge.token68 = Some(token.to_owned());
                    Some(())
                }
                None => self.token().and_then(|name| {
                    let value = self.names_parameter().then(|| self.value()).flatten()?;
                    add(&mut challenge.parameters, name, value)
                }),
            },
        };
        (Current { challenge, rest, sound: true }, sound)
    }

    /// The challenge that ends before `end` is complete.
    fn finish(&self, current: Option<Current>, end: usize, found: &mut Vec<AuthChallenge>) {
        let Some(Current { mut challenge, rest, sound }) = current else { return };
        if !sound {
            log::debug!("a malformed challenge of scheme {:?} is left out", challenge.scheme);
            return;
        }
        challenge.rest =
            self.text.get(rest..end).unwrap_or_default().trim_end_matches([' ', '\t']).to_owned();
        found.push(challenge);
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Takes the bytes that are of this kind, and gives them.
    fn take(&mut self, is: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&byte| !is(byte)).unwrap_or(rest.len());
        let taken = self.text.get(self.at..self.at + len).unwrap_or_default();
        self.at += len;
        taken
    }

    fn skip_whitespace(&mut self) -> bool {
        !self.take(|byte| byte == b' ' || byte == b'\t').is_empty()
    }

    fn skip_separators(&mut self) {
        self.take(|byte| matches!(byte, b' ' | b'\t' | b','));
    }

    /// An element ends here, with a comma or the field.
    fn end_of_element(&mut self) -> Option<()> {
        self.skip_whitespace();
        matches!(self.peek(), None | Some(b',')).then_some(())
    }

    /// Goes to the end of an element that is malformed. A comma in quotes is not its end.
    fn skip_element(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b',' => return,
                b'"' => {
                    if self.quoted().is_none() {
                        self.at = self.text.len();
                    }
                }
                _ => {
                    self.at += 1;
                    self.take(|byte| byte != b',' && byte != b'"');
                }
            }
        }
    }

    /// RFC 9110 section 5.6.2.
    fn token(&mut self) -> Option<&'a str> {
        let token = self.take(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        (!token.is_empty()).then_some(token)
    }

    /// Whether the word before is the name of a parameter.
    fn names_parameter(&mut self) -> bool {
        let before = self.at;
        self.skip_whitespace();
        let names = self.peek() == Some(b'=');
        self.at = before;
        names
    }

    /// RFC 9110 section 11.2. It is one only if nothing else is in the element.
    fn token68(&mut self) -> Option<&'a str> {
        let before = self.at;
        let digits = self.take(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        self.take(|byte| byte == b'=');
        let token = self.text.get(before..self.at);
        if !digits.is_empty() && self.end_of_element().is_some() {
            return token;
        }
        self.at = before;
        None
    }

    /// The `=` and the value behind a parameter's name.
    fn value(&mut self) -> Option<String> {
        self.skip_whitespace();
        if self.peek() != Some(b'=') {
            return None;
        }
        self.at += 1;
        self.skip_whitespace();
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let value = self.take(|byte| !matches!(byte, b' ' | b'\t' | b',' | b'"'));
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// A quoted string (RFC 9110 section 5.6.4), without its quotes and escapes. `None` if it does not
    /// end.
    fn quoted(&mut self) -> Option<String> {
        self.at += 1;
        let mut value = String::new();
        loop {
            value.push_str(self.take(|byte| byte != b'"' && byte != b'\\'));
            let escaped = self.peek()? == b'\\';
            self.at += 1;
            if !escaped {
                return Some(value);
            }
            let character = self.text.get(self.at..)?.chars().next()?;
            value.push(character);
            self.at += character.len_utf8();
        }
    }
}

#[cfg(test)]
mod tests;
