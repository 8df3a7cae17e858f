//! Connections to servers: sockets, and what lies between a socket and a protocol.

pub(crate) mod buffer;
#[cfg(feature = "tls")]
pub(crate) mod tls;
