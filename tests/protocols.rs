//! Own protocols: a whole server without a network.

mod support;

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::{Reply, Server};
use urlsession::{
    AuthenticationMethod, Body, CachedResponse, Challenge, ChallengeDisposition, Configuration, Credential,
    Delegate, DelegateQueue, DownloadRequest, Error, ErrorKind, Persistence, ProtectionSpace, Protocol,
    ProtocolClient, RedirectDecision, Request, ResourceFetchType, Response, ResponseHead, RetryPolicy,
    Session, TaskEvent, Url, http, wait_all,
};

/// A protocol made of a function, for all URLs of a scheme or a host.
struct Stub<F>(&'static str, F);

impl<F: Fn(Request, ProtocolClient) + Send + Sync + 'static> Protocol for Stub<F> {
    fn can_handle(&self, request: &Request) -> bool {
        request.get_url().is_some_and(|url| url.scheme() == self.0 || url.host_str() == Some(self.0))
    }

    fn start(&self, request: Request, client: ProtocolClient) {
        (self.1)(request, client);
    }
}

fn configuration<F>(start: F) -> Configuration
where
    F: Fn(Request, ProtocolClient) + Send + Sync + 'static,
{
    Configuration::ephemeral().timeout_for_request(Duration::from_secs(20)).protocol(Stub("stub.test", start))
}

fn session<F>(start: F) -> Session
where
    F: Fn(Request, ProtocolClient) + Send + Sync + 'static,
{
    Session::new(configuration(start))
}

fn head(status: u16) -> http::Response<()> {
    http::Response::builder().status(status).body(()).unwrap()
}

fn moved(to: &str) -> http::Response<()> {
    http::Response::builder().status(302).header("location", to).body(()).unwrap()
}

const URL: &str = "https://stub.test/a?b=c";

#[test]
fn status_headers_and_pieces_arrive_as_they_were_given() {
    let session = session(|request, client| {
        assert_eq!(request.get_method(), "POST");
        assert_eq!(request.get_body().as_bytes(), Some(b"hello".as_slice()));
        assert_eq!(request.get_header("x-mine"), Some("1"));
        assert_eq!(request.get_header("x-everybodys"), Some("2"));
        let response = http::Response::builder()
            .status(201)
            .header("content-type", "text/plain")
            .header("x-two", "1")
            .header("x-two", "2")
            .header("content-encoding", "gzip")
            .body(());
        client.did_receive_response(response.unwrap());
        for piece in ["one ", "", "two ", "three"] {
            client.did_load(piece).unwrap();
        }
        client.did_finish_loading();
    });
    let configuration = session.configuration().additional_header("x-everybodys", "2");
    let session = Session::new(configuration.additional_header("x-mine", "not this"));
    let task = session.data_task(Request::post(URL).header("x-mine", "1").body("hello"));
    let response = task.wait().unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.url().as_str(), URL);
    assert_eq!(response.headers().get_all("x-two").iter().count(), 2);
    assert_eq!(response.text().unwrap(), "one two three");
    assert_eq!(task.bytes_received(), 13);
    let metrics = task.metrics().unwrap();
    assert_eq!(metrics.transactions()[0].resource_fetch_type(), ResourceFetchType::Local);
    assert_eq!(metrics.transactions()[0].response_body_bytes(), 13);
}

#[test]
fn it_is_a_task_like_any_other() {
    let session = session(|request, client| {
        let path = request.get_url().unwrap().path().to_owned();
        client.respond(http::Response::builder().header("content-length", path.len()).body(path).unwrap());
    });
    // Resumed, many at once, by a handler, read, and to a file.
    let tasks: Vec<_> = (0..300).map(|n| session.data_task(format!("http://stub.test/{n}"))).collect();
    for (n, response) in wait_all(&tasks).into_iter().enumerate() {
        assert_eq!(response.unwrap().bytes(), format!("/{n}").as_bytes());
    }
    let (sender, receiver) = mpsc::channel();
    session.data_task(URL).on_completion(move |result| sender.send(result).unwrap()).resume();
    assert_eq!(receiver.recv().unwrap().unwrap().bytes(), "/a");
    let mut text = String::new();
    let response = session.data_task(URL).open().unwrap();
    assert_eq!(response.expected_content_length(), Some(2));
    response.into_body().read_to_string(&mut text).unwrap();
    assert_eq!(text, "/a");
    let file = session.download_task(URL).wait().unwrap().into_body();
    assert_eq!(std::fs::read(file.path()).unwrap(), b"/a");
}

#[test]
fn bodies_of_requests_can_be_read() {
    struct Gives;
    impl Delegate for Gives {
        fn need_new_body_stream(&self, _: &TaskEvent<'_>) -> Option<Body> {
            Some(Body::from("from the delegate"))
        }
    }
    let configuration = configuration(|request, client| {
        let mut text = String::new();
        request.get_body().open().unwrap().read_to_string(&mut text).unwrap();
        client.respond(http::Response::new(text));
    });
    let session = Session::builder().configuration(configuration).delegate(Gives).build();
    let upload = session.upload_task(Request::put(URL), Body::reader("from a reader".as_bytes()));
    assert_eq!(upload.wait().unwrap().bytes(), "from a reader");
    let streamed = session.upload_task_with_streamed_request(Request::put(URL));
    assert_eq!(streamed.wait().unwrap().bytes(), "from the delegate");
}

#[test]
fn the_retry_policy_holds() {
    let tries = AtomicUsize::new(0);
    let session = session(move |_, client| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => {
            client.respond(http::Response::builder().status(503).header("retry-after", 0).body("no").unwrap())
        }
        1 => client.did_fail(Error::new(ErrorKind::NetworkConnectionLost, "gone")),
        _ => client.respond(http::Response::new("at last")),
    });
    let policy = RetryPolicy::new(3).initial_delay(Duration::from_millis(1));
    let session = Session::new(session.configuration().retry(policy));
    assert_eq!(session.data_task(URL).wait().unwrap().bytes(), "at last");
}

#[test]
fn a_download_goes_on_where_it_was() {
    let session = session(|request, client| {
        let response = http::Response::builder().header("etag", "\"1\"").header("accept-ranges", "bytes");
        match request.get_header("range") {
            None => {
                client.did_receive_response(response.header("content-length", 10).body(()).unwrap());
                client.did_load("01234").unwrap();
                client.did_fail(Error::new(ErrorKind::NetworkConnectionLost, "gone"));
            }
            Some(range) => {
                assert_eq!((range, request.get_header("if-range")), ("bytes=5-", Some("\"1\"")));
                let response = response.status(206).header("content-range", "bytes 5-9/10");
                client.respond(response.body("56789").unwrap());
            }
        }
    });
    let error = session.download_task(URL).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost);
    let data = error.resume_data().expect("resume data").clone();
    let file = session.download_task(DownloadRequest::resume(data)).wait().unwrap().into_body();
    assert_eq!(std::fs::read(file.path()).unwrap(), b"0123456789");
}

#[test]
fn the_first_that_takes_it_gets_it() {
    struct Never;
    impl Protocol for Never {
        fn can_handle(&self, _: &Request) -> bool {
            false
        }
        fn start(&self, _: Request, _: ProtocolClient) {
            panic!("nobody asked for it");
        }
    }
    let first = |_, client: ProtocolClient| client.respond(http::Response::new("first"));
    let second = |_, client: ProtocolClient| client.respond(http::Response::new("second"));
    let session = Session::new(
        Configuration::ephemeral()
            .protocol(Never)
            .protocol(Stub("own", first))
            .protocol(Arc::new(Stub("own", second)))
            .protocol(Stub("stub.test", second)),
    );
    assert_eq!(session.configuration().get_protocols().len(), 4);
    assert_eq!(session.data_task("own:anything").wait().unwrap().bytes(), "first");
    assert_eq!(session.data_task("own://host/path").wait().unwrap().bytes(), "first");
    assert_eq!(session.data_task(URL).wait().unwrap().bytes(), "second");
    let error = session.data_task("foreign:x").wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedUrl);
    // Of a malformed request nobody is asked.
    let error = session.data_task(Request::get("own:x").header("a", "\n")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadUrl);
}

#[test]
fn a_request_has_a_canonical_form() {
    struct Canon;
    impl Protocol for Canon {
        fn can_handle(&self, _: &Request) -> bool {
            true
        }
        fn canonical_request(&self, request: Request) -> Request {
            request.url("own:canonical").header("x-canonical", 1)
        }
        fn start(&self, request: Request, client: ProtocolClient) {
            assert_eq!(request.get_header("x-canonical"), Some("1"));
            client.respond(http::Response::new(request.get_url().unwrap().as_str().to_owned()));
        }
    }
    let session = Session::new(Configuration::ephemeral().protocol(Canon));
    let task = session.data_task("own:OTHER");
    let response = task.wait().unwrap();
    assert_eq!(
        (response.bytes().as_ref(), response.url().as_str()),
        (b"own:canonical".as_slice(), "own:canonical")
    );
    assert_eq!(task.current_request().get_url().unwrap().as_str(), "own:canonical");
    assert_eq!(task.original_request().get_url().unwrap().as_str(), "own:OTHER");
}

#[test]
fn a_client_may_be_used_from_another_thread() {
    let session = session(|_, client| {
        std::thread::spawn(move || client.respond(http::Response::new("elsewhere")));
    });
    assert_eq!(session.data_task(URL).wait().unwrap().bytes(), "elsewhere");
}

#[test]
fn who_loads_waits_for_who_reads() {
    const PIECE: usize = 64 * 1024;
    let loaded = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&loaded);
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let session = session(move |_, client| {
        client.did_receive_response(head(200));
        for n in 0..64 {
            client.did_load(vec![n; PIECE]).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            sender.lock().unwrap().send(()).unwrap();
        }
        client.did_finish_loading();
    });
    let mut body = session.data_task(URL).open().unwrap().into_body();
    // So much there is room for; the next piece waits for the reader.
    (0..4).for_each(|_| receiver.recv().unwrap());
    assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
    assert_eq!(loaded.load(Ordering::SeqCst), 4);
    let mut all = Vec::new();
    body.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 64 * PIECE);
    assert!(all.chunks(PIECE).enumerate().all(|(n, piece)| piece.iter().all(|byte| usize::from(*byte) == n)));
}

#[test]
fn a_body_in_memory_has_a_limit() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let endless = move |_, client: ProtocolClient| {
        client.did_receive_response(head(200));
        let error = loop {
            if let Err(error) = client.did_load(vec![0; 10_000]) {
                break error;
            }
        };
        sender.lock().unwrap().send(error).unwrap();
    };
    let session = Session::new(configuration(endless).maximum_body_in_memory(100_000));
    let error = session.data_task(URL).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum);
    assert_eq!(receiver.recv().unwrap().kind(), ErrorKind::Cancelled);
}

#[test]
fn it_is_held_to_the_time_limits() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let session = session(move |request, client| {
        if request.get_url().unwrap().path() == "/body" {
            client.did_receive_response(head(200));
            client.did_load("some").unwrap();
        }
        keep.lock().unwrap().push(client);
    });
    for path in ["head", "body"] {
        let request = Request::get(format!("http://stub.test/{path}")).timeout(Duration::from_millis(50));
        let error = session.data_task(request.clone()).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let task = session.data_task(request.clone());
        task.resume();
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::TimedOut);
        let result = session.data_task(request).open().map(|response| {
            let mut body = response.into_body();
            let mut four = [0; 4];
            body.read_exact(&mut four).unwrap();
            body.read(&mut four).unwrap_err().kind()
        });
        match path {
            "head" => assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut),
            _ => assert_eq!(result.unwrap(), std::io::ErrorKind::TimedOut),
        }
    }
    assert!(kept.lock().unwrap().iter().all(ProtocolClient::is_cancelled));
}

#[test]
fn cancelling_stops_it_once() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let session = session(move |request, client| {
        let sender = sender.lock().unwrap().clone();
        let told = sender.clone();
        client.on_stop(move || told.send("stopped").unwrap());
        if request.get_url().unwrap().path() == "/body" {
            client.did_receive_response(head(200));
        }
        sender.send("started").unwrap();
        // Blocks until nobody wants any more of it.
        while client.did_load(vec![0; 100_000]).is_ok() {}
        assert!(client.is_cancelled());
        let late = sender.clone();
        client.on_stop(move || late.send("late").unwrap());
        client.did_finish_loading();
        client.did_fail(Error::new(ErrorKind::Unknown, "too late"));
        sender.send("returned").unwrap();
    });
    let task = session.data_task("http://stub.test/body");
    let _body = task.open().unwrap();
    assert_eq!(receiver.recv().unwrap(), "started");
    task.cancel();
    assert!(task.wait().unwrap_err().is_cancelled());
    let mut rest: Vec<_> = (0..3).map(|_| receiver.recv().unwrap()).collect();
    rest.sort_unstable();
    assert_eq!(rest, ["late", "returned", "stopped"]);
    assert!(receiver.try_recv().is_err());
}

#[test]
fn the_end_stops_it_once() {
    let stops = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stops);
    let session = session(move |request, client| {
        let count = Arc::clone(&count);
        client.on_stop(move || {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("contained");
        });
        match request.get_url().unwrap().path() {
            "/fail" => client.did_fail(Error::new(ErrorKind::CannotFindHost, "no such host")),
            "/redirect" => client.was_redirected(moved("/there"), None),
            _ => client.respond(http::Response::new("there")),
        }
        // All of this is too late.
        client.did_receive_response(head(500));
        assert!(client.did_load("more").is_err());
        client.did_finish_loading();
        client.did_finish_loading();
        client.did_fail(Error::new(ErrorKind::Unknown, "late"));
        client.was_redirected(moved("/nowhere"), None);
    });
    let get = |path: &str| session.data_task(format!("http://stub.test/{path}")).wait();
    assert_eq!(get("x").unwrap().bytes(), "there");
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    let error = get("fail").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotFindHost);
    assert_eq!(error.url().unwrap().path(), "/fail");
    assert_eq!(stops.load(Ordering::SeqCst), 2);
    assert_eq!(get("redirect").unwrap().url().path(), "/there");
    assert_eq!(stops.load(Ordering::SeqCst), 4);
}

#[test]
fn what_is_out_of_order_fails_the_task() {
    let session = session(|request, client| match request.get_url().unwrap().path() {
        "/dropped" => drop(client),
        "/halfway" => {
            client.did_receive_response(head(200));
            client.did_load("some").unwrap();
        }
        "/silent" => client.did_finish_loading(),
        "/headless" => assert!(client.did_load("x").is_err()),
        "/panic" => panic!("on purpose"),
        "/panic-elsewhere" => {
            let kept = client.clone();
            std::thread::spawn(move || {
                while !kept.is_cancelled() {
                    std::thread::yield_now();
                }
            });
            client.did_receive_response(head(200));
            panic!("on purpose");
        }
        _ => {
            // The second head is none.
            client.did_receive_response(head(200));
            client.did_receive_response(head(404));
            client.was_redirected(moved("/nowhere"), None);
            client.did_finish_loading();
        }
    });
    let get = |path: &str| session.data_task(format!("http://stub.test/{path}")).wait();
    for (path, kind, text) in [
        ("dropped", ErrorKind::BadServerResponse, "dropped its client"),
        ("halfway", ErrorKind::BadServerResponse, "dropped its client"),
        ("silent", ErrorKind::BadServerResponse, "without a response"),
        ("headless", ErrorKind::BadServerResponse, "before it gave a response"),
        ("panic", ErrorKind::Unknown, "panicked in start"),
        ("panic-elsewhere", ErrorKind::Unknown, "panicked in start"),
    ] {
        let error = get(path).unwrap_err();
        assert_eq!(error.kind(), kind, "{path}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(get("twice").unwrap().status(), 200);
}

#[test]
fn a_panic_in_a_question_fails_the_task() {
    struct Angry;
    impl Protocol for Angry {
        fn can_handle(&self, request: &Request) -> bool {
            assert!(request.get_url().unwrap().path() != "question", "on purpose");
            true
        }
        fn canonical_request(&self, _: Request) -> Request {
            panic!("on purpose")
        }
        fn start(&self, _: Request, _: ProtocolClient) {}
    }
    let session = Session::new(Configuration::ephemeral().protocol(Angry));
    for (url, method) in [("own:question", "can_handle"), ("own:form", "canonical_request")] {
        let error = session.data_task(url).wait().unwrap_err();
        assert!(error.to_string().contains(method), "{error}");
    }
}

#[test]
fn redirects_follow_the_rules() {
    let session = session(|request, client| {
        let url = request.get_url().unwrap();
        match url.path() {
            "/post" => client.was_redirected(moved("/get"), None),
            "/own" => {
                client.was_redirected(moved("ignored"), Request::put("https://stub.test/put").body("x"))
            }
            "/loop" => client.was_redirected(moved("/loop"), None),
            "/down" => client.was_redirected(moved("http://stub.test/get"), None),
            "/down-own" => client.was_redirected(moved("x"), Request::get("http://stub.test/get")),
            "/file" => client.was_redirected(moved("file:///etc/passwd"), None),
            "/file-own" => client.was_redirected(moved("x"), Request::get("file:///etc/passwd")),
            "/data-own" => client.was_redirected(moved("x"), Request::get("data:,x")),
            "/scheme" => client.was_redirected(moved("own:x"), None),
            "/scheme-own" => client.was_redirected(moved("x"), Request::get("own:x")),
            "/unchanged" => client.was_redirected(head(304), None),
            "/nowhere" => client.was_redirected(head(302), None),
            path => {
                let body = String::from_utf8_lossy(request.get_body().as_bytes().unwrap()).into_owned();
                client.respond(http::Response::new(format!("{} {path} {body}", request.get_method())));
            }
        }
    });
    let own = |_, client: ProtocolClient| client.respond(http::Response::new("own"));
    let session = Session::new(session.configuration().protocol(Stub("own", own)));
    let post =
        |path: &str| session.data_task(Request::post(format!("https://stub.test/{path}")).body("b")).wait();
    assert_eq!(post("post").unwrap().bytes(), "GET /get ");
    assert_eq!(post("own").unwrap().bytes(), "PUT /put x");
    assert_eq!(post("unchanged").unwrap().status(), 304);
    assert_eq!(post("nowhere").unwrap().status(), 302);
    for (path, kind) in [
        ("loop", ErrorKind::HttpTooManyRedirects),
        ("down", ErrorKind::AppTransportSecurityRequiresSecureConnection),
        ("down-own", ErrorKind::AppTransportSecurityRequiresSecureConnection),
        ("file", ErrorKind::UnsupportedUrl),
        ("file-own", ErrorKind::UnsupportedUrl),
        ("data-own", ErrorKind::UnsupportedUrl),
        ("scheme", ErrorKind::UnsupportedUrl),
        ("scheme-own", ErrorKind::UnsupportedUrl),
    ] {
        assert_eq!(post(path).unwrap_err().kind(), kind, "{path}");
    }
    let task = session.data_task(Request::post("https://stub.test/post"));
    task.wait().unwrap();
    assert_eq!(task.metrics().unwrap().redirect_count(), 1);
    assert_eq!(task.metrics().unwrap().transactions()[0].status().unwrap(), 302);
}

#[test]
fn an_own_scheme_redirects_within_itself_and_to_the_web() {
    let hop = |request: Request, client: ProtocolClient| match request.get_url().unwrap().path() {
        "/here" => client.was_redirected(moved("/there"), None),
        "/web" => client.was_redirected(moved("https://stub.test/"), None),
        _ => client.respond(http::Response::new("there")),
    };
    let web = |_, client: ProtocolClient| client.respond(http::Response::new("web"));
    let session =
        Session::new(Configuration::ephemeral().protocol(Stub("own", hop)).protocol(Stub("stub.test", web)));
    assert_eq!(session.data_task("own://x/here").wait().unwrap().url().as_str(), "own://x/there");
    assert_eq!(session.data_task("own://x/web").wait().unwrap().bytes(), "web");
}

/// Takes every redirect somewhere else.
struct Astray(Mutex<RedirectDecision>);

impl Delegate for Astray {
    fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, _: Request) -> RedirectDecision {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn the_web_leads_to_no_own_scheme_nor_to_files() {
    for location in ["own:x", "file:///etc/passwd", "data:,x", "own://h/"] {
        let server = Server::start(move |_| Reply::redirect(302, location));
        let own = |_, client: ProtocolClient| client.respond(http::Response::new("own"));
        let configuration = Configuration::ephemeral().protocol(Stub("own", own));
        let session = Session::new(configuration.clone());
        let error = session.data_task(server.url("/")).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedUrl, "{location}");
        // Nor if the delegate takes it there.
        let server = Server::start(|_| Reply::redirect(302, "/elsewhere"));
        let astray = Astray(Mutex::new(RedirectDecision::Follow(Request::get(location))));
        let session = Session::builder().configuration(configuration).delegate(astray).build();
        let error = session.data_task(server.url("/")).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedUrl, "{location}");
        session.invalidate_and_cancel();
    }
}

#[test]
fn a_delegate_may_stop_a_redirect() {
    let configuration = configuration(|_, client| client.was_redirected(moved("/there"), None));
    let session = Session::builder().configuration(configuration);
    let session = session.delegate(Astray(Mutex::new(RedirectDecision::Stop))).build();
    let response = session.data_task(URL).wait().unwrap();
    assert_eq!((response.status().as_u16(), response.header("location")), (302, Some("/there")));
    assert!(response.bytes().is_empty());
}

#[test]
fn a_kept_response_is_delivered() {
    let session = session(|_, client| {
        let url = Url::parse("https://stub.test/kept").unwrap();
        let kept = http::Response::builder().header("age", "7").body("kept".into()).unwrap();
        client.cached_response_is_valid(CachedResponse::new(Response::from_http(kept, url)));
    });
    let task = session.data_task(URL);
    let response = task.wait().unwrap();
    assert_eq!((response.header("age"), response.bytes().as_ref()), (Some("7"), b"kept".as_slice()));
    let metrics = task.metrics().unwrap();
    assert_eq!(metrics.transactions()[0].resource_fetch_type(), ResourceFetchType::LocalCache);
}

/// Answers challenges, and writes down what it is told.
struct Guard(ChallengeDisposition, Mutex<mpsc::Sender<String>>);

impl Delegate for Guard {
    fn did_receive_challenge(&self, event: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        let space = challenge.protection_space();
        let text = format!("{} {}", event.task().id(), space.realm().unwrap_or_default());
        self.1.lock().unwrap().send(text).unwrap();
        self.0.clone()
    }
    fn did_receive_informational(&self, _: &TaskEvent<'_>, response: &ResponseHead) {
        self.1.lock().unwrap().send(response.status().to_string()).unwrap();
    }
}

fn guarded(disposition: ChallengeDisposition, queue: DelegateQueue) -> (Session, mpsc::Receiver<String>) {
    let configuration = configuration(|_, client| {
        let space = ProtectionSpace::new("stub.test", 443, "https", AuthenticationMethod::Basic);
        let answer = match client.challenge(Challenge::new(space.with_realm("staff"))) {
            ChallengeDisposition::UseCredential(Some(credential)) => {
                credential.user().unwrap_or_default().to_owned()
            }
            other => format!("{other:?}"),
        };
        client.respond(http::Response::new(answer));
    });
    let (sender, receiver) = mpsc::channel();
    let builder = Session::builder().configuration(configuration).delegate_queue(queue);
    (builder.delegate(Guard(disposition, Mutex::new(sender))).build(), receiver)
}

#[test]
fn a_delegate_answers_challenges() {
    let me = Credential::new("me", "secret", Persistence::None);
    for queue in [DelegateQueue::serial, DelegateQueue::inline, DelegateQueue::manual] {
        for (disposition, expected) in [
            (ChallengeDisposition::UseCredential(Some(me.clone())), "me"),
            (ChallengeDisposition::UseCredential(None), "UseCredential(None)"),
            (ChallengeDisposition::RejectProtectionSpace, "RejectProtectionSpace"),
        ] {
            let (session, told) = guarded(disposition, queue());
            let task = session.data_task(URL);
            assert_eq!(task.wait().unwrap().bytes(), expected.as_bytes());
            assert_eq!(told.recv().unwrap(), format!("{} staff", task.id()));
            session.invalidate_and_cancel();
        }
    }
    // Who cancels the challenge cancels the task.
    let (session, _told) = guarded(ChallengeDisposition::CancelChallenge, DelegateQueue::serial());
    let error = session.data_task(URL).wait().unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    // Without anybody who would answer.
    let session = Session::new(session.configuration());
    assert_eq!(session.data_task(URL).wait().unwrap().bytes(), "PerformDefaultHandling");
}

#[test]
fn a_cancel_ends_a_challenge_that_nobody_answers() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let configuration = configuration(move |_, client| {
        let sender = sender.lock().unwrap().clone();
        sender.send(None).unwrap();
        let space = ProtectionSpace::new("stub.test", 443, "https", AuthenticationMethod::Basic);
        sender.send(Some(client.challenge(Challenge::new(space)))).unwrap();
    });
    struct Deaf;
    impl Delegate for Deaf {}
    // Its queue is never turned.
    let queue = DelegateQueue::manual();
    let session =
        Session::builder().configuration(configuration).delegate(Deaf).delegate_queue(queue.clone()).build();
    let task = session.data_task(Request::get(URL).timeout(Duration::from_millis(50)));
    task.resume();
    assert_eq!(receiver.recv().unwrap(), None);
    // While a delegate has to answer, its time passes and not the task's.
    assert!(receiver.recv_timeout(Duration::from_millis(200)).is_err());
    assert!(task.error().is_none());
    task.cancel();
    assert_eq!(receiver.recv().unwrap(), Some(ChallengeDisposition::CancelChallenge));
    assert!(task.wait().unwrap_err().is_cancelled());
}

#[test]
fn informational_responses_come_first() {
    let configuration = configuration(|_, client| {
        client.did_receive_response(head(103));
        client.respond(http::Response::new("last"));
    });
    let (sender, told) = mpsc::channel();
    let guard = Guard(ChallengeDisposition::PerformDefaultHandling, Mutex::new(sender));
    let session = Session::builder().configuration(configuration).delegate(guard).build();
    assert_eq!(session.data_task(URL).wait().unwrap().bytes(), "last");
    assert_eq!(told.recv().unwrap(), "103 Early Hints");
}

#[test]
fn a_suspended_task_takes_nothing() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let session = session(move |_, client| {
        let sender = sender.lock().unwrap().clone();
        client.did_receive_response(head(200));
        sender.send(0).unwrap();
        wait.lock().unwrap().recv().unwrap();
        for n in 1..=10 {
            client.did_load(vec![0; 100_000]).unwrap();
            sender.send(n).unwrap();
        }
        client.did_finish_loading();
    });
    let task = session.data_task(URL);
    task.resume();
    assert_eq!(receiver.recv().unwrap(), 0);
    task.suspend();
    go.send(()).unwrap();
    (1..=3).for_each(|n| assert_eq!(receiver.recv().unwrap(), n));
    assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
    task.resume();
    assert_eq!(task.wait().unwrap().bytes().len(), 1_000_000);
}

#[test]
fn more_than_may_block_at_once_get_their_turn() {
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counts = Arc::clone(&running);
    let session = session(move |_, client| {
        let now = counts.0.fetch_add(1, Ordering::SeqCst) + 1;
        counts.1.fetch_max(now, Ordering::SeqCst);
        std::thread::yield_now();
        counts.0.fetch_sub(1, Ordering::SeqCst);
        client.respond(http::Response::new("x"));
    });
    let tasks: Vec<_> = (0..1000).map(|n| session.data_task(format!("http://stub.test/{n}"))).collect();
    assert!(wait_all(&tasks).iter().all(Result::is_ok));
    assert!(running.1.load(Ordering::SeqCst) <= 256);
}
