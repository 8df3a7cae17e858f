//! In the midst of a handshake: the delegate judges the server, and says who we are.
//!
//! ```text
//! handshake ─▶ trusting ─▶ handshake ─▶ identifying ─▶ handshake
//!    ▲                                       │
//!    └── resolve, dial: once more, with another certificate
//! ```
//!
//! Nothing of the request has left yet, nor anything of ours. A certificate that was not offered when the
//! connection began cannot be shown on it any more: it is given up and dialled again. The one that
//! takes its place is not asked about again if the server shows the same.

use super::connect::version;
use super::{Answer, Flow, Loader, Pause, Step};
use crate::challenge::{AuthenticationMethod, Challenge, ChallengeDisposition, Credential, ProtectionSpace};
use crate::connection::idle::Permit;
use crate::connection::tls::{Judge, Offer, Terms};
use crate::connection::transport::{Connection, Exception};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use crate::sys::Interest;
use crate::task::core::{Events, TaskCore};
use crate::tls::{Certificate, Identity};
use crate::trust::ServerTrust;

/// Who has answered a challenge about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The session.
    Session,
    /// The delegate that tasks ask: the session's as well, or a task's own.
    Task,
}

/// What was decided before a connection was given up for another one.
#[derive(Debug, Default)]
pub(super) struct Decided {
    offer: Option<Offer>,
    accepted: Option<(Vec<Certificate>, Option<Exception>)>,
}

/// A connection of which something is being asked.
pub(super) struct Asking {
    connection: Box<Connection>,
    permit: Permit,
    about: About,
}

enum About {
    Trust(ServerTrust),
    Identity,
}

impl Loader {
    /// The terms of a new connection to the request's host.
    pub(super) fn terms(&self, core: &Arc<TaskCore>) -> Result<Terms> {
        let judge = match whom_to_ask(core) {
            None => Judge::Rules,
            Some(_) if core.asker().has_own_delegate => Judge::OwnDelegate,
            Some(_) => Judge::Delegate,
        };
        let offer = match self.decided.as_ref().and_then(|decided| decided.offer.clone()) {
            Some(offer) => offer,
            None => self.with_origin(core, |origin| core.context.tls.offer(origin))?,
        };
        let policy = &core.context.configuration.transport_security;
        let policy = self.request(core).check()?.host().map(|host| policy.policy_for(&host));
        // Forward secrecy is what every suite has that is offered, whether it is required or not.
        let minimum = policy.and_then(|policy| policy.minimum_tls_version).map(version);
        Ok(Terms { minimum, offer, judge })
    }

    /// The server shows its certificates, and somebody is to judge them.
    pub(super) fn ask_for_trust(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        trust: ServerTrust,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let accepted = self.decided.as_ref().and_then(|decided| decided.accepted.as_ref());
        if let Some((_, exception)) = accepted.filter(|(shown, _)| shown == trust.certificates()) {
            connection.accept(*exception);
            return Ok(Flow::Go(Step::Handshake(connection, permit, Interest::READ)));
        }
        let Some(events) = whom_to_ask(core) else {
            return self.go_by_rules(connection, permit, trust);
        };
        let space = self.space(core, AuthenticationMethod::ServerTrust)?.with_server_trust(trust.clone());
        self.ask_of_connection(Challenge::new(space), events, core);
        Ok(Flow::Go(Step::Asking(Box::new(Asking { connection, permit, about: About::Trust(trust) }))))
    }

    /// The server asks for a certificate.
    pub(super) fn ask_for_identity(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        authorities: Vec<Vec<u8>>,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let offer = self.with_origin(core, |origin| core.context.tls.offer(origin))?;
        let is_decided = connection.has_given_identity()
            || self.decided.as_ref().is_some_and(|decided| decided.offer.is_some());
        let events = whom_to_ask(core);
        match (offer, events) {
            // Another task was asked meanwhile.
            (Offer::Given(_), _) if !is_decided => self.dial_again(connection, permit, None, core),
            (Offer::Configured, Some(events)) if !is_decided => {
                let space = self.space(core, AuthenticationMethod::ClientCertificate)?;
                let mut challenge = Challenge::new(space.with_distinguished_names(authorities));
                if let Some(identity) = core.context.configuration.get_client_identity() {
                    challenge =
                        challenge.with_proposed_credential(Credential::with_identity(identity.clone()));
                }
                self.ask_of_connection(challenge, events, core);
                let asking = Asking { connection, permit, about: About::Identity };
                Ok(Flow::Go(Step::Asking(Box::new(asking))))
            }
            _ => {
                connection.identify();
                Ok(Flow::Go(Step::Handshake(connection, permit, Interest::READ)))
            }
        }
    }

    /// The delegate ponders, or has answered.
    pub(super) fn asking(&mut self, asking: Box<Asking>, core: &Arc<TaskCore>) -> Result<Flow> {
        let Some(answer) = self.answered() else {
            self.check(false, core, &|loader| {
                let about = match asking.about {
                    About::Trust(_) => "the certificate of",
                    About::Identity => "a certificate for",
                };
                format!("waiting for the delegate to decide about {about} {}", loader.authority(core))
            })?;
            return Ok(Flow::Stay(Step::Asking(asking), Pause::Answer));
        };
        self.clock.touch();
        self.clock.release_connect();
        let (disposition, by) = match answer {
            Answer::Connection(disposition, by) => (disposition, by),
            _ => (ChallengeDisposition::default(), By::Task),
        };
        let Asking { connection, permit, about } = *asking;
        match about {
            About::Trust(trust) => self.judged(connection, permit, trust, disposition, by, core),
            About::Identity => self.identified(connection, permit, disposition, core),
        }
    }

    fn judged(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        trust: ServerTrust,
        disposition: ChallengeDisposition,
        by: By,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let credential = match disposition {
            ChallengeDisposition::CancelChallenge => return Err(cancelled().with_server_trust(trust)),
            ChallengeDisposition::UseCredential(Some(credential)) => credential,
            _ => return self.go_by_rules(connection, permit, trust),
        };
        if credential.trust() != Some(&trust) {
            log::warn!(
                "task {}: the credential is not for what {} shows on this connection; default handling",
                core.id,
                self.authority(core)
            );
            return self.go_by_rules(connection, permit, trust);
        }
        let asker = core.asker();
        let exception = trust.evaluate().err().map(|error| {
            log::debug!("task {}: accepted by the delegate: {error}", core.id);
            match by {
                By::Session => Exception::Session,
                By::Task if asker.has_own_delegate => Exception::Own(asker.task),
                By::Task => Exception::Shared,
            }
        });
        self.accept(&mut connection, &trust, exception);
        Ok(Flow::Go(Step::Handshake(connection, permit, Interest::READ)))
    }

    fn go_by_rules(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        trust: ServerTrust,
    ) -> Result<Flow> {
        if let Err(error) = trust.evaluate() {
            return Err(error.with_server_trust(trust));
        }
        self.accept(&mut connection, &trust, None);
        Ok(Flow::Go(Step::Handshake(connection, permit, Interest::READ)))
    }

    fn accept(&mut self, connection: &mut Connection, trust: &ServerTrust, exception: Option<Exception>) {
        connection.accept(exception);
        let decided = self.decided.get_or_insert_default();
        decided.accepted = Some((trust.certificates().to_vec(), exception));
    }

    fn identified(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        disposition: ChallengeDisposition,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let configured = core.context.configuration.get_client_identity();
        let wanted: Option<&Identity> = match &disposition {
            ChallengeDisposition::CancelChallenge => return Err(cancelled()),
            ChallengeDisposition::PerformDefaultHandling => configured,
            ChallengeDisposition::UseCredential(Some(credential)) => {
                if credential.identity().is_none() {
                    log::warn!("task {}: the credential is no certificate; default handling", core.id);
                }
                credential.identity().or(configured)
            }
            ChallengeDisposition::UseCredential(None) | ChallengeDisposition::RejectProtectionSpace => None,
        };
        match wanted {
            Some(identity) if configured != Some(identity) => {
                self.with_origin(core, |origin| core.context.tls.remember(origin, identity.clone()))?;
                self.dial_again(connection, permit, Some(Offer::Given(identity.clone())), core)
            }
            None if connection.has_identity() => {
                self.dial_again(connection, permit, Some(Offer::Nothing), core)
            }
            _ => {
                connection.identify();
                Ok(Flow::Go(Step::Handshake(connection, permit, Interest::READ)))
            }
        }
    }

    /// Another connection in the place of this one, to which nothing was said.
    fn dial_again(
        &mut self,
        connection: Box<Connection>,
        permit: Permit,
        offer: Option<Offer>,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        log::debug!("task {}: once more, with another client certificate", core.id);
        self.decided.get_or_insert_default().offer = offer;
        self.uninterruptible(core);
        drop(connection);
        Ok(Flow::Go(Step::Resolve(permit)))
    }

    /// The protection space of the request's host.
    fn space(&self, core: &Arc<TaskCore>, method: AuthenticationMethod) -> Result<ProtectionSpace> {
        let (host, port) = self.host(core)?;
        Ok(ProtectionSpace::new(host, port, "https", method))
    }

    /// Asks about a connection: the session first, then the task. A task that works for another one has
    /// that one's delegate asked.
    fn ask_of_connection(&mut self, challenge: Challenge, events: Arc<dyn Events>, core: &Arc<TaskCore>) {
        self.clock.hold_connect();
        self.ask(
            core,
            events,
            move |events, core| match core.parent() {
                None => decide(&challenge, events, core),
                Some(task) => task.within_event(|| decide(&challenge, events, task)),
            },
            Answer::Connection(ChallengeDisposition::default(), By::Task),
        );
    }

    /// The connection failed. What was decided may have been wrong.
    pub(super) fn reconsider(&self, error: &Error, core: &Arc<TaskCore>) {
        if error.kind() == ErrorKind::ClientCertificateRejected {
            let _ = self.with_origin(core, |origin| core.context.tls.forget_identity(origin));
        }
    }
}

fn decide(challenge: &Challenge, events: &dyn Events, core: &Arc<TaskCore>) -> Answer {
    match events.did_receive_session_challenge(challenge) {
        Some(disposition) => Answer::Connection(disposition, By::Session),
        None => Answer::Connection(events.did_receive_challenge(core, challenge), By::Task),
    }
}

/// The delegate that a task has, or that for which it works.
fn whom_to_ask(core: &Arc<TaskCore>) -> Option<Arc<dyn Events>> {
    core.parent().unwrap_or(core).events()
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the delegate cancelled an authentication challenge")
}
