//! Download tasks: a request, and its response in a file.

use super::{Download, Task};

/// A request whose response goes to a file. `URLSessionDownloadTask`.
pub type DownloadTask = Task<Download>;
