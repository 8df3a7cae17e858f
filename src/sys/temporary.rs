//! Names of files that are not finished, and making them.

use super::file::{create_new_private, open_no_follow};
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
    // A name may not get much longer than the longest that there may be.
    name.push(path.file_name().filter(|name| name.len() <= 200).unwrap_or_default());
    name.push(format!(".{:016x}{SUFFIX}", random()));
    path.with_file_name(name)
}

/// Makes a file in a directory that only we may read, and that was not there before.
pub(crate) fn create(directory: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = directory.join(format!("urlsession-{:016x}{SUFFIX}", random()));
        match create_new_private(&path) {
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

/// Reads a file that is there, if it is one and has no more bytes than that.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_no_follow(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Puts bytes in place of a file, in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let written = create_new_private(&beside).and_then(|mut file| file.write_all(bytes));
    let replaced = written.and_then(|()| std::fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    replaced
}

fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
