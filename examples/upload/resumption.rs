//! What it takes to go on with an upload in another run: resume data beside the file that is sent. What
//! is read there may be anything.

use crate::exit::{Exit, Failure};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use urlsession::ResumeData;

/// Where resume data is kept for a file and a URL.
pub struct Resumption {
    path: PathBuf,
    url: String,
}

impl Resumption {
    /// `FILE.upload`.
    pub fn of(file: &Path, url: &str) -> Resumption {
        let mut path = OsString::from(file);
        path.push(".upload");
        Resumption { path: path.into(), url: url.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier run has left: of this URL, and of the file as it still is.
    pub fn load(&self, file: &Path) -> Option<ResumeData> {
        let bytes = fs::read(&self.path).ok()?;
        let rest = bytes.strip_prefix(self.first_line(file)?.as_bytes())?;
        ResumeData::from_bytes(rest).ok().filter(ResumeData::is_upload)
    }

    /// Keeps it for the next run, for nobody else's eyes: who knows the upload's URL can write to it.
    pub fn store(&self, file: &Path, data: &ResumeData) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let path = self.path.display();
            Failure::new(Exit::Write, format!("writing {path}, to go on from there: {error}"))
        };
        let Some(first) = self.first_line(file) else { return Ok(()) };
        self.forget();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut kept = options.open(&self.path).map_err(failed)?;
        kept.write_all(&[first.as_bytes(), &data.to_bytes()].concat()).map_err(failed)
    }

    /// It is of no use any more.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// A file that was changed meanwhile is another upload.
    fn first_line(&self, file: &Path) -> Option<String> {
        let metadata = file.metadata().ok()?;
        let changed = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{} {} {}\n", self.url, metadata.len(), changed.as_nanos()))
    }
}
