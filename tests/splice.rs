//! Downloads of a known length on their way from the socket to the file: over TCP that is the kernel's
//! copy path, over TLS a block of memory, and nobody is to see the difference.
#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::time::Duration;
use support::harness::{Runner, Transport, Waiting, aside, configuration, eventually, in_all_ways};
use support::{At, Directory, Fault, Gate, Received, Reply, Resource, Server, pattern};
use urlsession::{DownloadRequest, DownloadTask, DownloadedFile, Error, ErrorKind, Response, Session};

/// More than two turns of a worker.
const LENGTH: usize = 3 * 1024 * 1024 + 17;
const HALF: usize = LENGTH / 2;

struct Scene {
    server: Server,
    directory: Directory,
    session: Session,
    runner: Runner,
}

impl Scene {
    fn new(
        (transport, runner): (Transport, Runner),
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Scene {
        let directory = Directory::new();
        let session = Session::new(configuration().download_directory(directory.path()));
        Scene { server: transport.builder().start(handler), directory, session, runner }
    }

    fn task(&self) -> DownloadTask {
        self.session.download_task(self.server.url("/file"))
    }

    fn start(&self, task: &DownloadTask) -> Waiting<Result<Response<DownloadedFile>, Error>> {
        if self.runner == Runner::Worker {
            task.resume();
            // Until it is a worker's.
            eventually("some of the body, or the end", || {
                task.bytes_received() > 0 || task.metrics().is_some()
            });
        }
        let task = task.clone();
        aside(move || task.wait())
    }

    #[track_caller]
    fn download(&self) -> Result<Response<DownloadedFile>, Error> {
        self.start(&self.task()).join()
    }

    #[track_caller]
    fn assert_downloads(&self) {
        let response = self.download().expect("a download");
        assert_eq!(response.body().len(), LENGTH as u64);
        assert!(fs::read(response.body().path()).unwrap() == pattern(LENGTH));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

fn whole(_: &Received) -> Reply {
    Reply::ok(pattern(LENGTH))
}

fn half_then(fault: impl Fn(At) -> Fault) -> Reply {
    Reply::ok(pattern(LENGTH)).then(fault(At::After(HALF)))
}

#[test]
fn the_connection_is_used_again() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), whole);
        for _ in 0..3 {
            scene.assert_downloads();
        }
        let body = scene.session.data_task(scene.server.url("/")).wait().unwrap().into_body();
        assert!(body == pattern(LENGTH));
        assert_eq!(scene.server.accepted(), 1);
    });
}

#[test]
fn bytes_behind_the_body_are_not_of_the_file_nor_of_the_next_response() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), |request| {
            if request.connection > 0 {
                return whole(request);
            }
            // In one write with the end of the body: what comes later nobody can know of.
            let mut bytes = pattern(LENGTH);
            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
            Reply::ok(bytes).then(Fault::WrongLength(LENGTH as u64))
        });
        scene.assert_downloads();
        scene.assert_downloads();
        assert_eq!(scene.server.accepted(), 2);
    });
}

#[test]
fn a_body_longer_than_said_is_cut_where_it_was_said_to_end() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), |request| match request.connection {
            0 => whole(request).then(Fault::WrongLength(HALF as u64)),
            _ => whole(request),
        });
        let response = scene.download().unwrap();
        assert!(fs::read(response.body().path()).unwrap() == pattern(HALF));
        scene.assert_downloads();
        assert_eq!(scene.server.accepted(), 2);
    });
}

#[test]
fn a_body_shorter_than_said_is_an_error_and_leaves_nothing() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), |request| {
            whole(request).then(Fault::WrongLength(LENGTH as u64 + 1))
        });
        let error = scene.download().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
        assert!(error.to_string().contains(&format!("{LENGTH} of {} bytes", LENGTH + 1)), "{error}");
        assert_eq!(scene.directory.names(), [""; 0]);
    });
}

#[test]
fn a_reset_is_the_error_of_the_connection() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), |_| half_then(Fault::ResetAt));
        let error = scene.download().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
        assert_eq!(scene.directory.names(), [""; 0]);
    });
}

#[test]
fn a_cancel_in_the_middle_ends_it_and_leaves_nothing() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), |_| half_then(Fault::StallAt));
        let task = scene.task();
        let waiting = scene.start(&task);
        eventually("half of the body", || task.bytes_received() == HALF as u64);
        task.cancel();
        assert_eq!(waiting.join().unwrap_err().kind(), ErrorKind::Cancelled);
        eventually("the end of the file", || scene.directory.names().is_empty());
        scene.server.wait_for_open_connections(0, support::PATIENCE);
    });
}

#[test]
fn what_was_cancelled_goes_on_at_its_last_byte() {
    in_all_ways(|transport, runner| {
        let resource = Resource::pattern(LENGTH).etag("\"1\"").fault_in(..1, Fault::StallAt(At::After(HALF)));
        let scene = Scene::new((transport, runner), resource.handler());
        let task = scene.task();
        let waiting = scene.start(&task);
        eventually("half of the body", || task.bytes_received() == HALF as u64);
        let data = task.cancel_by_producing_resume_data().wait().unwrap().expect("resume data");
        assert_eq!(data.bytes_received(), HALF as u64);
        assert!(waiting.join().is_err());
        let task = scene.session.download_task_with_resume_data(data);
        let response = scene.start(&task).join().unwrap();
        assert!(fs::read(response.body().path()).unwrap() == pattern(LENGTH));
        assert_eq!(resource.bytes_served(), (LENGTH + LENGTH - HALF) as u64);
    });
}

#[test]
fn it_can_be_suspended_in_the_middle() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let fault = gate.clone();
        let scene =
            Scene::new((transport, runner), move |_| half_then(|at| Fault::GateAt(at, fault.clone())));
        let task = scene.task();
        let waiting = scene.start(&task);
        eventually("half of the body", || task.bytes_received() == HALF as u64);
        task.suspend();
        gate.open();
        assert!(waiting.is_pending());
        task.resume();
        let response = waiting.join().unwrap();
        assert!(fs::read(response.body().path()).unwrap() == pattern(LENGTH));
    });
}

#[test]
fn a_silent_server_is_waited_for_as_long_as_told() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new((transport, runner), |_| half_then(Fault::StallAt));
        let request = urlsession::Request::get(scene.server.url("/file")).timeout(Duration::from_millis(300));
        let task = scene.session.download_task(request);
        let error = scene.start(&task).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert_eq!(scene.directory.names(), [""; 0]);
    });
}

#[test]
fn a_body_in_small_pieces_is_put_together() {
    in_all_ways(|transport, runner| {
        let drip = || Fault::Drip { bytes_at_a_time: 9973, every: Duration::ZERO };
        let scene = Scene::new((transport, runner), move |request| whole(request).then(drip()));
        scene.assert_downloads();
    });
}

/// The file's errors are not the connection's. Where there is no right to mount a file system that is
/// small enough to be filled, there is nothing to see.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_what_is_there_is_kept_if_it_can_be_continued() {
    in_all_ways(|transport, runner| {
        let Some(disk) = Disk::mount(1024 * 1024) else { return };
        let resource = Resource::pattern(LENGTH).etag("\"1\"");
        let scene = Scene::new((transport, runner), resource.handler());
        let task = scene.session.download_task(download(&scene, &disk));
        let error = scene.start(&task).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert!(error.to_string().contains(&disk.0.path().display().to_string()), "{error}");
        let data = error.resume_data().expect("resume data").clone();
        assert!(data.bytes_received() <= 1024 * 1024);
        assert_eq!(disk.0.names().len(), 1);

        disk.resize(2 * LENGTH);
        let response = scene.session.download_task_with_resume_data(data).wait().unwrap();
        assert!(fs::read(response.body().path()).unwrap() == pattern(LENGTH));
        drop(response);

        disk.resize(1024 * 1024);
        let scene = Scene::new((transport, runner), whole);
        let task = scene.session.download_task(download(&scene, &disk));
        let error = scene.start(&task).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert_eq!(disk.0.names(), [""; 0]);
    });

    fn download(scene: &Scene, disk: &Disk) -> DownloadRequest {
        DownloadRequest::new(scene.server.url("/file")).directory(disk.0.path())
    }
}

/// A file system of its own, as small as wanted.
#[cfg(target_os = "linux")]
struct Disk(Directory);

#[cfg(target_os = "linux")]
impl Disk {
    fn mount(size: usize) -> Option<Disk> {
        let directory = Directory::new();
        let size = format!("size={size}");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &size, "urlsession-test"], directory.path());
        mounted.then_some(Disk(directory))
    }

    fn resize(&self, size: usize) {
        let options = format!("remount,size={size}");
        assert!(run("mount", &["-o", &options], self.0.path()));
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], self.0.path());
    }
}

#[cfg(target_os = "linux")]
fn run(command: &str, arguments: &[&str], path: &std::path::Path) -> bool {
    let mut command = std::process::Command::new(command);
    let command = command.args(arguments).arg(path).stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
