//! The keys that a server has to have: `--pinnedpubkey`. Reads the file if there is one.

use crate::exit::{Exit, Failure};
use crate::requests::read;
use crate::values::Usage;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use urlsession::{Checksum, ChecksumAlgorithm, Error, ErrorKind, PinnedKeys};

/// What the option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pins {
    /// Keys by their SHA-256.
    Keys(PinnedKeys),
    /// A file with a key.
    File(PathBuf),
}

impl Pins {
    /// `sha256//BASE64`, several with `;` between them, or a file.
    pub fn parse(text: &str) -> Result<Pins, Usage> {
        if !text.starts_with("sha256/") {
            return Ok(Pins::File(text.into()));
        }
        let keys = text.parse().map_err(|error: Error| Usage(format!("--pinnedpubkey: {error}")))?;
        Ok(Pins::Keys(keys))
    }

    /// The keys.
    pub fn read(&self) -> Result<PinnedKeys, Failure> {
        let path = match self {
            Pins::Keys(keys) => return Ok(keys.clone()),
            Pins::File(path) => path,
        };
        let bytes = read(path, Exit::ReadInput)?;
        // DER begins with the tag of a sequence, and PEM with a line of text.
        let der = match bytes.first() {
            Some(0x30) => bytes,
            _ => match SubjectPublicKeyInfoDer::from_pem_slice(&bytes) {
                Ok(key) => key.to_vec(),
                Err(error) => {
                    let message = format!("{}: there is no public key in it ({error})", path.display());
                    return Err(Failure::new(Exit::ReadInput, message));
                }
            },
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(Checksum::of(ChecksumAlgorithm::Sha256, &der).bytes());
        Ok(PinnedKeys::from_sha256([hash]))
    }
}

/// Whether a server was refused for its key.
pub fn is_about_key(error: &Error, pins: &Pins) -> bool {
    let Ok(keys) = pins.read() else { return false };
    error.kind() == ErrorKind::ServerCertificateUntrusted
        && error.server_trust().is_some_and(|trust| !keys.are_met_by(trust))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that `openssl ecparam -name prime256v1 -genkey` made, and its hash by `openssl dgst`.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEj82PnYldl/RbPzCzmDWx7msQV56V
RgRP1EyjmQYXW/WkcbZ9jSycH1C6v+dJ/ZDUAHMvxSvgipQ1XiOFL7N2XQ==
-----END PUBLIC KEY-----
";
    const HASH: &str = "sha256/lseyuBs+SxOZs9f9sJTHMquPnONIDk5EbSLJ4CiVY1Y=";

    #[test]
    fn keys_are_in_files_of_two_forms() {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("urlsession-pins-{}", std::process::id()));
        let key = SubjectPublicKeyInfoDer::from_pem_slice(PEM.as_bytes()).unwrap();
        for bytes in [PEM.as_bytes(), key.as_ref()] {
            std::fs::write(&path, bytes).unwrap();
            let pins = Pins::parse(path.to_str().unwrap()).unwrap();
            assert_eq!(pins.read().unwrap().to_string(), HASH);
        }
        std::fs::write(&path, "no key").unwrap();
        assert_eq!(Pins::File(path.clone()).read().unwrap_err().exit, Exit::ReadInput);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Pins::parse(HASH).unwrap().read().unwrap().to_string(), HASH);
        assert!(Pins::parse("sha256//x").is_err());
    }
}
