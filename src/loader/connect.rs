//! From a permit to a connection: a kept-alive one, or name, TCP and TLS.

use super::{Flow, Loader, Pause, Step};
use crate::connection::dial::{Dial, DialStep};
use crate::connection::idle::{Acquired, Permit, Ticket, Want};
use crate::connection::resolve::Lookup;
#[cfg(feature = "tls")]
use crate::connection::tls::{self, Offer, TlsOptions};
#[cfg(feature = "tls")]
use crate::connection::transport::Securing;
use crate::connection::transport::{Connection, ConnectionInfo};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::exchange::outgoing::Outgoing;
use crate::proto::http1::head::Limits;
use crate::sync::Arc;
use crate::sys::{Interest, Socket};
#[cfg(feature = "tls")]
use crate::task::core::Context;
use crate::task::core::{Mode, TaskCore};
use std::time::Instant;

impl Loader {
    pub(super) fn acquire(&mut self, ticket: Option<Ticket>, core: &Arc<TaskCore>) -> Result<Flow> {
        self.uninterruptible(core);
        if let Some((connection, permit)) = self.bound_connection(core)? {
            if let Some(transaction) = self.measure() {
                transaction.is_reused_connection = true;
            }
            return self.begin_exchange(connection, permit, core);
        }
        let want = self.want(core);
        let waker = || core.waker();
        let acquired = match ticket {
            Some(ticket) => ticket.again(Want { now: self.clock.touch(), ..want }, &waker),
            None => self.origin(core)?.acquire(core.id, want, &waker),
        };
        match acquired {
            Acquired::Reused(connection, permit) => {
                if let Some(transaction) = self.measure() {
                    transaction.is_reused_connection = true;
                }
                self.begin_exchange(connection, permit, core)
            }
            Acquired::Open(permit) => {
                self.clock.touch();
                self.clock.begin_connect();
                Ok(Flow::Go(Step::Resolve(permit)))
            }
            Acquired::Wait(ticket) => {
                // In the queue only the resource timeout counts: nothing is on the network yet.
                self.check(false, core, &|loader| {
                    format!("waiting for a connection to {}", loader.authority(core))
                })?;
                Ok(Flow::Stay(Step::Acquire(Some(ticket)), Pause::Event))
            }
        }
    }

    pub(super) fn resolve(&mut self, permit: Permit, core: &Arc<TaskCore>) -> Result<Flow> {
        let (host, port) = self.host(core)?;
        let now = Instant::now();
        if let Some(transaction) = self.measure() {
            transaction.domain_lookup_start.get_or_insert(now);
        }
        match core.context.names.lookup(&host, port, now, &core.waker()) {
            Lookup::Pending => {
                self.check(true, core, &|_| format!("resolving {host}"))?;
                Ok(Flow::Stay(Step::Resolve(permit), Pause::Event))
            }
            Lookup::Ready(addresses) => {
                let addresses = addresses?;
                log::debug!("task {}: {host} is at {addresses:?}", core.id);
                let now = self.clock.touch();
                if let Some(transaction) = self.measure() {
                    transaction.domain_lookup_end = Some(now);
                    transaction.connect_start = Some(now);
                }
                Ok(Flow::Go(Step::Dial(Dial::new(&host, port, addresses), permit)))
            }
        }
    }

    pub(super) fn dial(&mut self, mut dial: Dial, permit: Permit, core: &Arc<TaskCore>) -> Result<Flow> {
        match dial.advance(Instant::now())? {
            DialStep::Wait { until } => {
                self.check(true, core, &|loader| format!("connecting to {}", loader.authority(core)))?;
                self.clock.next_attempt = until;
                Ok(Flow::Stay(Step::Dial(dial, permit), Pause::Io))
            }
            DialStep::Connected(socket) => {
                self.clock.next_attempt = None;
                let now = self.clock.touch();
                // A thread that polled for it has left it to be interrupted, and may be gone.
                core.set_interrupt(None);
                let connection = Box::new(Connection::new(socket, Arc::clone(&core.context.buffers)));
                if let Some(remote) = connection.info().remote {
                    log::debug!("task {}: connected to {remote}", core.id);
                }
                if let Some(transaction) = self.measure() {
                    transaction.connect_end = Some(now);
                }
                if self.request(core).check()?.scheme() != "https" {
                    self.clock.end_connect();
                    return self.begin_exchange(connection, permit, core);
                }
                self.begin_tls(connection, permit, core, now)
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    fn begin_tls(&mut self, _: Box<Connection>, _: Permit, _: &Arc<TaskCore>, _: Instant) -> Result<Flow> {
        Err(Error::new(ErrorKind::UnsupportedUrl, "https needs the feature `tls` of urlsession"))
    }

    #[cfg(feature = "tls")]
    fn begin_tls(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        core: &Arc<TaskCore>,
        now: Instant,
    ) -> Result<Flow> {
        if let Some(transaction) = self.measure() {
            transaction.secure_connection_start = Some(now);
        }
        let (host, _) = self.host(core)?;
        let terms = self.terms(core)?;
        let is_given = matches!(terms.offer, Offer::Given(_));
        let settings = core.context.tls.settings(terms, || options(&core.context)).inspect_err(|_| {
            // What is no good is not to get in the way of all that come after.
            if is_given {
                let _ = self.with_origin(core, |origin| core.context.tls.forget_identity(origin));
            }
        })?;
        connection.start_tls(&settings, &host)?;
        Ok(Flow::Go(Step::Handshake(connection, permit, Interest::READ)))
    }

    #[cfg(feature = "tls")]
    pub(super) fn handshake(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        core: &Arc<TaskCore>,
        mode: Mode,
    ) -> Result<Flow> {
        self.interruptible(core, mode, connection.socket())?;
        let state = connection.handshake(self.clock.patience(mode));
        if core.is_settled() {
            return Err(Error::cancelled());
        }
        match state? {
            Securing::Trust(trust) => self.ask_for_trust(connection, permit, trust, core),
            Securing::Identity(authorities) => self.ask_for_identity(connection, permit, authorities, core),
            Securing::Wait(interest) => {
                if self.was_suspended(core) {
                    return Ok(Flow::Go(Step::Handshake(connection, permit, interest)));
                }
                self.check(true, core, &|loader| format!("TLS handshake with {}", loader.authority(core)))?;
                connection.release_buffers();
                Ok(Flow::Stay(Step::Handshake(connection, permit, interest), Pause::Io))
            }
            Securing::Done => {
                let now = self.clock.touch();
                self.clock.end_connect();
                self.decided = None;
                if let Some(transaction) = self.measure() {
                    transaction.secure_connection_end = Some(now);
                    transaction.connect_end = Some(now);
                }
                self.begin_exchange(connection, permit, core)
            }
        }
    }

    /// From here on cancelling shuts the connection down, if this thread may sit in it.
    pub(super) fn interruptible(
        &mut self,
        core: &Arc<TaskCore>,
        mode: Mode,
        socket: &Arc<Socket>,
    ) -> Result<()> {
        if matches!(mode, Mode::Blocking { .. }) && !std::mem::replace(&mut self.interruptible, true) {
            core.set_interrupt(Some(socket));
            if core.is_settled() {
                return Err(Error::cancelled());
            }
        }
        Ok(())
    }

    /// Cancelling leaves the connection alone from here on: it may go to another task.
    pub(super) fn uninterruptible(&mut self, core: &Arc<TaskCore>) {
        if std::mem::replace(&mut self.interruptible, false) {
            core.set_interrupt(None);
        }
    }

    fn begin_exchange(
        &mut self,
        mut connection: Box<Connection>,
        permit: Permit,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if !self.take_part(core) {
            permit.put_back(connection, self.clock.progress());
            return Ok(Flow::Go(Step::Prepare));
        }
        let body = self.open_body(core)?;
        let (head, persistent) = self.encode(core, &body)?;
        connection.is_personal |= self.is_bound();
        self.begin_sending(body.len(), core)?;
        let ConnectionInfo { local, remote, tls_version, tls_cipher_suite, tls_resumed } = *connection.info();
        if let Some(transaction) = self.measure() {
            transaction.local_address = local;
            transaction.remote_address = remote;
            transaction.tls_version = tls_version;
            transaction.tls_cipher_suite = tls_cipher_suite;
            transaction.is_tls_resumed = tls_resumed;
            transaction.request_header_bytes = head.len() as u64;
        }
        let request = self.request(core);
        let hold = request.expect_continue && !body.is_absent() && !self.retries.without_expect;
        let configuration = &core.context.configuration;
        let limits = Limits {
            max_head_bytes: configuration.maximum_header_bytes,
            max_headers: configuration.maximum_headers,
        };
        let mut exchange =
            Box::new(Exchange::new(connection, permit, Outgoing::new(head, body), hold, limits));
        exchange.persistent = persistent;
        self.converse_anew();
        Ok(Flow::Go(Step::Converse(exchange, Interest::READ)))
    }

    pub(super) fn host(&self, core: &Arc<TaskCore>) -> Result<(String, u16)> {
        let url = self.request(core).check()?;
        let host = url.host_str().unwrap_or_default().to_owned();
        match url.port_or_known_default() {
            Some(port) => Ok((host, port)),
            None => Err(Error::new(ErrorKind::BadUrl, "the URL has no port")),
        }
    }

    /// `host:port`, or the URL where it has none, for messages.
    pub(super) fn authority(&self, core: &Arc<TaskCore>) -> String {
        match (self.host(core), self.request(core).get_url()) {
            (Ok((host, port)), _) => format!("{host}:{port}"),
            (Err(_), Some(url)) => crate::error::redacted(url).to_string(),
            (Err(_), None) => String::new(),
        }
    }
}

/// What the TLS settings of a session are made from: its configuration.
#[cfg(feature = "tls")]
fn options(context: &Context) -> TlsOptions {
    use crate::tls::{CryptoProvider, RootCertificates};
    let properties = &context.configuration.tls;
    let der = |certificates: &[crate::tls::Certificate]| {
        certificates.iter().map(|certificate| certificate.as_rustls().clone()).collect::<Vec<_>>()
    };
    TlsOptions {
        minimum: version(properties.minimum_version),
        maximum: version(properties.maximum_version),
        extra_roots: der(&properties.added_roots),
        replaced_roots: match &properties.roots {
            RootCertificates::Only(roots) => Some(der(roots)),
            _ => None,
        },
        identity: properties.client_identity.as_ref().map(|identity| tls::Identity {
            chain: identity.chain().to_vec(),
            key: identity.key().clone_key(),
        }),
        accept_invalid: properties.accept_invalid_certificates,
        #[cfg(feature = "platform-verifier")]
        platform_verifier: matches!(properties.roots, RootCertificates::Platform),
        #[cfg(not(feature = "platform-verifier"))]
        platform_verifier: false,
        provider: match properties.crypto_provider {
            CryptoProvider::Ring => tls::Provider::Ring,
            #[cfg(feature = "aws-lc-rs")]
            CryptoProvider::AwsLcRs => tls::Provider::AwsLcRs,
        },
        alpn: vec![b"http/1.1".to_vec()],
        pins: properties.pins.clone(),
    }
}

#[cfg(feature = "tls")]
pub(super) fn version(version: crate::tls::TlsVersion) -> tls::TlsVersion {
    match version {
        crate::tls::TlsVersion::Tls12 => tls::TlsVersion::Tls12,
        crate::tls::TlsVersion::Tls13 => tls::TlsVersion::Tls13,
    }
}
