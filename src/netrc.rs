//! `.netrc` as programs use it: where it is, and what it says about a host. What is in it, `proto::netrc`
//! knows.

use crate::challenge::{Credential, Persistence};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::netrc::{Entry, find, parse};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// User names and passwords by host, from a file `.netrc`. Cloning is cheap.
///
/// The form is the one that curl reads: `machine HOST login NAME password PASSWORD`, `default` for all other
/// hosts, words with whitespace in double quotes, `#` for comments, `macdef` skipped.
/// [`Configuration::netrc`](crate::Configuration::netrc) has a session use one.
///
/// ```
/// use urlsession::Netrc;
///
/// let netrc = Netrc::parse("machine example.com login me password \"open sesame\"")?;
/// let credential = netrc.credential("example.com", None).unwrap();
/// assert_eq!((credential.user(), credential.password()), (Some("me"), Some("open sesame")));
/// assert!(netrc.credential("example.org", None).is_none());
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Netrc {
    entries: Arc<[Entry]>,
}

/// How long a file may be, in bytes.
const LONGEST: u64 = 1024 * 1024;

impl Netrc {
    /// What is in a text.
    ///
    /// # Errors
    /// [`ErrorKind::CannotDecodeRawData`] if a quote has no end, a word is longer than 4,096 bytes, or there are
    /// more than 10,000 hosts. The message names the line, and nothing of what is in it.
    pub fn parse(text: impl AsRef<str>) -> Result<Self> {
        let malformed =
            |error| Error::new(ErrorKind::CannotDecodeRawData, format!("reading a .netrc: {error}"));
        Ok(Netrc { entries: parse(text.as_ref()).map_err(malformed)?.into() })
    }

    /// Reads a file, of 1 MiB at most. One that others can read is taken, and the log has a warning.
    ///
    /// # Errors
    /// [`ErrorKind::FileDoesNotExist`], [`ErrorKind::FileIsDirectory`], [`ErrorKind::NoPermissionsToReadFile`] or
    /// [`ErrorKind::CannotOpenFile`] if it cannot be read, [`ErrorKind::DataLengthExceedsMaximum`] if it is
    /// too long, and what [`parse`](Netrc::parse) fails with.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| Error::file(ErrorKind::CannotOpenFile, "reading", path, error);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0) {
            let path = path.display();
            log::warn!("{path} has passwords, and others may read it; do: chmod 600 {path}");
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        let malformed = |kind, what: &str| Error::new(kind, format!("reading {}: {what}", path.display()));
        if bytes.len() as u64 > LONGEST {
            return Err(malformed(ErrorKind::DataLengthExceedsMaximum, "it is longer than 1 MiB"));
        }
        let undecodable = |what: &str| malformed(ErrorKind::CannotDecodeRawData, what);
        let text = std::str::from_utf8(&bytes).map_err(|_| undecodable("it is not UTF-8"))?;
        let entries = parse(text).map_err(|error| undecodable(&error.to_string()))?;
        Ok(Netrc { entries: entries.into() })
    }

    /// Reads the user's own file: the one that the environment variable `NETRC` names, or `.netrc` in the
    /// directory that `HOME` names.
    ///
    /// # Errors
    /// What [`from_path`](Netrc::from_path) fails with; it is [`ErrorKind::FileDoesNotExist`] if neither
    /// variable is set.
    pub fn from_default_path() -> Result<Self> {
        match default_path(|name| std::env::var_os(name)) {
            Some(path) => Netrc::from_path(path),
            None => {
                let message = "looking for .netrc: neither NETRC nor HOME is set";
                Err(Error::new(ErrorKind::FileDoesNotExist, message))
            }
        }
    }

    /// The credential for a host, and for a certain user where there is one: of the first entry that is for them.
    /// It is [kept for the session](Persistence::ForSession).
    ///
    /// Hosts are compared without regard to case, and as they are: an entry is not for hosts below its own.
    pub fn credential(&self, host: &str, user: Option<&str>) -> Option<Credential> {
        let (user, password) = find(&self.entries, host, user)?;
        Some(Credential::new(user, password, Persistence::ForSession))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn default_path(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let named = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("NETRC").or_else(|| named("HOME").map(|home| home.join(".netrc")))
}

impl fmt::Debug for Netrc {
    /// Without what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netrc").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;

    /// A file that goes with its guard.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str, content: &[u8]) -> Temporary {
            let path = std::env::temp_dir().join(format!("urlsession-netrc-{}-{name}", std::process::id()));
            std::fs::write(&path, content).expect("a file");
            Temporary(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_file_is_read() {
        let file = Temporary::new("good", b"machine h login me password hidden");
        let netrc = Netrc::from_path(&file.0).expect("read");
        let credential = netrc.credential("H", Some("me")).expect("a credential");
        assert_eq!(credential.persistence(), Persistence::ForSession);
        assert_eq!(credential.password(), Some("hidden"));
        assert!(!format!("{netrc:?}").contains("hidden"));
        let configuration = Configuration::default().netrc(&file.0);
        assert_eq!(configuration.get_netrc(), Some(&netrc));
        assert!(configuration.check().is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_says_where() {
        let kind = |path: &Path| {
            let error = Netrc::from_path(path).expect_err("an error");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert!(!error.to_string().contains("hidden"), "{error}");
            let configured = Configuration::default().netrc(path).check().expect_err("an error");
            assert_eq!(configured.kind(), error.kind());
            error.kind()
        };
        assert_eq!(kind(Path::new("/nowhere/netrc")), ErrorKind::FileDoesNotExist);
        assert_eq!(kind(&std::env::temp_dir()), ErrorKind::FileIsDirectory);
        let open = Temporary::new("open", b"machine h password \"hidden");
        assert_eq!(kind(&open.0), ErrorKind::CannotDecodeRawData);
        let latin1 = Temporary::new("latin1", b"machine h password hidden\xe9");
        assert_eq!(kind(&latin1.0), ErrorKind::CannotDecodeRawData);
        assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::DataLengthExceedsMaximum);
    }

    #[test]
    fn where_the_users_file_is() {
        let path = |variables: &[(&str, &str)]| {
            default_path(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        assert_eq!(path(&[("HOME", "/home/me")]), Some("/home/me/.netrc".into()));
        assert_eq!(path(&[("HOME", "/home/me"), ("NETRC", "/etc/netrc")]), Some("/etc/netrc".into()));
        assert_eq!(path(&[("HOME", "/home/me"), ("NETRC", "")]), Some("/home/me/.netrc".into()));
        assert_eq!(path(&[("HOME", "")]), None);
    }
}
