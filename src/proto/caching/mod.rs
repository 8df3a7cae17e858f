//! The rules of a private cache (RFC 9111), without storage, sockets or clocks: what may be kept, what a
//! kept response may answer, and what is to be asked before it does. Knows no particular store.

pub(crate) mod stored;
