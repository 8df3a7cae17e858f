//! What a request is sent to: from what a user gives for a URL to one that a task can load, with
//! errors that help and do not tell secrets.

use crate::error::{Error, ErrorKind, Result};
use crate::header::quoted;
use url::{ParseError, Url};

/// What can be given for a URL. What is malformed becomes an error of the task.
///
/// `&str`, `String`, [`Url`], [`http::Uri`], and the `Result` of [`Url::join`] and the like.
pub trait IntoUrl: sealed::Sealed {
    /// The URL, or what is wrong with it.
    #[doc(hidden)]
    fn into_url(self) -> Result<Url>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! into_url {
    ($($type:ty, $given:ident => $url:expr;)*) => { $(
        impl sealed::Sealed for $type {}

        impl IntoUrl for $type {
            fn into_url(self) -> Result<Url> {
                let $given = self;
                $url
            }
        }

        impl From<$type> for super::Request {
            /// A GET request.
            fn from(url: $type) -> Self {
                super::Request::get(url)
            }
        }
    )* };
}

into_url! {
    &str, text => parse(text);
    // What an iteration over an array of them gives.
    &&str, text => parse(text);
    String, text => parse(&text);
    &String, text => parse(text);
    Url, url => Ok(url);
    &Url, url => Ok(url.clone());
    http::Uri, uri => parse(&uri.to_string());
    &http::Uri, uri => parse(&uri.to_string());
    std::result::Result<Url, ParseError>, result => {
        result.map_err(|reason| Error::new(ErrorKind::BadUrl, format!("not a URL: {reason}")))
    };
}

fn parse(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|reason| malformed(text, reason))
}

/// Checks what no loader would take. Host names are in a URL of these schemes, or it did not parse.
pub(super) fn loadable(url: &Url) -> Result<()> {
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "data" | "file" => return Ok(()),
        _ => return Err(unsupported(url)),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Error::new(ErrorKind::BadUrl, "the URL has no host").with_url(url));
    }
    Ok(())
}

#[cold]
fn malformed(text: &str, reason: ParseError) -> Error {
    let shown = redacted_text(text);
    let message = match reason {
        _ if text.trim().is_empty() => "the URL is empty".to_owned(),
        ParseError::RelativeUrlWithoutBase => match suggestion(&shown) {
            Some(url) => format!("{} has no scheme; did you mean {}?", quoted(&shown), quoted(&url)),
            None => format!("{} is relative; a task needs a whole URL, https://…", quoted(&shown)),
        },
        _ => format!("{} is not a URL: {reason}", quoted(&shown)),
    };
    Error::new(ErrorKind::BadUrl, message)
}

#[cold]
fn unsupported(url: &Url) -> Error {
    let scheme = quoted(url.scheme());
    if url.scheme() == "https" {
        let message = "https needs the feature `tls` of the crate urlsession, which is off";
        return Error::new(ErrorKind::UnsupportedUrl, message).with_url(url);
    }
    let message = format!("no loader for scheme {scheme}; http, https, data and file are supported");
    if !url.cannot_be_a_base() {
        return Error::new(ErrorKind::UnsupportedUrl, message).with_url(url);
    }
    // `localhost:8080/x` is a URL of scheme `localhost`. Nothing behind the scheme is shown
    // otherwise: in `user:password@host` that would be the password.
    let port = url.path().split('/').next().unwrap_or_default();
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let meant = format!("http://{}:{}", url.scheme(), url.path());
        return Error::new(ErrorKind::UnsupportedUrl, format!("{message}; did you mean {}?", quoted(&meant)));
    }
    Error::new(ErrorKind::UnsupportedUrl, message)
}

/// The whole URL that was perhaps meant by one without a scheme.
fn suggestion(shown: &str) -> Option<String> {
    let rest = shown.trim().trim_start_matches("//");
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let is_name = host.contains('.') && !host.starts_with('.') && host.bytes().all(is_host_byte);
    (is_name || host == "localhost").then(|| format!("https://{rest}"))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

/// The text of something that is not a URL, without what would be user name, password, query and
/// fragment if it were one.
fn redacted_text(text: &str) -> String {
    let (scheme, rest) = match text.find("//") {
        Some(at) => text.split_at(at + 2),
        None => ("", text),
    };
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // An `@` later on may end a password that has a `/` or `?` in it: show none of it then.
    if path.contains('@') {
        return format!("{scheme}…");
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = text.into_url().and_then(|url| loadable(&url)).expect_err(text);
        assert!(matches!(error.kind(), ErrorKind::BadUrl | ErrorKind::UnsupportedUrl));
        error.to_string()
    }

    #[test]
    fn malformed_urls_are_named_with_the_reason() {
        assert_eq!(
            refused("http://example.com:99999/x"),
            "`http://example.com:99999/x` is not a URL: invalid port number (BadUrl)"
        );
        assert_eq!(refused("http://"), "`http://` is not a URL: empty host (BadUrl)");
        assert_eq!(refused(" "), "the URL is empty (BadUrl)");
        assert!(refused("http://[::1/").contains("invalid IPv6 address"));
        assert!(refused(&format!("http://a b/{}", "x".repeat(1000))).len() < 300);
        assert!(refused("http://a b\n\u{1b}[31m/").contains(r"\n\u{1b}[31m"));
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let meant = |text| refused(text).split("did you mean ").nth(1).map(str::to_owned);
        assert_eq!(meant("example.com/x").as_deref(), Some("`https://example.com/x`? (BadUrl)"));
        assert_eq!(meant("//example.com/x").as_deref(), Some("`https://example.com/x`? (BadUrl)"));
        assert_eq!(meant("localhost:8080/x").as_deref(), Some("`http://localhost:8080/x`? (UnsupportedUrl)"));
        assert_eq!(meant("example.com:80").as_deref(), Some("`http://example.com:80`? (UnsupportedUrl)"));
        assert_eq!(refused("/x"), "`/x` is relative; a task needs a whole URL, https://… (BadUrl)");
        assert_eq!(meant("../x"), None);
    }

    #[test]
    fn other_schemes_have_no_loader() {
        assert_eq!(
            refused("gopher://example.com/"),
            "no loader for scheme `gopher`; http, https, data and file are supported (UnsupportedUrl) [gopher://example.com/]"
        );
        for text in ["javascript:alert(1)", "ftp://h/", "filesystem:http://h/x"] {
            assert!(refused(text).contains("no loader for scheme"), "{text}");
        }
        assert!(loadable(&Url::parse("data:,x").expect("a URL")).is_ok());
        assert!(loadable(&Url::parse("file:///x").expect("a URL")).is_ok());
        assert!(loadable(&Url::parse("http://h/").expect("a URL")).is_ok());
        assert_eq!(loadable(&Url::parse("https://h/").expect("a URL")).is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn secrets_stay_out_of_messages() {
        for text in [
            "https://me:secret@example.com:99999/x",
            "https://me:secret@x@example.com:99999/x",
            "https://me:sec/secret@example.com/x",
            "https://me:sec?secret@example.com/x",
            "https://example.com:99999/x?token=secret",
            "https://example.com:99999/x#secret",
            "https://example.com:99999/?mail=a@b&token=secret",
            "me:secret@example.com/x",
            "example.com/x?token=secret",
            "gopher://me:secret@example.com/?secret",
        ] {
            assert!(!refused(text).contains("secret"), "{text}: {}", refused(text));
        }
    }
}
