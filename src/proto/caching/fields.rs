//! The fields of a request as the server gets them, without a map made of them: most of them are the session's,
//! the same for all of its requests.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// The request's own fields, and those that are added where it has none of the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFields<'a> {
    pub(crate) own: &'a HeaderMap,
    pub(crate) added: &'a [(HeaderName, HeaderValue)],
    /// What says who sends it in place of its own `Authorization`: in that field, or in another one.
    pub(crate) user: Option<&'a (HeaderName, HeaderValue)>,
}

impl<'a> RequestFields<'a> {
    /// All lines of a field.
    pub(super) fn get_all(self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        let is_replaced = self.user.is_some_and(|(field, _)| field == name || *name == AUTHORIZATION);
        let user = self.user.filter(|(field, _)| field == name).map(|(_, value)| value);
        let own = if is_replaced { None } else { Some(self.own.get_all(name)) };
        let added = if is_replaced || self.own.contains_key(name) { &[] } else { self.added };
        let added = added.iter().filter(move |(added, _)| added == name).map(|(_, value)| value);
        user.into_iter().chain(own.into_iter().flatten()).chain(added)
    }

    pub(super) fn get(self, name: &HeaderName) -> Option<&'a HeaderValue> {
        self.get_all(name).next()
    }

    pub(super) fn contains_key(self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }
}

/// Fields to which none are added.
impl<'a> From<&'a HeaderMap> for RequestFields<'a> {
    fn from(own: &'a HeaderMap) -> Self {
        RequestFields { own, added: &[], user: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT, FROM, RANGE, VIA};

    #[test]
    fn own_fields_go_before_those_of_the_session() {
        let value = HeaderValue::from_static;
        let mut own = HeaderMap::new();
        own.append(ACCEPT, value("own"));
        own.append(ACCEPT, value("more"));
        let added = [(ACCEPT, value("other")), (VIA, value("1")), (VIA, value("2"))];
        let fields = RequestFields { own: &own, added: &added, user: None };
        let all = |name| fields.get_all(&name).map(HeaderValue::as_bytes).collect::<Vec<_>>();
        assert_eq!(all(ACCEPT), [b"own".as_slice(), b"more"]);
        assert_eq!(all(VIA), [b"1", b"2"]);
        assert!(fields.contains_key(&VIA) && !fields.contains_key(&RANGE));
        assert!(!RequestFields::from(&own).contains_key(&VIA));
        own.append(AUTHORIZATION, value("own"));
        for (field, is_there) in [(AUTHORIZATION, true), (FROM, false)] {
            let user = (field, value("user"));
            let all = RequestFields { own: &own, added: &added, user: Some(&user) };
            assert_eq!(all.get_all(&user.0).collect::<Vec<_>>(), [&user.1]);
            assert_eq!(all.get_all(&ACCEPT).count(), 2);
            assert_eq!(all.contains_key(&AUTHORIZATION), is_there);
        }
    }
}
