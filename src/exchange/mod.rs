//! Conversations on a connection.

pub(crate) mod http1;
