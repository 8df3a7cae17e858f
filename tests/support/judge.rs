//! A delegate that answers challenges about connections, and remembers which there were.

use super::lock;
use std::sync::{Arc, Mutex};
use urlsession::{Challenge, ChallengeDisposition, Credential, Delegate, TaskEvent};

type Answer = dyn Fn(&Challenge) -> ChallengeDisposition + Send + Sync;

/// See the module's documentation. Cloning gives the same.
#[derive(Clone)]
pub struct Judge(Arc<Inner>);

struct Inner {
    is_of_session: bool,
    answer: Box<Answer>,
    asked: Mutex<Vec<(Option<u64>, Challenge)>>,
}

impl Judge {
    /// One that answers as the delegate of the session.
    pub fn of_session(answer: impl Fn(&Challenge) -> ChallengeDisposition + Send + Sync + 'static) -> Judge {
        Judge::new(true, answer)
    }

    /// One that answers for tasks.
    pub fn of_tasks(answer: impl Fn(&Challenge) -> ChallengeDisposition + Send + Sync + 'static) -> Judge {
        Judge::new(false, answer)
    }

    fn new(
        is_of_session: bool,
        answer: impl Fn(&Challenge) -> ChallengeDisposition + Send + Sync + 'static,
    ) -> Judge {
        Judge(Arc::new(Inner { is_of_session, answer: Box::new(answer), asked: Mutex::default() }))
    }

    /// What it was asked, in this order.
    pub fn asked(&self) -> Vec<Challenge> {
        lock(&self.0.asked).iter().map(|(_, challenge)| challenge.clone()).collect()
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        lock(&self.0.asked).len()
    }

    /// About which tasks it was asked, if it answers for tasks.
    pub fn tasks(&self) -> Vec<Option<u64>> {
        lock(&self.0.asked).iter().map(|(task, _)| *task).collect()
    }

    fn ask(&self, task: Option<u64>, challenge: &Challenge) -> ChallengeDisposition {
        lock(&self.0.asked).push((task, challenge.clone()));
        (self.0.answer)(challenge)
    }
}

impl Delegate for Judge {
    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
        self.0.is_of_session.then(|| self.ask(None, challenge))
    }

    fn did_receive_challenge(&self, event: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        assert!(!self.0.is_of_session, "the session was asked already");
        self.ask(Some(event.task().id()), challenge)
    }
}

/// Accepts the server, whatever it is.
pub fn accept(challenge: &Challenge) -> ChallengeDisposition {
    match challenge.protection_space().server_trust() {
        Some(trust) => ChallengeDisposition::UseCredential(Some(Credential::for_trust(trust))),
        None => ChallengeDisposition::PerformDefaultHandling,
    }
}

/// Leaves it to the rules.
pub fn default(_: &Challenge) -> ChallengeDisposition {
    ChallengeDisposition::PerformDefaultHandling
}

/// Wants nothing of it.
pub fn cancel(_: &Challenge) -> ChallengeDisposition {
    ChallengeDisposition::CancelChallenge
}
