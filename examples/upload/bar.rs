//! The bar of an upload, on standard error if that is a terminal.

use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::Duration;
use urlsession::Progress;

const KNOWN: &str = "{prefix:20!} [{wide_bar}] {msg}";
const UNKNOWN: &str = "{prefix:20!} {spinner} {msg}";

/// What is shown while it is sent; nothing where nobody looks.
#[derive(Clone)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar for something of that name.
    pub fn new(name: &str, quiet: bool) -> Bar {
        let shown = !quiet && io::stderr().is_terminal();
        let bar = shown.then(|| {
            let bar = ProgressBar::no_length().with_prefix(name.to_owned()).with_style(style(UNKNOWN));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Bar(bar)
    }

    /// So far it is.
    pub fn show(&self, progress: &Progress) {
        let Some(bar) = self.0.as_ref().filter(|_| !progress.is_finished()) else { return };
        let total = progress.expected_to_send;
        if let Some(total) = total {
            bar.set_style(style(KNOWN));
            bar.set_length(total);
        }
        bar.set_position(progress.sent);
        let is_sent = total.is_some_and(|total| progress.sent >= total);
        bar.set_message(if is_sent || progress.received > 0 {
            format!("{}, waiting for the answer", BinaryBytes(progress.sent))
        } else {
            let of = total.map_or(String::new(), |total| format!(" of {}", BinaryBytes(total)));
            let rate = progress.bytes_per_second().unwrap_or_default();
            let left =
                progress.time_left().map_or(String::new(), |left| format!("{:#}", HumanDuration(left)));
            format!(
                "{}{of} {:>10}/s {left:>4}",
                BinaryBytes(progress.sent),
                BinaryBytes(rate as u64).to_string()
            )
        });
    }

    /// It is over.
    pub fn close(&self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; one that were wrong would give a plain bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}
