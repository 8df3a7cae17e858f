//! The file that a download ends with: a guard that removes it unless somebody keeps it.

#[cfg(feature = "checksum")]
use crate::checksum::{Checksum, ChecksumAlgorithm, hash_file, verify_file};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Mutex, lock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A downloaded file.
///
/// It is temporary: when the last copy of this value and the last handle of its task are gone, it is
/// removed, unless it was [`persist`](DownloadedFile::persist)ed or [`keep`](DownloadedFile::keep)t.
/// A download that was given its [`destination`](crate::DownloadRequest::destination) is kept there.
///
/// ```no_run
/// # use urlsession::Session;
/// let file = Session::shared().download_task("https://example.com/disk.img").wait()?.error_for_status()?.into_body();
/// println!("{} bytes in {}", file.len(), file.path().display());
/// file.persist("disk.img")?;
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone)]
pub struct DownloadedFile(Arc<Guard>);

struct Guard {
    place: Mutex<Place>,
    len: u64,
}

struct Place {
    path: PathBuf,
    kept: bool,
}

impl DownloadedFile {
    /// A file that is there, and temporary unless it is `kept`.
    pub(crate) fn new(path: PathBuf, len: u64, kept: bool) -> Self {
        DownloadedFile(Arc::new(Guard { place: Mutex::new(Place { path, kept }), len }))
    }

    /// Where the file is now.
    pub fn path(&self) -> PathBuf {
        lock(&self.0.place).path.clone()
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// [`ErrorKind::CannotOpenFile`], for example after somebody has removed it.
    pub fn open(&self) -> Result<File> {
        let path = self.path();
        File::open(&path).map_err(|error| Error::file(ErrorKind::CannotOpenFile, "opening", &path, error))
    }

    /// Reads it, and gives its checksum.
    ///
    /// # Errors
    /// As [`open`](DownloadedFile::open).
    #[cfg(feature = "checksum")]
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Result<Checksum> {
        hash_file(&self.open()?, algorithm, &mut || false)
    }

    /// Reads it, and says by an error if it does not have that checksum. It stays what it is: temporary,
    /// or kept. A checksum that is known before the download is better given to
    /// [`DownloadRequest::checksum`](crate::DownloadRequest::checksum).
    ///
    /// ```no_run
    /// # use urlsession::{Checksum, Session};
    /// # let session = Session::shared();
    /// let sum = session.data_task("https://example.com/disk.img.sha256").wait()?;
    /// let file = session.download_task("https://example.com/disk.img").wait()?.error_for_status()?.into_body();
    /// file.verify(&Checksum::sha256(sum.text()?.trim())?)?;
    /// file.persist("disk.img")?;
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ChecksumMismatch`], and as [`open`](DownloadedFile::open).
    #[cfg(feature = "checksum")]
    pub fn verify(&self, checksum: &Checksum) -> Result<()> {
        verify_file(&self.open()?, checksum, &mut || false)
    }

    /// Moves it to a path, in place of what is there, and keeps it. Within one file system that is
    /// one step, so nobody sees a part of it. To another one it is copied first. A temporary file may be
    /// read by nobody but the user, and stays so: set its permissions if others are to read it.
    ///
    /// # Errors
    /// [`ErrorKind::CannotMoveFile`], [`ErrorKind::StorageFull`]. The file is still where it was then,
    /// and still temporary.
    pub fn persist(&self, to: impl AsRef<Path>) -> Result<()> {
        self.move_to(to.as_ref(), |from, to| fs::rename(from, to))
    }

    /// Moves it to a path where there must be nothing yet, and keeps it.
    ///
    /// # Errors
    /// As [`persist`](DownloadedFile::persist); also if there is something.
    pub fn persist_new(&self, to: impl AsRef<Path>) -> Result<()> {
        // A link fails where there is something, which a rename does not.
        self.move_to(to.as_ref(), |from, to| fs::hard_link(from, to).and_then(|()| fs::remove_file(from)))
    }

    /// Keeps it where it is, and tells where that is.
    pub fn keep(&self) -> PathBuf {
        let mut place = lock(&self.0.place);
        place.kept = true;
        place.path.clone()
    }

    fn move_to(&self, to: &Path, within: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<()> {
        let mut place = lock(&self.0.place);
        let moved = match within(&place.path, to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => across(&place.path, to, within),
            moved => moved,
        };
        moved.map_err(|error| Error::file(ErrorKind::CannotMoveFile, "moving the download to", to, error))?;
        *place = Place { path: to.to_path_buf(), kept: true };
        Ok(())
    }
}

/// From one file system to another: a copy beside the goal, which then takes its place.
fn across(from: &Path, to: &Path, within: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    let beside = super::temporary::beside(to);
    let copied = fs::copy(from, &beside).and_then(|_| within(&beside, to));
    if copied.is_err() {
        let _ = fs::remove_file(&beside);
        return copied;
    }
    let _ = fs::remove_file(from);
    Ok(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        let place = lock(&self.place);
        if !place.kept {
            let _ = fs::remove_file(&place.path);
        }
    }
}

impl std::fmt::Debug for DownloadedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownloadedFile").field("path", &self.path()).field("len", &self.0.len).finish()
    }
}
