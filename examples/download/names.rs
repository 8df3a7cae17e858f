//! The names of files. What a server says about them is taken only as far as it leads nowhere else.

use crate::exit::{Exit, Failure};
use std::path::Path;
use urlsession::{ResponseHead, Url};

/// What a URL is called whose path has no last part.
const NAMELESS: &str = "index.html";
/// What the library suggests where it knows none.
const UNKNOWN: &str = "Unknown";

/// The name that a download has while nothing is known but its URL: the same each time, so that a
/// later run finds what an earlier one left.
pub fn provisional(url: &str) -> Result<String, Failure> {
    let parsed = Url::parse(url)
        .map_err(|error| Failure::new(Exit::MalformedUrl, format!("{url:?} is not a URL: {error}")))?;
    let last = parsed.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
    // A parsed path has no parts `.` and `..`, and a `/` in a part is encoded.
    Ok(match last {
        Some(name) if !name.contains(['\\', ':']) || cfg!(unix) => name.to_owned(),
        _ => NAMELESS.to_owned(),
    })
}

/// The name that the response gives the file.
pub fn suggested(head: &ResponseHead) -> String {
    match head.suggested_filename() {
        name if name == UNKNOWN => NAMELESS.to_owned(),
        name => name,
    }
}

/// Whether there is something already, be it a link that leads nowhere.
pub fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
