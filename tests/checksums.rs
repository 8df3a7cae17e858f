//! Checksums: given beforehand, or by the response in `Content-Digest` and `Repr-Digest` (RFC 9530);
//! of downloads, of bodies in memory and of those that are read. Over TCP and TLS.
#![cfg(all(feature = "checksum", feature = "tls"))]

mod support;

use ChecksumAlgorithm::{Sha256, Sha512};
use std::fs;
use std::io::Read;
use std::time::Duration;
use support::harness::{Transport, configuration, over_both};
use support::{Directory, Quirk, Received, Reply, Resource, Server, gzip, pattern, pattern_at};
use urlsession::{
    Bytes, Checksum, ChecksumAlgorithm, DownloadRequest, DownloadedFile, Error, ErrorKind, Request, Response,
    ResumeData, RetryPolicy, Session,
};

const LENGTH: usize = 300_000;
const CUT: usize = 100_000;

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"")
}

fn sum(algorithm: ChecksumAlgorithm, bytes: impl AsRef<[u8]>) -> Checksum {
    Checksum::of(algorithm, bytes)
}

/// A field for it, as a server writes it.
fn field(algorithm: ChecksumAlgorithm, bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let checksum = sum(algorithm, bytes);
    let mut text = String::new();
    for three in checksum.bytes().chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]);
            text.push(if at <= three.len() { digit } else { '=' });
        }
    }
    format!("{algorithm}=:{text}:")
}

struct Scene {
    server: Server,
    directory: Directory,
    session: Session,
}

impl Scene {
    fn new(transport: Transport, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Scene {
        let directory = Directory::new();
        let policy = RetryPolicy::new(2).initial_delay(Duration::from_millis(1));
        let configuration = configuration().download_directory(directory.path()).retry(policy);
        let session = Session::new(configuration);
        Scene { server: transport.builder().start(handler), directory, session }
    }

    fn request(&self) -> DownloadRequest {
        DownloadRequest::new(self.url()).destination(self.directory.join("file"))
    }

    fn url(&self) -> String {
        self.server.url("/file")
    }

    fn run(&self, download: DownloadRequest) -> Result<Response<DownloadedFile>, Error> {
        self.session.download_task(download).wait()
    }

    #[track_caller]
    fn assert_whole(&self, download: DownloadRequest) {
        self.run(download).expect("a download");
        let path = self.directory.join("file");
        assert!(fs::read(&path).unwrap() == pattern(LENGTH));
        assert_eq!(self.directory.names(), ["file"]);
        fs::remove_file(path).unwrap();
    }

    /// Nothing of it is left, and there is nothing to go on with.
    #[track_caller]
    fn assert_mismatch(&self, download: DownloadRequest) -> Error {
        let error = self.run(download).expect_err("another checksum");
        assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
        assert!(error.resume_data().is_none());
        assert!(error.response().is_some());
        assert_eq!(self.directory.names(), [""; 0]);
        error
    }

    /// A download that the server has cut.
    #[track_caller]
    fn cut(&self) -> ResumeData {
        let request = Request::get(self.url()).retry(RetryPolicy::none());
        let error = self.run(DownloadRequest::new(request)).expect_err("a download that was cut");
        error.resume_data().expect("resume data").clone()
    }

    /// Changes what is there of a download.
    #[track_caller]
    fn tamper(&self) {
        let [name] = &self.directory.names()[..] else { panic!("one file") };
        let path = self.directory.join(name);
        let mut content = fs::read(&path).unwrap();
        assert_eq!(content.len(), CUT);
        content[1000] ^= 1;
        fs::write(path, content).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

#[test]
fn a_download_with_the_checksum_that_was_given() {
    over_both(|transport| {
        for quirk in [None, Some(Quirk::Chunked(7000)), Some(Quirk::UntilClose)] {
            let resource = quirk.into_iter().fold(resource(), Resource::quirk);
            let scene = Scene::new(transport, resource.handler());
            let [short, long] = [Sha256, Sha512].map(|algorithm| sum(algorithm, pattern(LENGTH)));
            scene.assert_whole(scene.request().sha256(short.to_string().to_uppercase()));
            scene.assert_whole(scene.request().checksum(long.clone()));
            scene.assert_whole(scene.request().checksum(long).checksum(short).resumable(true));
        }
    });
}

#[test]
fn a_download_with_another_checksum_than_given() {
    over_both(|transport| {
        let resource = resource();
        let scene = Scene::new(transport, resource.handler());
        let [is, said] = [pattern(LENGTH), pattern(LENGTH - 1)].map(|bytes| sum(Sha256, bytes));
        let error = scene.assert_mismatch(scene.request().checksum(said.clone()));
        for text in [is, said.clone()].map(|checksum| checksum.to_string()) {
            assert!(error.to_string().contains(&text), "{error}");
        }
        // It was not tried again.
        assert_eq!(resource.served().len(), 1);
        scene.assert_mismatch(scene.request().checksum(said.clone()).resumable(true));
        scene.assert_mismatch(DownloadRequest::new(scene.url()).checksum(said.clone()));
        // One that is right does not make up for it.
        let right = sum(Sha512, pattern(LENGTH));
        scene.assert_mismatch(scene.request().checksum(said.clone()).checksum(right));
        assert_eq!(scene.server.accepted(), 1);

        let destination = scene.directory.join("file");
        fs::write(&destination, "old").unwrap();
        scene.run(scene.request().checksum(said)).unwrap_err();
        assert_eq!(fs::read(destination).unwrap(), b"old");
    });
}

#[test]
fn an_empty_body_has_a_checksum() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::ok(""));
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(scene.run(scene.request().sha256(nothing)).unwrap().body().is_empty());
        fs::remove_file(scene.directory.join("file")).unwrap();
        scene.assert_mismatch(scene.request().sha256("00".repeat(32)));
    });
}

#[test]
fn a_checksum_that_is_none_is_the_error_of_the_task() {
    let scene = Scene::new(Transport::Tcp, resource().handler());
    let error = scene.run(scene.request().sha256("abc")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadUrl, "{error}");
    assert!(error.to_string().contains("length 3, which has to be 64"), "{error}");
    assert_eq!(scene.directory.names(), [""; 0]);
    assert_eq!(scene.server.accepted(), 0);
}

/// A page that says why not is not what has the checksum.
#[test]
fn an_error_status_does_not_pass_for_the_file() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::status(404).body("no such thing"));
        let error = scene.run(scene.request().checksum(sum(Sha256, "no such thing"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HttpStatus, "{error}");
        assert_eq!(error.response().unwrap().status(), 404);
        assert_eq!(scene.directory.names(), [""; 0]);
    });
}

#[test]
fn a_download_is_held_to_what_its_response_says() {
    over_both(|transport| {
        for name in ["Content-Digest", "Repr-Digest"] {
            for algorithm in [Sha256, Sha512] {
                let with = |text: &str| Scene::new(transport, resource().header(name, text).handler());
                let scene = with(&format!("md5=:AAAA:, {}", field(algorithm, pattern(LENGTH))));
                scene.assert_whole(scene.request());
                let scene = with(&field(algorithm, "something else"));
                let error = scene.assert_mismatch(scene.request());
                assert!(error.to_string().contains(name), "{error}");
                scene.assert_mismatch(scene.request().resumable(true));
                scene.assert_whole(scene.request().verify_digest(false));
            }
            // Malformed, or of the wrong length: no claim at all.
            for text in ["sha-256=:AAAA:", "sha-256=abc", "md5=:AAAA:", "!"] {
                let scene = Scene::new(transport, resource().header(name, text).handler());
                scene.assert_whole(scene.request());
            }
        }
    });
}

#[test]
fn what_is_there_of_a_download_is_hashed_too() {
    over_both(|transport| {
        let right = sum(Sha256, pattern(LENGTH));
        let resource = || resource().cut_at([CUT as u64]);
        let scene = Scene::new(transport, resource().handler());
        let data = scene.cut();
        scene.assert_whole(
            DownloadRequest::resume(data).destination(scene.directory.join("file")).checksum(right.clone()),
        );

        let scene = Scene::new(transport, resource().handler());
        let data = scene.cut();
        scene.tamper();
        scene.assert_mismatch(DownloadRequest::resume(data).checksum(right));
    });
}

/// RFC 9530, section 3: it is about the whole, also where the content is a part.
#[test]
fn the_digest_of_the_whole_comes_with_a_part() {
    over_both(|transport| {
        let resource =
            || resource().cut_at([CUT as u64]).header("Repr-Digest", &field(Sha256, pattern(LENGTH)));
        let scene = Scene::new(transport, resource().handler());
        let data = scene.cut();
        scene.assert_whole(DownloadRequest::resume(data).destination(scene.directory.join("file")));

        let scene = Scene::new(transport, resource().handler());
        let data = scene.cut();
        scene.tamper();
        scene.assert_mismatch(DownloadRequest::resume(data));
    });
}

/// RFC 9530, section 2.
#[test]
fn the_digest_of_the_content_is_that_of_the_part() {
    over_both(|transport| {
        let scene = |rest: Vec<u8>| {
            let (resource, field) = (resource().cut_at([CUT as u64]), field(Sha256, rest));
            Scene::new(transport, move |request| match request.header("range") {
                Some(_) => resource.answer(request).header("Content-Digest", &field),
                None => resource.answer(request),
            })
        };
        let right = scene(pattern_at(CUT as u64, LENGTH - CUT).to_vec());
        let data = right.cut();
        right.assert_whole(DownloadRequest::resume(data).destination(right.directory.join("file")));
        let wrong = scene(pattern(LENGTH).to_vec());
        let data = wrong.cut();
        wrong.assert_mismatch(DownloadRequest::resume(data));
    });
}

/// What an interrupted response has said of the whole holds for what the others bring.
#[test]
fn a_download_in_several_parts_is_hashed_as_one() {
    over_both(|transport| {
        let cuts = [50_000, 150_001, 290_000];
        let resource = || resource().cut_at(cuts);
        let scene = Scene::new(transport, resource().handler());
        let policy = || RetryPolicy::new(5).initial_delay(Duration::from_millis(1));
        let request = || Request::get(scene.url()).retry(policy());
        let download = || scene.request().request(request());
        scene.assert_whole(download().checksum(sum(Sha256, pattern(LENGTH))));

        let digest = field(Sha512, pattern(LENGTH - 1));
        let resource = resource();
        let scene = Scene::new(transport, move |request| match request.header("range") {
            Some(_) => resource.answer(request),
            None => resource.answer(request).header("Repr-Digest", &digest),
        });
        scene.assert_mismatch(scene.request().request(Request::get(scene.url()).retry(policy())));
    });
}

/// What was said of another version is forgotten with it.
#[test]
fn a_changed_resource_has_another_checksum() {
    over_both(|transport| {
        let (first, then) =
            (field(Sha256, pattern(LENGTH)), field(Sha256, Resource::other_pattern(LENGTH).content()));
        let resource =
            resource().cut_at([CUT as u64]).changes_after(1, Resource::other_pattern(LENGTH).etag("\"v2\""));
        let scene = Scene::new(transport, move |request| {
            let digest = if request.header("range").is_some() { &then } else { &first };
            resource.answer(request).header("Repr-Digest", digest)
        });
        let response = scene.run(scene.request()).unwrap();
        assert!(fs::read(response.body().path()).unwrap() == Resource::other_pattern(LENGTH).content());
    });
}

/// RFC 9530, section 2: content codings are of the content.
#[cfg(feature = "gzip")]
#[test]
fn what_is_decoded_is_hashed_as_it_came() {
    over_both(|transport| {
        for name in ["Content-Digest", "Repr-Digest"] {
            let with = |text: String| {
                Scene::new(transport, resource().quirk(Quirk::Gzip).header(name, &text).handler())
            };
            let right = with(field(Sha256, gzip(&pattern(LENGTH))));
            right.assert_whole(right.request());
            right.assert_whole(right.request().checksum(sum(Sha256, pattern(LENGTH))));
            let wrong = with(field(Sha256, pattern(LENGTH)));
            wrong.assert_mismatch(wrong.request());
            for (scene, ok) in [(right, true), (wrong, false)] {
                for (_, result) in bodies(&scene) {
                    assert_eq!(result.is_ok(), ok, "{result:?}");
                }
            }
        }
    });
}

/// The body of a data task that verifies, waited for and read: what came of it before the end.
fn bodies(scene: &Scene) -> [(Bytes, Result<(), Error>); 2] {
    let request = || Request::get(scene.url()).verify_digest(true);
    let waited = match scene.session.data_task(request()).wait() {
        Ok(response) => (response.into_body(), Ok(())),
        Err(error) => (Bytes::new(), Err(error)),
    };
    let mut body = scene.session.data_task(request()).open().expect("a response").into_body();
    let mut bytes = Vec::new();
    let result = body.read_to_end(&mut bytes).map(drop).map_err(|error| {
        error.get_ref().and_then(|error| error.downcast_ref::<Error>()).expect("an error of ours").clone()
    });
    [waited, (bytes.into(), result)]
}

#[test]
fn a_body_is_held_to_what_its_response_says_if_that_is_asked_for() {
    over_both(|transport| {
        for name in ["Content-Digest", "Repr-Digest"] {
            for quirk in [None, Some(Quirk::Chunked(7000))] {
                let with = |text: String| {
                    let resource = quirk.clone().into_iter().fold(resource(), Resource::quirk);
                    Scene::new(transport, resource.header(name, &text).handler())
                };
                for (body, result) in bodies(&with(field(Sha256, pattern(LENGTH)))) {
                    result.unwrap();
                    assert!(body == pattern(LENGTH));
                }
                let scene = with(field(Sha512, "something else"));
                let [waited, read] = bodies(&scene);
                assert!(read.0 == pattern(LENGTH));
                for (_, result) in [waited, read] {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
                    assert!(error.to_string().contains(name), "{error}");
                    assert_eq!(error.response().unwrap().status(), 200);
                }
                // Whoever does not ask gets what there is.
                let body = scene.session.data_task(scene.url()).wait().unwrap().into_body();
                assert!(body == pattern(LENGTH));
                // The connection was not at fault.
                assert_eq!(scene.server.accepted(), 1);
            }
        }
    });
}

#[test]
fn a_head_request_brings_nothing_to_hash() {
    over_both(|transport| {
        let resource = resource().header("Repr-Digest", &field(Sha256, pattern(LENGTH)));
        let scene = Scene::new(transport, resource.handler());
        let request = Request::head(scene.url()).verify_digest(true);
        assert_eq!(scene.session.data_task(request).wait().unwrap().status(), 200);
    });
}

#[test]
fn a_file_can_be_verified_afterwards() {
    let scene = Scene::new(Transport::Tcp, resource().handler());
    let file = scene.run(DownloadRequest::new(scene.url())).unwrap().into_body();
    let right = sum(Sha512, pattern(LENGTH));
    assert_eq!(file.checksum(Sha512).unwrap(), right);
    file.verify(&right).unwrap();
    let error = file.verify(&sum(Sha256, "something else")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
    assert!(file.path().exists());
}
