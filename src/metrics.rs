//! What a task did and how long each part took: [`TaskMetrics`] and [`TransactionMetrics`].
//!
//! These are plain values that the loader fills in as it goes: instants, counters and codes, no
//! text. `Display` of [`TaskMetrics`] draws them (`waterfall`).

mod waterfall;

use crate::error::redacted;
use crate::proto::caching::CacheStatus;
use http::{Method, StatusCode};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use url::Url;

/// What a task did, from its creation to its end. `URLSessionTaskMetrics`.
///
/// `Display` draws a waterfall, at most 80 columns wide.
///
/// ```
/// use urlsession::TaskMetrics;
///
/// fn report(metrics: &TaskMetrics) {
///     println!("{metrics}");
///     for transaction in metrics.transactions() {
///         if let Some(wait) = transaction.time_to_first_byte() {
///             println!("{} waited {wait:?}", transaction.request_method());
///         }
///     }
/// }
/// ```
///
/// A redirect from plain HTTP to HTTPS may look like this:
///
/// ```text
#[doc = include_str!("metrics/example.txt")]
/// ```
#[derive(Clone, Debug)]
pub struct TaskMetrics {
    pub(crate) created: Instant,
    pub(crate) duration: Duration,
    pub(crate) redirect_count: u32,
    pub(crate) transactions: Vec<TransactionMetrics>,
}

/// When a task was made and how long it took. `DateInterval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskInterval {
    pub(crate) start: SystemTime,
    pub(crate) duration: Duration,
}

/// Where a response came from. `URLSessionTaskMetrics.ResourceFetchType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceFetchType {
    /// There was none, or it is not known.
    #[default]
    Unknown,
    /// From the network.
    NetworkLoad,
    /// Pushed by the server before it was asked for.
    ServerPush,
    /// From the cache, without asking the server.
    LocalCache,
    /// From the URL itself, from a file, or from a [`Protocol`](crate::Protocol) of the program's own.
    /// URLSession has no such value.
    Local,
}

/// One request and its response: each redirect, each round of authentication, and each answer of
/// the cache is a transaction of its own. `URLSessionTaskTransactionMetrics`.
///
/// An instant is `None` when its phase was not reached, or not needed because the connection was
/// reused.
///
/// ```
/// use urlsession::TransactionMetrics;
///
/// fn is_slow_handshake(transaction: &TransactionMetrics) -> bool {
///     !transaction.is_reused_connection()
///         && transaction.secure_connection_duration().is_some_and(|time| time.as_millis() > 200)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TransactionMetrics {
    pub(crate) request_method: Method,
    pub(crate) url: RequestUrl,
    pub(crate) status: Option<StatusCode>,
    pub(crate) fetch_start: Instant,
    pub(crate) domain_lookup_start: Option<Instant>,
    pub(crate) domain_lookup_end: Option<Instant>,
    pub(crate) connect_start: Option<Instant>,
    pub(crate) connect_end: Option<Instant>,
    pub(crate) secure_connection_start: Option<Instant>,
    pub(crate) secure_connection_end: Option<Instant>,
    pub(crate) request_start: Option<Instant>,
    pub(crate) request_end: Option<Instant>,
    pub(crate) response_start: Option<Instant>,
    pub(crate) response_end: Option<Instant>,
    /// When the transaction was given up, if it did not get to `response_end`.
    pub(crate) failed_at: Option<Instant>,
    pub(crate) network_protocol_name: Option<&'static str>,
    pub(crate) is_proxy_connection: bool,
    pub(crate) is_reused_connection: bool,
    pub(crate) resource_fetch_type: ResourceFetchType,
    pub(crate) request_header_bytes: u64,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_header_bytes: u64,
    pub(crate) response_body_bytes: u64,
    pub(crate) response_body_bytes_decoded: u64,
    pub(crate) local_address: Option<SocketAddr>,
    pub(crate) remote_address: Option<SocketAddr>,
    pub(crate) tls_version: Option<u16>,
    pub(crate) tls_cipher_suite: Option<u16>,
    pub(crate) is_tls_resumed: bool,
    pub(crate) cache_status: Option<CacheStatus>,
}

/// The URL of a request, which shows itself only without what may be secret in it.
#[derive(Clone, Default)]
pub(crate) struct RequestUrl(pub(crate) Option<Url>);

impl fmt::Debug for RequestUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(|url| String::from(redacted(url))).fmt(f)
    }
}

impl TaskMetrics {
    /// From the creation of the task to just before its completion. `taskInterval`.
    pub fn task_interval(&self) -> TaskInterval {
        // The wall clock is read when somebody asks, and not by every task.
        let now = SystemTime::now();
        let start = now.checked_sub(self.created.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
        TaskInterval { start, duration: self.duration }
    }

    /// How many redirects were followed. `redirectCount`.
    pub fn redirect_count(&self) -> u32 {
        self.redirect_count
    }

    /// The transactions, in order. `transactionMetrics`.
    pub fn transactions(&self) -> &[TransactionMetrics] {
        &self.transactions
    }
}

impl fmt::Display for TaskMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        waterfall::draw(self, f)
    }
}

impl TaskInterval {
    /// When the task was made.
    pub fn start(&self) -> SystemTime {
        self.start
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// When it ended.
    pub fn end(&self) -> SystemTime {
        self.start.checked_add(self.duration).unwrap_or(self.start)
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $($(#[$doc])* pub fn $name(&self) -> $type { self.$name })*
    };
}

impl TransactionMetrics {
    /// A transaction that starts now and has got nowhere yet.
    pub(crate) fn new(now: Instant, request_method: Method) -> Self {
        TransactionMetrics {
            request_method,
            url: RequestUrl(None),
            status: None,
            fetch_start: now,
            domain_lookup_start: None,
            domain_lookup_end: None,
            connect_start: None,
            connect_end: None,
            secure_connection_start: None,
            secure_connection_end: None,
            request_start: None,
            request_end: None,
            response_start: None,
            response_end: None,
            failed_at: None,
            network_protocol_name: None,
            is_proxy_connection: false,
            is_reused_connection: false,
            resource_fetch_type: ResourceFetchType::Unknown,
            request_header_bytes: 0,
            request_body_bytes: 0,
            response_header_bytes: 0,
            response_body_bytes: 0,
            response_body_bytes_decoded: 0,
            local_address: None,
            remote_address: None,
            tls_version: None,
            tls_cipher_suite: None,
            is_tls_resumed: false,
            cache_status: None,
        }
    }

    /// The method of the request.
    pub fn request_method(&self) -> &Method {
        &self.request_method
    }

    /// The URL of the request, without user name, password, query and fragment.
    pub fn url(&self) -> Option<Url> {
        self.url.0.as_ref().map(redacted)
    }

    getters! {
        /// The status of the response, if one arrived.
        status: Option<StatusCode>,
        /// When the task began to fetch the resource, from the network or from the cache.
        fetch_start: Instant,
        /// When the host's name began to be looked up.
        domain_lookup_start: Option<Instant>,
        /// When the host's addresses were known.
        domain_lookup_end: Option<Instant>,
        /// When a connection began to be made.
        connect_start: Option<Instant>,
        /// When the connection was ready for use, TLS included.
        connect_end: Option<Instant>,
        /// When the TLS handshake began. It lies within the connect phase.
        secure_connection_start: Option<Instant>,
        /// When the TLS handshake was done.
        secure_connection_end: Option<Instant>,
        /// When the first byte of the request was about to be sent.
        request_start: Option<Instant>,
        /// When the last byte of the request had been sent.
        request_end: Option<Instant>,
        /// When the first byte of the response arrived.
        response_start: Option<Instant>,
        /// When the last byte of the response arrived.
        response_end: Option<Instant>,
        /// The protocol in ALPN's terms: `http/1.0`, `http/1.1`, `h2`.
        network_protocol_name: Option<&'static str>,
        /// Whether the request went through a proxy.
        is_proxy_connection: bool,
        /// Whether the connection had carried an earlier request.
        is_reused_connection: bool,
        /// Where the response came from.
        resource_fetch_type: ResourceFetchType,
        /// Bytes of the request's head as it was sent. `countOfRequestHeaderBytesSent`.
        request_header_bytes: u64,
        /// Bytes of the request's body, without chunked framing. `countOfRequestBodyBytesSent`.
        request_body_bytes: u64,
        /// Bytes of the response's head as it arrived. `countOfResponseHeaderBytesReceived`.
        response_header_bytes: u64,
        /// Bytes of the response's body, without chunked framing, before content decoding.
        /// `countOfResponseBodyBytesReceived`.
        response_body_bytes: u64,
        /// Bytes of the response's body after content decoding.
        /// `countOfResponseBodyBytesAfterDecoding`.
        response_body_bytes_decoded: u64,
        /// Our end of the connection.
        local_address: Option<SocketAddr>,
        /// The peer's end of the connection; a proxy's, if there is one.
        remote_address: Option<SocketAddr>,
        /// The TLS version by its number: `0x0304` is TLS 1.3. `negotiatedTLSProtocolVersion`.
        tls_version: Option<u16>,
        /// The TLS cipher suite by its number in IANA's registry. `negotiatedTLSCipherSuite`.
        tls_cipher_suite: Option<u16>,
        /// Whether the TLS session of an earlier connection was resumed (RFC 8446, section 2.2).
        is_tls_resumed: bool,
        /// What the cache did with the request, if there is one. URLSession has no such property.
        cache_status: Option<CacheStatus>,
    }

    /// The TLS version by its name, such as `TLS 1.3`, if it is one of those in use.
    pub fn tls_version_name(&self) -> Option<&'static str> {
        Some(match self.tls_version? {
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            0x0304 => "TLS 1.3",
            _ => return None,
        })
    }

    /// The TLS cipher suite by its name in IANA's registry, if it is a common one.
    pub fn tls_cipher_suite_name(&self) -> Option<&'static str> {
        Some(match self.tls_cipher_suite? {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xc02b => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            0xc02c => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            0xc02f => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            0xc030 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            0xcca8 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            0xcca9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            _ => return None,
        })
    }

    /// How long the lookup of the host's name took.
    pub fn domain_lookup_duration(&self) -> Option<Duration> {
        between(self.domain_lookup_start, self.domain_lookup_end)
    }

    /// How long it took to make the connection, without the TLS handshake.
    pub fn connect_duration(&self) -> Option<Duration> {
        between(self.connect_start, self.secure_connection_start.or(self.connect_end))
    }

    /// How long the TLS handshake took.
    pub fn secure_connection_duration(&self) -> Option<Duration> {
        between(self.secure_connection_start, self.secure_connection_end)
    }

    /// How long it took from the first byte of the request to the first byte of the response.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        between(self.request_start, self.response_start)
    }

    /// How long the transaction took, if it has ended, with a response or without.
    pub fn total_duration(&self) -> Option<Duration> {
        between(Some(self.fetch_start), self.response_end.or(self.failed_at))
    }
}

fn between(start: Option<Instant>, end: Option<Instant>) -> Option<Duration> {
    Some(end?.saturating_duration_since(start?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_metrics() {
        let mut transaction = TransactionMetrics::new(Instant::now(), Method::GET);
        transaction.url.0 = Url::parse("https://user:pass@example.com/path?token=1").ok();
        assert_eq!(transaction.url().map(String::from).as_deref(), Some("https://example.com/path"));
        let debug = format!("{transaction:?}");
        assert!(debug.contains("example.com/path") && !debug.contains("pass@") && !debug.contains("token"));
    }

    #[test]
    fn tcp_is_measured_without_tls() {
        let base = Instant::now();
        let at = |ms| Some(base + Duration::from_millis(ms));
        let mut transaction = TransactionMetrics::new(base, Method::GET);
        assert_eq!(transaction.total_duration(), None);
        (transaction.connect_start, transaction.connect_end) = (at(10), at(50));
        assert_eq!(transaction.connect_duration(), Some(Duration::from_millis(40)));
        (transaction.secure_connection_start, transaction.secure_connection_end) = (at(25), at(50));
        assert_eq!(transaction.connect_duration(), Some(Duration::from_millis(15)));
        assert_eq!(transaction.secure_connection_duration(), Some(Duration::from_millis(25)));
        transaction.failed_at = at(70);
        assert_eq!(transaction.total_duration(), Some(Duration::from_millis(70)));
        transaction.response_end = at(60);
        assert_eq!(transaction.total_duration(), Some(Duration::from_millis(60)));
        assert_eq!(transaction.time_to_first_byte(), None);
    }

    #[test]
    fn tls_has_names() {
        let mut transaction = TransactionMetrics::new(Instant::now(), Method::GET);
        assert_eq!((transaction.tls_version_name(), transaction.tls_cipher_suite_name()), (None, None));
        (transaction.tls_version, transaction.tls_cipher_suite) = (Some(0x0304), Some(0x1301));
        assert_eq!(transaction.tls_version_name(), Some("TLS 1.3"));
        assert_eq!(transaction.tls_cipher_suite_name(), Some("TLS_AES_128_GCM_SHA256"));
    }
}
