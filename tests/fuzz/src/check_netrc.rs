use crate::proto::netrc::{find, parse};

/// Whatever is in a file, what is found in it is for whom it was asked, and is found again when it is written
/// in the strictest form.
pub fn netrc(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let entries = match parse(&text) {
        Ok(entries) => entries,
        Err(error) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&error.line), "{error}");
            return;
        }
    };
    for host in ["h", "example.com", ""] {
        for user in [None, Some("me"), Some("nobody")] {
            let Some((login, password)) = find(&entries, host, user) else { continue };
            assert!(user.is_none_or(|user| user == login));
            let quoted = |text: &str| {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
            };
            let (name, secret) = (quoted(login), quoted(password));
            let written = format!("machine \"{host}\" login \"{name}\" password \"{secret}\"");
            let again = parse(&written).expect("well-formed");
            assert_eq!(find(&again, host, user), Some((login, password)));
            assert_eq!(find(&again, "elsewhere", user), None);
        }
    }
}
