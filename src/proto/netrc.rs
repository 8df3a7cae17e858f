//! `.netrc`: names and passwords by host, as ftp had them first, and in the form that curl reads.
//!
//! ```text
//! machine example.com login me password "with a space"    # the words may be on lines of their own
//! default login anonymous password me@
//! ```
//!
//! Words are divided by whitespace. One in double quotes may have whitespace, and `\"`, `\\`, `\n`, `\r` and
//! `\t`. What begins with `#` where a keyword may be, or at the beginning of a line, is a comment. `macdef`
//! goes to the next empty line, and is skipped, as are words that mean nothing.

use std::fmt;

/// How long a word may be, in bytes, and how many entries there may be.
const LONGEST: usize = 4096;
const MOST_ENTRIES: usize = 10_000;

/// What the file says about one host.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None` for all others.
    host: Option<String>,
    login: Option<String>,
    password: Option<String>,
}

/// Why a file cannot be read, and in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) line: usize,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A quote does not end on its line.
    OpenQuote,
    /// A word is too long.
    Long,
    /// There are too many entries.
    Many,
}

/// The entries of a file, in order.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, Malformed> {
    let mut words = Words { rest: text, line: 1, begins_line: true };
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(word) = words.next()? {
        if !word.is_quoted && word.text.starts_with('#') {
            words.skip_line();
            continue;
        }
        let keyword = if word.is_quoted { String::new() } else { word.text.to_ascii_lowercase() };
        let entry = match keyword.as_str() {
            "machine" => Entry { host: words.value()?, ..Entry::default() },
            "default" => Entry::default(),
            "macdef" => {
                words.skip_macro();
                continue;
            }
            "login" | "user" | "password" | "passwd" | "account" => {
                let value = words.value()?;
                match (keyword.as_str(), entries.last_mut()) {
                    ("login" | "user", Some(entry)) => entry.login = value,
                    ("password" | "passwd", Some(entry)) => entry.password = value,
                    _ => {}
                }
                continue;
            }
            _ => continue,
        };
        // `machine` at the end of the file names none.
        if keyword == "machine" && entry.host.is_none() {
            break;
        }
        if entries.len() >= MOST_ENTRIES {
            return Err(words.malformed(Why::Many));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// User name and password for a host, and for a certain user if there is one: of the first entry that is for
/// them. One without a name is for any user.
pub(crate) fn find<'a>(
    entries: &'a [Entry],
    host: &str,
    user: Option<&'a str>,
) -> Option<(&'a str, &'a str)> {
    let is_it = |entry: &&Entry| {
        let host = entry.host.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(host));
        let user = user.is_none_or(|user| entry.login.as_ref().is_none_or(|login| login == user));
        host && user && (entry.login.is_some() || entry.password.is_some())
    };
    let entry = entries.iter().find(is_it)?;
    let login = user.or(entry.login.as_deref()).unwrap_or_default();
    Some((login, entry.password.as_deref().unwrap_or_default()))
}

struct Words<'a> {
    rest: &'a str,
    line: usize,
    /// Nothing but whitespace has come on this line.
    begins_line: bool,
}

struct Word {
    text: String,
    is_quoted: bool,
}

impl Words<'_> {
    /// The next word, if there is one.
    fn next(&mut self) -> Result<Option<Word>, Malformed> {
        self.skip_whitespace();
        self.begins_line = false;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if first == '"' {
            return self.quoted().map(|text| Some(Word { text, is_quoted: true }));
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if text.len() > LONGEST {
            // A comment may be as long as it likes.
            return if first == '#' {
                Ok(Some(Word { text: "#".to_owned(), is_quoted: false }))
            } else {
                Err(self.malformed(Why::Long))
            };
        }
        Ok(Some(Word { text: text.to_owned(), is_quoted: false }))
    }

    /// The word behind a keyword. It may begin with `#`, unless it is on a line of its own.
    fn value(&mut self) -> Result<Option<String>, Malformed> {
        loop {
            self.skip_whitespace();
            let begins_line = self.begins_line;
            match self.next()? {
                Some(word) if begins_line && !word.is_quoted && word.text.starts_with('#') => {
                    self.skip_line();
                }
                word => return Ok(word.map(|word| word.text)),
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        loop {
            let character = match chars.next() {
                None | Some('\n') => return Err(self.malformed(Why::OpenQuote)),
                Some('"') => break,
                Some('\\') => match chars.next() {
                    None | Some('\n') => return Err(self.malformed(Why::OpenQuote)),
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(other) => other,
                },
                Some(other) => other,
            };
            text.push(character);
            if text.len() > LONGEST {
                return Err(self.malformed(Why::Long));
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }

    fn skip_whitespace(&mut self) {
        let end = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
        let (skipped, rest) = self.rest.split_at(end);
        let lines = skipped.matches('\n').count();
        self.line += lines;
        self.begins_line |= lines > 0;
        self.rest = rest;
    }

    /// To the end of the line, which stays.
    fn skip_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or_default();
    }

    /// Behind the next empty line.
    fn skip_macro(&mut self) {
        self.skip_line();
        while let Some(line) = self.rest.strip_prefix('\n') {
            self.line += 1;
            self.begins_line = true;
            self.rest = line;
            let end = line.find('\n').unwrap_or(line.len());
            if line.get(..end).is_some_and(|line| line.trim().is_empty()) {
                break;
            }
            self.skip_line();
        }
    }

    fn malformed(&self, why: Why) -> Malformed {
        Malformed { line: self.line, why }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::OpenQuote => "a quote has no end",
            Why::Long => "a word is longer than 4,096 bytes",
            Why::Many => "there are more than 10,000 entries",
        };
        write!(f, "line {}: {why}", self.line)
    }
}

impl fmt::Debug for Entry {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str, host: &str) -> Option<(String, String)> {
        look_for(text, host, None)
    }

    fn look_for(text: &str, host: &str, user: Option<&str>) -> Option<(String, String)> {
        let entries = parse(text).expect("well-formed");
        find(&entries, host, user).map(|(login, password)| (login.to_owned(), password.to_owned()))
    }

    fn pair(login: &str, password: &str) -> Option<(String, String)> {
        Some((login.to_owned(), password.to_owned()))
    }

    #[test]
    fn words_on_one_line_or_many() {
        for text in [
            "machine h login me password secret",
            "machine h\n\tlogin me\r\n\n password\n\n secret\n",
            "MACHINE h Login me PASSWORD secret account x",
            "machine other login x password y machine h password secret user me",
            "nonsense machine h account a login me passwd secret",
        ] {
            assert_eq!(look(text, "h"), pair("me", "secret"), "{text:?}");
            assert_eq!(look(text, "H"), pair("me", "secret"));
            assert_eq!(look(text, "www.h"), None);
        }
        assert_eq!(look("", "h"), None);
    }

    #[test]
    fn quotes_and_escapes() {
        let text = r#"machine "h" login "a b\"c\\d" password "\n\r\t\x #""#;
        assert_eq!(look(text, "h"), pair("a b\"c\\d", "\n\r\tx #"));
        assert_eq!(look(r#"machine h login me password """#, "h"), pair("me", ""));
        // Inside a word a quote and a backslash are what they are, and a keyword in quotes is none.
        assert_eq!(look(r#"machine h login a"b password c\d "machine" x"#, "h"), pair("a\"b", "c\\d"));
        assert_eq!(look(r#"machine h "login" me password x"#, "h"), pair("", "x"));
    }

    #[test]
    fn comments() {
        let text = "# machine h login no password no\n\
                    machine h # login no\n#password no\n login me\n  # x \"open\n password\n#no\n #secret\n secret";
        assert_eq!(look(text, "h"), pair("me", "secret"));
        assert_eq!(look("machine h login me password #secret", "h"), pair("me", "#secret"));
        assert_eq!(look(&format!("#{}\nmachine h login me", "x".repeat(10_000)), "h"), pair("me", ""));
    }

    #[test]
    fn macros_are_skipped() {
        let text = "macdef init\ncd /\nmachine h login no password no\n\nmachine h login me password secret";
        assert_eq!(look(text, "h"), pair("me", "secret"));
        let text =
            "machine h login me password secret macdef x\r\nmachine g\r\n\r\nmachine i login you\nmacdef y\n";
        assert_eq!(look(text, "h"), pair("me", "secret"));
        assert_eq!(look(text, "g"), None);
        assert_eq!(look(text, "i"), pair("you", ""));
        assert_eq!(look("macdef x", "h"), None);
    }

    #[test]
    fn default_is_for_all_others() {
        let text = "machine h login me password a default login any password b machine i login x";
        assert_eq!(look(text, "h"), pair("me", "a"));
        assert_eq!(look(text, "g"), pair("any", "b"));
        // It is the last that counts.
        assert_eq!(look(text, "i"), pair("any", "b"));
    }

    #[test]
    fn several_users_of_a_host() {
        let text = "machine h login a password 1 machine h login b password 2 machine h password 3 machine g";
        assert_eq!(look(text, "h"), pair("a", "1"));
        assert_eq!(look_for(text, "h", Some("b")), pair("b", "2"));
        assert_eq!(look_for(text, "h", Some("c")), pair("c", "3"));
        assert_eq!(look_for(text, "g", Some("a")), None);
    }

    #[test]
    fn what_is_cut_short() {
        for text in ["machine", "machine h", "machine h login", "login me password x", "default"] {
            assert_eq!(look(text, "h"), None, "{text}");
        }
        assert_eq!(look("machine h login me password", "h"), pair("me", ""));
    }

    #[test]
    fn what_is_malformed() {
        let why = |text: &str| parse(text).expect_err("malformed");
        assert_eq!(why("machine h\nlogin \"me"), Malformed { line: 2, why: Why::OpenQuote });
        assert_eq!(why("machine h\n\nlogin \"me\n\" password x"), Malformed { line: 3, why: Why::OpenQuote });
        assert_eq!(why("machine h login \"\\"), Malformed { line: 1, why: Why::OpenQuote });
        assert_eq!(why(&format!("machine {}", "x".repeat(4097))).why, Why::Long);
        assert_eq!(why(&format!("machine \"{}\"", "ü".repeat(2049))).why, Why::Long);
        assert_eq!(why(&"machine h ".repeat(10_001)).why, Why::Many);
        assert!(!format!("{:?}", parse("machine h password hidden").expect("one")).contains("hidden"));
    }
}
