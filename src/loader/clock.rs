//! The time limits of a task: which there are, when the next one passes, and what is said then.

use crate::error::{Error, ErrorKind};
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::{Mode, TaskCore};
use std::time::{Duration, Instant};

/// Which limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Nothing moved for so long (`timeoutIntervalForRequest`).
    Request(Duration),
    /// The whole task took so long (`timeoutIntervalForResource`).
    Resource(Duration),
    /// Connecting took so long, name and TLS included.
    Connect(Duration),
}

/// The time limits of a task.
pub(crate) struct Clock {
    idle: Duration,
    resource: Duration,
    connect: Option<Duration>,
    progress: Option<Instant>,
    resource_at: Option<Instant>,
    connect_at: Option<Instant>,
    /// What is left of the time for connecting, while somebody else takes theirs.
    connect_left: Option<Duration>,
    /// When something else is due that the task waits for, and that is no limit.
    pub(super) next_attempt: Option<Instant>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock {
            idle: Duration::MAX,
            resource: Duration::MAX,
            connect: None,
            progress: None,
            resource_at: None,
            connect_at: None,
            connect_left: None,
            next_attempt: None,
        }
    }

    /// The task begins. What the request says goes before what the configuration says (SPEC I2).
    pub(crate) fn begin(&mut self, core: &Arc<TaskCore>) {
        let start = core.effective_start().unwrap_or_else(Instant::now);
        let (request, configuration) = (&core.original, &core.context.configuration);
        self.idle = request.timeout.unwrap_or(configuration.timeout_for_request);
        self.resource = request.resource_timeout.unwrap_or(configuration.timeout_for_resource);
        self.connect = request.connect_timeout.or(configuration.connect_timeout);
        self.progress = Some(start);
        self.resource_at = start.checked_add(self.resource);
    }

    /// The task goes on after it was suspended: the idle time begins anew, and the time for which it
    /// was suspended does not count.
    pub(crate) fn resume(&mut self, core: &Arc<TaskCore>) {
        self.progress = Some(Instant::now());
        self.resource_at = core.effective_start().and_then(|start| start.checked_add(self.resource));
        if self.connect_at.is_some() {
            self.begin_connect();
        }
    }

    /// When something moved last.
    pub(crate) fn progress(&self) -> Instant {
        self.progress.unwrap_or_else(Instant::now)
    }

    /// Something moved.
    pub(crate) fn touch(&mut self) -> Instant {
        let now = Instant::now();
        self.progress = Some(now);
        now
    }

    pub(crate) fn begin_connect(&mut self) {
        self.connect_at = self.connect.and_then(|limit| Instant::now().checked_add(limit));
    }

    pub(crate) fn end_connect(&mut self) {
        self.connect_at = None;
        self.connect_left = None;
    }

    /// The time for connecting stands still.
    #[cfg(feature = "tls")]
    pub(crate) fn hold_connect(&mut self) {
        let at = self.connect_at.take();
        self.connect_left = at.map(|at| at.saturating_duration_since(Instant::now()));
    }

    /// It goes on.
    #[cfg(feature = "tls")]
    pub(crate) fn release_connect(&mut self) {
        if let Some(left) = self.connect_left.take() {
            self.connect_at = Instant::now().checked_add(left);
        }
    }

    /// Whether the time for the whole task is over then.
    pub(crate) fn is_over(&self, then: Instant) -> bool {
        self.resource_at.is_some_and(|at| then >= at)
    }

    /// When the next limit passes. `idle`: the idle timeout counts.
    pub(crate) fn deadline(&self, idle: bool) -> Option<Instant> {
        let idle_at = if idle { self.progress.and_then(|at| at.checked_add(self.idle)) } else { None };
        [idle_at, self.resource_at, self.connect_at, self.next_attempt].into_iter().flatten().min()
    }

    /// How long a receive may wait.
    pub(crate) fn patience(&self, mode: Mode) -> Patience {
        let Mode::Blocking { until } = mode else { return Patience::Never };
        let idle = Some(self.idle).filter(|idle| *idle < Duration::MAX);
        // The usual case, in which the time is the same for every receive and the clock is not read.
        let near = |at: Option<Instant>| match (at, self.progress.and_then(|at| at.checked_add(self.idle))) {
            (Some(at), Some(idle_at)) => at < idle_at,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !near(self.resource_at) && !near(self.connect_at) && until.is_none() {
            return match idle {
                Some(idle) if idle.is_zero() => Patience::Never,
                idle => Patience::UpTo(idle),
            };
        }
        let at = [self.deadline(true), until].into_iter().flatten().min();
        let left = at.map(|at| at.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if left.is_zero() => Patience::Never,
            left => Patience::UpTo(left),
        }
    }

    /// The error if a limit has passed. `phase` says what was being done.
    pub(crate) fn check(&self, idle: bool, phase: &dyn Fn() -> String) -> Result<(), Error> {
        self.check_at(Instant::now(), idle, phase)
    }

    /// The error if a limit has passed that counts while data moves, too.
    pub(crate) fn check_moving(&self, now: Instant, phase: &dyn Fn() -> String) -> Result<(), Error> {
        self.check_at(now, false, phase)
    }

    fn check_at(&self, now: Instant, idle: bool, phase: &dyn Fn() -> String) -> Result<(), Error> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        let limit = if passed(self.connect_at) {
            Limit::Connect(self.connect.unwrap_or_default())
        } else if passed(self.resource_at) {
            Limit::Resource(self.resource)
        } else if idle && passed(self.progress.and_then(|at| at.checked_add(self.idle))) {
            Limit::Request(self.idle)
        } else {
            return Ok(());
        };
        Err(limit.error(&phase()))
    }
}

impl Limit {
    fn error(self, phase: &str) -> Error {
        let message = match self {
            Limit::Request(limit) => format!("{phase}: nothing moved for {limit:?} (the request timeout)"),
            Limit::Resource(limit) => {
                format!("{phase}: the task took longer than {limit:?} (the resource timeout)")
            }
            Limit::Connect(limit) => format!("{phase}: it took longer than {limit:?} (the connect timeout)"),
        };
        Error::new(ErrorKind::TimedOut, message)
    }
}
