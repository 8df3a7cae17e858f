//! What a request says about who we are: what the user set, the answer to a challenge, the credentials of
//! the URL, what is known to be wanted there, or the signature of a scheme, in that order.

use super::Loader;
use crate::authentication::{
    self, AuthenticatingRequest, AuthenticationExchange, AuthenticationScheme, AuthenticationStep,
};
use crate::challenge::{AuthenticationMethod, Credential, Persistence, ProtectionSpace};
use crate::configuration::Configuration;
use crate::error::{Error, ErrorKind, Result};
use crate::head::percent_decoded;
use crate::header;
use crate::proto::auth::challenges::AuthChallenge;
use crate::proto::auth::digest::hash::client_nonce;
use crate::proto::auth::digest::{DigestChallenge, DigestSession, Proof};
use crate::proto::auth::offers::{Offer, Scheme};
use crate::proto::auth::{basic, bearer};
use crate::proto::caching::USER;
use crate::proto::redirect::same_origin;
use crate::request::Request;
use crate::storage::credentials::unasked;
use crate::sync::Arc;
use crate::task::core::TaskCore;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Position, Url};

/// What a request goes out with, and for whom.
pub(super) struct Attempt {
    pub(super) space: ProtectionSpace,
    pub(super) credential: Option<Credential>,
    pub(super) means: Means,
    /// It is in the request that is under way.
    sent: bool,
    /// It was sent unasked, because it is remembered.
    known: bool,
}

/// How a credential is shown.
pub(super) enum Means {
    /// By the same header each time.
    Value(HeaderValue),
    /// By a digest of what is sent, for requests below these paths. The answer is to be held against what
    /// the server is to prove.
    Digest { session: Arc<DigestSession>, paths: Vec<String>, proof: Option<Proof> },
    /// As a scheme of the program's says.
    Scheme {
        scheme: Arc<dyn AuthenticationScheme>,
        exchange: Box<dyn AuthenticationExchange>,
        /// What the next message has, if it was asked for.
        next: Option<HeaderMap>,
    },
}

impl Attempt {
    fn new(space: ProtectionSpace, credential: Option<Credential>, means: Means) -> Self {
        Attempt { space, credential, means, sent: false, known: false }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// Whether all of its messages have to go over one connection.
    pub(super) fn is_bound(&self) -> bool {
        matches!(&self.means, Means::Scheme { scheme, .. } if scheme.binds_to_connection())
    }

    /// Its next message is of no use.
    pub(super) fn restart(&mut self) {
        if let Means::Scheme { next, .. } = &mut self.means {
            *next = None;
        }
    }

    /// See [`Loader::user`]. `proven`: the credential is right, or will be when that is of use.
    fn user(&self, proven: bool) -> Result<(HeaderName, HeaderValue)> {
        let value = match (&self.credential, &self.means) {
            (Some(credential), _) => return shown(credential, proven),
            (None, Means::Value(value)) => value.clone(),
            (None, Means::Digest { .. }) => HeaderValue::from_static("Digest"),
            // The header's value has no characters that it may not have, or nobody could ask for the scheme.
            (None, Means::Scheme { scheme, .. }) => {
                HeaderValue::from_str(scheme.name()).unwrap_or(HeaderValue::from_static("-"))
            }
        };
        Ok((AUTHORIZATION, value))
    }

    /// Whether a request to this URL may have it.
    fn is_for(&self, url: &Url) -> bool {
        is_origin_of(&self.space, url)
    }
}

/// What goes into the head of a request.
pub(super) enum Authorization {
    Nothing,
    Value(HeaderValue),
    Headers(String, HeaderMap),
}

impl Authorization {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Authorization::Nothing)
    }

    pub(super) fn add_to(self, headers: &mut HeaderMap) -> Result<()> {
        match self {
            Authorization::Nothing => Ok(()),
            Authorization::Value(value) => header::insert(headers, AUTHORIZATION, value),
            Authorization::Headers(scheme, added) => authentication::add(headers, &scheme, added),
        }
    }
}

impl Loader {
    /// What the request that is about to be sent says.
    pub(super) fn authorize(&mut self, core: &Arc<TaskCore>) -> Result<Authorization> {
        if let Some(mut attempt) = self.authentication.as_mut().and_then(|state| state.attempt.take()) {
            let authorization = match attempt.is_for(self.request(core).check()?) {
                true => self.put_into_words(&mut attempt, core)?,
                false => None,
            };
            let authorization = self.goes_out_with(attempt, authorization);
            if !authorization.is_nothing() {
                return Ok(authorization);
            }
        }
        let request = self.request(core);
        if request.get_headers().contains_key(AUTHORIZATION) {
            return Ok(Authorization::Nothing);
        }
        let url = request.well_formed()?;
        if let Some((user, password)) = credentials_for(url, &core.context.configuration) {
            let value = basic::authorization(&user, &password)?;
            let credential = Credential::new(user, password, Persistence::None);
            let space = space_of(url, AuthenticationMethod::Basic);
            let attempt = Attempt::new(space, Some(credential), Means::Value(value.clone()));
            return Ok(self.goes_out_with(attempt, Some(Authorization::Value(value))));
        }
        if let Some(proven) = self.unasked(core)? {
            let means = match &proven.means {
                unasked::Means::Value(value) => Means::Value(value.clone()),
                unasked::Means::Digest(session) => {
                    Means::Digest { session: Arc::clone(session), paths: Vec::new(), proof: None }
                }
            };
            let mut attempt = Attempt::new(proven.space.clone(), Some(proven.credential.clone()), means);
            attempt.known = true;
            let authorization = self.put_into_words(&mut attempt, core)?;
            return Ok(self.goes_out_with(attempt, authorization));
        }
        self.signature(core)
    }

    /// Whom the next request would say it is from, if the loader adds that: by a header that is the same for
    /// the same user, whatever the request really goes out with. What a scheme signs is not known before.
    pub(super) fn user(&self, core: &TaskCore) -> Result<Option<(HeaderName, HeaderValue)>> {
        let request = self.request(core);
        let url = request.well_formed()?;
        if let Some(attempt) = self.attempt_under_way().filter(|attempt| attempt.is_for(url)) {
            return attempt.user(attempt.known).map(Some);
        }
        if request.get_headers().contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        if let Some((user, password)) = credentials_for(url, &core.context.configuration) {
            return Ok(Some((AUTHORIZATION, basic::authorization(&user, &password)?)));
        }
        let proven = self.unasked(core)?;
        proven.map(|proven| shown(&proven.credential, true)).transpose()
    }

    /// What is known to be right there, and goes along unasked.
    fn unasked(&self, core: &TaskCore) -> Result<Option<Arc<unasked::Proven>>> {
        let url = self.request(core).check()?;
        // Who has a redirect lose its credentials does not want them back unasked.
        let may_know = self.redirects == 0 || !core.context.configuration.strip_authorization_on_redirect;
        let credentials = core.context.stores()?.credentials.as_ref().filter(|_| may_know);
        let proven = credentials.and_then(|store| store.unasked(url));
        // Who is to be somebody else here is not taken for the one who was here last.
        let is_wanted = |proven: &Arc<unasked::Proven>| match self.named_credentials(url, core).next() {
            Some(named) => is_same(&named, &proven.credential),
            None => true,
        };
        Ok(proven.filter(is_wanted))
    }

    /// The same, of the request that is about to be sent.
    pub(super) fn user_sent(&self) -> Result<Option<(HeaderName, HeaderValue)>> {
        let attempt = self.attempt_under_way().filter(|attempt| attempt.is_sent());
        attempt.map(|attempt| attempt.user(true)).transpose()
    }

    fn attempt_under_way(&self) -> Option<&Attempt> {
        self.authentication.as_ref()?.attempt.as_ref()
    }

    /// What the request went out with stays behind.
    pub(super) fn forget_attempt(&mut self) {
        if let Some(state) = self.authentication.as_mut() {
            state.attempt = None;
        }
    }

    /// Remembers what the request goes out with.
    fn goes_out_with(&mut self, mut attempt: Attempt, authorization: Option<Authorization>) -> Authorization {
        attempt.sent = authorization.is_some();
        self.authentication.get_or_insert_default().attempt = Some(attempt);
        authorization.unwrap_or(Authorization::Nothing)
    }

    /// The signature of a scheme that signs whatever goes to this place.
    fn signature(&mut self, core: &Arc<TaskCore>) -> Result<Authorization> {
        let schemes = core.context.configuration.get_authentication_schemes();
        if schemes.is_empty() {
            return Ok(Authorization::Nothing);
        }
        let url = self.request(core).check()?;
        for scheme in schemes {
            let space = space_of(url, authentication::method(scheme.name()));
            if !contained(|| Ok(scheme.signs_every_request(&space)))? {
                continue;
            }
            let credential = self.known_credentials(&space, core)?.into_iter().next();
            let exchange = begin(scheme, &space, credential.as_ref())?;
            let means = Means::Scheme { scheme: Arc::clone(scheme), exchange, next: None };
            let mut attempt = Attempt::new(space, credential, means);
            let authorization = self.put_into_words(&mut attempt, core)?;
            return Ok(self.goes_out_with(attempt, authorization));
        }
        Ok(Authorization::Nothing)
    }

    /// What an attempt puts into the next message. `None` if it gives up.
    fn put_into_words(&self, attempt: &mut Attempt, core: &Arc<TaskCore>) -> Result<Option<Authorization>> {
        let request = self.request(core);
        match &mut attempt.means {
            Means::Value(value) => Ok(Some(Authorization::Value(value.clone()))),
            Means::Digest { session, proof, .. } => {
                let url = request.check()?;
                let target = &url[Position::BeforePath..Position::AfterQuery];
                let body = hashed(session, request);
                let answer = session.authorize(request.get_method().as_str(), target, body.as_deref());
                Ok(answer.map(|answer| {
                    *proof = Some(answer.proof);
                    Authorization::Value(answer.value)
                }))
            }
            Means::Scheme { scheme, exchange, next } => {
                let headers = match next.take() {
                    Some(headers) => headers,
                    None => {
                        // It is signed again, or what its messages were bound to is gone.
                        if attempt.sent {
                            *exchange = begin(scheme, &attempt.space, attempt.credential.as_ref())?;
                        }
                        match respond(exchange.as_mut(), None, request, core)? {
                            AuthenticationStep::Send(headers) => headers,
                            AuthenticationStep::GiveUp => return Ok(None),
                        }
                    }
                };
                Ok(Some(Authorization::Headers(scheme.name().to_owned(), headers)))
            }
        }
    }

    /// An answer to what a server offers. `None` if there is none to be made of the credential.
    pub(super) fn attempt(
        &self,
        offered: &Offered,
        credential: Option<Credential>,
        core: &Arc<TaskCore>,
    ) -> Result<Option<Attempt>> {
        let request = self.request(core);
        let password = || Some((credential.as_ref()?.user()?, credential.as_ref()?.password()?));
        let means = match &offered.offer.scheme {
            Scheme::Own(_) => {
                let Some(scheme) = &offered.scheme else { return Ok(None) };
                let challenge = Some(&*offered.offer.challenge.rest);
                let mut exchange = begin(scheme, &offered.space, credential.as_ref())?;
                match respond(exchange.as_mut(), challenge, request, core)? {
                    AuthenticationStep::Send(headers) => {
                        Means::Scheme { scheme: Arc::clone(scheme), exchange, next: Some(headers) }
                    }
                    AuthenticationStep::GiveUp => return Ok(None),
                }
            }
            Scheme::Basic => {
                let Some((user, password)) = password() else { return Ok(None) };
                Means::Value(basic::authorization(user, password)?)
            }
            Scheme::Bearer => {
                let Some(token) = credential.as_ref().and_then(Credential::bearer_token) else {
                    return Ok(None);
                };
                Means::Value(bearer::authorization(token)?)
            }
            Scheme::Digest(challenge) => {
                let Some(session) = self.digest_session(offered, challenge, credential.as_ref(), core)?
                else {
                    return Ok(None);
                };
                if session.needs_body() && in_memory(request).is_none() {
                    log::debug!("task {}: the digest of a body that is not in memory is not made", core.id);
                    return Ok(None);
                }
                let paths = challenge.paths(request.check()?);
                Means::Digest { session, paths, proof: None }
            }
        };
        Ok(Some(Attempt::new(offered.space.clone(), credential, means)))
    }

    /// The one that other tasks use too, where credentials are kept.
    fn digest_session(
        &self,
        offered: &Offered,
        challenge: &DigestChallenge,
        credential: Option<&Credential>,
        core: &Arc<TaskCore>,
    ) -> Result<Option<Arc<DigestSession>>> {
        let Some(credential) = credential else { return Ok(None) };
        if let Some(store) = &core.context.stores()?.credentials {
            return store.digest_session(&offered.space, credential, challenge);
        }
        let (Some(user), Some(password), Some(nonce)) =
            (credential.user(), credential.password(), client_nonce())
        else {
            return Ok(None);
        };
        DigestSession::new(challenge, user, password, nonce).map(|session| Some(Arc::new(session)))
    }

    /// Whether there is another message to a server that was not content with the last one: a scheme has
    /// more to say, or a nonce was too old.
    pub(super) fn answer_again(
        &self,
        attempt: &mut Attempt,
        offer: &Offer,
        core: &Arc<TaskCore>,
    ) -> Result<bool> {
        match (&mut attempt.means, &offer.scheme) {
            (Means::Digest { session, paths, proof }, Scheme::Digest(challenge)) => {
                // Servers that have forgotten a nonce do not always say that it is that. When it was sent
                // unasked, it is more likely than that the password has changed.
                let is_forgotten =
                    attempt.known && proof.as_ref().is_some_and(|proof| !proof.is_for(challenge));
                let again = session.renew(challenge) && (challenge.is_stale() || is_forgotten);
                if again {
                    *paths = challenge.paths(self.request(core).check()?);
                    attempt.known = false;
                }
                Ok(again)
            }
            (Means::Scheme { exchange, next, .. }, Scheme::Own(_)) => {
                let challenge: &AuthChallenge = &offer.challenge;
                match respond(exchange.as_mut(), Some(&challenge.rest), self.request(core), core)? {
                    AuthenticationStep::Send(headers) => {
                        *next = Some(headers);
                        Ok(true)
                    }
                    AuthenticationStep::GiveUp => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }

    /// The credentials that are known for a space, the most particular first.
    pub(super) fn known_credentials(
        &self,
        space: &ProtectionSpace,
        core: &Arc<TaskCore>,
    ) -> Result<Vec<Credential>> {
        let request = self.request(core);
        let url = request.check()?;
        let mut known = Vec::new();
        if let Some((user, password)) = credentials_for(url, &core.context.configuration) {
            known.push(Credential::new(user, password, Persistence::None));
        }
        known.extend(self.named_credentials(url, core));
        if let Some(store) = &core.context.stores()?.credentials {
            known.extend(store.default_credential(space));
        }
        known.retain(|credential| fits(credential, space.authentication_method()));
        Ok(known)
    }

    /// The URL that the credential of the request is for.
    pub(super) fn credential_url<'a>(&'a self, core: &'a TaskCore) -> Option<&'a Url> {
        self.credential_url.as_ref().or(core.original.get_url())
    }

    /// A delegate sends the task on with another request. A credential that it adds is for where that goes.
    pub(super) fn note_credential(&mut self, request: &Request, core: &TaskCore) {
        if request.credential.is_some() && request.credential != self.request(core).credential {
            self.credential_url = request.get_url().cloned();
        }
    }

    /// Those that request and configuration have for a URL.
    fn named_credentials<'a>(
        &'a self,
        url: &'a Url,
        core: &'a TaskCore,
    ) -> impl Iterator<Item = Credential> + use<'a> {
        let own =
            self.request(core).credential.iter().filter(|_| is_still_for(self.credential_url(core), url));
        let netrc = || netrc_credential(url, &core.context.configuration);
        own.map(|own| Credential::clone(own)).chain(std::iter::once_with(netrc).flatten())
    }

    /// What was accepted is kept, as long as the credential says.
    pub(super) fn remember(&self, attempt: &Attempt, core: &Arc<TaskCore>) -> Result<()> {
        let (Some(credential), Some(store)) = (&attempt.credential, &core.context.stores()?.credentials)
        else {
            return Ok(());
        };
        if attempt.known {
            return Ok(());
        }
        let url = self.request(core).check()?;
        let (means, paths) = match &attempt.means {
            Means::Value(value) => {
                (unasked::Means::Value(value.clone()), vec![basic::directory(url.path()).to_owned()])
            }
            Means::Digest { session, paths, .. } => {
                (unasked::Means::Digest(Arc::clone(session)), paths.clone())
            }
            Means::Scheme { .. } => {
                store.set(&attempt.space, credential.clone());
                return Ok(());
            }
        };
        store.succeeded(&attempt.space, credential, means, url, paths);
        Ok(())
    }
}

/// What a server offers, and for what.
pub(super) struct Offered {
    pub(super) space: ProtectionSpace,
    pub(super) offer: Offer,
    /// The scheme of the program's, if it is one of those.
    pub(super) scheme: Option<Arc<dyn AuthenticationScheme>>,
}

impl Offered {
    pub(super) fn new(offer: Offer, url: &Url, schemes: &[Arc<dyn AuthenticationScheme>]) -> Self {
        let scheme = match offer.scheme {
            Scheme::Own(at) => schemes.get(at).cloned(),
            _ => None,
        };
        let mut space = space_of(url, authentication::method(&offer.challenge.scheme));
        if let Some(realm) = offer.realm() {
            space = space.with_realm(realm);
        }
        Offered { space, offer, scheme }
    }
}

/// Whether two credentials show the same, however long they are kept.
pub(super) fn is_same(one: &Credential, other: &Credential) -> bool {
    let shown = |credential: &Credential| {
        let parts = [credential.user(), credential.password(), credential.bearer_token()];
        parts.map(|part| part.map(str::to_owned))
    };
    shown(one) == shown(other)
}

/// Whether a credential is of use for a method.
pub(super) fn fits(credential: &Credential, method: &AuthenticationMethod) -> bool {
    use AuthenticationMethod::*;
    match method {
        Basic | Digest => credential.password().is_some(),
        Bearer => credential.bearer_token().is_some(),
        Ntlm | Negotiate | Other(_) => credential.password().is_some() || credential.bearer_token().is_some(),
        ServerTrust | ClientCertificate => false,
    }
}

/// User name and password of the URL, which are not sent in the request line (RFC 3986, section 3.2.1).
pub(super) fn url_credentials(url: &Url) -> Option<(String, String)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text| String::from_utf8_lossy(&percent_decoded(text)).into_owned();
    Some((decode(url.username()), decode(url.password().unwrap_or_default())))
}

/// The same, with the password from `.netrc` if the URL has none.
fn credentials_for(url: &Url, configuration: &Configuration) -> Option<(String, String)> {
    let (user, password) = url_credentials(url)?;
    let found = url.password().is_none().then(|| netrc_credential(url, configuration)).flatten();
    let password = found.and_then(|found| found.password().map(str::to_owned)).unwrap_or(password);
    Some((user, password))
}

/// What `.netrc` has for the host, and for the user if the URL names one.
fn netrc_credential(url: &Url, configuration: &Configuration) -> Option<Credential> {
    let user = Some(url.username()).filter(|user| !user.is_empty()).map(percent_decoded);
    let user = user.map(|user| String::from_utf8_lossy(&user).into_owned());
    configuration.get_netrc()?.credential(url.host_str()?, user.as_deref())
}

/// What a credential would be shown as by the plainest means. One that is in a file, and is right, is known by
/// the name of its user, which may be in another file.
fn shown(credential: &Credential, proven: bool) -> Result<(HeaderName, HeaderValue)> {
    let user = credential.user().unwrap_or_default();
    if let (true, Persistence::Permanent, Ok(name)) =
        (proven && !user.is_empty(), credential.persistence(), HeaderValue::from_bytes(user.as_bytes()))
    {
        return Ok((USER, name));
    }
    let value = match credential.bearer_token() {
        Some(token) => bearer::authorization(token)?,
        None => basic::authorization(user, credential.password().unwrap_or_default())?,
    };
    Ok((AUTHORIZATION, value))
}

/// The header that the URL of a request stands for, if it has none of its own.
pub(super) fn url_authorization(request: &Request, url: &Url) -> Result<Option<HeaderValue>> {
    match url_credentials(url) {
        Some((user, password)) if !request.get_headers().contains_key(AUTHORIZATION) => {
            basic::authorization(&user, &password).map(Some)
        }
        _ => Ok(None),
    }
}

fn space_of(url: &Url, method: AuthenticationMethod) -> ProtectionSpace {
    let port = url.port_or_known_default().unwrap_or_default();
    ProtectionSpace::new(url.host_str().unwrap_or_default(), port, url.scheme(), method)
}

fn is_origin_of(space: &ProtectionSpace, url: &Url) -> bool {
    space.protocol() == url.scheme()
        && Some(space.host()) == url.host_str()
        && Some(space.port()) == url.port_or_known_default()
}

/// Whether the credential of a request, which is for one URL, is for another one too that the request has come to.
fn is_still_for(from: Option<&Url>, url: &Url) -> bool {
    from.is_some_and(|from| same_origin(from, url) || is_upgrade(from, url))
}

/// The request that a task has come to, for a task of its own, with the URL that its credential is for. Where that
/// one begins does not say it, so what has been led elsewhere goes without.
pub(super) fn for_another_task(mut request: Request, from: Option<&Url>) -> Request {
    if !request.check().is_ok_and(|url| is_still_for(from, url)) {
        request.credential = None;
    }
    request
}

/// Whether it is the same host, reached by https because it has asked for that.
fn is_upgrade(from: &Url, to: &Url) -> bool {
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    (from.scheme(), to.scheme()) == ("http", "https")
        && from.host() == to.host()
        && (ports.0 == ports.1 || ports == (Some(80), Some(443)))
}

/// The body, if it is in memory or if there is none.
fn in_memory(request: &Request) -> Option<&[u8]> {
    let body = request.get_body();
    body.as_bytes().or_else(|| body.is_absent().then_some(&[][..]))
}

/// The hash of the body, if the session wants one.
fn hashed(session: &DigestSession, request: &Request) -> Option<String> {
    if !session.needs_body() {
        return None;
    }
    let mut hasher = session.body_hasher();
    hasher.update(in_memory(request)?);
    Some(hasher.finish())
}

fn begin(
    scheme: &Arc<dyn AuthenticationScheme>,
    space: &ProtectionSpace,
    credential: Option<&Credential>,
) -> Result<Box<dyn AuthenticationExchange>> {
    contained(|| scheme.begin(space, credential))
}

fn respond(
    exchange: &mut dyn AuthenticationExchange,
    challenge: Option<&str>,
    request: &Request,
    core: &Arc<TaskCore>,
) -> Result<AuthenticationStep> {
    let mut url = request.check()?.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut headers = HeaderMap::new();
    for (name, value) in &core.context.defaults {
        header::append(&mut headers, name.clone(), value.clone())?;
    }
    header::merge(&mut headers, request.get_headers().clone())?;
    let asking = AuthenticatingRequest::new(request.get_method(), &url, &headers, in_memory(request));
    contained(|| exchange.respond(challenge, &asking))
}

/// A scheme is the program's code.
pub(super) fn contained<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    crate::engine::events::contain(run).unwrap_or_else(|| {
        let message = "an authentication scheme of the program's panicked";
        Err(Error::new(ErrorKind::UserAuthenticationRequired, message))
    })
}
