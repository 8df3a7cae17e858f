//! Rules without I/O, threads or clocks: what goes on the wire and what it means.

pub(crate) mod auth;
pub(crate) mod caching;
pub(crate) mod coding;
pub(crate) mod cookie;
pub(crate) mod date;
pub(crate) mod digest_fields;
pub(crate) mod eyeballs;
pub(crate) mod http1;
pub(crate) mod netrc;
pub(crate) mod public_suffix;
pub(crate) mod ranges;
pub(crate) mod redirect;
pub(crate) mod resumable_upload;
pub(crate) mod structured;
pub(crate) mod transport_security;
pub(crate) mod validator;
pub(crate) mod xxh64;
