//! Downloads from nginx, Apache httpd and Caddy, broken off again and again, and gone on with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use urlsession::{Delegate, DelegateQueue, ErrorKind, ResumeData, Session, TaskEvent};
use urlsession_interop::{configuration, contents, path, session, url};

const ALL: [&str; 6] = ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS", "CADDY", "CADDY_TLS"];

/// Cancels a download some way on from where it was begun.
#[derive(Clone)]
struct Impatient {
    step: u64,
    end: Arc<AtomicU64>,
    resumed: Arc<AtomicU64>,
}

impl Delegate for Impatient {
    fn did_resume_at_offset(&self, _: &TaskEvent<'_>, offset: u64, _: Option<u64>) {
        assert_ne!(offset, 0);
        self.resumed.fetch_add(1, Ordering::SeqCst);
    }

    fn did_write_data(&self, event: &TaskEvent<'_>, _: u64, total: u64, _: Option<u64>) {
        if total >= self.end.load(Ordering::SeqCst) {
            self.end.store(total + self.step, Ordering::SeqCst);
            let _ = event.task().as_download().unwrap().cancel_by_producing_resume_data();
        }
    }
}

#[test]
fn broken_off_and_gone_on_with() {
    let expected = contents("www/big.bin");
    for server in ALL {
        let step = expected.len() as u64 / 20;
        let delegate = Impatient { step, end: Arc::new(AtomicU64::new(step)), resumed: Arc::default() };
        let session = Session::builder()
            .configuration(configuration().download_directory(path("downloads")))
            .delegate(delegate.clone())
            .delegate_queue(DelegateQueue::inline())
            .build();
        let mut task = session.download_task(url(server, "/big.bin"));
        let mut cut = 0;
        let file = loop {
            match task.wait() {
                Ok(response) => {
                    assert!(matches!(response.status().as_u16(), 200 | 206), "{server}");
                    break response.into_body();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Cancelled, "{server}: {error}");
                    let data = task.cancel_by_producing_resume_data().wait().unwrap().expect(server);
                    let data = ResumeData::from_bytes(&data.to_bytes()).unwrap();
                    task = session.download_task_with_resume_data(data);
                    cut += 1;
                }
            }
        };
        assert!(std::fs::read(file.path()).unwrap() == expected, "{server}");
        assert!(cut > 0, "{server}: never cut");
        assert_eq!(delegate.resumed.load(Ordering::SeqCst), cut, "{server}");
        session.invalidate_and_cancel();
    }
}

#[test]
fn what_cannot_be_gone_on_with_comes_anew() {
    let expected = contents("www/big.bin");
    for server in ["NGINX", "APACHE"] {
        // By its date only.
        let file = session().download_task(url(server, "/dated/big.bin")).wait().unwrap().into_body();
        assert!(std::fs::read(file.path()).unwrap() == expected, "{server}");
        let file = session().download_task(url(server, "/whole/big.bin")).wait().unwrap().into_body();
        assert!(std::fs::read(file.path()).unwrap() == expected, "{server}");
        let page = session().download_task(url(server, "/nowhere")).wait().unwrap();
        assert_eq!(page.status(), 404, "{server}");
    }
}
