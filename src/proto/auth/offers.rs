//! What a server offers: those of its challenges that can be answered, the strongest first.

use super::challenges::{AuthChallenge, challenges};
use super::digest::DigestChallenge;
use http::header::{HeaderMap, HeaderName};
use std::cmp::Reverse;

/// A challenge that can be answered, if there is a credential for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// How it is answered.
    pub(crate) scheme: Scheme,
    /// As it came.
    pub(crate) challenge: AuthChallenge,
}

/// Who answers a challenge. The order is that of strength, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// The program, by the place of the scheme among those it registered.
    Own(usize),
    Digest(DigestChallenge),
    Bearer,
    Basic,
}

impl Offer {
    /// The realm, where there is one.
    pub(crate) fn realm(&self) -> Option<&str> {
        self.challenge.parameter("realm")
    }
}

/// What is offered in the fields of a name, the strongest first, and in the order of the fields where
/// strength is the same. `own` are the names of the schemes that the program has; one of them in place of
/// what the library has itself is the program's.
pub(crate) fn offers(headers: &HeaderMap, name: &HeaderName, own: &[&str]) -> Vec<Offer> {
    let offer = |challenge: AuthChallenge| {
        let scheme = scheme(&challenge, own)?;
        Some(Offer { scheme, challenge })
    };
    let mut offers: Vec<_> = challenges(headers, name).into_iter().filter_map(offer).collect();
    offers.sort_by_key(|offer| rank(&offer.scheme));
    offers
}

fn scheme(challenge: &AuthChallenge, own: &[&str]) -> Option<Scheme> {
    if let Some(at) = own.iter().position(|name| challenge.is(name)) {
        return Some(Scheme::Own(at));
    }
    if challenge.is("Digest") {
        let digest = DigestChallenge::of(challenge);
        return digest
            .map(Scheme::Digest)
            .map_err(|why| log::debug!("a Digest challenge is passed over: {why}"))
            .ok();
    }
    if challenge.is("Bearer") {
        return Some(Scheme::Bearer);
    }
    // The only charset that RFC 7617 has is UTF-8, and that is what is sent. A realm is required, and
    // missing often enough.
    if challenge.is("Basic") {
        return Some(Scheme::Basic);
    }
    // It is the server's text.
    log::debug!("scheme {:?} is passed over: nothing is registered for it", challenge.scheme);
    None
}

/// What sorts before is preferred.
fn rank(scheme: &Scheme) -> impl Ord + use<> {
    match scheme {
        Scheme::Own(at) => (0, *at, None),
        Scheme::Digest(digest) => (1, 0, Some(Reverse(digest.strength()))),
        Scheme::Bearer => (2, 0, None),
        Scheme::Basic => (3, 0, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::PROXY_AUTHENTICATE;

    fn read(lines: &[&'static str], own: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PROXY_AUTHENTICATE, HeaderValue::from_static(line));
        }
        let offers = offers(&headers, &PROXY_AUTHENTICATE, own);
        let show = |offer: &Offer| {
            let kind = match &offer.scheme {
                Scheme::Own(at) => format!("own {at}"),
                Scheme::Digest(_) => "digest".to_owned(),
                Scheme::Bearer => "bearer".to_owned(),
                Scheme::Basic => "basic".to_owned(),
            };
            format!("{kind} {}", offer.realm().unwrap_or("-"))
        };
        offers.iter().map(show).collect()
    }

    #[cfg(feature = "digest")]
    #[test]
    fn the_strongest_first() {
        let lines = [
            "Basic realm=1, Bearer realm=2, Digest realm=3, nonce=n, Digest realm=4, nonce=n, algorithm=SHA-256",
            "Digest realm=5, nonce=n, algorithm=SHA-512-256, Digest realm=6, nonce=n, algorithm=SHA-999",
            "Negotiate, NTLM, basic realm=7, Digest realm=8, nonce=n, qop=auth, algorithm=md5-sess",
        ];
        assert_eq!(
            read(&lines, &[]),
            ["digest 5", "digest 4", "digest 3", "digest 8", "bearer 2", "basic 1", "basic 7"]
        );
        assert_eq!(
            read(&lines, &["ntlm", "negotiate"]).get(..3).unwrap_or_default(),
            ["own 0 -", "own 1 -", "digest 5"]
        );
    }

    #[test]
    fn the_programs_own_go_first_and_in_place_of_ours() {
        let lines = ["Bearer realm=1, New realm=2, Basic realm=3, Newer abc, Negotiate"];
        assert_eq!(read(&lines, &["NEWER", "basic", "New"]), ["own 0 -", "own 1 3", "own 2 2", "bearer 1"]);
        assert_eq!(read(&lines, &[]), ["bearer 1", "basic 3"]);
    }

    #[cfg(not(feature = "digest"))]
    #[test]
    fn without_the_feature_digest_is_passed_over() {
        assert_eq!(read(&["Digest realm=1, nonce=n", "Basic realm=2"], &[]), ["basic 2"]);
    }

    #[test]
    fn nothing_that_can_be_answered() {
        assert!(read(&["Negotiate, NTLM, Digest realm=x", "Basic realm=\"x"], &[]).is_empty());
        assert!(read(&[], &["x"]).is_empty());
    }
}
