//! The command line, taken apart into [`Options`]. Opens no file and knows nothing of sessions.

use crate::forms::{self, Field};
use crate::values::{Header, Usage, header, rate, seconds, with_scheme};
use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// An upload.
    Upload(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// Everything that was said about the upload.
#[derive(Debug, Default)]
pub struct Options {
    /// Where to.
    pub url: String,
    /// What: a file, or standard input for `-`.
    pub file: Option<PathBuf>,
    /// `-F` and `--form-string`.
    pub form: Vec<Field>,
    /// `-X`.
    pub method: Option<String>,
    /// `-H`.
    pub headers: Vec<Header>,
    /// `--resumable`.
    pub resumable: bool,
    /// `--retry`.
    pub retry: u32,
    /// `--limit-rate`, in bytes a second.
    pub limit_rate: Option<u64>,
    /// `-m`.
    pub max_time: Option<Duration>,
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
    let mut values = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Value(value) => values.push(value),
            Short('F') | Long("form") => options.form.push(forms::field(&parser.value()?.string()?)?),
            Long("form-string") => options.form.push(forms::plain_field(&parser.value()?.string()?)?),
            Short('X') | Long("request") => options.method = Some(parser.value()?.string()?),
            Short('H') | Long("header") => options.headers.push(header(parser.value()?.string()?)?),
            Long("resumable") => options.resumable = true,
            Long("retry") => options.retry = parser.value()?.parse()?,
            Long("limit-rate") => {
                options.limit_rate = rate("--limit-rate", &parser.value()?.string()?)?;
            }
            Short('m') | Long("max-time") => options.max_time = seconds("-m", parser.value()?.string()?)?,
            Short('k') | Long("insecure") => options.insecure = true,
            Long("allow-cleartext") => options.allow_cleartext = true,
            Long("cacert") => options.cacert = Some(parser.value()?.into()),
            Short('q') | Long("quiet") => options.quiet = true,
            arg => return Err(arg.unexpected().into()),
        }
    }
    options.take(values)?;
    Ok(Command::Upload(Box::new(options)))
}

impl Options {
    /// A file and a URL, or a form and a URL.
    fn take(&mut self, mut values: Vec<OsString>) -> Result<(), Usage> {
        let wrong = |message: &str| Err(Usage(message.to_owned()));
        let url = match (values.pop(), values.pop(), self.form.is_empty()) {
            (Some(url), Some(file), true) if values.is_empty() => {
                self.file = Some(file.into());
                url
            }
            (Some(url), None, false) => url,
            (_, _, true) => return wrong("a FILE and a URL are wanted, or -F and a URL"),
            (_, _, false) => {
                return wrong("with -F, only a URL is wanted: files are in the form, as -F name=@FILE");
            }
        };
        self.url = with_scheme(url.string()?);
        if self.form.iter().filter(|field| field.is_stdin()).count() > 1 {
            return wrong("standard input can be read only once");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace()) {
            Ok(Command::Upload(options)) => Ok(*options),
            Ok(other) => Err(format!("{other:?}")),
            Err(Usage(message)) => Err(message),
        }
    }

    #[test]
    fn there_is_a_file_or_a_form() {
        let options = parsed("-X POST a h/x").expect("a command line");
        assert_eq!((options.file, options.url.as_str()), (Some("a".into()), "http://h/x"));
        let options = parsed("-F a=b h").expect("a command line");
        assert_eq!((options.file, options.form.len()), (None, 1));
        for line in ["", "h", "a b h", "-F a=b a h", "-F a=@- -F b=@- h"] {
            parsed(line).expect_err(line);
        }
    }
}
