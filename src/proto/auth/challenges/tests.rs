use super::*;
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;

fn read(lines: &[&[u8]]) -> Vec<AuthChallenge> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(line).expect("a value"));
    }
    challenges(&headers, &WWW_AUTHENTICATE)
}

/// As `scheme{name=value|…}` or `scheme(token68)`.
fn shown(lines: &[&str]) -> Vec<String> {
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    let show = |challenge: &AuthChallenge| match &challenge.token68 {
        Some(token) => {
            assert_eq!((&challenge.rest, challenge.parameters.len()), (token, 0));
            format!("{}({token})", challenge.scheme)
        }
        None => {
            let parameters: Vec<_> =
                challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}{{{}}}", challenge.scheme, parameters.join("|"))
        }
    };
    read(&lines).iter().map(show).collect()
}

#[test]
fn one_challenge() {
    assert_eq!(shown(&[r#"Basic realm="staff""#]), ["Basic{realm=staff}"]);
    assert_eq!(shown(&["Basic realm=staff"]), ["Basic{realm=staff}"]);
    assert_eq!(shown(&["BASIC REALM=\"Staff\", charset=UTF-8"]), ["BASIC{realm=Staff|charset=UTF-8}"]);
    assert_eq!(shown(&["Basic realm = \"a\" ,\tb\t=\tc"]), ["Basic{realm=a|b=c}"]);
    assert_eq!(shown(&["Basic"]), ["Basic{}"]);
    assert_eq!(shown(&["Basic   "]), ["Basic{}"]);
    assert_eq!(shown(&["Basic realm=\"\""]), ["Basic{realm=}"]);
    assert_eq!(shown(&["NTLM TlRMTVNTUAACAAAA=="]), ["NTLM(TlRMTVNTUAACAAAA==)"]);
    assert_eq!(shown(&["Negotiate a-b._~+/c"]), ["Negotiate(a-b._~+/c)"]);
    assert_eq!(shown(&["Negotiate realm="]), ["Negotiate(realm=)"]);
    assert_eq!(shown(&["Basic realm='single'"]), ["Basic{realm='single'}"]);
    assert!(shown(&[]).is_empty() && shown(&[""]).is_empty() && shown(&[", ,"]).is_empty());
}

#[test]
fn quoted_strings() {
    assert_eq!(shown(&[r#"Basic realm="a, Digest b=c""#]), ["Basic{realm=a, Digest b=c}"]);
    assert_eq!(shown(&[r#"Basic realm="\"\\\f\o\,""#]), [r#"Basic{realm="\fo,}"#]);
    assert_eq!(shown(&[r#"Basic realm="ü\ü", x="=""#]), ["Basic{realm=üü|x==}"]);
}

#[test]
fn many_in_one_field() {
    // RFC 9110 section 11.6.1.
    assert_eq!(
        shown(&[r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#]),
        ["Basic{realm=simple}", r#"Newauth{realm=apps|type=1|title=Login to "apps"}"#]
    );
    assert_eq!(shown(&["Negotiate, NTLM, Basic realm=a"]), ["Negotiate{}", "NTLM{}", "Basic{realm=a}"]);
    assert_eq!(shown(&["Negotiate abc=,Digest realm=x"]), ["Negotiate(abc=)", "Digest{realm=x}"]);
    assert_eq!(shown(&[",, Basic ,realm=a,,b=c,, ,NTLM,"]), ["Basic{realm=a|b=c}", "NTLM{}"]);
}

#[test]
fn many_fields() {
    let lines = ["Negotiate", r#"Digest realm="x", nonce="y""#, "Basic realm=x"];
    assert_eq!(shown(&lines), ["Negotiate{}", "Digest{realm=x|nonce=y}", "Basic{realm=x}"]);
}

#[test]
fn malformed_ones_are_left_out_and_the_next_taken() {
    for broken in [
        "Digest realm",
        "Digest realm=\"a\" nonce=\"b\"",
        "Digest realm=\"a\"b",
        "Digest realm=a b=c",
        "Digest =a",
        "Digest realm=x, realm=y",
        "Digest realm=x, REALM=y",
        "Digest realm=x, nonce=",
        "Digest abc==, nonce=x",
        "Digest abc d",
        "Digest \"quoted, string\"",
        "Digest realm=\"a, Basic b=c\" d",
        "Digest\"x\"",
        "Digest ä=b",
        "Digest realm=x, (comment)",
        "Digest realm=x, \"a, Negotiate, b\"",
        "=",
        "\"\"",
        "ä",
        "realm=x",
    ] {
        let found = shown(&[&format!("{broken}, Basic realm=good"), "NTLM"]);
        // A word alone is a token68, which is well-formed.
        let ends = if broken == "Digest realm" { 1 } else { 0 };
        assert_eq!(found.get(ends..).unwrap_or_default(), ["Basic{realm=good}", "NTLM{}"], "{broken}");
    }
    // Where a quote does not end, the field does; others are read.
    assert_eq!(
        shown(&["NTLM, Digest realm=\"x, Basic realm=y", "Basic realm=z"]),
        ["NTLM{}", "Basic{realm=z}"]
    );
    assert_eq!(shown(&["Digest realm=\"x\\"]), [""; 0]);
}

#[test]
fn what_is_behind_the_scheme_is_kept_as_it_is() {
    let found = read(&[br#"New  a="x\"y" , b=c , NTLM TlRM, Foo,Bar x=y "#]);
    let rests: Vec<_> = found.iter().map(|challenge| challenge.rest.as_str()).collect();
    assert_eq!(rests, [r#"a="x\"y" , b=c"#, "TlRM", "", "x=y"]);
}

/// 0xA0 is whitespace in Unicode, and none in HTTP.
#[test]
fn what_is_behind_the_scheme_ends_with_its_last_byte() {
    let found = read(&[b"New a=b\xa0 \t, x"]);
    let rests: Vec<_> = found.iter().map(|challenge| challenge.rest.as_str()).collect();
    assert_eq!(rests, ["a=b\u{a0}", ""]);
}

#[test]
fn text_that_is_not_utf_8_keeps_its_bytes() {
    let found = read(&[b"Basic realm=\"caf\xe9\"", "Basic realm=\"café\"".as_bytes()]);
    let [latin1, utf8] = found.as_slice() else { panic!("{found:?}") };
    for challenge in [latin1, utf8] {
        assert_eq!(challenge.parameter("realm"), Some("café"));
    }
    assert_eq!(latin1.bytes("café"), b"caf\xe9");
    assert_eq!(utf8.bytes("café"), "café".as_bytes());
}

#[test]
fn there_are_bounds() {
    let many = vec!["Basic realm=x"; 1000].join(", ");
    assert_eq!(read(&[many.as_bytes(), b"NTLM"]).len(), MOST_CHALLENGES);
    let wide: Vec<_> = (0..1000).map(|number| format!("p{number}=x")).collect();
    let wide = format!("Digest {}, Basic realm=x", wide.join(", "));
    assert_eq!(shown(&[&wide]), ["Basic{realm=x}"]);
}

#[test]
fn parameters_without_a_scheme() {
    let read = |text| parameters(text).map(|read| read.len());
    assert_eq!(
        parameters(r#"nextnonce="a,b", QOP=auth"#),
        Some(vec![("nextnonce".into(), "a,b".into()), ("qop".into(), "auth".into())])
    );
    assert_eq!(read(""), Some(0));
    assert_eq!(read("a=b c"), None);
    assert_eq!(read("a=b, a=c"), None);
    assert_eq!(read("a"), None);
}
