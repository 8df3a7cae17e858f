//! Names of files that are not finished, and making them.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
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

/// Makes a file that only we may read, where there must be none, not even a link.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
