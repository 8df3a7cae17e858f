//! What options say of every request of a program: whom to trust, which headers to send. Reads the
//! files that the options name.

// Not every program has a use for all of it.
#![allow(dead_code)]

use crate::exit::{Exit, Failure};
use crate::values::Header;
use std::fs;
use std::path::Path;
use urlsession::{Certificate, Configuration, Error, Request, RootCertificates};

/// `-k` and `--cacert`.
pub fn trusting(
    configuration: Configuration,
    insecure: bool,
    cacert: Option<&Path>,
) -> Result<Configuration, Failure> {
    let configuration = configuration.danger_accept_invalid_certificates(insecure);
    let Some(path) = cacert else { return Ok(configuration) };
    let pem = read(path, Exit::CaCertificates)?;
    let roots = Certificate::from_pem(pem).map_err(|error| named(path, Exit::CaCertificates, &error))?;
    Ok(configuration.root_certificates(RootCertificates::Only(roots)))
}

/// The headers that the library adds by itself, and that can be taken away only there.
pub fn without_defaults(mut configuration: Configuration, headers: &[Header]) -> Configuration {
    for (name, value) in headers {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("user-agent", None) => configuration = configuration.user_agent(""),
            ("accept-encoding", None) => configuration = configuration.automatic_decoding(false),
            _ => {}
        }
    }
    configuration
}

/// The headers of a request.
pub fn with_headers(mut request: Request, headers: &[Header]) -> Request {
    for (name, value) in headers {
        match value {
            Some(value) => request = request.add_header(name, value.as_str()),
            None if name.eq_ignore_ascii_case("accept") => request = request.header(name, ""),
            None => {}
        }
    }
    request
}

/// A small file that an option names.
pub fn read(path: &Path, exit: Exit) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(exit, format!("reading {}: {error}", path.display())))
}

/// An error about what is in a file.
pub fn named(path: &Path, exit: Exit, error: &Error) -> Failure {
    Failure::new(exit, format!("{}: {error}", path.display()))
}
