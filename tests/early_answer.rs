//! A server that answers before it has read the body, and goes on reading.

mod support;

use std::time::Duration;
use support::{Reply, Server};
use urlsession::{Certificate, Configuration, Request, Session};

const SIZE: usize = 100_000_000;

#[test]
fn what_is_left_of_a_body_is_not_sent_after_the_answer() {
    for tls in [false, true] {
        let answer = |_: &support::Received| Reply::status(413).early();
        let server = if tls { Server::tls(answer) } else { Server::start(answer) };
        let authority = Certificate::from_der(server.ca_der());
        let configuration = Configuration::ephemeral().timeout_for_request(Duration::from_secs(20));
        let session = Session::new(configuration.add_root_certificate(authority));
        let body = bytes::Bytes::from(vec![b'x'; SIZE]);
        for resumed in [false, true] {
            let task = session.data_task(Request::post(server.url("/")).body(body.clone()));
            if resumed {
                task.resume();
            }
            assert_eq!(task.wait().unwrap().status(), 413);
            assert!(task.bytes_sent() < SIZE as u64, "tls: {tls}, resumed: {resumed}: all of it was sent");
        }
        session.invalidate_and_cancel();
    }
}
