//! The store of the cache as a program uses it: what it holds, in memory and in a directory, for itself and
//! for other processes.
#![cfg(unix)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;
use support::{Directory, Random, gzip, pattern};
use urlsession::{
    Bytes, Cache, CachedResponse, Configuration, ErrorKind, Request, Response, Session, StoragePolicy, http,
};

const URL: &str = "https://example.com/page?query";
const MIB: u64 = 1 << 20;

fn response(request: &Request, headers: &[(&str, &str)], body: impl Into<Bytes>) -> CachedResponse {
    let mut response = http::Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let response = response.body(body.into()).unwrap();
    CachedResponse::new(Response::from_http(response, request.get_url().unwrap().clone()))
}

fn store(cache: &Cache, request: &Request, headers: &[(&str, &str)], body: impl Into<Bytes>) {
    cache.store(&response(request, headers, body), request);
}

fn stored(cache: &Cache, request: impl Into<Request>) -> Option<Bytes> {
    cache.cached_response(&request.into()).map(|response| response.data().clone())
}

/// A cache of each kind, with what has to stay while it is used.
fn every_kind() -> Vec<(Cache, Option<Directory>)> {
    let in_directory = |memory| {
        let directory = Directory::new();
        (Cache::in_directory(directory.path(), memory, 20 * MIB).unwrap(), Some(directory))
    };
    vec![(Cache::in_memory(20 * MIB), None), in_directory(0), in_directory(20 * MIB)]
}

#[test]
fn what_is_stored_is_found_as_it_was() {
    for (cache, _directory) in every_kind() {
        let request = Request::get(URL);
        assert!(cache.cached_response(&request).is_none());
        let headers = [("x-thing", "one"), ("x-thing", "two"), ("content-length", "5")];
        store(&cache, &request, &headers, "hello");
        let found = cache.cached_response(&request).unwrap();
        assert_eq!(found.data(), "hello");
        assert_eq!(found.head().status(), 200);
        assert_eq!(found.head().url().as_str(), URL);
        assert_eq!(found.head().expected_content_length(), Some(5));
        let values: Vec<_> = found.head().headers().get_all("x-thing").iter().collect();
        assert_eq!(values, ["one", "two"]);

        store(&cache, &request, &[], "changed");
        assert_eq!(stored(&cache, URL).unwrap(), "changed");
        cache.remove(&request);
        assert_eq!(stored(&cache, URL), None);
        cache.remove(&request);
    }
}

#[test]
fn the_url_is_all_but_its_fragment() {
    for (cache, _directory) in every_kind() {
        store(&cache, &Request::get(URL), &[], "here");
        assert!(stored(&cache, "https://EXAMPLE.com:443/page?query#fragment").is_some());
        for other in [
            "http://example.com/page?query",
            "https://example.com:444/page?query",
            "https://example.org/page?query",
            "https://example.com/Page?query",
            "https://example.com/page",
            "https://example.com/page?",
            "https://me@example.com/page?query",
        ] {
            assert_eq!(stored(&cache, other), None, "{other}");
        }
        assert!(stored(&cache, Request::new("HEAD", URL)).is_some());
        assert_eq!(stored(&cache, Request::post(URL)), None);
        assert_eq!(stored(&cache, "not a URL"), None);
        store(&cache, &Request::post("https://example.com/form"), &[], "no");
        assert_eq!(stored(&cache, "https://example.com/form"), None);
    }
}

#[test]
fn vary_tells_responses_apart() {
    for (cache, _directory) in every_kind() {
        for language in ["de", "en"] {
            let request = Request::get(URL).header("accept-language", language);
            store(&cache, &request, &[("vary", "Accept-Language, X-Other")], language);
        }
        for language in ["de", "en"] {
            let request = Request::get(URL).header("accept-language", language);
            assert_eq!(stored(&cache, &request).unwrap(), language);
        }
        assert_eq!(stored(&cache, Request::get(URL).header("Accept-Language", " DE")).unwrap(), "de");
        assert_eq!(stored(&cache, Request::get(URL).header("accept-language", "fr")), None);
        assert_eq!(stored(&cache, URL).unwrap(), "en", "the newest of those that are not told apart");
        cache.remove(&Request::get(URL));
        assert_eq!(stored(&cache, Request::get(URL).header("accept-language", "de")), None);
    }
}

#[test]
fn what_nothing_selects_again_is_not_stored_and_secrets_are_not_written() {
    let directory = Directory::new();
    let cache = Cache::in_directory(directory.path(), MIB, MIB).unwrap();
    store(&cache, &Request::get(URL), &[("vary", "accept, *")], "x");
    assert_eq!(stored(&cache, URL), None);
    let request = Request::get(URL).header("cookie", "id=hidden");
    store(&cache, &request, &[("vary", "cookie")], "mine");
    assert_eq!(stored(&cache, &request).unwrap(), "mine");
    assert_eq!(stored(&cache, Request::get(URL).header("cookie", "id=another")), None);
    assert!(directory.names().is_empty());
}

#[test]
fn a_part_is_only_for_who_asks_for_it() {
    for (cache, _directory) in every_kind() {
        let request = Request::get(URL).header("range", "bytes=0-4");
        let part = http::Response::builder().status(206).body(Bytes::from("hello")).unwrap();
        let part = Response::from_http(part, request.get_url().unwrap().clone());
        cache.store(&CachedResponse::new(part), &request);
        assert_eq!(stored(&cache, &request).unwrap(), "hello");
        assert_eq!(stored(&cache, URL), None);
        assert_eq!(stored(&cache, Request::get(URL).header("range", "bytes=1-4")), None);
    }
}

#[cfg(feature = "gzip")]
#[test]
fn what_is_encoded_comes_decoded() {
    let body = pattern(300_000);
    for (cache, _directory) in every_kind() {
        let request = Request::get(URL);
        store(&cache, &request, &[("content-encoding", "gzip")], gzip(&body));
        let found = cache.cached_response(&request).unwrap();
        assert!(*found.data() == body);
        assert_eq!(found.head().expected_content_length(), None);
        // What comes out goes in again.
        cache.store(&found, &request);
        let again = cache.cached_response(&request).unwrap();
        assert!(*again.data() == body);
        assert_eq!(again.head().header("content-encoding"), None);
        // What is not what it says is nothing.
        store(&cache, &request, &[("content-encoding", "gzip")], "plain");
        assert_eq!(stored(&cache, URL), None);
    }
}

#[test]
fn policies_say_where() {
    let directory = Directory::new();
    let cache = Cache::in_directory(directory.path(), MIB, MIB).unwrap();
    let request = Request::get(URL);
    let secret = response(&request, &[], "secret");
    cache.store(&secret.clone().with_storage_policy(StoragePolicy::NotAllowed), &request);
    assert_eq!(stored(&cache, URL), None);
    cache.store(&secret.with_storage_policy(StoragePolicy::AllowedInMemoryOnly), &request);
    assert_eq!(stored(&cache, URL).unwrap(), "secret");
    assert_eq!((cache.current_disk_usage(), directory.names().len()), (0, 0));
    assert!(cache.current_memory_usage() > 6);
    store(&cache, &request, &[], "public");
    assert_eq!(stored(&cache, URL).unwrap(), "public");
    assert_eq!((cache.current_disk_usage(), directory.names().len()), (4096, 1));
}

#[test]
fn capacities_are_kept() {
    let directory = Directory::new();
    let cache = Cache::in_directory(directory.path(), MIB, MIB).unwrap();
    assert_eq!((cache.memory_capacity(), cache.disk_capacity()), (MIB, MIB));
    let request = |number: usize| Request::get(format!("https://example.com/{number}"));
    for number in 0..100 {
        store(&cache, &request(number), &[], pattern(40_000));
        assert!(cache.current_memory_usage() <= MIB && cache.current_disk_usage() <= MIB);
    }
    let there = |cache: &Cache| (0..100).filter(|&number| stored(cache, request(number)).is_some()).count();
    assert_eq!(there(&cache), 25, "of 40 KiB each");
    store(&cache, &request(1000), &[], pattern(MIB as usize / 20 + 1));
    assert!(stored(&cache, request(1000)).is_none(), "more than a twentieth");
    assert_eq!(there(&cache), 25);
    cache.set_memory_capacity(0);
    assert_eq!((cache.current_memory_usage(), there(&cache)), (0, 25));
    cache.set_disk_capacity(MIB / 2);
    assert!(cache.current_disk_usage() <= MIB / 2);
    assert_eq!((there(&cache), directory.names().len()), (12, 12));
    cache.set_disk_capacity(0);
    assert_eq!((cache.current_disk_usage(), there(&cache), directory.names().len()), (0, 0, 0));
    store(&cache, &request(0), &[], "x");
    assert_eq!(there(&cache), 0);
    cache.set_memory_capacity(MIB);
    store(&cache, &request(0), &[], "x");
    assert_eq!((there(&cache), directory.names().len()), (1, 0));

    let cache = Cache::in_memory(MIB);
    cache.set_disk_capacity(MIB);
    assert_eq!((cache.disk_capacity(), cache.current_disk_usage()), (0, 0));
}

#[test]
fn only_what_is_young_is_removed() {
    for (cache, _directory) in every_kind() {
        store(&cache, &Request::get("https://example.com/1"), &[], "1");
        let between = SystemTime::now();
        store(&cache, &Request::get("https://example.com/2"), &[], "2");
        cache.remove_since(between);
        assert!(stored(&cache, "https://example.com/1").is_some());
        assert!(stored(&cache, "https://example.com/2").is_none());
        cache.remove_since(SystemTime::UNIX_EPOCH);
        assert!(stored(&cache, "https://example.com/1").is_none());
        assert_eq!(cache.current_memory_usage() + cache.current_disk_usage(), 0);
    }
}

#[test]
fn a_directory_outlives_its_cache_and_files_of_others_in_it() {
    let directory = Directory::new();
    let path = directory.join("made/on/the/way");
    for body in [pattern(10), pattern(50_000), pattern(400_000)] {
        let cache = Cache::in_directory(&path, MIB, 20 * MIB).unwrap();
        store(&cache, &Request::get(URL), &[], body.clone());
        drop(cache);
        fs::write(path.join("notes.txt"), "mine").unwrap();
        let cache = Cache::in_directory(&path, MIB, 20 * MIB).unwrap();
        assert!(stored(&cache, URL).unwrap() == body);
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let is_mine = entry.file_name() == "notes.txt";
            let mode = entry.metadata().unwrap().permissions().mode();
            assert!(is_mine || mode & 0o077 == 0, "{entry:?} has {mode:o}");
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        cache.remove_all();
        assert_eq!(stored(&cache, URL), None);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "the notes");
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error_at_once() {
    let directory = Directory::new();
    let file = directory.join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below"), "/proc/none".into()] {
        let error = Cache::in_directory(&path, MIB, MIB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotCreateFile, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let session = Session::builder().configuration(Configuration::default().storage_directory(&file));
    assert!(session.try_build().is_err());
}

#[test]
fn sessions_have_the_cache_of_their_directory() {
    let directory = Directory::new();
    let configuration = Configuration::default().storage_directory(directory.path());
    assert!(configuration.get_cache().is_none());
    let session = Session::builder().configuration(configuration).try_build().unwrap();
    assert!(directory.join("cache").is_dir());
    session.invalidate_and_cancel();
    let directory = Directory::new();
    let ephemeral = Configuration::ephemeral().storage_directory(directory.path());
    let session = Session::builder().configuration(ephemeral).try_build().unwrap();
    assert!(directory.names().is_empty());
    session.invalidate_and_cancel();
}

#[test]
fn damage_anywhere_is_a_miss() {
    let directory = Directory::new();
    let mut random = Random(88_172_645_463_325_252);
    for length in [0, 1000, 100_000, 400_000] {
        let body = pattern(length);
        let write = || {
            let cache = Cache::in_directory(directory.path(), 0, 20 * MIB).unwrap();
            store(&cache, &Request::get(URL), &[("etag", "\"v1\"")], body.clone());
            directory.join(&directory.names()[0])
        };
        let good = fs::read(write()).unwrap();
        for _ in 0..60 {
            let path = write();
            let mut bad = good.clone();
            for _ in 0..1 + random.below(3) {
                bad[random.below(good.len() as u64) as usize] ^= 1 << random.below(8);
            }
            fs::write(&path, &bad).unwrap();
            let cache = Cache::in_directory(directory.path(), 0, 20 * MIB).unwrap();
            // Two flips may be of the same bit.
            assert!(stored(&cache, URL).is_none_or(|found| bad == good && found == body));
        }
        fs::remove_file(write()).unwrap();
    }
}
