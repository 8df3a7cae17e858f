//! Upload tasks: a request with a body to send, and its response in memory or through a reader.

use super::{Pending, Task, Upload};
use crate::resume::ResumeData;
use std::sync::Arc;

/// A data task with a body to send; `URLSessionUploadTask`.
///
/// The body is that of the upload, whatever body the request had.
pub type UploadTask = Task<Upload>;

impl UploadTask {
    /// Cancels the upload and gives what it takes to go on with it later, or `None` if it cannot be
    /// gone on with: it is no [resumable one](crate::Request::resumable_upload), or the server has not
    /// said that it can be resumed. `cancel(byProducingResumeData:)`.
    ///
    /// Neither this nor [`cancel`](Task::cancel) takes back what the server has of it: nothing is sent.
    ///
    /// ```no_run
    /// use urlsession::{Body, Request, Session};
    ///
    /// let session = Session::shared();
    /// let request = Request::put("https://example.com/film").resumable_upload(true);
    /// let upload = session.upload_task(request, Body::file("film.mp4"));
    /// upload.resume();
    /// if let Some(data) = upload.cancel_by_producing_resume_data().wait()? {
    ///     std::fs::write("film.resume", data.to_bytes()).expect("a file");
    /// }
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn cancel_by_producing_resume_data(&self) -> Pending<Option<ResumeData>> {
        let core = Arc::clone(self.core());
        core.cancel_to_resume();
        Pending::at_end(core, |core| Ok(core.resume_data()))
    }
}
