//! Cookies that nginx and Apache httpd set, and what they get back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use urlsession::{CookieStorage, Request, Session, TransportSecurity};
use urlsession_interop::{configuration, path, session, text, url, variable};

const NGINX: [&str; 2] = ["NGINX", "NGINX_TLS"];

/// The names of the cookies that are sent to a URL, sorted.
fn sent(session: &Session, url: &str) -> Vec<String> {
    let header = text(session, url);
    let mut names: Vec<_> =
        header.split("; ").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect();
    names.sort();
    names
}

#[test]
fn what_is_set_is_sent_back_where_it_belongs() {
    for server in NGINX {
        let session = session();
        assert_eq!(text(&session, &url(server, "/cookies/show")), "");
        text(&session, &url(server, "/cookies/set"));
        // What is secure goes over TLS, and this machine counts as that for those without a prefix.
        let everywhere = ["here", "kept", "quoted", "session"];
        let secure = ["__Host-me", "secure"];
        let is_secure = server.ends_with("_TLS");
        let expected = |others: &[&str]| {
            let mut names: Vec<_> = everywhere.iter().chain(others).map(ToString::to_string).collect();
            names.extend(secure.iter().filter(|_| is_secure).map(ToString::to_string));
            names.sort();
            names
        };
        assert_eq!(sent(&session, &url(server, "/cookies/show")), expected(&[]), "{server}");
        assert_eq!(sent(&session, &url(server, "/cookies/deep/show")), expected(&["deep"]), "{server}");
        assert!(text(&session, &url(server, "/cookies/show")).contains("quoted=\"a b\""));
        text(&session, &url(server, "/cookies/remove"));
        assert!(!sent(&session, &url(server, "/cookies/show")).contains(&"kept".to_owned()), "{server}");
    }
}

#[test]
fn redirects_set_cookies_and_get_them() {
    for server in NGINX {
        let session = session();
        assert_eq!(text(&session, &url(server, "/cookies/redirect")), "onward=9", "{server}");
    }
    // Cookies know no ports (RFC 6265bis, section 8.5), so another server on this host has them.
    assert_eq!(text(&session(), &url("NGINX", "/cookies/redirect-other")), "onward=13");
}

#[test]
fn a_script_of_httpd_is_known_again() {
    for server in ["APACHE", "APACHE_TLS"] {
        let session = session();
        assert_eq!(text(&session, &url(server, "/cgi/cookies")), "", "{server}");
        assert_eq!(text(&session, &url(server, "/cgi/cookies")), "a=1; b=2", "{server}");
        let switched_off = Request::get(url(server, "/cgi/cookies")).handle_cookies(false);
        assert_eq!(session.data_task(switched_off).wait().unwrap().bytes(), "", "{server}");
    }
}

#[test]
fn domains_have_their_hosts() {
    // All names are this machine.
    let resolver = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let session = Session::new(
        configuration()
            .resolver(Arc::new(resolver))
            .transport_security(TransportSecurity::new().allow_cleartext(true)),
    );
    let port = variable("INTEROP_NGINX").rsplit_once(':').unwrap().1.to_owned();
    let at = |host: &str, path: &str| format!("http://{host}:{port}{path}");
    text(&session, &at("www.site.test", "/cookies/domain"));
    assert_eq!(sent(&session, &at("www.site.test", "/cookies/show")), ["narrow", "wide"]);
    assert_eq!(sent(&session, &at("site.test", "/cookies/show")), ["wide"]);
    assert_eq!(sent(&session, &at("a.b.site.test", "/cookies/show")), ["wide"]);
    for stranger in ["othersite.test", "site.test.example", "other.test", "127.0.0.1"] {
        assert_eq!(sent(&session, &at(stranger, "/cookies/show")), [""; 0], "{stranger}");
    }
}

#[test]
fn cookies_outlive_the_session_in_a_directory_or_a_file() {
    let directory = path("cookies");
    let with = |storage| Session::new(configuration().cookie_storage(storage));
    text(&with(CookieStorage::in_directory(&directory).unwrap()), &url("NGINX", "/cookies/set"));
    let storage = CookieStorage::in_directory(&directory).unwrap();
    let kept = sent(&with(storage.clone()), &url("NGINX", "/cookies/show"));
    assert_eq!(kept, ["kept", "quoted"], "what ends with the session is gone");
    let file = path("cookies.txt");
    storage.export_netscape_file(&file).unwrap();
    let copy = CookieStorage::in_memory();
    assert_eq!(copy.import_netscape_file(&file).unwrap().imported, 2);
    assert_eq!(sent(&with(copy), &url("NGINX", "/cookies/show")), kept);
}
