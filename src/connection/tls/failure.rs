//! What a failure of TLS means to a person: the [`ErrorKind`] and a message that says what is
//! wrong with which certificate, since when, and what to do about it.

use super::settings::Facts;
use super::verify::{NAMES_SHOWN, NotPinned, Unanchored};
use crate::error::{Error, ErrorKind};
use crate::tls::outline::printable;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError, PeerIncompatible};

/// What a connection was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before [`Handshake::Done`](super::Handshake::Done).
    Handshake,
    /// After it. A server that speaks TLS 1.3 judges our certificate only then.
    Transfer,
}

impl Phase {
    fn doing(self) -> &'static str {
        match self {
            Phase::Handshake => "TLS handshake with",
            Phase::Transfer => "TLS connection to",
        }
    }

    /// The kind of what has no kind of its own. Nothing that happens after the handshake may look
    /// as if no request had been sent.
    fn kind(self) -> ErrorKind {
        match self {
            Phase::Handshake => ErrorKind::SecureConnectionFailed,
            Phase::Transfer => ErrorKind::NetworkConnectionLost,
        }
    }
}

/// The error for what rustls reports. `received` is the ciphertext it failed on.
pub(super) fn map_error(
    host: &str,
    phase: Phase,
    facts: Facts,
    received: &[u8],
    error: rustls::Error,
) -> Error {
    let (kind, what) = match &error {
        rustls::Error::InvalidCertificate(verdict) => return certificate(host, phase, verdict),
        rustls::Error::NoCertificatesPresented => {
            (ErrorKind::ServerCertificateUntrusted, "the server presents no certificate".to_owned())
        }
        rustls::Error::AlertReceived(alert) => describe_alert(*alert, phase, facts),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => (phase.kind(), no_common_version(facts)),
        rustls::Error::PeerIncompatible(_) => {
            (phase.kind(), "the server supports nothing of what was offered".to_owned())
        }
        rustls::Error::InvalidMessage(why) if phase == Phase::Handshake && !is_tls(received) => {
            (phase.kind(), not_tls(why, received))
        }
        rustls::Error::DecryptError => (phase.kind(), "what arrived was damaged on the way".to_owned()),
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerSentOversizedRecord
        | rustls::Error::PeerMisbehaved(_) => {
            (phase.kind(), "the server does not keep to the protocol".to_owned())
        }
        _ => (phase.kind(), "failed".to_owned()),
    };
    message(host, phase, kind, &what).with_source(error)
}

/// An error with the message in the form that all messages about TLS have.
pub(super) fn message(host: &str, phase: Phase, kind: ErrorKind, what: &str) -> Error {
    Error::new(kind, format!("{} {host}: {what}", phase.doing()))
}

fn certificate(host: &str, phase: Phase, verdict: &CertificateError) -> Error {
    if let Some(not_pinned) = as_other::<NotPinned>(verdict) {
        let what = describe_not_pinned(host, not_pinned);
        return message(host, phase, ErrorKind::ServerCertificateUntrusted, &what);
    }
    if let Some(unanchored) = as_other::<Unanchored>(verdict) {
        let (kind, what) = describe_unanchored(unanchored);
        let source = rustls::Error::InvalidCertificate(unanchored.verdict.clone());
        return message(host, phase, kind, &what).with_told_source(source);
    }
    let mut source = verdict.clone();
    let (kind, what) = match verdict {
        CertificateError::Expired => {
            (ErrorKind::ServerCertificateHasBadDate, "certificate expired".to_owned())
        }
        CertificateError::ExpiredContext { time, not_after } => (
            ErrorKind::ServerCertificateHasBadDate,
            format!("certificate expired {} ago, on {}", distance(*not_after, *time), date(*not_after)),
        ),
        CertificateError::NotValidYet => {
            (ErrorKind::ServerCertificateNotYetValid, "certificate is not valid yet".to_owned())
        }
        CertificateError::NotValidYetContext { time, not_before } => (
            ErrorKind::ServerCertificateNotYetValid,
            format!(
                "certificate becomes valid in {}, on {}; is the clock of this machine right?",
                distance(*time, *not_before),
                date(*not_before)
            ),
        ),
        CertificateError::NotValidForName => (
            ErrorKind::ServerCertificateUntrusted,
            format!("certificate is not valid for {}", printable(host)),
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            // The names in the source are as the certificate has them: any number, any characters.
            source = CertificateError::NotValidForName;
            (ErrorKind::ServerCertificateUntrusted, wrong_name(host, presented))
        }
        CertificateError::UnknownIssuer => (
            ErrorKind::ServerCertificateHasUnknownRoot,
            "certificate was issued by nobody who is trusted".to_owned(),
        ),
        CertificateError::Revoked => {
            (ErrorKind::ServerCertificateUntrusted, "certificate was revoked".to_owned())
        }
        CertificateError::BadEncoding => {
            (ErrorKind::ServerCertificateUntrusted, "certificate is malformed".to_owned())
        }
        CertificateError::BadSignature => (
            ErrorKind::ServerCertificateUntrusted,
            "certificate has a wrong signature, or the server does not have its key".to_owned(),
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (ErrorKind::ServerCertificateUntrusted, "certificate is not meant for servers".to_owned())
        }
        other => (ErrorKind::ServerCertificateUntrusted, format!("certificate is not acceptable: {other:?}")),
    };
    message(host, phase, kind, &what).with_told_source(rustls::Error::InvalidCertificate(source))
}

fn as_other<T: std::error::Error + 'static>(verdict: &CertificateError) -> Option<&T> {
    match verdict {
        CertificateError::Other(OtherError(other)) => other.downcast_ref(),
        _ => None,
    }
}

fn describe_unanchored(certificate: &Unanchored) -> (ErrorKind, String) {
    let mut what = String::from("certificate");
    if let Some(subject) = &certificate.subject {
        what.push_str(&format!(" of \"{subject}\""));
    }
    if !certificate.names.is_empty() {
        what.push_str(&format!(" for {}", certificate.names.join(", ")));
    }
    if certificate.self_signed {
        what.push_str(" is self-signed; to trust it, add it with Configuration::add_root_certificate");
        return (ErrorKind::ServerCertificateUntrusted, what);
    }
    match &certificate.issuer {
        Some(issuer) => {
            what.push_str(&format!(" was issued by \"{issuer}\", which leads to no trusted root"))
        }
        None => what.push_str(" leads to no trusted root"),
    }
    what.push_str("; to trust its root, add that with Configuration::add_root_certificate");
    (ErrorKind::ServerCertificateHasUnknownRoot, what)
}

fn describe_not_pinned(host: &str, certificate: &NotPinned) -> String {
    let mut what = format!("the server has none of the keys that are pinned for {}", printable(host));
    if !certificate.keys.is_empty() {
        what.push_str(&format!(", but shows {}", certificate.keys.join(", ")));
    }
    what.push_str("; if one of them is right, pin it with Configuration::pin_public_keys");
    what
}

/// `certificate is for a.example, b.example and 3 more, not for c.example`.
fn wrong_name(host: &str, presented: &[String]) -> String {
    let host = printable(host);
    if presented.is_empty() {
        return format!("certificate is for no host name at all, not for {host}");
    }
    let names: Vec<String> = presented.iter().take(NAMES_SHOWN).map(|name| plain_name(name)).collect();
    let more = match presented.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("certificate is for {}{more}, not for {host}", names.join(", "))
}

/// The name in webpki's rendering of it, such as `DnsName("a.example")` or `IpAddress(::1)`.
fn plain_name(rendered: &str) -> String {
    let inner = rendered.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    printable(inner.unwrap_or(rendered).trim_matches('"'))
}

fn describe_alert(alert: AlertDescription, phase: Phase, facts: Facts) -> (ErrorKind, String) {
    use AlertDescription as Alert;
    let about_certificate = match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            let ours = if facts.has_identity { "and cannot use ours" } else { "and there is none" };
            let what = format!("the server requires a client certificate, {ours}");
            return (ErrorKind::ClientCertificateRequired, what);
        }
        Alert::BadCertificate => "is not acceptable",
        Alert::UnsupportedCertificate => "is of an unsupported type",
        Alert::CertificateRevoked => "was revoked",
        Alert::CertificateExpired => "has expired or is not valid yet",
        Alert::CertificateUnknown => "is not acceptable for a reason it does not give",
        Alert::UnknownCA => "was issued by nobody it knows",
        Alert::AccessDenied if facts.has_identity => "does not give access",
        Alert::ProtocolVersion => return (phase.kind(), no_common_version(facts)),
        Alert::HandshakeFailure => {
            let mut what = "the server found nothing in common with what was offered".to_owned();
            // RFC 5246 §7.4.6: it may say the same of a client certificate that did not come.
            if !facts.has_identity {
                what.push_str(", or requires a client certificate, and there is none");
            }
            what.push_str(" (alert handshake_failure)");
            return (phase.kind(), what);
        }
        Alert::NoApplicationProtocol => {
            let what = "the server supports none of the application protocols that were offered";
            return (phase.kind(), what.to_owned());
        }
        Alert::UnrecognisedName => {
            return (phase.kind(), "the server knows no host of this name".to_owned());
        }
        _ => return (phase.kind(), "the server broke off".to_owned()),
    };
    // No server is told anything about its own certificate in this direction, so the alert is
    // about ours even if we do not know that one was asked for.
    if facts.has_identity {
        (
            ErrorKind::ClientCertificateRejected,
            format!("the server says that the client certificate {about_certificate}"),
        )
    } else {
        let what = "the server requires a client certificate, and there is none";
        (ErrorKind::ClientCertificateRequired, what.to_owned())
    }
}

fn no_common_version(facts: Facts) -> String {
    let Facts { minimum, maximum, .. } = facts;
    if minimum == maximum {
        format!("the server does not support {minimum}, the only version the configuration allows")
    } else {
        format!("the server supports no version from {minimum} to {maximum}")
    }
}

/// Whether the first byte is a content type (RFC 8446 §5.1).
fn is_tls(received: &[u8]) -> bool {
    matches!(received.first(), None | Some(20..=24))
}

fn not_tls(why: &InvalidMessage, received: &[u8]) -> String {
    if received.starts_with(b"HTTP/") {
        "the server does not speak TLS on this port; use http".to_owned()
    } else if matches!(why, InvalidMessage::InvalidContentType) {
        "the server does not speak TLS on this port".to_owned()
    } else {
        "the server does not keep to the protocol".to_owned()
    }
}

/// `2025-01-31 12:00 UTC`.
fn date(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    // Days since 0000-03-01, so that a leap day is the last day of its year; 146,097 days are 400
    // years.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// How long it is from one time to a later one, in the largest unit that fits.
fn distance(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::super::settings::TlsVersion;
    use super::*;
    use rustls::pki_types::ServerName;
    use std::time::Duration;

    const FACTS: Facts = Facts {
        minimum: TlsVersion::Tls12,
        maximum: TlsVersion::Tls13,
        has_identity: false,
        is_given: false,
    };

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn shown(error: rustls::Error) -> (ErrorKind, String) {
        let error = map_error("example.com", Phase::Handshake, FACTS, b"", error);
        (error.kind(), error.to_string())
    }

    #[test]
    fn dates_are_written_out() {
        assert_eq!(date(at(0)), "1970-01-01 00:00 UTC");
        assert_eq!(date(at(951_782_400)), "2000-02-29 00:00 UTC");
        assert_eq!(date(at(1_738_324_800)), "2025-01-31 12:00 UTC");
        assert_eq!(date(at(4_107_542_399)), "2100-02-28 23:59 UTC");
        let _ = date(at(u64::MAX / 2));
    }

    #[test]
    fn distances_are_rounded_down() {
        assert_eq!(distance(at(10), at(10)), "0 seconds");
        assert_eq!(distance(at(0), at(119)), "1 minute");
        assert_eq!(distance(at(0), at(7_200)), "2 hours");
        assert_eq!(distance(at(0), at(3 * 86_400 + 5)), "3 days");
    }

    #[test]
    fn an_expired_certificate_is_dated() {
        let not_after = at(1_738_324_800);
        let time = at(1_738_324_800 + 3 * 86_400 + 100);
        let (kind, text) = shown(CertificateError::ExpiredContext { time, not_after }.into());
        assert_eq!(kind, ErrorKind::ServerCertificateHasBadDate);
        let expected =
            "TLS handshake with example.com: certificate expired 3 days ago, on 2025-01-31 12:00 UTC";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn names_are_listed_up_to_a_bound() {
        let expected = ServerName::try_from("example.com").expect("a name");
        let presented = (0..8).map(|n| format!("DnsName(\"{n}.example\n\")")).collect();
        let (kind, text) = shown(CertificateError::NotValidForNameContext { expected, presented }.into());
        assert_eq!(kind, ErrorKind::ServerCertificateUntrusted);
        assert!(text.contains("is for 0.example"), "{text}");
        assert!(text.contains("4.example\u{fffd} and 3 more, not for example.com"), "{text}");
        assert!(!text.contains("5.example") && !text.contains('\n'), "{text}");
        assert_eq!(plain_name("IpAddress(::1)"), "::1");
    }

    #[test]
    fn alerts_about_certificates_are_about_ours() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        assert_eq!(shown(alert.clone()).0, ErrorKind::ClientCertificateRequired);
        let facts = Facts { has_identity: true, ..FACTS };
        for phase in [Phase::Handshake, Phase::Transfer] {
            let error = map_error("example.com", phase, facts, b"", alert.clone());
            assert_eq!(error.kind(), ErrorKind::ClientCertificateRejected);
        }
    }

    #[test]
    fn a_failure_after_the_handshake_is_not_a_failure_to_connect() {
        let alert = rustls::Error::AlertReceived(AlertDescription::InternalError);
        let error = map_error("example.com", Phase::Transfer, FACTS, b"", alert);
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost);
        assert!(!error.is_connect());
    }
}
