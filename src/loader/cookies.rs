//! Cookies on their way: those that go with a request, anew for each hop, and those that a response sets,
//! before the next hop.

use super::Loader;
use crate::cookie::header_value;
use crate::error::Result;
use crate::head::Fields;
use crate::request::Request;
use crate::storage::CookieStorage;
use crate::task::core::TaskCore;
use http::header::{COOKIE, HeaderMap, HeaderValue};
use std::borrow::Cow;
use std::time::SystemTime;

impl Loader {
    /// Adds what the storage has for a request. A header that was given goes first, and counts where both
    /// have a cookie of the same name.
    pub(super) fn add_cookies(
        &self,
        request: &Request,
        headers: &mut Cow<'_, HeaderMap>,
        core: &TaskCore,
    ) -> Result<()> {
        let configuration = &core.context.configuration;
        let storage = cookies(request, core)?.filter(|_| configuration.set_cookies);
        let Some(storage) = storage else { return Ok(()) };
        let given =
            if headers.contains_key(COOKIE) { &**headers } else { configuration.get_additional_headers() };
        let given = || given.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let is_given = |wanted: &[u8]| {
            let mut pairs = given().flat_map(|line| line.split(|&byte| byte == b';'));
            pairs.any(|pair| name(pair) == wanted)
        };
        let (url, document) = (request.well_formed()?, request.get_main_document_url());
        let Some(stored) = storage.header_for(url, document, is_given) else { return Ok(()) };
        // One field: RFC 6265bis, section 5.8.1.
        let all: Vec<&[u8]> = given().chain([stored.as_bytes()]).collect();
        let value = if all.len() > 1 { header_value(all.join(&b"; "[..])) } else { Some(stored) };
        value.map_or(Ok(()), |value| crate::header::insert(headers.to_mut(), COOKIE, value))
    }

    /// Keeps what a response sets.
    pub(super) fn store_cookies(&self, headers: &Fields, core: &TaskCore) {
        let request = self.request(core);
        let (Ok(Some(storage)), Ok(url)) = (cookies(request, core), request.well_formed()) else { return };
        let policy = core.context.configuration.cookie_accept_policy;
        storage.store(headers, url, request.get_main_document_url(), policy, SystemTime::now());
    }
}

/// The storage, if the request has to do with it.
fn cookies<'a>(request: &Request, core: &'a TaskCore) -> Result<Option<&'a CookieStorage>> {
    let storage = core.context.stores()?.cookies.as_ref();
    Ok(storage.filter(|_| request.handle_cookies))
}

/// The name in a piece of a `Cookie` header.
fn name(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(0);
    pair.get(..end).unwrap_or_default().trim_ascii()
}
