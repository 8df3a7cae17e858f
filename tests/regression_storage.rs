//! What once went wrong with what sessions remember, one test each: cookies, the cache, and their files.
#![cfg(all(feature = "tls", feature = "gzip"))]

mod support;

use std::fs;
use std::sync::Arc;
use support::harness::aside;
use support::{Directory, Gate, Received, Reply, Server, configuration_for};
use urlsession::{
    Bytes, Cache, CacheDecision, CachePolicy, CachedResponse, Challenge, ChallengeDisposition, Cookie,
    CookieStorage, Credential, CredentialStorage, Delegate, Error, Persistence, Request, Response, Session,
    StoragePolicy, TaskEvent,
};

fn get(session: &Session, request: impl Into<Request>) -> Result<Response<Bytes>, Error> {
    session.data_task(request).wait()
}

fn text(session: &Session, request: impl Into<Request>) -> String {
    get(session, request).expect("a response").text().expect("text").into_owned()
}

/// Answers every challenge with a credential.
struct Knows(Credential);

impl Delegate for Knows {
    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        match challenge.previous_failure_count() {
            0 => ChallengeDisposition::UseCredential(Some(self.0.clone())),
            _ => ChallengeDisposition::PerformDefaultHandling,
        }
    }
}

/// Tells everybody who they are, and lets it be kept.
fn guarded(request: &Received) -> Reply {
    match request.header("authorization") {
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"staff\""),
        Some(user) => Reply::ok(user.to_owned()),
    }
    .header("Cache-Control", "max-age=60")
}

// what was answered to a credential that the loader had added was stored as if for everybody.
#[test]
fn the_answer_to_a_challenged_user_is_not_for_another() {
    let server = Server::start(guarded);
    let cache = Cache::in_memory(1 << 20);
    let mut seen = Vec::new();
    for user in ["one", "two"] {
        let configuration = configuration_for(&server)
            .cache(cache.clone())
            .credential_storage(CredentialStorage::in_memory());
        let credential = Credential::new(user, "secret", Persistence::ForSession);
        let session = Session::builder().configuration(configuration).delegate(Knows(credential)).build();
        let task = session.data_task(server.url("/"));
        seen.push(task.wait().expect("a response").text().unwrap().into_owned());
        let before = server.requests().len();
        assert_eq!(text(&session, server.url("/")), seen[seen.len() - 1], "the same user");
        assert_eq!(server.requests().len(), before, "from the cache");
    }
    assert_ne!(seen[0], seen[1], "the pages of one user were given to another");
}

#[test]
fn the_answer_to_one_password_is_not_for_another() {
    let server = Server::start(guarded);
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    let url = |password: &str| server.url("/").replace("://", &format!("://me:{password}@"));
    let right = text(&session, url("right"));
    assert_ne!(text(&session, url("wrong")), right);
}

// a 401 that says how long it lasts was the answer to everybody, also to those who had a password by then.
#[test]
fn a_refusal_is_not_kept() {
    let server = Server::start(guarded);
    let configuration = configuration_for(&server).cache(Cache::in_memory(1 << 20)).credential_storage(None);
    let nobody = Session::new(configuration.clone());
    assert_eq!(get(&nobody, server.url("/")).expect("a response").status(), 401);
    let credential = Credential::new("me", "secret", Persistence::None);
    let somebody = Session::builder().configuration(configuration).delegate(Knows(credential)).build();
    assert_eq!(get(&somebody, server.url("/")).expect("a response").status(), 200);
}

// who has logged in still got the page of who has not.
#[test]
fn the_answer_to_nobody_is_not_for_somebody() {
    let server = Server::start(|request: &Received| {
        let control = if request.path() == "/public" { "public, max-age=60" } else { "max-age=60" };
        Reply::ok(request.header("authorization").unwrap_or("nobody").to_owned())
            .header("Cache-Control", control)
    });
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    for (path, expected) in [("/", "Bearer me"), ("/public", "nobody")] {
        assert_eq!(text(&session, server.url(path)), "nobody");
        let request = Request::get(server.url(path)).header("authorization", "Bearer me");
        assert_eq!(text(&session, request), expected, "{path}");
    }
}

/// Stores as it would be anyway, but says so with a response of its own.
struct StoresAs;

impl Delegate for StoresAs {
    fn will_cache_response(&self, _: &TaskEvent<'_>, response: &CachedResponse) -> CacheDecision {
        CacheDecision::StoreAs(response.clone().with_storage_policy(StoragePolicy::Allowed))
    }
}

// a response that the delegate had stored forgot what it was selected by, as far as the session had added
// that: it was for everybody, and came into a file.
#[test]
fn what_a_delegate_stores_is_selected_as_it_was() {
    let server = Server::start(|request: &Received| {
        let name = if request.path() == "/cookie" { "cookie" } else { "accept-language" };
        Reply::ok(request.header(name).unwrap_or_default().to_owned())
            .header("Vary", name)
            .header("Cache-Control", "max-age=60")
    });
    let directory = Directory::new();
    let cache = Cache::in_directory(directory.path(), 1 << 20, 1 << 20).expect("a cache");
    let session = |language: &str| {
        let cookies = CookieStorage::in_memory();
        let url = urlsession::Url::parse(&server.url("/")).unwrap();
        cookies.set_cookie(Cookie::builder("user", language).url(&url).build().unwrap());
        let configuration = configuration_for(&server).cache(cache.clone()).cookie_storage(cookies);
        let configuration = configuration.additional_header("accept-language", language);
        Session::builder().configuration(configuration).delegate(StoresAs).build()
    };
    let (german, french) = (session("de"), session("fr"));
    for path in ["/", "/cookie"] {
        let first = text(&german, server.url(path));
        assert!(first.contains("de"));
        assert!(text(&french, server.url(path)).contains("fr"), "{path}");
        let before = server.requests().len();
        assert_eq!(text(&german, server.url(path)), first);
        assert_eq!(server.requests().len(), before, "from the cache");
    }
    for name in directory.names() {
        let bytes = fs::read(directory.join(&name)).expect("a file");
        assert!(!bytes.windows(7).any(|window| window == b"user=de"), "a cookie in a file");
    }
}

// a request for a part of what is stored compressed got a piece of that, which nothing can decompress.
#[test]
fn no_part_is_cut_out_of_what_is_encoded() {
    let body = "0123456789".repeat(100);
    let whole = body.clone();
    let server = Server::start(move |request: &Received| {
        let reply = match request.header("range") {
            Some(_) => {
                Reply::head(206).body(whole[2..5].to_owned()).header("Content-Range", "bytes 2-4/1000")
            }
            None => Reply::gzipped(whole.clone()),
        };
        reply.header("Cache-Control", "max-age=60").header("ETag", "\"v1\"")
    });
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    assert_eq!(text(&session, server.url("/")), body);
    assert_eq!(text(&session, Request::get(server.url("/")).header("range", "bytes=2-4")), "234");
}

// what was asked for before it was changed was stored after that, and then it was the answer.
#[test]
fn what_was_changed_meanwhile_is_not_stored() {
    let gate = Arc::new(Gate::new());
    let passed = Arc::clone(&gate);
    let server = Server::start(move |request: &Received| {
        if request.method == "POST" {
            return Reply::status(204);
        }
        let old = request.header("x-old").is_some();
        if old {
            passed.pass();
        }
        Reply::ok(if old { "old" } else { "new" }).header("Cache-Control", "max-age=60")
    });
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    let slow = session.data_task(Request::get(server.url("/")).header("x-old", "yes"));
    let slow = aside(move || slow.wait());
    gate.wait_until_reached();
    get(&session, Request::post(server.url("/"))).expect("a response");
    gate.open();
    assert_eq!(slow.join().expect("a response").text().unwrap(), "old");
    assert_eq!(text(&session, server.url("/")), "new");
}

// responses that are larger than all of a small cache left a trace for each of their URLs.
#[test]
fn a_tiny_cache_keeps_what_fits() {
    let cache = Cache::in_memory(700);
    let request = Request::get(format!("http://example.com/{}", "x".repeat(300)));
    let response = urlsession::http::Response::builder().body("hello".into()).unwrap();
    let response = Response::from_http(response, request.get_url().unwrap().clone());
    cache.store(&CachedResponse::new(response), &request);
    assert_eq!(cache.current_memory_usage(), 0);
    assert!(cache.cached_response(&request).is_none());
}

/// Sends `Cookie` back, and sets what the path says.
fn setting(request: &Received) -> Reply {
    let cookie = request.header("cookie").unwrap_or_default().to_owned();
    match request.path().strip_prefix("/set/") {
        Some(value) => Reply::ok(cookie).header("Set-Cookie", &format!("id={value}; Path=/; Max-Age=600")),
        None => Reply::ok(cookie),
    }
}

// a file that was set aside still had what everything was reset for, and so had what a crash left behind.
#[test]
fn a_reset_leaves_nothing() {
    let server = Server::start(setting);
    let directory = Directory::new();
    fs::write(directory.join("cookies"), "damaged: id=secret").unwrap();
    fs::write(directory.join("credentials"), "damaged: password=secret").unwrap();
    fs::write(directory.join(".cookies.0123456789abcdef.part"), "id=secret").unwrap();
    fs::create_dir(directory.join("cache")).unwrap();
    fs::write(directory.join("cache/0123456789abcdef.tmp"), "a page").unwrap();
    let session = Session::new(urlsession::Configuration::default().storage_directory(directory.path()));
    assert_eq!(text(&session, server.url("/set/1")), "");
    let names = directory.names();
    assert!(names.contains(&"cookies.corrupt".into()), "{names:?}");
    session.reset();
    assert_eq!(fs::read_dir(directory.join("cache")).unwrap().count(), 0);
    assert_eq!(text(&session, server.url("/")), "");
    for name in directory.names().iter().filter(|name| *name != "cache") {
        let bytes = fs::read(directory.join(name)).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"), "{name}");
    }
}

// a process that was stopped while it wrote kept all cookies in their file, although they were reset.
#[test]
fn a_reset_waits_for_nobody_for_ever() {
    let server = Server::start(setting);
    let directory = Directory::new();
    let session = Session::new(urlsession::Configuration::default().storage_directory(directory.path()));
    text(&session, server.url("/set/1"));
    let stopped = fs::File::open(directory.join("cookies")).unwrap();
    rustix::fs::flock(&stopped, rustix::fs::FlockOperation::LockExclusive).unwrap();
    session.reset();
    assert!(!directory.join("cookies").exists());
    assert_eq!(text(&session, server.url("/")), "");
    text(&session, server.url("/set/2"));
    assert_eq!(text(&session, server.url("/")), "id=2");
    assert!(directory.join("cookies").exists());
}

// who had a file open that another process found damaged and set aside, heard of nothing any more.
#[test]
fn what_comes_into_a_new_file_is_seen_by_those_who_have_the_old_one() {
    let (one, other) = (Directory::new(), Directory::new());
    let url = urlsession::Url::parse("https://example.com/").unwrap();
    let lasting = |name: &str| {
        let cookie = Cookie::builder(name, "1").url(&url).max_age(std::time::Duration::from_secs(600));
        cookie.build().unwrap()
    };
    let first = CookieStorage::in_directory(one.path()).unwrap();
    first.set_cookie(lasting("before"));
    // What another process does: it sets the file aside, and begins a new one.
    CookieStorage::in_directory(other.path()).unwrap().set_cookie(lasting("after"));
    fs::rename(one.join("cookies"), one.join("cookies.corrupt")).unwrap();
    fs::rename(other.join("cookies"), one.join("cookies")).unwrap();
    let names: Vec<String> = first.cookies().iter().map(|cookie| cookie.name().to_owned()).collect();
    assert_eq!(names, ["after"]);
}

// a directory that was removed while it was in use was never made again, so that nothing outlived the process.
#[test]
fn a_directory_that_was_removed_is_made_again() {
    let server = Server::start(setting);
    let directory = Directory::new();
    let place = directory.join("state");
    let session = Session::new(urlsession::Configuration::default().storage_directory(&place));
    text(&session, server.url("/set/1"));
    fs::remove_dir_all(&place).unwrap();
    text(&session, server.url("/set/2"));
    assert_eq!(text(&session, server.url("/")), "id=2");
    assert!(place.join("cookies").exists());
}

// several hosts behind one URL, told apart by a header of the request's own, got each other's pages.
#[test]
fn hosts_behind_one_url_are_told_apart() {
    let server = Server::start(|request: &Received| {
        Reply::ok(request.header("host").unwrap_or_default().to_owned())
            .header("Cache-Control", "public, max-age=60")
    });
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    text(&session, server.url("/"));
    for host in ["one.example", "two.example", "one.example"] {
        assert_eq!(text(&session, Request::get(server.url("/")).header("host", host)), host);
    }
    assert_eq!(server.requests().len(), 3);
}

// who takes no coding got what is stored in one, from servers that do not say `Vary: Accept-Encoding`.
#[test]
fn what_is_encoded_is_for_those_who_take_it() {
    let server = Server::start(|request: &Received| {
        let reply = match request.header("accept-encoding") {
            Some(accepted) if accepted.contains("gzip") => Reply::gzipped("text"),
            _ => Reply::ok("text"),
        };
        reply.header("Cache-Control", "max-age=60")
    });
    for accepted in ["identity", "", "gzip;q=0, *", "br"] {
        let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
        assert_eq!(text(&session, server.url("/")), "text");
        let before = server.requests().len();
        get(&session, Request::get(server.url("/")).header("accept-encoding", accepted)).expect("a response");
        assert_eq!(server.requests().len(), before + 1, "{accepted:?} from the server");
    }
}

// what turned out to be too long was measured as stored.
#[test]
fn what_was_not_stored_is_not_said_to_be() {
    let server = Server::start(|request: &Received| {
        let body = vec![b'x'; if request.path() == "/long" { 100_000 } else { 10 }];
        Reply::chunked([body]).header("Cache-Control", "max-age=60")
    });
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    for (path, stored) in [("/short", true), ("/long", false)] {
        let task = session.data_task(server.url(path));
        task.wait().expect("a response");
        let metrics = task.metrics().expect("metrics");
        let status = metrics.transactions()[0].cache_status().expect("a status");
        assert_eq!(status.is_stored(), stored, "{path}");
    }
}

// a server that says 304 whatever it is asked had the 304 delivered to who had asked for no such thing.
#[test]
fn nobody_sees_a_304_unasked() {
    let server = Server::start(|request: &Received| {
        if request.header("x-first").is_some() {
            let reply = Reply::ok("first").header("ETag", "\"v1\"").header("Cache-Control", "max-age=0");
            return reply.header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        }
        Reply::status(304).header("ETag", "\"v2\"")
    });
    let session = Session::new(configuration_for(&server).cache(Cache::in_memory(1 << 20)));
    get(&session, Request::get(server.url("/")).header("x-first", "yes")).expect("a response");
    let error = get(&session, server.url("/")).expect_err("no answer");
    assert_eq!(error.kind(), urlsession::ErrorKind::BadServerResponse);
}

// cookies that are no UTF-8 took twice their room, so that a few sites could fill the file: then it took no
// others.
#[test]
fn no_cookies_fill_the_file() {
    let directory = Directory::new();
    let cookies = CookieStorage::in_directory(directory.path()).unwrap();
    let value = [0xe9_u8; 4000];
    for site in 0..16 {
        let url = urlsession::Url::parse(&format!("https://site{site}.com/")).unwrap();
        let mut headers = urlsession::http::HeaderMap::new();
        for number in 0..170 {
            let field = [format!("n{number}=").as_bytes(), &value, b"; Max-Age=600"].concat();
            let field = urlsession::http::HeaderValue::from_bytes(&field).unwrap();
            headers.append("set-cookie", field);
        }
        cookies.set_cookies(Cookie::parse_set_cookie(&headers, &url), &url, None);
    }
    assert_eq!(cookies.cookies().len(), 16 * 170);
    drop(cookies);
    let again = CookieStorage::in_directory(directory.path()).unwrap();
    assert_eq!(again.cookies().len(), 16 * 170, "all of them are in the file");
    assert_eq!(again.cookies()[0].value().chars().count(), 4000);
}

// what was found damaged was asked of the server, although the policy did not let it be asked, if there was
// something else that is stored.
#[test]
fn nothing_is_loaded_in_place_of_what_is_damaged() {
    let server = Server::start(|request: &Received| {
        let reply = match request.header("x-second") {
            Some(_) => Reply::ok(vec![b'b'; 100_000]).header("Vary", "x-other"),
            None => Reply::ok(vec![b'a'; 100_000]),
        };
        reply.header("Cache-Control", "max-age=60")
    });
    let directory = Directory::new();
    let cache = Cache::in_directory(directory.path(), 0, 20 << 20).unwrap();
    let session = Session::new(configuration_for(&server).cache(cache));
    let with = |policy| Request::get(server.url("/")).cache_policy(policy);
    get(&session, server.url("/")).expect("a response");
    get(&session, with(CachePolicy::ReloadIgnoringLocal).header("x-second", "yes")).expect("a response");
    let names = directory.names();
    assert_eq!(names.len(), 2);
    for path in names.iter().map(|name| directory.join(name)) {
        let mut bytes = fs::read(&path).unwrap();
        if bytes[50_000] == b'b' {
            bytes[50_000] = b'c';
            fs::write(&path, bytes).unwrap();
        }
    }
    let error = get(&session, with(CachePolicy::ReturnCacheDontLoad)).expect_err("nothing that is good");
    assert_eq!(error.kind(), urlsession::ErrorKind::ResourceUnavailable);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(text(&session, with(CachePolicy::ReturnCacheDontLoad)), "a".repeat(100_000));
}

// a request that is to be somebody's got the page of who was there last.
#[test]
fn a_request_with_a_credential_of_its_own_gets_its_own() {
    let server = Server::start(guarded);
    let configuration = configuration_for(&server).cache(Cache::in_memory(1 << 20));
    let session =
        Session::new(configuration.credential_storage(CredentialStorage::in_memory()).set_cookies(false));
    let by = |user: &str| {
        let credential = Credential::new(user, "secret", Persistence::ForSession);
        text(&session, Request::get(server.url("/")).credential(credential))
    };
    let one = by("one");
    assert_ne!(by("two"), one);
    assert_eq!(by("one"), one);
}

// what was looked up before a cookie was set, and sent with it, was stored as if it had been sent without.
#[test]
fn what_is_sent_is_what_selects() {
    let gate = Arc::new(Gate::new());
    let passed = Arc::clone(&gate);
    let server = Server::start(move |request: &Received| {
        if request.path() == "/login" {
            passed.pass();
            return Reply::ok("").header("Set-Cookie", "user=me").header("Cache-Control", "no-store");
        }
        Reply::ok(request.header("cookie").unwrap_or("nobody").to_owned())
            .header("Vary", "Cookie")
            .header("Cache-Control", "max-age=60")
    });
    let cache = Cache::in_memory(1 << 20);
    let session = || {
        let configuration = configuration_for(&server).cache(cache.clone()).maximum_connections_per_host(1);
        Session::new(configuration.cookie_storage(CookieStorage::in_memory()))
    };
    let mine = session();
    let login = mine.data_task(server.url("/login"));
    login.resume();
    gate.wait_until_reached();
    let task = mine.data_task(server.url("/"));
    // It is looked up, and waits for the connection.
    assert!(task.wait_timeout(std::time::Duration::from_millis(50)).is_none());
    gate.open();
    login.wait().expect("a response");
    assert_eq!(task.wait().expect("a response").text().unwrap(), "user=me");
    assert_eq!(text(&session(), server.url("/")), "nobody");
}
