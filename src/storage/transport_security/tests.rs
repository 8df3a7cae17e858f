use super::*;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes with its guard.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("urlsession-hsts-{}-{number}", std::process::id()));
        Directory(path)
    }

    /// What another process would open.
    fn open(&self) -> HstsStorage {
        let journal = Journal::open(make(&self.0).unwrap().join(FILE), KIND).unwrap();
        HstsStorage(Arc::new(Inner { hosts: Mutex::default(), journal: Some(journal) }))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn note(storage: &HstsStorage, from: &str, field: &str) {
    storage.note(&url(from), field.as_bytes(), SystemTime::now());
}

fn upgraded(storage: &HstsStorage, from: &str) -> String {
    let url = url(from);
    storage.upgraded(&url, SystemTime::now).unwrap_or(url).into()
}

#[test]
fn what_a_server_asks_for_is_done() {
    let storage = HstsStorage::in_memory();
    note(&storage, "https://a.test/", "max-age=1000; includeSubDomains");
    note(&storage, "https://b.test/", "max-age=1000; includeSubDomains=1");
    note(&storage, "https://127.0.0.1/", "max-age=1000");
    assert_eq!(upgraded(&storage, "http://a.test/x"), "https://a.test/x");
    assert_eq!(upgraded(&storage, "http://www.a.test.:8080/"), "https://www.a.test.:8080/");
    assert_eq!(upgraded(&storage, "http://b.test/"), "http://b.test/");
    assert_eq!(upgraded(&storage, "http://127.0.0.1/"), "http://127.0.0.1/");
    assert_eq!(upgraded(&storage, "own://a.test/"), "own://a.test/");
    let later = SystemTime::now() + Duration::from_secs(1001);
    assert_eq!(storage.upgraded(&url("http://a.test/"), || later), None);
    assert_eq!(storage.hosts().len(), 1);
    note(&storage, "https://a.test/", "max-age=0");
    assert_eq!(upgraded(&storage, "http://a.test/x"), "http://a.test/x");
}

#[test]
fn it_is_there_the_next_time_and_for_others() {
    let directory = Directory::new();
    let (first, second) = (directory.open(), directory.open());
    note(&first, "https://a.test/", "max-age=1000");
    note(&second, "https://b.test/", "max-age=1000");
    for storage in [&first, &second, &directory.open()] {
        assert!(storage.covers("a.test") && storage.covers("b.test"));
    }
    assert!(first.remove("A.test."));
    assert!(!first.remove("a.test"));
    assert!(!second.covers("a.test"));
    second.remove_all();
    assert!(!first.covers("b.test"));
    assert!(directory.open().hosts().is_empty());
}

#[test]
fn a_process_has_one_for_a_directory() {
    let directory = Directory::new();
    let first = HstsStorage::in_directory(&directory.0).unwrap();
    let second = HstsStorage::in_directory(&directory.0).unwrap();
    assert!(Arc::ptr_eq(&first.0, &second.0));
    let file = directory.0.join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(HstsStorage::in_directory(file).unwrap_err().kind(), ErrorKind::CannotCreateFile);
}

#[test]
fn the_file_does_not_grow_with_what_is_said_again() {
    let directory = Directory::new();
    let storage = directory.open();
    for number in 0..5000 {
        note(&storage, "https://a.test/", &format!("max-age={}", 1000 + number % 2 * 1000));
    }
    let len = fs::metadata(directory.0.join(FILE)).unwrap().len();
    assert!(len < 140_000, "{len}");
    assert!(directory.open().covers("a.test"));
    assert_eq!(directory.open().hosts(), storage.hosts());
}

#[test]
fn curls_file_goes_in_and_out() {
    let storage = HstsStorage::in_memory();
    let file = ".a.test \"29991231 23:59:59\"\nold.test \"20001231 23:59:59\"\nnonsense\n";
    assert_eq!(storage.import(file.as_bytes()).unwrap(), 1);
    let mut written = Vec::new();
    assert_eq!(storage.export(&mut written).unwrap(), 1);
    assert!(String::from_utf8(written).unwrap().ends_with("\n.a.test \"29991231 23:59:59\"\n"));
}

#[test]
fn hosts_have_names() {
    let now = SystemTime::now();
    for name in ["", ".", "127.0.0.1", "[::1]", "localhost", "a.localhost", "a b", "http://a", ".a.test"] {
        assert_eq!(HstsHost::new(name, now).unwrap_err().kind(), ErrorKind::BadUrl, "{name}");
    }
    assert!(HstsHost::new(format!("{}.test", "a.".repeat(130)), now).is_err());
    let host = HstsHost::new("BÜCHER.test.", now).unwrap();
    assert_eq!(host.name(), "xn--bcher-kva.test");
    assert!(host.expires() <= now);
}
