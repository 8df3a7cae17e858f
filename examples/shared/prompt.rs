//! Asks on the terminal, which does not show passwords meanwhile. It is told so by the program `stty`; if
//! that cannot be done, no password is asked for.

// Not every program has a use for all of it.
#![allow(dead_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

const TERMINAL: &str = "/dev/tty";

/// More than that is no password.
const LONGEST: u64 = 4096;

/// How the terminal was, while it shows nothing.
static BEFORE: Mutex<Option<String>> = Mutex::new(None);

/// Asks, and gives what was typed.
///
/// # Errors
///
/// There is no terminal, or nothing was typed.
pub fn line(question: &str) -> io::Result<String> {
    ask(&mut terminal()?, question)
}

/// Asks for a password, and gives what was typed.
///
/// # Errors
///
/// There is no terminal, it cannot be kept from showing what is typed, or nothing was typed.
pub fn password(question: &str) -> io::Result<String> {
    let mut terminal = terminal()?;
    let before = stty("-g")?;
    *settings() = Some(before.trim().to_owned());
    let answer = stty("-echo").and_then(|_| ask(&mut terminal, question));
    restore();
    // What ended the line was not shown either.
    let _ = terminal.write_all(b"\n");
    answer
}

/// Has the terminal show what is typed again, if it does not. For when the program is to end in the
/// midst of it.
pub fn restore() {
    if let Some(before) = settings().take() {
        let _ = stty(&before);
    }
}

fn ask(terminal: &mut File, question: &str) -> io::Result<String> {
    terminal.write_all(question.as_bytes())?;
    let mut line = String::new();
    BufReader::new(terminal.take(LONGEST)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nothing was typed"));
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn terminal() -> io::Result<File> {
    File::options().read(true).write(true).open(TERMINAL)
}

/// What `stty` prints.
fn stty(argument: &str) -> io::Result<String> {
    let terminal = Stdio::from(File::open(TERMINAL)?);
    let output = Command::new("stty").arg(argument).stdin(terminal).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(said.trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn settings() -> MutexGuard<'static, Option<String>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}
