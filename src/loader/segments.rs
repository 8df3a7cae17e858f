//! A download over several connections. The task's own connection brings the first part, and hidden
//! tasks that work for it bring the others; who brings what is the [`Layout`]'s business.
//!
//! ```text
//!  the task:  prepare ─▶ … ─▶ respond ─▶ body (its part) ─▶ segments ─▶ finish
//!                                │ staffs                   ▲ staffs, decides
//!  a child:              prepare ─▶ acquire ─▶ … ─▶ body (a part) ─┐
//!                           ▲ the next part, or the rest of it     │ none is left: ends
//!                           └──────────────────────────────────────┘
//! ```
//!
//! Once its own part is over the task only supervises. A child gets a part when it has a connection, so
//! that none is held by somebody who waits for one. What goes wrong for all (another version, a server
//! that lies, a full disk) a child reports as a verdict, which the task carries out.
//!
//! Locks: `Segments::file` is held for reading while a part is written, and for writing to close it:
//! after that nobody changes the file. `Segments::state` is taken under it, and never while anything is
//! read or written.

mod steps;

use super::Loader;
use super::authorization::for_another_task;
use super::download::Parts;
use crate::download::layout::Layout;
use crate::download::temporary;
use crate::error::{Error, ErrorKind, Result};
use crate::head::ResponseHead;
use crate::metrics::TransactionMetrics;
use crate::proto::ranges::range_header;
use crate::proto::validator::Validator;
use crate::request::Request;
use crate::resume::ResumeData;
use crate::retry::RetryPolicy;
use crate::sync::{Arc, Instant, Mutex, lock};
use crate::task::core::TaskCore;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// What is less than this is not worth a connection of its own, in bytes.
pub(super) const WORTH: u64 = 1024 * 1024;
/// After so many bytes it is recorded what is there.
const RECORD_EVERY: u64 = 4 * 1024 * 1024;
/// A connection that has brought so many bytes before it failed is no worse than another one.
const PROGRESS: u64 = 64 * 1024;
/// How long a connection that has nothing to do waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often the last connection may be refused in a row.
const PAUSES: usize = 4;

/// What the connections of one download share.
pub(super) struct Segments {
    /// `None` once nothing is to be written any more.
    file: RwLock<Option<File>>,
    resource: Resource,
    /// Where it is recorded what is there.
    record: Option<PathBuf>,
    /// The delegate hears how much is written.
    is_told: bool,
    head: Arc<ResponseHead>,
    /// How much was there before.
    base: u64,
    begun: Instant,
    state: Mutex<State>,
}

/// What is being downloaded, and where to.
pub(super) struct Resource {
    /// The request that resume data is about.
    pub(super) original: Request,
    pub(super) validator: Validator,
    pub(super) total: u64,
    pub(super) directory: PathBuf,
    pub(super) name: String,
}

struct State {
    layout: Layout,
    /// Children that have not ended.
    alive: usize,
    /// How many there may be.
    limit: usize,
    /// The child that has nothing to do and waits for a slow one.
    idle: Option<u64>,
    verdict: Option<Verdict>,
    /// The server does not do ranges after all.
    whole_only: bool,
    /// The parts that were smaller than what was asked for.
    small: Parts,
    /// Why a connection was given up last, and whether the server has refused it.
    failure: Option<Error>,
    refused: bool,
    /// With a status that does not pass: perhaps it gives no parts, but the whole.
    refused_for_good: bool,
    /// How much was there when all had been refused.
    refused_at: u64,
    /// How often it was waited since.
    pauses: usize,
    transactions: Vec<TransactionMetrics>,
    /// How much was there when it was recorded last.
    recorded: u64,
    recording: bool,
}

/// What is to become of the whole.
#[derive(Clone)]
enum Verdict {
    /// There is another version on the server.
    Changed,
    Failed(Error),
}

/// What a connection without a part finds.
enum Outlook {
    Work,
    Later,
    Over,
}

/// The part of one connection.
pub(super) struct Segment {
    all: Arc<Segments>,
    owner: u64,
    /// What was asked for.
    asked: Range<u64>,
    /// Where the answer ends.
    limit: u64,
    /// Its answer goes on beyond the part.
    is_open: bool,
    /// Nothing more was wanted of it: what came then is lost, so that stays true.
    over: bool,
    /// What came since it failed last.
    brought: u64,
}

impl Segments {
    fn new(
        resource: Resource,
        file: File,
        layout: Layout,
        record: Option<PathBuf>,
        is_told: bool,
        head: Arc<ResponseHead>,
        limit: usize,
    ) -> Arc<Segments> {
        let base = layout.bytes();
        let state = State {
            layout,
            alive: 0,
            limit,
            idle: None,
            verdict: None,
            whole_only: false,
            small: Parts::default(),
            failure: None,
            refused: false,
            refused_for_good: false,
            refused_at: base,
            pauses: 0,
            transactions: Vec::new(),
            recorded: base,
            recording: false,
        };
        Arc::new(Segments {
            file: RwLock::new(Some(file)),
            resource,
            record,
            is_told,
            head,
            base,
            begun: Instant::now(),
            state: Mutex::new(state),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What it takes to go on later.
    pub(super) fn resume_data(&self) -> Option<ResumeData> {
        let done = lock(&self.state).layout.done().to_vec();
        self.resource.resume_data(done)
    }

    /// From now on nothing is written. What is there is recorded, unless it is of no use.
    pub(super) fn close(&self, of_use: bool) {
        let file = self.file.write().unwrap_or_else(PoisonError::into_inner).take();
        if file.is_some() && of_use {
            self.write_record();
        }
    }

    /// What was measured on other connections.
    pub(super) fn take_transactions(&self) -> Vec<TransactionMetrics> {
        std::mem::take(&mut lock(&self.state).transactions)
    }

    fn write_record(&self) {
        let Some(path) = &self.record else { return };
        let written = match self.resume_data() {
            Some(data) => temporary::replace(path, &data.to_bytes()),
            None => removed(path),
        };
        if let Err(error) = written {
            log::warn!("writing {}: {error}", path.display());
        }
    }

    /// Records what is there, if it is time and nobody else does.
    fn record_now_and_then(&self) {
        if self.record.is_none() {
            return;
        }
        {
            let mut state = lock(&self.state);
            let there = state.layout.bytes();
            if state.recording || there < state.recorded.saturating_add(RECORD_EVERY) {
                return;
            }
            state.recording = true;
            state.recorded = there;
        }
        self.write_record();
        lock(&self.state).recording = false;
    }

    fn outlook(&self, owner: u64) -> Outlook {
        let now = self.now();
        let mut state = lock(&self.state);
        if state.layout.is_complete() || state.verdict.is_some() || state.whole_only {
            return Outlook::Over;
        }
        if state.layout.has_more(now) {
            if state.idle == Some(owner) {
                state.idle = None;
            }
            return Outlook::Work;
        }
        if state.layout.others(owner) == 0 || state.idle.is_some_and(|idle| idle != owner) {
            return Outlook::Over;
        }
        state.idle = Some(owner);
        Outlook::Later
    }

    /// Decides what becomes of the whole, unless that has been decided.
    fn decide(&self, verdict: Verdict, parent: &Arc<TaskCore>) {
        lock(&self.state).verdict.get_or_insert(verdict);
        parent.interrupt();
    }

    /// The connection is given up. There are fewer from now on if it was not for bad luck alone.
    fn give_up(&self, error: Error, fewer: bool) {
        let mut state = lock(&self.state);
        state.limit = state.limit.saturating_sub(usize::from(fewer));
        state.failure = Some(error);
    }

    /// The server has refused the last connection, and served others before: perhaps it takes those for
    /// open still. Then one more is tried after a pause, and a few times more if nothing comes of it.
    fn was_crowded(&self) -> bool {
        let mut state = lock(&self.state);
        let there = state.layout.bytes();
        if there >= state.refused_at.saturating_add(PROGRESS) {
            state.refused_at = there;
            state.pauses = 0;
        }
        let crowded = std::mem::take(&mut state.refused) && there > self.base && state.pauses < PAUSES;
        state.pauses += usize::from(crowded);
        crowded
    }

    /// An owner has no part any more.
    fn release(&self, owner: u64, transactions: Vec<TransactionMetrics>) {
        let mut state = lock(&self.state);
        state.layout.release(owner);
        state.transactions.extend(transactions);
    }

    /// Makes as many children as may be and as there is work for.
    fn staff(self: &Arc<Self>, core: &Arc<TaskCore>) {
        let now = self.now();
        loop {
            {
                let mut state = lock(&self.state);
                // Those who wait for a connection will take some of it, too.
                let wanted = state.layout.has_more(now) && !state.whole_only && state.verdict.is_none();
                if !wanted || state.alive >= state.limit {
                    return;
                }
                state.alive += 1;
            }
            // The policy is the parent's, which looks after those who fail.
            let request = for_another_task(core.current_request(), core.original.get_url());
            let request = request.retry(RetryPolicy::none());
            core.begin_child(request, Box::new(Loader::of_segment(Arc::clone(self))));
        }
    }
}

impl Resource {
    fn resume_data(&self, done: Vec<Range<u64>>) -> Option<ResumeData> {
        let Resource { original, validator, total, directory, name } = self;
        ResumeData::download(original.clone(), validator.clone(), Some(*total), done, directory.clone(), name)
    }
}

impl Segment {
    fn of(all: &Arc<Segments>, owner: u64) -> Segment {
        Segment {
            all: Arc::clone(all),
            owner,
            asked: 0..0,
            limit: 0,
            is_open: false,
            over: false,
            brought: 0,
        }
    }

    /// Writes what has come of the part. What is beyond its end is not wanted any more.
    pub(super) fn write(&mut self, bytes: &[u8], core: &TaskCore) -> Result<()> {
        let all = Arc::clone(&self.all);
        let file = all.file.read().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_ref() else { return Err(Error::cancelled()) };
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_over() {
            let (at, count) = lock(&all.state).layout.claim(self.owner, rest.len());
            let count = count.min(usize::try_from(self.limit.saturating_sub(at)).unwrap_or(usize::MAX));
            let Some((piece, more)) = rest.split_at_checked(count).filter(|_| count > 0) else { break };
            if let Err(error) = file.write_all_at(piece, at) {
                let path = all.resource.directory.join(&all.resource.name);
                let doing = "writing to the file of the download,";
                return Err(Error::file(ErrorKind::CannotWriteToFile, doing, &path, error));
            }
            let mut state = lock(&all.state);
            state.layout.advance(self.owner, count);
            let received = state.layout.bytes().saturating_sub(all.base);
            let counts = &core.parent().map_or(core, |parent| &**parent).counts;
            counts.set_received(received);
            drop(state);
            self.brought += count as u64;
            rest = more;
        }
        let at = lock(&all.state).layout.position(self.owner);
        if !rest.is_empty() && at == Some(self.limit) {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                format!(
                    "a part of the download goes on behind byte {}, where Content-Range said it ends",
                    self.limit
                ),
            ));
        }
        all.record_now_and_then();
        Ok(())
    }

    /// Whether nothing more is wanted of it. What becomes free behind it after that is another's.
    pub(super) fn is_over(&mut self) -> bool {
        if self.over {
            return true;
        }
        let mut state = lock(&self.all.state);
        let over = state.layout.is_over(self.owner);
        let may_extend = self.is_open && state.layout.position(self.owner).is_some_and(|at| at < self.limit);
        if over && may_extend && state.whole_only {
            // Nobody else brings anything: what was given to others is this one's.
            state.layout.release_others(self.owner);
        }
        self.over = state.verdict.is_some() || (over && !(may_extend && state.layout.extend(self.owner)));
        self.over
    }

    /// The body has ended: is all there that was to come?
    fn check_end(&mut self) -> Result<()> {
        let at = lock(&self.all.state).layout.position(self.owner).unwrap_or(self.limit);
        if self.is_over() || at >= self.limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::BadServerResponse,
            format!("a part of the download ended at byte {at}, and Content-Range said {}", self.limit),
        ))
    }

    /// Adds what has to be asked for.
    pub(super) fn headers(&self, headers: &mut HeaderMap) -> Result<()> {
        if !headers.contains_key(ACCEPT_ENCODING) {
            crate::header::insert(headers, ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
        }
        let range = range_header(self.asked.start, Some(self.asked.end.saturating_sub(1)));
        crate::header::insert(headers, RANGE, range)?;
        crate::header::insert(headers, IF_RANGE, self.all.resource.validator.value().clone())
    }
}

/// What begins as a download over several connections.
pub(super) struct Plan {
    pub(super) resource: Resource,
    pub(super) file: File,
    pub(super) layout: Layout,
    pub(super) record: Option<PathBuf>,
    /// The part that the task's own answer has, and how many connections there may be.
    pub(super) answer: Range<u64>,
    pub(super) connections: usize,
}

/// Removes a record, if there is one.
pub(super) fn removed(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{StatusCode, Version};
    use url::Url;

    const TOTAL: u64 = 4 * 1024 * 1024;

    fn segments(layout: Layout) -> Arc<Segments> {
        let url = Url::parse("http://example.com/").expect("a URL");
        let resource = Resource {
            original: Request::get(&url),
            validator: Validator::etag(&HeaderValue::from_static("\"v1\"")).expect("a strong one"),
            total: TOTAL,
            directory: PathBuf::new(),
            name: String::new(),
        };
        let head = ResponseHead {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers: HeaderMap::new().into(),
            url,
            decoded: false,
            content_length: Some(TOTAL),
            trailers: Default::default(),
        };
        let file = File::open("/dev/null").expect("a file");
        Segments::new(resource, file, layout, None, false, Arc::new(head), 1)
    }

    /// What came behind its end was left out, and does not come again.
    #[test]
    fn a_part_that_is_over_stays_so() {
        let mut layout = Layout::new(TOTAL, &[]);
        layout.begin(1, 0, 0);
        let second = layout.assign(2, 1, 0).expect("a part");
        let all = segments(layout);
        let mut part = Segment::of(&all, 1);
        (part.limit, part.is_open) = (TOTAL, true);
        assert!(!part.is_over());
        lock(&all.state).layout.advance(1, second.start as usize);
        assert!(part.is_over());
        all.release(2, Vec::new());
        assert!(part.is_over());
        part.check_end().expect("it is left, and did not break off");
        assert_eq!(lock(&all.state).layout.assign(2, 1, 0), Some(second));
    }
}
