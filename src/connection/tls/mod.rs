//! The client's side of a TLS connection, without its socket (RFC 8446, RFC 5246).
//!
//! A [`TlsStream`] takes ciphertext from a [`Buffer`] that its owner received, and appends
//! ciphertext to a [`SendBuffer`] that its owner sends, in order. It has no buffers of its own, so a
//! connection that waits costs only its keys. It is the one place that knows rustls.
//!
//! ```text
//! handshake() ──NeedsInput──▶ receive, handshake() again
//!      │
//!     Done ──▶ decrypt() ──NeedsInput──▶ receive, decrypt() again
//!              encrypt()  ──Stopped─────▶ decrypt() again when there is room
//!                         ──PeerClosed──▶ nothing more will come
//! ```
//!
//! Where somebody judges the server, `handshake()` also stops with `NeedsTrust`, and then with
//! `NeedsIdentity` if the server wants a certificate: nothing that is outgoing may be sent before
//! [`accept`](TlsStream::accept) and [`identify`](TlsStream::identify).
//!
//! Underneath is rustls's unbuffered interface, of which four things have to be known:
//!
//! - A state that says "send" is answered by "sent" at once: what was encoded is in `outgoing`,
//!   from where it leaves in order.
//! - A handshake message that spans records stays in the caller's buffer, decrypted, until it is
//!   whole. rustls remembers offsets into that prefix and slices by them without looking at the
//!   length. Writing needs no ciphertext, but has to show a buffer of that length: `held`.
//! - Application data must be popped in the call that reports it, before anything is written. So
//!   records are fed one by one, and the handshake ends before the first of them that is data.
//! - After an error nothing may be fed again; what rustls wants to say about the error (an alert)
//!   is taken out first.

mod failure;
mod notes;
mod question;
mod session;
mod settings;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use session::SessionTls;
pub(crate) use settings::{Identity, Judge, Offer, Provider, Terms, TlsOptions, TlsSettings, TlsVersion};

use super::buffer::{Buffer, SendBuffer};
use crate::error::{Error, ErrorKind, Result};
use crate::tls::Certificate;
use crate::trust::ServerTrust;
use failure::{Phase, map_error, message};
use question::{Keeper, Question};
use rustls::HandshakeKind;
use rustls::client::{ClientConnectionData, Resumption, UnbufferedClientConnection};
#[cfg(test)]
use rustls::pki_types::CertificateDer;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use settings::Facts;
use std::fmt;
use std::sync::Arc;

/// The most plaintext a record has (RFC 8446 §5.1).
pub(crate) const MAX_PLAINTEXT: usize = 16 * 1024;

/// The most ciphertext a record has, with its header: enough for a receive buffer that always holds
/// a record (RFC 5246 §6.2.3).
#[cfg(test)]
pub(crate) const MAX_RECORD: usize = HEADER + MAX_PLAINTEXT + 2048;

const HEADER: usize = 5;

/// What a record has beside its plaintext, at most: header, explicit nonce, content type, tag.
const OVERHEAD: usize = HEADER + 8 + 1 + 16;

/// How much of a handshake message may lie in the receive buffer: rustls allows messages of 64 KiB,
/// and leaves it to us to bound what they are wrapped in.
const MAX_HELD: usize = 128 * 1024;

/// Takes plaintext, piece by piece, and says whether it wants more.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> bool + 'a;

/// Where a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Handshake {
    /// The peer has to say more. Send what is outgoing, receive, and call again.
    NeedsInput,
    /// Somebody has to judge the server. Send nothing, and [`accept`](TlsStream::accept) it or give
    /// the connection up.
    NeedsTrust,
    /// The server asks for a certificate. Send nothing, and [`identify`](TlsStream::identify) or give the
    /// connection up.
    NeedsIdentity,
    /// The connection is secure. Send what is outgoing. `incoming` may hold application data
    /// already: decrypt before waiting for the socket.
    Done,
}

/// Why decryption came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Decrypted {
    /// All whole records are decrypted. Receive, and call again. If the connection ends without a
    /// [`PeerClosed`](Decrypted::PeerClosed), whether something was cut off is for the framing of
    /// the protocol above to say.
    NeedsInput,
    /// The sink had enough. There may be further whole records in `incoming`: call again before
    /// waiting for the socket.
    Stopped,
    /// The peer said that it sends nothing more (`close_notify`). We may go on sending.
    PeerClosed,
}

/// What was agreed on in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsInfo {
    /// As on the wire: `0x0303` is TLS 1.2, `0x0304` is TLS 1.3.
    pub(crate) version: u16,
    /// IANA's number of the cipher suite.
    pub(crate) cipher_suite: u16,
    /// The application protocol that the server chose (RFC 7301).
    pub(crate) alpn: Option<Vec<u8>>,
    /// Whether an earlier session was resumed.
    pub(crate) resumed: bool,
}

/// The client's side of a TLS connection.
pub(crate) struct TlsStream {
    connection: UnbufferedClientConnection,
    host: Box<str>,
    facts: Facts,
    /// Length of the prefix of the receive buffer that is decrypted and part of a handshake
    /// message whose end has not arrived.
    held: usize,
    phase: Phase,
    has_sent_close: bool,
    has_received_close: bool,
    failure: Option<Error>,
    /// Until the handshake is done, if somebody is asked.
    question: Option<Box<Question>>,
}

/// Why [`TlsStream::feed`] came to an end.
enum Fed {
    NeedsInput,
    /// Something has to be decided.
    Held(Handshake),
    HandshakeDone,
    Stopped,
    PeerClosed,
}

impl TlsStream {
    /// A connection to `host`, a DNS name or an IP address (IPv6 with brackets or without), that
    /// offers the application protocols of the settings.
    ///
    /// # Errors
    /// [`ErrorKind::BadUrl`] if `host` is neither.
    pub(crate) fn new(settings: &TlsSettings, host: &str) -> Result<Self> {
        Self::with_alpn(settings, host, settings.config.alpn_protocols.clone())
    }

    /// Like [`new`](Self::new), but offers these application protocols; none if there are none.
    pub(crate) fn with_alpn(settings: &TlsSettings, host: &str, alpn: Vec<Vec<u8>>) -> Result<Self> {
        let facts = settings.facts;
        let name = server_name(host)?;
        let mut config = Arc::clone(&settings.config);
        let keeper = settings.store.clone().map(|store| Arc::new(Keeper::new(store)));
        if let Some(keeper) = &keeper {
            let mut own = rustls::ClientConfig::clone(&config);
            own.resumption = Resumption::store(Arc::clone(keeper) as _);
            config = Arc::new(own);
        }
        let question = settings.judge.as_ref().map(|judge| {
            Box::new(Question {
                judge: Arc::clone(judge),
                name: name.clone(),
                keeper,
                ocsp: Vec::new(),
                authorities: None,
                is_trusted: false,
                is_identified: false,
            })
        });
        let connection = UnbufferedClientConnection::new_with_alpn(config, name, alpn)
            .map_err(|error| map_error(host, Phase::Handshake, facts, &[], error))?;
        Ok(TlsStream {
            connection,
            host: host.into(),
            facts,
            held: 0,
            phase: Phase::Handshake,
            has_sent_close: false,
            has_received_close: false,
            failure: None,
            question,
        })
    }

    /// Runs the handshake as far as `incoming` allows. Takes from `incoming` what it used, and
    /// appends to `outgoing` what is to be sent, also when it fails: an alert for the server.
    pub(crate) fn handshake(
        &mut self,
        incoming: &mut Buffer,
        outgoing: &mut SendBuffer,
    ) -> Result<Handshake> {
        if self.phase == Phase::Transfer {
            return Ok(Handshake::Done);
        }
        if let Some(held) = self.is_held() {
            return Ok(held);
        }
        match self.feed(incoming, outgoing, None)? {
            Fed::HandshakeDone => {
                self.phase = Phase::Transfer;
                self.question = None;
                Ok(Handshake::Done)
            }
            Fed::Held(held) => Ok(held),
            Fed::NeedsInput | Fed::Stopped => Ok(Handshake::NeedsInput),
            Fed::PeerClosed => Err(self.refused("the server closed the connection")),
        }
    }

    /// What the server shows, with the verdict of the rules, after [`Handshake::NeedsTrust`].
    ///
    /// # Errors
    /// [`ErrorKind::ServerCertificateUntrusted`] if it has no key that is pinned for it: that is for
    /// nobody to judge.
    pub(crate) fn server_trust(&mut self) -> Result<ServerTrust> {
        let chain = self.connection.peer_certificates().unwrap_or_default();
        let certificates = chain.iter().cloned().map(Certificate::from_rustls).collect();
        let Some(question) = &self.question else {
            return Ok(ServerTrust::new(&self.host, certificates, Ok(())));
        };
        let now = UnixTime::now();
        let failed = |error| map_error(&self.host, self.phase, self.facts, &[], error);
        if let Err(error) = question.judge.pinned(chain, &question.name, now) {
            let error = failed(error);
            let trust = ServerTrust::new(&self.host, certificates, Err(error.clone()));
            let error = error.with_server_trust(trust);
            self.failure = Some(error.clone());
            return Err(error);
        }
        let verdict = question.judge.verdict(chain, &question.name, &question.ocsp, now).map_err(failed);
        Ok(ServerTrust::new(&self.host, certificates, verdict))
    }

    /// The server is trusted: the handshake goes on. `by_exception`: in spite of the verdict, for this
    /// connection only.
    pub(crate) fn accept(&mut self, by_exception: bool) {
        if let Some(question) = &mut self.question {
            question.accept(by_exception);
        }
    }

    /// The names of the authorities that the server wants a certificate of, in DER, after
    /// [`Handshake::NeedsIdentity`].
    pub(crate) fn authorities(&self) -> Vec<Vec<u8>> {
        let authorities = self.question.as_ref().and_then(|question| question.authorities.clone());
        authorities.unwrap_or_default()
    }

    /// The certificate that the settings offer will do, or none if they offer none.
    pub(crate) fn identify(&mut self) {
        if let Some(question) = &mut self.question {
            question.is_identified = true;
        }
    }

    /// Whether a certificate is offered to a server that asks.
    pub(crate) fn has_identity(&self) -> bool {
        self.facts.has_identity
    }

    /// Whether that is one that was given for the server, and not the configured one.
    pub(crate) fn has_given_identity(&self) -> bool {
        self.facts.is_given
    }

    /// What has to be decided before anything more is said.
    fn is_held(&self) -> Option<Handshake> {
        let question = self.question.as_ref()?;
        // Whoever resumes a session was judged when that began.
        if !question.is_trusted && self.connection.handshake_kind() != Some(HandshakeKind::Resumed) {
            self.connection.peer_certificates()?;
            return Some(Handshake::NeedsTrust);
        }
        let is_asked = question.authorities.is_some() && !question.is_identified;
        is_asked.then_some(Handshake::NeedsIdentity)
    }

    /// Decrypts the whole records of `incoming` in place and gives their plaintext, at most
    /// [`MAX_PLAINTEXT`] bytes at a time, to `sink`, which has to take all of what it is given and
    /// says whether it wants more. Takes from `incoming` what was decrypted, and appends to
    /// `outgoing` what is to be sent in answer; also when it fails.
    pub(crate) fn decrypt(
        &mut self,
        incoming: &mut Buffer,
        outgoing: &mut SendBuffer,
        sink: &mut Sink<'_>,
    ) -> Result<Decrypted> {
        if self.phase == Phase::Handshake {
            return Err(self.refused("nothing can be received before the handshake is done"));
        }
        if self.has_received_close {
            // RFC 8446 §6.1: what comes after a closure alert is ignored.
            incoming.clear();
            return Ok(Decrypted::PeerClosed);
        }
        match self.feed(incoming, outgoing, Some(sink))? {
            Fed::NeedsInput | Fed::HandshakeDone | Fed::Held(_) => Ok(Decrypted::NeedsInput),
            Fed::Stopped => Ok(Decrypted::Stopped),
            Fed::PeerClosed => {
                incoming.clear();
                Ok(Decrypted::PeerClosed)
            }
        }
    }

    /// Encrypts `parts`, one after the other, and appends the records to `outgoing`. Records are
    /// filled across the borders of parts.
    ///
    /// # Errors
    /// [`ErrorKind::NetworkConnectionLost`] before the handshake is done, after
    /// [`close_notify`](Self::close_notify), and when a TLS 1.2 connection has used up its keys.
    pub(crate) fn encrypt(&mut self, parts: &[&[u8]], outgoing: &mut SendBuffer) -> Result<()> {
        if self.phase == Phase::Handshake {
            return Err(self.refused("nothing can be sent before the handshake is done"));
        }
        if self.has_sent_close {
            return Err(self.refused("nothing can be sent after the end was announced"));
        }
        let mut gathered = Vec::new();
        let mut parts = parts.iter().filter(|part| !part.is_empty()).peekable();
        while let Some(mut part) = parts.next().copied() {
            if !gathered.is_empty() {
                let (head, tail) = part.split_at(part.len().min(MAX_PLAINTEXT - gathered.len()));
                gathered.extend_from_slice(head);
                part = tail;
                if gathered.len() == MAX_PLAINTEXT || parts.peek().is_none() {
                    self.encrypt_part(&gathered, outgoing)?;
                    gathered.clear();
                }
            }
            let rest = if parts.peek().is_some() { part.len() % MAX_PLAINTEXT } else { 0 };
            let (records, rest) = part.split_at(part.len() - rest);
            self.encrypt_part(records, outgoing)?;
            gathered.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Appends to `outgoing` that nothing more will be sent. Does nothing when that was said
    /// already, the handshake is not done, or the connection has failed.
    ///
    /// What the server sends may still be decrypted. In debug builds rustls 0.23 panics there if it
    /// is damaged, since it wants to send an alert and asserts that `close_notify` is the last.
    pub(crate) fn close_notify(&mut self, outgoing: &mut SendBuffer) {
        if self.phase == Phase::Handshake || self.has_sent_close || self.failure.is_some() {
            return;
        }
        self.has_sent_close = true;
        // There is nothing to do about a connection that fails while it is being closed.
        let _ = self.write(OVERHEAD + 2, outgoing, |traffic, room| traffic.queue_close_notify(room));
    }

    /// What was agreed on. Complete once the handshake is done.
    pub(crate) fn info(&self) -> TlsInfo {
        let connection = &self.connection;
        TlsInfo {
            version: connection.protocol_version().map(u16::from).unwrap_or_default(),
            cipher_suite: connection
                .negotiated_cipher_suite()
                .map(|suite| u16::from(suite.suite()))
                .unwrap_or_default(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// The server's certificate, then those it sent along. Those of the session if one was resumed.
    #[cfg(test)]
    pub(crate) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.connection.peer_certificates().unwrap_or_default()
    }

    /// Feeds record after record to rustls, until there is no whole one left or there is a reason
    /// to stop. Without a sink, the end of the handshake is such a reason.
    fn feed(
        &mut self,
        incoming: &mut Buffer,
        outgoing: &mut SendBuffer,
        mut sink: Option<&mut Sink<'_>>,
    ) -> Result<Fed> {
        self.check()?;
        // End of the record that is being fed, if it is whole.
        let mut end = record_end(incoming.filled(), self.held);
        loop {
            let given = end.unwrap_or(incoming.len());
            let slice = incoming.filled_mut().get_mut(..given).unwrap_or_default();
            let UnbufferedStatus { mut discard, state, .. } = self.connection.process_tls_records(slice);
            let mut fed = None;
            let mut is_record_done = false;
            match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, outgoing),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = match record {
                            Ok(record) => record,
                            Err(error) => return Err(self.fail(incoming, outgoing, error)),
                        };
                        discard += record.discard;
                        let wants_more = sink.as_mut().is_some_and(|sink| sink(record.payload));
                        if !wants_more {
                            fed = Some(Fed::Stopped);
                        }
                    }
                    is_record_done = true;
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.has_received_close = true;
                    fed = Some(Fed::PeerClosed);
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    is_record_done = true;
                    if sink.is_none() {
                        fed = Some(Fed::HandshakeDone);
                    } else if end.is_none() {
                        fed = Some(Fed::NeedsInput);
                    }
                }
                Ok(ConnectionState::BlockedHandshake) => {
                    is_record_done = true;
                    if end.is_none() {
                        fed = Some(Fed::NeedsInput);
                    }
                }
                Ok(_) => {
                    let error = rustls::Error::General("a state that clients do not have".into());
                    return Err(self.fail(incoming, outgoing, error));
                }
                Err(error) => return Err(self.fail(incoming, outgoing, error)),
            }
            incoming.consume(discard);
            if is_record_done {
                // What is fed and not discarded is the beginning of a handshake message.
                self.held = end.unwrap_or(self.held).saturating_sub(discard);
                if self.held > MAX_HELD {
                    let error = rustls::InvalidMessage::HandshakePayloadTooLarge.into();
                    return Err(self.fail(incoming, outgoing, error));
                }
                end = record_end(incoming.filled(), self.held);
            } else {
                end = end.map(|end| end.saturating_sub(discard));
            }
            if let Some(question) = &mut self.question {
                question.hear();
                // Not in the midst of a record: what rustls has done with it is known only at its end.
                if let (true, Some(held)) = (is_record_done, self.is_held()) {
                    return Ok(Fed::Held(held));
                }
            }
            if let Some(fed) = fed {
                return Ok(fed);
            }
        }
    }

    fn encrypt_part(&mut self, plaintext: &[u8], outgoing: &mut SendBuffer) -> Result<()> {
        let records = plaintext.len().div_ceil(MAX_PLAINTEXT);
        if records == 0 {
            return Ok(());
        }
        let room = plaintext.len() + records * OVERHEAD;
        self.write(room, outgoing, |traffic, room| traffic.encrypt(plaintext, room))
    }

    /// Lets `write` append to `outgoing`, to which `room` bytes are added for it at first.
    fn write(
        &mut self,
        mut room: usize,
        outgoing: &mut SendBuffer,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, ClientConnectionData>,
            &mut [u8],
        ) -> std::result::Result<usize, EncryptError>,
    ) -> Result<()> {
        self.check()?;
        // Stands for the part of the receive buffer that rustls has seen. It is not looked at.
        let mut held = vec![0; self.held];
        loop {
            let error = match self.connection.process_tls_records(&mut held).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, outgoing);
                    continue;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    continue;
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match write(&mut traffic, outgoing.room(room)) {
                        Ok(written) => {
                            outgoing.append(written);
                            return Ok(());
                        }
                        // Something else is to be sent first, such as a new key.
                        Err(EncryptError::InsufficientSize(size)) if size.required_size > room => {
                            room = size.required_size;
                            continue;
                        }
                        Err(_) => rustls::Error::General("the keys are used up".into()),
                    }
                }
                Ok(_) => rustls::Error::General("nothing can be sent in this state".into()),
                Err(error) => error,
            };
            return Err(self.fail(&mut Buffer::new(), outgoing, error));
        }
    }

    fn check(&self) -> Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Ends the connection by an error, and takes out what rustls wants to tell the peer about it.
    fn fail(&mut self, incoming: &mut Buffer, outgoing: &mut SendBuffer, error: rustls::Error) -> Error {
        while self.connection.wants_write() {
            // As long as there is something to be sent, nothing is parsed.
            match self.connection.process_tls_records(incoming.filled_mut()).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, outgoing),
                _ => break,
            }
        }
        // What was held back is not for a server that nobody has accepted.
        if self.is_held().is_some() {
            outgoing.consume(usize::MAX);
        }
        let mut failure = map_error(&self.host, self.phase, self.facts, incoming.filled(), error);
        let refused = notes::take().refused;
        if !refused.is_empty() {
            let certificates = refused.into_iter().map(Certificate::from_rustls).collect();
            let trust = ServerTrust::new(&self.host, certificates, Err(failure.clone()));
            failure = failure.with_server_trust(trust);
        }
        self.failure = Some(failure.clone());
        failure
    }

    fn refused(&self, why: &str) -> Error {
        let kind = match self.phase {
            Phase::Handshake => ErrorKind::SecureConnectionFailed,
            Phase::Transfer => ErrorKind::NetworkConnectionLost,
        };
        message(&self.host, self.phase, kind, why)
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("host", &self.host)
            .field("phase", &self.phase)
            .field("has_sent_close", &self.has_sent_close)
            .field("has_received_close", &self.has_received_close)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// The name for SNI and the certificate. An address has no SNI (RFC 6066 §3); its brackets and its
/// zone belong to the URL, the final dot of a name to the resolver.
fn server_name(host: &str) -> Result<ServerName<'static>> {
    let name = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.split('%').next().unwrap_or_default(),
        None => host.strip_suffix('.').unwrap_or(host),
    };
    ServerName::try_from(name.to_owned()).map_err(|error| {
        let what = format!("TLS handshake: \"{}\" is no DNS name or IP address", host.escape_debug());
        Error::new(ErrorKind::BadUrl, what).with_source(error)
    })
}

/// Where the record that begins at `start` ends, if it is whole.
fn record_end(bytes: &[u8], start: usize) -> Option<usize> {
    let header = bytes.get(start..start.checked_add(HEADER)?)?;
    let length = header.last_chunk::<2>().map(|length| u16::from_be_bytes(*length))?;
    let end = start + HEADER + usize::from(length);
    (end <= bytes.len()).then_some(end)
}

/// Appends what rustls has to say by itself: handshake messages, alerts, key updates.
fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, outgoing: &mut SendBuffer) {
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        let written = data.encode(outgoing.room(size.required_size));
        outgoing.append(written.unwrap_or(0));
    }
}
