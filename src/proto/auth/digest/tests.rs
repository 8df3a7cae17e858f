//! The vectors of the RFCs, and others computed with Python's hashlib from the formulas of RFC 7616
//! sections 3.4.1 to 3.4.3 and 3.5.

use super::session::{Answer, Peer};
use super::*;
use crate::proto::auth::challenges::challenges;
use http::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};

fn challenge(text: impl AsRef<[u8]>) -> Result<DigestChallenge, Unanswerable> {
    let value = HeaderValue::from_bytes(text.as_ref()).expect("a value");
    let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]);
    DigestChallenge::of(challenges(&headers, &WWW_AUTHENTICATE).first().expect("a challenge"))
}

fn session(text: &str, user: &str, password: &str, client_nonce: &str) -> DigestSession {
    let challenge = challenge(text).expect("one that can be answered");
    DigestSession::new(&challenge, user, password, client_nonce.to_owned()).expect("a session")
}

fn text(answer: &Answer) -> String {
    assert!(answer.value.is_sensitive());
    String::from_utf8(answer.value.as_bytes().to_vec()).expect("UTF-8")
}

fn get(session: &DigestSession, target: &str) -> String {
    text(&session.authorize("GET", target, None).expect("an answer"))
}

fn parameter(answer: &str, name: &str) -> Option<String> {
    let parameters = crate::proto::auth::challenges::parameters(answer.strip_prefix("Digest ")?)?;
    parameters.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

const LION: &str = r#"realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
const LION_NONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

#[test]
fn rfc_7616_section_3_9_1() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let challenge = format!("Digest {LION}, algorithm={algorithm}");
        let lion = session(&challenge, "Mufasa", "Circle of Life", LION_NONCE);
        assert!(!lion.needs_body());
        assert_eq!(
            get(&lion, "/dir/index.html"),
            format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"{LION_NONCE}\", qop=auth, response=\"{response}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        );
    }
}

/// With the values of erratum 4897: those in the text are of another hash than SHA-512/256.
#[test]
fn rfc_7616_section_3_9_2() {
    let challenge = r#"Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256,
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true"#;
    let challenge = challenge.replace('\n', " ");
    let nonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
    let answer = get(&session(&challenge, "Jäsøn Doe", "Secret, or not?", nonce), "/doe.json");
    let response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
    assert_eq!(parameter(&answer, "response").as_deref(), Some(response));
    let user = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
    assert_eq!(parameter(&answer, "username").as_deref(), Some(user));
    assert!(answer.ends_with(", userhash=true"), "{answer}");

    let challenge = challenge.replace("userhash=true", "userhash=false");
    let answer = get(&session(&challenge, "Jäsøn Doe", "Secret, or not?", nonce), "/doe.json");
    assert!(answer.starts_with("Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, realm="), "{answer}");
    assert_eq!(parameter(&answer, "response").as_deref(), Some(response));
    assert!(!answer.contains("userhash"));
}

#[test]
fn rfc_2617_section_3_5() {
    let challenge = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let lion = session(challenge, "Mufasa", "Circle Of Life", "0a4f113b");
    assert_eq!(
        get(&lion, "/dir/index.html"),
        r#"Digest username="Mufasa", realm="testrealm@host.com", uri="/dir/index.html", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", nc=00000001, cnonce="0a4f113b", qop=auth, response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#
    );
}

/// With the value of erratum 749.
#[test]
fn rfc_2069_section_2_4() {
    let challenge = r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#;
    let lion = session(challenge, "Mufasa", "CircleOfLife", "unused");
    let expected = r#"Digest username="Mufasa", realm="testrealm@host.com", uri="/dir/index.html", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", response="1949323746fe6a43ef61f9606e7febea""#;
    assert_eq!(get(&lion, "/dir/index.html"), expected);
    // Without qop there is no count.
    assert_eq!(get(&lion, "/dir/index.html"), expected);
}

/// User `u"ser\`, realm `a "realm"`, password `pass:word`, POST of `hello` to `/a?b=c`, the second use of
/// nonce `n0nce`, client nonce `c0nce`: response, and rspauth for `auth`.
#[rustfmt::skip]
const GRID: [(&str, &str, &str, &str); 15] = [
    ("MD5", "", "ea447e53d5c9de1d5bf40a5879a0877d", ""),
    ("MD5", "auth", "3f620060faa76ee66fc73cb6bd4dd454", "871289b7d28009854a5dc1ba26963d4e"),
    ("MD5", "auth-int", "bfd2c67e5a4b202c28df43f8b6aecee0", ""),
    ("MD5-sess", "auth", "f585b0a543472a1ee56fea25442a2313", "9d47dbc2766c05964cd3a143b5c75dc5"),
    ("MD5-sess", "auth-int", "3bed2f878c9d0ca86ddc835e27781f2d", ""),
    ("SHA-256", "", "31c600bc78b3c573df2a1474f2d7dd3b42c1c1f8449ff6cd1d2f486d98d1e1ee", ""),
    ("SHA-256", "auth", "0de2878f8360b8f5f5c881e828d77e7f5683dabed73ba12d189da4122e0de2e7", "ec22cb8339fe2f8fb17b25aaaf562c8e5d4278107137d91f8352869d106197e1"),
    ("SHA-256", "auth-int", "ff3a3cca105b6504b15662d744d05076b0dd71379c7ccff79b510c136f29cf9a", ""),
    ("SHA-256-sess", "auth", "d29228acef2a4fb1de316f2ce325849719d8d7c60765613cd38fa86c94f24c53", "68dd094867afc1301b4b2d9cd3f2c3f014212c4aef58e25bb0045fa08fca9277"),
    ("SHA-256-sess", "auth-int", "bdcb2afdb60acb8cdc294b7beaccb39e3cc04d3c5bd2b83a5eff445642eb9890", ""),
    ("SHA-512-256", "", "d83e5e310ce2061783656ef07cf6dc2b4733f1248712af29229451491338d210", ""),
    ("SHA-512-256", "auth", "cb9690146331500e8481fbcd75abcddfedf73bf095ead8ae6f562e0801d5fe8a", "fdf2bdfa2e4a36175c67664f91946916f5749eb7d61c41edac3b6da79ef59b65"),
    ("SHA-512-256", "auth-int", "fca3ee943c92e7b01abe56070fd619a6f7720c86db9a554a4694567d67537d14", ""),
    ("SHA-512-256-sess", "auth", "29ff4978b67c39d9ec64e62d8d169c1062e105e62888d2dc3e43375d108e50e1", "6b58704732b4e5ff68afee2a545c5df3406cb69c13065f38d63b1ecc87fbb5c9"),
    ("SHA-512-256-sess", "auth-int", "e4f9c5ec39e8d3eb3b8d50f96aa848fae180a8f81fa008c7e59ba14cf86ae0c2", ""),
];

#[test]
fn every_algorithm_with_every_qop() {
    for (algorithm, qop, response, rspauth) in GRID {
        let qop_text = if qop.is_empty() { String::new() } else { format!(", qop=\"x,{qop}\"") };
        let challenge =
            format!(r#"Digest realm="a \"realm\"", nonce="n0nce"{qop_text}, algorithm={algorithm}"#);
        let session = session(&challenge, "u\"ser\\", "pass:word", "c0nce");
        assert_eq!(session.needs_body(), qop == "auth-int");
        let mut hasher = session.body_hasher();
        hasher.update(b"he");
        hasher.update(b"llo");
        let body = hasher.finish();
        let post = || session.authorize("POST", "/a?b=c", Some(&body)).expect("an answer");
        post();
        let answer = post();
        let shown = text(&answer);
        assert_eq!(parameter(&shown, "response").as_deref(), Some(response), "{challenge}");
        assert!(
            shown.starts_with(r#"Digest username="u\"ser\\", realm="a \"realm\"", uri="/a?b=c""#),
            "{shown}"
        );
        assert_eq!(shown.contains(", nc=00000002, cnonce=\"c0nce\", qop=auth"), !qop.is_empty(), "{shown}");

        let informed = |rspauth: &str| {
            let name = HeaderName::from_static("authentication-info");
            let value = HeaderValue::try_from(format!("rspauth=\"{rspauth}\", qop=auth")).expect("a value");
            session.informed(&answer.proof, &HeaderMap::from_iter([(name.clone(), value)]), &name)
        };
        if rspauth.is_empty() {
            assert_eq!(informed("00"), Peer::Unproven);
        } else {
            assert_eq!(informed(&rspauth.to_uppercase()), Peer::Proven);
            assert!(session.authorize("GET", "/", None).is_some());
            assert_eq!(informed(response), Peer::Refuted);
            assert!(session.authorize("GET", "/", None).is_none());
        }
    }
}

#[test]
fn a_request_without_a_body_has_an_empty_one() {
    let challenge = r#"Digest realm="r", nonce="n", qop=auth-int, algorithm=SHA-256"#;
    let answer = get(&session(challenge, "u", "p", "c"), "/");
    let response = "1b43e30012f5d7efa1ca861a096b50ae72f106271d7e9a4d60b944b3b0197efd";
    assert_eq!(parameter(&answer, "response").as_deref(), Some(response));
}

#[test]
fn bytes_that_are_no_utf_8_go_back_as_they_came() {
    let challenge = challenge(b"Digest realm=\"caf\xe9\", nonce=n, qop=auth").expect("one");
    let session = DigestSession::new(&challenge, "ü", "p", "c".to_owned()).expect("a session");
    let answer = session.authorize("GET", "/", None).expect("an answer");
    let value = answer.value.as_bytes();
    let has = |part: &[u8]| value.windows(part.len()).any(|window| window == part);
    assert!(has(b"realm=\"caf\xe9\""));
    // Who does not say that it wants UTF-8 is of before `username*`.
    assert!(has("username=\"ü\"".as_bytes()));
    assert!(has(b"response=\"dae7eff47a29a883074782e9c0d87ba5\""));
}

#[test]
fn what_cannot_be_answered() {
    for (text, why) in [
        ("Digest nonce=n", Unanswerable::Incomplete),
        ("Digest realm=r", Unanswerable::Incomplete),
        ("Digest abc=", Unanswerable::Incomplete),
        ("Digest realm=r, nonce=n, algorithm=SHA-1", Unanswerable::Algorithm),
        ("Digest realm=r, nonce=n, algorithm=-sess", Unanswerable::Algorithm),
        ("Digest realm=r, nonce=n, algorithm=\"ü-sess\"", Unanswerable::Algorithm),
        ("Digest realm=r, nonce=n, qop=\"x, y\"", Unanswerable::Qop),
        ("Digest realm=r, nonce=n, algorithm=MD5-sess", Unanswerable::SessionWithoutQop),
        (&format!("Digest realm=r, nonce={}", "n".repeat(20_000)), Unanswerable::TooLong),
    ] {
        assert_eq!(challenge(text), Err(why), "{text:.100}");
    }
    let error =
        DigestSession::new(&challenge(format!("Digest {LION}")).expect("one"), "a\nb", "", String::new());
    assert!(error.is_err());
}

#[test]
fn algorithms_are_ordered_and_named_as_the_server_did() {
    let of =
        |name: &str| challenge(format!("digest realm=r, nonce=n, qop=auth, algorithm={name}")).expect("one");
    assert!(of("sha-512-256").strength() > of("SHA-256-SESS").strength());
    assert!(of("SHA-256").strength() > of("md5").strength());
    let answer = get(&session("Digest realm=r, nonce=n, qop=AUTH, algorithm=md5-Sess", "u", "p", "c"), "/");
    assert!(answer.contains(", algorithm=md5-Sess, ") && answer.contains(", qop=auth, "), "{answer}");
}

#[test]
fn the_space_is_where_domain_says() {
    let from = Url::parse("https://example.com/a/b/c?q").expect("a URL");
    let paths = |domain: &str| {
        challenge(format!("Digest realm=r, nonce=n, domain=\"{domain}\"")).expect("one").paths(&from)
    };
    assert_eq!(paths(""), ["/"]);
    assert_eq!(paths("/x /y/ https://EXAMPLE.com:443/z?w"), ["/x", "/y/", "/z"]);
    assert_eq!(paths("d"), ["/a/b/d"]);
    assert_eq!(paths("https://example.org/ http://example.com/ https://example.com:444/ data:x"), ["/a/b/"]);
    assert_eq!(paths(&"/x ".repeat(1000)).len(), MOST_PATHS);
}

/// `nonce nc` of the next answer.
fn next(session: &DigestSession) -> String {
    let answer = get(session, "/");
    let part = |name| parameter(&answer, name).unwrap_or_default();
    format!("{} {}", part("nonce"), part("nc"))
}

fn renewed(session: &DigestSession, nonce: &str, more: &str) -> bool {
    session.renew(&challenge(format!("Digest realm=r, nonce={nonce}, qop=auth{more}")).expect("one"))
}

fn informed(session: &DigestSession, proof: &Proof, info: &'static str) -> Peer {
    let name = HeaderName::from_static("authentication-info");
    session.informed(proof, &HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(info))]), &name)
}

#[test]
fn no_count_is_used_twice_with_a_nonce() {
    let session = session("Digest realm=r, nonce=one, qop=auth", "u", "p", "c");
    assert_eq!(next(&session), "one 00000001");
    assert_eq!(next(&session), "one 00000002");
    assert!(renewed(&session, "two", ", stale=true, opaque=o"));
    assert_eq!(next(&session), "two 00000001");
    assert!(get(&session, "/").ends_with(", opaque=\"o\""));
    // The same nonce again, and the one of before.
    assert!(renewed(&session, "two", ""));
    assert_eq!(next(&session), "two 00000003");
    assert!(renewed(&session, "one", ""));
    assert_eq!(next(&session), "one 00000003");
    assert!(renewed(&session, "two", ""));
    assert_eq!(next(&session), "two 00000004");
}

#[test]
fn tasks_share_the_count() {
    let session = session("Digest realm=r, nonce=one, qop=auth", "u", "p", "c");
    let counts: std::collections::HashSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..100).map(|_| next(&session)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(counts.len(), 400);
    assert_eq!(next(&session), format!("one {:08x}", 401));
}

#[test]
fn another_kind_of_challenge_takes_another_session() {
    let session = session("Digest realm=r, nonce=one, qop=auth", "u", "p", "c");
    for more in [", algorithm=SHA-256", ", userhash=true", ", charset=UTF-8"] {
        assert!(!renewed(&session, "two", more), "{more}");
    }
    let other = challenge("Digest realm=other, nonce=n, qop=auth").expect("one");
    assert!(!session.renew(&other));
    assert!(!session.renew(&challenge("Digest realm=r, nonce=n").expect("one")));
    assert_eq!(next(&session), "one 00000001");
}

#[test]
fn the_next_nonce_is_taken_from_an_answer_to_the_current_one() {
    let session = session("Digest realm=r, nonce=one, qop=auth", "u", "p", "c");
    let answers: Vec<_> = (0..3).filter_map(|_| session.authorize("GET", "/", None)).collect();
    let [first, second, third] = answers.as_slice() else { panic!("three answers") };
    assert_eq!(informed(&session, &first.proof, "nextnonce=\"two\""), Peer::Unproven);
    assert_eq!(next(&session), "two 00000001");
    // These were on their way when it changed.
    informed(&session, &second.proof, "nextnonce=\"three\"");
    assert_eq!(next(&session), "two 00000002");
    for nonsense in ["nextnonce=\"\"", "nextnonce", "nextnonce=a b", ""] {
        assert_eq!(informed(&session, &third.proof, nonsense), Peer::Unproven);
    }
    assert_eq!(next(&session), "two 00000003");
}

#[test]
fn a_session_algorithm_keeps_its_nonce() {
    let session = session("Digest realm=r, nonce=one, qop=auth, algorithm=MD5-sess", "u", "p", "c");
    let answer = session.authorize("GET", "/", None).expect("an answer");
    informed(&session, &answer.proof, "nextnonce=two");
    assert_eq!(next(&session), "one 00000002");
}

#[test]
fn a_server_that_does_not_know_the_password_loses_its_nonce() {
    for info in [
        "rspauth=\"00\"",
        "rspauth=\"00\", nextnonce=\"two\"",
        "rspauth=\"00\", cnonce=\"other\"",
        "rspauth=\"00\", cnonce=\"c\", nc=00000002",
    ] {
        let session = session("Digest realm=r, nonce=one, qop=auth", "u", "p", "c");
        let answer = session.authorize("GET", "/", None).expect("an answer");
        assert_eq!(informed(&session, &answer.proof, info), Peer::Refuted, "{info}");
        assert!(session.authorize("GET", "/", None).is_none());
        // Its next challenge brings another one.
        assert!(renewed(&session, "two", ""));
        assert_eq!(next(&session), "two 00000001");
        // What is known of an old nonce does not touch the new one.
        assert_eq!(informed(&session, &answer.proof, info), Peer::Refuted);
        assert_eq!(next(&session), "two 00000002");
    }
}

#[test]
fn a_count_has_an_end() {
    let session = session("Digest realm=r, nonce=one, qop=auth", "u", "p", "c");
    session.count_from(u32::MAX - 1);
    assert_eq!(next(&session), "one ffffffff");
    assert!(session.authorize("GET", "/", None).is_none());
    assert!(session.authorize("GET", "/", None).is_none());
}

#[test]
fn nothing_secret_is_printed() {
    let session = session("Digest realm=r, nonce=one, qop=auth", "u", "hidden", "c");
    assert!(!format!("{session:?}").contains("hidden"));
}
