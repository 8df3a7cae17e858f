//! HTTP for programs that have no async runtime and want none, after the model of Apple's
//! URLSession.
//!
//! A [`Session`] makes tasks. A [`DataTask`] is a handle: it is started, waited for, cancelled,
//! suspended and asked how far it is, from any thread.
//!
//! ```no_run
//! use urlsession::{Request, Session};
//!
//! # fn main() -> urlsession::Result<()> {
//! // A script: one line. It runs on this thread.
//! let page = urlsession::get("https://example.com/")?;
//! println!("{} {}", page.status(), page.text()?);
//!
//! // A task.
//! let session = Session::shared();
//! let task = session.data_task(Request::post("https://example.com/items").body("hello"));
//! task.resume();
//! println!("{}", task.wait()?.status());
//!
//! // A body as it arrives.
//! let mut body = session.data_task("https://example.com/big").open()?.into_body();
//! std::io::copy(&mut body, &mut std::io::stdout()).expect("stdout");
//! # Ok(())
//! # }
//! ```
//!
//! Many at once, from one thread:
//!
//! ```no_run
//! use urlsession::{Session, wait_all};
//!
//! let session = Session::shared();
//! let tasks: Vec<_> = (1..=500).map(|n| session.data_task(format!("https://example.com/{n}"))).collect();
//! for result in wait_all(&tasks) {
//!     match result {
//!         Ok(response) => println!("{}", response.status()),
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! ```
//!
//! # Where to find what
//!
//! | to | see |
//! |---|---|
//! | say what to ask for | [`Request`], [`Body`] |
//! | wait, with or without a limit | [`DataTask::wait`], [`DataTask::wait_timeout`], [`wait_all`], [`wait_any`] |
//! | be called, and decide | [`DataTask::on_completion`], [`Delegate`], [`DelegateQueue`] |
//! | select over results | [`DataTask::pending`], [`Pending::receiver`] |
//! | read a body as it comes | [`DataTask::open`], [`BodyReader`] |
//! | send a file, a stream or a form | [`Session::upload_task`], [`Body`], [`Multipart`] |
//! | download to a file, and go on later | [`Session::download_task`], [`DownloadRequest`], [`ResumeData`] |
//! | try again | [`RetryPolicy`] |
//! | cancel, suspend, prefer | [`Task::cancel`], [`Task::suspend`], [`Task::set_priority`] |
//! | set limits, headers, trust | [`Configuration`] |
//! | know what went wrong | [`Error`], [`ErrorKind`] |
//! | show how far it is | [`Task::progress`], [`Task::on_progress`], [`Session::progress`] |
//! | know what took how long | [`Task::metrics`], [`TaskMetrics`] |
//! | keep cookies, or have none | [`CookieStorage`], [`Cookie`] |
//! | keep passwords and tokens, or find them | [`CredentialStorage`], [`Netrc`] |
//! | cache responses, or not | [`Cache`], [`CachePolicy`] |
//! | judge servers, and pin their keys | [`ServerTrust`], [`PinnedKeys`] |
//! | load cleartext, or have https wherever it was asked for | [`TransportSecurity`], [`HstsStorage`] |
//! | keep all that over the end of the program | [`set_application`], [`Configuration::application`] |
//! | authenticate in a way of your own | [`AuthenticationScheme`] |
//! | resolve names otherwise | [`Resolver`] |
//! | bring a scheme of your own, or test without a network | [`Protocol`], [`ProtocolClient`] |
//!
//! # Rules
//!
//! - Making a task never blocks and never fails. Nothing happens until it is resumed, waited for or
//!   opened.
//! - Waiting is allowed anywhere, in handlers of the same session too, and as often as wanted.
//! - Every task ends exactly once. Nothing that a server sends or a user supplies makes it panic.
//! - Dropping a handle cancels nothing; dropping a [`BodyReader`] before the end does.
//! - There is no thread before one is needed, and none is left once a session is invalidated and its
//!   tasks have ended.
//!
//! # Features
//!
//! `tls`, `gzip`, `checksum` and `digest` are on by default; `brotli`, `zstd`, `json`, `aws-lc-rs` and
//! `platform-verifier` are not. A feature adds something, and does not change how the rest behaves.

mod authentication;
mod body;
mod challenge;
#[cfg_attr(not(feature = "checksum"), allow(dead_code))]
mod checksum;
mod configuration;
mod connection;
mod cookie;
mod delegate;
mod disposition;
mod download;
mod engine;
mod error;
mod exchange;
mod head;
mod header;
mod loader;
mod local;
mod metrics;
mod netrc;
mod proto;
mod protocol;
mod request;
mod resolver;
mod response;
mod resume;
mod retry;
mod session;
mod storage;
mod sync;
mod sys;
mod task;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod trust;

pub use authentication::{
    AuthenticatingRequest, AuthenticationExchange, AuthenticationScheme, AuthenticationStep,
};
pub use body::{Body, BodyWriter, Multipart, Part};
pub use bytes::Bytes;
pub use challenge::{
    AuthenticationMethod, Challenge, ChallengeDisposition, Credential, Persistence, ProtectionSpace,
};
#[cfg(feature = "checksum")]
pub use checksum::{Checksum, ChecksumAlgorithm, ParseChecksumError};
pub use configuration::Configuration;
pub use cookie::{Cookie, CookieBuilder, SameSite};
pub use delegate::{Delegate, DelegateQueue, TaskEvent};
pub use disposition::{CacheDecision, RedirectDecision, ResponseDisposition};
pub use download::{DownloadRequest, DownloadedFile};
pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
pub use http;
pub use metrics::{ResourceFetchType, TaskInterval, TaskMetrics, TransactionMetrics};
pub use netrc::Netrc;
pub use proto::caching::{CachePolicy, CacheStatus, ForwardReason};
pub use proto::transport_security::policy::{DomainException, TransportSecurity};
pub use protocol::{Protocol, ProtocolClient};
pub use request::{IntoUrl, Request};
pub use resolver::Resolver;
pub use response::Response;
pub use resume::ResumeData;
pub use retry::RetryPolicy;
pub use session::{Session, SessionBuilder, Tasks, delete, download, get, head, post, put};
pub use storage::places::set_application;
pub use storage::{
    Cache, CachedResponse, CookieAcceptPolicy, CookieImport, CookieStorage, CredentialStorage, HstsHost,
    HstsStorage, StoragePolicy,
};
pub use task::{
    Any, AnyTask, BodyReader, Data, DataTask, Download, DownloadTask, Pending, Progress, SessionProgress,
    Task, TaskKind, TaskState, Upload, UploadTask, wait_all, wait_any,
};
#[cfg(feature = "tls")]
pub use tls::{Certificate, CryptoProvider, Identity, RootCertificates, TlsVersion};
#[cfg(feature = "tls")]
pub use trust::{ServerTrust, pins::PinnedKeys};
pub use url::Url;

/// The code in the documents, so that it is compiled.
#[cfg(all(doctest, feature = "tls"))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../docs/guide.md")]
    struct Guide;

    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
}
