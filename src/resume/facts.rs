//! What resume data says, and what must hold for it: the same for what a task has found and for what
//! is read from bytes that anybody may have written.

use crate::download::temporary::SUFFIX;
use crate::error::{Error, ErrorKind, Result};
use crate::header::{self, quoted};
use crate::proto::validator::Validator;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::ops::Range;
use std::path::{Component, Path};
use url::Url;

/// The most headers that are stored, and the most bytes of all their names and values.
pub(super) const MOST_HEADERS: usize = 100;
const MOST_HEADER_BYTES: usize = 256 * 1024;

/// The longest URL and the longest validator, in bytes.
const LONGEST_URL: usize = 64 * 1024;
const LONGEST_VALIDATOR: usize = 8 * 1024;

/// The longest method, in bytes.
const LONGEST_METHOD: usize = 64;

/// The longest name that common file systems take, in bytes.
const LONGEST_FILE_NAME: usize = 255;

/// The most ranges of bytes that are there.
pub(super) const MOST_RANGES: usize = 4096;

/// No file has a position behind this one.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// Headers that are about one connection or one message, or that a resumed transfer sets itself.
const RESERVED: [&str; 18] = [
    "connection",
    "content-length",
    "content-range",
    "expect",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upload-complete",
    "upload-draft-interop-version",
    "upload-length",
    "upload-offset",
];

/// What resume data is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Facts {
    /// A download to a file.
    Download(DownloadFacts),
    /// A resumable upload.
    Upload(UploadFacts),
}

/// A download that broke off: a GET whose body is partly there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DownloadFacts {
    /// The URL that was asked for, before redirects.
    pub(crate) url: Url,
    /// The request's own headers, as far as they are stored.
    pub(crate) headers: HeaderMap,
    /// The version that the bytes are of.
    pub(crate) validator: Validator,
    /// The length of the whole in bytes.
    pub(crate) total: Option<u64>,
    /// The name of the partial file, without a directory.
    pub(crate) file_name: String,
    /// Which bytes of the file are there: at least one range, each with at least one byte, in order
    /// and with gaps in between.
    pub(crate) ranges: Vec<Range<u64>>,
}

/// An upload that broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadFacts {
    /// What the server gave as `Location` of the upload.
    pub(crate) resource: Url,
    /// The URL that the upload went to.
    pub(crate) url: Url,
    /// The method it was begun with.
    pub(crate) method: Method,
    /// The request's own headers, as far as they are stored.
    pub(crate) headers: HeaderMap,
    /// The length of the body in bytes.
    pub(crate) total: Option<u64>,
    /// The interop version of the draft that the server speaks.
    pub(crate) interop: u32,
}

impl DownloadFacts {
    /// How many bytes are there.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.end.saturating_sub(range.start)))
    }
}

impl Facts {
    /// The facts, if they are ones that can be stored and be acted upon.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotParseResumeData`] with the first thing that does not hold.
    pub(crate) fn checked(self) -> Result<Facts> {
        let (url, headers, total) = match &self {
            Facts::Download(facts) => (&facts.url, &facts.headers, facts.total),
            Facts::Upload(facts) => (&facts.url, &facts.headers, facts.total),
        };
        check_url(url)?;
        check_headers(headers)?;
        if total.is_some_and(|total| total > LARGEST) {
            return Err(bad("its length is larger than any file"));
        }
        match &self {
            Facts::Download(facts) => {
                check_validator(&facts.validator)?;
                check_file_name(&facts.file_name)?;
                check_ranges(&facts.ranges, total.unwrap_or(LARGEST))?;
            }
            Facts::Upload(facts) => {
                check_url(&facts.resource)?;
                if facts.method == Method::CONNECT || facts.method.as_str().len() > LONGEST_METHOD {
                    return Err(bad(format!("{} uploads nothing", quoted(facts.method.as_str()))));
                }
            }
        }
        Ok(self)
    }
}

/// A URL as it is stored: user name and password are credentials, and a fragment is never sent.
pub(crate) fn stored_url(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail only for URLs that cannot have a user name, and then there is none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

/// The headers that are stored.
pub(super) fn stored_headers(headers: &HeaderMap) -> HeaderMap {
    let mut stored = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, value)| is_stored(name, value)) {
        // What is too much of them is refused when they are checked.
        if header::append(&mut stored, name.clone(), value.clone()).is_err() {
            break;
        }
    }
    stored
}

/// The same bytes in as few ranges as there can be, in order.
pub(super) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let touches = next.start <= before.end;
        if touches {
            before.end = before.end.max(next.end);
        }
        touches
    });
    ranges
}

/// The error of resume data that cannot be used.
#[cold]
pub(super) fn bad(what: impl AsRef<str>) -> Error {
    let message = format!("reading resume data: {}; the transfer has to start anew", what.as_ref());
    Error::new(ErrorKind::CannotParseResumeData, message)
}

fn is_stored(name: &HeaderName, value: &HeaderValue) -> bool {
    !value.is_sensitive() && !header::is_secret(name) && !RESERVED.contains(&name.as_str())
}

fn check_url(url: &Url) -> Result<()> {
    let problem = if !matches!(url.scheme(), "http" | "https") {
        "is neither http nor https"
    } else if url.host_str().is_none_or(str::is_empty) {
        "has no host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "has a user name or a password, which are never stored"
    } else if url.fragment().is_some() {
        "has a fragment, which is never stored"
    } else if url.as_str().len() > LONGEST_URL {
        "is longer than 64 KiB"
    } else {
        return Ok(());
    };
    Err(bad(format!("its URL {problem}")))
}

fn check_headers(headers: &HeaderMap) -> Result<()> {
    if headers.len() > MOST_HEADERS {
        return Err(bad(format!("it has more than {MOST_HEADERS} headers")));
    }
    let mut bytes = 0usize;
    for (name, value) in headers {
        if !is_stored(name, value) {
            return Err(bad(format!("it has header `{name}`, which is never stored")));
        }
        bytes = bytes.saturating_add(name.as_str().len()).saturating_add(value.len());
    }
    if bytes > MOST_HEADER_BYTES {
        return Err(bad("its headers are larger than 256 KiB"));
    }
    Ok(())
}

fn check_validator(validator: &Validator) -> Result<()> {
    let value = validator.value();
    let is_one = match validator {
        Validator::ETag(_) => Validator::etag(value).is_some(),
        Validator::LastModified(_) => Validator::last_modified(value).is_some(),
    };
    if !is_one || value.len() > LONGEST_VALIDATOR {
        return Err(bad(format!("its {} is no strong validator", validator.name())));
    }
    Ok(())
}

/// One component of a path, on any system, and such as unfinished downloads have: whoever forged the
/// data must not lead out of the directory of the download, nor to another file in it.
fn check_file_name(name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    let is_one = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(only)), None) if only == name
    );
    let is_strange = name.contains(['/', '\\'])
        || name.chars().any(char::is_control)
        || name.trim() != name
        || (cfg!(windows) && name.contains(':'));
    if !is_one || is_strange || !name.ends_with(SUFFIX) || name.len() > LONGEST_FILE_NAME {
        return Err(bad(format!("{} is not the name of an unfinished download", quoted(name))));
    }
    Ok(())
}

fn check_ranges(ranges: &[Range<u64>], total: u64) -> Result<()> {
    if ranges.is_empty() {
        return Err(bad("no byte is there"));
    }
    if ranges.len() > MOST_RANGES {
        return Err(bad(format!("it has more than {MOST_RANGES} ranges of bytes")));
    }
    let mut before = None;
    for range in ranges {
        if range.is_empty() || before.is_some_and(|end| range.start <= end) {
            return Err(bad("its ranges of bytes are empty, overlap, touch or are out of order"));
        }
        if range.end > total {
            return Err(bad("its ranges of bytes go beyond the end"));
        }
        before = Some(range.end);
    }
    Ok(())
}
