//! How sockets come to be.

pub(crate) mod dial;
pub(crate) mod resolve;
