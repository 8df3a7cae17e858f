//! Files as bodies, and parts of files.

use super::pipe::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much is read at a time: as many TLS records as are sent at once. More is slower there, since it
/// falls out of the processor's caches before it is encrypted.
const PIECE: usize = 7 * 16 * 1024;
/// And at first, together with the head: more than most files have.
const FIRST: usize = 64 * 1024;

/// A file, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct FileBody {
    pub(crate) path: Arc<Path>,
    pub(crate) start: u64,
    /// Where it ends, if not at the end of the file.
    pub(crate) end: Option<u64>,
}

impl FileBody {
    /// The length, if it is known without looking.
    pub(crate) fn len(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.start))
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.start == 0 && self.end.is_none()
    }

    /// Whether it is a file that ends, which a FIFO or a terminal is not.
    pub(crate) fn is_regular(&self) -> Result<bool> {
        let metadata = std::fs::metadata(&self.path).map_err(|error| self.error(error))?;
        self.check(&metadata)?;
        Ok(metadata.is_file())
    }

    /// Opens it. From here on its length is fixed.
    pub(crate) fn open(&self) -> Result<FileSource> {
        let mut file = File::open(&self.path).map_err(|error| self.error(error))?;
        let metadata = file.metadata().map_err(|error| self.error(error))?;
        self.check(&metadata)?;
        let size = metadata.len();
        let end = self.end.unwrap_or(size);
        if self.start > end || end > size {
            return Err(failed(&format!(
                "sending {}: bytes {} to {end} were asked for, and it has {size}",
                self.path.display(),
                self.start
            )));
        }
        if self.start > 0 {
            file.seek(SeekFrom::Start(self.start)).map_err(|error| self.error(error))?;
        }
        let length = end - self.start;
        Ok(FileSource { body: self.clone(), file, size, length, left: length })
    }

    fn check(&self, metadata: &Metadata) -> Result<()> {
        if metadata.is_dir() {
            return Err(self.error(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() && !self.is_whole() {
            return Err(failed(&format!(
                "sending a part of {}, which is no regular file",
                self.path.display()
            )));
        }
        Ok(())
    }

    fn error(&self, error: io::Error) -> Error {
        Error::file(ErrorKind::CannotOpenFile, "opening the body", &self.path, error)
    }
}

/// A file that is being sent.
#[derive(Debug)]
pub(crate) struct FileSource {
    body: FileBody,
    file: File,
    /// The size of the file when it was opened.
    size: u64,
    length: u64,
    left: u64,
}

impl FileSource {
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Only the part of it that begins so many bytes on, and is no longer than that.
    pub(crate) fn section(mut self, skip: u64, most: Option<u64>) -> Result<FileSource> {
        let Some(left) = self.left.checked_sub(skip) else {
            let (path, length) = (self.body.path.display(), self.length);
            return Err(failed(&format!("sending {path}: byte {skip} was asked for, and it has {length}")));
        };
        let begin = self.body.start + (self.length - self.left) + skip;
        self.file.seek(SeekFrom::Start(begin)).map_err(|error| self.body.error(error))?;
        self.left = most.map_or(left, |most| most.min(left));
        self.length = self.left;
        self.body.start = begin;
        if self.left < left {
            self.body.end = Some(begin + self.left);
        }
        Ok(self)
    }

    /// Reads the next piece, in place of what is in the buffer. False when there is no more.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<bool> {
        if self.left == 0 {
            buffer.clear();
            return Ok(false);
        }
        let most = if self.left == self.length { FIRST } else { PIECE };
        let want = usize::try_from(self.left).unwrap_or(most).min(most);
        // What the last piece left in it need not be set to zero again.
        buffer.reserve_exact(want.saturating_sub(buffer.len()));
        buffer.resize(want, 0);
        let mut count = 0;
        while let Some(room) = buffer.get_mut(count..).filter(|room| !room.is_empty()) {
            match self.file.read(room) {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    buffer.clear();
                    let path = self.body.path.display();
                    return Err(failed(&format!("reading {path}")).with_source(error));
                }
            }
        }
        self.left -= count as u64;
        if count < want {
            buffer.clear();
            return Err(self.too_short());
        }
        if self.left == 0 {
            self.check_size()?;
        }
        Ok(true)
    }

    /// The file, where it is to be gone on with, and how much there is to be: for the kernel to copy.
    pub(crate) fn rest(&self) -> (&File, u64, u64) {
        (&self.file, self.body.start + (self.length - self.left), self.left)
    }

    /// So much of the rest is about to go out.
    pub(crate) fn check_before(&self, count: u64) -> Result<()> {
        if count >= self.left { self.check_size() } else { Ok(()) }
    }

    /// So much of the rest went out.
    pub(crate) fn sent(&mut self, count: u64) -> Result<()> {
        self.left = self.left.saturating_sub(count);
        if count == 0 && self.left > 0 { Err(self.too_short()) } else { Ok(()) }
    }

    /// The last piece completes the message: only what is still as it was announced may.
    fn check_size(&self) -> Result<()> {
        let size = self.file.metadata().map_or(self.size, |metadata| metadata.len());
        let fits =
            if self.body.end.is_none() { size == self.size } else { size >= self.body.start + self.length };
        if fits {
            return Ok(());
        }
        Err(failed(&format!(
            "sending {}: it changed meanwhile, from {} bytes to {size}",
            self.body.path.display(),
            self.size
        )))
    }

    fn too_short(&self) -> Error {
        let (length, there, path) = (self.length, self.length - self.left, self.body.path.display());
        failed(&format!(
            "sending {path}: it became shorter meanwhile; {length} bytes were announced, and there are {there}"
        ))
    }
}
