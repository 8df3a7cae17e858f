//! The result of one operation, to be waited for, polled, or selected on.

use crate::engine::events::Subject;
use crate::error::{Error, ErrorKind, Result};
use crate::task::core::{Outcome, TaskCore, within_own_event};
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
    result: Of<T>,
}

/// What the result is taken from.
enum Of<T> {
    /// How the task ended.
    Outcome(fn(Outcome) -> Result<T>),
    /// What the task has left behind, once nobody runs it any more.
    End(fn(&TaskCore) -> Result<T>),
}

impl<T> Clone for Of<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Of<T> {}

impl<T: Send + 'static> Pending<T> {
    pub(crate) fn new(core: Arc<TaskCore>, take: fn(Outcome) -> Result<T>) -> Self {
        Pending::of(core, Of::Outcome(take))
    }

    /// For a task that is over, or about to be.
    pub(crate) fn at_end(core: Arc<TaskCore>, take: fn(&TaskCore) -> Result<T>) -> Self {
        Pending::of(core, Of::End(take))
    }

    fn of(core: Arc<TaskCore>, result: Of<T>) -> Self {
        let (sender, receiver) = bounded(1);
        Pending { core, sender, receiver, registered: std::sync::Once::new(), result }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The error of the operation.
    pub fn wait(&self) -> Result<T> {
        self.wait_until(None).unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Unknown, "waiting without a limit ended without a result"))
        })
    }

    /// Waits for the result so long at most. `None` if it is not there by then; it may be asked for
    /// again.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<T>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&self, until: Option<Instant>) -> Option<Result<T>> {
        match self.result {
            Of::Outcome(take) => self.core.wait(until).map(take),
            Of::End(take) => {
                if self.core.is_run_here() {
                    return Some(Err(within_own_event()));
                }
                let (sender, receiver) = bounded(1);
                self.core.on_end(Box::new(move |_| {
                    let _ = sender.send(());
                }));
                let ended = match until {
                    None => receiver.recv().is_ok(),
                    Some(until) => receiver.recv_deadline(until).is_ok(),
                };
                ended.then(|| take(&self.core))
            }
        }
    }

    /// The result, if it is there.
    pub fn try_take(&self) -> Option<Result<T>> {
        match self.result {
            Of::Outcome(take) => self.core.outcome().map(take),
            Of::End(take) => self.core.has_ended().then(|| take(&self.core)),
        }
    }

    /// Runs a handler with the result on the session's delegate queue, and starts the operation if it
    /// has not been started.
    pub fn on_completion(self, handler: impl FnOnce(Result<T>) + Send + 'static) {
        match self.result {
            Of::Outcome(take) => {
                self.core.on_completion(Box::new(move |outcome| handler(take(outcome))));
                self.core.start();
            }
            Of::End(take) => {
                let core = Arc::clone(&self.core);
                self.core.on_end(Box::new(move |_| {
                    let context = Arc::clone(&core.context);
                    context.post(Subject::NONE, Box::new(move || handler(take(&core))));
                }));
            }
        }
    }

    /// A channel on which the result arrives, once, for [`crossbeam_channel::select!`]. Starts the
    /// operation if it has not been started. Selecting runs no delegate methods: on the delegate
    /// queue itself use [`wait`](Pending::wait), which does.
    pub fn receiver(&self) -> &Receiver<Result<T>> {
        self.registered.call_once(|| {
            let (sender, result, core) = (self.sender.clone(), self.result, Arc::downgrade(&self.core));
            self.core.on_end(Box::new(move |outcome| {
                let result = match result {
                    Of::Outcome(take) => Some(take(outcome)),
                    Of::End(take) => core.upgrade().map(|core| take(&core)),
                };
                // The receiver may be gone, and then nobody wants it.
                if let Some(result) = result {
                    let _ = sender.try_send(result);
                }
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
