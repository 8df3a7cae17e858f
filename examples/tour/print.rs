//! How the tour looks: headings, aligned lines, and sober colours where a terminal shows them.

use std::io::IsTerminal;
use std::time::Duration;

const WIDTH: usize = 78;

/// Prints for people.
pub struct Printer {
    colours: bool,
    chapters: usize,
}

impl Printer {
    /// With colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn new() -> Printer {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb;
        Printer { colours, chapters: 0 }
    }

    /// Begins a chapter: its title, and the line of code it is about.
    pub fn chapter(&mut self, title: &str, code: &str) {
        self.chapters += 1;
        let title = self.paint("1", &format!("{}  {title}", self.chapters));
        println!("\n{title}\n   {}\n", self.paint("36", code));
    }

    /// A fact and its value.
    pub fn fact(&self, name: &str, value: impl std::fmt::Display) {
        println!("   {} {value}", self.paint("2", &format!("{name:<24}")));
    }

    /// Lines as they are.
    pub fn block(&self, text: &str) {
        text.lines().for_each(|line| println!("{}", format!("   {line}").trim_end()));
    }

    /// A message under a name, in lines that fit.
    pub fn message(&self, name: &str, text: &str) {
        println!("   {}", self.paint("2", name));
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.len() + word.len() + 6 > WIDTH {
                println!("     {line}");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        println!("     {line}");
    }

    /// A chapter did not show what it was to show.
    pub fn failed(&self, why: &str) {
        println!("   {} {why}", self.paint("31", "failed:"));
    }

    /// The last line.
    pub fn end(&self, failures: usize, took: Duration) {
        let result = match failures {
            0 => self.paint("32", "all as it should be"),
            count => self.paint("31", &format!("{count} failed")),
        };
        println!("\n{} chapters in {}: {result}", self.chapters, time(took));
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A duration in three digits.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        1.0.. => (seconds, "s"),
        1e-3.. => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}
