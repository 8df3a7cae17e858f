//! What nginx and Apache httpd let be kept, and how they say that it is still good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::Instant;
use urlsession::{
    Bytes, Cache, CachePolicy, CacheStatus, ErrorKind, Request, ResourceFetchType, Response, Session,
};
use urlsession_interop::{PATIENCE, configuration, contents, path, url};

const ALL: [&str; 4] = ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"];
const NGINX: [&str; 2] = ["NGINX", "NGINX_TLS"];
const APACHE: [&str; 2] = ["APACHE", "APACHE_TLS"];

fn with_cache() -> Session {
    Session::new(configuration().cache(Cache::in_memory(10 << 20)))
}

/// A response, and what the cache did.
fn load(session: &Session, request: impl Into<Request>) -> (Response<Bytes>, CacheStatus) {
    let task = session.data_task(request);
    let response = task.wait().unwrap();
    let metrics = task.metrics().unwrap();
    let last = metrics.transactions().last().unwrap();
    let status = last.cache_status().unwrap();
    // What the server has found to be good still comes from the cache.
    let is_local = last.resource_fetch_type() == ResourceFetchType::LocalCache;
    assert!(is_local || !status.is_hit(), "{status}");
    (response, status)
}

fn get(server: &str, path: &str) -> Request {
    Request::get(url(server, path))
}

/// Which request of the server's this is the answer to.
fn served(response: &Response<Bytes>) -> &str {
    response.header("x-served").unwrap()
}

#[test]
fn what_has_a_time_is_asked_for_once() {
    for server in ALL {
        let session = with_cache();
        let (first, status) = load(&session, get(server, "/fresh/text.txt"));
        assert!(!status.is_hit() && status.is_stored(), "{server}: {status}");
        for _ in 0..3 {
            let (again, status) = load(&session, get(server, "/fresh/text.txt"));
            assert!(status.is_hit() && status.time_to_live() > Some(3500), "{server}: {status}");
            assert_eq!(served(&again), served(&first), "{server}");
            assert!(again.bytes() == &contents("www/text.txt") && again.headers().contains_key("age"));
        }
        // Another URL is another resource, and a session of its own knows nothing.
        assert!(!load(&session, get(server, "/fresh/text.txt?x")).1.is_hit());
        assert!(!load(&with_cache(), get(server, "/fresh/text.txt")).1.is_hit());
    }
}

#[test]
fn what_is_to_be_checked_is_checked_by_its_validator() {
    let paths = ["/checked/text.txt", "/expired/text.txt", "/checked-dated/text.txt", "/dated/text.txt"];
    for (server, path) in NGINX
        .iter()
        .flat_map(|server| paths.map(|path| (*server, path)))
        .chain(APACHE.map(|server| (server, paths[0])))
    {
        let session = with_cache();
        let request = || get(server, path).cache_policy(CachePolicy::ReloadRevalidating);
        let (first, _) = load(&session, request());
        let (again, status) = load(&session, request());
        assert_eq!(
            status.forwarded_status().map(|status| status.as_u16()),
            Some(304),
            "{server}{path}: {status}"
        );
        assert_eq!(again.status(), 200);
        assert!(again.bytes() == &contents("www/text.txt"), "{server}{path}");
        // What the 304 said is in the headers.
        if path != "/dated/text.txt" {
            assert_ne!(served(&again), served(&first), "{server}{path}");
        }
    }
}

#[test]
fn what_has_changed_comes_anew() {
    for server in ALL {
        let file = format!("changed-{server}.txt");
        fs::write(path(&format!("www/{file}")), "before").unwrap();
        let session = with_cache();
        let target = format!("/checked/{file}");
        assert_eq!(load(&session, get(server, &target)).0.bytes(), "before");
        fs::write(path(&format!("www/{file}")), "and after it").unwrap();
        let (again, status) = load(&session, get(server, &target));
        assert_eq!(
            (again.bytes().as_ref(), status.forwarded_status()),
            (&b"and after it"[..], None),
            "{server}"
        );
        assert_eq!(load(&session, get(server, &target)).0.bytes(), "and after it", "{server}");
    }
}

#[test]
fn what_varies_is_kept_apart() {
    for server in NGINX {
        let session = with_cache();
        let ask = |language: &str| load(&session, get(server, "/varied").header("accept-language", language));
        let (german, english) = (ask("de").0, ask("en").0);
        assert_ne!(german.bytes(), english.bytes());
        for (language, expected) in [("de", &german), ("en", &english), ("de", &german)] {
            let (again, status) = ask(language);
            assert!(status.is_hit(), "{server}: {status}");
            assert_eq!(again.bytes(), expected.bytes(), "{server}");
        }
        assert!(!ask("fr").1.is_hit());
    }
    for server in APACHE {
        let session = with_cache();
        let ask = |language: &str| {
            load(&session, get(server, "/language/greeting").header("accept-language", language))
        };
        for (language, expected) in [("de", "Guten Tag\n"), ("en", "Good day\n")] {
            for is_hit in [false, true] {
                let (response, status) = ask(language);
                assert_eq!(response.text().unwrap(), expected, "{server}");
                assert_eq!(status.is_hit(), is_hit, "{server}, {language}: {status}");
            }
        }
    }
}

#[test]
fn what_came_compressed_is_kept_so() {
    for server in NGINX {
        let cache = Cache::in_memory(10 << 20);
        let session = Session::new(configuration().cache(cache.clone()));
        let request = || get(server, "/fresh-gzip/text.txt");
        for is_hit in [false, true, true] {
            let (response, status) = load(&session, request());
            assert_eq!(status.is_hit(), is_hit, "{server}: {status}");
            assert!(response.bytes() == &contents("www/text.txt"), "{server}");
            assert_eq!(response.header("content-encoding"), Some("gzip"));
        }
        assert!(cache.current_memory_usage() < contents("www/text.txt").len() as u64 / 3);
        // Who cannot have it compressed gets another one.
        let (plain, status) = load(&session, request().header("accept-encoding", "identity"));
        assert!(!status.is_hit() && plain.header("content-encoding").is_none(), "{server}: {status}");
    }
}

#[test]
fn parts_come_from_the_whole() {
    let expected = contents("www/text.txt");
    for server in ALL {
        let session = with_cache();
        let plain = || get(server, "/fresh/text.txt").header("accept-encoding", "identity");
        load(&session, plain());
        let (part, status) = load(&session, plain().header("range", "bytes=100-199"));
        assert!(status.is_hit(), "{server}: {status}");
        assert_eq!((part.status().as_u16(), part.bytes().as_ref()), (206, &expected[100..200]), "{server}");
        let etag = part.header("etag").unwrap().to_owned();
        let (part, _) =
            load(&session, plain().header("range", "bytes=-10").header("if-range", etag.as_str()));
        assert_eq!((part.status().as_u16(), part.bytes().as_ref()), (206, &expected[expected.len() - 10..]));
    }
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    for server in NGINX {
        let session = with_cache();
        let first = load(&session, get(server, "/unstored")).0;
        let (again, status) = load(&session, get(server, "/unstored"));
        assert!(!status.is_hit() && again.bytes() != first.bytes(), "{server}: {status}");
        // An unsafe method does away with what is there.
        let first = load(&session, get(server, "/changing")).0;
        assert_eq!(load(&session, get(server, "/changing")).0.bytes(), first.bytes());
        load(&session, Request::post(url(server, "/changing")));
        assert_ne!(load(&session, get(server, "/changing")).0.bytes(), first.bytes(), "{server}");
    }
}

#[test]
fn what_is_stale_is_used_while_a_new_one_is_fetched() {
    for server in NGINX {
        let session = with_cache();
        let first = load(&session, get(server, "/stale")).0;
        let (second, status) = load(&session, get(server, "/stale"));
        assert!(status.is_hit() && second.bytes() == first.bytes(), "{server}: {status}");
        let end = Instant::now() + PATIENCE;
        // Each of these may begin another one, but the one that was begun comes in.
        while load(&session, get(server, "/stale")).0.bytes() == first.bytes() {
            assert!(Instant::now() < end, "{server}: nobody fetches a new one");
        }
    }
}

#[test]
fn what_is_stale_is_better_than_an_error() {
    for (number, server) in APACHE.into_iter().enumerate() {
        let session = with_cache();
        let name = ["plain", "tls"][number];
        let request = || get(server, &format!("/cgi/flaky?{name}"));
        let first = load(&session, request()).0;
        let second = load(&session, request()).0;
        assert_ne!(first.bytes(), second.bytes(), "{server}: it is stale at once");
        fs::write(path(&format!("downloads/broken-{name}")), "").unwrap();
        let (third, status) = load(&session, request());
        assert_eq!((third.status().as_u16(), third.bytes()), (200, second.bytes()), "{server}: {status}");
        assert_eq!(load(&with_cache(), request()).0.status(), 503);
        fs::remove_file(path(&format!("downloads/broken-{name}"))).unwrap();
        assert_ne!(load(&session, request()).0.bytes(), second.bytes());
    }
}

#[test]
fn files_outlive_the_session() {
    for server in ALL {
        let directory = path(&format!("cache-{server}"));
        let in_files =
            || Session::new(configuration().cache(Cache::in_directory(&directory, 0, 10 << 20).unwrap()));
        let (first, status) = load(&in_files(), get(server, "/fresh/text.txt"));
        assert!(!status.is_hit());
        let second = in_files();
        let (again, status) = load(&second, get(server, "/fresh/text.txt"));
        assert!(status.is_hit() && served(&again) == served(&first), "{server}: {status}");
        assert!(again.bytes() == &contents("www/text.txt"));
        let only = get(server, "/fresh/empty.txt").cache_policy(CachePolicy::ReturnCacheDontLoad);
        let error = second.data_task(only).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceUnavailable, "{server}");
    }
}
