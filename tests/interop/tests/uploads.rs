//! Bodies as nginx and Apache httpd store them, and as Python's `http.server` and `email` read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use urlsession::{Bytes, Request};
use urlsession_interop::{contents, session, url, variable};

const STORES: [&str; 4] = ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"];
const RECEIVERS: [&str; 2] = ["RECEIVER", "RECEIVER_TLS"];

#[test]
fn what_was_put_is_there() {
    let body = Bytes::from(contents("www/big.bin"));
    for server in STORES {
        let session = session();
        let file = url(server, &format!("/dav/{}.bin", server.to_lowercase()));
        for (body, status) in [(body.clone(), 201), (body.slice(..1000), 204)] {
            let response = session.data_task(Request::put(&file).body(body.clone())).wait().unwrap();
            assert_eq!(response.status(), status, "{server}");
            assert!(session.data_task(file.as_str()).wait().unwrap().bytes() == &body, "{server}");
        }
        let response = session.data_task(Request::delete(&file)).wait().unwrap();
        assert_eq!(response.status(), 204, "{server}");
    }
}

#[test]
fn what_came_is_what_was_sent() {
    let expected = variable("INTEROP_BIG_SHA256");
    let expected = expected.split(' ').next().unwrap();
    for server in RECEIVERS {
        let session = session();
        for expects in [false, true] {
            let request = Request::post(url(server, "/upload")).body(contents("www/big.bin"));
            let response = session.data_task(request.expect_continue(expects)).wait().unwrap();
            let said: serde_json::Value = response.json().unwrap();
            assert_eq!(said["sha256"].as_str(), Some(expected), "{server}");
            assert_eq!(said["framing"].as_str(), Some("sized"));
        }
    }
}

#[test]
fn a_form_is_read() {
    let form = "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\
        Content-Type: text/plain\r\n\r\n12\r\n34\r\n--xyz--\r\n";
    for server in RECEIVERS {
        let request = Request::post(url(server, "/form"));
        let request = request.header("content-type", "multipart/form-data; boundary=xyz").body(form);
        let response = session().data_task(request).wait().unwrap();
        let said: serde_json::Value = response.json().unwrap();
        let parts = said["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 2, "{server}: {said}");
        assert_eq!((parts[0]["name"].as_str(), parts[0]["length"].as_u64()), (Some("a"), Some(1)));
        assert_eq!((parts[1]["filename"].as_str(), parts[1]["length"].as_u64()), (Some("x.txt"), Some(6)));
        assert_eq!(parts[1]["content_type"].as_str(), Some("text/plain"));
    }
}
