//! What goes over standard input and output: [`Order`] and [`Answer`], and how bytes are text there.
//! Knows nothing of sessions.

use serde::{Deserialize, Serialize};

/// A request.
#[derive(Debug, Deserialize)]
pub struct Order {
    /// What its answer is called.
    pub id: u64,
    /// The method as it was given.
    #[serde(default = "get")]
    pub method: String,
    /// The URL.
    pub url: String,
    /// Names and values, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body, a byte a character.
    pub body: Option<String>,
    /// How the cache is used.
    #[serde(default)]
    pub cache: Mode,
    /// What is done about redirects.
    #[serde(default)]
    pub redirect: Redirect,
}

/// What the Fetch standard calls the cache mode.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As HTTP has it.
    #[default]
    Default,
    /// Not at all.
    NoStore,
    /// What is there is not looked at, but replaced.
    Reload,
    /// What is there is validated first.
    NoCache,
    /// What is there is taken, however old it is.
    ForceCache,
    /// Nothing else is taken.
    OnlyIfCached,
}

/// What the Fetch standard calls the redirect mode.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirect {
    /// They are followed.
    #[default]
    Follow,
    /// They are the answer.
    Manual,
}

/// What came of a request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A response.
    Ended {
        /// The request's.
        id: u64,
        /// The status code.
        status: u16,
        /// The URL that it is of, after redirects.
        url: String,
        /// Names and values, in order.
        headers: Vec<(String, String)>,
        /// The body in base64.
        body: String,
        /// What the cache did.
        source: String,
    },
    /// None.
    Failed {
        /// The request's.
        id: u64,
        /// Why.
        error: String,
    },
}

fn get() -> String {
    "GET".to_owned()
}

/// Bytes as text, each a character.
pub fn to_latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes behind [`to_latin1`]; what is no byte is a question mark.
pub fn from_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
}

/// RFC 4648, section 4.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_latin1(&to_latin1(&all)), all);
        assert_eq!(from_latin1("a\u{2713}"), b"a?");
    }

    #[test]
    fn base64_has_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
