//! Upload tasks: what is sent, sent again, and answered before it was sent (SPEC A5, B6). Over TCP and
//! TLS.
#![cfg(feature = "tls")]

mod support;

use support::harness::{Transport, over_both, session};
use support::{Fault, Received, Reply, Server, pattern};
use urlsession::{Bytes, ErrorKind, Request, Response, Result, Session, UploadTask};

/// More than the buffers of both systems have room for.
const LARGE: usize = 8_000_000;

struct Scene {
    server: Server,
    session: Session,
}

impl Scene {
    fn new(
        transport: Transport,
        handler: impl Fn(&Received) -> Reply + Clone + Send + Sync + 'static,
    ) -> Scene {
        Scene { server: transport.builder().discard_bodies().start(handler), session: session() }
    }

    /// An upload of a piece of the pattern, by `method`.
    fn task(&self, method: &str, length: usize) -> UploadTask {
        self.session.upload_task(Request::new(method, self.server.url("/upload")), pattern(length))
    }

    fn upload(&self, length: usize) -> Result<Response<Bytes>> {
        self.task("PUT", length).wait()
    }

    /// Checks that a request had all of its body, and that this was the pattern.
    #[track_caller]
    fn assert_arrived(&self, request: usize, length: usize) {
        let received = self.server.wait_for_requests(request + 1, support::PATIENCE)[request].clone();
        assert!(received.is_complete());
        assert_eq!((received.body_length(), received.body_mismatch()), (length as u64, None));
        assert_eq!(received.header("content-length"), Some(length.to_string().as_str()));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

/// U1, U6, 46: the given body is the body, whatever the request says, and the task ends as data tasks
/// do.
#[test]
fn the_body_replaces_that_of_the_request() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::status(201).body("stored"));
        let request = Request::put(scene.server.url("/upload")).header("content-length", 3).body("other");
        let task = scene.session.upload_task(request, pattern(1000));
        let response = task.wait().unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (201, &b"stored"[..]));
        scene.assert_arrived(0, 1000);
        assert_eq!((task.bytes_sent(), task.bytes_expected_to_send()), (1000, Some(1000)));
        assert!(task.as_any().as_upload().is_some() && task.as_any().as_download().is_none());
    });
}

/// 52: an empty body has a length, too.
#[test]
fn an_empty_body() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::ok(""));
        for (index, method) in ["POST", "PUT", "PATCH"].into_iter().enumerate() {
            let task = scene.task(method, 0);
            task.wait().unwrap();
            scene.assert_arrived(index, 0);
            assert_eq!((task.bytes_sent(), task.bytes_expected_to_send()), (0, Some(0)));
            // U7: no type is made up.
            assert_eq!(scene.server.request(index).header("content-type"), None);
        }
    });
}

/// U4, 49, 70: the body is sent again to where a 307 or 308 leads, also if that came in the middle.
#[test]
fn a_redirect_has_the_body_sent_again() {
    over_both(|transport| {
        for (status, early_after) in [(307, None), (308, None), (307, Some(0)), (308, Some(100_000))] {
            let scene = Scene::new(transport, move |request| match (request.path(), early_after) {
                ("/upload", None) => Reply::redirect(status, "/there"),
                ("/upload", Some(after)) => Reply::redirect(status, "/there").early_after(after),
                _ => Reply::ok("there"),
            });
            let task = scene.task("POST", LARGE);
            assert_eq!(task.wait().unwrap().bytes(), "there", "{status} {early_after:?}");
            let requests = scene.server.wait_for_requests(2, support::PATIENCE);
            assert_eq!((requests[1].method.as_str(), requests[1].path()), ("POST", "/there"));
            assert_eq!((requests[1].body_length(), requests[1].body_mismatch()), (LARGE as u64, None));
            // U5: counted anew.
            assert_eq!(task.bytes_sent(), LARGE as u64);
        }
    });
}

/// U4, 49: the server closed the connection while nobody used it.
#[test]
fn a_stale_connection_is_not_the_uploads_fault() {
    over_both(|transport| {
        for method in ["PUT", "POST"] {
            let scene = Scene::new(transport, |request| match request.connection {
                0 => Reply::ok("first").then(Fault::CloseIdleAfterReply),
                _ => Reply::ok("second"),
            });
            for expected in ["first", "second"] {
                assert_eq!(scene.task(method, 100_000).wait().unwrap().bytes(), expected, "{method}");
                // The close has been on its way since before the second upload.
                scene.server.wait_for_open_connections(usize::from(expected == "second"), support::PATIENCE);
            }
            scene.assert_arrived(1, 100_000);
        }
    });
}

/// An answer that comes in the middle is the answer, whatever the server does with the rest.
#[test]
fn an_answer_before_the_body_was_sent() {
    over_both(|transport| {
        for after in [0, 100_000] {
            for fault in [None, Some(Fault::CloseUnread), Some(Fault::RefuseRead)] {
                let answer = Reply::status(413).body("too large").early_after(after);
                let answer = match &fault {
                    None => answer.close(),
                    Some(fault) => answer.close().then(fault.clone()),
                };
                let scene = Scene::new(transport, move |_| answer.clone());
                let task = scene.task("PUT", LARGE);
                let response = task.wait().unwrap_or_else(|error| panic!("{after} {fault:?}: {error}"));
                assert_eq!((response.status().as_u16(), response.bytes().as_ref()), (413, &b"too large"[..]));
                assert!(task.bytes_sent() < LARGE as u64, "{after} {fault:?}");
            }
        }
    });
}

/// A server that takes what it wants to and says so early gets the rest nevertheless.
#[test]
fn an_early_answer_of_a_server_that_reads_on() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::ok("going on").early_after(100_000));
        for index in 0..2 {
            assert_eq!(scene.upload(LARGE).unwrap().bytes(), "going on");
            scene.assert_arrived(index, LARGE);
        }
        assert_eq!(scene.server.accepted(), 1);
    });
}

/// Half an upload is not sent again behind the program's back: nobody knows what became of it.
#[test]
fn a_connection_that_is_lost_in_the_middle() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::ok("").then(Fault::ResetRead(100_000)));
        let error = scene.task("POST", LARGE).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
        assert_eq!(scene.server.requests().len(), 1);
    });
}

/// 50: not before the server wants it, if that was asked for.
#[test]
fn a_body_that_waits_to_be_wanted() {
    over_both(|transport| {
        let scene = Scene::new(transport, |request| match request.path() {
            "/wanted" => Reply::ok("thanks"),
            _ => Reply::status(413).early().no_continue(),
        });
        let upload = |path: &str| {
            let request = Request::put(scene.server.url(path)).expect_continue(true);
            scene.session.upload_task(request, pattern(LARGE))
        };
        assert_eq!(upload("/wanted").wait().unwrap().bytes(), "thanks");
        scene.assert_arrived(0, LARGE);
        let task = upload("/unwanted");
        assert_eq!(task.wait().unwrap().status(), 413);
        assert_eq!(task.bytes_sent(), 0);
    });
}
