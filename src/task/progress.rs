//! How far a task is, and how far the tasks of a session are together.

use super::Task;
use super::core::{Context, TaskCore};
use super::figures::Figures;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A snapshot of how far a task is: [`Task::progress`], [`Task::on_progress`].
/// `URLSessionTask.progress`.
///
/// The numbers are those of bodies as they are on the wire, before content decoding. What is
/// [`completed`](Progress::completed), and of how much, is both directions taken together, as in
/// `NSProgress`: for a download what was received, for an upload what was sent, and then the response
/// to it, which as a rule is little. A request that is sent again, after a redirect or because its
/// connection broke, begins anew; a resumable upload goes on where the server is.
///
/// ```
/// use urlsession::Session;
///
/// let task = Session::shared().data_task("http://127.0.0.1:1/");
/// let progress = task.progress();
/// assert_eq!((progress.completed(), progress.total()), (0, None));
/// assert_eq!(progress.to_string(), "0 B");
/// assert!(!progress.is_finished());
/// ```
///
/// In words a transfer under way is `12.3 MiB of 50.0 MiB (24.6 %), 8.1 MiB/s, 5 s left`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Body bytes sent.
    pub sent: u64,
    /// Body bytes to send, if known.
    pub expected_to_send: Option<u64>,
    /// Body bytes received, before content decoding.
    pub received: u64,
    /// Body bytes to receive, if known.
    pub expected_to_receive: Option<u64>,
    /// Bytes that were there before the task began, if it is a download that was resumed.
    pub resumed: u64,
    has_response: bool,
    end: Option<End>,
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Success,
    Failure,
}

impl Progress {
    pub(crate) fn of(core: &TaskCore) -> Self {
        let end = match core.is_settled().then(|| core.outcome()).flatten() {
            None => None,
            Some(Ok(_)) => Some(End::Success),
            Some(Err(_)) => Some(End::Failure),
        };
        let counts = &core.counts;
        let (resumed, received, expected) = counts.body();
        Progress {
            sent: counts.sent(),
            expected_to_send: core.expected_to_send(),
            received,
            expected_to_receive: expected,
            resumed,
            has_response: counts.has_response(),
            end,
            rate: if end.is_none() { core.rate() } else { None },
        }
    }

    /// The bytes that are done: sent, received, and there before.
    pub fn completed(&self) -> u64 {
        self.sent.saturating_add(self.received).saturating_add(self.resumed)
    }

    /// How many bytes that will be in the end, if it is known.
    ///
    /// While there is no response that is the length of the request's body, if there is one; then both
    /// lengths together. After a success it is what was completed, whatever was announced.
    pub fn total(&self) -> Option<u64> {
        if self.end == Some(End::Success) {
            return Some(self.completed());
        }
        let to_send = self.expected_to_send?;
        let total = match self.has_response {
            true => to_send.saturating_add(self.expected_to_receive?).saturating_add(self.resumed),
            false if to_send == 0 => return None,
            false => to_send,
        };
        Some(total.max(self.completed()))
    }

    /// The part that is completed, from 0.0 to 1.0, if the total is known.
    pub fn fraction(&self) -> Option<f64> {
        self.figures().fraction()
    }

    /// How many bytes move in a second: an average in which the last few seconds count. It falls
    /// towards 0.0 when nothing moves. `None` in the first tenth of a second, and after the end.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.rate
    }

    /// How long it will take still, at this rate. `None` if that cannot be told, or if nothing moves:
    /// what would take more than 100 days is not foreseen.
    pub fn time_left(&self) -> Option<Duration> {
        self.figures().time_left()
    }

    /// Whether the task has ended, with or without an error.
    pub fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    fn figures(&self) -> Figures {
        Figures {
            completed: self.completed(),
            total: self.total(),
            rate: self.rate,
            finished: self.is_finished(),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures().fmt(f)
    }
}

/// A snapshot of how far the tasks of a session are together: [`Session::progress`](crate::Session::progress),
/// [`Session::on_progress`](crate::Session::on_progress).
///
/// What counts is a batch: it begins when a task is started while no other is under way, and takes in
/// all that are started until none is left. Tasks that have ended, in whatever way, stay in the sums of
/// their batch, with what they have moved; so nothing jumps back when one of several completes. After
/// the last has completed the sums stay as they are until the next batch begins. Tasks that were never
/// started do not count. What a task has [`completed`](Progress::completed), and of how much, is
/// described at [`Progress`].
///
/// ```
/// use urlsession::Session;
///
/// let session = Session::new(Default::default());
/// let task = session.data_task("http://127.0.0.1:1/");
/// assert!(session.progress().is_finished(), "nothing was started");
/// assert!(task.wait().is_err());
/// assert_eq!(session.progress().finished, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionProgress {
    /// Tasks under way: started, and not ended.
    pub tasks: usize,
    /// Tasks of the batch that have ended.
    pub finished: usize,
    completed: u64,
    total: Option<u64>,
    rate: Option<f64>,
}

impl SessionProgress {
    pub(crate) fn of(context: &Context) -> Self {
        let (tasks, finished) = context.registry.all();
        let mut sum = SessionProgress {
            tasks: 0,
            finished: finished.tasks,
            completed: finished.bytes,
            total: Some(finished.bytes),
            rate: None,
        };
        for core in tasks.iter().filter(|core| core.is_listed()) {
            let progress = Progress::of(core);
            let total = if progress.is_finished() {
                sum.finished += 1;
                Some(progress.completed())
            } else {
                sum.tasks += 1;
                progress.total()
            };
            sum.completed = sum.completed.saturating_add(progress.completed());
            sum.total = sum.total.zip(total).map(|(sum, total)| sum.saturating_add(total));
        }
        if sum.tasks > 0 {
            sum.rate = context.flow.rate();
        }
        sum
    }

    /// The bytes that are done.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How many bytes that will be in the end. `None` as long as it is unknown of one of the tasks,
    /// such as one that waits for its turn.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The part that is completed, from 0.0 to 1.0, if the total is known. Where it is not,
    /// `finished` of `finished + tasks` is something to show.
    pub fn fraction(&self) -> Option<f64> {
        self.figures().fraction()
    }

    /// How many bytes all tasks together move in a second; as
    /// [`Progress::bytes_per_second`], up to a tenth of a second late.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.rate
    }

    /// How long it will take still, at this rate; as [`Progress::time_left`].
    pub fn time_left(&self) -> Option<Duration> {
        self.figures().time_left()
    }

    /// Whether no task is under way.
    pub fn is_finished(&self) -> bool {
        self.tasks == 0
    }

    fn figures(&self) -> Figures {
        Figures {
            completed: self.completed,
            total: self.total,
            rate: self.rate,
            finished: self.is_finished(),
        }
    }
}

impl fmt::Display for SessionProgress {
    /// As [`Progress`], with the number of tasks before it: `3 of 10, 12.3 MiB, 8.1 MiB/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, ", self.finished, self.finished.saturating_add(self.tasks))?;
        self.figures().fmt(f)
    }
}

impl<K> Task<K> {
    /// Has a handler told how far the task is, on the session's delegate queue. Returns the task, so
    /// that it can go on in the same line.
    ///
    /// It is called as data moves, and no more often than once in `interval`; besides that once when
    /// all of the request's body is out, since there may be silence after it. The last call is for the
    /// end, with [`Progress::is_finished`]; it comes before the handlers of
    /// [`on_completion`](Task::on_completion) and before `did_complete`, and also if the task has ended
    /// already. A handler that is slow is called less often: calls do not pile up.
    ///
    /// Nothing but data brings it about, no timer: while nothing moves there are no calls. A program
    /// that wants to show a stall asks [`progress`](Task::progress) by a clock of its own.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use urlsession::Session;
    ///
    /// let task = Session::shared()
    ///     .data_task("https://example.com/big")
    ///     .on_progress(Duration::from_millis(200), |progress| eprint!("\r{progress}\x1b[K"));
    /// let response = task.wait()?;
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn on_progress(&self, interval: Duration, handler: impl FnMut(Progress) + Send + 'static) -> Self {
        let mut handler = handler;
        self.core().follow(
            interval,
            Box::new(move |core, last| {
                let progress = Progress::of(core);
                // The end that is seen early is told when its turn comes.
                if last || !progress.is_finished() {
                    handler(progress);
                }
            }),
        );
        Task::from_core(Arc::clone(self.core()))
    }
}

impl TaskCore {
    /// How long the request's body is, as far as is known.
    pub(crate) fn expected_to_send(&self) -> Option<u64> {
        self.counts.to_send().unwrap_or_else(|| self.original.get_body().len())
    }
}
