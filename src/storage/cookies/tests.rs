use super::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering as Atomic};
use std::time::Duration;

/// A directory that goes with its guard.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Atomic::Relaxed);
        let path = std::env::temp_dir().join(format!("urlsession-cookies-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }

    /// The storage as another process has it: with nothing in common but the file.
    fn as_another(&self) -> CookieStorage {
        let journal = Journal::open(self.0.join(FILE), KIND).expect("a journal");
        CookieStorage(Arc::new(Inner::new(Some(journal))))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lasting(name: &str, value: &str) -> Cookie {
    let builder = Cookie::builder(name, value).host("example.com");
    builder.max_age(Duration::from_secs(1000)).build().expect("a cookie")
}

fn shown(storage: &CookieStorage) -> String {
    let pairs = storage.cookies().into_iter().map(|cookie| format!("{}={}", cookie.name, cookie.value));
    pairs.collect::<Vec<_>>().join(" ")
}

#[test]
fn one_storage_a_directory_and_process() {
    let directory = Directory::new();
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    let again = CookieStorage::in_directory(directory.0.join(".")).expect("a storage");
    assert!(Arc::ptr_eq(&storage.0, &again.0));
    let other = CookieStorage::in_directory(directory.0.join("other")).expect("a storage");
    assert!(!Arc::ptr_eq(&storage.0, &other.0));
    assert!(CookieStorage::in_directory("/dev/null").is_err());
}

#[test]
fn what_has_an_end_outlives_the_storage() {
    let directory = Directory::new();
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    storage.set_cookie(lasting("a", "1"));
    storage.set_cookie(Cookie::new("session", "1", "example.com").expect("a cookie"));
    storage.set_cookie(lasting("b", "1"));
    storage.set_cookie(lasting("c", "1"));
    storage.delete_cookie(&lasting("b", "whatever"));
    storage.flush().expect("on the disk");
    assert_eq!(shown(&storage), "a=1 session=1 c=1");
    drop(storage);
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    assert_eq!(shown(&storage), "a=1 c=1");
    storage.remove_all();
    assert_eq!(shown(&storage), "");
    assert_eq!(shown(&directory.as_another()), "");
    storage.set_cookie(lasting("d", "1"));
    assert_eq!(shown(&directory.as_another()), "d=1");
}

#[test]
fn processes_hear_of_each_other() {
    let directory = Directory::new();
    let one = CookieStorage::in_directory(&directory.0).expect("a storage");
    let other = directory.as_another();
    one.set_cookie(lasting("a", "1"));
    one.set_cookie(Cookie::new("own", "1", "example.com").expect("a cookie"));
    assert_eq!(shown(&other), "a=1");
    other.set_cookie(lasting("a", "2"));
    other.set_cookie(lasting("b", "2"));
    assert_eq!(shown(&one), "a=2 own=1 b=2");
    one.delete_cookie(&lasting("b", ""));
    assert_eq!(shown(&other), "a=2");
    other.remove_all();
    assert_eq!(shown(&one), "own=1");
    other.set_cookie(lasting("c", "3"));
    let url = Url::parse("http://example.com/").expect("a URL");
    let header = one.header_for(&url, None, |_| false).expect("cookies");
    assert_eq!(header, "own=1; c=3");
    // What becomes one of the session is none of the others'.
    one.set_cookie(Cookie::new("c", "4", "example.com").expect("a cookie"));
    assert_eq!((shown(&one).as_str(), shown(&other).as_str()), ("own=1 c=4", ""));
    one.remove_cookies_since(SystemTime::UNIX_EPOCH);
    assert_eq!(shown(&one), "");
}

#[test]
fn the_file_stays_small_however_often_a_cookie_is_set() {
    let directory = Directory::new();
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    let other = directory.as_another();
    let long = "x".repeat(1000);
    for round in 0..500 {
        storage.set_cookie(lasting("a", &format!("{round}{long}")));
        other.set_cookie(lasting(&format!("b{}", round % 10), &long));
    }
    let length = std::fs::metadata(directory.0.join(FILE)).expect("a file").len();
    assert!(length < 200_000, "{length} bytes");
    let another = directory.as_another();
    assert_eq!(another.cookies().len(), 11);
    assert_eq!(shown(&another), shown(&storage));
    assert!(shown(&another).contains("a=499x"));
}

#[test]
fn a_damaged_file_is_set_aside() {
    let directory = Directory::new();
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    storage.set_cookie(lasting("a", "1"));
    drop(storage);
    let path = directory.0.join(FILE);
    let mut bytes = std::fs::read(&path).expect("a file");
    for byte in bytes.iter_mut().take(20) {
        *byte ^= 0x55;
    }
    std::fs::write(&path, bytes).expect("a file");
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    assert_eq!(shown(&storage), "");
    storage.set_cookie(lasting("b", "2"));
    assert_eq!(shown(&directory.as_another()), "b=2");
    assert!(path.with_file_name("cookies.corrupt").exists());
}

#[test]
fn a_record_that_says_nothing_is_left_out() {
    let directory = Directory::new();
    let storage = CookieStorage::in_directory(&directory.0).expect("a storage");
    let journal = Journal::open(directory.0.join(FILE), KIND).expect("a journal");
    journal.append(&[&b"\x09nonsense"[..], b"", b"\x01"]).expect("written");
    storage.set_cookie(lasting("a", "1"));
    assert_eq!((shown(&storage).as_str(), shown(&directory.as_another()).as_str()), ("a=1", "a=1"));
}

#[test]
fn policies() {
    let url = |text: &str| Url::parse(text).expect(text);
    let (page, same, other) =
        (url("https://www.example.com/"), url("http://cdn.example.com/"), url("https://example.org/"));
    for (policy, by, taken) in [
        (CookieAcceptPolicy::Always, Some(&other), true),
        (CookieAcceptPolicy::Never, None, false),
        (CookieAcceptPolicy::OnlyFromMainDocumentDomain, None, true),
        (CookieAcceptPolicy::OnlyFromMainDocumentDomain, Some(&page), true),
        (CookieAcceptPolicy::OnlyFromMainDocumentDomain, Some(&other), false),
    ] {
        let storage = CookieStorage::in_memory();
        storage.set_accept_policy(policy);
        let cookies = [Cookie::new("a", "1", "cdn.example.com").expect("a cookie")];
        storage.set_cookies(cookies.clone(), &same, by);
        assert_eq!(storage.cookies().len(), usize::from(taken), "{policy:?} {by:?}");
        storage.set_cookie(Cookie::new("b", "1", "example.com").expect("a cookie"));
        let own = policy != CookieAcceptPolicy::Never;
        assert_eq!(storage.cookies().len(), usize::from(taken) + usize::from(own));
    }
}

#[test]
fn public_suffixes_can_be_others() {
    let storage = CookieStorage::in_memory();
    let url = Url::parse("https://a.host.example/").expect("a URL");
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", HeaderValue::from_static("a=1; Domain=host.example"));
    let store = || storage.store(&headers, &url, None, CookieAcceptPolicy::Always, SystemTime::now());
    store();
    assert_eq!(storage.cookies_for(&url).len(), 1);
    let error = storage.set_public_suffixes("example\n<html>").expect_err("no list");
    assert_eq!(error.kind(), ErrorKind::CannotDecodeRawData);
    assert!(error.to_string().contains("line 2"), "{error}");
    storage.set_public_suffixes("example\nhost.example").expect("a list");
    assert_eq!(storage.cookies_for(&url), []);
    storage.remove_all();
    store();
    assert_eq!(storage.cookies(), []);
}

#[test]
fn netscape_files_of_any_kind_are_read_within_bounds() {
    let storage = CookieStorage::in_memory();
    let line = |name: &str, ends: u64| format!("example.com\tFALSE\t/\tFALSE\t{ends}\t{name}\tb");
    let file = format!(
        "# a comment\n\n{}\r\n{}\n{}\nnonsense\n{}\n{}",
        line("a", 0),
        line("over", 1),
        "x".repeat(40_000),
        line(&"n".repeat(5000), 0),
        line("last", 99_999_999_999)
    );
    let import = storage.import_netscape(file.as_bytes()).expect("a file");
    assert_eq!(import, CookieImport { imported: 2, expired: 1, skipped: 3 });
    assert_eq!(shown(&storage), "a=b last=b");
    let many: String = (0..5000).map(|number| line(&format!("c{number}"), 0) + "\n").collect();
    assert_eq!(storage.import_netscape(many.as_bytes()).expect("a file").imported, 5000);
    assert_eq!(storage.cookies().len(), 180);
    let error = storage.import_netscape(std::io::repeat(b'x')).expect_err("no end");
    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum);
    let error = storage.import_netscape_file("/nowhere/cookies").expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::FileDoesNotExist);
}

#[test]
fn a_netscape_file_is_written_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    std::fs::create_dir(&directory.0).expect("a directory");
    let path = directory.0.join("cookies.txt");
    let storage = CookieStorage::in_memory();
    storage.set_cookie(lasting("a", "1"));
    storage.set_cookie(Cookie::new("", "nameless", "example.com").expect("a cookie"));
    assert_eq!(storage.export_netscape_file(&path).expect("written"), 1);
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let copy = CookieStorage::in_memory();
    assert_eq!(copy.import_netscape_file(&path).expect("a file").imported, 1);
    assert_eq!(shown(&copy), "a=1");
    let failed = storage.export_netscape_file(directory.0.join("none/cookies.txt"));
    assert_eq!(failed.expect_err("no directory").kind(), ErrorKind::CannotWriteToFile);
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let directory = Directory::new();
    std::fs::create_dir(&directory.0).expect("a directory");
    let path = directory.0.join("null");
    std::os::unix::fs::symlink("/dev/null", &path).expect("a link");
    let storage = CookieStorage::in_memory();
    storage.set_cookie(lasting("a", "1"));
    assert_eq!(storage.export_netscape_file(&path).expect("written"), 1);
    assert!(path.is_symlink(), "it was replaced by a file");
}

#[test]
fn nothing_secret_is_shown() {
    let storage = CookieStorage::in_memory();
    storage.set_cookie(lasting("a", "secret"));
    assert!(!format!("{storage:?} {:?}", storage.cookies()).contains("secret"));
}
