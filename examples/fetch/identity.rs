//! Who asks, and how that is shown: `-u`, `--basic`, `--digest`, `--anyauth`, `-n`, `--oauth2-bearer`.
//! Knows what a challenge is, and opens no file.

use crate::values::Usage;
use std::fmt;
use std::path::PathBuf;
use urlsession::{AuthenticationMethod, Challenge, ChallengeDisposition, Credential, Persistence, Url};

/// What the options say about the user.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// `-u`.
    pub user: Option<User>,
    /// `--basic`, `--digest` and `--anyauth`.
    pub schemes: Schemes,
    /// `--oauth2-bearer`.
    pub bearer: Option<Secret>,
    /// `-n` and `--netrc-file`.
    pub netrc: Option<Netrc>,
}

/// A user. Without a password it is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, which may be empty.
    pub name: String,
    /// The password, which may be empty, too.
    pub password: Option<Secret>,
}

/// Text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// Which schemes may be used. If none is named it is Basic, as with curl.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schemes {
    /// `--basic`.
    pub basic: bool,
    /// `--digest`.
    pub digest: bool,
}

/// Where names and passwords are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Netrc {
    /// `$NETRC`, or `.netrc` in the home directory.
    Usual,
    /// This file.
    File(PathBuf),
}

impl User {
    /// `NAME:PASSWORD`, or `NAME`.
    pub fn parse(text: &str) -> Result<User, Usage> {
        match text.split_once(':') {
            Some((name, password)) => {
                Ok(User { name: name.to_owned(), password: Some(Secret(password.to_owned())) })
            }
            None if text.is_empty() => Err(Usage("-u wants a user's name, or name:password".into())),
            None => Ok(User { name: text.to_owned(), password: None }),
        }
    }

    fn credential(&self) -> Credential {
        let password = self.password.as_ref().map_or("", |secret| secret.0.as_str());
        Credential::new(&self.name, password, Persistence::ForSession)
    }
}

impl Schemes {
    /// `--anyauth`.
    pub const ANY: Schemes = Schemes { basic: true, digest: true };

    /// Whether one was named.
    pub fn is_named(self) -> bool {
        self.basic || self.digest
    }

    /// Whether name and password go out before anybody asks. They do if there is nothing to choose and
    /// nothing to compute with.
    pub fn is_unasked(self) -> bool {
        !self.digest
    }

    fn takes(self, method: &AuthenticationMethod) -> bool {
        match method {
            AuthenticationMethod::Basic => self.basic,
            AuthenticationMethod::Digest => self.digest,
            _ => false,
        }
    }
}

impl Identity {
    /// What does not go together.
    pub fn check(&self) -> Result<(), Usage> {
        let ways = [self.user.is_some(), self.bearer.is_some(), self.netrc.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(Usage(
                "-u, -n and --oauth2-bearer each say who you are: give only one of them".into(),
            ));
        }
        if self.bearer.is_some() && self.schemes.is_named() {
            return Err(Usage(
                "a token of --oauth2-bearer is for none of --basic, --digest, --anyauth".into(),
            ));
        }
        Ok(())
    }

    /// The answer to a challenge that comes up on the way from a target.
    pub fn answer(&self, target: &Url, challenge: &Challenge) -> ChallengeDisposition {
        let space = challenge.protection_space();
        let method = space.authentication_method();
        // Who the server is, is none of our business.
        if matches!(method, AuthenticationMethod::ServerTrust | AuthenticationMethod::ClientCertificate) {
            return ChallengeDisposition::PerformDefaultHandling;
        }
        if self.schemes.is_named() && !self.schemes.takes(method) {
            return ChallengeDisposition::RejectProtectionSpace;
        }
        // The password is for the host that was named, and not for one that it redirects to.
        let is_target = space.is_server()
            && Some(space.host()) == target.host_str()
            && Some(space.port()) == target.port_or_known_default()
            && space.protocol().eq_ignore_ascii_case(target.scheme());
        match &self.user {
            Some(user) if is_target && challenge.previous_failure_count() == 0 => {
                ChallengeDisposition::UseCredential(Some(user.credential()))
            }
            _ => ChallengeDisposition::PerformDefaultHandling,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use urlsession::ProtectionSpace;

    fn identity(user: &str, schemes: Schemes) -> Identity {
        Identity { user: Some(User::parse(user).unwrap()), schemes, ..Identity::default() }
    }

    fn challenge(host: &str, method: AuthenticationMethod) -> Challenge {
        Challenge::new(ProtectionSpace::new(host, 80, "http", method).with_realm("staff"))
    }

    #[test]
    fn passwords_may_be_empty_or_missing() {
        let parsed = |text: &str| {
            let user = User::parse(text).unwrap();
            (user.name, user.password.map(|secret| secret.0))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parsed("me:a:b"), ("me".into(), some("a:b")));
        assert_eq!(parsed("me:"), ("me".into(), some("")));
        assert_eq!(parsed(":"), (String::new(), some("")));
        assert_eq!(parsed("me"), ("me".into(), None));
        assert!(User::parse("").is_err());
        assert!(!format!("{:?}", identity("me:hidden", Schemes::ANY)).contains("hidden"));
    }

    #[test]
    fn only_the_schemes_that_were_named_are_answered() {
        use AuthenticationMethod::{Basic, Digest, Negotiate, ServerTrust};
        let url = Url::parse("http://h/x").unwrap();
        let answer = |schemes, method| identity("me:x", schemes).answer(&url, &challenge("h", method));
        let digest = Schemes { digest: true, basic: false };
        assert!(matches!(answer(digest, Digest), ChallengeDisposition::UseCredential(Some(_))));
        assert_eq!(answer(digest, Basic), ChallengeDisposition::RejectProtectionSpace);
        for method in [Basic, Digest] {
            assert!(matches!(answer(Schemes::ANY, method), ChallengeDisposition::UseCredential(Some(_))));
        }
        assert_eq!(answer(Schemes::ANY, Negotiate), ChallengeDisposition::RejectProtectionSpace);
        assert_eq!(answer(digest, ServerTrust), ChallengeDisposition::PerformDefaultHandling);
    }

    #[test]
    fn a_password_is_tried_once_and_only_where_it_belongs() {
        let asked = |url: &str, challenge: &Challenge| {
            let url = Url::parse(url).unwrap();
            identity("me:x", Schemes::ANY).answer(&url, challenge)
        };
        let here = challenge("h", AuthenticationMethod::Basic);
        let usual = ChallengeDisposition::PerformDefaultHandling;
        assert_ne!(asked("http://h/", &here), usual);
        assert_eq!(asked("http://h/", &here.clone().with_previous_failure_count(1)), usual);
        for elsewhere in ["http://other/", "https://h/", "http://h:81/"] {
            assert_eq!(asked(elsewhere, &here), usual, "{elsewhere}");
        }
        let proxy = ProtectionSpace::new("h", 80, "http", AuthenticationMethod::Basic).on_proxy();
        assert_eq!(asked("http://h/", &Challenge::new(proxy)), usual);
    }
}
