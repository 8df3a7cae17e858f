//! Rules without I/O, threads or clocks: what goes on the wire and what it means.

pub(crate) mod coding;
#[allow(dead_code)]
pub(crate) mod date;
pub(crate) mod digest_fields;
pub(crate) mod eyeballs;
pub(crate) mod http1;
#[allow(dead_code)]
pub(crate) mod ranges;
pub(crate) mod redirect;
pub(crate) mod resumable_upload;
#[allow(dead_code)]
pub(crate) mod structured;
#[allow(dead_code)]
pub(crate) mod validator;
