//! The cookies of a session, or of several: `HTTPCookieStorage`. The rules are in `proto::cookie`; here
//! they are kept, in memory or in a journal that several processes share.
//!
//! Locks: `state`. Under it, nothing is called that is the program's, and nothing waited for; the journal
//! is asked for news, but written to only afterwards.

mod netscape;
#[cfg(test)]
mod tests;

use super::Choice;
use super::instances::Instances;
use super::journal::{Journal, Kind};
use super::places::{self, Places};
use crate::configuration::Configuration;
use crate::cookie::Cookie;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::cookie::{
    Asked, Change, Jar, Key, decode, encode, is_same_party, is_same_site, is_secure, is_web, received,
};
use crate::proto::public_suffix::{Nonsense, PublicSuffixes};
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use http::{HeaderMap, HeaderValue};
pub use netscape::CookieImport;
use std::cmp::Ordering;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;
use url::Url;

const KIND: Kind = Kind(*b"cook");
const FILE: &str = "cookies";
/// How often the file is tried to be written anew while others write to it.
const TRIES: u32 = 3;

/// Which cookies are taken from servers. `HTTPCookie.AcceptPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookieAcceptPolicy {
    /// All that may be set from where they come.
    Always,
    /// None.
    Never,
    /// Those of hosts of the same site as the [main document](crate::Request::main_document_url). Without
    /// one, the cookies of every host that is asked.
    OnlyFromMainDocumentDomain,
}

/// Cookies that are kept, for the sessions that use them: `HTTPCookieStorage`.
///
/// Cloning gives the same storage. A cookie with an end goes to the storage's file, if it has one, as soon
/// as it is set, and is there again for the next process and for others that run; one without stays in
/// memory. It holds 3,000 cookies, 180 of one site; what is over, not secure, or unused for long goes first.
///
/// ```
/// use urlsession::{Configuration, Cookie, CookieStorage, Url};
///
/// let cookies = CookieStorage::in_memory();
/// cookies.set_cookie(Cookie::builder("theme", "dark").domain("example.com").build()?);
/// let url = Url::parse("https://www.example.com/").unwrap();
/// assert_eq!(cookies.cookies_for(&url)[0].value(), "dark");
///
/// let configuration = Configuration::default().cookie_storage(cookies.clone());
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone)]
pub struct CookieStorage(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    journal: Option<Journal>,
}

struct State {
    jar: Jar,
    policy: CookieAcceptPolicy,
    suffixes: Arc<PublicSuffixes>,
}

impl CookieStorage {
    /// The storage that all of the process shares. It is in memory, unless
    /// [`set_application`](crate::set_application) was called before its first use. `shared`.
    pub fn shared() -> CookieStorage {
        static MEMORY: OnceLock<CookieStorage> = OnceLock::new();
        CookieStorage::try_shared().unwrap_or_else(|error| {
            log::warn!("cookies are kept in memory only: {error}");
            MEMORY.get_or_init(CookieStorage::in_memory).clone()
        })
    }

    /// # Errors
    ///
    /// Why the program's own directory cannot be used.
    fn try_shared() -> Result<CookieStorage> {
        static SHARED: OnceLock<Result<CookieStorage>> = OnceLock::new();
        if let Some(shared) = SHARED.get() {
            return shared.clone();
        }
        // Not in the closure: what is logged on the way goes to the program.
        let opened = Places::of_process().and_then(|places| match places {
            Some(places) => CookieStorage::in_directory(&places.state),
            None => Ok(CookieStorage::in_memory()),
        });
        SHARED.get_or_init(|| opened).clone()
    }

    /// A new storage that keeps nothing beyond its own end.
    pub fn in_memory() -> CookieStorage {
        CookieStorage(Arc::new(Inner::new(None)))
    }

    /// The storage of a directory, which is made if it is not there: for nobody but the user. In one
    /// process there is one storage for a directory; what others set in it comes to it as it is set.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or written to, is somebody else's, or everybody may write to it. A
    /// damaged file is no error: it is set aside, and the storage is empty.
    pub fn in_directory(path: impl AsRef<Path>) -> Result<CookieStorage> {
        static INSTANCES: Instances<Inner> = Instances::new();
        let directory = places::make(path.as_ref())?;
        let open =
            |path: &Path| Journal::open(path.join(FILE), KIND).map(|journal| Inner::new(Some(journal)));
        INSTANCES.get(directory, open).map(CookieStorage)
    }

    /// The one that a configuration asks for.
    pub(crate) fn of(configuration: &Configuration) -> Result<Option<CookieStorage>> {
        Ok(match &configuration.cookie_storage {
            Choice::None => None,
            Choice::Own(storage) => Some(storage.clone()),
            Choice::Automatic if configuration.is_ephemeral() => Some(CookieStorage::in_memory()),
            Choice::Automatic => match Places::of(configuration)? {
                Some(places) => Some(CookieStorage::in_directory(&places.state)?),
                None => Some(CookieStorage::try_shared()?),
            },
        })
    }

    /// Which cookies the storage takes, whoever uses it: [`Always`](CookieAcceptPolicy::Always) unless set.
    /// A session's [own policy](Configuration::cookie_accept_policy) comes to it. `cookieAcceptPolicy`.
    pub fn accept_policy(&self) -> CookieAcceptPolicy {
        lock(&self.0.state).policy
    }

    /// Sets which cookies the storage takes. What is there stays.
    pub fn set_accept_policy(&self, policy: CookieAcceptPolicy) {
        lock(&self.0.state).policy = policy;
    }

    /// Goes by another list of public suffixes than the one that came with the library, for which it has a
    /// newer one: the text of <https://publicsuffix.org/list/public_suffix_list.dat>, or a list of the
    /// program's own. No cookie is for all of a public suffix.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotDecodeRawData`] if it is no such list; then the list before stays.
    pub fn set_public_suffixes(&self, list: &str) -> Result<()> {
        let suffixes = PublicSuffixes::parse(list).map_err(|nonsense| {
            let wrong = match nonsense {
                Nonsense::TooLong => "it is longer than any list".to_owned(),
                Nonsense::Empty => "there is no rule in it".to_owned(),
                Nonsense::Line(number) => format!("line {number} is neither a rule nor a comment"),
            };
            Error::new(ErrorKind::CannotDecodeRawData, format!("reading a list of public suffixes: {wrong}"))
        })?;
        let mut state = self.0.state();
        state.suffixes = Arc::new(suffixes);
        let State { jar, suffixes, .. } = &mut *state;
        jar.sort_anew(suffixes);
        Ok(())
    }

    /// All cookies, the oldest first. `cookies`.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.0.state().jar.cookies(SystemTime::now())
    }

    /// The cookies that a request for a URL gets, in the order in which they are sent. `cookies(for:)`.
    pub fn cookies_for(&self, url: &Url) -> Vec<Cookie> {
        let Some(asked) = asked(url, false) else { return Vec::new() };
        let state = self.0.state();
        state.jar.cookies_for(asked, SystemTime::now(), &state.suffixes)
    }

    /// All cookies in an order of the program's. `sortedCookies(using:)`.
    ///
    /// ```
    /// use urlsession::{Cookie, CookieStorage};
    ///
    /// let cookies = CookieStorage::in_memory();
    /// cookies.set_cookie(Cookie::new("b", "1", "example.com")?);
    /// cookies.set_cookie(Cookie::new("a", "2", "example.com")?);
    /// let sorted = cookies.sorted_cookies(|one, other| one.name().cmp(other.name()));
    /// assert_eq!(sorted[0].name(), "a");
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn sorted_cookies(&self, compare: impl FnMut(&Cookie, &Cookie) -> Ordering) -> Vec<Cookie> {
        let mut cookies = self.cookies();
        cookies.sort_by(compare);
        cookies
    }

    /// Sets a cookie, in place of one of the same name, domain and path. One that is over takes that away.
    /// With the policy [`Never`](CookieAcceptPolicy::Never) it does nothing. `setCookie(_:)`.
    pub fn set_cookie(&self, cookie: Cookie) {
        if self.accept_policy() != CookieAcceptPolicy::Never {
            self.0.set([cookie], true, SystemTime::now());
        }
    }

    /// Sets the cookies that came from a URL, if the policy takes them, of which the main document may be
    /// part. `setCookies(_:for:mainDocumentURL:)`.
    pub fn set_cookies(
        &self,
        cookies: impl IntoIterator<Item = Cookie>,
        url: &Url,
        main_document_url: Option<&Url>,
    ) {
        let (policy, suffixes) = self.rules();
        if accepts(policy, url, main_document_url, &suffixes) {
            self.0.set(cookies.into_iter().collect::<Vec<_>>(), is_secure(url), SystemTime::now());
        }
    }

    /// Takes a cookie away: the one of the same name, domain and path. `deleteCookie(_:)`.
    pub fn delete_cookie(&self, cookie: &Cookie) {
        let mut changes = Vec::new();
        let mut state = self.0.state();
        let State { jar, suffixes, .. } = &mut *state;
        jar.remove(&Key::of(cookie), suffixes, &mut changes);
        drop(state);
        self.0.keep(&changes);
    }

    /// Takes away all cookies that have been set first then or later. `removeCookies(since:)`.
    pub fn remove_cookies_since(&self, date: SystemTime) {
        let mut changes = Vec::new();
        self.0.state().jar.remove_since(date, &mut changes);
        self.0.keep(&changes);
    }

    /// Takes all cookies away, and the file with them.
    pub fn remove_all(&self) {
        self.0.state().jar.clear();
        if let Some(Err(error)) = self.0.journal.as_ref().map(Journal::clear) {
            log::warn!("{error}");
        }
    }

    /// Has what was written to the file put on the disk. What is set is in the file at once, but the system
    /// keeps it in memory for a while.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotWriteToFile`] if the disk cannot take it.
    pub fn flush(&self) -> Result<()> {
        self.0.journal.as_ref().map_or(Ok(()), Journal::sync)
    }

    /// The `Cookie` header of a request, without the cookies that have one of the names which are given
    /// already.
    pub(crate) fn header_for(
        &self,
        url: &Url,
        main_document_url: Option<&Url>,
        is_given: impl Fn(&[u8]) -> bool,
    ) -> Option<HeaderValue> {
        let mut state = self.0.state();
        let State { jar, suffixes, .. } = &mut *state;
        if jar.is_empty() {
            return None;
        }
        let asked = asked(url, false)?;
        let cross_site = main_document_url.is_some_and(|document| !is_same_site(document, url, suffixes));
        let leave_out = |cookie: &Cookie| is_given(cookie.name.as_bytes());
        jar.header(Asked { cross_site, ..asked }, leave_out, SystemTime::now(), suffixes)
    }

    /// Keeps what a response sets, if the session's policy and the storage's take it.
    pub(crate) fn store(
        &self,
        headers: &HeaderMap,
        url: &Url,
        main_document_url: Option<&Url>,
        policy: CookieAcceptPolicy,
        now: SystemTime,
    ) {
        let (own, suffixes) = self.rules();
        if [own, policy].into_iter().all(|policy| accepts(policy, url, main_document_url, &suffixes)) {
            let cross_site =
                main_document_url.is_some_and(|document| !is_same_site(document, url, &suffixes));
            let cookies: Vec<Cookie> = received(headers, url, cross_site, &suffixes, now).collect();
            self.0.set(cookies, is_secure(url), now);
        }
    }

    fn rules(&self) -> (CookieAcceptPolicy, Arc<PublicSuffixes>) {
        let state = lock(&self.0.state);
        (state.policy, Arc::clone(&state.suffixes))
    }
}

impl Inner {
    fn new(journal: Option<Journal>) -> Inner {
        let state = State {
            jar: Jar::default(),
            policy: CookieAcceptPolicy::Always,
            suffixes: Arc::new(PublicSuffixes::built_in()),
        };
        Inner { state: Mutex::new(state), journal }
    }

    /// What there is, with what others have done by now.
    fn state(&self) -> MutexGuard<'_, State> {
        let Some(journal) = &self.journal else { return lock(&self.state) };
        journal.tell();
        let mut state = lock(&self.state);
        let news = journal.news();
        if news.anew {
            state.jar.forget_kept();
        }
        if !news.records.is_empty() {
            let now = SystemTime::now();
            let State { jar, suffixes, .. } = &mut *state;
            for change in news.records.iter().filter_map(|record| decode(record)) {
                jar.apply(change, now, suffixes);
            }
        }
        state
    }

    /// Sets cookies. `secure`: they came over a connection on which nobody listens.
    fn set(&self, cookies: impl IntoIterator<Item = Cookie>, secure: bool, now: SystemTime) {
        let mut cookies = cookies.into_iter().peekable();
        if cookies.peek().is_none() {
            return;
        }
        let (mut changes, mut refused) = (Vec::new(), Vec::new());
        let mut state = self.state();
        let State { jar, suffixes, .. } = &mut *state;
        for cookie in cookies {
            if let Err(refusal) = jar.set(cookie, secure, now, suffixes, &mut changes) {
                refused.push(refusal);
            }
        }
        drop(state);
        refused.iter().for_each(|refusal| log::debug!("a cookie was ignored: {refusal}"));
        self.keep(&changes);
    }

    /// Writes what is to outlive the process. If that cannot be, it stays in memory.
    fn keep(&self, changes: &[Change]) {
        let Some(journal) = self.journal.as_ref().filter(|_| !changes.is_empty()) else { return };
        let records: Vec<Vec<u8>> = changes.iter().map(encode).collect();
        if let Err(error) = journal.append(&records) {
            log::warn!("{error}");
        }
        if !journal.is_bloated() {
            return;
        }
        for _ in 0..TRIES {
            let kept = self.state().jar.kept(SystemTime::now());
            let records: Vec<Vec<u8>> = kept.iter().map(encode).collect();
            match journal.compact(&records) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return log::warn!("{error}"),
            }
        }
    }
}

impl fmt::Debug for CookieStorage {
    /// Without the cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieStorage")
            .field("file", &self.0.journal.as_ref().map(Journal::path))
            .field("accept_policy", &self.accept_policy())
            .finish_non_exhaustive()
    }
}

/// What a request is for cookies, if they are for it.
fn asked(url: &Url, cross_site: bool) -> Option<Asked<'_>> {
    let host = url.host_str().filter(|_| is_web(url))?;
    Some(Asked { host, path: url.path(), secure: is_secure(url), cross_site })
}

fn accepts(
    policy: CookieAcceptPolicy,
    url: &Url,
    main_document_url: Option<&Url>,
    suffixes: &PublicSuffixes,
) -> bool {
    match policy {
        CookieAcceptPolicy::Always => true,
        CookieAcceptPolicy::Never => false,
        CookieAcceptPolicy::OnlyFromMainDocumentDomain => {
            main_document_url.is_none_or(|document| is_same_party(document, url, suffixes))
        }
    }
}
