//! The command line: options with curl's names, taken apart into [`Options`]. Opens no file and
//! knows nothing of sessions.

use crate::forms::{self, Field};
use crate::identity::{Identity, Netrc, Schemes, Secret, User};
use crate::pins::Pins;
use crate::values::{Header, Usage, header, rate, seconds, with_scheme};
use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Transfers.
    Fetch(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// Everything that was said about the transfers.
#[derive(Debug)]
pub struct Options {
    /// What to fetch and where to, in the order given.
    pub targets: Vec<Target>,
    /// `-X`.
    pub method: Option<String>,
    /// `-H`: name and value; without a value the header is not to be sent.
    pub headers: Vec<Header>,
    /// `-d` and `--data-binary`, to be joined with `&`.
    pub data: Vec<Data>,
    /// `-F` and `--form-string`.
    pub form: Vec<Field>,
    /// `-r`.
    pub range: Option<String>,
    /// `-C`.
    pub continue_at: Option<ContinueAt>,
    /// `--create-dirs`.
    pub create_dirs: bool,
    /// `-J`.
    pub remote_header_name: bool,
    /// `--retry`.
    pub retry: u32,
    /// `--retry-delay`.
    pub retry_delay: Option<Duration>,
    /// `--retry-max-time`.
    pub retry_max_time: Option<Duration>,
    /// `--limit-rate`, in bytes a second.
    pub limit_rate: Option<u64>,
    /// `-A`.
    pub user_agent: Option<String>,
    /// `-e`.
    pub referer: Option<String>,
    /// Who asks.
    pub identity: Identity,
    /// `-b`: text, or a file to read.
    pub cookies: Vec<Cookies>,
    /// `-c`; `-` is standard output.
    pub cookie_jar: Option<PathBuf>,
    /// `--hsts`.
    pub hsts: Option<PathBuf>,
    /// `--pinnedpubkey`.
    pub pinned_key: Option<Pins>,
    /// `--allow-cleartext`.
    pub allow_cleartext: bool,
    /// `-I`.
    pub head_only: bool,
    /// `-i`.
    pub include: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-s`.
    pub silent: bool,
    /// `-S`.
    pub show_error: bool,
    /// `-f`.
    pub fail: bool,
    /// Whether redirects are followed.
    pub location: bool,
    /// `--max-redirs`.
    pub max_redirs: u32,
    /// `-m`.
    pub max_time: Option<Duration>,
    /// `--connect-timeout`.
    pub connect_timeout: Option<Duration>,
    /// `-k`.
    pub insecure: bool,
    /// `--cacert`.
    pub cacert: Option<PathBuf>,
    /// `--cert`.
    pub cert: Option<PathBuf>,
    /// `--key`.
    pub key: Option<PathBuf>,
    /// `-Z`.
    pub parallel: bool,
    /// `--parallel-max`.
    pub parallel_max: usize,
    /// `-w`.
    pub write_out: Option<String>,
}

/// A URL and where its body goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was given, with `http://` in front if it had no scheme.
    pub url: String,
    /// Where to.
    pub output: Output,
    /// `-T`: what is sent there; `-` is standard input.
    pub upload: Option<PathBuf>,
}

/// Where a transfer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContinueAt {
    /// At the end of what is in the output's file.
    End,
    /// At this offset.
    Offset(u64),
}

/// Where a body goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To standard output, unless that is a terminal and the body is binary.
    Stdout,
    /// To standard output, whatever it is (`-o -`).
    StdoutAnyhow,
    /// To this file.
    File(PathBuf),
    /// To a file in the working directory with the last part of the URL's path as its name.
    RemoteName,
}

/// A piece of the request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Where it comes from.
    pub source: Source,
    /// Whether line ends and NULs are taken out of a file, as `-d` does.
    pub strip: bool,
}

/// Where a piece of the request's body comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Text(String),
    /// `@file`.
    File(PathBuf),
    /// `@-`.
    Stdin,
}

/// Where cookies come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// The command line: a `Cookie` header.
    Text(Secret),
    /// A file.
    File(PathBuf),
}

/// Takes a command line apart; the program's name is not part of `args`.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, Usage> {
    let mut parser = Parser::from_args(args);
    let mut options = Options::default();
    let (mut urls, mut outputs, mut all_remote) = (Vec::new(), Vec::new(), false);
    let mut uploads = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Value(url) => urls.push(url.string()?),
            Long("url") => urls.push(parser.value()?.string()?),
            Short('X') | Long("request") => options.method = Some(parser.value()?.string()?),
            Short('H') | Long("header") => options.headers.push(header(parser.value()?.string()?)?),
            Short('d') | Long("data") => options.data.push(data(parser.value()?, true)?),
            Long("data-binary") => options.data.push(data(parser.value()?, false)?),
            Short('T') | Long("upload-file") => uploads.push(parser.value()?.into()),
            Short('F') | Long("form") => options.form.push(forms::field(&parser.value()?.string()?)?),
            Long("form-string") => options.form.push(forms::plain_field(&parser.value()?.string()?)?),
            Short('r') | Long("range") => options.range = Some(parser.value()?.string()?),
            Short('C') | Long("continue-at") => {
                options.continue_at = Some(continue_at(&parser.value()?.string()?)?);
            }
            Long("create-dirs") => options.create_dirs = true,
            Short('J') | Long("remote-header-name") => options.remote_header_name = true,
            Long("retry") => options.retry = parser.value()?.parse()?,
            Long("retry-delay") => {
                options.retry_delay = seconds("--retry-delay", parser.value()?.string()?)?;
            }
            Long("retry-max-time") => {
                options.retry_max_time = seconds("--retry-max-time", parser.value()?.string()?)?;
            }
            Long("limit-rate") => {
                options.limit_rate = rate("--limit-rate", &parser.value()?.string()?)?;
            }
            Short('A') | Long("user-agent") => options.user_agent = Some(parser.value()?.string()?),
            Short('e') | Long("referer") => options.referer = Some(parser.value()?.string()?),
            Short('u') | Long("user") => {
                options.identity.user = Some(User::parse(&parser.value()?.string()?)?);
            }
            Long("basic") => options.identity.schemes.basic = true,
            Long("digest") => options.identity.schemes.digest = true,
            Long("anyauth") => options.identity.schemes = Schemes::ANY,
            Long("oauth2-bearer") => options.identity.bearer = Some(bearer(parser.value()?.string()?)?),
            Short('n') | Long("netrc") => options.identity.netrc = Some(Netrc::Usual),
            Long("netrc-file") => options.identity.netrc = Some(Netrc::File(parser.value()?.into())),
            Short('b') | Long("cookie") => options.cookies.push(cookies(parser.value()?)?),
            Short('c') | Long("cookie-jar") => options.cookie_jar = Some(parser.value()?.into()),
            Long("hsts") => options.hsts = Some(parser.value()?.into()),
            Long("pinnedpubkey") => options.pinned_key = Some(Pins::parse(&parser.value()?.string()?)?),
            Long("allow-cleartext") => options.allow_cleartext = true,
            Short('o') | Long("output") => outputs.push(output(parser.value()?)),
            Short('O') | Long("remote-name") => outputs.push(Output::RemoteName),
            Long("remote-name-all") => all_remote = true,
            Short('i') | Long("include") => options.include = true,
            Short('I') | Long("head") => options.head_only = true,
            Short('v') | Long("verbose") => options.verbose = options.verbose.saturating_add(1),
            Short('s') | Long("silent") => options.silent = true,
            Short('S') | Long("show-error") => options.show_error = true,
            Short('f') | Long("fail") => options.fail = true,
            // Both are how it is anyhow.
            Short('L') | Long("location") => options.location = true,
            Long("compressed") => {}
            Long("no-location") => options.location = false,
            Long("max-redirs") => options.max_redirs = max_redirs(&parser.value()?.string()?)?,
            Short('m') | Long("max-time") => options.max_time = seconds("-m", parser.value()?.string()?)?,
            Long("connect-timeout") => {
                options.connect_timeout = seconds("--connect-timeout", parser.value()?.string()?)?;
            }
            Short('k') | Long("insecure") => options.insecure = true,
            Long("cacert") => options.cacert = Some(parser.value()?.into()),
            Short('E') | Long("cert") => options.cert = Some(parser.value()?.into()),
            Long("key") => options.key = Some(parser.value()?.into()),
            Short('Z') | Long("parallel") => options.parallel = true,
            Long("parallel-max") => options.parallel_max = parser.value()?.parse::<u16>()?.max(1).into(),
            Short('w') | Long("write-out") => options.write_out = Some(parser.value()?.string()?),
            arg => return Err(arg.unexpected().into()),
        }
    }
    options.targets = targets(urls, outputs, uploads, all_remote)?;
    options.check()?;
    Ok(Command::Fetch(Box::new(options)))
}

impl Default for Options {
    fn default() -> Options {
        Options {
            targets: Vec::new(),
            method: None,
            headers: Vec::new(),
            data: Vec::new(),
            form: Vec::new(),
            range: None,
            continue_at: None,
            create_dirs: false,
            remote_header_name: false,
            retry: 0,
            retry_delay: None,
            retry_max_time: None,
            limit_rate: None,
            user_agent: None,
            referer: None,
            identity: Identity::default(),
            cookies: Vec::new(),
            cookie_jar: None,
            hsts: None,
            pinned_key: None,
            allow_cleartext: false,
            head_only: false,
            include: false,
            verbose: 0,
            silent: false,
            show_error: false,
            fail: false,
            location: true,
            max_redirs: 50,
            max_time: None,
            connect_timeout: None,
            insecure: false,
            cacert: None,
            cert: None,
            key: None,
            parallel: false,
            parallel_max: 50,
            write_out: None,
        }
    }
}

impl Options {
    /// Whether errors are told.
    pub fn tells_errors(&self) -> bool {
        !self.silent || self.show_error
    }

    /// Whether the head of the response goes to the output.
    pub fn shows_head(&self) -> bool {
        self.include || self.head_only
    }

    /// Whether several transfers run at once.
    pub fn is_at_once(&self) -> bool {
        self.parallel && self.targets.len() > 1
    }

    fn check(&self) -> Result<(), Usage> {
        let wrong = |message: &str| Err(Usage(message.to_owned()));
        let uploads = || self.targets.iter().filter_map(|target| target.upload.as_ref());
        let ways = [self.head_only, !self.data.is_empty(), !self.form.is_empty(), uploads().next().is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return wrong("-I asks for the head, and -d, -F and -T send a body: give only one of them");
        }
        if self.continue_at.is_some() && (self.range.is_some() || self.remote_header_name) {
            return wrong("-C does not go with -r or -J");
        }
        if self.continue_at.is_some() && uploads().next().is_some() {
            return wrong("-C is for what is received; uploads begin at the beginning");
        }
        if self.remote_header_name && !self.targets.iter().any(|target| target.output == Output::RemoteName) {
            return wrong("-J goes with -O");
        }
        if self.key.is_some() && self.cert.is_none() {
            return Err(Usage("--key goes with --cert".into()));
        }
        self.identity.check()?;
        let stdin = self.data.iter().filter(|data| data.source == Source::Stdin).count()
            + self.form.iter().filter(|field| field.is_stdin()).count()
            + uploads().filter(|path| path.as_os_str() == "-").count();
        if stdin > 1 || stdin == 1 && self.targets.len() > 1 && self.data.is_empty() {
            return wrong("standard input can be read only once");
        }
        let mut files = HashSet::new();
        for target in &self.targets {
            if let (true, Output::File(path)) = (self.is_at_once(), &target.output) {
                // Devices take whatever comes.
                if !path.starts_with("/dev") && !files.insert(path) {
                    let path = path.display();
                    return Err(Usage(format!("with -Z, two transfers cannot go to {path} at once")));
                }
            }
        }
        Ok(())
    }
}

/// Gives the URLs their outputs, the first to the first and so on, as curl does.
fn targets(
    urls: Vec<String>,
    outputs: Vec<Output>,
    uploads: Vec<PathBuf>,
    all_remote: bool,
) -> Result<Vec<Target>, Usage> {
    if urls.is_empty() {
        return Err(Usage("no URL given".into()));
    }
    if outputs.len() > urls.len() {
        return Err(Usage(format!("{} outputs for {} URLs", outputs.len(), urls.len())));
    }
    if uploads.len() > urls.len() {
        return Err(Usage(format!("{} files to send for {} URLs", uploads.len(), urls.len())));
    }
    let rest = if all_remote { Output::RemoteName } else { Output::Stdout };
    let outputs = outputs.into_iter().chain(std::iter::repeat(rest));
    let uploads = uploads.into_iter().map(Some).chain(std::iter::repeat(None));
    let targets = urls.into_iter().zip(outputs).zip(uploads);
    Ok(targets.map(|((url, output), upload)| Target { url: with_scheme(url), output, upload }).collect())
}

fn output(value: OsString) -> Output {
    if value == "-" { Output::StdoutAnyhow } else { Output::File(value.into()) }
}

fn data(value: OsString, strip: bool) -> Result<Data, Usage> {
    let text = value.string()?;
    let source = match text.strip_prefix('@') {
        None => Source::Text(text),
        Some("-") => Source::Stdin,
        Some(path) => Source::File(path.into()),
    };
    Ok(Data { source, strip })
}

/// As curl has it: with a `=` in it it is cookies, else a file; without anything, nothing is read.
fn cookies(value: OsString) -> Result<Cookies, Usage> {
    match value.to_str() {
        Some(text) if text.contains('=') => {
            let text = text.strip_prefix("Cookie:").unwrap_or(text).trim();
            Ok(Cookies::Text(Secret(text.to_owned())))
        }
        _ => Ok(Cookies::File(value.into())),
    }
}

fn bearer(token: String) -> Result<Secret, Usage> {
    if token.is_empty() {
        return Err(Usage("--oauth2-bearer wants a token".into()));
    }
    Ok(Secret(token))
}

/// An offset, or `-` for where it ended.
fn continue_at(text: &str) -> Result<ContinueAt, Usage> {
    match text {
        "-" => Ok(ContinueAt::End),
        _ => text
            .parse()
            .map(ContinueAt::Offset)
            .map_err(|_| Usage(format!("-C wants an offset in bytes, or - for what is there, not {text:?}"))),
    }
}

/// A number of redirects; -1 is no limit.
fn max_redirs(text: &str) -> Result<u32, Usage> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(u32::MAX),
        Ok(count @ 0..) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        _ => Err(Usage(format!("--max-redirs wants a number, not {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(|word| word.replace('~', " "))) {
            Ok(Command::Fetch(options)) => Ok(*options),
            Ok(other) => Err(format!("{other:?}")),
            Err(Usage(message)) => Err(message),
        }
    }

    fn refused(line: &str) -> String {
        parsed(line).expect_err(line)
    }

    #[test]
    fn short_options_can_be_joined() {
        let options = parsed("-sSfvvo out -m2.5 h/x").unwrap();
        assert!(options.silent && options.show_error && options.fail && options.tells_errors());
        assert_eq!(options.verbose, 2);
        assert_eq!(options.max_time, Some(Duration::from_millis(2500)));
        let output = Output::File("out".into());
        assert_eq!(options.targets, [Target { url: "http://h/x".into(), output, upload: None }]);
    }

    #[test]
    fn outputs_go_to_the_urls_in_turn() {
        let outputs = |line: &str| {
            parsed(line).unwrap().targets.into_iter().map(|target| target.output).collect::<Vec<_>>()
        };
        assert_eq!(outputs("-O a -o - b c"), [Output::RemoteName, Output::StdoutAnyhow, Output::Stdout]);
        let remote = Output::RemoteName;
        assert_eq!(outputs("--remote-name-all a -o x b"), [Output::File("x".into()), remote]);
        assert!(refused("-o a -o b url").contains("2 outputs for 1 URLs"));
        assert!(refused("-Z -o a -o a url url").contains("go to a at once"));
        assert!(parsed("-o a -o a url url").is_ok());
    }

    #[test]
    fn headers_have_three_forms() {
        let line = "-H Accept:~text/html -H Host: -H X-Empty; -H Time:~12:30 h";
        let headers = parsed(line).unwrap().headers;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let expected =
            [("Accept", Some("text/html")), ("Host", None), ("X-Empty", Some("")), ("Time", Some("12:30"))];
        assert_eq!(headers, expected);
        assert!(!refused("-H secret h").contains("secret"));
    }

    #[test]
    fn data_comes_from_three_places() {
        let sources = |line: &str| {
            let data = parsed(line).unwrap().data.into_iter();
            data.map(|data| (data.source, data.strip)).collect::<Vec<_>>()
        };
        assert_eq!(sources("-d a=b h"), [(Source::Text("a=b".into()), true)]);
        assert_eq!(sources("--data-binary @f h"), [(Source::File("f".into()), false)]);
        assert_eq!(sources("--data=@- h"), [(Source::Stdin, true)]);
        assert!(refused("-d @- -d @- h").contains("only once"));
        assert!(refused("-I -d x h").contains("only one"));
    }

    #[test]
    fn what_is_sent_is_one_thing() {
        let uploads = |line: &str| {
            let targets = parsed(line).unwrap().targets.into_iter();
            targets.map(|target| target.upload).collect::<Vec<_>>()
        };
        assert_eq!(uploads("-T a x -T b y z"), [Some("a".into()), Some("b".into()), None]);
        assert!(refused("-T a -T b h").contains("2 files to send for 1 URLs"));
        for line in ["-T a -d b h", "-F a=b -d c h", "-I -T a h", "-I -F a=b h"] {
            assert!(refused(line).contains("only one"), "{line}");
        }
        for line in ["-T - -T - h g", "-F a=@- -F b=@- h", "-F a=@- h g"] {
            assert!(refused(line).contains("only once"), "{line}");
        }
        assert!(refused("-T a -C 1 h").contains("beginning"));
    }

    #[test]
    fn transfers_go_on_at_an_offset() {
        assert_eq!(parsed("-C - -o f h").unwrap().continue_at, Some(ContinueAt::End));
        assert_eq!(parsed("-C 100 h").unwrap().continue_at, Some(ContinueAt::Offset(100)));
        for line in ["-C x h", "-C -1 h", "-C 1 -r 1-2 h", "-J h", "-OJ -C - h"] {
            refused(line);
        }
    }

    #[test]
    fn cookies_are_text_or_a_file() {
        let cookies = |line: &str| parsed(line).unwrap().cookies;
        let text = |text: &str| Cookies::Text(Secret(text.into()));
        assert_eq!(cookies("-b a=1;~b=2 h"), [text("a=1; b=2")]);
        assert_eq!(cookies("-b Cookie:~a=1 -b jar h"), [text("a=1"), Cookies::File("jar".into())]);
        assert_eq!(parsed("-c - h").unwrap().cookie_jar, Some("-".into()));
    }

    #[test]
    fn who_asks_is_said_in_several_ways() {
        let identity = |line: &str| parsed(line).unwrap().identity;
        assert_eq!(identity("-u me:x h").user, Some(User::parse("me:x").unwrap()));
        assert!(!identity("-u me h").schemes.is_named());
        assert_eq!(identity("--digest --basic -u me:x h").schemes, Schemes::ANY);
        assert_eq!(identity("-n h").netrc, Some(Netrc::Usual));
        assert_eq!(identity("--netrc-file f h").netrc, Some(Netrc::File("f".into())));
        assert!(!format!("{:?}", parsed("--oauth2-bearer hidden -b a=hidden h").unwrap()).contains("hidden"));
        for line in ["-u h", "-u a:b -n h", "--oauth2-bearer t --anyauth h", "--pinnedpubkey sha256//x h"] {
            refused(line);
        }
    }

    #[test]
    fn numbers_are_checked() {
        assert_eq!(parsed("--max-redirs -1 h").unwrap().max_redirs, u32::MAX);
        assert_eq!(parsed("-m 0 h").unwrap().max_time, None);
        for line in ["-m x h", "-m -1 h", "-m inf h", "--max-redirs many h", "--parallel-max 0x h"] {
            refused(line);
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refused(""), "no URL given".to_owned());
        assert!(refused("--nonsense h").contains("--nonsense"));
        assert!(refused("h -o").contains("-o"));
        assert!(refused("--key k h").contains("--cert"));
        assert!(matches!(parse(["-h"]), Ok(Command::Help)));
        assert!(matches!(parse(["--version"]), Ok(Command::Version)));
    }

    #[test]
    fn a_scheme_is_added_where_there_is_none() {
        let url = |text: &str| parsed(text).unwrap().targets.remove(0).url;
        assert_eq!(url("localhost:8080/x"), "http://localhost:8080/x");
        assert_eq!(url("HTTPS://h"), "HTTPS://h");
        assert!(!parsed("-L --compressed --no-location h").unwrap().location);
    }
}
