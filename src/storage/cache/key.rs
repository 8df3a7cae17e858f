//! What an entry is found by: the URL, as far as it matters, and the name of a file made of it.

use crate::proto::xxh64::xxh64;
use std::borrow::Cow;
use std::fmt;
use url::Url;

/// The URL as the cache knows it: without the fragment, which no server sees, and without the password,
/// which is written nowhere. Another user has other pages.
pub(crate) fn url_key(url: &Url) -> Cow<'_, str> {
    if url.fragment().is_none() && url.password().is_none() {
        return url.as_str().into();
    }
    let mut url = url.clone();
    url.set_fragment(None);
    // Fails only for a URL that cannot have one.
    let _ = url.set_password(None);
    Cow::Owned(url.into())
}

/// The name of an entry: sums of its URL and of what tells the variants of that apart. Two URLs can have the
/// same, by chance or because somebody made them so; they take each other's place and are never mistaken
/// for each other, since the URL itself is compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Name {
    pub(super) url: u64,
    pub(super) variant: u64,
}

const SUFFIX: &str = ".cached";

impl Name {
    pub(super) fn of(url_key: &str, variant: &[u8]) -> Name {
        Name { url: xxh64(url_key.as_bytes()), variant: xxh64(variant) }
    }

    /// The one that a file's name stands for. `None` for files of others.
    pub(super) fn of_file(name: &str) -> Option<Name> {
        let (url, variant) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let name = Name { url: hexadecimal(url)?, variant: hexadecimal(variant)? };
        Some(name)
    }
}

/// The name of the file.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}{SUFFIX}", self.url, self.variant)
    }
}

fn hexadecimal(digits: &str) -> Option<u64> {
    let is_ours = digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let key = |url: &str| url_key(&Url::parse(url).expect("a URL")).into_owned();
        assert_eq!(key("HTTP://Example.com:80/a?b#c"), "http://example.com/a?b");
        assert_eq!(key("https://me:secret@example.com/"), "https://me@example.com/");
        assert_eq!(key("https://example.com/"), "https://example.com/");
        assert_eq!(key("own:thing#x"), "own:thing");
    }

    #[test]
    fn names_there_and_back() {
        let name = Name::of("http://example.com/", b"variant");
        assert_eq!(Name::of_file(&name.to_string()), Some(name));
        assert_eq!(
            Name::of_file(&Name { url: 0, variant: 1 }.to_string()),
            Some(Name { url: 0, variant: 1 })
        );
        let text = name.to_string();
        for other in [&text[1..], &text.to_uppercase(), "a-b.cached", "cached", "", ".cached", "-.cached"] {
            assert_eq!(Name::of_file(other), None, "{other}");
        }
    }
}
