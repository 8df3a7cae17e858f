//! What is stored of a response as its body comes in, before its content coding is undone; the delegate's
//! say; and that nothing is found in the cache before all of it has come.

use super::super::{Answer, Flow, Loader, Pause, Step};
use super::{Sent, aside};
use crate::disposition::CacheDecision;
use crate::error::Result;
use crate::head::ResponseHead;
use crate::proto::caching::stored::Stored;
use crate::response::Response;
use crate::storage::cache::{CacheState, CacheWriter};
use crate::storage::{Cache, CachedResponse, StoragePolicy};
use crate::sync::Arc;
use crate::task::core::{Events, TaskCore};
use bytes::Bytes;

/// A response that is being stored. Dropping it leaves nothing in the cache.
pub(in crate::loader) struct Tee {
    cache: Cache,
    /// `None` once it is too long.
    writer: Option<CacheWriter>,
    policy: StoragePolicy,
    /// What the server was asked with, by which the response may be selected.
    sent: Sent,
    told: Told,
    /// What the delegate was given, if it is to be asked.
    shown: Option<Shown>,
}

/// How a [`Tee`] learns what is in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::loader) enum Told {
    /// In the end, all at once: it is in memory then, and need not be there twice.
    Whole,
    /// As it comes.
    Pieces,
    /// As it comes, and the delegate gets it.
    Shown,
}

/// The body as the delegate has seen it.
struct Shown {
    pieces: Vec<Bytes>,
    length: u64,
    /// The most of it that is kept for the question.
    most: u64,
}

impl Tee {
    /// For a response whose body is so long, if that is known. `None` if it is not to be stored.
    pub(super) fn new(
        cache: Cache,
        key: &str,
        begun: CacheState,
        stored: Stored,
        length: Option<u64>,
        sent: Sent,
    ) -> Option<Tee> {
        // What it was selected by is written to no file.
        let policy =
            if stored.is_secret() { StoragePolicy::AllowedInMemoryOnly } else { StoragePolicy::Allowed };
        let mut writer = cache.writer(key, stored, policy)?.begun(begun);
        if length.is_some_and(|length| !writer.announce(length)) {
            return None;
        }
        Some(Tee { cache, writer: Some(writer), policy, sent, told: Told::Pieces, shown: None })
    }

    /// More of the body, as it was received.
    pub(in crate::loader) fn update(&mut self, bytes: &[u8]) {
        if self.told == Told::Whole {
            return;
        }
        if self.writer.as_mut().is_some_and(|writer| !writer.write(bytes)) {
            self.give_up();
        }
    }

    /// More of the body, as the delegate gets it.
    pub(in crate::loader) fn show(&mut self, piece: &Bytes) {
        let Some(shown) = self.shown.as_mut() else { return };
        shown.length = shown.length.saturating_add(piece.len() as u64);
        if shown.length > shown.most {
            return self.give_up();
        }
        shown.pieces.push(piece.clone());
    }

    /// It is not going to be in memory as a whole. This is what was there of it.
    pub(in crate::loader) fn tell_pieces(&mut self, collected: &[u8]) {
        if self.told == Told::Whole {
            self.told = Told::Pieces;
            self.update(collected);
        }
    }

    /// All of the body has come. What it is, if it is in memory as a whole. False if it is not stored.
    fn commit(self, whole: Option<&Bytes>, core: &TaskCore) -> bool {
        let Tee { cache, writer: Some(writer), told, .. } = self else { return false };
        aside(core, &cache, || match (told, whole) {
            (Told::Whole, Some(body)) => writer.commit_whole(body.clone()),
            (Told::Whole, None) => false,
            (Told::Pieces | Told::Shown, _) => writer.commit(),
        })
    }

    fn give_up(&mut self) {
        (self.writer, self.shown) = (None, None);
    }
}

impl Loader {
    /// The body begins. What it is written to, if it is to be stored.
    pub(in crate::loader) fn begin_storing(&mut self, told: Told) -> Option<Box<Tee>> {
        let mut tee = self.caching.storing.take()?;
        self.note_stored(true);
        tee.told = told;
        if told == Told::Shown {
            // As much as the largest entry, whatever it is decoded to.
            let most = tee.cache.memory_capacity().max(tee.cache.disk_capacity()) / 20;
            tee.shown = Some(Shown { pieces: Vec::new(), length: 0, most });
        }
        Some(tee)
    }

    /// All of the body has come, and is what it has to be.
    pub(in crate::loader) fn finish_storing(&mut self, tee: Option<Box<Tee>>, core: &TaskCore) {
        if let Some(tee) = tee {
            let stored = tee.commit(None, core);
            self.note_stored(stored);
        }
    }

    /// The same, of a body that is in memory as a whole.
    pub(in crate::loader) fn finish_storing_whole(
        &mut self,
        tee: Option<Box<Tee>>,
        body: &Bytes,
        core: &TaskCore,
    ) {
        if let Some(tee) = tee {
            let stored = tee.commit(Some(body), core);
            self.note_stored(stored);
        }
    }

    fn note_stored(&mut self, stored: bool) {
        if let Some(status) = self.measure().and_then(|transaction| transaction.cache_status.as_mut()) {
            status.stored = stored;
        }
    }

    /// All of the body has come, and goes to the delegate, who is asked when it has it.
    pub(in crate::loader) fn store_when_delivered(&mut self, tee: Option<Box<Tee>>) {
        if tee.as_ref().is_some_and(|tee| tee.writer.is_none()) {
            self.note_stored(false);
        }
        self.caching.complete = tee.filter(|tee| tee.writer.is_some());
    }

    /// The delegate has all of the body. Is it to be asked whether the response is stored?
    pub(in crate::loader) fn ask_before_storing(
        &mut self,
        head: &Arc<ResponseHead>,
        core: &Arc<TaskCore>,
    ) -> Option<Step> {
        let mut tee = self.caching.complete.take()?;
        let Some((events, shown)) = core.told_events().zip(tee.shown.as_mut()) else {
            self.finish_storing(Some(tee), core);
            return None;
        };
        let pieces = std::mem::take(&mut shown.pieces);
        let response = Response::new(Arc::clone(head), pieces.concat().into());
        let response = CachedResponse::new(response).with_storage_policy(tee.policy);
        self.caching.complete = Some(tee);
        self.ask_about_storing(response, events, core);
        Some(Step::Storing(Arc::clone(head)))
    }

    fn ask_about_storing(&self, response: CachedResponse, events: Arc<dyn Events>, core: &Arc<TaskCore>) {
        self.ask(
            core,
            events,
            move |events, core| Answer::Cache(Box::new(events.will_cache_response(core, &response))),
            Answer::Cache(Box::new(CacheDecision::DoNotStore)),
        );
    }

    /// What the delegate says to it.
    pub(in crate::loader) fn store(&mut self, head: Arc<ResponseHead>, core: &Arc<TaskCore>) -> Result<Flow> {
        let Some(answer) = self.answered() else {
            self.check(false, core, &|_| "waiting for the delegate to decide what is stored".into())?;
            return Ok(Flow::Stay(Step::Storing(head), Pause::Answer));
        };
        self.clock.touch();
        let tee = self.caching.complete.take().map(|tee| *tee);
        match answer {
            Answer::Cache(decision) => match (*decision, tee) {
                (CacheDecision::Store, tee) => self.finish_storing(tee.map(Box::new), core),
                (CacheDecision::StoreAs(response), Some(Tee { cache, writer: Some(writer), sent, .. })) => {
                    let asked = sent.fields(self.request(core), core);
                    let stored = aside(core, &cache, || writer.commit_as(&response, asked));
                    self.note_stored(stored);
                }
                (CacheDecision::DoNotStore | CacheDecision::StoreAs(_), _) => {
                    self.note_stored(false);
                }
            },
            _ => drop(tee),
        }
        Ok(Flow::Go(Step::Delivering(head)))
    }
}
