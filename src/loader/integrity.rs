//! Whether what came is what it was said to be: the checksums of a response's content, and of the file
//! of a download.

use super::download::Downloading;
use super::{Flow, Loader, Pause, Step};
use crate::checksum::{Checksum, Hasher};
use crate::download::partial::{Partial, record_path};
use crate::error::{Error, ErrorKind, Result};
use crate::head::ResponseHead;
use crate::proto::digest_fields::{content_digest, repr_digest};
use crate::sync::Arc;
use crate::task::core::{Mode, TaskCore};
use http::{Method, StatusCode};

/// Who says how a checksum has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The program.
    Given,
    ContentDigest,
    ReprDigest,
}

impl Source {
    fn text(self) -> &'static str {
        match self {
            Source::Given => "what was given",
            Source::ContentDigest => "Content-Digest",
            Source::ReprDigest => "Repr-Digest",
        }
    }
}

/// The checksums of a response's content as it comes, before it is decoded (RFC 9530, section 2).
pub(super) struct Integrity(Vec<(Source, Checksum, Hasher)>);

impl Integrity {
    /// What a response says of its content. `None` if that is nothing.
    pub(super) fn of(head: &ResponseHead, method: &Method) -> Option<Integrity> {
        let mut claims = Vec::new();
        // The response to HEAD says it of what it does not bring.
        if *method == Method::HEAD {
            return None;
        }
        claims.extend(content_digest(head.headers()).map(|checksum| (Source::ContentDigest, checksum)));
        // Where the content is all of a representation, they are about the same (section 3). What the
        // representation is that other methods tell of is not always clear.
        if *method == Method::GET && is_whole(head.status) {
            claims.extend(repr_digest(head.headers()).map(|checksum| (Source::ReprDigest, checksum)));
        }
        claims.dedup_by(|one, other| one.1 == other.1);
        Integrity::new(claims)
    }

    /// The same of the content only.
    pub(super) fn of_content(head: &ResponseHead) -> Option<Integrity> {
        let claim = content_digest(head.headers()).map(|checksum| (Source::ContentDigest, checksum));
        Integrity::new(claim.into_iter().collect())
    }

    fn new(claims: Vec<(Source, Checksum)>) -> Option<Integrity> {
        let hashed = claims.into_iter().filter_map(|(source, checksum)| {
            let hasher = Hasher::new(checksum.algorithm())?;
            Some((source, checksum, hasher))
        });
        let hashed: Vec<_> = hashed.collect();
        (!hashed.is_empty()).then_some(Integrity(hashed))
    }

    /// More of the content.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(_, _, hasher)| hasher.update(bytes));
    }

    /// All of the content has come.
    pub(super) fn verify(self) -> Result<()> {
        self.0.into_iter().try_for_each(|(source, checksum, hasher)| {
            let found = hasher.finish();
            if found == checksum { Ok(()) } else { Err(mismatch(source, &checksum, &found, "the response")) }
        })
    }
}

fn mismatch(source: Source, checksum: &Checksum, found: &Checksum, what: &str) -> Error {
    checksum.mismatch(what, source.text(), found)
}

/// Whether the content of a response to GET is all of the representation.
fn is_whole(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION)
}

impl Downloading {
    /// The checksums that were given.
    pub(super) fn expect_given(&mut self) -> Result<()> {
        if let Some(error) = &self.options.error {
            return Err(error.clone());
        }
        for checksum in self.options.checksums.clone() {
            self.expect(Source::Given, checksum);
        }
        Ok(())
    }

    /// The error if the response is not what was to have the checksum that was given.
    pub(super) fn check_success(&self, head: &ResponseHead) -> Result<()> {
        if self.options.checksums.is_empty() || head.status.is_success() {
            return Ok(());
        }
        let message =
            format!("the server answered {}, and not with what has the checksum given", head.status);
        Err(Error::new(ErrorKind::HttpStatus, message))
    }

    /// What the response says of the file, which from `offset` on is its content. What is only about
    /// the content of this response is returned.
    pub(super) fn expect_announced(&mut self, head: &ResponseHead, offset: u64) -> Option<Integrity> {
        if offset == 0 {
            // What an earlier response has said was of another version.
            self.expected.retain(|(source, _)| *source == Source::Given);
        }
        if self.options.ignores_digest {
            return None;
        }
        let part = head.status == StatusCode::PARTIAL_CONTENT;
        let is_file = self.page.is_none() && !head.decoded && (is_whole(head.status) || part && offset > 0);
        if !is_file {
            return if head.decoded && is_whole(head.status) {
                Integrity::of(head, &Method::GET)
            } else {
                Integrity::of_content(head)
            };
        }
        if let Some(checksum) = repr_digest(head.headers()) {
            self.expect(Source::ReprDigest, checksum);
        }
        if part {
            return Integrity::of_content(head);
        }
        if let Some(checksum) = content_digest(head.headers()) {
            self.expect(Source::ContentDigest, checksum);
        }
        None
    }

    fn expect(&mut self, source: Source, checksum: Checksum) {
        if self.expected.contains(&(source, checksum.clone())) {
            return;
        }
        if let Some(partial) = self.partial.as_mut() {
            partial.hash(checksum.algorithm());
            self.expected.push((source, checksum));
        }
    }

    /// Whether the file has what it has to have, once all of it was hashed.
    pub(super) fn verify(&self) -> Result<()> {
        let Some(partial) = self.partial.as_ref().filter(|_| self.page.is_none()) else { return Ok(()) };
        self.expected.iter().try_for_each(|(source, checksum)| {
            match partial.checksum(checksum.algorithm()) {
                Some(found) if found != *checksum => {
                    Err(mismatch(*source, checksum, &found, &partial.path().display().to_string()))
                }
                // Without hashing nothing is expected.
                _ => Ok(()),
            }
        })
    }

    /// Whether there is more in the file than was hashed.
    pub(super) fn is_behind(&self) -> bool {
        !self.expected.is_empty() && self.partial.as_ref().is_some_and(Partial::is_behind)
    }

    /// Hashes some of what is in the file and was not. True when there is no more of it.
    fn catch_up(&mut self) -> Result<bool> {
        match self.partial.as_mut() {
            Some(partial) => partial.catch_up(),
            None => Ok(true),
        }
    }

    /// What came is not what was to come: nothing of it is left, and there is nothing to go on with.
    pub(super) fn discard(mut self) {
        if let Some(partial) = self.partial.as_mut() {
            partial.discard();
        }
        if let Some(destination) = self.record() {
            let _ = std::fs::remove_file(record_path(&destination));
        }
    }
}

impl Loader {
    /// What a response says of its content, if the task asks for that.
    pub(super) fn integrity(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) -> Option<Integrity> {
        if let Some(download) = self.download.as_mut() {
            return download.integrity.take();
        }
        let request = self.request(core);
        if request.verify_digest { Integrity::of(head, request.get_method()) } else { None }
    }

    /// Reads what is in the file of a download and was not hashed, in turns: before the request is made,
    /// and if `then` is the head of its response, at the end.
    pub(super) fn hash(
        &mut self,
        then: Option<Arc<ResponseHead>>,
        core: &Arc<TaskCore>,
        mode: Mode,
    ) -> Result<Flow> {
        let done = self.download.as_mut().map_or(Ok(true), |download| download.catch_up())?;
        let now = self.clock.touch();
        if done {
            return match then {
                Some(head) => self.finish_download(head, core),
                None => Ok(Flow::Go(Step::Prepare)),
            };
        }
        self.check(false, core, &|_| "reading the file of the download for its checksum".into())?;
        let enough = match mode {
            Mode::Parking => true,
            Mode::Blocking { until } => until.is_some_and(|until| now >= until),
        };
        if enough {
            Ok(Flow::Stay(Step::Hashing(then), Pause::Yield))
        } else {
            Ok(Flow::Go(Step::Hashing(then)))
        }
    }

    /// The content of a response was not what it was said to be.
    pub(super) fn discard_download(&mut self) {
        if let Some(download) = self.download.take() {
            download.discard();
        }
    }
}
