//! Which connections have to be secure: what a program allows ([`policy`]), what a server asks for ([`hsts`],
//! RFC 6797), and which hosts are so near that it does not matter ([`host`]). Knows names, addresses and URLs;
//! nothing is resolved or connected here.
//!
//! The rule, in one place: a cleartext URL is loaded if
//!
//! | | because a program asked for it | after a redirect from cleartext | after one from https |
//! |---|---|---|---|
//! | its host is near ([`host::is_local`]) | yes | yes | no |
//! | an exception of its host says so | yes | yes | yes |
//! | the request says so | yes | yes | yes |
//! | the session's policy says so | yes | yes | no |
//! | the session allows insecure redirects | no | yes | yes |
//!
//! It goes by the name or the address in the URL, before anything is resolved: a name of the public tree that
//! leads to a private address is public, since who answers for the name can change where it leads.

pub(crate) mod host;
pub(crate) mod hsts;
pub(crate) mod policy;
