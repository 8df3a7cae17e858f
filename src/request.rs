//! A request: what a task is to ask for. A plain value that knows nothing of tasks; making one
//! never fails, what is malformed is kept and becomes the error of the task.

mod cookies;
mod target;

use crate::body::{Body, Multipart};
use crate::challenge::Credential;
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::header::{self, quoted};
use crate::proto::auth::{basic, bearer};
use crate::proto::caching::CachePolicy;
use crate::retry::RetryPolicy;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::time::Duration;
pub use target::IntoUrl;
use url::Url;
use url::form_urlencoded;

/// What a task is to ask for: `URLRequest`.
///
/// Methods that change a request take and give it back, and have the plain name; what has been set
/// is read by the same name behind `get_`.
///
/// Nothing here fails, except [`json`](Request::json). A malformed URL or header is remembered,
/// and is the error of the task that is given the request; [`check`](Request::check) tells it
/// sooner.
///
/// Wherever a request is wanted, a URL in any form will do for a GET.
///
/// ```
/// use std::time::Duration;
/// use urlsession::Request;
///
/// let request = Request::post("https://api.example.com/items")
///     .header("x-api-key", "1234")
///     .query("page", 2)
///     .body("hello")
///     .timeout(Duration::from_secs(10));
/// assert_eq!(request.get_url().unwrap().as_str(), "https://api.example.com/items?page=2");
///
/// let error = Request::get("example.com").check().unwrap_err();
/// assert!(error.to_string().contains("did you mean `https://example.com`?"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Request {
    pub(crate) method: Method,
    /// Apart from other errors, because another URL puts it right.
    pub(crate) url: Result<Url>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Duration>,
    pub(crate) resource_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) redirect_limit: Option<u32>,
    pub(crate) expect_continue: bool,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) verify_digest: bool,
    pub(crate) cache_policy: Option<CachePolicy>,
    pub(crate) resumable_upload: bool,
    pub(crate) credential: Option<Box<Credential>>,
    pub(crate) handle_cookies: bool,
    pub(crate) main_document_url: Option<Box<Url>>,
    pub(crate) allow_cleartext: bool,
    /// The first thing that was wrong, except with the URL.
    error: Option<Error>,
}

macro_rules! constructors {
    ($($name:ident, $method:ident;)*) => { $(
        #[doc = concat!("A ", stringify!($method), " request.")]
        pub fn $name(url: impl IntoUrl) -> Self {
            Request::with(Method::$method, url.into_url())
        }
    )* };
}

impl Request {
    constructors! {
        get, GET;
        head, HEAD;
        post, POST;
        put, PUT;
        patch, PATCH;
        delete, DELETE;
        options, OPTIONS;
    }

    /// A request of any method, see [`method`](Request::method).
    pub fn new(method: impl AsRef<str>, url: impl IntoUrl) -> Self {
        Request::with(Method::GET, url.into_url()).method(method)
    }

    fn with(method: Method, url: Result<Url>) -> Self {
        Request {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::empty(),
            timeout: None,
            resource_timeout: None,
            connect_timeout: None,
            redirect_limit: None,
            expect_continue: false,
            retry: None,
            verify_digest: false,
            cache_policy: None,
            resumable_upload: false,
            credential: None,
            handle_cookies: true,
            main_document_url: None,
            allow_cleartext: false,
            error: None,
        }
    }

    /// What is wrong with the request, if something is: the error a task made of it would have.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadUrl`] for what is malformed, [`ErrorKind::UnsupportedUrl`] for a scheme
    /// that nothing loads but a [`Protocol`](crate::Protocol) of the program's own, if it has one.
    pub fn check(&self) -> Result<&Url> {
        let url = self.well_formed()?;
        target::loadable(url)?;
        Ok(url)
    }

    /// What is wrong with the request, whoever loads it.
    pub(crate) fn well_formed(&self) -> Result<&Url> {
        let url = self.url.as_ref().map_err(Error::clone)?;
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        Ok(url)
    }

    /// Sets the method. `httpMethod`.
    ///
    /// As in URLSession, `GET`, `HEAD`, `POST`, `PUT`, `DELETE` and `CONNECT` are put into upper
    /// case; another method stays as it is written (`patch` is not `PATCH`).
    pub fn method(self, method: impl AsRef<str>) -> Self {
        let text = method.as_ref();
        self.attempt(|request| {
            request.method = normalised(text)?;
            Ok(())
        })
    }

    /// Sets the URL. Whatever was wrong with the one before is forgotten.
    pub fn url(mut self, url: impl IntoUrl) -> Self {
        self.url = url.into_url();
        self
    }

    /// Adds a parameter to the query of the URL, encoded as forms are: a space becomes `+`.
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let request = Request::get("https://example.com/?a=1").query("b c", "ü&").query("d", 2.5);
    /// assert_eq!(request.get_url().unwrap().query(), Some("a=1&b+c=%C3%BC%26&d=2.5"));
    /// ```
    pub fn query(mut self, name: impl AsRef<str>, value: impl Display) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name.as_ref(), &value.to_string());
        }
        self
    }

    /// Sets a header, in place of all of that name. `setValue(_:forHTTPHeaderField:)`.
    ///
    /// A value with CR, LF, NUL or another control character is malformed: it could bring another
    /// header with it. The values of `Authorization`, `Proxy-Authorization` and cookies are never
    /// printed. `Accept-Encoding` set here is sent as it is, and then nothing is decoded
    /// automatically.
    ///
    /// ```
    /// use urlsession::{Request, http};
    ///
    /// let request = Request::get("https://example.com/")
    ///     .header("X-Limit", 5)
    ///     .header(http::header::ACCEPT, "text/plain".to_string());
    /// assert_eq!(request.get_headers()["x-limit"], "5");
    ///
    /// let request = request.header("x-name", "a\r\nx-admin: 1");
    /// assert!(request.check().unwrap_err().to_string().contains("`x-name`"));
    /// ```
    pub fn header<V>(self, name: impl AsRef<[u8]>, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        self.attempt(|request| {
            let (name, value) = header::field(name.as_ref(), value)?;
            header::insert(&mut request.headers, name, value)
        })
    }

    /// Adds a header to those of the same name. `addValue(_:forHTTPHeaderField:)`.
    pub fn add_header<V>(self, name: impl AsRef<[u8]>, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        self.attempt(|request| {
            let (name, value) = header::field(name.as_ref(), value)?;
            header::append(&mut request.headers, name, value)
        })
    }

    /// Takes away every header of a name.
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.headers.remove(name.as_ref());
        self
    }

    /// Sets many headers, each in place of all of its name.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.attempt(|request| header::merge(&mut request.headers, headers))
    }

    /// Sets `User-Agent`, in place of the configuration's.
    pub fn user_agent<V>(self, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        self.header(USER_AGENT, value)
    }

    /// Sets `Authorization` to a bearer token (RFC 6750).
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.authorization(bearer::authorization(token.as_ref()))
    }

    /// Sets `Authorization` to a user name and password, in UTF-8 (RFC 7617).
    ///
    /// It is sent with the first request, unasked. A user name with a colon is malformed.
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let request = Request::get("https://example.com/").basic_auth("Aladdin", "open sesame");
    /// assert_eq!(request.get_headers()["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    /// assert!(!format!("{request:?}").contains("QWxh"));
    /// ```
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.authorization(basic::authorization(user.as_ref(), password.as_ref()))
    }

    /// Sets what is answered to a server that asks who we are, by whatever method it asks, unless the
    /// delegate knows better. It is for the origin of the request, and not for those that redirects lead
    /// to. Nothing is sent unasked, other than with [`basic_auth`](Request::basic_auth) and with
    /// credentials in the URL.
    ///
    /// ```
    /// use urlsession::{Credential, Persistence, Request};
    ///
    /// let credential = Credential::new("me", "secret", Persistence::ForSession);
    /// let request = Request::get("https://example.com/private").credential(credential);
    /// assert!(request.get_header("authorization").is_none());
    /// ```
    pub fn credential(mut self, credential: impl Into<Option<Credential>>) -> Self {
        self.credential = credential.into().map(Box::new);
        self
    }

    /// Sets the body. `httpBody`. No `Content-Type` is added to it.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to the fields of a form, and `Content-Type` to
    /// `application/x-www-form-urlencoded`, unless there is one.
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let request = Request::post("https://example.com/").form([("name", "Ü & I"), ("b", "2")]);
    /// assert_eq!(request.get_body().as_bytes(), Some(b"name=%C3%9C+%26+I&b=2".as_slice()));
    /// ```
    pub fn form<I, K, V>(self, fields: I) -> Self
    where
        I: IntoIterator,
        I::Item: Borrow<(K, V)>,
        K: AsRef<str>,
        V: Display,
    {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for field in fields {
            let (name, value) = field.borrow();
            form.append_pair(name.as_ref(), &value.to_string());
        }
        self.content_type("application/x-www-form-urlencoded").body(form.finish())
    }

    /// Sets the body to a form with files, and `Content-Type` to `multipart/form-data` with its
    /// boundary (RFC 7578), whatever it was.
    ///
    /// ```
    /// use urlsession::{Multipart, Request};
    ///
    /// let form = Multipart::new().text("title", "Holidays").file("picture", "beach.jpg");
    /// let request = Request::post("https://example.com/pictures").multipart(form);
    /// assert!(request.get_header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
    /// ```
    pub fn multipart(self, form: Multipart) -> Self {
        self.attempt(|request| {
            let value = form.content_type()?;
            header::insert(&mut request.headers, CONTENT_TYPE, value)?;
            request.body = form.into();
            Ok(())
        })
    }

    /// Sets the body to a value as JSON, and `Content-Type` to `application/json`, unless there is
    /// one.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use urlsession::Request;
    ///
    /// let item = BTreeMap::from([("id", 1)]);
    /// let request = Request::post("https://example.com/").json(&item)?;
    /// assert_eq!(request.get_body().as_bytes(), Some(br#"{"id":1}"#.as_slice()));
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadUrl`] if the value has no form in JSON, such as a map whose keys are no
    /// strings.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let json = serde_json::to_vec(value).map_err(|error| {
            let message = format!("the body of type {} has no form in JSON", std::any::type_name::<T>());
            Error::new(ErrorKind::BadUrl, message).with_source(error)
        })?;
        Ok(self.content_type("application/json").body(json))
    }

    /// Sets how long nothing may arrive or be sent: `timeoutInterval`.
    ///
    /// It covers resolving, connecting and waiting for the response, and starts anew whenever data
    /// moves, so it does not limit how long a large body takes. Set here, it goes before
    /// [`Configuration::timeout_for_request`](crate::Configuration::timeout_for_request), also if
    /// it is the default's 60 s. [`Duration::MAX`] is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long the whole task may take, over redirects and retries, in place of
    /// [`Configuration::timeout_for_resource`](crate::Configuration::timeout_for_resource).
    pub fn resource_timeout(mut self, timeout: Duration) -> Self {
        self.resource_timeout = Some(timeout);
        self
    }

    /// Sets how long making a connection may take, in place of
    /// [`Configuration::connect_timeout`](crate::Configuration::connect_timeout).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets how many redirects are followed, in place of
    /// [`Configuration::redirect_limit`](crate::Configuration::redirect_limit).
    pub fn redirect_limit(mut self, limit: u32) -> Self {
        self.redirect_limit = Some(limit);
        self
    }

    /// Sets whether the body is held back until the server asks for it (`Expect: 100-continue`,
    /// RFC 9110 section 10.1.1). Off unless set.
    pub fn expect_continue(mut self, expect: bool) -> Self {
        self.expect_continue = expect;
        self
    }

    /// Sets whether the body of the response is held to what the response says of it in `Content-Digest`
    /// and `Repr-Digest` (RFC 9530), if it does. Off unless set; a download has
    /// [`DownloadRequest::verify_digest`](crate::DownloadRequest::verify_digest).
    ///
    /// A body that has another checksum is
    /// [`ErrorKind::ChecksumMismatch`](crate::ErrorKind::ChecksumMismatch), which a reader gets in place of
    /// the end of the body. Servers that do not send these fields by themselves may do so when asked:
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let request = Request::get("https://example.com/").header("want-content-digest", "sha-256=9");
    /// let request = request.verify_digest(true);
    /// ```
    #[cfg(feature = "checksum")]
    pub fn verify_digest(mut self, verify: bool) -> Self {
        self.verify_digest = verify;
        self
    }

    /// Sets how the request uses the cache, in place of
    /// [`Configuration::cache_policy`](crate::Configuration::cache_policy). `cachePolicy`.
    pub fn cache_policy(mut self, policy: CachePolicy) -> Self {
        self.cache_policy = Some(policy);
        self
    }

    /// What [`cache_policy`](Request::cache_policy) has set.
    pub fn get_cache_policy(&self) -> Option<CachePolicy> {
        self.cache_policy
    }

    /// Sets how often the request is tried again if it fails, in place of
    /// [`Configuration::retry`](crate::Configuration::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Sets whether the body is sent as a resumable upload
    /// (draft-ietf-httpbis-resumable-upload): one that goes on where it was when its connection is
    /// lost. Off unless set, since the headers that offer it surprise some servers; those that do not
    /// know it take the request as an ordinary one, and so does a request without a body.
    ///
    /// It is interop version 8 of the draft (drafts -09 to -11), since that is what clients of Apple's
    /// send, and what servers in use answer to. From draft -12 on it is version 9, which still changes;
    /// sides of different versions have to ignore each other, and the upload is an ordinary one then.
    ///
    /// After a lost connection or a status of 5xx the server is asked how much it has, and the rest is
    /// sent from there: at once the first time, then after the pauses of the
    /// [`RetryPolicy`], or of its default if there is none, or when `Retry-After` says. After six
    /// attempts in a row that brought nothing the task fails. Its error has
    /// [resume data](crate::Error::resume_data) then, as it has when the idle timeout has passed: that
    /// is taken for a lost connection only if there is a retry policy.
    ///
    /// A body that can be sent again is opened again. One that cannot, and of which more was used than
    /// the server has, is asked of the delegate
    /// ([`need_new_body_stream_from`](crate::Delegate::need_new_body_stream_from)).
    ///
    /// The response is the one that completed the upload, so its URL may be that of the upload
    /// resource, and a redirect is not followed then. If that response was lost, the one that says that
    /// the upload is complete takes its place: 204, without a body. Cancelling the task sends nothing,
    /// and leaves what was uploaded with the server, which removes it in its own time.
    ///
    /// ```
    /// use urlsession::{Request, Session};
    ///
    /// // Nobody listens at this port, so nobody has anything of it yet.
    /// let request = Request::post("http://127.0.0.1:1/videos").resumable_upload(true);
    /// assert!(request.get_resumable_upload());
    /// let error = Session::shared().upload_task(request, "the video").wait().unwrap_err();
    /// assert!(error.resume_data().is_none());
    /// ```
    pub fn resumable_upload(mut self, resumable: bool) -> Self {
        self.resumable_upload = resumable;
        self
    }

    /// Sets whether the request may go out in cleartext to any host, and be led there by redirects, whatever
    /// [`TransportSecurity`](crate::TransportSecurity) says. Off unless set. A host that has asked for https is
    /// asked by https all the same.
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let request = Request::get("http://example.com/").allow_cleartext(true);
    /// assert!(request.get_allow_cleartext());
    /// ```
    pub fn allow_cleartext(mut self, allow: bool) -> Self {
        self.allow_cleartext = allow;
        self
    }

    fn authorization(self, value: Result<HeaderValue>) -> Self {
        self.attempt(|request| header::insert(&mut request.headers, AUTHORIZATION, value?))
    }

    fn content_type(self, value: &'static str) -> Self {
        if self.headers.contains_key(CONTENT_TYPE) {
            return self;
        }
        self.attempt(|request| {
            header::insert(&mut request.headers, CONTENT_TYPE, HeaderValue::from_static(value))
        })
    }

    /// Does something that can go wrong, and keeps the first error.
    fn attempt(mut self, change: impl FnOnce(&mut Self) -> Result<()>) -> Self {
        if let Err(error) = change(&mut self) {
            self.error.get_or_insert(error);
        }
        self
    }
}

/// What has been set.
impl Request {
    /// The method.
    pub fn get_method(&self) -> &Method {
        &self.method
    }

    /// The URL; `None` if what was given is none, which [`check`](Request::check) tells about.
    pub fn get_url(&self) -> Option<&Url> {
        self.url.as_ref().ok()
    }

    /// The headers. `allHTTPHeaderFields`. Those of the configuration come to them later.
    pub fn get_headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a header, if it is valid UTF-8. `value(forHTTPHeaderField:)`.
    pub fn get_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    /// The body.
    pub fn get_body(&self) -> &Body {
        &self.body
    }

    /// The idle timeout, if one was set for this request.
    pub fn get_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The limit for the whole task, if one was set for this request.
    pub fn get_resource_timeout(&self) -> Option<Duration> {
        self.resource_timeout
    }

    /// The limit for making a connection, if one was set for this request.
    pub fn get_connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// The limit of redirects, if one was set for this request.
    pub fn get_redirect_limit(&self) -> Option<u32> {
        self.redirect_limit
    }

    /// Whether the body is held back until the server asks for it.
    pub fn get_expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// Whether the body is sent as a resumable upload.
    pub fn get_resumable_upload(&self) -> bool {
        self.resumable_upload
    }

    /// Whether the request may go out in cleartext to any host.
    pub fn get_allow_cleartext(&self) -> bool {
        self.allow_cleartext
    }
}

impl fmt::Debug for Request {
    /// Without what is secret: authorization, cookies, body, and the URL's user name, password
    /// and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method);
        match &self.url {
            // What is behind the scheme here may be anything.
            Ok(url) if url.cannot_be_a_base() => shown.field("url", &format_args!("{}:…", url.scheme())),
            Ok(url) => shown.field("url", &redacted(url).as_str()),
            Err(error) => shown.field("url", error),
        };
        shown
            .field("headers", &header::Shown(&self.headers))
            .field("body", &self.body)
            .field("timeout", &self.timeout)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl From<&Request> for Request {
    fn from(request: &Request) -> Self {
        request.clone()
    }
}

impl From<Result<Request>> for Request {
    /// A request that could not be made is one that a task fails with, so that
    /// [`json`](Request::json) needs no `?`.
    fn from(result: Result<Request>) -> Self {
        result.unwrap_or_else(|error| Request::with(Method::GET, Err(error)))
    }
}

impl<B: Into<Body>> From<http::Request<B>> for Request {
    /// Method, URL, headers and body; the version and extensions mean nothing here.
    fn from(request: http::Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        Request::new(parts.method, &parts.uri).headers(parts.headers).body(body)
    }
}

fn normalised(text: &str) -> Result<Method> {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::CONNECT];
    if let Some(method) = known.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text)) {
        return Ok(method);
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| {
        Error::new(ErrorKind::BadUrl, format!("{} is not a method: letters, digits and - are", quoted(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const URL: &str = "https://example.com/";

    #[cfg(feature = "tls")]
    fn message(request: Request) -> String {
        request.check().expect_err("malformed").to_string()
    }

    #[test]
    fn methods_are_normalised_as_in_urlsession() {
        for (given, sent) in [("get", "GET"), ("Post", "POST"), ("cOnnect", "CONNECT"), ("patch", "patch")] {
            assert_eq!(Request::new(given, URL).get_method().as_str(), sent);
        }
        assert_eq!(Request::new(Method::PATCH, URL).get_method(), Method::PATCH);
        assert_eq!(Request::delete(URL).get_method(), Method::DELETE);
        assert_eq!(Request::get(URL).method("options").get_method().as_str(), "options");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn what_is_malformed_is_reported_when_asked() {
        assert!(message(Request::new("a b", URL)).starts_with("`a b` is not a method"));
        assert!(message(Request::new("GET / HTTP/1.1\r\nx: y", URL)).contains(r"\r\n"));
        assert!(message(Request::get(URL).header("a b", "c")).contains("`a b` is not a header name"));
        assert!(message(Request::get(URL).basic_auth("a:b", "c")).contains("colon"));
        // The first error stays, but the URL can be put right.
        let request = Request::get("nothing").header("a", "\n").header("b", "\n");
        assert!(message(request.clone()).contains("`nothing`"));
        assert!(message(request.url(URL)).contains("`a`"));
        assert!(Request::get("nothing").url(URL).check().is_ok());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn whatever_names_a_url_is_a_request() {
        let url = Url::parse(URL).expect("a URL");
        let text = URL.to_owned();
        let http = http::Request::put(URL).header("a", "b").body("c").expect("a request");
        for request in [
            Request::from(URL),
            Request::from(&text),
            Request::from(text.clone()),
            Request::from(&url),
            Request::from(url.join("")),
            Request::from(&Request::get(URL)),
            Request::from(Ok(Request::get(URL))),
            Request::from(http::Uri::from_static(URL)),
            Request::from(http),
        ] {
            assert_eq!(request.check().expect("a URL").as_str(), URL);
        }
        assert!(message(Request::from(Url::parse("http://["))).contains("not a URL"));
        let relative = http::Request::get("/path").body(()).expect("a request");
        assert!(message(relative.into()).contains("`/path` is relative"));
    }

    #[test]
    fn an_http_request_is_taken_over() {
        let http = http::Request::patch(URL)
            .header("a", "1")
            .header("a", "2")
            .header("authorization", "secret")
            .body(vec![1, 2, 3])
            .expect("a request");
        let request = Request::from(http);
        assert_eq!(request.get_method(), Method::PATCH);
        assert_eq!(request.get_headers().get_all("a").iter().count(), 2);
        assert_eq!(request.get_body().len(), Some(3));
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[test]
    fn headers_are_set_added_and_removed() {
        let request = Request::get(URL).header("a", "1").header("A", "2").add_header("a", 3).header("b", "1");
        let values: Vec<_> = request.get_headers().get_all("a").iter().collect();
        assert_eq!(values, ["2", "3"]);
        let request = request.remove_header("A").remove_header("not a name");
        assert_eq!(request.get_header("a"), None);
        assert_eq!(request.get_header("B"), Some("1"));
    }

    #[test]
    fn forms_say_what_they_are_unless_told() {
        let request = Request::post(URL).form(&BTreeMap::from([("a b".to_owned(), 1), ("c".to_owned(), 2)]));
        assert_eq!(request.get_body().as_bytes(), Some(b"a+b=1&c=2".as_slice()));
        assert_eq!(request.get_header("content-type"), Some("application/x-www-form-urlencoded"));
        let request = Request::post(URL).header("content-type", "x/y").form([("a", "b")]);
        assert_eq!(request.get_header("content-type"), Some("x/y"));
        assert_eq!(Request::post(URL).body("x").get_header("content-type"), None);
    }

    #[cfg(feature = "json")]
    #[test]
    fn what_has_no_json_is_an_error() {
        let value = BTreeMap::from([(vec![1], 1)]);
        let error = Request::post(URL).json(&value).expect_err("no JSON");
        assert!(error.to_string().contains("key must be a string"), "{error}");
        assert!(Request::from(Request::post(URL).json(&value)).check().is_err());
    }

    #[test]
    fn timeouts_that_were_set_differ_from_defaults() {
        let minute = Duration::from_secs(60);
        assert_eq!(Request::get(URL).get_timeout(), None);
        assert_eq!(Request::get(URL).timeout(minute).get_timeout(), Some(minute));
    }

    #[test]
    fn debug_keeps_secrets() {
        let request = Request::get("https://me:hidden@example.com/?hidden").bearer_auth("hidden");
        let request = request.header("cookie", "hidden").body("hidden").method("hid den");
        assert!(!format!("{request:?}").contains("hidden"), "{request:?}");
        let request = Request::get("me:hidden@example.com/");
        assert!(!format!("{request:?}").contains("hidden"), "{request:?}");
    }
}
