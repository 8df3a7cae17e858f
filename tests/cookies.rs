//! Cookies: which are kept and sent, over redirects and refusals, by what a request and a configuration
//! say, and from one run to the next (RFC 6265bis; SPEC A12).

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use support::{Directory, Received, Reply, Server, configuration_for, every_way, over_both, result_by};
use urlsession::{
    Configuration, Cookie, CookieAcceptPolicy, CookieStorage, Delegate, Protocol, ProtocolClient,
    RedirectDecision, Request, ResponseHead, Session, TaskEvent, Url, http,
};

/// Sets what the query asks for (`;` and all), and tells which cookies came, and how many headers with them.
fn cookie_server(request: &Received) -> Reply {
    let came = request.header_values("cookie");
    let reply = Reply::ok(format!("{}:{}", came.len(), came.join("|")));
    let set = request.query().unwrap_or_default().split('&').filter(|cookie| !cookie.is_empty());
    let reply = set.fold(reply, |reply, cookie| reply.header("Set-Cookie", &cookie.replace('+', " ")));
    match request.path().strip_prefix("/to/").and_then(|rest| rest.split_once('/')) {
        Some((status, target)) => {
            reply.with_status(status.parse().unwrap()).header("Location", &format!("/{target}"))
        }
        None => reply,
    }
}

/// Every name is this machine.
fn everywhere_here(server: &Server) -> Configuration {
    configuration_for(server).resolver(Arc::new(|_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)])))
}

#[track_caller]
fn get(session: &Session, request: impl Into<Request>) -> String {
    session.data_task(request).wait().unwrap().text().unwrap().into_owned()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn what_is_set_comes_back() {
    every_way(cookie_server, |client| {
        let get = |path: &str| client.get(path).unwrap().text().unwrap().into_owned();
        assert_eq!(get("/?a=1&b=2;Path=/x&c=3;Max-Age=100"), "0:");
        assert_eq!(get("/"), "1:a=1; c=3");
        assert_eq!(get("/x/y"), "1:b=2; a=1; c=3");
        assert_eq!(get("/?a=4&c=;Max-Age=0&=nameless"), "1:a=1; c=3");
        assert_eq!(get("/"), "1:a=4; nameless");
        // What is malformed is nothing, and what is not for here neither.
        assert_eq!(get("/?x=1;Domain=example.org&=&y=2;Domain=com&__Host-z=3"), "1:a=4; nameless");
        assert_eq!(get("/"), "1:a=4; nameless");
        // A secure one needs a secure connection.
        let secure = if client.is_tls() { "1:a=4; nameless; s=1" } else { "1:a=4; nameless" };
        get("/?s=1;Secure");
        assert_eq!(get("/"), secure);
    });
}

#[test]
fn what_a_redirect_sets_counts_for_the_next_hop() {
    every_way(cookie_server, |client| {
        for status in [301, 302, 303, 307, 308] {
            let path = format!("/to/{status}/new?s{status}=1;Path=/");
            assert!(client.get(&path).unwrap().text().unwrap().contains(&format!("s{status}=1")), "{status}");
        }
        assert_eq!(client.get("/").unwrap().text().unwrap(), "1:s301=1; s302=1; s303=1; s307=1; s308=1");
        // Away again.
        client.get("/to/302/x?s301=;Max-Age=0;Path=/").unwrap();
        assert!(client.server.requests().pop().unwrap().header("cookie").unwrap().starts_with("s302=1"));
    });
}

#[test]
fn what_an_error_sets_counts() {
    let handler = |request: &Received| {
        let status = request.path()[1..].parse().unwrap_or(200);
        cookie_server(request).with_status(status)
    };
    every_way(handler, |client| {
        for status in [401, 403, 404, 500] {
            client.get(&format!("/{status}?c{status}=1")).unwrap();
        }
        assert_eq!(client.get("/").unwrap().text().unwrap(), "1:c401=1; c403=1; c404=1; c500=1");
    });
}

#[test]
fn what_an_informational_response_sets_does_not() {
    let handler = |request: &Received| match request.path() {
        "/set" => cookie_server(request).informational(103, &[("Set-Cookie", "early=1")]),
        _ => cookie_server(request),
    };
    every_way(handler, |client| {
        client.get("/set?a=1").unwrap();
        assert_eq!(client.get("/").unwrap().text().unwrap(), "1:a=1");
    });
}

#[test]
fn hosts_get_their_own() {
    let server = Server::tls(cookie_server);
    let session = Session::new(everywhere_here(&server));
    let get = |host: &str, path: &str| get(&session, server.url_of_host(host, path));
    get("a.example.test", "/?own=1&all=2;Domain=example.test&b=3;Domain=b.example.test");
    get("example.test", "/?top=4&no=5;Domain=test");
    assert_eq!(get("a.example.test", "/"), "1:own=1; all=2");
    assert_eq!(get("b.example.test", "/"), "1:all=2");
    assert_eq!(get("example.test", "/"), "1:all=2; top=4");
    assert_eq!(get("localhost", "/"), "0:");
    // By way of a redirect, each gets its own again.
    let away = Server::builder().tls(support::Tls::new()).start({
        let target = server.url_of_host("b.example.test", "/");
        move |_| Reply::redirect(302, &target).header("Set-Cookie", "x=1; Domain=example.test")
    });
    assert_eq!(get("a.example.test", "/"), "1:own=1; all=2");
    let response = session.data_task(away.url_of_host("a.example.test", "/")).wait().unwrap();
    assert_eq!(response.text().unwrap(), "1:all=2; x=1");
    assert_eq!(away.request(0).header("cookie"), Some("own=1; all=2"), "ports do not part cookies");
    session.invalidate_and_cancel();
}

#[test]
fn a_header_that_was_given_goes_first() {
    over_both(cookie_server, |server, session| {
        get(session, server.url("/?a=1&b=2"));
        let given = |value: &str| Request::get(server.url("/")).header("cookie", value);
        assert_eq!(get(session, given("x=9")), "1:x=9; a=1; b=2");
        assert_eq!(get(session, given("a=9; y=8")), "1:a=9; y=8; b=2", "it counts");
        assert_eq!(get(session, given("a=9").add_header("cookie", "b=8")), "2:a=9|b=8", "as it is");
        assert_eq!(get(session, given("a=9").add_header("cookie", "c=8")), "1:a=9; c=8; b=2");
        assert_eq!(get(session, given("a=9").handle_cookies(false)), "1:a=9");
    });
    let server = Server::start(cookie_server);
    let session = Session::new(Configuration::ephemeral().additional_header("cookie", "c=3"));
    assert_eq!(get(&session, server.url("/?a=1")), "1:c=3");
    assert_eq!(get(&session, server.url("/")), "1:c=3; a=1");
    let given = Request::get(server.url("/")).header("cookie", "d=4");
    assert_eq!(get(&session, given), "1:d=4; a=1");
}

#[test]
fn a_request_can_go_without() {
    over_both(cookie_server, |server, session| {
        get(session, server.url("/?a=1"));
        let without = Request::get(server.url("/?b=2")).handle_cookies(false);
        assert_eq!(get(session, without.clone()), "0:");
        assert_eq!(get(session, server.url("/")), "1:a=1");
        assert!(!without.get_handle_cookies());
    });
}

#[test]
fn a_configuration_can_do_without() {
    let server = Server::start(cookie_server);
    let storage = CookieStorage::in_memory();
    let session = |configuration: Configuration| Session::new(configuration.cookie_storage(storage.clone()));
    // Taken, and not sent.
    let taking = session(Configuration::ephemeral().set_cookies(false));
    get(&taking, server.url("/?a=1"));
    assert_eq!(get(&taking, server.url("/")), "0:");
    assert_eq!(storage.cookies().len(), 1);
    assert_eq!(get(&taking, Request::get(server.url("/")).header("cookie", "x=1")), "1:x=1");
    // Sent, and not taken.
    let giving = session(Configuration::ephemeral().cookie_accept_policy(CookieAcceptPolicy::Never));
    assert_eq!(get(&giving, server.url("/?b=1")), "1:a=1");
    assert_eq!(storage.cookies().len(), 1);
    // The storage has its say, too.
    storage.set_accept_policy(CookieAcceptPolicy::Never);
    let both = session(Configuration::ephemeral().cookie_accept_policy(CookieAcceptPolicy::Always));
    get(&both, server.url("/?b=1"));
    assert_eq!(storage.cookies().len(), 1);
    // Neither.
    let none = Session::new(Configuration::ephemeral().cookie_storage(None));
    get(&none, server.url("/?a=1"));
    assert_eq!(get(&none, server.url("/")), "0:");
}

#[test]
fn sessions_share_a_storage_or_have_their_own() {
    let server = Server::start(cookie_server);
    let session = |configuration: Configuration| Session::new(configuration);
    let (one, other) = (session(Configuration::ephemeral()), session(Configuration::ephemeral()));
    get(&one, server.url("/?own=1"));
    assert_eq!(get(&one, server.url("/")), "1:own=1");
    assert_eq!(get(&other, server.url("/")), "0:");
    // Other tests of this process have cookies of other names in it.
    get(&session(Configuration::default()), server.url("/?shared=1;Path=/shared"));
    assert_eq!(get(&session(Configuration::default()), server.url("/shared")), "1:shared=1");
    let of_server = CookieStorage::shared().cookies_for(&url(&server.url("/shared")));
    assert_eq!(of_server[0].name(), "shared");
    CookieStorage::shared().delete_cookie(&of_server[0]);
    assert_eq!(get(&session(Configuration::default()), server.url("/shared")), "0:");
}

#[test]
fn other_sites_are_kept_apart() {
    let server = Server::tls(cookie_server);
    let set = "/?none=1;SameSite=None;Secure;Path=/&lax=2;SameSite=Lax&strict=3;SameSite=Strict&unsaid=4";
    let all = "1:none=1; lax=2; strict=3; unsaid=4";
    let page = |host: &str| format!("https://{host}/page");
    let request = |path: &str, by: &str| {
        Request::get(server.url_of_host("a.example.test", path)).main_document_url(page(by))
    };
    let storage = CookieStorage::in_memory();
    let configuration = everywhere_here(&server).cookie_storage(storage.clone());
    let session = Session::new(configuration.clone());
    // Of another site's page nothing is taken,
    get(&session, request(set, "other.test"));
    assert_eq!(storage.cookies(), []);
    // unless the session wants it: then what is for all sites.
    let always = Session::new(configuration.cookie_accept_policy(CookieAcceptPolicy::Always));
    get(&always, request(set, "other.test"));
    assert_eq!(get(&session, server.url_of_host("a.example.test", "/")), "1:none=1");
    get(&session, request(set, "b.example.test"));
    assert_eq!(get(&session, request("/", "b.example.test")), all);
    assert_eq!(get(&session, server.url_of_host("a.example.test", "/")), all);
    assert_eq!(get(&session, request("/", "other.test")), "1:none=1");
    let post = request("/", "other.test").method("POST");
    assert_eq!(get(&session, post), "1:none=1");
    // A page over http is another site.
    let insecure = request("/", "b.example.test").main_document_url("http://b.example.test/");
    assert_eq!(get(&session, insecure), "1:none=1");
    let error = session.data_task(request("/", "x").main_document_url("nowhere")).wait().unwrap_err();
    assert_eq!(error.kind(), urlsession::ErrorKind::BadUrl);
    session.invalidate_and_cancel();
    always.invalidate_and_cancel();
}

#[test]
fn a_document_that_is_elsewhere_is_the_main_document() {
    let server = Server::tls(cookie_server);
    let target = server.url_of_host("b.example.test", "/?strict=1;SameSite=Strict");
    let here = Server::tls(move |_| Reply::redirect(302, &target));
    let session = Session::new(everywhere_here(&server));
    let page = here.url("/");
    get(&session, Request::get(&page).main_document_url(&page));
    assert_eq!(get(&session, server.url_of_host("b.example.test", "/")), "1:strict=1");
    // What is in a page stays in that page.
    let image = here.url("/image");
    get(&session, Request::get(&image).main_document_url(&page));
    assert_eq!(server.requests().pop().unwrap().header("cookie"), None);
    session.invalidate_and_cancel();
}

#[test]
fn a_delegate_that_changes_a_redirect_gets_cookies_all_the_same() {
    struct Changing;
    impl Delegate for Changing {
        fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, request: Request) -> RedirectDecision {
            RedirectDecision::Follow(request.remove_header("cookie").header("x-changed", "1"))
        }
    }
    let server = Server::start(cookie_server);
    let session = Session::builder().configuration(Configuration::ephemeral()).delegate(Changing).build();
    let request = Request::get(server.url("/to/302/new?a=1;Path=/")).header("cookie", "given=1");
    assert_eq!(get(&session, request), "1:a=1");
    assert_eq!(server.request(1).header("x-changed"), Some("1"));
    session.invalidate_and_cancel();
}

#[test]
fn a_protocol_in_a_servers_place_has_cookies() {
    struct Double;
    impl Protocol for Double {
        fn can_handle(&self, request: &Request) -> bool {
            request.get_url().is_some_and(|url| url.host_str() == Some("double.test"))
        }
        fn start(&self, request: Request, client: ProtocolClient) {
            let came = request.get_header("cookie").unwrap_or_default().to_owned();
            let response = http::Response::builder();
            let response = match request.get_url().map(Url::path) {
                Some("/set") => response.header("set-cookie", "a=1").header("set-cookie", "b=2; Secure"),
                Some("/go") => {
                    let response = response.status(302).header("set-cookie", "hop=1");
                    let target = Request::get("https://double.test/");
                    return client.was_redirected(response.body(()).unwrap(), target);
                }
                _ => response,
            };
            client.did_receive_response(response.body(()).unwrap());
            let _ = client.did_load(came);
            client.did_finish_loading();
        }
    }
    let session = Session::new(Configuration::ephemeral().protocol(Double));
    assert_eq!(get(&session, "https://double.test/set"), "");
    assert_eq!(get(&session, "https://double.test/"), "a=1; b=2");
    assert_eq!(get(&session, "https://double.test/go"), "a=1; b=2; hop=1");
    session.invalidate_and_cancel();
}

#[test]
fn uploads_downloads_and_retries_have_them_too() {
    every_way(cookie_server, |client| {
        let session = &client.session;
        session.upload_task(Request::put(client.server.url("/?up=1")), "body").wait().unwrap();
        let file = session.download_task(client.server.url("/?down=1")).wait().unwrap().into_body();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "1:up=1");
        let task = session.data_task(client.server.url("/"));
        assert_eq!(result_by(client.way, &task).unwrap().text().unwrap(), "1:up=1; down=1");
        // They are not the request's own.
        assert_eq!(task.current_request().get_header("cookie"), None);
    });
}

#[test]
fn a_directory_keeps_what_has_an_end() {
    let server = Server::start(cookie_server);
    let directory = Directory::new();
    let path = directory.join("state");
    let configuration = || Configuration::default().storage_directory(&path);
    let first = Session::new(configuration());
    get(&first, server.url("/?session=1&lasting=2;Max-Age=1000&gone=3;Max-Age=1000"));
    // One storage for a directory, as long as one is there.
    let second = Session::new(configuration());
    assert_eq!(get(&second, server.url("/?gone=;Max-Age=0")), "1:session=1; lasting=2; gone=3");
    drop((first, second));
    assert_eq!(get(&Session::new(configuration()), server.url("/")), "1:lasting=2");
    let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(names.contains(&"cookies".into()), "{names:?}");
    let storage = CookieStorage::in_directory(&path).unwrap();
    assert_eq!(storage.cookies()[0].name(), "lasting");
    storage.remove_all();
    assert_eq!(get(&Session::new(configuration()), server.url("/")), "0:");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_when_the_session_is_made() {
    let configuration = Configuration::default().storage_directory("/dev/null/state");
    let error = Session::builder().configuration(configuration.clone()).try_build().unwrap_err();
    assert!(error.to_string().contains("/dev/null/state"), "{error}");
    let error = Session::new(configuration).data_task("http://127.0.0.1:1/").wait().unwrap_err();
    assert!(error.to_string().contains("/dev/null/state"), "{error}");
}

#[test]
fn cookies_of_the_program_and_of_curl_are_sent() {
    let server = Server::start(cookie_server);
    let storage = CookieStorage::in_memory();
    let session = Session::new(Configuration::ephemeral().cookie_storage(storage.clone()));
    let ends = SystemTime::now() + Duration::from_secs(60);
    storage.set_cookie(Cookie::builder("own", "1").host("127.0.0.1").expires(ends).build().unwrap());
    let file = "# Netscape HTTP Cookie File\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tcurl\t2\n";
    assert_eq!(storage.import_netscape(file.as_bytes()).unwrap().imported, 1);
    assert_eq!(get(&session, server.url("/?server=3")), "1:own=1; curl=2");
    let mut out = Vec::new();
    assert_eq!(storage.export_netscape(&mut out).unwrap(), 3);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("127.0.0.1\tFALSE\t/\tFALSE\t0\tserver\t3\n"), "{out}");
    assert!(out.contains("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tcurl\t2\n"), "{out}");
}
