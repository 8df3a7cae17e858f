//! How names become addresses, for programs that want it done another way than the system does.

use std::io;
use std::net::IpAddr;

/// Finds the addresses of a host.
pub trait Resolver: Send + Sync {
    /// The addresses of `host`, the preferred one first. It may block. An error of kind
    /// [`NotFound`](io::ErrorKind::NotFound) says that there is no such name.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}
