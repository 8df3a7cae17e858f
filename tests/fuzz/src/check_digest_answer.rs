use crate::proto::auth::challenges::{challenges, parameters};
use crate::proto::auth::digest::hash::Hash;
use crate::proto::auth::digest::{DigestChallenge, DigestSession};
use http::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};

const INFO: HeaderName = HeaderName::from_static("authentication-info");

/// An answer to whatever challenge is well-formed and right, by a reckoning that knows nothing of how it was
/// made; and what a server says about itself is believed only if it is.
pub fn digest_answer(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let (Some(who), Some(field)) = (lines.next(), lines.next()) else { return };
    let parts: Vec<_> = who.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part)).collect();
    let [user, password, method, target, body] = parts.as_slice() else { return };
    let Ok(value) = HeaderValue::from_bytes(field) else { return };
    let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]);
    let found = challenges(&headers, &WWW_AUTHENTICATE);
    let Some(asked) = found.first().filter(|challenge| challenge.is("digest")) else { return };
    let Ok(challenge) = DigestChallenge::of(asked) else { return };
    let session = DigestSession::new(&challenge, user, password, "c0nce".to_owned());
    let Ok(session) = session else {
        assert!(user.chars().any(char::is_control));
        return;
    };
    let mut hasher = session.body_hasher();
    hasher.update(body.as_bytes());
    let body = session.needs_body().then(|| hasher.finish());
    let Some(first) = session.authorize(method, target, body.as_deref()) else {
        assert!(HeaderValue::from_str(target).is_err());
        return;
    };
    let second = session.authorize(method, target, body.as_deref()).expect("another");

    let algorithm = asked.parameter("algorithm").unwrap_or("MD5").to_ascii_uppercase();
    let is_session = algorithm.ends_with("-SESS");
    let hash = Hash::named(algorithm.trim_end_matches("-SESS")).expect("it was answered");
    let bytes = |name: &str| asked.bytes(asked.parameter(name).unwrap_or_default());
    let (realm, nonce) = (bytes("realm"), bytes("nonce"));
    let mut key = hash.of(&[user.as_bytes(), &realm, password.as_bytes()]);
    if is_session {
        key = hash.of(&[key.as_bytes(), &nonce, b"c0nce"]);
    }
    let digest = |method: &str, count: &str, qop: &str, body: Option<&str>| {
        let of = [method.as_bytes(), target.as_bytes(), body.unwrap_or_default().as_bytes()];
        let what = hash.of(if qop == "auth-int" { &of } else { &of[..2] });
        if qop.is_empty() {
            return hash.of(&[key.as_bytes(), &nonce, what.as_bytes()]);
        }
        hash.of(&[key.as_bytes(), &nonce, count.as_bytes(), b"c0nce", qop.as_bytes(), what.as_bytes()])
    };
    for (number, answer) in [&first, &second].into_iter().enumerate() {
        assert!(answer.value.is_sensitive());
        let text = answer.value.as_bytes().strip_prefix(b"Digest ").expect("the scheme");
        // Bytes as characters, so that none is lost.
        let text: String = text.iter().copied().map(char::from).collect();
        let shown = parameters(&text).expect("well-formed");
        let part = |name: &str| shown.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let same = |name: &str, expected: &[u8]| {
            let value: Vec<u8> = part(name).expect(name).chars().map(|c| c as u8).collect();
            assert_eq!(value, expected, "{name}");
        };
        same("realm", &realm);
        same("nonce", &nonce);
        same("uri", target.as_bytes());
        if asked.parameter("opaque").is_some() {
            same("opaque", &bytes("opaque"));
        }
        let qop = part("qop").unwrap_or_default();
        let count = part("nc").unwrap_or_default();
        assert_eq!(count, if qop.is_empty() { String::new() } else { format!("{:08x}", number + 1) });
        same("response", digest(method, count, qop, body.as_deref()).as_bytes());
        if part("userhash").is_some() {
            same("username", hash.of(&[user.as_bytes(), &realm]).as_bytes());
        } else if part("username*").is_none() {
            same("username", user.as_bytes());
        }
    }

    // It is believed what is true.
    let rspauth = digest("", "00000002", "auth", None);
    let informed = |text: String| {
        let headers = HeaderMap::from_iter([(INFO, HeaderValue::try_from(text).expect("a value"))]);
        format!("{:?}", session.informed(&second.proof, &headers, &INFO))
    };
    let verifiable = asked
        .parameter("qop")
        .is_some_and(|qop| qop.split(',').any(|option| option.trim().eq_ignore_ascii_case("auth")));
    let (right, wrong) = if verifiable { ("Proven", "Refuted") } else { ("Unproven", "Unproven") };
    assert_eq!(informed(format!("rspauth=\"{rspauth}\", nc=00000002")), right);
    assert_eq!(informed(format!("rspauth=\"x{rspauth}\"")), wrong);
    assert_eq!(session.authorize(method, target, None).is_none(), verifiable);
    assert!(session.renew(&challenge));
    if let Some(Ok(info)) = lines.next().map(HeaderValue::from_bytes) {
        session.informed(&second.proof, &HeaderMap::from_iter([(INFO, info)]), &INFO);
        assert!(session.renew(&challenge));
        assert!(session.authorize(method, target, None).is_some());
    }
}
