//! The file of a download that is not finished: it is written to, continued, and in the end becomes
//! the [`DownloadedFile`], or is removed.

use super::options::DownloadOptions;
use super::{DownloadedFile, temporary};
use crate::checksum::{Checksum, ChecksumAlgorithm, Hasher, hash_part};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::Splice;
use crate::sys::file::{is_at, lock, open_no_follow, preallocate};
use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// See the module's documentation. Dropped unfinished, it removes its file unless it is kept.
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    len: u64,
    /// What is there, if that is not only the beginning.
    scattered: Vec<Range<u64>>,
    end: Option<u64>,
    /// What is to be hashed, at most once by each algorithm.
    hashing: Vec<Hashing>,
    keep: bool,
    finished: bool,
}

/// The hash of the front of the file.
struct Hashing {
    hasher: Hasher,
    /// So much of it.
    len: u64,
}

/// How much of what is in the file is hashed before a look at what else there is to do.
const HASHED: u64 = 4 * 1024 * 1024;

impl Partial {
    fn new(file: File, path: PathBuf, keep: bool) -> Self {
        Partial {
            file,
            path,
            len: 0,
            scattered: Vec::new(),
            end: None,
            hashing: Vec::new(),
            keep,
            finished: false,
        }
    }

    /// A new file, where the options say. `default` is the directory if they say nothing.
    pub(crate) fn create(options: &DownloadOptions, default: &Path) -> Result<Self> {
        let failed = |path: &Path, error| {
            Error::file(ErrorKind::CannotCreateFile, "making a file for the download in", path, error)
        };
        let (file, path) = match (&options.directory, &options.destination) {
            (None, Some(destination)) => {
                let path = temporary::beside(destination);
                let file =
                    temporary::create_shared(&path).map_err(|error| failed(parent(destination), error))?;
                (file, path)
            }
            (directory, _) => {
                let directory = directory.as_deref().unwrap_or(default);
                temporary::create(directory).map_err(|error| failed(directory, error))?
            }
        };
        Ok(Partial::new(file, path, false))
    }

    /// The file of a download that can be continued by whoever comes next, beside its destination.
    /// What is there of it stays, and is not more than `recorded`.
    pub(crate) fn beside(destination: &Path, recorded: &[Range<u64>]) -> Result<Self> {
        let path = partial_path(destination);
        let opened = match temporary::create_shared(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => open_no_follow(&path),
            created => created,
        };
        let file = opened.map_err(|error| {
            Error::file(ErrorKind::CannotCreateFile, "making the file of the download", &path, error)
        })?;
        Partial::continued(file, path, recorded)
    }

    /// The file of a download that was interrupted, with no more of it than was `recorded`.
    pub(crate) fn reopen(directory: &Path, name: &str, recorded: &[Range<u64>]) -> Result<Self> {
        // Nobody's own file is cut and written to, whatever resume data says.
        if !name.ends_with(temporary::SUFFIX) {
            return Err(Error::new(
                ErrorKind::CannotParseResumeData,
                format!("resuming a download: its file cannot be named {name:?}"),
            ));
        }
        let path = directory.join(name);
        let file = open_no_follow(&path).map_err(|error| {
            Error::file(ErrorKind::CannotOpenFile, "opening the file of the download", &path, error)
        })?;
        Partial::continued(file, path, recorded)
    }

    fn continued(file: File, path: PathBuf, recorded: &[Range<u64>]) -> Result<Self> {
        if !lock(&file) {
            return Err(Error::new(
                ErrorKind::ResourceUnavailable,
                format!(
                    "another download is writing to {}; wait for it, or choose another destination",
                    path.display()
                ),
            ));
        }
        // It may have been moved to its destination, or removed, by who had it locked until now.
        if !is_at(&file, &path) {
            return Err(Error::new(
                ErrorKind::ResourceUnavailable,
                format!("another download has just finished with {}; try again", path.display()),
            ));
        }
        let mut partial = Partial::new(file, path, true);
        let there = partial.file.metadata().map_err(|error| partial.failed("looking at", error))?.len();
        let mut ranges: Vec<_> = recorded.iter().map(|range| range.start..range.end.min(there)).collect();
        ranges.retain(|range| !range.is_empty());
        partial.cut(ranges.last().map_or(0, |last| last.end))?;
        partial.len = ranges.first().filter(|first| first.start == 0).map_or(0, |first| first.end);
        if ranges.last().is_some_and(|last| last.end > partial.len) {
            partial.scattered = ranges;
        }
        Ok(partial)
    }

    /// How much of the download is in the file, from its beginning on without a gap.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself, for those who write parts of it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Which ranges of it are there, if there is more than its beginning.
    pub(crate) fn scattered(&self) -> Option<&[Range<u64>]> {
        Some(self.scattered.as_slice()).filter(|ranges| !ranges.is_empty())
    }

    /// Which ranges of it are there, written past this.
    pub(crate) fn scatter(&mut self, ranges: Vec<Range<u64>>) {
        self.scattered = ranges;
    }

    /// All of it is there, written past this.
    pub(crate) fn complete(&mut self, total: u64) {
        self.scattered = Vec::new();
        self.end = None;
        self.len = total;
    }

    /// Only so much of it is left. What comes next is written behind it, as much as there may be.
    pub(crate) fn cut(&mut self, len: u64) -> Result<()> {
        self.end = None;
        self.scattered = Vec::new();
        self.file.set_len(len).map_err(|error| self.failed("cutting", error))?;
        self.len = len;
        for hashing in self.hashing.iter_mut().filter(|hashing| hashing.len > len) {
            if let Some(hasher) = Hasher::new(hashing.hasher.algorithm()) {
                *hashing = Hashing { hasher, len: 0 };
            }
        }
        Ok(())
    }

    /// How long it is to be when the part that comes next is there. More is not written.
    pub(crate) fn expect_end(&mut self, end: Option<u64>) {
        self.end = end;
    }

    /// Checks that all of the part came that was to come.
    pub(crate) fn check_end(&self) -> Result<()> {
        match self.end {
            Some(end) if end != self.len => Err(Error::new(
                ErrorKind::BadServerResponse,
                format!("a part of the download ended at byte {}, and Content-Range said {end}", self.len),
            )),
            _ => Ok(()),
        }
    }

    /// Writes at the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_room(bytes.len())?;
        let written = std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, self.len);
        written.map_err(|error| self.failed("writing to", error))?;
        for hashing in self.hashing.iter_mut().filter(|hashing| hashing.len == self.len) {
            hashing.hasher.update(bytes);
            hashing.len += bytes.len() as u64;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Writes what the kernel's copy path has received at the end.
    pub(crate) fn drain(&mut self, received: &mut Splice) -> Result<()> {
        self.check_room(received.len())?;
        while received.len() > 0 {
            // What was written before the disk was full counts.
            let drained = received.drain_to_at(&self.file, self.len);
            self.len += drained.map_err(|error| self.failed("writing to", error))? as u64;
        }
        Ok(())
    }

    fn check_room(&self, coming: usize) -> Result<()> {
        match self.end.filter(|end| end.saturating_sub(self.len) < coming as u64) {
            Some(end) => Err(Error::new(
                ErrorKind::BadServerResponse,
                format!("a part of the download goes on behind byte {end}, where Content-Range said it ends"),
            )),
            None => Ok(()),
        }
    }

    /// From here on its checksum is made. What is written past [`write`](Partial::write) is read again
    /// by [`catch_up`](Partial::catch_up), as is what was there before.
    pub(crate) fn hash(&mut self, algorithm: ChecksumAlgorithm) {
        if self.hashing.iter().any(|hashing| hashing.hasher.algorithm() == algorithm) {
            return;
        }
        self.hashing.extend(Hasher::new(algorithm).map(|hasher| Hashing { hasher, len: 0 }));
    }

    /// Whether what comes next had better come through [`write`](Partial::write), to be hashed on its
    /// way.
    pub(crate) fn hashes_what_comes(&self) -> bool {
        self.hashing.iter().any(|hashing| hashing.len == self.len)
    }

    /// Whether there is more in it than was hashed.
    pub(crate) fn is_behind(&self) -> bool {
        self.hashing.iter().any(|hashing| hashing.len < self.len)
    }

    /// Hashes some of what is in the file and was not hashed. True when there is no more of it.
    pub(crate) fn catch_up(&mut self) -> Result<bool> {
        let Some(hashing) = self.hashing.iter_mut().find(|hashing| hashing.len < self.len) else {
            return Ok(true);
        };
        let most = HASHED.min(self.len - hashing.len);
        let hashed = hash_part(&self.file, &mut hashing.hasher, hashing.len, most);
        hashing.len += *hashed.as_ref().unwrap_or(&0);
        match hashed {
            Ok(0) => Err(self.failed("hashing", std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(false),
            Err(error) => Err(self.failed("hashing", error)),
        }
    }

    /// The checksum of all of the file, if it was hashed.
    pub(crate) fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<Checksum> {
        let all = |hashing: &&Hashing| hashing.hasher.algorithm() == algorithm && hashing.len == self.len;
        self.hashing.iter().find(all).map(|hashing| hashing.hasher.clone().finish())
    }

    /// Takes the room that all of it will need, so that a full disk is noticed now. A file system that
    /// cannot do that is no error.
    pub(crate) fn preallocate(&self, total: u64) -> Result<()> {
        preallocate(&self.file, total).map_err(|error| self.failed("taking room for", error))
    }

    /// If it is dropped, the file stays.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    /// The file goes if it is dropped.
    pub(crate) fn discard(&mut self) {
        self.keep = false;
    }

    /// It is complete: in its place, if it has one.
    pub(crate) fn finish(mut self, destination: Option<&Path>, sync: bool) -> Result<DownloadedFile> {
        if sync {
            self.file.sync_all().map_err(|error| self.failed("writing to the disk:", error))?;
        }
        let path = match destination {
            None => self.path.clone(),
            Some(destination) => {
                fs::rename(&self.path, destination).map_err(|error| {
                    Error::file(ErrorKind::CannotMoveFile, "moving the download to", destination, error)
                })?;
                if sync {
                    // The name is in the directory, which is a file of its own.
                    let synced = File::open(parent(destination)).and_then(|directory| directory.sync_all());
                    synced.map_err(|error| {
                        Error::file(ErrorKind::CannotMoveFile, "writing to the disk:", destination, error)
                    })?;
                }
                destination.to_path_buf()
            }
        };
        self.finished = true;
        Ok(DownloadedFile::new(path, self.len, destination.is_some()))
    }

    /// The error of something that was done with the file.
    pub(crate) fn failed(&self, doing: &str, error: std::io::Error) -> Error {
        let doing = format!("{doing} the file of the download,");
        Error::file(ErrorKind::CannotWriteToFile, &doing, &self.path, error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // There is nothing to go on with in an empty file.
        let is_empty = self.len == 0 && self.scattered.is_empty();
        if !self.finished && (!self.keep || is_empty) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where a download with that destination is to end: what a link leads to, and nothing but a file. To
/// take the place of a device would be the end of it.
pub(crate) fn settle(destination: &Path) -> Result<PathBuf> {
    let failed = |kind, what: &str| {
        Error::new(kind, format!("downloading to {}: it is {what}; choose a file", destination.display()))
    };
    match fs::metadata(destination) {
        Ok(metadata) if metadata.is_dir() => Err(failed(ErrorKind::FileIsDirectory, "a directory")),
        Ok(metadata) if !metadata.is_file() => Err(failed(ErrorKind::CannotCreateFile, "no regular file")),
        Ok(_) => match fs::canonicalize(destination) {
            Ok(path) if destination.is_symlink() => Ok(path),
            _ => Ok(destination.to_path_buf()),
        },
        Err(_) if destination.file_name().is_none() => {
            Err(failed(ErrorKind::CannotCreateFile, "not the name of a file"))
        }
        // What keeps it from being made shows when it is.
        Err(_) => Ok(destination.to_path_buf()),
    }
}

/// The unfinished file of a download with that destination.
pub(crate) fn partial_path(destination: &Path) -> PathBuf {
    with_suffix(destination, temporary::SUFFIX)
}

/// What is remembered of it.
pub(crate) fn record_path(destination: &Path) -> PathBuf {
    with_suffix(destination, ".part.resume")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// The directory a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_to_its_destination_is_not_cut() {
        let (file, path) = temporary::create(&std::env::temp_dir()).expect("a file");
        let finished = path.with_extension("finished");
        fs::write(&path, "all of it").expect("room");
        fs::rename(&path, &finished).expect("another name");
        // Opened before it was moved, and locked after it.
        let error = Partial::continued(file, path.clone(), &[]).err().expect("it is somebody else's");
        assert_eq!(error.kind(), ErrorKind::ResourceUnavailable);
        assert_eq!(fs::read(&finished).expect("the file"), b"all of it");
        let (other, unnamed) = temporary::create(&std::env::temp_dir()).expect("a file");
        fs::remove_file(unnamed).expect("a file");
        fs::write(&path, "of another one").expect("room");
        assert!(Partial::continued(other, path.clone(), &[]).is_err());
        assert_eq!(fs::read(&path).expect("the file"), b"of another one");
        fs::remove_file(path).expect("a file");
        fs::remove_file(finished).expect("a file");
    }
}
