use super::*;
use crate::proto::structured::MAX_INTEGER;
use http::header::{HeaderName, HeaderValue};

const RESOURCE: &str = "https://h/uploads/1";

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    map
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn lost() -> Error {
    Error::new(ErrorKind::NetworkConnectionLost, "gone")
}

/// An upload and a short notation for its steps.
struct Dialogue(Upload);

impl Dialogue {
    fn new(total: Option<u64>) -> Dialogue {
        let mut dialogue = Dialogue(Upload::new(url("https://h/files?q"), total));
        let first = dialogue.0.start();
        assert_eq!(short(&first), "create");
        dialogue
    }

    /// One whose upload resource was announced.
    fn announced(total: Option<u64>) -> Dialogue {
        let mut dialogue = Dialogue::new(total);
        assert_eq!(dialogue.interim(&[("location", "/uploads/1")]), "");
        assert_eq!(dialogue.0.resource().map(Url::as_str), Some(RESOURCE));
        dialogue
    }

    /// One that was cut, and whose upload resource is asked for the offset.
    fn cut(total: Option<u64>, sent: u64) -> Dialogue {
        let mut dialogue = Dialogue::announced(total);
        dialogue.0.handle_sent(sent);
        assert_eq!(dialogue.lost(), "query 0");
        dialogue
    }

    fn interim(&mut self, fields: &[(&str, &str)]) -> String {
        let mut headers = map(fields);
        headers.insert(fields::INTEROP, INTEROP_VERSION.into());
        self.informational(104, &headers)
    }

    fn informational(&mut self, status: u16, headers: &HeaderMap) -> String {
        let status = StatusCode::from_u16(status).expect("a status");
        self.0.handle_informational(status, headers).as_ref().map_or_else(String::new, short)
    }

    fn answer(&mut self, status: u16, fields: &[(&str, &str)]) -> String {
        let status = StatusCode::from_u16(status).expect("a status");
        short(&self.0.handle_response(status, &map(fields)))
    }

    /// Answers offset retrieval.
    fn state(&mut self, offset: &str, complete: &str) -> String {
        self.answer(204, &[("upload-offset", offset), ("upload-complete", complete)])
    }

    fn lost(&mut self) -> String {
        short(&self.0.handle_lost(lost()))
    }
}

fn short(next: &Next) -> String {
    let at = |url: &Url| if url.as_str() == RESOURCE { String::new() } else { format!(" at {url}") };
    match next {
        Next::Create => "create".to_owned(),
        Next::QueryOffset { url, attempt } => format!("query {attempt}{}", at(url)),
        Next::Append { url, offset, length, complete } => {
            let length = length.map_or_else(|| "rest".to_owned(), |length| length.to_string());
            format!("append {offset}+{length}{}{}", if *complete { "!" } else { "" }, at(url))
        }
        Next::Deliver => "deliver".to_owned(),
        Next::Fail(error) => format!("fail {}", error.kind()),
        Next::Cancel { url, error } => format!("cancel {}{}", error.kind(), at(url)),
    }
}

#[test]
fn a_server_that_knows_nothing_of_it() {
    for status in [200, 201, 307, 400, 404, 413, 500, 503] {
        assert_eq!(Dialogue::new(Some(10)).answer(status, &[]), "deliver", "{status}");
    }
    assert_eq!(Dialogue::new(Some(10)).lost(), "fail NetworkConnectionLost");
    assert_eq!(Dialogue::new(None).lost(), "fail NetworkConnectionLost");
}

#[test]
fn an_upload_in_one_go() {
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.interim(&[("upload-offset", "40")]), "");
    assert_eq!(dialogue.0.acknowledged(), 40);
    assert_eq!(dialogue.answer(201, &[("location", "/elsewhere")]), "deliver");
    // The real answer, whatever its status.
    for status in [200, 404, 500] {
        assert_eq!(Dialogue::announced(Some(100)).answer(status, &[("upload-complete", "?1")]), "deliver");
    }
}

#[test]
fn a_cut_upload_goes_on_where_it_was() {
    let mut dialogue = Dialogue::cut(Some(100), 80);
    assert_eq!(dialogue.state("64", "?0"), "append 64+36!");
    dialogue.0.handle_sent(90);
    assert_eq!(dialogue.lost(), "query 0");
    assert_eq!(dialogue.state("90", "?0"), "append 90+10!");
    assert_eq!(dialogue.answer(200, &[("upload-complete", "?1")]), "deliver");
}

#[test]
fn a_body_of_unknown_length() {
    let mut dialogue = Dialogue::cut(None, 80);
    assert_eq!(dialogue.state("64", "?0"), "append 64+rest!");
    dialogue.0.handle_sent(120);
    dialogue.0.handle_end(120);
    assert_eq!(dialogue.lost(), "query 0");
    assert_eq!(dialogue.state("120", "?0"), "append 120+0!");
    assert_eq!(dialogue.answer(200, &[("upload-complete", "?1")]), "deliver");
    // What was never sent cannot be there.
    assert_eq!(Dialogue::cut(None, 80).state("81", "?0"), "cancel BadServerResponse");
    assert_eq!(Dialogue::cut(None, 80).state("80", "?1"), "fail BadServerResponse");
}

#[test]
fn an_upload_of_nothing() {
    assert_eq!(Dialogue::cut(Some(0), 0).state("0", "?0"), "append 0+0!");
    assert_eq!(Dialogue::cut(Some(0), 0).state("0", "?1"), "deliver");
}

#[test]
fn an_upload_of_an_earlier_time() {
    let resume = |total| {
        let mut upload = Upload::resume(url("https://h/files"), url(RESOURCE), total, 50);
        assert_eq!(short(&upload.start()), "query 0");
        Dialogue(upload)
    };
    assert_eq!(resume(Some(100)).state("60", "?0"), "append 60+40!");
    assert_eq!(resume(None).state("60", "?0"), "append 60+rest!");
    assert_eq!(resume(Some(100)).state("40", "?0"), "cancel BadServerResponse");
    assert_eq!(resume(Some(100)).state("101", "?0"), "cancel BadServerResponse");
    let mut gone = resume(Some(100));
    assert_eq!(gone.answer(404, &[]), "fail BadServerResponse");
    assert_eq!(gone.0.resource(), None);
    let mut unsupplied = resume(None);
    assert_eq!(unsupplied.state("60", "?0"), "append 60+rest!");
    let error = Error::new(ErrorKind::RequestBodyStreamExhausted, "no such place");
    assert_eq!(short(&unsupplied.0.cannot_supply(error)), "cancel RequestBodyStreamExhausted");
}

#[test]
fn a_complete_upload_whose_response_was_lost() {
    let mut dialogue = Dialogue::cut(Some(100), 100);
    assert_eq!(dialogue.state("100", "?1"), "deliver");
    // An error is not turned into a success by being asked about.
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.answer(500, &[]), "query 0");
    assert_eq!(dialogue.lost(), "query 1");
    assert_eq!(dialogue.state("100", "?1"), "fail BadServerResponse");
    // Nor is an upload complete that lacks some.
    assert_eq!(Dialogue::cut(Some(100), 100).state("99", "?1"), "fail BadServerResponse");
}

#[test]
fn a_state_without_completeness_is_completed_by_an_empty_append() {
    let mut dialogue = Dialogue::cut(Some(100), 100);
    assert_eq!(dialogue.answer(200, &[("upload-offset", "100")]), "append 100+0!");
    assert_eq!(dialogue.answer(201, &[("upload-complete", "?1")]), "deliver");
}

#[test]
fn what_is_tried_again_and_what_is_not() {
    let appending = || {
        let mut dialogue = Dialogue::cut(Some(100), 80);
        assert_eq!(dialogue.state("64", "?0"), "append 64+36!");
        dialogue
    };
    for status in [500, 502, 503] {
        assert_eq!(appending().answer(status, &[]), "query 0", "{status}");
        assert_eq!(Dialogue::announced(Some(9)).answer(status, &[("upload-complete", "?0")]), "query 0");
        assert_eq!(Dialogue::cut(Some(9), 0).answer(status, &[]), "query 1", "{status}");
    }
    for status in [400, 401, 403, 404, 410, 413] {
        assert_eq!(appending().answer(status, &[]), "deliver", "{status}");
        assert_eq!(Dialogue::announced(Some(9)).answer(status, &[]), "deliver");
        assert_eq!(Dialogue::cut(Some(9), 0).answer(status, &[]), "fail BadServerResponse");
    }
    for status in [301, 302, 303, 304] {
        let location = [("location", "/uploads/2")];
        assert_eq!(Dialogue::cut(Some(9), 0).answer(status, &location), "fail BadServerResponse");
    }
}

#[test]
fn attempts_without_progress_are_bounded() {
    let mut dialogue = Dialogue::announced(Some(100));
    let mut queries = 0;
    while dialogue.lost() != "fail NetworkConnectionLost" {
        queries += 1;
    }
    assert_eq!(queries, MAX_ATTEMPTS - 1);

    let mut dialogue = Dialogue::announced(Some(100));
    let mut attempts = Vec::new();
    loop {
        let next = dialogue.answer(503, &[]);
        if next == "deliver" {
            break;
        }
        attempts.push(next);
        assert_eq!(dialogue.state("0", "?0"), "append 0+100!");
    }
    assert_eq!(attempts, ["query 0", "query 1", "query 2", "query 3", "query 4"]);

    // With progress they are not.
    let mut dialogue = Dialogue::cut(Some(100), 80);
    for offset in 1..50 {
        assert_eq!(dialogue.state(&offset.to_string(), "?0"), format!("append {offset}+{}!", 100 - offset));
        assert_eq!(dialogue.lost(), "query 0");
    }
    for attempt in 1..MAX_ATTEMPTS - 1 {
        assert_eq!(dialogue.answer(500, &[]), format!("query {attempt}"));
    }
    assert_eq!(dialogue.answer(500, &[]), "fail BadServerResponse");
    assert_eq!(dialogue.lost(), "fail NetworkConnectionLost");
}

#[test]
fn a_conflict_is_asked_about_once() {
    let mut dialogue = Dialogue::cut(Some(100), 80);
    assert_eq!(dialogue.state("64", "?0"), "append 64+36!");
    assert_eq!(dialogue.answer(409, &[("upload-offset", "70")]), "query 0");
    assert_eq!(dialogue.state("70", "?0"), "append 70+30!");
    assert_eq!(dialogue.answer(409, &[("upload-offset", "70")]), "query 0");
    assert_eq!(dialogue.state("70", "?0"), "append 70+30!");
    assert_eq!(dialogue.answer(409, &[("upload-offset", "70")]), "deliver");
}

#[test]
fn an_offset_that_cannot_be() {
    assert_eq!(Dialogue::cut(Some(100), 80).state("101", "?0"), "cancel BadServerResponse");
    assert_eq!(Dialogue::cut(Some(100), 80).state("101", "?1"), "cancel BadServerResponse");
    // The server may have got more from elsewhere, as long as we have it too.
    assert_eq!(Dialogue::cut(Some(100), 10).state("90", "?0"), "append 90+10!");
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.interim(&[("upload-offset", "50")]), "");
    assert_eq!(dialogue.lost(), "query 0");
    assert_eq!(dialogue.state("49", "?0"), "cancel BadServerResponse");
    assert_eq!(dialogue.0.resource(), None);
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.interim(&[("upload-offset", "50")]), "");
    assert_eq!(dialogue.interim(&[("upload-offset", "40")]), "cancel BadServerResponse");
    assert_eq!(Dialogue::announced(Some(9)).interim(&[("upload-offset", "10")]), "cancel BadServerResponse");
    let values = ["", "-1", "1.0", "?1", "\"5\"", "5,5", "0x5", "1000000000000000", "5 5", "5;"];
    for value in values {
        assert_eq!(Dialogue::cut(Some(100), 80).state(value, "?0"), "fail BadServerResponse", "{value:?}");
    }
    let mut dialogue = Dialogue::cut(Some(100), 80);
    let twice = [("upload-offset", "5"), ("upload-offset", "5")];
    assert_eq!(dialogue.answer(204, &twice), "fail BadServerResponse");
    assert_eq!(Dialogue::cut(Some(100), 80).answer(200, &[]), "fail BadServerResponse");
}

#[test]
fn a_malformed_field_is_as_if_it_were_not_there() {
    for value in ["1", "true", "?2", "?1 x", "?1, ?1"] {
        assert_eq!(Dialogue::announced(Some(9)).answer(500, &[("upload-complete", value)]), "query 0");
        assert_eq!(Dialogue::cut(Some(100), 100).state("100", value), "append 100+0!", "{value:?}");
    }
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.interim(&[("upload-offset", "1.5"), ("upload-limit", "max-size=tiny")]), "");
    assert_eq!((dialogue.0.acknowledged(), dialogue.0.limits()), (0, Limits::default()));
}

#[test]
fn a_length_that_is_not_ours() {
    let mut dialogue = Dialogue::cut(Some(100), 80);
    let fields = [("upload-offset", "64"), ("upload-length", "99")];
    assert_eq!(dialogue.answer(204, &fields), "cancel BadServerResponse");
    let fields = [("upload-offset", "64"), ("upload-length", "100")];
    assert_eq!(Dialogue::cut(Some(100), 80).answer(204, &fields), "append 64+36!");
}

#[test]
fn only_our_version_counts() {
    for version in [&[][..], &["7"], &["9"], &["8", "8"], &["8, 9"], &["?1"], &["\"8\""], &["8.0"]] {
        let mut headers = map(&[("location", "/uploads/1")]);
        for version in version {
            headers.append(fields::INTEROP, HeaderValue::from_static(version));
        }
        let mut dialogue = Dialogue::new(Some(100));
        assert_eq!(dialogue.informational(104, &headers), "");
        assert_eq!(dialogue.0.resource(), None, "{version:?}");
        assert_eq!(dialogue.lost(), "fail NetworkConnectionLost");
    }
    let ours = map(&[("location", "/uploads/1"), ("upload-draft-interop-version", " 8;a ")]);
    for status in [100, 102, 103] {
        let mut dialogue = Dialogue::new(Some(100));
        dialogue.informational(status, &ours);
        assert_eq!(dialogue.0.resource(), None);
    }
    let mut dialogue = Dialogue::new(Some(100));
    dialogue.informational(104, &ours);
    assert_eq!(dialogue.0.resource(), Some(&url(RESOURCE)));
}

#[test]
fn where_an_upload_resource_may_be() {
    let found = |from: &str, location: &str| {
        let mut upload = Upload::new(url(from), Some(9));
        let headers = map(&[("location", location), ("upload-draft-interop-version", "8")]);
        let status = StatusCode::from_u16(104).expect("a status");
        assert!(upload.handle_informational(status, &headers).is_none());
        upload.resource().map(|url| url.as_str().to_owned())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found("https://h/a/b?c", "u/1?x#y"), some("https://h/a/u/1?x"));
    assert_eq!(found("https://h/a", "//other:81/u"), some("https://other:81/u"));
    assert_eq!(found("http://h/a", "https://h/u"), some("https://h/u"));
    assert_eq!(found("http://me:pass@h/a", "/u"), some("http://h/u"));
    for location in [
        "http://h/u",
        "file:///etc/passwd",
        "data:,x",
        "javascript:0",
        "https://a:b@h/u",
        "https://",
        "",
        "https://[/",
    ] {
        assert_eq!(found("https://h/a", location), None, "{location:?}");
    }
    let mut dialogue = Dialogue::new(Some(9));
    assert_eq!(dialogue.interim(&[("location", "/1"), ("location", "/2")]), "");
    assert_eq!(dialogue.0.resource(), None);
}

#[test]
fn an_upload_has_one_upload_resource() {
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.interim(&[("location", "/uploads/1")]), "");
    assert_eq!(dialogue.interim(&[("location", "/uploads/2")]), "cancel BadServerResponse");
    // In responses to an append it has no meaning.
    let mut dialogue = Dialogue::cut(Some(100), 80);
    assert_eq!(dialogue.state("64", "?0"), "append 64+36!");
    assert_eq!(dialogue.interim(&[("location", "/uploads/2"), ("upload-offset", "70")]), "");
    assert_eq!(dialogue.lost(), "query 0");
}

#[test]
fn redirects_of_an_upload_resource() {
    let to = |location: &'static str| [("location", location)];
    let mut dialogue = Dialogue::cut(Some(100), 80);
    assert_eq!(dialogue.answer(307, &to("/uploads/2")), "query 0 at https://h/uploads/2");
    assert_eq!(dialogue.state("64", "?0"), "append 64+36! at https://h/uploads/2");
    // For the time being, and not longer.
    assert_eq!(dialogue.lost(), "query 0");
    assert_eq!(dialogue.answer(308, &to("//other/3")), "query 0 at https://other/3");
    assert_eq!(dialogue.lost(), "query 1 at https://other/3");
    assert_eq!(dialogue.state("65", "?0"), "append 65+35! at https://other/3");
    assert_eq!(dialogue.answer(307, &to("4")), "query 0 at https://other/4");

    for location in ["http://h/uploads/1", "file:///x", ""] {
        assert_eq!(Dialogue::cut(Some(9), 0).answer(308, &to(location)), "fail BadServerResponse");
    }
    let mut dialogue = Dialogue::cut(Some(100), 80);
    for _ in 0..MAX_REDIRECTS {
        assert_eq!(dialogue.answer(307, &to("/uploads/1")), "query 0");
    }
    assert_eq!(dialogue.answer(307, &to("/uploads/1")), "fail BadServerResponse");
}

#[test]
fn appends_keep_to_the_limit() {
    let mut dialogue = Dialogue::new(Some(100));
    let fields = [("location", "/uploads/1"), ("upload-limit", "max-append-size=40, min-append-size=10")];
    assert_eq!(dialogue.interim(&fields), "query 0");
    assert_eq!(dialogue.state("15", "?0"), "append 15+40");
    dialogue.0.handle_sent(55);
    assert_eq!(dialogue.answer(204, &[("upload-complete", "?0")]), "append 55+40");
    assert_eq!(dialogue.0.acknowledged(), 55);
    // It took some of it, and says how much.
    dialogue.0.handle_sent(95);
    let some = [("upload-complete", "?0"), ("upload-offset", "58")];
    assert_eq!(dialogue.answer(204, &some), "append 58+40");
    // It took some of it, and does not.
    dialogue.0.handle_sent(70);
    assert_eq!(dialogue.answer(204, &[("upload-complete", "?0")]), "query 0");
    assert_eq!(dialogue.state("98", "?0"), "append 98+2!");
    assert_eq!(dialogue.answer(200, &[("upload-complete", "?1")]), "deliver");
}

#[test]
fn a_limit_on_a_body_of_unknown_length() {
    let mut dialogue = Dialogue::announced(None);
    assert_eq!(dialogue.interim(&[("upload-limit", "max-append-size=40")]), "");
    dialogue.0.handle_sent(60);
    assert_eq!(dialogue.answer(413, &[]), "query 0");
    assert_eq!(dialogue.state("30", "?0"), "append 30+40");
    dialogue.0.handle_sent(70);
    assert_eq!(dialogue.answer(204, &[]), "append 70+40");
    dialogue.0.handle_sent(75);
    dialogue.0.handle_end(75);
    assert_eq!(dialogue.answer(204, &[]), "append 75+0!");
    assert_eq!(dialogue.answer(200, &[("upload-complete", "?1")]), "deliver");
}

#[test]
fn too_large_for_one_request() {
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.answer(413, &[("upload-limit", "max-append-size=60")]), "query 0");
    assert_eq!(dialogue.state("0", "?0"), "append 0+60");
    assert_eq!(dialogue.answer(413, &[("upload-limit", "max-append-size=50")]), "query 1");
    assert_eq!(dialogue.state("0", "?0"), "append 0+50");
    assert_eq!(dialogue.answer(413, &[("upload-limit", "max-append-size=50")]), "deliver");
}

#[test]
fn limits_that_cannot_be_kept() {
    for limit in ["max-size=99", "min-size=101", "max-size=0", "max-size=50, min-size=1"] {
        let fields = [("location", "/uploads/1"), ("upload-limit", limit)];
        assert_eq!(Dialogue::new(Some(100)).interim(&fields), "cancel DataLengthExceedsMaximum", "{limit}");
        let fields = [("upload-offset", "5"), ("upload-limit", limit)];
        assert_eq!(Dialogue::cut(Some(100), 9).answer(204, &fields), "cancel DataLengthExceedsMaximum");
    }
    for limit in ["max-append-size=0", "max-append-size=10, min-append-size=11"] {
        let fields = [("upload-offset", "5"), ("upload-limit", limit)];
        assert_eq!(Dialogue::cut(Some(100), 9).answer(204, &fields), "cancel BadServerResponse", "{limit}");
        assert_eq!(Dialogue::cut(None, 9).answer(204, &fields), "cancel BadServerResponse", "{limit}");
        // The last part is exempt.
        let fields = [("upload-offset", "100"), ("upload-limit", limit)];
        assert_eq!(Dialogue::cut(Some(100), 100).answer(204, &fields), "append 100+0!", "{limit}");
    }
}

#[test]
fn limits_are_read_in_whole_or_not_at_all() {
    let limits = |text: &str| Limits::of(&map(&[("upload-limit", text)]));
    let text =
        "max-size=1, min-size=2;a=b, max-append-size=3, min-append-size=4, max-age=5, x=(1 2), expires=?1";
    let all = Limits {
        max_size: Some(1),
        min_size: Some(2),
        max_append_size: Some(3),
        min_append_size: Some(4),
        max_age: Some(5),
    };
    assert_eq!(limits(text), Ok(Some(all)));
    assert_eq!(Limits::of(&map(&[])), Ok(None));
    assert_eq!(limits(""), Ok(Some(Limits::default())));
    for text in ["max-size", "max-size=-1", "max-size=1.0", "max-size=\"1\"", "max-size=1, max-age=?0"] {
        assert!(limits(text).is_err(), "{text}");
    }
    assert!(limits("max-size=1,").is_err());
    // A later announcement takes the place of the earlier one.
    let mut dialogue = Dialogue::announced(Some(100));
    dialogue.interim(&[("upload-limit", "max-size=200")]);
    dialogue.interim(&[("upload-limit", "max-size=300")]);
    dialogue.interim(&[("upload-limit", "max-size=x")]);
    assert_eq!(dialogue.0.limits().max_size, Some(300));
}

#[test]
fn a_success_that_completes_nothing() {
    let mut dialogue = Dialogue::cut(Some(100), 80);
    for attempt in 0..MAX_ATTEMPTS - 2 {
        let expected = if attempt == 0 { "append 64+36!" } else { "append 99+1!" };
        let offset = if attempt == 0 { "64" } else { "99" };
        assert_eq!(dialogue.state(offset, "?0"), expected);
        dialogue.0.handle_sent(100);
        assert!(dialogue.answer(204, &[("upload-complete", "?0")]).starts_with("query"));
    }
    // The server takes all of it for a part.
    let mut dialogue = Dialogue::cut(Some(100), 80);
    let mut steps = 0;
    while dialogue.state("99", "?0") == "append 99+1!" {
        dialogue.0.handle_sent(100);
        steps += 1;
        if dialogue.answer(200, &[]) == "fail BadServerResponse" {
            break;
        }
    }
    assert_eq!(steps, MAX_ATTEMPTS);
    // Or a part for all of it.
    let mut dialogue = Dialogue::new(Some(100));
    assert_eq!(
        dialogue.interim(&[("location", "/uploads/1"), ("upload-limit", "max-append-size=40")]),
        "query 0"
    );
    assert_eq!(dialogue.state("0", "?0"), "append 0+40");
    assert_eq!(dialogue.answer(200, &[("upload-complete", "?1")]), "cancel BadServerResponse");
}

#[test]
fn nothing_follows_the_end() {
    let mut dialogue = Dialogue::announced(Some(100));
    assert_eq!(dialogue.answer(200, &[]), "deliver");
    assert_eq!(dialogue.interim(&[("location", "/uploads/2")]), "");
    assert_eq!(dialogue.answer(200, &[]), "fail BadServerResponse");
    assert_eq!(dialogue.lost(), "fail NetworkConnectionLost");
    assert_eq!(short(&dialogue.0.cannot_supply(lost())), "fail NetworkConnectionLost");
}

#[test]
fn errors_say_where_and_no_secrets() {
    let mut upload = Upload::new(url("https://h/files"), Some(10));
    let headers = map(&[("location", "/u?secret"), ("upload-draft-interop-version", "8")]);
    assert!(upload.handle_informational(StatusCode::from_u16(104).expect("a status"), &headers).is_none());
    upload.handle_lost(lost());
    let Next::Cancel { url, error } =
        upload.handle_response(StatusCode::OK, &map(&[("upload-offset", "11")]))
    else {
        panic!("not cancelled");
    };
    assert_eq!(url.as_str(), "https://h/u?secret");
    let expected = "resumable upload: https://h/u says it has 11 bytes of an upload that has no more than 10";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn fields_of_requests() {
    let mut headers = map(&[("upload-complete", "?0"), ("upload-length", "7"), ("x", "y")]);
    add_creation_fields(&mut headers, Some(100)).expect("room");
    let expected = [
        ("x", "y"),
        ("upload-complete", "?1"),
        ("upload-length", "100"),
        ("upload-draft-interop-version", "8"),
    ];
    assert_eq!(headers, map(&expected));
    for length in [None, Some(MAX_INTEGER + 1)] {
        add_creation_fields(&mut headers, length).expect("room");
        assert!(!headers.contains_key("upload-length"));
    }
    let mut headers = HeaderMap::new();
    add_append_fields(&mut headers, 64, false).expect("room");
    let expected = [
        ("content-type", "application/partial-upload"),
        ("upload-offset", "64"),
        ("upload-complete", "?0"),
        ("upload-draft-interop-version", "8"),
    ];
    assert_eq!(headers, map(&expected));
    let mut headers = HeaderMap::new();
    add_query_fields(&mut headers).expect("room");
    assert_eq!(headers, map(&[("upload-draft-interop-version", "8")]));
}

#[test]
fn what_goes_along_to_the_upload_resource() {
    let asked = map(&[
        ("authorization", "secret"),
        ("cookie", "secret"),
        ("host", "by-hand"),
        ("content-type", "text/plain"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("expect", "100-continue"),
        ("if-none-match", "*"),
        ("range", "bytes=0-1"),
        ("upload-complete", "?1"),
        ("repr-digest", "sha-256=:AA==:"),
        ("accept", "text/html"),
        ("x-key", "1"),
    ]);
    let names = |to: &str| {
        let headers = headers_for_resource(&asked, &url("https://h/a"), &url(to));
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("https://h/u"), ["accept", "authorization", "cookie", "host", "x-key"]);
    assert_eq!(names("https://other/u"), ["accept", "x-key"]);
}
