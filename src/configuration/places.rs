//! Where sessions keep what outlives them, if they do.

use super::Configuration;
use crate::storage::places::checked_name;
use std::path::{Path, PathBuf};

impl Configuration {
    /// Names the program: what its sessions remember, cookies, credentials, who asks for https and what is
    /// cached, is kept in its own directories, and is there again when it runs the next time. Without this,
    /// [`storage_directory`](Configuration::storage_directory) or
    /// [`set_application`](crate::set_application) nothing is written to disk. Which directories these are
    /// is told at [`set_application`](crate::set_application), which names the program for what is shared.
    ///
    /// Sessions of an [`ephemeral`](Configuration::ephemeral) configuration never write. Two sessions of the
    /// same name share what they remember, and so do processes.
    ///
    /// A name that no directory can have is an error of the configuration.
    ///
    /// ```
    /// # use urlsession::Configuration;
    /// let configuration = Configuration::default().application("org.example.tool");
    /// assert_eq!(configuration.get_application(), Some("org.example.tool"));
    /// assert!(Configuration::default().application("a/b").check().is_err());
    /// ```
    pub fn application(self, name: impl Into<String>) -> Self {
        self.attempt(|configuration| {
            configuration.application = Some(checked_name(name.into())?);
            Ok(())
        })
    }

    /// What [`application`](Configuration::application) has set.
    pub fn get_application(&self) -> Option<&str> {
        self.application.as_deref()
    }

    /// Sets the directory in which sessions keep what they remember, in place of those of an
    /// [`application`](Configuration::application). It is made if it is not there, for nobody but the user,
    /// and has to be the session's alone. What is cached is in `cache` below it.
    ///
    /// A directory that cannot be made or written to, that is another user's, or to which everybody may
    /// write, is an error of the sessions with this configuration.
    ///
    /// ```
    /// # use urlsession::Configuration;
    /// # use std::path::Path;
    /// let configuration = Configuration::default().storage_directory("/var/lib/tool");
    /// assert_eq!(configuration.get_storage_directory(), Some(Path::new("/var/lib/tool")));
    /// ```
    pub fn storage_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.storage_directory = Some(path.into());
        self
    }

    /// What [`storage_directory`](Configuration::storage_directory) has set.
    pub fn get_storage_directory(&self) -> Option<&Path> {
        self.storage_directory.as_deref()
    }
}
