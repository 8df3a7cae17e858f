//! Who we are, told to nginx (Basic) and Apache httpd (Basic and Digest).

use urlsession::{
    AuthenticationMethod, Credential, CredentialStorage, Persistence, ProtectionSpace, Request, Session, Url,
    wait_all,
};
use urlsession_interop::{configuration, text, url};

fn credential(user: &str, password: &str) -> Credential {
    Credential::new(user, password, Persistence::ForSession)
}

/// Status and text, and how many requests it took.
fn asked(session: &Session, request: impl Into<Request>) -> (u16, String, usize) {
    let task = session.data_task(request);
    let response = task.wait().unwrap();
    let requests = task.metrics().unwrap().transactions().len();
    (response.status().as_u16(), response.text().unwrap().into_owned(), requests)
}

/// A session that keeps no responses, so that each request is one to the server.
fn session() -> Session {
    Session::new(configuration().cache(None))
}

/// Such a session, whose storage has a credential for what a server calls by that name.
fn knowing(server: &str, method: AuthenticationMethod, realm: &str, credential: Credential) -> Session {
    let address = Url::parse(&url(server, "/")).unwrap();
    let (host, port) = (address.host_str().unwrap(), address.port().unwrap());
    let space = ProtectionSpace::new(host, port, address.scheme(), method).with_realm(realm);
    let storage = CredentialStorage::in_memory();
    storage.set(&space, credential);
    Session::new(configuration().cache(None).credential_storage(storage))
}

#[test]
fn nginx_wants_basic() {
    let request = |password| Request::get(url("NGINX", "/private")).credential(credential("user", password));
    let session = session();
    assert_eq!(asked(&session, url("NGINX", "/private")).0, 401);
    let (status, _, requests) = asked(&session, request("wrong"));
    assert_eq!((status, requests), (401, 2));
    let (status, body, requests) = asked(&session, request("open sesame"));
    assert_eq!((status, requests), (200, 2));
    assert!(body.starts_with("line 1 of"));
    // It is known by now what it wants.
    let (status, _, requests) = asked(&session, url("NGINX", "/private"));
    assert_eq!((status, requests), (200, 1));
    let credentials_in_url = url("NGINX", "/private").replace("://", "://user:open%20sesame@");
    let (status, _, requests) = asked(&self::session(), &*credentials_in_url);
    assert_eq!((status, requests), (200, 1));
}

#[test]
fn apache_wants_basic() {
    for server in ["APACHE", "APACHE_TLS"] {
        for user in ["user", "jürgen"] {
            let realm = "interop, \"basic\"";
            let session =
                knowing(server, AuthenticationMethod::Basic, realm, credential(user, "open sesame"));
            assert_eq!(asked(&session, url(server, "/basic")), (200, "GET []".into(), 2), "{server} {user}");
            assert_eq!(asked(&session, url(server, "/basic")), (200, "GET []".into(), 1));
        }
    }
}

/// Apache proves that it knows the password, so that a wrong reckoning of that would lose the nonce.
#[test]
fn apache_wants_digest() {
    for server in ["APACHE", "APACHE_TLS"] {
        for user in ["user", "jürgen"] {
            let realm = "interop, digest";
            let session =
                knowing(server, AuthenticationMethod::Digest, realm, credential(user, "open sesame"));
            let get = |path: &str| asked(&session, url(server, path));
            assert_eq!(get("/digest/a%20b?c=d&e=\"f\""), (200, "GET []".into(), 2), "{server} {user}");
            assert_eq!(get("/digest/other"), (200, "GET []".into(), 1));
            let post = Request::post(url(server, "/digest/x")).body("hello");
            assert_eq!(asked(&session, post), (200, "POST [5]".into(), 1));
            assert_eq!(asked(&session, Request::head(url(server, "/digest/x"))).0, 200);
            let response = session.data_task(url(server, "/digest/x")).wait().unwrap();
            assert!(response.header("authentication-info").is_some_and(|info| info.contains("rspauth")));
        }
    }
}

#[test]
fn apache_refuses_a_wrong_password() {
    let wrong = credential("user", "wrong");
    let session = knowing("APACHE", AuthenticationMethod::Digest, "interop, digest", wrong);
    let (status, _, requests) = asked(&session, url("APACHE", "/digest/"));
    assert_eq!((status, requests), (401, 2));
}

#[test]
fn nonces_that_are_good_for_one_request() {
    let realm = "interop, digest once";
    let me = credential("user", "open sesame");
    let session = knowing("APACHE", AuthenticationMethod::Digest, realm, me);
    for _ in 0..5 {
        assert_eq!(text(&session, &url("APACHE", "/digest-once")), "GET []");
    }
}

#[test]
fn many_at_once_with_one_nonce() {
    let me = credential("user", "open sesame");
    let session = knowing("APACHE", AuthenticationMethod::Digest, "interop, digest", me);
    let tasks: Vec<_> = (0..100).map(|n| session.data_task(url("APACHE", &format!("/digest/{n}")))).collect();
    for result in wait_all(&tasks) {
        assert_eq!(result.unwrap().status(), 200);
    }
}
