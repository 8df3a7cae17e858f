//! Sockets: finding a host, connecting to it, TLS, and keeping connections for reuse.

pub(crate) mod buffer;
pub(crate) mod dial;
pub(crate) mod idle;
pub(crate) mod resolve;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod transport;
