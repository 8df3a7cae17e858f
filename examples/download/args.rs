//! The command line, taken apart into [`Options`]. Opens no file and knows nothing of sessions.

use crate::values::{Header, Usage, header, rate, with_scheme};
use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Downloads.
    Download(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// Everything that was said about the downloads.
#[derive(Debug)]
pub struct Options {
    /// What to download.
    pub urls: Vec<String>,
    /// `-o`.
    pub output: Option<PathBuf>,
    /// `-d`.
    pub directory: PathBuf,
    /// `--force`.
    pub force: bool,
    /// `-j`.
    pub at_once: usize,
    /// `--segments`.
    pub segments: usize,
    /// `--sha256`, in hexadecimal digits.
    pub sha256: Option<String>,
    /// `--retry`.
    pub retry: u32,
    /// `--limit-rate`, in bytes a second.
    pub limit_rate: Option<u64>,
    /// `-H`.
    pub headers: Vec<Header>,
    /// `-k`.
    pub insecure: bool,
    /// `--allow-cleartext`.
    pub allow_cleartext: bool,
    /// `--cacert`.
    pub cacert: Option<PathBuf>,
    /// `-q`.
    pub quiet: bool,
}

/// Takes a command line apart; the program's name is not part of `args`.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, Usage> {
    let mut parser = Parser::from_args(args);
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Value(url) => options.urls.push(with_scheme(url.string()?)),
            Short('o') | Long("output") => options.output = Some(parser.value()?.into()),
            Short('d') | Long("directory") => options.directory = parser.value()?.into(),
            Short('f') | Long("force") => options.force = true,
            Short('j') | Long("jobs") => options.at_once = parser.value()?.parse::<u16>()?.max(1).into(),
            Short('s') | Long("segments") => {
                options.segments = parser.value()?.parse::<u8>()?.max(1).into();
            }
            Long("sha256") => options.sha256 = Some(parser.value()?.string()?),
            Long("retry") => options.retry = parser.value()?.parse()?,
            Long("limit-rate") => {
                options.limit_rate = rate("--limit-rate", &parser.value()?.string()?)?;
            }
            Short('H') | Long("header") => options.headers.push(header(parser.value()?.string()?)?),
            Short('k') | Long("insecure") => options.insecure = true,
            Long("allow-cleartext") => options.allow_cleartext = true,
            Long("cacert") => options.cacert = Some(parser.value()?.into()),
            Short('q') | Long("quiet") => options.quiet = true,
            arg => return Err(arg.unexpected().into()),
        }
    }
    options.check()?;
    Ok(Command::Download(Box::new(options)))
}

impl Default for Options {
    fn default() -> Options {
        Options {
            urls: Vec::new(),
            output: None,
            directory: PathBuf::new(),
            force: false,
            at_once: 4,
            segments: 1,
            sha256: None,
            retry: 3,
            limit_rate: None,
            headers: Vec::new(),
            insecure: false,
            allow_cleartext: false,
            cacert: None,
            quiet: false,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), Usage> {
        let wrong = |message: &str| Err(Usage(message.to_owned()));
        match (self.urls.len(), &self.output) {
            (0, _) => wrong("no URL given"),
            (2.., _) if self.sha256.is_some() => wrong("--sha256 is for one URL"),
            (2.., Some(_)) => wrong("-o is for one URL; for several, -d says in which directory"),
            (_, Some(path)) if path.as_os_str() == "-" => {
                wrong("a download goes to a file; fetch writes to standard output")
            }
            _ if !self.sha256.as_deref().is_none_or(is_sha256) => {
                wrong("--sha256 wants 64 hexadecimal digits")
            }
            _ => Ok(()),
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace()) {
            Ok(Command::Download(options)) => Ok(*options),
            Ok(other) => Err(format!("{other:?}")),
            Err(Usage(message)) => Err(message),
        }
    }

    #[test]
    fn options_are_taken_apart() {
        let options = parsed("-qfd dir -j8 --limit-rate 1m h/x https://h/y").expect("a command line");
        assert!(options.quiet && options.force);
        assert_eq!((options.at_once, options.limit_rate), (8, Some(1 << 20)));
        assert_eq!(options.urls, ["http://h/x", "https://h/y"]);
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |line: &str| parsed(line).expect_err(line);
        assert_eq!(refused(""), "no URL given");
        assert!(refused("-o x a b").contains("-d"));
        assert!(refused("-o - a").contains("standard output"));
        assert!(refused("--retry -1 a").contains("-1"));
        assert!(refused("--sha256 1234 a").contains("64"));
        assert!(refused("--sha256 1234 a b").contains("one URL"));
        assert!(refused("--nonsense a").contains("--nonsense"));
    }
}
