//! `file:` URLs: the path, a file that can be read without waiting for somebody to write it, and the
//! part of it that was asked for.

use super::{Contents, Found, mime};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::date::to_imf_fixdate;
use crate::sys::file::open_without_waiting;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use url::Url;

/// The rest of a file that is being read.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: File,
    path: PathBuf,
    /// How much is still to be read; `None` where only the end tells.
    left: Option<u64>,
}

/// The part of a file that a `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    /// From one byte to another, both included.
    Of(u64, u64),
    /// None that there is.
    Unsatisfiable,
}

/// The file of a `file:` URL.
pub(super) fn find(url: &Url, asked: &HeaderMap) -> Result<Found> {
    let path = path(url)?;
    let (mut file, metadata) = open(&path)?;
    let failed = |error| Error::file(ErrorKind::CannotOpenFile, "reading", &path, error);
    // What a file system makes up when it is read, such as that of processes, has no length.
    let made_up = metadata.len() == 0 && file.read(&mut [0]).map_err(failed)? > 0;
    let mut headers = HeaderMap::new();
    let media_type = path.extension().and_then(|extension| mime::for_extension(extension.to_str()?));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type.unwrap_or("application/octet-stream")));
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|since| to_imf_fixdate(since.as_secs()));
    if let Some(modified) = modified.and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(LAST_MODIFIED, modified);
    }
    if made_up {
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let body = Contents::File(FileBody { file, path, left: None });
        return Ok(Found { status: StatusCode::OK, headers, length: None, body, scheme: "file" });
    }
    let all = metadata.len();
    let (status, from, length) = match part(asked, &headers, all) {
        Part::All => (StatusCode::OK, 0, all),
        Part::Of(first, last) => {
            set(&mut headers, format!("bytes {first}-{last}/{all}"));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Part::Unsatisfiable => {
            set(&mut headers, format!("bytes */{all}"));
            (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0)
        }
    };
    if from > 0 {
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
    }
    let body = if length == 0 {
        Contents::Memory(Bytes::new())
    } else {
        Contents::File(FileBody { file, path, left: Some(length) })
    };
    Ok(Found { status, headers, length: Some(length), body, scheme: "file" })
}

/// Opens a file for reading, if it is one. Pipes and devices are none: opening the one may wait for
/// a writer, and the other may do something.
fn open(path: &Path) -> Result<(File, Metadata)> {
    let failed = |error| Error::file(ErrorKind::CannotOpenFile, "opening", path, error);
    regular(path, &std::fs::metadata(path).map_err(failed)?)?;
    // Something else may have taken its place since.
    let file = open_without_waiting(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    regular(path, &metadata)?;
    Ok((file, metadata))
}

impl FileBody {
    /// How much is still to be read, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Reads some of the rest to the end of a vector, as much as it has room for and no more than
    /// `most`. 0 at the end.
    pub(crate) fn read_vec(&mut self, target: &mut Vec<u8>, most: u64) -> Result<usize> {
        let room = (target.capacity() - target.len()) as u64;
        let most = most.min(room).min(self.left.unwrap_or(u64::MAX));
        let read = (&mut self.file).take(most).read_to_end(target);
        self.count(read, most)
    }

    /// Reads some of the rest into a slice. 0 at the end.
    pub(crate) fn read_slice(&mut self, target: &mut [u8]) -> Result<usize> {
        let most = target.len().min(usize::try_from(self.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
        let read = loop {
            match self.file.read(target.get_mut(..most).unwrap_or_default()) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.count(read, most as u64)
    }

    fn count(&mut self, read: std::io::Result<usize>, most: u64) -> Result<usize> {
        let count =
            read.map_err(|error| Error::file(ErrorKind::CannotOpenFile, "reading", &self.path, error))?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
            if count == 0 && most > 0 {
                return Err(Error::new(
                    ErrorKind::ResourceUnavailable,
                    format!(
                        "reading {}: it ends {left} bytes sooner than it did when it was opened; \
                         somebody has cut it off",
                        self.path.display()
                    ),
                ));
            }
        }
        Ok(count)
    }
}

/// The path of a URL. What is encoded in it cannot lead elsewhere than it seems to.
fn path(url: &Url) -> Result<PathBuf> {
    let refused = |reason: &str| Error::new(ErrorKind::BadUrl, format!("reading the file: URL: {reason}"));
    // Parsing has made an empty host of `localhost`.
    if url.host_str().is_some_and(|host| !host.is_empty()) {
        return Err(refused("it names a host; only files of this machine can be read, file:///…"));
    }
    let encoded = url.path().to_ascii_uppercase();
    if encoded.contains("%2F") {
        return Err(refused("there is an encoded slash (%2F) in its path, which no file name can have"));
    }
    if encoded.contains("%00") {
        return Err(refused("there is an encoded NUL (%00) in its path, which no file name can have"));
    }
    url.to_file_path().map_err(|()| refused("it is not the path of a file of this system"))
}

fn regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(if metadata.is_dir() {
        Error::new(ErrorKind::FileIsDirectory, format!("opening {}: it is a directory", path.display()))
    } else {
        let message = "it is a pipe, a socket or a device, and only files can be read";
        Error::new(ErrorKind::CannotOpenFile, format!("opening {}: {message}", path.display()))
    })
}

fn set(headers: &mut HeaderMap, range: String) {
    if let Ok(range) = HeaderValue::try_from(range) {
        headers.insert(CONTENT_RANGE, range);
    }
}

/// Which part is asked for (RFC 9110, section 14.2). One of another unit, several at once, and one that
/// is malformed are passed over, as a server may.
fn part(asked: &HeaderMap, headers: &HeaderMap, all: u64) -> Part {
    let Some(range) = asked.get(RANGE).and_then(|range| range.to_str().ok()) else { return Part::All };
    // RFC 9110, section 13.1.5: all of it, if it is another one by now.
    if asked.get(IF_RANGE).is_some_and(|known| Some(known) != headers.get(LAST_MODIFIED)) {
        return Part::All;
    }
    let Some((unit, range)) = range.trim().split_once('=') else { return Part::All };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::All };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::All;
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim()), last.trim().is_empty()) {
        (Some(first), Some(last), _) if first > last => Part::All,
        (Some(first), Some(_), _) | (Some(first), None, true) if first >= all => Part::Unsatisfiable,
        (Some(first), Some(last), _) => Part::Of(first, last.min(all - 1)),
        (Some(first), None, true) => Part::Of(first, all - 1),
        (None, Some(count), _) if first.trim().is_empty() => match count.min(all) {
            0 => Part::Unsatisfiable,
            count => Part::Of(all - count, all - 1),
        },
        _ => Part::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str) -> HeaderMap {
        HeaderMap::from_iter([(RANGE, HeaderValue::from_str(range).expect("a value"))])
    }

    #[test]
    fn parts() {
        for (range, expected) in [
            ("bytes=0-0", Part::Of(0, 0)),
            ("bytes=2-4", Part::Of(2, 4)),
            ("Bytes = 2 - 4", Part::Of(2, 4)),
            ("bytes=2-", Part::Of(2, 9)),
            ("bytes=9-99999999999999999999", Part::Of(9, 9)),
            ("bytes=-3", Part::Of(7, 9)),
            ("bytes=-30", Part::Of(0, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-11", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=4-2", Part::All),
            ("bytes=0-1,3-4", Part::All),
            ("bytes=-", Part::All),
            ("bytes=a-b", Part::All),
            ("bytes=+1-2", Part::All),
            ("lines=0-1", Part::All),
            ("bytes", Part::All),
            ("", Part::All),
        ] {
            assert_eq!(part(&asked(range), &HeaderMap::new(), 10), expected, "{range}");
        }
        assert_eq!(part(&asked("bytes=0-"), &HeaderMap::new(), 0), Part::Unsatisfiable);
        assert_eq!(part(&asked("bytes=-1"), &HeaderMap::new(), 0), Part::Unsatisfiable);
    }

    #[test]
    fn a_part_of_another_file_is_no_part() {
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let headers = HeaderMap::from_iter([(LAST_MODIFIED, date.clone())]);
        let mut asked = asked("bytes=1-");
        asked.insert(IF_RANGE, date);
        assert_eq!(part(&asked, &headers, 10), Part::Of(1, 9));
        asked.insert(IF_RANGE, HeaderValue::from_static("\"tag\""));
        assert_eq!(part(&asked, &headers, 10), Part::All);
    }

    #[test]
    fn paths() {
        let path = |url: &str| path(&Url::parse(url).expect("a URL"));
        assert_eq!(path("file:///a/b%20c?query#fragment").expect("a path"), Path::new("/a/b c"));
        assert_eq!(path("file://localhost/a").expect("a path"), Path::new("/a"));
        assert_eq!(path("file:///a/%2e%2E/b").expect("a path"), Path::new("/b"));
        assert_eq!(path("file:///a%252Fb").expect("a path"), Path::new("/a%2Fb"));
        for url in ["file://host/a", "file:///a%2fb", "file:///..%2F..%2Fb", "file:///a%00b"] {
            assert_eq!(path(url).expect_err(url).kind(), ErrorKind::BadUrl, "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_files_are_opened() {
        for (path, kind) in [
            ("/", ErrorKind::FileIsDirectory),
            ("/dev/null", ErrorKind::CannotOpenFile),
            ("/nowhere/at all", ErrorKind::FileDoesNotExist),
        ] {
            let error = open(Path::new(path)).expect_err(path);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_made_up_is_read_to_its_end() {
        let url = Url::parse("file:///proc/self/status").expect("a URL");
        let found = find(&url, &asked("bytes=1-")).expect("a file");
        assert_eq!((found.status, found.length), (StatusCode::OK, None));
        let Contents::File(mut body) = found.body else { panic!("in memory") };
        let mut text = Vec::with_capacity(64 * 1024);
        while body.read_vec(&mut text, u64::MAX).expect("a read") > 0 {}
        assert!(text.starts_with(b"Name:"), "{}", String::from_utf8_lossy(&text));
    }
}
