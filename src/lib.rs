//! Apple's URLSession for Rust programs without an async runtime.

mod body;
mod configuration;
mod connection;
mod delegate;
mod disposition;
mod engine;
mod error;
mod exchange;
mod head;
mod header;
mod loader;
mod metrics;
mod proto;
mod request;
mod resolver;
mod response;
mod session;
mod sync;
mod sys;
mod task;
#[cfg(feature = "tls")]
mod tls;

pub use body::Body;
pub use bytes::Bytes;
pub use configuration::Configuration;
pub use delegate::{Delegate, DelegateQueue, TaskEvent};
pub use disposition::{RedirectDecision, ResponseDisposition};
pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
pub use http;
pub use metrics::{ResourceFetchType, TaskInterval, TaskMetrics, TransactionMetrics};
pub use request::{IntoUrl, Request};
pub use resolver::Resolver;
pub use response::Response;
pub use session::{Session, SessionBuilder, Tasks, delete, get, head, post, put};
pub use task::{
    Any, AnyTask, BodyReader, Data, DataTask, Pending, Progress, Task, TaskState, wait_all, wait_any,
};
#[cfg(feature = "tls")]
pub use tls::{Certificate, CryptoProvider, Identity, RootCertificates, TlsVersion};
pub use url::Url;
