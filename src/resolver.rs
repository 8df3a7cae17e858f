//! The hook by which a program resolves names itself.

use std::fmt;
use std::io;
use std::net::IpAddr;

/// Resolves host names in place of the operating system, see
/// [`Configuration::resolver`](crate::Configuration::resolver).
///
/// It is called on threads of the session, several at once. It may block, but a task that is
/// cancelled meanwhile does not wait for it. IP addresses in URLs are not resolved. Every function of
/// that form is one:
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use std::{io, sync::Arc};
/// use urlsession::Configuration;
///
/// // A test that has all of example.com on this machine.
/// let configuration = Configuration::default().resolver(Arc::new(|host: &str| {
///     if host == "example.com" || host.ends_with(".example.com") {
///         Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])
///     } else {
///         Err(io::Error::new(io::ErrorKind::NotFound, "not in this test"))
///     }
/// }));
/// assert!(configuration.get_resolver().is_some());
/// ```
pub trait Resolver: Send + Sync {
    /// The addresses of a host, the best first. No addresses mean that there is no such host.
    ///
    /// `host` is what the URL has: in lower case, and in ASCII form (`xn--…`).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such host, which becomes
    /// [`CannotFindHost`](crate::ErrorKind::CannotFindHost); any other if it could not be found out
    /// ([`DnsLookupFailed`](crate::ErrorKind::DnsLookupFailed)).
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

impl<F> Resolver for F
where
    F: Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync,
{
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self(host)
    }
}

impl fmt::Debug for dyn Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
