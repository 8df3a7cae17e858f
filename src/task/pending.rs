//! The result of one operation, to be waited for, polled, or selected on.

use crate::error::{Error, ErrorKind, Result};
use crate::task::core::{Outcome, TaskCore};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result of an operation that may not be there yet.
///
/// Waiting lends the calling thread to the session, as [`DataTask::wait`](crate::DataTask::wait)
/// does. Dropping it does not undo the operation.
///
/// ```no_run
/// # use urlsession::Session;
/// # use std::time::Duration;
/// let session = Session::shared();
/// let fast = session.data_task("https://one.example.com/").pending();
/// let slow = session.data_task("https://two.example.com/").pending();
/// crossbeam_channel::select! {
///     recv(fast.receiver()) -> response => println!("the first: {response:?}"),
///     recv(slow.receiver()) -> response => println!("the second: {response:?}"),
///     default(Duration::from_secs(5)) => println!("neither"),
/// }
/// ```
pub struct Pending<T> {
    core: Arc<TaskCore>,
    sender: Sender<Result<T>>,
    receiver: Receiver<Result<T>>,
    registered: std::sync::Once,
    take: fn(Outcome) -> Result<T>,
}

impl<T: Send + 'static> Pending<T> {
    pub(crate) fn new(core: Arc<TaskCore>, take: fn(Outcome) -> Result<T>) -> Self {
        let (sender, receiver) = bounded(1);
        Pending { core, sender, receiver, registered: std::sync::Once::new(), take }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The error of the operation.
    pub fn wait(&self) -> Result<T> {
        match self.core.wait(None) {
            Some(outcome) => (self.take)(outcome),
            None => Err(Error::new(ErrorKind::Unknown, "waiting without a limit ended without a result")),
        }
    }

    /// Waits for the result so long at most. `None` if it is not there by then; it may be asked for
    /// again.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<T>> {
        let until = Instant::now().checked_add(timeout);
        self.core.wait(until).map(self.take)
    }

    /// The result, if it is there.
    pub fn try_take(&self) -> Option<Result<T>> {
        self.core.outcome().map(self.take)
    }

    /// Runs a handler with the result on the session's delegate queue, and starts the operation if it
    /// has not been started.
    pub fn on_completion(self, handler: impl FnOnce(Result<T>) + Send + 'static) {
        let take = self.take;
        self.core.on_completion(Box::new(move |outcome| handler(take(outcome))));
        self.core.start();
    }

    /// A channel on which the result arrives, once, for [`crossbeam_channel::select!`]. Starts the
    /// operation if it has not been started. Selecting runs no delegate methods: on the delegate
    /// queue itself use [`wait`](Pending::wait), which does.
    pub fn receiver(&self) -> &Receiver<Result<T>> {
        self.registered.call_once(|| {
            let (sender, take) = (self.sender.clone(), self.take);
            self.core.on_end(Box::new(move |outcome| {
                // The receiver may be gone, and then nobody wants it.
                let _ = sender.try_send(take(outcome));
            }));
            self.core.start();
        });
        &self.receiver
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("task", &self.core.id)
            .field("settled", &self.core.is_settled())
            .finish()
    }
}
