use crate::proto::transport_security::host::is_local;
use crate::proto::transport_security::hsts::{StrictTransport, name_of, parse, upgrade};
use url::Url;

/// What a server asks for depends on nothing but the directives that are known, and makes of a URL nothing but a
/// secure one.
pub fn hsts(data: &[u8]) {
    // The field, and a URL, divided by a line's end.
    let (field, url) = match data.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &b"http://example.com:8080/a?b#c"[..]),
    };
    let asked = parse(field);
    check_field(field, asked);
    let Ok(url) = std::str::from_utf8(url) else { return };
    let Ok(url) = Url::parse(url) else { return };
    check_url(&url);
}

fn check_field(field: &[u8], asked: Option<StrictTransport>) {
    let again = |before: &str, after: &str| parse(&[before.as_bytes(), field, after.as_bytes()].concat());
    let is_short = field.len() < 4000;
    match asked {
        Some(asked) => {
            let subdomains = if asked.include_subdomains { "; includeSubDomains" } else { "" };
            let written = format!("max-age=\"{}\"{subdomains}", asked.max_age);
            assert_eq!(parse(written.as_bytes()), Some(asked));
            assert_eq!(parse(&field.to_ascii_uppercase()), Some(asked));
            if is_short {
                assert_eq!(again(" ;\t", " ; "), Some(asked));
                assert_eq!(again("x=\"max-age=1\";", ";y;includeSub=Domains"), Some(asked));
                // Whatever is known may be said once.
                assert_eq!(again("", ";max-age=1"), None);
                assert_eq!(again("includeSubDomains;", ";includesubdomains"), None);
            }
        }
        None => {
            if !field.contains(&b'=') {
                assert_eq!(parse(&field.to_ascii_lowercase()), None);
            }
        }
    }
}

fn check_url(url: &Url) {
    let mut secure = url.clone();
    let upgraded = upgrade(&mut secure);
    assert_eq!(upgraded, url.scheme() == "http");
    let Some(host) = url.host() else { return };
    // What a host is does not depend on the rest.
    let mut other = url.clone();
    other.set_path("/elsewhere");
    other.set_query(None);
    let _ = other.set_port(Some(81));
    assert_eq!(is_local(&host), other.host().is_some_and(|host| is_local(&host)));
    if let Some(name) = name_of(&host) {
        assert!(
            !name.is_empty() && !name.ends_with("localhost") || name.ends_with("localhost") && name.len() > 9
        );
    }
    if !upgraded {
        assert_eq!(secure, *url);
        return;
    }
    assert_eq!(secure.scheme(), "https");
    assert_eq!((secure.host(), secure.path()), (url.host(), url.path()));
    assert_eq!((secure.query(), secure.fragment()), (url.query(), url.fragment()));
    assert_eq!((secure.username(), secure.password()), (url.username(), url.password()));
    let port = match url.port() {
        None | Some(443) => 443,
        Some(port) => port,
    };
    assert_eq!(secure.port_or_known_default(), Some(port));
    assert!(!upgrade(&mut secure));
}
