//! Download tasks: a request, and its response in a file.

use super::{Download, Pending, Task};
use crate::resume::ResumeData;
use std::sync::Arc;

/// A request whose response goes to a file. `URLSessionDownloadTask`.
///
/// An error status is a response too: what came with it is in the file. A
/// [`destination`](crate::DownloadRequest::destination) takes only what came with success.
///
/// ```no_run
/// # use urlsession::{DownloadRequest, Session};
/// let download = DownloadRequest::new("https://example.com/disk.img").destination("disk.img");
/// let response = Session::shared().download_task(download).wait()?.error_for_status()?;
/// println!("{} bytes", response.body().len());
/// # Ok::<(), urlsession::Error>(())
/// ```
pub type DownloadTask = Task<Download>;

impl DownloadTask {
    /// Cancels the download and gives what it takes to go on with it later, or `None` if it cannot be
    /// gone on with: nothing has come, or the server has not said by which version to know the rest.
    /// `cancel(byProducingResumeData:)`. The task ends as by [`cancel`](Task::cancel), which keeps
    /// nothing.
    ///
    /// ```no_run
    /// # use urlsession::Session;
    /// let session = Session::shared();
    /// let download = session.download_task("https://example.com/disk.img");
    /// download.resume();
    /// if let Some(data) = download.cancel_by_producing_resume_data().wait()? {
    ///     let file = session.download_task_with_resume_data(data).wait()?.error_for_status()?.into_body();
    ///     file.persist("disk.img")?;
    /// }
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn cancel_by_producing_resume_data(&self) -> Pending<Option<ResumeData>> {
        let core = Arc::clone(self.core());
        core.cancel_to_resume();
        Pending::at_end(core, |core| Ok(core.resume_data()))
    }
}
