//! From options to what the library takes: a configuration, a request, a body. Reads the files that
//! the options name.

use crate::args::{Data, Options, Source, Target};
use crate::exit::{Exit, Failure};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use urlsession::{Bytes, Certificate, Configuration, Error, Identity, Request, RootCertificates};

/// The configuration of the session.
pub fn configuration(options: &Options) -> Result<Configuration, Failure> {
    let mut configuration = Configuration::ephemeral()
        .redirect_limit(options.max_redirs)
        .danger_accept_invalid_certificates(options.insecure);
    if let Some(path) = &options.cacert {
        let pem = read(path, Exit::CaCertificates)?;
        let roots = Certificate::from_pem(pem).map_err(|error| named(path, Exit::CaCertificates, &error))?;
        configuration = configuration.root_certificates(RootCertificates::Only(roots));
    }
    if let Some(path) = &options.cert {
        let chain = read(path, Exit::ClientCertificate)?;
        let identity = match &options.key {
            Some(key) => Identity::from_pem(chain, read(key, Exit::ClientCertificate)?),
            None => Identity::from_single_pem(chain),
        };
        let identity = identity.map_err(|error| named(path, Exit::ClientCertificate, &error))?;
        configuration = configuration.client_identity(identity);
    }
    for (name, value) in &options.headers {
        // What the library adds by itself can be taken away only there.
        match (name.to_ascii_lowercase().as_str(), value) {
            ("user-agent", None) => configuration = configuration.user_agent(""),
            ("accept-encoding", None) => configuration = configuration.automatic_decoding(false),
            _ => {}
        }
    }
    if let Some(agent) = &options.user_agent {
        configuration = configuration.user_agent(agent.as_str());
    }
    configuration.check().map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(configuration)
}

/// The body that `-d` and `--data-binary` give together.
pub fn body(options: &Options) -> Result<Option<Bytes>, Failure> {
    if options.data.is_empty() {
        return Ok(None);
    }
    let pieces = options.data.iter().map(piece).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(pieces.join(&b'&').into()))
}

/// The request for a target.
pub fn request(options: &Options, target: &Target, body: Option<&Bytes>) -> Request {
    let method = match (&options.method, options.head_only, body) {
        (Some(method), _, _) => method,
        (None, true, _) => "HEAD",
        (None, false, Some(_)) => "POST",
        (None, false, None) => "GET",
    };
    let mut request = Request::new(method, &target.url);
    for (name, value) in &options.headers {
        match value {
            Some(value) => request = request.add_header(name, value.as_str()),
            None if name.eq_ignore_ascii_case("accept") => request = request.header(name, ""),
            None => {}
        }
    }
    if let Some(referer) = &options.referer {
        request = request.header("referer", referer.as_str());
    }
    if let Some((user, password)) = &options.user {
        request = request.basic_auth(user, password);
    }
    if let Some(body) = body {
        request = request.body(body.clone());
        if !options.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
    }
    if let Some(time) = options.max_time {
        // Whoever says how long it may take does not want it to end sooner.
        request = request.resource_timeout(time).timeout(Duration::MAX);
    }
    if let Some(time) = options.connect_timeout {
        request = request.connect_timeout(time);
    }
    request
}

fn piece(data: &Data) -> Result<Vec<u8>, Failure> {
    let mut bytes = match &data.source {
        Source::Text(text) => return Ok(text.clone().into_bytes()),
        Source::File(path) => read(path, Exit::ReadInput)?,
        Source::Stdin => {
            let mut bytes = Vec::new();
            let result = io::stdin().lock().read_to_end(&mut bytes);
            let failed = |error| Failure::new(Exit::ReadInput, format!("reading standard input: {error}"));
            result.map(|_| bytes).map_err(failed)?
        }
    };
    if data.strip {
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    }
    Ok(bytes)
}

fn read(path: &Path, exit: Exit) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(exit, format!("reading {}: {error}", path.display())))
}

fn named(path: &Path, exit: Exit, error: &Error) -> Failure {
    Failure::new(exit, format!("{}: {error}", path.display()))
}
