//! What a request says about cookies.

use super::Request;
use super::target::IntoUrl;
use url::Url;

impl Request {
    /// Sets whether cookies are sent with the request, and taken from its responses. On unless set.
    /// `httpShouldHandleCookies`.
    ///
    /// Off, a `Cookie` header that the request has been given is sent all the same.
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let request = Request::get("https://example.com/").handle_cookies(false);
    /// assert!(!request.get_handle_cookies());
    /// ```
    pub fn handle_cookies(mut self, handle: bool) -> Self {
        self.handle_cookies = handle;
        self
    }

    /// Whether cookies are sent with the request, and taken from its responses.
    pub fn get_handle_cookies(&self) -> bool {
        self.handle_cookies
    }

    /// Sets the URL of the document that the request is for, such as the page that an image is in.
    /// `mainDocumentURL`.
    ///
    /// It tells whether another site has caused the request. If so, it gets the cookies that are
    /// [`SameSite::None`](crate::SameSite::None) and no others, whatever its method, and can set no others;
    /// and by [`CookieAcceptPolicy::OnlyFromMainDocumentDomain`](crate::CookieAcceptPolicy) it can set none.
    /// Without one nobody else has caused it. Where a request is for the document itself, a redirect leads
    /// to another document.
    ///
    /// What is no URL is an error of the task.
    ///
    /// ```
    /// use urlsession::Request;
    ///
    /// let image = Request::get("https://example.org/image").main_document_url("https://example.com/page");
    /// assert_eq!(image.get_main_document_url().unwrap().host_str(), Some("example.com"));
    /// ```
    pub fn main_document_url(self, url: impl IntoUrl) -> Self {
        let url = url.into_url();
        self.attempt(|request| {
            request.main_document_url = Some(Box::new(url?));
            Ok(())
        })
    }

    /// The URL of the document that the request is for.
    pub fn get_main_document_url(&self) -> Option<&Url> {
        self.main_document_url.as_deref()
    }
}
