//! Where a session may keep what it remembers: the directories of a program that has named itself, or one
//! that was named. Knows the platform's customs, and makes the directories; not what comes into them.

use crate::configuration::Configuration;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::file::{check_directory, create_private_directory};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The directories of a session that keeps something. Ours alone: they are called `urlsession`, unless the
/// program has named the directory itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Places {
    /// What is not to be lost: cookies, credentials, who asks for https.
    pub(crate) state: PathBuf,
    /// What can be had again.
    pub(crate) cache: PathBuf,
}

static APPLICATION: OnceLock<String> = OnceLock::new();

/// Names the program, for all of the process: from then on the stores that sessions share keep what they hold
/// in the program's own directories. To be called before the first of them is used, at the beginning of
/// `main`; those that are in use stay in memory. Without it, and without [`Configuration::application`] or [`Configuration::storage_directory`], nothing
/// is written to disk.
///
/// The name is best the reversed name of a domain, as `org.example.tool`. On Linux the directories are
/// `$XDG_STATE_HOME/org.example.tool/urlsession` (`~/.local/state` without the variable) and
/// `$XDG_CACHE_HOME/org.example.tool/urlsession` (`~/.cache`); on macOS they are in
/// `~/Library/Application Support` and `~/Library/Caches`. They are made when something is to be kept in
/// them, for nobody but the user.
///
/// ```no_run
/// # fn main() -> urlsession::Result<()> {
/// urlsession::set_application("org.example.tool")?;
/// assert!(urlsession::set_application("org.example.another").is_err());
/// assert!(urlsession::set_application("no/path").is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::CannotCreateFile`] if the process has another name already, or if no directory can have that
/// name: it is empty, `.` or `..`, longer than 200 bytes, or has a slash, a backslash or a control
/// character in it.
pub fn set_application(name: impl Into<String>) -> Result<()> {
    let name = checked_name(name.into())?;
    let known = APPLICATION.get_or_init(|| name.clone());
    if *known != name {
        let message = format!("naming the program {name:?}: it has named itself {known:?} before");
        return Err(Error::new(ErrorKind::CannotCreateFile, message));
    }
    Ok(())
}

impl Places {
    /// Those of a session with that configuration. None if it keeps nothing of its own on disk.
    ///
    /// # Errors
    /// If the program is named, but not where its user's directories are.
    pub(crate) fn of(configuration: &Configuration) -> Result<Option<Places>> {
        if configuration.is_ephemeral() {
            return Ok(None);
        }
        match (&configuration.storage_directory, &configuration.application) {
            (Some(directory), _) => Ok(Some(Places::in_directory(directory))),
            (None, Some(application)) => Places::of_application(application).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Those of what all of the process shares, if it has named itself.
    ///
    /// # Errors
    /// As [`of`](Places::of).
    pub(crate) fn of_process() -> Result<Option<Places>> {
        APPLICATION.get().map(|name| Places::of_application(name)).transpose()
    }

    /// Those in a directory that was named.
    pub(crate) fn in_directory(path: &Path) -> Places {
        Places { state: path.to_path_buf(), cache: path.join("cache") }
    }

    fn of_application(name: &str) -> Result<Places> {
        Places::by_custom(name, &|variable| env::var_os(variable))
    }

    fn by_custom(name: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Places> {
        // A relative path in one of them is to be ignored (XDG Base Directory Specification).
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let place = |xdg: &str, in_home: &str| {
            let own = if cfg!(target_vendor = "apple") { None } else { absolute(xdg) };
            match own.or_else(|| absolute("HOME").map(|home| home.join(in_home))) {
                Some(directory) => Ok(directory.join(name).join("urlsession")),
                None => Err(Error::new(
                    ErrorKind::CannotCreateFile,
                    format!(
                        "looking for the directories of {name}: HOME is not set to an absolute path; set it, or \
                         name a directory with Configuration::storage_directory"
                    ),
                )),
            }
        };
        let (state, cache) = if cfg!(target_vendor = "apple") {
            ("Library/Application Support", "Library/Caches")
        } else {
            (".local/state", ".cache")
        };
        Ok(Places { state: place("XDG_STATE_HOME", state)?, cache: place("XDG_CACHE_HOME", cache)? })
    }
}

/// Makes a directory for what is nobody else's business, or checks the one that is there.
///
/// # Errors
/// If it cannot be made, cannot be written to, is somebody else's, or everybody may write to it.
pub(crate) fn make(directory: &Path) -> Result<&Path> {
    create_private_directory(directory).and_then(|()| check_directory(directory)).map_err(|error| {
        Error::file(ErrorKind::CannotCreateFile, "using as the directory of a session", directory, error)
    })?;
    Ok(directory)
}

/// The name, if a directory can have it.
pub(crate) fn checked_name(name: String) -> Result<String> {
    let why = match name.as_str() {
        "" => "it is empty",
        "." | ".." => "it is a directory that is there already",
        name if name.len() > 200 => "it is longer than 200 bytes",
        name if name.contains(['/', '\\']) => "it has a slash in it",
        name if name.contains(char::is_control) => "it has a control character in it",
        _ => return Ok(name),
    };
    let message = format!("naming the program {name:?}: {why}; take one as `org.example.tool`");
    Err(Error::new(ErrorKind::CannotCreateFile, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn places(name: &str, variables: &[(&str, &str)]) -> Result<Places> {
        Places::by_custom(name, &|name| {
            let value = variables.iter().find(|(known, _)| *known == name)?.1;
            Some(OsString::from(value))
        })
    }

    #[cfg(not(target_vendor = "apple"))]
    #[test]
    fn an_application_has_its_own_directories() {
        let found = places("tool", &[("HOME", "/home/me")]).unwrap();
        assert_eq!(found.state, Path::new("/home/me/.local/state/tool/urlsession"));
        assert_eq!(found.cache, Path::new("/home/me/.cache/tool/urlsession"));
        let variables = [("XDG_STATE_HOME", "/state"), ("XDG_CACHE_HOME", "relative"), ("HOME", "/home/me")];
        let found = places("tool", &variables).unwrap();
        assert_eq!(found.state, Path::new("/state/tool/urlsession"));
        assert_eq!(found.cache, Path::new("/home/me/.cache/tool/urlsession"));
        assert!(places("tool", &[("XDG_STATE_HOME", "/state"), ("XDG_CACHE_HOME", "/cache")]).is_ok());
    }

    #[test]
    fn without_a_home_there_are_none() {
        for variables in
            [vec![], vec![("HOME", "")], vec![("HOME", "relative")], vec![("XDG_STATE_HOME", "/s")]]
        {
            let error = places("tool", &variables).expect_err("no home");
            assert_eq!(error.kind(), ErrorKind::CannotCreateFile);
            assert!(error.to_string().contains("HOME is not set"), "{error}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(201);
        for name in ["", ".", "..", "a/b", "/", "a\\b", "a\0b", "a\nb", &long] {
            let error = Configuration::default().application(name).check().expect_err(name);
            assert_eq!(error.kind(), ErrorKind::CannotCreateFile, "{name:?}");
        }
        assert!(Configuration::default().application("org.example.tool").check().is_ok());
    }

    #[test]
    fn a_configuration_has_places_if_it_names_some() {
        assert_eq!(Places::of(&Configuration::default()).unwrap(), None);
        let named = Configuration::default().application("tool").storage_directory("/some/where");
        let expected = Places { state: "/some/where".into(), cache: "/some/where/cache".into() };
        assert_eq!(Places::of(&named).unwrap(), Some(expected));
        assert_eq!(Places::of(&Configuration::ephemeral().storage_directory("/some/where")).unwrap(), None);
    }

    #[test]
    fn directories_are_made_for_nobody_else() {
        let base = env::temp_dir().join(format!("urlsession-places-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let places = Places::in_directory(&base.join("one/two"));
        make(&places.state).unwrap();
        make(&places.cache).unwrap();
        make(&places.cache).unwrap();
        for path in [base.clone(), base.join("one"), places.state.clone(), places.cache.clone()] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{path:?}");
        }
        fs::set_permissions(&places.state, Permissions::from_mode(0o777)).unwrap();
        let error = make(&places.state).expect_err("open to everybody");
        assert!(error.to_string().contains("everybody may write to it"), "{error}");
        fs::set_permissions(&places.state, Permissions::from_mode(0o1777)).unwrap();
        make(&places.state).unwrap();
        fs::remove_dir_all(&places.cache).unwrap();
        fs::write(&places.cache, "").unwrap();
        let error = make(&places.cache).expect_err("a file");
        assert_eq!(error.kind(), ErrorKind::CannotCreateFile, "{error}");
        fs::remove_dir_all(&base).unwrap();
    }
}
