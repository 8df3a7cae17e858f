use super::*;
use crate::challenge::AuthenticationMethod;
use http::HeaderValue;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes with its guard.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("urlsession-credentials-{}-{number}", std::process::id());
        Directory(std::env::temp_dir().join(name))
    }

    /// As another process would open it.
    fn open(&self) -> CredentialStorage {
        let inner = Inner::new(Some(Journal::open(self.0.join(FILE), KIND).expect("a journal")));
        CredentialStorage(Arc::new(inner))
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.0.join(FILE)).expect("the file")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn space(method: AuthenticationMethod) -> ProtectionSpace {
    ProtectionSpace::new("example.com", 443, "https", method).with_realm("staff")
}

fn basic() -> ProtectionSpace {
    space(AuthenticationMethod::Basic)
}

fn credential(user: &str, persistence: Persistence) -> Credential {
    Credential::new(user, format!("password of {user}"), persistence)
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn users(storage: &CredentialStorage) -> Vec<String> {
    storage.credentials(&basic()).iter().filter_map(Credential::user).map(str::to_owned).collect()
}

#[test]
fn what_persists_as_long_as_it_says() {
    let directory = Directory::new();
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    storage.set(&basic(), credential("none", Persistence::None));
    storage.set(&basic(), credential("session", Persistence::ForSession));
    storage.set_default(&basic(), credential("permanent", Persistence::Permanent));
    storage.set(&space(AuthenticationMethod::Bearer), Credential::token("a token", Persistence::Permanent));
    assert_eq!(users(&storage), ["permanent", "session"]);
    assert_eq!(storage.all_credentials().len(), 2);

    let other = directory.open();
    assert_eq!(users(&other), ["permanent"]);
    let token = other.default_credential(&space(AuthenticationMethod::Bearer)).expect("the token");
    assert_eq!(token.bearer_token(), Some("a token"));
    assert_eq!(token.persistence(), Persistence::Permanent);
    let mode = std::fs::metadata(directory.0.join(FILE)).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!directory.bytes().windows(7).any(|window| window == b"session"));
    assert!(!format!("{storage:?}").contains("password"));
}

#[test]
fn storages_of_a_directory_are_one() {
    let directory = Directory::new();
    let one = CredentialStorage::in_directory(&directory.0).expect("a storage");
    let two = CredentialStorage::in_directory(directory.0.join(".")).expect("a storage");
    one.set(&basic(), credential("session", Persistence::ForSession));
    assert_eq!(users(&two), ["session"]);
}

#[test]
fn processes_tell_each_other() {
    let directory = Directory::new();
    let one = CredentialStorage::in_directory(&directory.0).expect("a storage");
    let two = directory.open();
    one.set(&basic(), credential("a", Persistence::Permanent));
    two.set(&basic(), credential("b", Persistence::Permanent));
    assert_eq!(users(&one), ["a", "b"]);
    two.set_default(&basic(), credential("b", Persistence::Permanent));
    assert_eq!(
        one.default_credential(&basic()).and_then(|it| it.user().map(str::to_owned)).as_deref(),
        Some("b")
    );
    one.remove(&basic(), &credential("b", Persistence::ForSession));
    assert_eq!(users(&two), ["a"]);
    two.remove_all();
    assert!(one.all_credentials().is_empty());
    assert!(directory.open().all_credentials().is_empty());
}

#[test]
fn one_for_the_session_takes_the_place_of_one_in_the_file() {
    let directory = Directory::new();
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    storage.set(&basic(), credential("me", Persistence::Permanent));
    storage.set(&basic(), Credential::new("me", "new", Persistence::ForSession));
    let now = storage.default_credential(&basic()).expect("one");
    assert_eq!((now.password(), now.persistence()), (Some("new"), Persistence::ForSession));
    let other = directory.open();
    assert_eq!(other.default_credential(&basic()), None);
    // And is not overruled by another process.
    other.set(&basic(), credential("me", Persistence::Permanent));
    other.remove(&basic(), &credential("me", Persistence::Permanent));
    assert_eq!(storage.default_credential(&basic()), Some(now));
}

#[test]
fn a_file_is_compacted_and_loses_nothing() {
    let directory = Directory::new();
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    storage.set_default(&basic(), credential("first", Persistence::Permanent));
    let long = Credential::new("me", "x".repeat(200), Persistence::Permanent);
    for _ in 0..2000 {
        storage.set(&basic(), long.clone());
    }
    assert!(directory.bytes().len() < 200 * 1024);
    let other = directory.open();
    assert_eq!(users(&other), ["first", "me"]);
    assert!(other.credentials(&basic()).contains(&long));
}

#[test]
fn passwords_that_are_removed_or_replaced_leave_the_file() {
    let directory = Directory::new();
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    let set = |password, persistence| storage.set(&basic(), Credential::new("me", password, persistence));
    let has = |password: &[u8]| directory.bytes().windows(password.len()).any(|window| window == password);
    set("the first", Persistence::Permanent);
    assert!(has(b"the first"));
    set("the second", Persistence::Permanent);
    assert!(has(b"the second") && !has(b"the first"));
    set("the third", Persistence::ForSession);
    assert!(!has(b"the second") && !has(b"the third"));
    set("the fourth", Persistence::Permanent);
    storage.remove(&basic(), &credential("me", Persistence::None));
    assert!(!has(b"the fourth"));
}

#[test]
fn a_damaged_file_is_set_aside() {
    let directory = Directory::new();
    std::fs::create_dir(&directory.0).expect("a directory");
    std::fs::write(directory.0.join(FILE), "something else").expect("a file");
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    assert!(storage.all_credentials().is_empty());
    assert_eq!(
        std::fs::read(directory.0.join("credentials.corrupt")).expect("the old one"),
        b"something else"
    );
    assert!(CredentialStorage::in_directory("/dev/null/x").is_err());
}

#[test]
fn what_is_too_long_for_the_file_is_kept_in_memory() {
    let directory = Directory::new();
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    let token = Credential::token("x".repeat(100_000), Persistence::Permanent);
    storage.set(&basic(), token.clone());
    assert_eq!(storage.default_credential(&basic()), Some(token));
    assert!(directory.open().all_credentials().is_empty());
}

#[test]
fn configurations_have_the_storage_they_ask_for() {
    let of = |configuration: &Configuration| CredentialStorage::of(configuration).expect("opened");
    let same = |one: &CredentialStorage, other: &CredentialStorage| Arc::ptr_eq(&one.0, &other.0);
    let shared = of(&Configuration::default()).expect("one");
    assert!(same(&shared, &CredentialStorage::shared()));
    let ephemeral = Configuration::ephemeral().storage_directory("/nowhere");
    let (one, two) = (of(&ephemeral).expect("one"), of(&ephemeral).expect("one"));
    assert!(!same(&one, &two) && one.0.journal.is_none());
    let own = CredentialStorage::in_memory();
    assert!(same(&of(&Configuration::default().credential_storage(own.clone())).expect("one"), &own));
    assert!(of(&Configuration::default().credential_storage(None)).is_none());
    let directory = Directory::new();
    let kept = Configuration::default().storage_directory(&directory.0);
    let (one, two) = (of(&kept).expect("one"), of(&kept).expect("one"));
    assert!(same(&one, &two) && one.0.journal.is_some());
    assert!(CredentialStorage::of(&Configuration::default().storage_directory("/dev/null/x")).is_err());
}

/// What a server took for a URL.
fn took(storage: &CredentialStorage, space: &ProtectionSpace, user: &str, at: &str, paths: &[&str]) {
    let means = Means::Value(HeaderValue::try_from(user).expect("a value"));
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    storage.succeeded(space, &credential(user, Persistence::ForSession), means, &url(at), paths);
}

/// Who goes along unasked.
fn unasked(storage: &CredentialStorage, to: &str) -> Option<String> {
    storage.unasked(&url(to)).map(|proven| proven.credential.user().expect("a user").to_owned())
}

#[test]
fn what_a_server_took_goes_along_where_it_holds() {
    let storage = CredentialStorage::in_memory();
    assert_eq!(unasked(&storage, "https://example.com/"), None);
    took(&storage, &basic(), "me", "https://example.com/docs/a", &["/docs/"]);
    assert_eq!(storage.default_credential(&basic()), Some(credential("me", Persistence::ForSession)));
    for there in ["/docs/", "/docs/b/c?d#e", "/docs/%2e"] {
        assert_eq!(unasked(&storage, &format!("https://example.com{there}")).as_deref(), Some("me"));
    }
    assert_eq!(unasked(&storage, "https://u:p@EXAMPLE.com:443/docs/x").as_deref(), Some("me"));
    for elsewhere in [
        "https://example.com/",
        "https://example.com/docs",
        "https://example.com/doc/",
        "https://example.com/docs/../x",
        "http://example.com/docs/",
        "https://example.com:444/docs/",
        "https://www.example.com/docs/",
        "data:,x",
    ] {
        assert_eq!(unasked(&storage, elsewhere), None, "{elsewhere}");
    }
    // The most particular space is the right one.
    let inner = basic().with_realm("inner");
    took(&storage, &inner, "you", "https://example.com/docs/inner/x", &["/docs/inner/"]);
    assert_eq!(unasked(&storage, "https://example.com/docs/inner/y").as_deref(), Some("you"));
    assert_eq!(unasked(&storage, "https://example.com/docs/y").as_deref(), Some("me"));
    // The space turns out to be larger.
    took(&storage, &basic(), "me", "https://example.com/", &["/"]);
    assert_eq!(unasked(&storage, "https://example.com/x").as_deref(), Some("me"));
    assert_eq!(unasked(&storage, "https://example.com/docs/inner/y").as_deref(), Some("you"));
}

#[test]
fn what_was_refused_or_changed_stays_behind() {
    let at = "https://example.com/x";
    let known = || {
        let storage = CredentialStorage::in_memory();
        took(&storage, &basic(), "me", at, &["/"]);
        assert_eq!(unasked(&storage, at).as_deref(), Some("me"));
        storage
    };
    let me = credential("me", Persistence::ForSession);
    let storage = known();
    storage.refused(&basic(), &me);
    assert_eq!(unasked(&storage, at), None);
    // It is for the program to remove it.
    assert_eq!(storage.default_credential(&basic()), Some(me.clone()));
    let storage = known();
    storage.remove(&basic(), &me);
    assert_eq!(unasked(&storage, at), None);
    let storage = known();
    storage.remove_all();
    assert_eq!(unasked(&storage, at), None);
    let storage = known();
    storage.set(&basic(), me.clone());
    assert_eq!(unasked(&storage, at).as_deref(), Some("me"));
    storage.set(&basic(), Credential::new("me", "another", Persistence::ForSession));
    assert_eq!(unasked(&storage, at), None);
    // Other spaces have nothing to do with it.
    let storage = known();
    storage.refused(&basic().with_realm("other"), &me);
    storage.refused(&basic(), &credential("you", Persistence::ForSession));
    assert_eq!(unasked(&storage, at).as_deref(), Some("me"));
}

#[test]
fn what_another_process_removes_does_not_go_along() {
    let directory = Directory::new();
    let storage = CredentialStorage::in_directory(&directory.0).expect("a storage");
    let me = credential("me", Persistence::Permanent);
    let at = url("https://example.com/");
    let means = Means::Value(HeaderValue::from_static("x"));
    let succeeded = || storage.succeeded(&basic(), &me, means.clone(), &at, vec!["/".into()]);
    succeeded();
    let len = directory.bytes().len();
    succeeded();
    assert_eq!(directory.bytes().len(), len, "what is there is not written again");
    assert!(storage.unasked(&at).is_some());
    directory.open().remove(&basic(), &me);
    assert_eq!(storage.default_credential(&basic()), None);
    assert!(storage.unasked(&at).is_none());
}

#[test]
fn a_credential_for_one_use_is_not_remembered() {
    let storage = CredentialStorage::in_memory();
    let once = credential("me", Persistence::None);
    let at = url("https://example.com/");
    storage.succeeded(&basic(), &once, Means::Value(HeaderValue::from_static("x")), &at, vec!["/".into()]);
    assert!(storage.all_credentials().is_empty());
    assert!(storage.unasked(&at).is_none());
}

#[test]
fn what_a_proxy_took_is_not_for_servers() {
    let storage = CredentialStorage::in_memory();
    let proxy = ProtectionSpace::new("proxy", 3128, "http", AuthenticationMethod::Basic).on_proxy();
    took(&storage, &proxy, "me", "http://proxy:3128/", &["/"]);
    assert!(storage.default_credential(&proxy).is_some());
    assert_eq!(unasked(&storage, "http://proxy:3128/"), None);
}

#[test]
fn what_is_remembered_has_bounds() {
    let storage = CredentialStorage::in_memory();
    for number in 0..1500 {
        let host = format!("h{number}.example");
        let space = ProtectionSpace::new(&host, 443, "https", AuthenticationMethod::Basic);
        took(&storage, &space, "me", &format!("https://{host}/"), &["/"]);
    }
    let known =
        (0..1500).filter(|number| unasked(&storage, &format!("https://h{number}.example/")).is_some());
    assert_eq!(known.count(), 1000);
    for number in 0..100 {
        took(&storage, &basic(), "me", "https://example.com/", &[&format!("/{number}/")]);
        took(&storage, &basic().with_realm(number.to_string()), "you", "https://example.com/", &["/you"]);
        took(&storage, &basic(), "me", "https://example.com/", &[&format!("/{number}/")]);
    }
    assert_eq!(unasked(&storage, "https://example.com/99/").as_deref(), Some("me"));
    assert_eq!(unasked(&storage, "https://example.com/36/").as_deref(), Some("me"));
    assert_eq!(unasked(&storage, "https://example.com/35/"), None);
}

#[cfg(feature = "digest")]
mod digest {
    use super::*;
    use crate::proto::auth::challenges::challenges;
    use http::header::{HeaderMap, WWW_AUTHENTICATE};

    fn challenge(nonce: &str, more: &str) -> DigestChallenge {
        let text = format!("Digest realm=staff, nonce={nonce}, qop=auth{more}");
        let headers =
            HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::try_from(text).expect("a value"))]);
        let challenges = challenges(&headers, &WWW_AUTHENTICATE);
        DigestChallenge::of(challenges.first().expect("a challenge")).expect("one that can be answered")
    }

    fn session(storage: &CredentialStorage, user: &str, challenge: &DigestChallenge) -> Arc<DigestSession> {
        let credential = credential(user, Persistence::ForSession);
        let space = space(AuthenticationMethod::Digest);
        storage.digest_session(&space, &credential, challenge).expect("no error").expect("a session")
    }

    fn count(session: &DigestSession) -> String {
        let answer = session.authorize("GET", "/", None).expect("an answer");
        let text = answer.value.to_str().expect("text").to_owned();
        let part = |name: &str| {
            text.split_once(name).and_then(|(_, rest)| rest.split(',').next()).map(str::to_owned)
        };
        format!("{} {}", part("nonce=").expect("a nonce"), part("nc=").expect("a count"))
    }

    #[test]
    fn tasks_of_a_space_share_a_session() {
        let storage = CredentialStorage::in_memory();
        let one = session(&storage, "me", &challenge("n1", ""));
        assert_eq!(count(&one), "\"n1\" 00000001");
        // The server gives the same nonce to another task.
        let two = session(&storage, "me", &challenge("n1", ""));
        assert_eq!(count(&two), "\"n1\" 00000002");
        assert_eq!(count(&session(&storage, "me", &challenge("n2", ", stale=true"))), "\"n2\" 00000001");
        assert_eq!(count(&one), "\"n2\" 00000002");
        for other in [
            session(&storage, "you", &challenge("n2", "")),
            session(&storage, "me", &challenge("n2", ", algorithm=SHA-256")),
        ] {
            assert_eq!(count(&other), "\"n2\" 00000001");
        }
        let weak = Arc::downgrade(&one);
        drop((one, two));
        assert_eq!(weak.strong_count(), 0);
    }

    #[test]
    fn a_session_lives_on_in_what_goes_along() {
        let storage = CredentialStorage::in_memory();
        let one = session(&storage, "me", &challenge("n1", ""));
        count(&one);
        let space = space(AuthenticationMethod::Digest);
        let me = credential("me", Persistence::ForSession);
        let at = url("https://example.com/a");
        storage.succeeded(&space, &me, Means::Digest(one), &at, vec!["/".into()]);
        let proven = storage.unasked(&url("https://example.com/b")).expect("it");
        let Means::Digest(again) = &proven.means else { panic!("digest") };
        assert_eq!(count(again), "\"n1\" 00000002");
        assert!(Arc::ptr_eq(again, &session(&storage, "me", &challenge("n2", ""))));
    }

    #[test]
    fn what_is_no_user_has_none() {
        let token = Credential::token("x", Persistence::ForSession);
        let storage = CredentialStorage::in_memory();
        let space = space(AuthenticationMethod::Digest);
        assert!(storage.digest_session(&space, &token, &challenge("n", "")).expect("no error").is_none());
        let bad = credential("a\nb", Persistence::ForSession);
        assert!(storage.digest_session(&space, &bad, &challenge("n", "")).is_err());
    }
}
