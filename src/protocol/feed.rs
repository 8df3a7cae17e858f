//! What a protocol has said, on its way to the task: a queue with a bound, between threads of the
//! program's and whoever runs the task.
//!
//! ```text
//!  Begun ── response ──▶ Responded ── end, failure ──▶ Ended
//!    └────────── redirect, kept response, failure ───────▲
//! ```
//!
//! That is what the protocol has said; that the task has no use for more (`stopped`) is apart from it.
//!
//! Lock: `state`. Nothing is called under it that takes another one, and nothing dropped that may be the
//! program's.

use super::{Challenge, ChallengeDisposition};
use crate::engine::events::contain;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::storage::CachedResponse;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::PoisonError;

/// What may wait to be taken, in bytes.
const UNTAKEN: usize = 256 * 1024;
/// About what a message takes in memory besides its bytes.
const COST: usize = 512;

/// Whom it is for: the task.
pub(crate) trait Audience: Send + Sync {
    /// There is something new.
    fn wake(&self);
    /// Whether the task is over. Takes no lock.
    fn is_over(&self) -> bool;
    /// Asks the delegate, which answers sooner or later, or at once if there is none.
    fn ask(&self, challenge: Challenge, answer: Box<dyn FnOnce(ChallengeDisposition) + Send>);
}

/// What the protocol says.
pub(super) enum Message {
    Response(http::Response<()>),
    Redirect(http::Response<()>, Option<Box<Request>>),
    Cached(Box<CachedResponse>),
    Data(Bytes),
    End,
    Failure(Error),
}

/// See the module's documentation.
pub(super) struct Feed {
    state: Mutex<State>,
    /// There is room, an answer, or no use for either.
    changed: Condvar,
}

struct State {
    /// As long as it wants something.
    audience: Option<Arc<dyn Audience>>,
    said: Said,
    messages: VecDeque<Message>,
    untaken: usize,
    /// Challenges that were raised, those that the delegate ponders, and what it has decided.
    raised: u64,
    pondered: usize,
    decided: Vec<(u64, ChallengeDisposition)>,
    /// A challenge was answered since the task has looked.
    answered: bool,
    on_stop: Vec<Box<dyn FnOnce() + Send>>,
}

/// How far the protocol is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Begun,
    Responded,
    Ended,
}

impl Feed {
    pub(super) fn new(audience: Arc<dyn Audience>) -> Arc<Self> {
        Arc::new(Feed {
            state: Mutex::new(State {
                audience: Some(audience),
                said: Said::Begun,
                messages: VecDeque::new(),
                untaken: 0,
                raised: 0,
                pondered: 0,
                decided: Vec::new(),
                answered: false,
                on_stop: Vec::new(),
            }),
            changed: Condvar::new(),
        })
    }

    pub(super) fn respond(&self, response: http::Response<()>) {
        let informational = response.status().is_informational();
        let mut state = self.with_room();
        if state.said != Said::Begun {
            log::debug!("a protocol gave a response after another one, or after the end");
            return;
        }
        if !informational {
            state.said = Said::Responded;
        }
        state.untaken += COST;
        self.say(state, Message::Response(response));
    }

    pub(super) fn load(&self, data: Bytes) -> Result<()> {
        let mut state = self.with_room();
        match (&state.audience, state.said) {
            (None, _) => Err(Error::cancelled()),
            (Some(audience), _) if audience.is_over() => Err(Error::cancelled()),
            (_, Said::Ended) => {
                Err(Error::new(ErrorKind::ResourceUnavailable, "loading data after the end of it"))
            }
            (_, Said::Begun) => {
                let error = Error::new(
                    ErrorKind::BadServerResponse,
                    "the protocol loaded data before it gave a response; call did_receive_response first",
                );
                state.said = Said::Ended;
                self.say(state, Message::Failure(error.clone()));
                Err(error)
            }
            (_, Said::Responded) if data.is_empty() => Ok(()),
            (_, Said::Responded) => {
                state.untaken += COST + data.len();
                self.say(state, Message::Data(data));
                Ok(())
            }
        }
    }

    pub(super) fn finish(&self) {
        let responded = lock(&self.state).said == Said::Responded;
        self.end(if responded {
            Message::End
        } else {
            Message::Failure(Error::new(
                ErrorKind::BadServerResponse,
                "the protocol finished without a response; call did_receive_response first",
            ))
        });
    }

    pub(super) fn fail(&self, error: Error) {
        self.end(Message::Failure(error));
    }

    /// The last message. What takes the place of a response is nothing after one.
    pub(super) fn end(&self, message: Message) {
        let mut state = lock(&self.state);
        let late = match message {
            Message::Redirect(..) | Message::Cached(_) => state.said != Said::Begun,
            _ => state.said == Said::Ended,
        };
        if late {
            return;
        }
        state.said = Said::Ended;
        self.say(state, message);
        // Others who wait for room to say more.
        self.changed.notify_all();
    }

    pub(super) fn challenge(self: &Arc<Self>, challenge: Challenge) -> ChallengeDisposition {
        let mut state = lock(&self.state);
        let Some(audience) = state.audience.clone().filter(|audience| !audience.is_over()) else {
            return ChallengeDisposition::CancelChallenge;
        };
        let number = state.raised;
        state.raised += 1;
        state.pondered += 1;
        drop(state);
        let feed = Arc::clone(self);
        audience.ask(challenge, Box::new(move |answer| feed.decide(number, answer)));
        let mut state = lock(&self.state);
        let disposition = loop {
            let decided = state.decided.iter().position(|(of, _)| *of == number);
            match decided.map(|index| state.decided.swap_remove(index)) {
                Some((_, disposition)) => break disposition,
                None if state.audience.is_none() => break ChallengeDisposition::CancelChallenge,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(state);
        if disposition == ChallengeDisposition::CancelChallenge {
            self.fail(Error::new(ErrorKind::Cancelled, "the delegate cancelled an authentication challenge"));
        }
        disposition
    }

    fn decide(&self, number: u64, answer: ChallengeDisposition) {
        let mut state = lock(&self.state);
        state.pondered -= 1;
        state.answered = true;
        state.decided.push((number, answer));
        let audience = state.audience.clone();
        drop(state);
        self.changed.notify_all();
        // Its idle time goes on.
        if let Some(audience) = audience {
            audience.wake();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let state = lock(&self.state);
        state.audience.as_ref().is_none_or(|audience| audience.is_over())
    }

    pub(super) fn on_stop(&self, stop: Box<dyn FnOnce() + Send>) {
        let mut state = lock(&self.state);
        if state.audience.is_some() {
            state.on_stop.push(stop);
            return;
        }
        drop(state);
        contain(stop);
    }

    /// Waits until there is room for more, or no use for it.
    fn with_room(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        while state.untaken >= UNTAKEN && state.said != Said::Ended && state.audience.is_some() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn say(&self, mut state: MutexGuard<'_, State>, message: Message) {
        let Some(audience) = state.audience.clone() else {
            drop(state);
            return;
        };
        state.messages.push_back(message);
        drop(state);
        audience.wake();
    }

    /// The task has no use for more.
    fn stop(&self) {
        let mut state = lock(&self.state);
        let gone = (state.audience.take(), std::mem::take(&mut state.messages));
        let stops = std::mem::take(&mut state.on_stop);
        drop(state);
        self.changed.notify_all();
        for stop in stops {
            contain(stop);
        }
        drop(gone);
    }
}

/// The end of a feed that the task has. The load is over when it is dropped.
pub(crate) struct Load(Arc<Feed>);

/// What comes before the body.
pub(crate) enum Coming {
    Response(http::Response<()>),
    Redirect(http::Response<()>, Option<Box<Request>>),
    Cached(Box<CachedResponse>),
    Nothing,
}

/// What comes of the body.
pub(crate) enum Next {
    Data(Bytes),
    End,
    Nothing,
}

impl Load {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Load(feed)
    }

    /// What comes before the body.
    pub(crate) fn coming(&self) -> Result<Coming> {
        let mut state = lock(&self.0.state);
        Ok(match state.messages.pop_front() {
            None => Coming::Nothing,
            Some(Message::Response(response)) => {
                state.untaken -= COST;
                drop(state);
                self.0.changed.notify_all();
                Coming::Response(response)
            }
            Some(Message::Redirect(response, request)) => Coming::Redirect(response, request),
            Some(Message::Cached(response)) => Coming::Cached(response),
            Some(Message::Failure(error)) => return Err(error),
            Some(Message::Data(_) | Message::End) => {
                return Err(Error::new(ErrorKind::Unknown, "a body before its head"));
            }
        })
    }

    /// What comes of the body, and whether that was the last of it.
    pub(crate) fn next(&self) -> Result<(Next, bool)> {
        let mut state = lock(&self.0.state);
        match state.messages.pop_front() {
            Some(Message::Data(data)) => {
                state.untaken -= COST + data.len();
                let last = matches!(state.messages.front(), Some(Message::End));
                drop(state);
                self.0.changed.notify_all();
                Ok((Next::Data(data), last))
            }
            Some(Message::Failure(error)) => Err(error),
            Some(_) => Ok((Next::End, true)),
            None => Ok((Next::Nothing, false)),
        }
    }

    /// Whether the delegate is to answer something, or has and nobody has taken note: then it is its time
    /// that passes.
    pub(crate) fn is_asking(&self) -> bool {
        let state = lock(&self.0.state);
        state.pondered > 0 || state.answered
    }

    /// Whether it has answered something since this was asked last.
    pub(crate) fn take_answered(&self) -> bool {
        std::mem::take(&mut lock(&self.0.state).answered)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.stop();
    }
}
