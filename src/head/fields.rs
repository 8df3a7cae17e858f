//! The fields of a head, which become a map only when somebody looks at them: most programs look at
//! the status and take the body.

use http::HeaderMap;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

/// Header fields. Derefs to their map.
pub(crate) struct Fields {
    map: OnceLock<HeaderMap>,
    make: Box<dyn Fn() -> HeaderMap + Send + Sync>,
}

impl Fields {
    /// Fields whose map is made when it is needed, by a function that cannot fail because it was
    /// made sure that it would not.
    pub(crate) fn lazy(make: impl Fn() -> HeaderMap + Send + Sync + 'static) -> Self {
        Fields { map: OnceLock::new(), make: Box::new(make) }
    }
}

impl Deref for Fields {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        self.map.get_or_init(&self.make)
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        Fields { map: OnceLock::from(map), make: Box::new(HeaderMap::new) }
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        Fields::from(HeaderMap::clone(self))
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
