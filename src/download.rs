//! Downloads: what one is to do, and the file it ends with. Knows paths and files, not tasks.

mod file;
pub(crate) mod layout;
mod options;
pub(crate) mod partial;

pub(crate) use crate::sys::temporary;
pub use file::DownloadedFile;
pub(crate) use options::DownloadOptions;
pub use options::DownloadRequest;
