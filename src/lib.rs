//! Apple's URLSession for Rust programs without an async runtime.
#![allow(dead_code)]

mod body;
mod configuration;
mod error;
mod head;
mod header;
mod request;
mod resolver;
mod response;
mod sync;
#[cfg(feature = "tls")]
mod tls;

pub use body::Body;
pub use bytes::Bytes;
pub use configuration::Configuration;
pub use error::{Error, ErrorKind, Result};
pub use head::ResponseHead;
pub use http;
pub use request::{IntoUrl, Request};
pub use resolver::Resolver;
pub use response::Response;
#[cfg(feature = "tls")]
pub use tls::{Certificate, CryptoProvider, Identity, RootCertificates, TlsVersion};
pub use url::Url;
