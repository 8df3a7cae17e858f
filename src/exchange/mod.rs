//! Conversations on a connection.

pub(crate) mod http1;
pub(crate) mod outgoing;
