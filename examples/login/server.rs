//! The server that the program logs in to: a form that gives a cookie, a page that wants it, and an area
//! with Digest (RFC 7616). It remembers nothing itself: what it gives out, it can recognise by its key.
//! That key is in the source, as suits a server of one program on one machine and no other.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};
use urlsession::{Checksum, ChecksumAlgorithm, Url};

/// Who there is.
pub const USER: &str = "ada";
/// How she shows it.
pub const PASSWORD: &str = "lovelace";

const KEY: &str = "for nobody but this example";
const REALM: &str = "vault";

/// How long a login lasts, and how long a nonce is taken, in seconds.
const LOGIN_LASTS: u64 = 7 * 24 * 3600;
const NONCE_LASTS: u64 = 300;

/// No form of ours is longer.
const LONGEST_FORM: u64 = 4096;

/// Starts the server on a port of the loopback interface; 0 is any.
///
/// # Errors
///
/// The port is taken, for example.
pub fn start(port: u16) -> io::Result<SocketAddr> {
    let server = Server::http(("127.0.0.1", port)).map_err(io::Error::other)?;
    let address = server.server_addr().to_ip().ok_or(io::ErrorKind::AddrNotAvailable)?;
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            answer(request);
        }
    });
    Ok(address)
}

fn answer(mut request: Request) {
    let path = request.url().split('?').next().unwrap_or_default().to_owned();
    let response = match (request.method(), path.as_str()) {
        (Method::Get, "/account") => account(&request),
        (Method::Get, "/login") => text(200, "Who are you? Send user and password.\n"),
        (Method::Post, "/login") => login(&mut request),
        (Method::Get, "/vault") => vault(&request),
        _ => text(404, "There is nothing here.\n"),
    };
    // A client that went away needs no answer.
    let _ = request.respond(response);
}

/// A page for those who are logged in; the others are sent to the form.
fn account(request: &Request) -> Page {
    let cookies = header(request, "cookie").unwrap_or_default();
    let token = cookies.split(';').find_map(|pair| pair.trim().strip_prefix("login="));
    match token.and_then(user_of) {
        Some(user) => text(200, &format!("This is the account of {user}.\n")),
        None => text(303, "Log in first.\n").with_header(field("Location", "/login")),
    }
}

fn login(request: &mut Request) -> Page {
    let mut form = String::new();
    let read = request.as_reader().take(LONGEST_FORM).read_to_string(&mut form);
    // The query of a URL is written as a form is.
    let fields = Url::parse(&format!("form:?{form}"));
    let (Ok(_), Ok(fields)) = (read, fields) else { return text(400, "That was no form.\n") };
    let has = |name: &str, value: &str| fields.query_pairs().any(|pair| pair == (name.into(), value.into()));
    if !has("user", USER) || !has("password", PASSWORD) {
        return text(403, "That is not right.\n");
    }
    let cookie = format!("login={}; Max-Age={LOGIN_LASTS}; Path=/; HttpOnly; SameSite=Lax", token(USER));
    text(303, "Welcome.\n")
        .with_header(field("Location", "/account"))
        .with_header(field("Set-Cookie", &cookie))
}

/// A page for those who can prove a password.
fn vault(request: &Request) -> Page {
    let challenge = |stale: bool| {
        let stale = if stale { ", stale=true" } else { "" };
        let nonce = nonce();
        let challenge =
            format!("Digest realm=\"{REALM}\", qop=\"auth\", algorithm=SHA-256, nonce=\"{nonce}\"{stale}");
        text(401, "Prove it.\n").with_header(field("WWW-Authenticate", &challenge))
    };
    match header(request, "authorization").as_deref().map(|value| proof(request, value)) {
        Some(Proof::Right) => text(200, "The vault has gold in it.\n"),
        Some(Proof::Stale) => challenge(true),
        Some(Proof::Wrong) | None => challenge(false),
    }
}

type Page = Response<io::Cursor<Vec<u8>>>;

enum Proof {
    Right,
    Stale,
    Wrong,
}

/// RFC 7616, section 3.4.
fn proof(request: &Request, value: &str) -> Proof {
    let Some(parameters) = value.strip_prefix("Digest ") else { return Proof::Wrong };
    let parameter = |name: &str| {
        parameters.split(',').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
        })
    };
    let get = |name: &str| parameter(name).unwrap_or_default();
    let (uri, nonce) = (get("uri"), get("nonce"));
    let first = hash(&[USER, REALM, PASSWORD]);
    let second = hash(&[request.method().as_str(), &uri]);
    let expected = hash(&[&first, &nonce, &get("nc"), &get("cnonce"), &get("qop"), &second]);
    if uri != request.url() || get("username") != USER || get("response") != expected {
        return Proof::Wrong;
    }
    match nonce.split_once('-').and_then(|(time, sum)| {
        (sum == hash(&[KEY, "nonce", time])).then(|| time.parse::<u64>().ok()).flatten()
    }) {
        Some(time) if now() <= time + NONCE_LASTS => Proof::Right,
        // What we gave out once, or another run of this server.
        _ => Proof::Stale,
    }
}

fn nonce() -> String {
    let now = now().to_string();
    format!("{now}-{}", hash(&[KEY, "nonce", &now]))
}

/// What says that somebody logged in, until when.
fn token(user: &str) -> String {
    let until = (now() + LOGIN_LASTS).to_string();
    format!("{user}.{until}.{}", hash(&[KEY, "login", user, &until]))
}

fn user_of(token: &str) -> Option<&str> {
    let [user, until, sum] = token.split('.').collect::<Vec<_>>().try_into().ok()?;
    let is_ours = sum == hash(&[KEY, "login", user, until]);
    (is_ours && now() < until.parse::<u64>().ok()?).then_some(user)
}

fn hash(parts: &[&str]) -> String {
    Checksum::of(ChecksumAlgorithm::Sha256, parts.join(":").as_bytes()).to_string()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let header = request.headers().iter().find(|header| header.field.equiv(name))?;
    Some(header.value.to_string())
}

fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("a header of our own making")
}

fn text(status: u16, body: &str) -> Page {
    Response::from_string(body).with_status_code(StatusCode(status))
}
