//! What went wrong: [`Error`], with Apple's code and a message that says what was being done.

use crate::head::ResponseHead;
use crate::resume::ResumeData;
#[cfg(feature = "tls")]
use crate::trust::ServerTrust;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// The result of an operation of this library.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The kind of an [`Error`], named after Apple's `NSURLError…` constants.
        ///
        /// [`code`](ErrorKind::code) gives Apple's number. Kinds that Apple does not have share the
        /// number of the closest kind it has, which their documentation names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* #[doc = concat!("\n\nCode ", stringify!($code), ".")] $name,)*
        }

        impl ErrorKind {
            /// Apple's number in `NSURLErrorDomain`.
            pub const fn code(self) -> i32 {
                match self { $(ErrorKind::$name => $code,)* }
            }
        }
    };
}

kinds! {
    /// Something for which there is no better kind. `NSURLErrorUnknown`.
    Unknown = -1,
    /// The task was cancelled. `NSURLErrorCancelled`.
    Cancelled = -999,
    /// The URL, a header or another part of the request is malformed. `NSURLErrorBadURL`.
    BadUrl = -1000,
    /// A time limit passed; the message says which and in which phase. `NSURLErrorTimedOut`.
    TimedOut = -1001,
    /// No loader handles the URL's scheme. `NSURLErrorUnsupportedURL`.
    UnsupportedUrl = -1002,
    /// The host's name does not resolve. `NSURLErrorCannotFindHost`.
    CannotFindHost = -1003,
    /// No connection to the host could be made. `NSURLErrorCannotConnectToHost`.
    CannotConnectToHost = -1004,
    /// The connection ended before the exchange did. `NSURLErrorNetworkConnectionLost`.
    NetworkConnectionLost = -1005,
    /// The resolver failed, which is not the same as a name that does not exist.
    /// `NSURLErrorDNSLookupFailed`.
    DnsLookupFailed = -1006,
    /// More redirects than the configuration allows. `NSURLErrorHTTPTooManyRedirects`.
    HttpTooManyRedirects = -1007,
    /// The resource cannot be had, for example the body was already taken by `open()`.
    /// `NSURLErrorResourceUnavailable`.
    ResourceUnavailable = -1008,
    /// There is no route to the network. `NSURLErrorNotConnectedToInternet`.
    NotConnectedToInternet = -1009,
    /// A redirect leads nowhere. `NSURLErrorRedirectToNonExistentLocation`.
    RedirectToNonExistentLocation = -1010,
    /// The server answered something else than was asked for. `NSURLErrorBadServerResponse`.
    BadServerResponse = -1011,
    /// Who was to authenticate did not want to. `NSURLErrorUserCancelledAuthentication`.
    UserCancelledAuthentication = -1012,
    /// What it takes to authenticate is missing or of no use, or the server did not prove who it is.
    /// `NSURLErrorUserAuthenticationRequired`.
    UserAuthenticationRequired = -1013,
    /// The connection was closed with nothing of a body that was announced.
    /// `NSURLErrorZeroByteResource`.
    ZeroByteResource = -1014,
    /// A body could not be decoded as its `Content-Encoding` says.
    /// `NSURLErrorCannotDecodeContentData`.
    CannotDecodeContentData = -1016,
    /// The response is not well-formed HTTP. `NSURLErrorCannotParseResponse`.
    CannotParseResponse = -1017,
    /// A request body cannot be sent again. `NSURLErrorRequestBodyStreamExhausted`.
    RequestBodyStreamExhausted = -1021,
    /// A URL is plain http to a public host, or a redirect leads from https to plain http, which is not
    /// allowed; see [`TransportSecurity`](crate::TransportSecurity).
    /// `NSURLErrorAppTransportSecurityRequiresSecureConnection`.
    AppTransportSecurityRequiresSecureConnection = -1022,
    /// A file cannot be made, for example because its directory is missing or may not be written to.
    /// `NSURLErrorCannotCreateFile`.
    CannotCreateFile = -3000,
    /// A file cannot be opened. `NSURLErrorCannotOpenFile`.
    CannotOpenFile = -3001,
    /// A file cannot be written to. `NSURLErrorCannotWriteToFile`.
    CannotWriteToFile = -3003,
    /// There is no room left for a file. Shares the number of
    /// [`CannotWriteToFile`](ErrorKind::CannotWriteToFile).
    StorageFull = -3003,
    /// A file cannot be removed. `NSURLErrorCannotRemoveFile`.
    CannotRemoveFile = -3004,
    /// A file cannot be moved. `NSURLErrorCannotMoveFile`.
    CannotMoveFile = -3005,
    /// The file does not exist. `NSURLErrorFileDoesNotExist`.
    FileDoesNotExist = -1100,
    /// The file is a directory. `NSURLErrorFileIsDirectory`.
    FileIsDirectory = -1101,
    /// The file may not be read. `NSURLErrorNoPermissionsToReadFile`.
    NoPermissionsToReadFile = -1102,
    /// The body of a request could not be read, or was not as long as was said. Shares the number of
    /// [`RequestBodyStreamExhausted`](ErrorKind::RequestBodyStreamExhausted).
    RequestBodyFailed = -1021,
    /// Resume data is damaged, forged, or of another version. Shares the number of
    /// [`UnsupportedUrl`](ErrorKind::UnsupportedUrl), which is what Apple gives for it.
    CannotParseResumeData = -1002,
    /// What came does not have the checksum that it has to have. Shares the number of
    /// [`BadServerResponse`](ErrorKind::BadServerResponse).
    ChecksumMismatch = -1011,
    /// A body is larger than the configuration lets one be in memory.
    /// `NSURLErrorDataLengthExceedsMaximum`.
    DataLengthExceedsMaximum = -1103,
    /// TLS could not be set up, for another reason than the peer's certificate.
    /// `NSURLErrorSecureConnectionFailed`.
    SecureConnectionFailed = -1200,
    /// The peer's certificate has expired. `NSURLErrorServerCertificateHasBadDate`.
    ServerCertificateHasBadDate = -1201,
    /// The peer's certificate is not valid for this host, or not trusted.
    /// `NSURLErrorServerCertificateUntrusted`.
    ServerCertificateUntrusted = -1202,
    /// The peer's certificate was issued by nobody we know.
    /// `NSURLErrorServerCertificateHasUnknownRoot`.
    ServerCertificateHasUnknownRoot = -1203,
    /// The peer's certificate is not valid yet. `NSURLErrorServerCertificateNotYetValid`.
    ServerCertificateNotYetValid = -1204,
    /// The server refused our certificate. `NSURLErrorClientCertificateRejected`.
    ClientCertificateRejected = -1205,
    /// The server wants a client certificate and there is none.
    /// `NSURLErrorClientCertificateRequired`.
    ClientCertificateRequired = -1206,
    /// The session was invalidated before the task was made. Apple raises an exception there.
    SessionInvalidated = -998,
    /// The response has an error status, from [`Response::error_for_status`](crate::Response::error_for_status).
    /// Shares the number of [`BadServerResponse`](ErrorKind::BadServerResponse).
    HttpStatus = -1011,
    /// A body is not text or JSON as it was asked to be. Shares the number of
    /// `NSURLErrorCannotDecodeRawData`.
    CannotDecodeRawData = -1015,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An error of a task or of a session.
///
/// Cloning is cheap. The message names what was being done, to which host or URL (without user
/// name, password and query), and what is to be done about it, where something can be.
///
/// ```
/// # use urlsession::{Session, ErrorKind};
/// let error = Session::shared().data_task("gopher://example.com/").wait().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::UnsupportedUrl);
/// assert_eq!(error.code(), -1002);
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    url: Option<Url>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// The message says nothing of the source, so it is shown behind it.
    tells_source: bool,
    response: Option<Arc<ResponseHead>>,
    resume_data: Option<ResumeData>,
    #[cfg(feature = "tls")]
    server_trust: Option<ServerTrust>,
}

impl Error {
    /// An error of a kind with a message that says what was being done and what went wrong, such
    /// as `connecting to example.com:443: refused`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            url: None,
            source: None,
            tells_source: true,
            response: None,
            resume_data: None,
            #[cfg(feature = "tls")]
            server_trust: None,
        }))
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Apple's number in `NSURLErrorDomain`.
    pub fn code(&self) -> i32 {
        self.0.kind.code()
    }

    /// The URL the task was working on, without user name, password, query and fragment.
    /// `NSURLErrorFailingURLErrorKey`.
    pub fn url(&self) -> Option<&Url> {
        self.0.url.as_ref()
    }

    /// The head of the response, if it had arrived before the failure.
    pub fn response(&self) -> Option<&ResponseHead> {
        self.0.response.as_deref()
    }

    /// What it takes to go on with a download or an upload that failed, if it can be gone on with.
    /// `NSURLSessionDownloadTaskResumeData`, `NSURLSessionUploadTaskResumeData`. The file of a download
    /// stays for it: whoever does not want to go on removes it, by
    /// [`ResumeData::discard`].
    pub fn resume_data(&self) -> Option<&ResumeData> {
        self.0.resume_data.as_ref()
    }

    /// What the server had shown, if it was not trusted: the error has one of the `ServerCertificate…`
    /// kinds then, or a delegate did not want it. `NSURLErrorFailingURLPeerTrustErrorKey`.
    #[cfg(feature = "tls")]
    pub fn server_trust(&self) -> Option<&ServerTrust> {
        self.0.server_trust.as_ref()
    }

    /// Whether a time limit passed.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// Whether no connection could be made: name, route, TCP or TLS.
    pub fn is_connect(&self) -> bool {
        use ErrorKind::*;
        matches!(
            self.kind(),
            CannotFindHost
                | CannotConnectToHost
                | DnsLookupFailed
                | NotConnectedToInternet
                | SecureConnectionFailed
                | ServerCertificateHasBadDate
                | ServerCertificateUntrusted
                | ServerCertificateHasUnknownRoot
                | ServerCertificateNotYetValid
                | ClientCertificateRejected
                | ClientCertificateRequired
        )
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == ErrorKind::Cancelled
    }

    /// The same error with what caused it.
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.change(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// The same error with what caused it, of which the message tells all there is to tell.
    #[cfg(feature = "tls")]
    pub(crate) fn with_told_source(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.with_source(source).change(|inner| inner.tells_source = false)
    }

    /// The same error with the URL it is about. What may be secret in it is left out.
    pub fn with_url(self, url: &Url) -> Self {
        let url = redacted(url);
        self.change(|inner| inner.url = Some(url))
    }

    /// The same error with what the server had shown.
    #[cfg(feature = "tls")]
    pub(crate) fn with_server_trust(self, trust: ServerTrust) -> Self {
        self.change(|inner| inner.server_trust = Some(trust))
    }

    /// The same error with what it takes to go on.
    pub(crate) fn with_resume_data(self, data: ResumeData) -> Self {
        self.change(|inner| inner.resume_data = Some(data))
    }

    /// The same error with the head of the response that had arrived.
    pub(crate) fn with_response(self, head: Arc<ResponseHead>) -> Self {
        self.change(|inner| inner.response = Some(head))
    }

    /// The error of something that was done with a file. `kind` is what it is if there is no better one.
    pub(crate) fn file(kind: ErrorKind, doing: &str, path: &Path, error: io::Error) -> Self {
        let reading = kind == ErrorKind::CannotOpenFile;
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
            io::ErrorKind::NotFound if reading => ErrorKind::FileDoesNotExist,
            io::ErrorKind::IsADirectory if reading => ErrorKind::FileIsDirectory,
            io::ErrorKind::PermissionDenied if reading => ErrorKind::NoPermissionsToReadFile,
            _ => kind,
        };
        Error::new(kind, format!("{doing} {}", path.display())).with_source(error)
    }

    pub(crate) fn cancelled() -> Self {
        Error::new(ErrorKind::Cancelled, "cancelled")
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let (Some(source), true) = (&self.0.source, self.0.tells_source) {
            write!(f, ": {source}")?;
        }
        write!(f, " ({:?})", self.0.kind)?;
        if let Some(url) = &self.0.url {
            write!(f, " [{url}]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("url", &self.0.url.as_ref().map(Url::as_str))
            .field("source", &self.0.source)
            .field("status", &self.0.response.as_ref().map(|head| head.status()))
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Error> for io::Error {
    /// So that readers of a body and programs that deal in `io::Result` keep the cause.
    fn from(error: Error) -> io::Error {
        let kind = match error.kind() {
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::NetworkConnectionLost | ErrorKind::ZeroByteResource => io::ErrorKind::UnexpectedEof,
            ErrorKind::CannotConnectToHost => io::ErrorKind::ConnectionRefused,
            ErrorKind::Cancelled => io::ErrorKind::ConnectionAborted,
            ErrorKind::BadUrl | ErrorKind::UnsupportedUrl => io::ErrorKind::InvalidInput,
            ErrorKind::CannotDecodeContentData | ErrorKind::CannotParseResponse => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// A URL without user name, password, query and fragment, fit for a message or a log.
pub(crate) fn redacted(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail only for URLs that cannot have a user name, and then there is none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    // `me:secret@example.com` is a URL of scheme `me`; what is behind that may be anything.
    if url.cannot_be_a_base() {
        url.set_path("...");
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_messages() {
        let url = Url::parse("https://user:pass@example.com/path?token=1#frag").expect("a URL");
        let error = Error::new(ErrorKind::TimedOut, "connecting to example.com:443").with_url(&url);
        assert_eq!(error.to_string(), "connecting to example.com:443 (TimedOut) [https://example.com/path]");
        assert!(!format!("{error:?}").contains("pass"));
        let url = Url::parse("me:pass@example.com/?pass#pass").expect("a URL");
        let error = Error::new(ErrorKind::UnsupportedUrl, "no").with_url(&url);
        assert_eq!(error.to_string(), "no (UnsupportedUrl) [me:...]");
    }

    #[test]
    fn codes_are_apples() {
        assert_eq!(ErrorKind::Cancelled.code(), -999);
        assert_eq!(ErrorKind::NetworkConnectionLost.code(), -1005);
        assert_eq!(ErrorKind::ClientCertificateRequired.code(), -1206);
    }

    #[test]
    fn the_source_is_kept_through_io() {
        let error: io::Error = Error::new(ErrorKind::TimedOut, "receiving").into();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.get_ref().is_some_and(|inner| inner.is::<Error>()));
    }
}
