//! A data task that becomes a download when its response comes (SPEC D3).
#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::sync::{Arc, Mutex};
use support::harness::{configuration, over_both};
use support::{At, Directory, Fault, Reply, Resource, gzip, pattern};
use urlsession::{
    Delegate, DownloadTask, DownloadedFile, Error, ResponseDisposition, ResponseHead, Session, TaskEvent,
};

const LENGTH: usize = 300_000;

/// Has every response become a download, and writes down what it is told.
#[derive(Clone, Default)]
struct Becomes(Arc<Mutex<Vec<String>>>);

impl Becomes {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

impl Delegate for Becomes {
    fn did_receive_response(&self, event: &TaskEvent<'_>, _: &ResponseHead) -> ResponseDisposition {
        assert!(event.task().as_data().is_some() && event.task().as_download().is_none());
        self.write("response");
        ResponseDisposition::BecomeDownload
    }

    fn did_become_download(&self, event: &TaskEvent<'_>) {
        assert!(event.task().as_data().is_none() && event.task().as_download().is_some());
        self.write("became");
    }

    fn did_receive_data(&self, _: &TaskEvent<'_>, _: urlsession::Bytes) -> Option<urlsession::Bytes> {
        self.write("data");
        None
    }

    fn did_finish_downloading(&self, _: &TaskEvent<'_>, file: &DownloadedFile) {
        self.write(format!("finished with {}", file.len()));
    }

    fn did_complete(&self, _: &TaskEvent<'_>, error: Option<&Error>) {
        self.write(format!("completed {:?}", error.map(Error::kind)));
    }
}

fn session(directory: &Directory, delegate: &Becomes) -> Session {
    let configuration = configuration().download_directory(directory.path());
    Session::builder().configuration(configuration).delegate(delegate.clone()).build()
}

#[test]
fn the_same_task_goes_on_as_a_download() {
    over_both(|transport| {
        let (directory, told) = (Directory::new(), Becomes::default());
        let resource = Resource::pattern(LENGTH);
        let server = transport.builder().start(resource.handler());
        let session = session(&directory, &told);
        let task = session.data_task(server.url("/"));
        assert!(task.wait().unwrap().bytes().is_empty(), "the body is elsewhere");
        let download: DownloadTask = task.as_any().as_download().expect("it is one now");
        assert_eq!(download.id(), task.id());
        let file = download.wait().unwrap().into_body();
        assert!(fs::read(file.path()).unwrap() == pattern(LENGTH));
        session.finish_tasks_and_invalidate();
        support::harness::eventually("the end", || told.0.lock().unwrap().len() >= 4);
        let finished = format!("finished with {LENGTH}");
        assert_eq!(*told.0.lock().unwrap(), ["response", "became", &finished, "completed None"]);
        drop((file, download, task));
        support::harness::eventually("nothing is left", || directory.names().is_empty());
    });
}

#[test]
fn what_is_encoded_is_decoded() {
    over_both(|transport| {
        let (directory, told) = (Directory::new(), Becomes::default());
        let server = transport.builder().start(|_| Reply::gzipped(pattern(LENGTH)));
        assert!(gzip(&pattern(LENGTH)).len() != LENGTH);
        let session = session(&directory, &told);
        let task = session.data_task(server.url("/"));
        task.wait().unwrap();
        let file = task.as_any().as_download().unwrap().wait().unwrap().into_body();
        assert!(fs::read(file.path()).unwrap() == pattern(LENGTH));
    });
}

#[test]
fn it_can_be_gone_on_with() {
    over_both(|transport| {
        let (directory, told) = (Directory::new(), Becomes::default());
        let resource =
            Resource::pattern(LENGTH).etag("\"v1\"").fault_in(..1, Fault::ResetAt(At::After(100_000)));
        let server = transport.builder().start(resource.handler());
        let session = session(&directory, &told);
        let error = session.data_task(server.url("/")).wait().expect_err("it was cut");
        let data = error.resume_data().expect("resume data").clone();
        let file = session.download_task_with_resume_data(data).wait().unwrap().into_body();
        assert!(fs::read(file.path()).unwrap() == pattern(LENGTH));
    });
}

#[test]
fn cancelled_it_leaves_nothing() {
    over_both(|transport| {
        let (directory, told) = (Directory::new(), Becomes::default());
        let resource = Resource::pattern(LENGTH).fault(Fault::StallAt(At::After(100_000)));
        let server = transport.builder().start(resource.handler());
        let session = session(&directory, &told);
        let task = session.data_task(server.url("/"));
        task.resume();
        support::harness::eventually("some of it", || task.bytes_received() >= 100_000);
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        support::harness::eventually("nothing is left", || directory.names().is_empty());
    });
}
