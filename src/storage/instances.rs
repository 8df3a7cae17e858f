//! The stores of a process that are open, by their directory: sessions that keep what they remember in the
//! same place share one.

use crate::error::Result;
use crate::sync::{Arc, Mutex, lock};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;

/// Stores of one kind.
pub(crate) struct Instances<T>(Mutex<BTreeMap<PathBuf, Weak<T>>>);

impl<T> Instances<T> {
    pub(crate) const fn new() -> Self {
        Instances(Mutex::new(BTreeMap::new()))
    }

    /// The one of a directory, which is opened if it is not yet.
    ///
    /// # Errors
    ///
    /// What opening it fails with.
    pub(crate) fn get(&self, directory: &Path, open: impl FnOnce(&Path) -> Result<T>) -> Result<Arc<T>> {
        // Two names of one directory are one; the directory may have to be made yet.
        let known_by = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let find = |path: &Path| lock(&self.0).get(path).and_then(Weak::upgrade);
        if let Some(found) = find(&known_by(directory)) {
            return Ok(found);
        }
        let opened = Arc::new(open(directory)?);
        let path = known_by(directory);
        let mut instances = lock(&self.0);
        instances.retain(|_, instance| instance.strong_count() > 0);
        // Somebody may have been faster.
        let kept = instances.get(&path).and_then(Weak::upgrade).unwrap_or_else(|| Arc::clone(&opened));
        instances.insert(path, Arc::downgrade(&kept));
        drop(instances);
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn one_for_a_directory_as_long_as_somebody_has_it() {
        let instances = Instances::new();
        let here = std::env::temp_dir();
        let open = |number: u32| instances.get(&here, move |_| Ok(number));
        let first = open(1).expect("opened");
        let again = instances.get(&here.join("."), |_| Ok(2)).expect("found");
        assert!(Arc::ptr_eq(&first, &again), "by another name");
        drop((first, again));
        assert_eq!(*open(3).expect("opened anew"), 3);
        let failed = instances.get(Path::new("/nowhere"), |_| Err(Error::new(ErrorKind::Unknown, "no")));
        assert!(failed.is_err());
    }
}
