//! What is shown: a bar for each download under way and one for all of them, or plain lines where
//! standard error is no terminal. What is over is a line above the bars.

use indicatif::{BinaryBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};
use urlsession::{Progress, SessionProgress};

const KNOWN: &str = "{prefix:20!} [{wide_bar}] {msg}";
const UNKNOWN: &str = "{prefix:20!} {spinner} {msg}";
/// How often bars move, and how often there is a line where there are no bars.
const BARS: Duration = Duration::from_millis(100);
const LINES: Duration = Duration::from_secs(10);
/// The resolution of bars: what they are of is in their text.
const STEPS: u64 = 10_000;

/// Where it is shown.
pub struct Display {
    place: Place,
    sum: Option<ProgressBar>,
}

enum Place {
    Terminal(MultiProgress),
    Lines,
    Nowhere,
}

/// What is shown of a download under way.
#[derive(Clone)]
pub struct Row {
    name: String,
    bar: Option<ProgressBar>,
    lines: bool,
    /// What is over soon needs no lines before.
    began: Instant,
}

impl Display {
    /// What is right for standard error. `several`: there is a sum.
    pub fn new(quiet: bool, several: bool) -> Display {
        let place = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Place::Nowhere,
            (false, true) => Place::Terminal(MultiProgress::new()),
            (false, false) => Place::Lines,
        };
        let sum = match &place {
            Place::Terminal(bars) if several => Some(bars.add(bar("all"))),
            _ => None,
        };
        Display { place, sum }
    }

    /// How often a row wants to hear of its download.
    pub fn interval(&self) -> Duration {
        if matches!(self.place, Place::Terminal(_)) { BARS } else { LINES }
    }

    /// A row for a download that begins.
    pub fn row(&self, name: &str) -> Row {
        let bar = match (&self.place, &self.sum) {
            (Place::Terminal(bars), Some(sum)) => Some(bars.insert_before(sum, bar(name))),
            (Place::Terminal(bars), None) => Some(bars.add(bar(name))),
            _ => None,
        };
        Row { name: name.to_owned(), bar, lines: matches!(self.place, Place::Lines), began: Instant::now() }
    }

    /// How far all of them are, of so many; `waiting`: some have not begun.
    pub fn sum(&self, progress: &SessionProgress, done: usize, all: usize, waiting: bool) {
        if let Some(bar) = &self.sum {
            bar.set_prefix(format!("{done} of {all} files"));
            // Those that have not begun are not in it, so there is no end to be foreseen.
            let total = progress.total().filter(|_| !waiting);
            let figures =
                figures(progress.completed(), total, progress.bytes_per_second(), progress.time_left());
            show(bar, total.and(progress.fraction()), figures);
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        match &self.place {
            Place::Terminal(bars) => bars.suspend(|| eprintln!("{line}")),
            Place::Lines => eprintln!("{line}"),
            Place::Nowhere => {}
        }
    }

    /// A line that stays, for what went wrong.
    pub fn complain(&self, line: &str) {
        match &self.place {
            Place::Nowhere => eprintln!("{line}"),
            _ => self.say(line),
        }
    }

    /// Nothing more will come.
    pub fn close(&self) {
        if let Place::Terminal(bars) = &self.place {
            let _ = bars.clear();
        }
    }
}

impl Row {
    /// How far it is.
    pub fn show(&self, progress: &Progress) {
        if progress.is_finished() {
            return;
        }
        if let Some(bar) = &self.bar {
            let (total, left) = (progress.total(), progress.time_left());
            let figures = figures(progress.completed(), total, progress.bytes_per_second(), left);
            show(bar, progress.fraction(), figures);
        } else if self.lines && self.began.elapsed() >= LINES {
            eprintln!("{}: {progress}", self.name);
        }
    }

    /// Shows it anew where something can be shown anew.
    pub fn refresh(&self, progress: &Progress) {
        if self.bar.is_some() {
            self.show(progress);
        }
    }

    /// It is over.
    pub fn remove(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What a download comes to: `50.0 MiB in 3.2s, 15.6 MiB/s`.
pub fn result(length: u64, received: u64, began: Instant) -> String {
    let time = began.elapsed();
    let rate = received as f64 / time.as_secs_f64().max(1e-3);
    let before = match length.saturating_sub(received) {
        0 => String::new(),
        // A body may be longer than what came of it, too: it was compressed.
        before => format!(", {} of it were there", BinaryBytes(before)),
    };
    format!("{} in {:.1} s, {}/s{before}", BinaryBytes(length), time.as_secs_f64(), BinaryBytes(rate as u64))
}

fn figures(completed: u64, total: Option<u64>, rate: Option<f64>, left: Option<Duration>) -> String {
    let of = total.map_or(String::new(), |total| format!(" of {}", BinaryBytes(total)));
    let rate = rate.map_or(String::new(), |rate| format!("{}/s", BinaryBytes(rate as u64)));
    let left = left.map_or(String::new(), |left| format!("{:#}", HumanDuration(left)));
    format!("{:>10}{of} {rate:>14} {left:>4}", BinaryBytes(completed).to_string())
}

fn bar(name: &str) -> ProgressBar {
    // Nothing is `set`: that would draw it before it is one of several.
    ProgressBar::new(STEPS).with_prefix(name.to_owned()).with_message("waiting").with_style(style(UNKNOWN))
}

fn show(bar: &ProgressBar, fraction: Option<f64>, figures: String) {
    bar.set_style(style(if fraction.is_some() { KNOWN } else { UNKNOWN }));
    bar.set_message(figures);
    bar.set_position(fraction.map_or_else(|| bar.position() + 1, |part| (part * STEPS as f64) as u64));
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; one that were wrong would give a plain bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}
