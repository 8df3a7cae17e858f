//! How a transfer can fail, in curl's numbers: [`Exit`], [`Failure`], and the way from an
//! [`Error`] of the library to them.

// Not every program has a use for all of it.
#![allow(dead_code)]

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use urlsession::{Error, ErrorKind};

macro_rules! exits {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        /// An exit code of the program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Exit {
            $(#[doc = $meaning] $name = $code,)*
        }

        /// All codes and what they mean, for `--help`.
        pub const EXITS: &[(u8, &str)] = &[$(($code, $meaning),)*];
    };
}

exits! {
    Success = 0, "all went well";
    UnsupportedUrl = 1, "an unknown scheme, or cleartext without --allow-cleartext";
    Usage = 2, "wrong options";
    MalformedUrl = 3, "the URL, a header or a redirect's target is malformed";
    Resolve = 6, "the host's name could not be resolved";
    Connect = 7, "no connection to the host";
    WeirdReply = 8, "the server's reply is not HTTP";
    Partial = 18, "the connection ended before the body did";
    HttpStatus = 22, "with -f: the server answered 400 or above";
    Write = 23, "the output could not be written";
    ReadInput = 26, "a file given to an option could not be read";
    Timeout = 28, "a time limit passed";
    Checksum = 32, "the file does not have the checksum it has to have";
    Range = 33, "the server does not give the range that was asked for";
    TlsConnect = 35, "the TLS handshake failed";
    Internal = 43, "an error that should not happen";
    TooManyRedirects = 47, "more redirects than --max-redirs allows";
    EmptyReply = 52, "the server closed the connection without a reply";
    Send = 55, "sending failed";
    Receive = 56, "receiving failed";
    ClientCertificate = 58, "--cert or --key do not work, or the server wants another certificate";
    ServerCertificate = 60, "the server's certificate is not to be trusted";
    Encoding = 61, "the body's content encoding is damaged";
    TooLarge = 63, "the body is too large";
    Rewind = 65, "the request's body could not be sent again";
    CaCertificates = 77, "--cacert could not be read";
    PinnedKey = 90, "the server does not have the key of --pinnedpubkey";
    Interrupted = 130, "interrupted (Ctrl-C)";
}

/// The codes behind a help text.
pub fn help(text: &str) -> String {
    let exits = EXITS.iter().map(|(code, meaning)| format!("  {code:>3}  {meaning}\n"));
    text.to_owned() + &exits.collect::<String>()
}

/// Prints a text that was asked for, and ends.
pub fn text(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code(Exit::Success),
        Err(_) => code(Exit::Write),
    }
}

/// What the process ends with.
pub fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

/// Why a transfer failed: the code, and what to tell the user.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The message, without the program's name; empty where there is nothing to tell.
    pub message: String,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// The output could not be written. A reader that went away (`fetch … | head`) is told nothing.
    pub fn write(name: &str, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Write, ""),
            _ => Failure::new(Exit::Write, format!("writing {name}: {error}")),
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        let message = error.to_string();
        // What the library advises is for programmers.
        let insecure = error.kind() == ErrorKind::AppTransportSecurityRequiresSecureConnection;
        match message.split_once(" is not allowed") {
            Some((what, _)) if insecure => {
                Failure::new(exit(error), format!("{what} is not allowed without --allow-cleartext"))
            }
            _ => Failure::new(exit(error), message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.exit as u8, self.message)
    }
}

/// The code that curl would have for an error.
pub fn exit(error: &Error) -> Exit {
    use ErrorKind as Kind;
    match error.kind() {
        Kind::BadUrl | Kind::RedirectToNonExistentLocation => Exit::MalformedUrl,
        Kind::UnsupportedUrl | Kind::AppTransportSecurityRequiresSecureConnection => Exit::UnsupportedUrl,
        Kind::CannotFindHost | Kind::DnsLookupFailed => Exit::Resolve,
        Kind::CannotConnectToHost | Kind::NotConnectedToInternet => Exit::Connect,
        Kind::TimedOut => Exit::Timeout,
        Kind::NetworkConnectionLost => lost(error),
        Kind::ZeroByteResource => Exit::Partial,
        Kind::HttpTooManyRedirects => Exit::TooManyRedirects,
        // A malformed chunk is no weird reply: its head was fine.
        Kind::BadServerResponse | Kind::CannotParseResponse if error.response().is_some() => Exit::Receive,
        Kind::BadServerResponse | Kind::CannotParseResponse => Exit::WeirdReply,
        Kind::CannotDecodeContentData => Exit::Encoding,
        Kind::DataLengthExceedsMaximum => Exit::TooLarge,
        Kind::HttpStatus => Exit::HttpStatus,
        Kind::RequestBodyStreamExhausted => Exit::Rewind,
        Kind::SecureConnectionFailed => Exit::TlsConnect,
        Kind::ServerCertificateHasBadDate
        | Kind::ServerCertificateUntrusted
        | Kind::ServerCertificateHasUnknownRoot
        | Kind::ServerCertificateNotYetValid => Exit::ServerCertificate,
        Kind::ClientCertificateRejected | Kind::ClientCertificateRequired => Exit::ClientCertificate,
        Kind::CannotCreateFile
        | Kind::CannotOpenFile
        | Kind::CannotWriteToFile
        | Kind::CannotMoveFile
        | Kind::StorageFull
        | Kind::ResourceUnavailable => Exit::Write,
        Kind::FileDoesNotExist
        | Kind::FileIsDirectory
        | Kind::NoPermissionsToReadFile
        | Kind::RequestBodyFailed => Exit::ReadInput,
        Kind::ChecksumMismatch => Exit::Checksum,
        Kind::Cancelled => Exit::Interrupted,
        _ => Exit::Internal,
    }
}

/// A connection that was lost: by an error of the system, within the body, or before an answer.
fn lost(error: &Error) -> Exit {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::BrokenPipe) => return Exit::Send,
            Some(_) => return Exit::Receive,
            None => source = cause.source(),
        }
    }
    if error.response().is_some() { Exit::Partial } else { Exit::EmptyReply }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_codes_of_curl() {
        let code = |kind| exit(&Error::new(kind, "x")) as u8;
        assert_eq!(code(ErrorKind::CannotFindHost), 6);
        assert_eq!(code(ErrorKind::TimedOut), 28);
        assert_eq!(code(ErrorKind::ServerCertificateHasBadDate), 60);
        assert_eq!(code(ErrorKind::NetworkConnectionLost), 52);
        assert_eq!(code(ErrorKind::CannotParseResponse), 8);
    }

    #[test]
    fn what_the_system_said_about_a_connection_counts() {
        let lost = |kind: io::ErrorKind| {
            Error::new(ErrorKind::NetworkConnectionLost, "x").with_source(io::Error::from(kind))
        };
        assert_eq!(exit(&lost(io::ErrorKind::ConnectionReset)), Exit::Receive);
        assert_eq!(exit(&lost(io::ErrorKind::BrokenPipe)), Exit::Send);
    }

    #[test]
    fn users_are_told_of_an_option() {
        let advice = "loading http://h/: cleartext is not allowed. Use https, or an exception";
        let error = Error::new(ErrorKind::AppTransportSecurityRequiresSecureConnection, advice);
        let message = Failure::from(&error).message;
        assert_eq!(message, "loading http://h/: cleartext is not allowed without --allow-cleartext");
    }

    #[test]
    fn a_reader_that_went_away_is_told_nothing() {
        let broken = Failure::write("standard output", &io::ErrorKind::BrokenPipe.into());
        assert_eq!((broken.exit, broken.message.as_str()), (Exit::Write, ""));
        assert!(Failure::write("x", &io::ErrorKind::StorageFull.into()).message.starts_with("writing x: "));
    }
}
