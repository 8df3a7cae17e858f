//! Cookie files of curl, wget and browsers of old, in and out.

use super::CookieStorage;
use crate::cookie::Cookie;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::cookie::{Line, read_line, write_line};
use crate::sys::temporary;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::SystemTime;

/// No line with a cookie is longer, and no file either.
const LONGEST_LINE: u64 = 16 * 1024;
const LONGEST_FILE: u64 = 64 * 1024 * 1024;
/// How many cookies are set at a time.
const BATCH: usize = 1000;

const HEADING: &[u8] = b"# Netscape HTTP Cookie File\n# This file was written by urlsession.\n\n";

/// What was in a cookie file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CookieImport {
    /// Cookies that were set.
    pub imported: usize,
    /// Cookies that were over.
    pub expired: usize,
    /// Lines that are no cookie, or one that may not be.
    pub skipped: usize,
}

/// The cookie file of Netscape, which curl (`-b` and `-c`), wget and others read and write.
impl CookieStorage {
    /// Takes over the cookies of such a file, in place of those that are the same. What it cannot say stays
    /// unsaid, as `SameSite`. Lines that are no cookies are skipped, and counted.
    ///
    /// ```
    /// use urlsession::CookieStorage;
    ///
    /// let file = "# Netscape HTTP Cookie File\n\
    ///     #HttpOnly_.example.com\tTRUE\t/\tTRUE\t0\tid\t1234\n\
    ///     nonsense\n";
    /// let cookies = CookieStorage::in_memory();
    /// let import = cookies.import_netscape(file.as_bytes())?;
    /// assert_eq!((import.imported, import.skipped), (1, 1));
    ///
    /// let mut written = Vec::new();
    /// cookies.export_netscape(&mut written)?;
    /// assert!(String::from_utf8(written).unwrap().contains("#HttpOnly_.example.com\tTRUE\t/\tTRUE\t0\tid\t1234\n"));
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotOpenFile`] if it cannot be read, and [`ErrorKind::DataLengthExceedsMaximum`] if it
    /// is longer than 64 MiB. What was read by then is set.
    pub fn import_netscape(&self, reader: impl Read) -> Result<CookieImport> {
        let (_, suffixes) = self.rules();
        let now = SystemTime::now();
        let mut import = CookieImport::default();
        let mut batch: Vec<Cookie> = Vec::new();
        let mut lines = Lines { reader: BufReader::new(reader), left: LONGEST_FILE, line: Vec::new() };
        let ended = loop {
            match lines.next() {
                Ok(Some(line)) => match line.map_or(Line::Bad, |line| read_line(line, &suffixes)) {
                    Line::Nothing => {}
                    Line::Bad => import.skipped += 1,
                    Line::Cookie(cookie) if cookie.is_expired(now) => import.expired += 1,
                    Line::Cookie(cookie) => {
                        import.imported += 1;
                        batch.push(*cookie);
                    }
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if batch.len() == BATCH {
                self.0.set(std::mem::take(&mut batch), true, now);
            }
        };
        self.0.set(batch, true, now);
        if import.skipped > 0 {
            log::warn!("a cookie file has {} lines that are no cookies", import.skipped);
        }
        ended.map(|()| import)
    }

    /// Takes over the cookies of a file, as [`import_netscape`](CookieStorage::import_netscape).
    ///
    /// # Errors
    ///
    /// As there, and if the file cannot be opened.
    pub fn import_netscape_file(&self, path: impl AsRef<Path>) -> Result<CookieImport> {
        let path = path.as_ref();
        let file = File::open(path);
        let file = file.map_err(|error| Error::file(ErrorKind::CannotOpenFile, "opening", path, error))?;
        self.import_netscape(file)
    }

    /// Writes all cookies as such a file, also those without an end, and says how many. Those that cannot be
    /// in one are left out: without a name, or with a tab.
    ///
    /// The file has all that is in the cookies, so it should be nobody else's to read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotWriteToFile`] if it cannot be written.
    pub fn export_netscape(&self, mut writer: impl Write) -> Result<usize> {
        let (file, count) = self.netscape();
        let written = writer.write_all(&file).and_then(|()| writer.flush());
        written.map_err(|error| {
            Error::new(ErrorKind::CannotWriteToFile, "writing a cookie file").with_source(error)
        })?;
        Ok(count)
    }

    /// Writes all cookies to a file, as [`export_netscape`](CookieStorage::export_netscape): one that only
    /// the user may read, in place of one that is there, in one step. What is there and no regular file, such
    /// as `/dev/null` or a pipe, is written to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotWriteToFile`] if it cannot be written.
    pub fn export_netscape_file(&self, path: impl AsRef<Path>) -> Result<usize> {
        let path = path.as_ref();
        let (file, count) = self.netscape();
        // To be root is all it takes to replace /dev/null.
        let written = match path.metadata() {
            Ok(there) if !there.is_file() => {
                File::options().write(true).open(path).and_then(|mut there| there.write_all(&file))
            }
            _ => temporary::replace(path, &file),
        };
        written.map_err(|error| Error::file(ErrorKind::CannotWriteToFile, "writing", path, error))?;
        Ok(count)
    }

    fn netscape(&self) -> (Vec<u8>, usize) {
        let mut file = HEADING.to_vec();
        let count = self.cookies().iter().filter(|cookie| write_line(cookie, &mut file)).count();
        (file, count)
    }
}

/// Lines of a file that may be anything.
struct Lines<R> {
    reader: BufReader<R>,
    /// Of what is read of the file.
    left: u64,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// The next one without its end, or none of it if it is too long.
    fn next(&mut self) -> Result<Option<Option<&[u8]>>> {
        if !self.part()? {
            return Ok(None);
        }
        if self.line.ends_with(b"\n") {
            self.line.pop();
            return Ok(Some(Some(&self.line)));
        }
        // The last line, or the beginning of one that is too long.
        if (self.line.len() as u64) < LONGEST_LINE {
            return Ok(Some(Some(&self.line)));
        }
        while self.part()? && !self.line.ends_with(b"\n") {}
        Ok(Some(None))
    }

    /// Reads on to the end of the line, if that is not too far. False at the end of the file.
    fn part(&mut self) -> Result<bool> {
        self.line.clear();
        if self.left == 0 {
            let message = format!("reading a cookie file: it is longer than {LONGEST_FILE} bytes");
            return Err(Error::new(ErrorKind::DataLengthExceedsMaximum, message));
        }
        let most = LONGEST_LINE.min(self.left);
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| {
            Error::new(ErrorKind::CannotOpenFile, "reading a cookie file").with_source(error)
        })?;
        self.left -= (read as u64).min(self.left);
        Ok(read > 0)
    }
}
