//! Names of files that are not finished, and making them.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How an unfinished download ends. Only files with such a name are ever opened to be continued.
pub(crate) const SUFFIX: &str = ".part";

/// A path beside another one, which nobody else is likely to use.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}{SUFFIX}", random()));
    path.with_file_name(name)
}

/// Makes a file in a directory that only we may read, and that was not there before.
pub(crate) fn create(directory: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = directory.join(format!("urlsession-{:016x}{SUFFIX}", random()));
        match create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (file, path)),
        }
    }
}

/// Makes a file that will be the user's at its destination, where there must be none, not even a link.
/// Who may read it is up to the user (`umask`), as for any file that a program makes by that name.
pub(crate) fn create_shared(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// Makes a file that only we may read, where there must be none, not even a link.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file that is there, to be continued: a file, and not what a link leads to.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_regular(OpenOptions::new().read(true).write(true), path)
}

/// Reads a file that is there, if it is one and has no more bytes than that.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(OpenOptions::new().read(true), path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // A link may lead anywhere, and opening a pipe would wait for its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits() as i32);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Puts bytes in place of a file, in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let written = create_new(&beside).and_then(|mut file| file.write_all(bytes));
    let replaced = written.and_then(|()| std::fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    replaced
}

/// Takes a file for ourselves, as far as others ask (`flock`). False if somebody else has it.
pub(crate) fn lock(file: &File) -> bool {
    #[cfg(unix)]
    {
        use rustix::fs::{FlockOperation, flock};
        // File systems that know no locks must not keep anybody from downloading.
        flock(file, FlockOperation::NonBlockingLockExclusive) != Err(rustix::io::Errno::WOULDBLOCK)
    }
    #[cfg(not(unix))]
    true
}

/// Whether the file is the one of that name, and not one that had it before.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let of = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (file.metadata(), std::fs::symlink_metadata(path)) {
            (Ok(open), Ok(named)) => of(open) == of(named),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    true
}

fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
