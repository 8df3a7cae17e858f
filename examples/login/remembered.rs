//! What a session remembers, as a person wants to see it: no values, only what they are for.

use std::time::SystemTime;
use urlsession::{Cookie, ProtectionSpace, Session};

/// Shows it.
pub fn show(session: &Session) {
    let configuration = session.configuration();
    let cookies = configuration.get_cookie_storage().map(|storage| storage.cookies()).unwrap_or_default();
    let mut lines: Vec<_> = cookies.iter().map(cookie).collect();
    if let Some(storage) = configuration.get_credential_storage() {
        for (space, credentials) in storage.all_credentials() {
            let names = credentials.iter().map(|credential| credential.user().unwrap_or("nobody"));
            lines.extend(names.map(|user| format!("the password of {user} for {}", place(&space))));
        }
    }
    if lines.is_empty() {
        println!("Nothing is remembered.");
        return;
    }
    println!("Remembered:");
    lines.iter().for_each(|line| println!("  {line}"));
}

fn cookie(cookie: &Cookie) -> String {
    let left = cookie.expires().and_then(|end| end.duration_since(SystemTime::now()).ok());
    let time = match left.map(|left| left.as_secs() / 3600) {
        None => "until the program ends".to_owned(),
        Some(hours) => format!("for {} days and {} hours", hours / 24, hours % 24),
    };
    format!("a cookie called {} for {}{}, {time}", cookie.name(), cookie.domain(), cookie.path())
}

fn place(space: &ProtectionSpace) -> String {
    let method = space.authentication_method();
    let realm = space.realm().unwrap_or_default();
    format!("{method:?} in {realm} on {}://{}:{}", space.protocol(), space.host(), space.port())
}
