//! The hook, held against the three kinds of scheme that it is for.

use super::*;
use crate::challenge::Persistence;

fn space(method: AuthenticationMethod) -> ProtectionSpace {
    ProtectionSpace::new("example.com", 443, "https", method)
}

fn sent(step: AuthenticationStep, name: HeaderName) -> String {
    let AuthenticationStep::Send(headers) = step else { panic!("it gave up") };
    assert_eq!(headers.len(), 1);
    let value = headers.get(name).expect("the header");
    assert!(value.is_sensitive());
    value.to_str().expect("text").to_owned()
}

/// Three legs on one connection, in the way of NTLM.
struct ThreeLegs;

struct Legs {
    user: String,
    sent: u8,
}

impl AuthenticationScheme for ThreeLegs {
    fn name(&self) -> &str {
        "ntlm"
    }

    fn binds_to_connection(&self) -> bool {
        true
    }

    fn begin(
        &self,
        _: &ProtectionSpace,
        credential: Option<&Credential>,
    ) -> Result<Box<dyn AuthenticationExchange>> {
        let missing = || Error::new(ErrorKind::Unknown, "no credential");
        let user = credential.and_then(Credential::user).ok_or_else(missing)?;
        Ok(Box::new(Legs { user: user.to_owned(), sent: 0 }))
    }
}

impl AuthenticationExchange for Legs {
    fn respond(
        &mut self,
        challenge: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep> {
        self.sent += 1;
        let message = match (self.sent, challenge) {
            (1, None | Some("")) => "negotiate".to_owned(),
            (2, Some(challenge)) => format!("{}+{challenge}", self.user),
            _ => return Ok(AuthenticationStep::GiveUp),
        };
        let value = HeaderValue::try_from(format!("NTLM {message}")).expect("a value");
        Ok(AuthenticationStep::authorize(request, value))
    }
}

#[test]
fn three_legs_on_a_connection() {
    let scheme: Arc<dyn AuthenticationScheme> = Arc::new(ThreeLegs);
    assert!(scheme.binds_to_connection() && !scheme.has_own_credentials());
    assert!(scheme.begin(&space(method(scheme.name())), None).is_err());
    let credential = Credential::new("me", "secret", Persistence::None);
    let mut exchange = scheme.begin(&space(method(scheme.name())), Some(&credential)).expect("begun");
    let (url, headers) = (Url::parse("https://example.com/").expect("a URL"), HeaderMap::new());
    let request = AuthenticatingRequest::new(&Method::GET, &url, &headers, Some(b""));
    let mut leg = |challenge| exchange.respond(challenge, &request).expect("a step");
    assert_eq!(sent(leg(Some("")), AUTHORIZATION), "NTLM negotiate");
    assert_eq!(sent(leg(Some("TlRMTVNTUAAC")), AUTHORIZATION), "NTLM me+TlRMTVNTUAAC");
    // It was refused.
    assert!(matches!(leg(Some("")), AuthenticationStep::GiveUp));
}

/// Token against token, and the server proves who it is in its last answer, in the way of Negotiate.
struct Tickets;

impl AuthenticationScheme for Tickets {
    fn name(&self) -> &str {
        "Negotiate"
    }

    fn has_own_credentials(&self) -> bool {
        true
    }

    fn begin(&self, _: &ProtectionSpace, _: Option<&Credential>) -> Result<Box<dyn AuthenticationExchange>> {
        Ok(Box::new(Tickets))
    }
}

impl AuthenticationExchange for Tickets {
    fn respond(
        &mut self,
        challenge: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep> {
        let value = HeaderValue::try_from(format!("Negotiate YII{}", challenge.unwrap_or_default()));
        Ok(AuthenticationStep::authorize(request, value.expect("a value")))
    }

    fn finish(&mut self, challenge: Option<&str>) -> Result<()> {
        match challenge {
            Some("proof") => Ok(()),
            _ => Err(Error::new(ErrorKind::BadServerResponse, "the server did not prove who it is")),
        }
    }
}

#[test]
fn the_server_proves_itself() {
    let mut exchange = Tickets.begin(&space(AuthenticationMethod::Negotiate), None).expect("begun");
    let (url, headers) = (Url::parse("https://example.com/").expect("a URL"), HeaderMap::new());
    let request = AuthenticatingRequest::new(&Method::GET, &url, &headers, Some(b"")).by_proxy();
    let step = exchange.respond(Some("x="), &request).expect("a step");
    assert_eq!(sent(step, PROXY_AUTHORIZATION), "Negotiate YIIx=");
    assert!(exchange.finish(None).is_err());
    assert!(exchange.finish(Some("proof")).is_ok());
}

/// AWS Signature Version 4, of which only what the example of its documentation needs.
#[cfg(feature = "checksum")]
struct Aws {
    key_id: &'static str,
    secret: &'static str,
    region: &'static str,
    service: &'static str,
    now: &'static str,
}

#[cfg(feature = "checksum")]
impl AuthenticationScheme for Arc<Aws> {
    fn name(&self) -> &str {
        "AWS4-HMAC-SHA256"
    }

    fn signs_every_request(&self, space: &ProtectionSpace) -> bool {
        space.host().ends_with(".amazonaws.com")
    }

    fn has_own_credentials(&self) -> bool {
        true
    }

    fn begin(&self, _: &ProtectionSpace, _: Option<&Credential>) -> Result<Box<dyn AuthenticationExchange>> {
        Ok(Box::new(Arc::clone(self)))
    }
}

#[cfg(feature = "checksum")]
impl AuthenticationExchange for Arc<Aws> {
    fn respond(
        &mut self,
        _: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep> {
        use crate::checksum::{Checksum, ChecksumAlgorithm};
        use ring::hmac;

        let hash = |bytes: &[u8]| Checksum::of(ChecksumAlgorithm::Sha256, bytes).to_string();
        let mac = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();

        let Some(body) = request.body() else { return Ok(AuthenticationStep::GiveUp) };
        let host = request.url().host_str().unwrap_or_default();
        let mut signed = vec![("host", host.to_owned()), ("x-amz-date", self.now.to_owned())];
        if let Some(value) = request.headers().get("content-type") {
            signed.insert(0, ("content-type", value.to_str().expect("text").to_owned()));
        }
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            request.method(),
            request.url().path(),
            request.url().query().unwrap_or_default(),
            hash(body)
        );
        let day = self.now.get(..8).expect("a date");
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("{}\n{}\n{scope}\n{}", self.name(), self.now, hash(canonical.as_bytes()));
        let key = mac(format!("AWS4{}", self.secret).as_bytes(), day);
        let key = [self.region, self.service, "aws4_request"].iter().fold(key, |key, part| mac(&key, part));
        let value = format!(
            "{} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.name(),
            self.key_id,
            hex(&mac(&key, &text))
        );
        let step = AuthenticationStep::authorize(request, HeaderValue::try_from(value).expect("a value"));
        let AuthenticationStep::Send(mut headers) = step else { return Ok(step) };
        headers.insert("x-amz-date", HeaderValue::from_static(self.now));
        Ok(AuthenticationStep::Send(headers))
    }
}

/// The signature is that of the worked example in "Signature Version 4 signing process" of the AWS
/// General Reference (IAM, ListUsers).
#[cfg(feature = "checksum")]
#[test]
fn a_signature_over_the_whole_request() {
    let scheme = Arc::new(Aws {
        key_id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
        service: "iam",
        now: "20150830T123600Z",
    });
    let at = |host: &str| ProtectionSpace::new(host, 443, "https", method(scheme.name()));
    assert!(scheme.signs_every_request(&at("iam.amazonaws.com")));
    assert!(!scheme.signs_every_request(&at("example.com")));

    let url = Url::parse("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08").expect("a URL");
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
    headers.insert("content-type", form);
    let mut exchange = scheme.begin(&at("iam.amazonaws.com"), None).expect("begun");
    let request = AuthenticatingRequest::new(&Method::GET, &url, &headers, Some(b""));
    let AuthenticationStep::Send(added) = exchange.respond(None, &request).expect("a step") else {
        panic!("it gave up")
    };
    assert_eq!(added["x-amz-date"], "20150830T123600Z");
    assert_eq!(
        added[AUTHORIZATION],
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
    add(&mut headers, scheme.name(), added).expect("room");
    assert_eq!(headers.len(), 3);
    // A body that is not in memory cannot be signed this way.
    let request = AuthenticatingRequest::new(&Method::PUT, &url, &headers, None);
    assert!(matches!(exchange.respond(None, &request), Ok(AuthenticationStep::GiveUp)));
}

#[test]
fn what_frames_a_message_is_not_for_a_scheme() {
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        let added = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
        let mut headers = HeaderMap::new();
        let error = add(&mut headers, "Odd", added).expect_err("refused");
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        assert!(headers.is_empty());
    }
}

#[test]
fn headers_take_the_place_of_those_of_the_request() {
    let mut headers = HeaderMap::from_iter([
        (AUTHORIZATION, HeaderValue::from_static("old")),
        (CONTENT_LENGTH, HeaderValue::from_static("0")),
    ]);
    let added = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("new"))]);
    add(&mut headers, "x", added).expect("room");
    assert_eq!(headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["new"]);
    assert!(headers[AUTHORIZATION].is_sensitive());
}

#[test]
fn schemes_by_their_names() {
    assert_eq!(method("ntlm"), AuthenticationMethod::Ntlm);
    assert_eq!(method("NEGOTIATE"), AuthenticationMethod::Negotiate);
    assert_eq!(method("digest"), AuthenticationMethod::Digest);
    assert_eq!(method("HOBA"), AuthenticationMethod::Other("HOBA".into()));
}

#[test]
fn nothing_secret_is_printed() {
    let url = Url::parse("https://me:hidden@example.com/?hidden").expect("a URL");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("hidden"))]);
    let request = AuthenticatingRequest::new(&Method::GET, &url, &headers, Some(b"hidden"));
    let token =
        HeaderMap::from_iter([("x-token".parse().expect("a name"), HeaderValue::from_static("hidden"))]);
    let step = AuthenticationStep::Send(token);
    for text in [format!("{request:?}"), format!("{step:?}")] {
        assert!(!text.contains("hidden"), "{text}");
    }
}
