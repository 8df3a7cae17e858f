//! From options to what the library takes: a configuration, a request, a body. Reads the files that
//! the options name.

use crate::args::{Data, Options, Source, Target};
use crate::exit::{Exit, Failure};
use crate::requests::{self, named, read};
use std::io::{self, Read};
use std::time::Duration;
use urlsession::{Bytes, Configuration, Identity, Request};

/// The configuration of the session.
pub fn configuration(options: &Options) -> Result<Configuration, Failure> {
    let configuration = Configuration::ephemeral().redirect_limit(options.max_redirs);
    let mut configuration = requests::trusting(configuration, options.insecure, options.cacert.as_deref())?;
    if let Some(path) = &options.cert {
        let chain = read(path, Exit::ClientCertificate)?;
        let identity = match &options.key {
            Some(key) => Identity::from_pem(chain, read(key, Exit::ClientCertificate)?),
            None => Identity::from_single_pem(chain),
        };
        let identity = identity.map_err(|error| named(path, Exit::ClientCertificate, &error))?;
        configuration = configuration.client_identity(identity);
    }
    configuration = requests::without_defaults(configuration, &options.headers);
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
    let mut request = requests::with_headers(Request::new(method, &target.url), &options.headers);
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
