//! From options to what the library takes: a configuration, a request, a body. Reads the small files
//! that the options name, and looks for the large ones.

use crate::args::{Options, Target};
use crate::exit::{Exit, Failure};
use crate::identity::{Netrc, Secret, User};
use crate::prompt;
use crate::requests::{self, named, read};
use crate::state::with_cookies;
use crate::{data, forms, pace};
use std::time::Duration;
use urlsession::{Body, Configuration, Identity, Multipart, Request, RetryPolicy};

/// The configuration of the session.
pub fn configuration(options: &Options) -> Result<Configuration, Failure> {
    let configuration = Configuration::ephemeral().redirect_limit(options.max_redirs).retry(retry(options));
    let configuration = requests::with_cleartext(configuration, options.allow_cleartext);
    let mut configuration = requests::trusting(configuration, options.insecure, options.cacert.as_deref())?;
    configuration = match &options.identity.netrc {
        None => configuration,
        Some(Netrc::Usual) => configuration.netrc_default(),
        Some(Netrc::File(path)) => configuration.netrc(path),
    };
    configuration.check().map_err(|error| Failure::new(Exit::ReadInput, error.to_string()))?;
    if let Some(path) = &options.cert {
        let chain = read(path, Exit::ClientCertificate)?;
        let identity = match &options.key {
            Some(key) => Identity::from_pem(chain, read(key, Exit::ClientCertificate)?),
            None => Identity::from_single_pem(chain),
        };
        let identity = identity.map_err(|error| named(path, Exit::ClientCertificate, &error))?;
        configuration = configuration.client_identity(identity);
    }
    if let Some(keys) = &options.pinned_key {
        configuration = configuration.pin_public_keys("*", false, [keys.read()?.to_string()]);
    }
    configuration = requests::without_defaults(configuration, &options.headers);
    if let Some(agent) = &options.user_agent {
        configuration = configuration.user_agent(agent.as_str());
    }
    configuration.check().map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(configuration)
}

/// Asks for the password that `-u` does not give.
pub fn ask_password(options: &mut Options) -> Result<(), Failure> {
    let Some(User { name, password: password @ None }) = &mut options.identity.user else { return Ok(()) };
    let typed = prompt::password(&format!("Password of {name}: ")).map_err(|error| {
        let advice = "give it as -u name:password, or in a file with -n";
        Failure::new(
            Exit::Usage,
            format!("-u has no password, and none can be asked for ({error}): {advice}"),
        )
    })?;
    *password = Some(Secret(typed));
    Ok(())
}

/// What the options have sent, whatever the target.
#[derive(Clone)]
pub enum Sent {
    /// `-d` and `--data-binary`.
    Data(Body),
    /// `-F`.
    Form(Multipart),
}

/// The body that `-d` or `-F` give. Files of `-T` are looked for, too.
pub fn sent(options: &Options) -> Result<Option<Sent>, Failure> {
    let measured = options.limit_rate.is_some();
    for path in options.targets.iter().filter_map(|target| target.upload.as_ref()) {
        forms::file(path, measured)?;
    }
    if !options.form.is_empty() {
        return forms::form(&options.form, measured).map(|form| Some(Sent::Form(form)));
    }
    data::body(&options.data).map(|body| body.map(Sent::Data))
}

/// The request for a target, from an offset of its resource on.
pub fn request(options: &Options, target: &Target, sent: Option<&Sent>, offset: Option<u64>) -> Request {
    let method = match (&options.method, options.head_only, sent, &target.upload) {
        (Some(method), ..) => method,
        (_, true, ..) => "HEAD",
        (.., Some(_)) => "PUT",
        (_, _, Some(_), _) => "POST",
        (None, ..) => "GET",
    };
    let url = match &target.upload {
        Some(path) => requests::upload_url(&target.url, path),
        None => target.url.clone(),
    };
    let mut request = requests::with_headers(Request::new(method, url), &options.headers);
    let range = match (offset, &options.range) {
        (Some(offset), _) => Some(format!("bytes={offset}-")),
        (None, Some(range)) => Some(format!("bytes={range}")),
        (None, None) => None,
    };
    if let Some(range) = range {
        // A part of what is compressed could not be put together with another.
        request = request.header("range", range).header("accept-encoding", "identity");
    }
    if let Some(referer) = &options.referer {
        request = request.header("referer", referer.as_str());
    }
    let identity = &options.identity;
    match (&identity.user, &identity.bearer) {
        (Some(User { name, password: Some(password) }), _) if identity.schemes.is_unasked() => {
            request = request.basic_auth(name, &password.0);
        }
        (None, Some(token)) => request = request.bearer_auth(&token.0),
        _ => {}
    }
    request = with_cookies(request, options);
    match (sent, &target.upload) {
        (_, Some(path)) => {
            request = request
                .body(forms::file(path, options.limit_rate.is_some()).unwrap_or_else(|_| Body::file(path)))
        }
        (Some(Sent::Form(form)), _) => request = request.multipart(form.clone()),
        (Some(Sent::Data(body)), _) => {
            request = request.body(body.clone());
            if !options.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                request = request.header("content-type", "application/x-www-form-urlencoded");
            }
        }
        (None, None) => {}
    }
    if let (Some(rate), false) = (options.limit_rate, request.get_body().is_empty()) {
        let body = request.get_body().clone();
        request = request.body(pace::slowed(body, rate));
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

/// As curl does it: a second before the second try, and then twice as long each time, up to ten minutes;
/// or always the same.
fn retry(options: &Options) -> RetryPolicy {
    let first = options.retry_delay.unwrap_or(Duration::from_secs(1));
    let longest = options.retry_delay.unwrap_or(Duration::from_secs(600));
    let mut attempts = options.retry;
    if let Some(most) = options.retry_max_time {
        let (mut pause, mut sum, mut fitting) = (first, Duration::ZERO, 0);
        while fitting < attempts && sum.saturating_add(pause) <= most {
            sum = sum.saturating_add(pause);
            pause = pause.saturating_mul(2).min(longest);
            fitting += 1;
        }
        attempts = fitting;
    }
    RetryPolicy::new(attempts)
        .initial_delay(first)
        .maximum_delay(longest)
        .longest_retry_after(options.retry_max_time.unwrap_or(Duration::MAX))
        .any_method(true)
}
