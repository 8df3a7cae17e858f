//! What a session does about cookies.

use super::Configuration;
use crate::storage::{CookieAcceptPolicy, CookieStorage};

impl Configuration {
    /// Sets where the session's cookies are kept; `None` is nowhere, so that it neither takes cookies nor
    /// sends any. `httpCookieStorage`.
    ///
    /// Unless set, it is the storage of the [`storage_directory`](Configuration::storage_directory) or the
    /// [`application`](Configuration::application), if one of them was named, else
    /// [`CookieStorage::shared`]; a session of an [`ephemeral`](Configuration::ephemeral) configuration has
    /// one of its own, in memory.
    ///
    /// ```
    /// use urlsession::{Configuration, CookieStorage};
    ///
    /// let own = Configuration::default().cookie_storage(CookieStorage::in_memory());
    /// let none = Configuration::default().cookie_storage(None);
    /// assert!(own.get_cookie_storage().is_some() && none.get_cookie_storage().is_none());
    /// ```
    pub fn cookie_storage(mut self, storage: impl Into<Option<CookieStorage>>) -> Self {
        self.cookie_storage = storage.into().into();
        self
    }

    /// The storage that was set; `None` also if none was, and the session has the one that goes with it.
    pub fn get_cookie_storage(&self) -> Option<&CookieStorage> {
        self.cookie_storage.own()
    }

    /// Sets which cookies the session takes, of those that its storage does.
    /// [`OnlyFromMainDocumentDomain`](CookieAcceptPolicy::OnlyFromMainDocumentDomain) unless set.
    /// `httpCookieAcceptPolicy`.
    pub fn cookie_accept_policy(mut self, policy: CookieAcceptPolicy) -> Self {
        self.cookie_accept_policy = policy;
        self
    }

    /// Which cookies the session takes.
    pub fn get_cookie_accept_policy(&self) -> CookieAcceptPolicy {
        self.cookie_accept_policy
    }

    /// Sets whether requests get the cookies of the storage. On unless set. `httpShouldSetCookies`.
    ///
    /// A `Cookie` header that a request has been given goes first, and those of the storage come behind it
    /// that have other names. Off, such a header is all that is sent; cookies are taken nevertheless.
    pub fn set_cookies(mut self, set: bool) -> Self {
        self.set_cookies = set;
        self
    }

    /// Whether requests get the cookies of the storage.
    pub fn get_set_cookies(&self) -> bool {
        self.set_cookies
    }
}
