//! Downloads: where the file is, what is asked for of it, and what becomes of it.

use super::incoming::Incoming;
use super::integrity::{Integrity, Source};
use super::receiving::Sink;
use super::segments::{Plan, Resource, Segments, WORTH};
use super::{Flow, Loader, Step};
use crate::checksum::Checksum;
use crate::download::DownloadOptions;
use crate::download::layout::Layout;
use crate::download::partial::{Partial, parent, record_path, settle};
use crate::download::temporary;
use crate::error::{Error, ErrorKind, Result};
use crate::head::ResponseHead;
use crate::proto::ranges::{AskedRange, RangeAnswer, accepts_ranges, answer_to_range, range_header};
use crate::proto::validator::Validator;
use crate::request::Request;
use crate::response::{Content, Response};
use crate::resume::ResumeData;
use crate::resume::facts::{DownloadFacts, Facts, stored_url};
use crate::sync::Arc;
use crate::task::core::{Kind, TaskCore};
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// So many parts of a download may come in answer to as many requests, and the next so many if these had
/// as many bytes. Each takes memory for what is measured of it.
const PARTS: u64 = 1024;
const PARTS_OF: u64 = 1024 * 1024;

/// A download as it goes on, over redirects, retries and restarts.
#[derive(Default)]
pub(super) struct Downloading {
    pub(super) options: DownloadOptions,
    begun: bool,
    pub(super) partial: Option<Partial>,
    /// What the file is a part of, if it is known well enough to ask for the rest.
    known: Option<Known>,
    /// Where the answer that is awaited is to begin, if it was asked for a part.
    asked: Option<u64>,
    /// The response is not what was to be downloaded, but a page that says why not. It has a file of
    /// its own.
    pub(super) page: Option<Partial>,
    /// The checksums that the file has to have, and who says so.
    pub(super) expected: Vec<(Source, Checksum)>,
    /// Those that the content of the response has to have that comes next.
    pub(super) integrity: Option<Integrity>,
    /// The response with the part that is the last one, unless there is more.
    last: Option<Arc<ResponseHead>>,
    restarted: bool,
    /// The file is one that resume data tells of.
    reopened: bool,
    /// The parts that came and were not the last one.
    parts: Parts,
    /// There was something to go on with, of which the delegate has not heard yet.
    resumes: bool,
    /// Where the answer ends, if it was a part.
    answer_end: Option<u64>,
    /// The parts, if it comes in several.
    pub(super) segments: Option<Arc<Segments>>,
}

/// What is known of the resource.
#[derive(Clone, Debug)]
struct Known {
    validator: Validator,
    total: Option<u64>,
}

impl Downloading {
    pub(super) fn new(options: DownloadOptions) -> Self {
        Downloading { options, ..Downloading::default() }
    }

    /// The file that the response goes to.
    pub(super) fn partial(&mut self) -> Option<&mut Partial> {
        self.page.as_mut().or(self.partial.as_mut())
    }

    fn resume(&self) -> Option<&ResumeData> {
        self.options.resume.as_ref()
    }

    /// Finds the file, or makes one.
    fn begin(&mut self, request: &Request, default: &Path) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        if let Some(destination) = &mut self.options.destination {
            *destination = settle(destination)?;
        }
        let partial = match (self.options.resume.take(), self.record()) {
            (Some(data), _) => {
                self.resumes = true;
                self.resumed(data, default)
            }
            (None, Some(destination)) => self.continued(request, &destination),
            (None, None) => Partial::create(&self.options, default),
        };
        let partial = partial?;
        self.resumes |= partial.len() > 0 || partial.scattered().is_some();
        self.partial = Some(partial);
        self.expect_given()
    }

    /// The destination, if a record of the download is kept beside it.
    pub(super) fn record(&self) -> Option<PathBuf> {
        self.options.destination.clone().filter(|_| self.options.resumable)
    }

    /// A file that resume data tells of.
    fn resumed(&mut self, data: ResumeData, default: &Path) -> Result<Partial> {
        let Facts::Download(facts) = data.facts() else {
            return Err(Error::new(
                ErrorKind::CannotParseResumeData,
                "resuming a download: the resume data is that of an upload",
            ));
        };
        let destination = self.options.destination.as_deref();
        let directory = data
            .directory
            .clone()
            .or_else(|| self.options.directory.clone())
            .or_else(|| destination.map(|destination| parent(destination).to_path_buf()))
            .unwrap_or_else(|| default.to_path_buf());
        match Partial::reopen(&directory, &facts.file_name, there(facts)) {
            Ok(partial) => {
                self.known = Some(Known::of(facts));
                self.reopened = true;
                Ok(partial)
            }
            // Cleaned away, perhaps with all of the directory. The whole is to be had again.
            Err(error) if error.kind() == ErrorKind::FileDoesNotExist => {
                log::info!("the file of the resume data is gone; the download starts over");
                Partial::create(&self.options, default)
            }
            Err(error) => Err(error),
        }
    }

    /// A file beside the destination, with a record of what it is a part of.
    fn continued(&mut self, request: &Request, destination: &Path) -> Result<Partial> {
        let record = temporary::read(&record_path(destination), ResumeData::MOST_BYTES as u64).ok();
        let data = record.and_then(|bytes| match ResumeData::from_bytes(&bytes) {
            Ok(data) => Some(data),
            Err(error) => {
                log::warn!("{}: {error}; the download starts over", record_path(destination).display());
                None
            }
        });
        let facts = data.as_ref().and_then(|data| match data.facts() {
            Facts::Download(facts) if is_of(facts, request) => Some(facts),
            _ => None,
        });
        self.known = facts.map(Known::of);
        Partial::beside(destination, facts.map_or(&[], there))
    }

    /// From where on it has to be asked for, if not from the beginning.
    fn offset(&self) -> Option<u64> {
        let (known, partial) = (self.known.as_ref()?, self.partial.as_ref()?);
        // Where all of it is there, nobody has said that it is complete. The server says so with one byte.
        let last = known.total.map_or(u64::MAX, |total| total.saturating_sub(1));
        Some(partial.len().min(last)).filter(|offset| *offset > 0 || partial.scattered().is_some())
    }

    /// Adds what has to be asked for.
    pub(super) fn headers(&self, headers: &mut HeaderMap) -> Result<()> {
        // The file is to hold what the server has, and a part of something encoded is of no use.
        if !headers.contains_key(ACCEPT_ENCODING) {
            crate::header::insert(headers, ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
        }
        if let (Some(known), Some(offset)) = (&self.known, self.asked) {
            crate::header::insert(headers, RANGE, range_header(offset, None))?;
            crate::header::insert(headers, IF_RANGE, known.validator.value().clone())?;
        }
        Ok(())
    }

    /// Whether the request is for the rest of what is there.
    pub(super) fn is_going_on(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether some of it is still missing after a part has come.
    fn is_short(&self) -> bool {
        let total = self.known.as_ref().and_then(|known| known.total);
        let there = self.partial.as_ref().map_or(0, Partial::len);
        self.page.is_none() && self.asked.is_some() && total.is_some_and(|total| there < total)
    }

    /// Whether nobody has said how long the whole is, so that there may be more behind the part.
    fn is_open_ended(&self, head: &ResponseHead) -> bool {
        let unknown = self.known.as_ref().is_some_and(|known| known.total.is_none());
        unknown && self.page.is_none() && self.asked.is_some() && head.status == StatusCode::PARTIAL_CONTENT
    }

    /// Whether the head says that nothing is behind what is there (416): the response that brought it.
    fn completed_by(&mut self, head: &ResponseHead) -> Result<Option<Arc<ResponseHead>>> {
        let (Some(first), Some(known)) = (self.asked, self.known.as_mut()) else { return Ok(None) };
        let asked = AskedRange { first, last: None, validator: Some(&known.validator), total: known.total };
        let is_complete = answer_to_range(&asked, head.status, head.headers())? == RangeAnswer::Complete;
        let last = self.last.take().filter(|_| is_complete);
        if last.is_some() {
            known.total = Some(first);
        }
        Ok(last)
    }

    /// What can be continued later, if it can.
    fn resume_data(&self, request: &Request) -> Option<ResumeData> {
        if !self.begun {
            return self.resume().cloned();
        }
        if let Some(segments) = &self.segments {
            return segments.resume_data();
        }
        let (known, partial) = (self.known.as_ref()?, self.partial.as_ref()?);
        match partial.scattered() {
            Some(ranges) => resume_data(request, known, partial, ranges),
            None => resume_data(request, known, partial, &front(partial.len())),
        }
    }
}

/// The parts of a download that were smaller than what was asked for.
#[derive(Default)]
pub(super) struct Parts {
    count: u64,
    /// How much there was before them.
    from: u64,
}

impl Parts {
    /// One more has come, of a download of which so much is there. The error if they are too small to
    /// come to an end.
    pub(super) fn count(&mut self, there: u64) -> Result<()> {
        if self.count == 0 || there.saturating_sub(self.from) >= PARTS_OF {
            (self.count, self.from) = (0, there);
        }
        self.count += 1;
        if self.count <= PARTS {
            return Ok(());
        }
        let message =
            format!("{PARTS} parts of the download came, and less than {PARTS_OF} bytes in all of them");
        Err(Error::new(ErrorKind::BadServerResponse, message))
    }
}

impl Known {
    fn of(facts: &DownloadFacts) -> Known {
        Known { validator: facts.validator.clone(), total: facts.total }
    }
}

/// What is there. Gaps can be asked for only if the length of the whole is known.
fn there(facts: &DownloadFacts) -> &[Range<u64>] {
    match facts.ranges.as_slice() {
        [first, ..] if facts.total.is_none() && first.start == 0 => std::slice::from_ref(first),
        _ if facts.total.is_none() => &[],
        ranges => ranges,
    }
}

/// The first bytes of it.
fn front(len: u64) -> Vec<Range<u64>> {
    std::iter::once(0..len).collect()
}

/// How many bytes these are.
fn bytes(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Whether the facts are about what the request asks for.
fn is_of(facts: &DownloadFacts, request: &Request) -> bool {
    request.get_url().is_some_and(|url| stored_url(url) == facts.url)
}

/// What it takes to go on, with so much of it.
fn resume_data(
    request: &Request,
    known: &Known,
    partial: &Partial,
    ranges: &[Range<u64>],
) -> Option<ResumeData> {
    let name = partial.path().file_name()?.to_str()?;
    let directory = parent(partial.path()).to_path_buf();
    ResumeData::download(
        request.clone(),
        known.validator.clone(),
        known.total,
        ranges.to_vec(),
        directory,
        name,
    )
}

impl Loader {
    /// Before a request is made: where does the file stand? False if what is there has to be hashed first.
    pub(super) fn prepare_download(&mut self, core: &Arc<TaskCore>) -> Result<bool> {
        let Some(download) = self.download.as_mut() else { return Ok(true) };
        let default = core.context.configuration.get_download_directory();
        // A part of what the program itself has asked a part of is nobody's business but its own.
        if core.original.get_headers().contains_key(RANGE) {
            download.options.resumable = false;
            download.options.resume = None;
        }
        download.begin(&core.original, &default)?;
        // A page that broke off, of a try before this one.
        download.page = None;
        download.asked = download.offset();
        Ok(!download.is_behind())
    }

    /// The response to a download is there.
    pub(super) fn begin_download(
        &mut self,
        incoming: Incoming,
        mut head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        // Nobody has asked for a coding, and there are servers that do not care.
        let decoder = self.decoder(&head, core)?;
        head.decoded = decoder.is_some();
        let Some(download) = self.download.as_mut() else {
            return Err(Error::new(ErrorKind::Unknown, "a download without a file"));
        };
        if let Some(last) = download.completed_by(&head)? {
            self.uninterruptible(core);
            drop(incoming);
            core.set_head(Some(Arc::clone(&last)));
            return self.finish_download(last, core);
        }
        let offset = match download.answered(&head, core)? {
            Some(offset) => offset,
            None => {
                // Once more, for all of it.
                log::debug!("task {}: {}; the download starts over", core.id, head.status);
                self.uninterruptible(core);
                drop(incoming);
                return Ok(Flow::Go(Step::Prepare));
            }
        };
        let expected = download.page.is_none().then(|| download.known.as_ref().and_then(|known| known.total));
        let announced = head.content_length.filter(|_| !head.decoded);
        let total = expected.flatten().or_else(|| announced.and_then(|length| length.checked_add(offset)));
        if let Err(error) = download.check_success(&head) {
            return Err(error.with_response(Arc::new(head)));
        }
        download.integrity = download.expect_announced(&head, offset);
        // What comes between the parts that are there is not in order.
        let offset = download.partial().and_then(|partial| partial.scattered().map(bytes)).unwrap_or(offset);
        core.resume_from(offset);
        let events = core.take_response();
        // Who continues is told where, also if that is at the beginning.
        let resumed = std::mem::take(&mut download.resumes) || offset > 0;
        if let (Some(events), true) = (&events, resumed && download.page.is_none()) {
            core.tell(Arc::clone(events), move |events, core| {
                events.did_resume_at_offset(core, offset, total);
            });
        }
        if download.options.preallocate {
            if let (Some(total), Some(partial)) = (total, download.partial()) {
                partial.preallocate(total)?;
            }
        }
        let plain = decoder.is_none() && matches!(incoming, Incoming::Http1(_));
        match download.plan(core, plain)? {
            Some(plan) => self.begin_segments(incoming, head, (plan, events.is_some()), core),
            None => self.receive(incoming, head, decoder, Sink::File(events), core),
        }
    }

    /// All of it was received.
    pub(super) fn finish_download(&mut self, head: Arc<ResponseHead>, core: &Arc<TaskCore>) -> Result<Flow> {
        // Who was told of the last bytes may have cancelled for their sake, and wants them later.
        if core.is_settled() {
            return Err(Error::cancelled());
        }
        let Some(mut download) = self.download.take() else {
            return Err(Error::new(ErrorKind::Unknown, "a download without a file"));
        };
        if let Err(error) = download.partial.as_ref().map_or(Ok(()), Partial::check_end) {
            self.download = Some(download);
            return Err(error);
        }
        let open_ended = download.is_open_ended(&head);
        if open_ended {
            download.last = Some(Arc::clone(&head));
        }
        if open_ended || download.is_short() {
            // A server may send less than it was asked for (RFC 9110, section 15.3.7).
            let there = download.partial.as_ref().map_or(0, Partial::len);
            let counted = download.parts.count(there);
            self.download = Some(download);
            return counted.map(|()| Flow::Go(Step::Prepare));
        }
        if download.page.is_none() && download.is_behind() {
            self.download = Some(download);
            return Ok(Flow::Go(Step::Hashing(Some(head))));
        }
        if let Err(error) = download.verify() {
            download.discard();
            return Err(error);
        }
        let destination = download.options.destination.clone().filter(|_| head.status.is_success());
        let partial = download.page.take().or_else(|| download.partial.take());
        let Some(partial) = partial else {
            return Err(Error::new(ErrorKind::Unknown, "a download without a file"));
        };
        let record = download.record().filter(|_| destination.is_some());
        let file = partial.finish(destination.as_deref(), download.options.sync)?;
        if let Some(record) = record {
            let _ = std::fs::remove_file(record_path(&record));
        }
        if let Some(events) = core.told_events() {
            let file = file.clone();
            core.tell(events, move |events, core| events.did_finish_downloading(core, &file));
        }
        Ok(Flow::Done(Response::new(head, Content::File(file))))
    }

    /// The response of a data task becomes a download.
    pub(super) fn become_download(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) -> Result<()> {
        let mut download = Box::new(Downloading::default());
        download.begin(&core.original, &core.context.configuration.get_download_directory())?;
        download.note(head, core);
        self.download = Some(download);
        core.become_kind(Kind::Download);
        if let Some(events) = core.events() {
            core.tell(events, |events, core| events.did_become_download(core));
        }
        Ok(())
    }

    /// The error of a download or a resumable upload, with what it takes to go on later.
    pub(super) fn with_resume_data(&mut self, core: &Arc<TaskCore>, error: Error) -> Error {
        // Who cancelled has said what becomes of the file.
        if core.is_settled() {
            return error;
        }
        match self.keep_for_later(core) {
            Some(data) => error.with_resume_data(data),
            None => error,
        }
    }

    /// The task is over. What nobody can go on with does not stay beside its destination.
    pub(super) fn end_download(&mut self) {
        if let Some(Downloading { known: None, partial: Some(partial), .. }) = self.download.as_deref_mut() {
            partial.discard();
        }
    }

    /// The task ends before the download does: is there something to go on with?
    pub(super) fn keep_for_later(&mut self, core: &Arc<TaskCore>) -> Option<ResumeData> {
        let Some(download) = self.download.as_mut() else {
            return self.upload.as_ref().and_then(|upload| upload.resume_data());
        };
        if let Some(segments) = &download.segments {
            segments.close(true);
        }
        let data = download.resume_data(&core.original)?;
        if let Some(partial) = download.partial.as_mut() {
            partial.keep();
        }
        Some(data)
    }
}

impl Downloading {
    /// What the head says of the part that was asked for: where it begins. `None` if all of it has to
    /// be asked for anew.
    fn answered(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) -> Result<Option<u64>> {
        self.answer_end = None;
        let Some(asked) = self.asked else {
            return self.whole(head, core).map(Some);
        };
        let known = self.known.as_ref();
        let range = AskedRange {
            first: asked,
            last: None,
            validator: known.map(|known| &known.validator),
            total: known.and_then(|known| known.total),
        };
        let answer = answer_to_range(&range, head.status, head.headers())?;
        match answer {
            RangeAnswer::Continue { .. } if head.decoded => Err(Error::new(
                ErrorKind::BadServerResponse,
                "the server sent a part (206) of something encoded, where what is there is not",
            )),
            RangeAnswer::Continue { total, length } => {
                if let Some(known) = self.known.as_mut() {
                    known.total = known.total.or(total);
                }
                let end = asked.saturating_add(length);
                self.answer_end = Some(end);
                if let Some(partial) = self.partial.as_mut().filter(|partial| partial.scattered().is_none()) {
                    partial.cut(asked)?;
                    partial.expect_end(Some(end));
                    self.remember(core);
                }
                Ok(Some(asked))
            }
            // It has changed, or the server does not do parts: the body is the whole.
            RangeAnswer::StartOver => self.whole(head, core).map(Some),
            // Completeness was not asked for: it is what a part of the last byte tells.
            RangeAnswer::Restart | RangeAnswer::Complete if !std::mem::replace(&mut self.restarted, true) => {
                self.known = None;
                if let Some(partial) = self.partial.as_mut() {
                    partial.cut(0)?;
                }
                Ok(None)
            }
            RangeAnswer::Restart | RangeAnswer::Complete | RangeAnswer::Other => self.page(core).map(Some),
        }
    }

    /// The body is all of it, or a page that says why not.
    fn whole(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) -> Result<u64> {
        if head.status == StatusCode::PARTIAL_CONTENT && !core.original.get_headers().contains_key(RANGE) {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                "the server sent a part (206) where the whole was asked for",
            ));
        }
        let there = self.partial.as_ref().is_some_and(|partial| partial.len() > 0);
        if !head.status.is_success() && (there || self.record().is_some()) {
            return self.page(core);
        }
        self.clear(core)?;
        self.note(head, core);
        Ok(0)
    }

    /// How it comes over several connections, if it does.
    fn plan(&mut self, core: &Arc<TaskCore>, plain: bool) -> Result<Option<Plan>> {
        let (Some(known), Some(partial)) = (&self.known, &self.partial) else { return Ok(None) };
        let Some(total) = known.total.filter(|_| self.page.is_none()) else { return Ok(None) };
        let is_scattered = partial.scattered().is_some();
        let (first, layout) = match partial.scattered() {
            Some(ranges) => (partial.len(), Layout::new(total, ranges)),
            None => (partial.len(), Layout::new(total, &front(partial.len()))),
        };
        let host = core.context.configuration.get_maximum_connections_per_host().max(1);
        let worth = usize::try_from(total.saturating_sub(layout.bytes()) / WORTH).unwrap_or(usize::MAX);
        let connections = self.options.segments.min(host).min(worth).max(1);
        let sensible = plain && connections > 1 && core.current_request().get_body().is_absent();
        if !sensible && !is_scattered {
            return Ok(None);
        }
        let name = partial.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let resource = Resource {
            original: core.original.clone(),
            validator: known.validator.clone(),
            total,
            directory: parent(partial.path()).to_path_buf(),
            name: name.to_owned(),
        };
        let record = self.record().map(|destination| record_path(&destination));
        let file = partial.file().try_clone().map_err(|error| partial.failed("opening", error))?;
        // From here on the length of the file does not tell what is there.
        if let Some(record) = record.as_deref().filter(|_| !is_scattered) {
            let there = resume_data(&core.original, known, partial, &front(partial.len()));
            let recorded = match there {
                Some(data) => crate::download::temporary::replace(record, &data.to_bytes()),
                None => super::segments::removed(record),
            };
            if let Err(error) = recorded {
                log::warn!("writing {}: {error}; the download comes over one connection", record.display());
                return Ok(None);
            }
        }
        let answer = first..self.answer_end.unwrap_or(total);
        Ok(Some(Plan { resource, file, layout, record, answer, connections }))
    }

    /// All parts are there.
    pub(super) fn complete_segments(&mut self, total: u64) {
        self.segments = None;
        if let Some(partial) = self.partial.as_mut() {
            partial.complete(total);
        }
    }

    /// What came in parts is of no use. Whether that has happened before.
    pub(super) fn forget_segments(&mut self, core: &Arc<TaskCore>, whole_only: bool) -> Result<bool> {
        self.segments = None;
        self.known = None;
        self.remember(core);
        self.clear(core)?;
        if whole_only {
            self.options.segments = 1;
            return Ok(false);
        }
        Ok(std::mem::replace(&mut self.restarted, true))
    }

    /// Nothing is left of what there was. A file that resume data tells of is given up: whoever still
    /// has that must not take another version for the one that it is about.
    fn clear(&mut self, core: &Arc<TaskCore>) -> Result<()> {
        let Some(partial) = self.partial.as_mut() else { return Ok(()) };
        if !std::mem::take(&mut self.reopened) {
            return partial.cut(0);
        }
        partial.discard();
        let default = core.context.configuration.get_download_directory();
        self.partial = Some(Partial::create(&self.options, &default)?);
        self.expected.clear();
        self.expect_given()
    }

    /// A response that is not what was to be downloaded goes to a file of its own.
    fn page(&mut self, core: &Arc<TaskCore>) -> Result<u64> {
        let options = DownloadOptions { directory: self.options.directory.clone(), ..Default::default() };
        self.page = Some(Partial::create(&options, &core.context.configuration.get_download_directory())?);
        Ok(0)
    }

    /// What the head tells of the resource (SPEC 61).
    fn note(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) {
        let resumable = head.status == StatusCode::OK
            && core.current_request().get_method() == Method::GET
            && matches!(head.url.scheme(), "http" | "https")
            && accepts_ranges(head.headers())
            && !head.decoded
            && !core.original.get_headers().contains_key(RANGE);
        let validator = Validator::of(head.headers()).filter(|_| resumable);
        self.known = validator.map(|validator| Known { validator, total: head.content_length });
        self.remember(core);
    }

    /// Writes the record that lets another process go on.
    fn remember(&self, core: &Arc<TaskCore>) {
        let Some(destination) = self.record() else { return };
        let path = record_path(&destination);
        let (Some(known), Some(partial)) = (&self.known, &self.partial) else {
            let _ = std::fs::remove_file(path);
            return;
        };
        // Behind its end nothing is in the file: how much there is of it, it says itself.
        let most = known.total.unwrap_or(i64::MAX as u64);
        let data = resume_data(&core.original, known, partial, &front(most));
        let written = data.map(|data| temporary::replace(&path, &data.to_bytes()));
        // Without a record the download goes on; it only cannot be continued by another process. One that
        // is there may be of another version.
        if !matches!(written, Some(Ok(()))) {
            let _ = std::fs::remove_file(&path);
        }
        if let Some(Err(error)) = written {
            log::warn!("writing {}: {error}", path.display());
        }
    }
}
