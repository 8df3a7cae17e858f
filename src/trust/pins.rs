//! Keys that a server has to have: how they are written, for which hosts they hold, and whether a chain
//! of certificates leads to one of them.
//!
//! Knows certificates and signatures, and nothing of connections. What a server sends along with its own
//! certificate proves nothing by being there: a pinned key above the server's own counts only if the
//! server's certificate was issued by it, over however many steps.

use super::ServerTrust;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::auth::basic::base64;
use crate::proto::structured;
use crate::tls::outline::{Outline, sequence};
use crate::tls::sha256;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::fmt;
use std::str::FromStr;
use url::Host;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The public keys of which a server has to have one, in its own certificate or in that of an authority
/// which has issued it. The values of `NSPinnedDomains`.
///
/// A key is written as in `sha256/BASE64`, the SHA-256 of its `SubjectPublicKeyInfo` in DER; curl's
/// `sha256//BASE64`, and several of either with `;` between them, are taken too. For a certificate that is
/// at hand,
/// `openssl x509 -in server.crt -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64`
/// tells it, or [`Certificate::public_key_sha256`](crate::Certificate::public_key_sha256).
///
/// Most programs give them to [`Configuration::pin_public_keys`](crate::Configuration::pin_public_keys). A
/// delegate that judges by itself asks [`are_met_by`](PinnedKeys::are_met_by).
///
/// ```
/// use urlsession::PinnedKeys;
///
/// let keys: PinnedKeys = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=".parse()?;
/// assert_eq!(keys.to_string(), "sha256/YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=");
/// assert!("sha256/tooshort".parse::<PinnedKeys>().is_err());
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinnedKeys(Vec<[u8; 32]>);

impl PinnedKeys {
    /// Keys by the SHA-256 of their `SubjectPublicKeyInfo`.
    pub fn from_sha256(hashes: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut keys = PinnedKeys(hashes.into_iter().collect());
        keys.tidy();
        keys
    }

    /// The SHA-256 of each, in no order that means something.
    pub fn sha256(&self) -> &[[u8; 32]] {
        &self.0
    }

    /// Whether the server has one of the keys, or was certified by one of them. It is not the verdict about
    /// its certificate: see [`ServerTrust::evaluate`].
    ///
    /// The keys of roots are known only where a server sends those along, which few do. Pin the key of an
    /// intermediate authority, or let
    /// [`Configuration::pin_public_keys`](crate::Configuration::pin_public_keys) do it, which knows them.
    pub fn are_met_by(&self, trust: &ServerTrust) -> bool {
        let chain: Vec<_> = trust.certificates().iter().map(|one| one.as_rustls().clone()).collect();
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
        self.lead_to(&chain, &[], algorithms, UnixTime::now())
    }

    /// Whether the first of the certificates has one of the keys, or leads to one: in the others, or in
    /// one of the anchors, all of which have to have such a key.
    pub(crate) fn lead_to(
        &self,
        chain: &[CertificateDer<'static>],
        anchors: &[TrustAnchor<'static>],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        now: UnixTime,
    ) -> bool {
        let Some((own, others)) = chain.split_first() else { return false };
        if self.has_key_of(own) {
            return true;
        }
        let mut pinned = anchors.to_vec();
        let issuers = others.iter().filter(|issuer| self.has_key_of(issuer));
        pinned.extend(issuers.filter_map(|issuer| Some(anchor_from_trusted_cert(issuer).ok()?.to_owned())));
        if pinned.is_empty() {
            return false;
        }
        let usage = KeyUsage::server_auth();
        EndEntityCert::try_from(own).is_ok_and(|own| {
            own.verify_for_usage(algorithms, &pinned, others, now, usage, None, None).is_ok()
        })
    }

    /// Those of the anchors that have one of the keys.
    pub(crate) fn among(&self, anchors: &[TrustAnchor<'static>]) -> Vec<TrustAnchor<'static>> {
        // webpki has the content of the key's sequence only.
        let has_key = |anchor: &&TrustAnchor<'_>| {
            self.0.contains(&sha256(&sequence(anchor.subject_public_key_info.as_ref())))
        };
        anchors.iter().filter(has_key).cloned().collect()
    }

    fn has_key_of(&self, certificate: &CertificateDer<'_>) -> bool {
        Outline::of(certificate).is_some_and(|outline| self.0.contains(&sha256(outline.public_key())))
    }

    fn add(&mut self, other: PinnedKeys) {
        self.0.extend(other.0);
        self.tidy();
    }

    fn tidy(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }
}

impl FromStr for PinnedKeys {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let keys = parts.map(key).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Err(malformed("there is none"));
        }
        Ok(PinnedKeys::from_sha256(keys))
    }
}

impl fmt::Display for PinnedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}{}", written(key))?;
        }
        Ok(())
    }
}

/// A key as it is written.
pub(crate) fn written(key: &[u8; 32]) -> String {
    format!("sha256/{}", base64(key))
}

fn key(text: &str) -> Result<[u8; 32]> {
    /// How many digits 32 bytes have.
    const DIGITS: usize = 44;
    let digits = text.strip_prefix("sha256/").map(|digits| match digits.strip_prefix('/') {
        // The first digit may be a slash, too.
        Some(rest) if digits.len() > DIGITS => rest,
        _ => digits,
    });
    let shown: String = text.chars().take(64).collect();
    let Some(digits) = digits else {
        return Err(malformed(&format!("`{}` does not begin with sha256/", shown.escape_debug())));
    };
    let bytes = structured::base64(digits.as_bytes()).filter(|bytes| base64(bytes) == digits);
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| malformed(&format!("`{}` is not the base64 of 32 bytes", shown.escape_debug())))
}

fn malformed(what: &str) -> Error {
    let message = format!("pinned public keys: {what}; they are written as sha256/BASE64");
    Error::new(ErrorKind::SecureConnectionFailed, message)
}

/// For which hosts which keys hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pins(Vec<PinnedDomain>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinnedDomain {
    /// In lower case and without a final dot, an address without brackets; empty for all.
    domain: String,
    include_subdomains: bool,
    pub(crate) keys: PinnedKeys,
}

impl Pins {
    /// Adds keys for a domain; `*` is any host.
    ///
    /// # Errors
    /// If there are none, which nothing could meet, or the domain is no host.
    pub(crate) fn add(&mut self, domain: &str, include_subdomains: bool, keys: PinnedKeys) -> Result<()> {
        if keys.0.is_empty() {
            return Err(malformed("there is none"));
        }
        let domain = if domain == "*" { String::new() } else { canonical(domain)? };
        let same = |known: &&mut PinnedDomain| {
            known.domain == domain && known.include_subdomains == include_subdomains
        };
        match self.0.iter_mut().find(same) {
            Some(known) => known.keys.add(keys),
            None => self.0.push(PinnedDomain { domain, include_subdomains, keys }),
        }
        Ok(())
    }

    /// What holds for a host: of several domains that fit, the longest; of the same one, what is for it
    /// alone.
    pub(crate) fn of<'a>(&'a self, host: &str) -> Option<&'a PinnedDomain> {
        if self.0.is_empty() {
            return None;
        }
        let host = canonical(host).unwrap_or_else(|_| host.to_ascii_lowercase());
        let fits = |pinned: &&PinnedDomain| {
            let domain = pinned.domain.as_str();
            let above = host.strip_suffix(domain).and_then(|labels| labels.strip_suffix('.'));
            domain.is_empty() || host == domain || (pinned.include_subdomains && above.is_some())
        };
        self.0.iter().filter(fits).max_by_key(|pinned| (pinned.domain.len(), !pinned.include_subdomains))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PinnedDomain> {
        self.0.iter()
    }
}

/// A host as it is compared.
fn canonical(host: &str) -> Result<String> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let bracketed = name.contains(':') && !name.starts_with('[');
    let parsed = if bracketed { Host::parse(&format!("[{name}]")) } else { Host::parse(name) };
    match parsed {
        Ok(Host::Domain(name)) if !name.is_empty() && !name.contains('*') => Ok(name),
        Ok(Host::Ipv4(address)) => Ok(address.to_string()),
        Ok(Host::Ipv6(address)) => Ok(address.to_string()),
        _ => {
            let shown: String = host.chars().take(64).collect();
            let shown = shown.escape_debug();
            let message = format!("pinned public keys: `{shown}` is no domain; name one as in example.com");
            Err(Error::new(ErrorKind::SecureConnectionFailed, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    const A: &str = "sha256/YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=";
    const B: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn parsed(text: &str) -> Option<PinnedKeys> {
        text.parse().ok()
    }

    #[test]
    fn both_ways_to_write_them() {
        let curl = A.replace("sha256/", "sha256//");
        assert_eq!(parsed(&curl), parsed(A));
        let both = parsed(&format!(" {curl}; {B};{A};")).expect("two");
        assert_eq!(both.sha256().len(), 2);
        assert_eq!(parsed(&both.to_string()), Some(both.clone()));
        // The first digit may be a slash: these are not the same.
        let slash = parsed(B).expect("a key");
        assert_eq!(slash.sha256()[0][0] >> 2, 63);
        assert_eq!(parsed(&format!("sha256/{}", B.trim_start_matches("sha256/"))), Some(slash));
        for bad in ["", ";", "sha1/AAAA", "sha256/", "sha256/AAAA", &A[..A.len() - 1], &A.replace('Y', "!")] {
            let error = bad.parse::<PinnedKeys>().expect_err(bad);
            assert!(error.to_string().contains("sha256/BASE64"), "{error}");
        }
    }

    #[test]
    fn the_longest_domain_holds() {
        let mut pins = Pins::default();
        let key = |number: u8| PinnedKeys::from_sha256([[number; 32]]);
        for (number, domain, subdomains) in [
            (1, "Example.com.", true),
            (2, "api.example.com", false),
            (3, "api.example.com", true),
            (4, "::1", false),
            (5, "bücher.example", false),
        ] {
            pins.add(domain, subdomains, key(number)).expect(domain);
        }
        let found = |host: &str| pins.of(host).map(|pinned| pinned.keys.sha256()[0][0]);
        assert_eq!(found("example.com"), Some(1));
        assert_eq!(found("www.EXAMPLE.com."), Some(1));
        assert_eq!(found("api.example.com"), Some(2));
        assert_eq!(found("v1.api.example.com"), Some(3));
        assert_eq!(found("[::1]"), Some(4));
        assert_eq!(found("::1"), Some(4));
        assert_eq!(found("xn--bcher-kva.example"), Some(5));
        for host in ["notexample.com", "com", "a.bücher.example", "127.0.0.1", ""] {
            assert_eq!(found(host), None, "{host}");
        }
        pins.add("*", false, key(6)).expect("any host");
        assert_eq!(pins.of("127.0.0.1").map(|pinned| pinned.keys.sha256()[0][0]), Some(6));
        assert_eq!(pins.of("example.com").map(|pinned| pinned.keys.sha256()[0][0]), Some(1));
        for bad in ["", ".", "a b", "https://example.com", "*.example.com"] {
            assert!(pins.add(bad, true, key(1)).is_err(), "{bad}");
        }
        pins.add("example.com", true, key(7)).expect("more");
        assert_eq!(pins.of("example.com").map(|pinned| pinned.keys.sha256().len()), Some(2));
    }

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    }

    fn issued(by: &CertifiedIssuer<'static, KeyPair>) -> CertificateDer<'static> {
        let params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        params.signed_by(&key, by).expect("a certificate").der().clone()
    }

    #[test]
    fn what_is_only_sent_along_does_not_count() {
        let (pinned, other) = (authority(), authority());
        let key = |der: &CertificateDer<'static>| {
            let hash = crate::Certificate::from_rustls(der.clone()).public_key_sha256();
            PinnedKeys::from_sha256(hash)
        };
        let keys = key(pinned.der());
        let holds = |chain: &[CertificateDer<'static>], anchors: &[TrustAnchor<'static>]| {
            let all = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
            keys.lead_to(chain, anchors, all, UnixTime::now())
        };
        let (good, bad) = (issued(&pinned), issued(&other));
        assert!(holds(&[good.clone(), pinned.der().clone()], &[]));
        assert!(!holds(&[bad.clone(), pinned.der().clone()], &[]), "sent along by somebody else");
        assert!(!holds(&[bad.clone(), other.der().clone(), pinned.der().clone()], &[]));
        assert!(!holds(std::slice::from_ref(&good), &[]), "nothing shows who has issued it");
        assert!(!holds(&[], &[]));

        let anchors: Vec<TrustAnchor<'static>> = [pinned.der(), other.der()]
            .map(|der| anchor_from_trusted_cert(der).expect("an anchor").to_owned())
            .into();
        let known = keys.among(&anchors);
        assert_eq!(known.len(), 1);
        assert!(holds(&[good], &known));
        assert!(!holds(std::slice::from_ref(&bad), &known));
        assert!(key(&bad).among(&anchors).is_empty());
    }
}
