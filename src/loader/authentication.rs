//! Challenges: who is asked about them.

use super::{Answer, Loader};
use crate::challenge::{Challenge, ChallengeDisposition};
use crate::sync::Arc;
use crate::task::core::{Events, TaskCore};

impl Loader {
    /// Asks the delegate about a challenge. The answer comes as [`Answer::Challenge`].
    pub(super) fn ask_about(&self, challenge: Challenge, events: Arc<dyn Events>, core: &Arc<TaskCore>) {
        self.ask(
            core,
            events,
            move |events, core| Answer::Challenge(decide(&challenge, events, core)),
            Answer::Challenge(ChallengeDisposition::default()),
        );
    }
}

/// What the delegate says: at first as that of the session, where it is about a connection.
pub(super) fn decide(
    challenge: &Challenge,
    events: &dyn Events,
    core: &Arc<TaskCore>,
) -> ChallengeDisposition {
    if challenge.protection_space().authentication_method().is_session_wide() {
        if let Some(disposition) = events.did_receive_session_challenge(challenge) {
            return disposition;
        }
    }
    events.did_receive_challenge(core, challenge)
}
