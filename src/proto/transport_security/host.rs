//! Which hosts are near: this machine, and what the public internet does not route or name.

use std::net::{Ipv4Addr, Ipv6Addr};
use url::Host;

/// Whether what is sent to a host stays on this machine or in its own network, as far as its name or address
/// tells:
///
/// - loopback and the unspecified address, which is this machine too;
/// - link-local addresses (RFC 3927; RFC 4291 section 2.5.6);
/// - private ones: 10/8, 172.16/12, 192.168/16 (RFC 1918) and fc00::/7 (RFC 4193). Not 100.64/10 (RFC 6598): that
///   is what a provider's customers share;
/// - IPv4 addresses that are written as IPv6 ones, by the former;
/// - `localhost` and names under it (RFC 6761), `.local` (RFC 6762), `.internal` (reserved by ICANN for private
///   use), `home.arpa` (RFC 8375);
/// - names of a single label, which the public tree does not have.
pub(crate) fn is_local(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_local_v4(*address),
        Host::Ipv6(address) => is_local_v6(*address),
        Host::Domain(name) => is_local_name(name),
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.is_link_local() || address.is_private()
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    if let Some(address) = address.to_ipv4_mapped() {
        return is_local_v4(address);
    }
    let first = address.segments()[0];
    let (is_link_local, is_unique_local) = (first & 0xffc0 == 0xfe80, first & 0xfe00 == 0xfc00);
    address.is_loopback() || address.is_unspecified() || is_link_local || is_unique_local
}

fn is_local_name(name: &str) -> bool {
    let name = without_root(name);
    // A URL has names in lower case; others are not looked at here.
    match name.rsplit_once('.') {
        None => !name.is_empty(),
        Some((rest, "arpa")) => rest == "home" || rest.ends_with(".home"),
        Some((_, last)) => matches!(last, "localhost" | "local" | "internal"),
    }
}

/// A name without the dot that may end it.
pub(crate) fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// A name, and the names above it, down to the last label.
pub(crate) fn and_above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(without_root(name)), |name| Some(name.split_once('.')?.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn is_local_in(url: &str) -> bool {
        is_local(&Url::parse(url).unwrap().host().unwrap())
    }

    #[test]
    fn what_is_near() {
        for host in [
            "localhost",
            "LocalHost.",
            "a.b.localhost",
            "127.0.0.1",
            "127.255.0.9",
            "0x7f.1",
            "2130706433",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.1.1",
            "[fe80::1]",
            "[febf::1]",
            "[fc00::1]",
            "[fdff::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:127.0.0.1]",
            "printer.local",
            "a.b.LOCAL.",
            "router",
            "router.",
            "db.internal",
            "home.arpa",
            "tv.home.arpa",
        ] {
            assert!(is_local_in(&format!("http://{host}/")), "{host}");
        }
    }

    #[test]
    fn what_is_public() {
        for host in [
            "example.com",
            "localhost.example.com",
            "localhost.com",
            "notlocalhost.example",
            "local.example",
            "printer.local.example.com",
            "a.notlocal",
            "internal.example.com",
            "arpa.example",
            "in-addr.arpa",
            "nothome.arpa",
            "a.test",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "169.253.255.255",
            "100.64.0.1",
            "255.255.255.255",
            "[2001:db8::1]",
            "[fec0::1]",
            "[fe00::1]",
            "[fbff::1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
        ] {
            assert!(!is_local_in(&format!("http://{host}/")), "{host}");
        }
    }

    #[test]
    fn the_names_above() {
        assert_eq!(and_above("a.b.c.").collect::<Vec<_>>(), ["a.b.c", "b.c", "c"]);
        assert_eq!(and_above("a").collect::<Vec<_>>(), ["a"]);
    }
}
