//! What options say of every request of a program: whom to trust, which headers to send. Reads the
//! files that the options name.

// Not every program has a use for all of it.
#![allow(dead_code)]

use crate::exit::{Exit, Failure};
use crate::values::Header;
use std::fs;
use std::path::Path;
use urlsession::{Certificate, Configuration, Error, Request, RootCertificates, TransportSecurity, Url};

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

/// `--allow-cleartext`.
pub fn with_cleartext(configuration: Configuration, allow: bool) -> Configuration {
    if !allow {
        return configuration;
    }
    configuration
        .transport_security(TransportSecurity::new().allow_cleartext(true))
        .allow_insecure_redirects(true)
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

/// Where a file goes whose URL is that of a directory: to its name in it, as curl has it.
pub fn upload_url(text: &str, path: &Path) -> String {
    let (Ok(mut url), Some(name)) = (Url::parse(text), path.file_name()) else { return text.to_owned() };
    if path.as_os_str() == "-" || !url.path().ends_with('/') {
        return text.to_owned();
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(&name.to_string_lossy());
    }
    url.into()
}

/// A small file that an option names.
pub fn read(path: &Path, exit: Exit) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(exit, format!("reading {}: {error}", path.display())))
}

/// An error about what is in a file.
pub fn named(path: &Path, exit: Exit, error: &Error) -> Failure {
    Failure::new(exit, format!("{}: {error}", path.display()))
}
