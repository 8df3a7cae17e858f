use crate::proto::auth::challenges::{AuthChallenge, MOST_CHALLENGES, MOST_PARAMETERS, challenges as read};
use crate::proto::auth::offers::offers;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

/// Whatever is in the fields, what is read out of them is bounded and sound, is read again as it is written,
/// and the next field is read whatever was in those before.
pub fn challenges(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n').take(10) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    let found = read(&headers, &WWW_AUTHENTICATE);
    assert!(found.len() <= MOST_CHALLENGES);
    found.iter().for_each(check);

    let offers = offers(&headers, &WWW_AUTHENTICATE, &["Newauth"]);
    assert!(offers.len() <= found.len());
    assert!(offers.iter().all(|offer| found.contains(&offer.challenge)));

    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=sentinel"));
    let more = read(&headers, &WWW_AUTHENTICATE);
    assert_eq!(more[..found.len()], found);
    if found.len() < MOST_CHALLENGES {
        assert_eq!(more.len(), found.len() + 1);
        assert_eq!(more[found.len()].parameter("realm"), Some("sentinel"));
    }
}

fn check(challenge: &AuthChallenge) {
    assert!(!challenge.scheme.is_empty());
    assert!(challenge.parameters.len() <= MOST_PARAMETERS);
    assert!(challenge.token68.is_none() || challenge.parameters.is_empty());
    for (at, (name, value)) in challenge.parameters.iter().enumerate() {
        assert_eq!(*name, name.to_ascii_lowercase());
        assert!(challenge.parameters[..at].iter().all(|(other, _)| other != name));
        assert_eq!(challenge.parameter(name), Some(value.as_str()));
    }
    // What is behind the scheme, put behind it, is the same challenge.
    let whole = format!("{} {}", challenge.scheme, challenge.rest);
    assert_same(challenge, &challenge.bytes(&whole));
    // And so it is with every value in quotes.
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let text = match &challenge.token68 {
        Some(token) => token.clone(),
        None => {
            let write = |(name, value): &(String, String)| format!("{name}=\"{}\"", quoted(value));
            challenge.parameters.iter().map(write).collect::<Vec<_>>().join(", ")
        }
    };
    assert_same(challenge, &challenge.bytes(&format!("{} {text}", challenge.scheme)));
}

fn assert_same(challenge: &AuthChallenge, field: &[u8]) {
    let value = HeaderValue::from_bytes(field).expect("it was in a field");
    let again = read(&HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]), &WWW_AUTHENTICATE);
    let [again] = again.as_slice() else { panic!("{again:?} for {challenge:?}") };
    assert_eq!((&again.scheme, &again.token68), (&challenge.scheme, &challenge.token68));
    // As bytes, since a part of what is no UTF-8 may be some.
    let bytes = |of: &AuthChallenge| -> Vec<_> {
        of.parameters.iter().map(|(name, value)| (name.clone(), of.bytes(value))).collect()
    };
    assert_eq!(bytes(again), bytes(challenge));
}
