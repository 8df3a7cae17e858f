//! Certificates made on the spot: a certificate authority for each process, and certificates that
//! are right, or wrong in one way.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// A certificate authority that nobody but a test trusts.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The process's certificate authority.
pub fn ca() -> &'static Ca {
    static CA: OnceLock<Ca> = OnceLock::new();
    CA.get_or_init(|| Ca::new("urlsession test CA"))
}

/// A chain of certificates, the leaf first, with the leaf's key.
#[derive(Clone, Debug)]
pub struct Certs {
    /// The leaf, and what is between it and the root, which is left out.
    pub chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// The names that [`Certs::valid`] is good for.
pub const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "example.test", "*.example.test"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Ca {
    /// Another authority, not the process's.
    pub fn new(name: &str) -> Ca {
        let issuer = CertifiedIssuer::self_signed(authority(name), new_key()).expect("a CA certificate");
        Ca { issuer }
    }

    /// Its certificate, as a file of trusted roots would hold it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A store with only this authority in it.
    pub fn roots(&self) -> Arc<rustls::RootCertStore> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der()).expect("a CA certificate that can be trusted");
        Arc::new(roots)
    }

    /// A server's certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Certs {
        sign(server_leaf(names), &self.issuer)
    }

    /// A client's certificate.
    pub fn issue_client(&self, name: &str) -> Certs {
        let mut params = leaf(&[], name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        sign(params, &self.issuer)
    }
}

impl Certs {
    /// For [`NAMES`], by the process's authority, in force.
    pub fn valid() -> Certs {
        static VALID: OnceLock<Certs> = OnceLock::new();
        VALID.get_or_init(|| ca().issue(&NAMES)).clone()
    }

    /// For these names and addresses only.
    pub fn for_names(names: &[&str]) -> Certs {
        ca().issue(names)
    }

    /// Right but for its end, three days ago.
    pub fn expired() -> Certs {
        let mut params = server_leaf(&NAMES);
        params.not_after = date_time_ymd(1970, 1, 1) + (since_1970() - 3 * DAY);
        sign(params, &ca().issuer)
    }

    /// Right but for its beginning, in three days.
    pub fn not_yet_valid() -> Certs {
        let mut params = server_leaf(&NAMES);
        params.not_before = date_time_ymd(1970, 1, 1) + (since_1970() + 3 * DAY);
        sign(params, &ca().issuer)
    }

    /// Right but for the name, `wrong.example.test`.
    pub fn wrong_name() -> Certs {
        ca().issue(&["wrong.example.test"])
    }

    /// For the right names, by itself.
    pub fn self_signed() -> Certs {
        let key = new_key();
        let certificate = server_leaf(&NAMES).self_signed(&key).expect("a certificate");
        Certs::new(vec![certificate.der().clone()], &key)
    }

    /// For the right names, by an authority that has the name of the process's and is another.
    pub fn unknown_ca() -> Certs {
        Ca::new("urlsession test CA").issue(&NAMES)
    }

    /// Right, with an intermediate authority between leaf and root.
    pub fn with_intermediate() -> Certs {
        let params = authority("urlsession test intermediate CA");
        let intermediate =
            CertifiedIssuer::signed_by(params, new_key(), &ca().issuer).expect("a certificate");
        let mut certs = sign(server_leaf(&NAMES), &intermediate);
        certs.chain.push(intermediate.der().clone());
        certs
    }

    /// The same without the intermediate's certificate, which servers forget.
    pub fn missing_intermediate() -> Certs {
        let mut certs = Certs::with_intermediate();
        certs.chain.truncate(1);
        certs
    }

    /// A client's certificate by the process's authority.
    pub fn client() -> Certs {
        ca().issue_client("urlsession test client")
    }

    /// A client's certificate by an authority that the servers do not know.
    pub fn client_of_unknown_ca() -> Certs {
        Ca::new("another test CA").issue_client("urlsession test client")
    }

    /// The leaf.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// A copy of the leaf's key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Certs {
        Certs { chain, key: Arc::new(PrivatePkcs8KeyDer::from(key.serialize_der()).into()) }
    }
}

fn sign(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Certs {
    let key = new_key();
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    Certs::new(vec![certificate.der().clone()], &key)
}

fn authority(name: &str) -> CertificateParams {
    let mut params = leaf(&[], name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_leaf(names: &[&str]) -> CertificateParams {
    let mut params = leaf(names, "urlsession test server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn leaf(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names fit for a certificate");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970")
}
