//! Text from bytes by the name of a charset. UTF-8, and the one-byte charsets whose names servers
//! give by habit; others need a table each and are an error that names them.

use std::borrow::Cow;

/// A charset that text can be decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    /// Also what `ISO-8859-1` and `US-ASCII` stand for: the WHATWG Encoding Standard has all three
    /// as one, because pages that name one of them are written in this.
    Windows1252,
}

impl Charset {
    /// The charset of a label in lower case.
    pub(crate) fn of(label: &str) -> Option<Self> {
        match label {
            "utf-8" | "utf8" | "unicode-1-1-utf-8" | "x-unicode20utf8" => Some(Charset::Utf8),
            "windows-1252" | "cp1252" | "x-cp1252" | "iso-8859-1" | "iso8859-1" | "iso88591"
            | "iso_8859-1" | "iso_8859-1:1987" | "iso-ir-100" | "latin1" | "l1" | "cp819" | "ibm819"
            | "csisolatin1" | "us-ascii" | "ascii" | "ansi_x3.4-1968" => Some(Charset::Windows1252),
            _ => None,
        }
    }
}

/// What is behind a UTF-8 byte order mark, if there is one.
pub(crate) fn without_mark(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b"\xef\xbb\xbf")
}

/// Every byte is some character in windows-1252, so this cannot fail.
pub(crate) fn windows_1252(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(windows_1252_char).collect()),
    }
}

/// ISO-8859-1 but for 0x80 to 0x9F, of which five stay controls.
fn windows_1252_char(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let high = byte.checked_sub(0x80).and_then(|at| HIGH.get(usize::from(at)));
    high.copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_1252_differs_from_latin_1_where_it_should() {
        assert_eq!(windows_1252(b"a\x80\x9f\xa0\xe4\xff\x81"), "a€Ÿ\u{a0}äÿ\u{81}");
        assert!(matches!(windows_1252(b"plain"), Cow::Borrowed("plain")));
        // Valid UTF-8 is not looked upon as such when the server says otherwise.
        assert_eq!(windows_1252("ä".as_bytes()), "Ã¤");
    }

    #[test]
    fn labels() {
        assert_eq!(Charset::of("utf-8"), Some(Charset::Utf8));
        assert_eq!(Charset::of("latin1"), Some(Charset::Windows1252));
        assert_eq!(Charset::of("us-ascii"), Some(Charset::Windows1252));
        assert_eq!(Charset::of("shift_jis"), None);
    }
}
