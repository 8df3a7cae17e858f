//! The progress bar on the terminal, and a way to write lines past it.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ONE: &str =
    "{wide_msg} {binary_bytes:>10} of {binary_total_bytes} [{bar:20}] {binary_bytes_per_sec} {eta}";
const UNKNOWN: &str = "{wide_msg} {spinner} {binary_bytes:>10} {binary_bytes_per_sec} {elapsed}";
const MANY: &str = "{spinner} {msg} transfers  {binary_bytes} {binary_bytes_per_sec} {elapsed}";

/// At most one bar at a time. Standard error that is no terminal shows none.
pub struct Progress {
    bar: Mutex<Option<ProgressBar>>,
    enabled: bool,
    /// How many transfers there are, where one bar is for all of them.
    all: Option<usize>,
    done: AtomicUsize,
}

impl Progress {
    /// A bar for each transfer, or one for so many transfers.
    pub fn new(enabled: bool, all: Option<usize>) -> Progress {
        let progress = Progress { bar: Mutex::new(None), enabled, all, done: AtomicUsize::new(0) };
        if let (true, Some(count)) = (enabled, all) {
            progress.set(bar(MANY, None), &format!("0 of {count}"));
        }
        progress
    }

    /// Whether each transfer has a bar of its own.
    pub fn is_for_each(&self) -> bool {
        self.enabled && self.all.is_none()
    }

    /// A transfer begins that is expected to have so many bytes.
    pub fn begin(&self, name: &str, expected: Option<u64>) {
        if self.is_for_each() {
            // That of what was sent, if something was.
            self.take().into_iter().for_each(|bar| bar.finish_and_clear());
            self.set(bar(if expected.is_some() { ONE } else { UNKNOWN }, expected), name);
        }
    }

    /// So many bytes have arrived.
    pub fn advance(&self, count: u64) {
        self.with(|bar| bar.inc(count));
    }

    /// The transfer that began has ended. Its bar stays on the screen.
    pub fn end(&self, complete: bool) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match self.all {
            Some(count) => {
                self.with(|bar| bar.set_message(format!("{done} of {count}")));
                if done == count {
                    self.close();
                }
            }
            None if complete => self.close(),
            None => self.take().into_iter().for_each(|bar| bar.abandon()),
        }
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.take().into_iter().for_each(|bar| match self.all {
            // A bar that knows how long it is fills up when it is finished.
            None => bar.finish(),
            Some(_) => bar.abandon(),
        });
    }

    /// Writes a line to standard error, above the bar if there is one.
    pub fn say(&self, line: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    fn set(&self, bar: ProgressBar, message: &str) {
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    fn take(&self) -> Option<ProgressBar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            act(bar);
        }
    }
}

fn bar(template: &str, length: Option<u64>) -> ProgressBar {
    let bar = match length {
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    };
    // The templates are constants; one that were wrong would give a plain bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("=> "))
}
