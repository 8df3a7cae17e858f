//! The command line.

use lexopt::Arg::{Long, Short};
use lexopt::{Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line asks for.
pub enum Command {
    /// To log in.
    Login(Options),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// How to log in.
pub struct Options {
    /// Name and password, if they are not to be asked for.
    pub user: Option<(String, String)>,
    /// Where to remember.
    pub directory: Option<PathBuf>,
    /// Where the server listens.
    pub port: u16,
    /// Whether to forget instead.
    pub forget: bool,
}

/// Takes a command line apart; the program's name is not part of `args`.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, lexopt::Error> {
    let mut parser = Parser::from_args(args);
    // What was remembered of the server is for its port, so it is the same each time.
    let mut options = Options { user: None, directory: None, port: 47810, forget: false };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Short('u') | Long("user") => options.user = Some(user(&parser.value()?.string()?)?),
            Short('d') | Long("directory") => options.directory = Some(parser.value()?.into()),
            Short('p') | Long("port") => options.port = parser.value()?.parse()?,
            Long("forget") => options.forget = true,
            arg => return Err(arg.unexpected()),
        }
    }
    Ok(Command::Login(options))
}

fn user(text: &str) -> Result<(String, String), lexopt::Error> {
    // The text is not repeated: there may be a secret in it.
    let (name, password) = text.split_once(':').ok_or("-u wants NAME:PASSWORD")?;
    Ok((name.to_owned(), password.to_owned()))
}
