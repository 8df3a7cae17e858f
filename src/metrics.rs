//! stub
use http::{Method, StatusCode};
use std::net::SocketAddr;
use std::time::Instant;
use url::Url;
/// x
#[derive(Clone, Copy, Debug)]
pub enum ResourceFetchType { /// x
Unknown }
/// x
#[derive(Debug, Clone)]
pub struct TransactionMetrics {
    pub(crate) url: Option<Url>, pub(crate) method: Method, pub(crate) status: Option<StatusCode>,
    pub(crate) is_reused_connection: bool,
    pub(crate) domain_lookup_start: Option<Instant>, pub(crate) domain_lookup_end: Option<Instant>,
    pub(crate) connect_start: Option<Instant>, pub(crate) connect_end: Option<Instant>,
    pub(crate) secure_connection_start: Option<Instant>, pub(crate) secure_connection_end: Option<Instant>,
    pub(crate) request_start: Option<Instant>, pub(crate) request_end: Option<Instant>,
    pub(crate) response_start: Option<Instant>, pub(crate) response_end: Option<Instant>,
    pub(crate) network_protocol_name: Option<&'static str>,
    pub(crate) request_header_bytes: u64, pub(crate) request_body_bytes: u64,
    pub(crate) response_header_bytes: u64, pub(crate) response_body_bytes: u64, pub(crate) response_body_bytes_decoded: u64,
    pub(crate) local_address: Option<SocketAddr>, pub(crate) remote_address: Option<SocketAddr>,
    pub(crate) tls_version: Option<u16>, pub(crate) tls_cipher_suite: Option<u16>,
}
impl TransactionMetrics { pub(crate) fn new(_now: Instant, method: Method) -> Self { TransactionMetrics { url: None, method, status: None, is_reused_connection: false, domain_lookup_start: None, domain_lookup_end: None, connect_start: None, connect_end: None, secure_connection_start: None, secure_connection_end: None, request_start: None, request_end: None, response_start: None, response_end: None, network_protocol_name: None, request_header_bytes: 0, request_body_bytes: 0, response_header_bytes: 0, response_body_bytes: 0, response_body_bytes_decoded: 0, local_address: None, remote_address: None, tls_version: None, tls_cipher_suite: None } } }
/// x
#[derive(Debug, Clone)]
pub struct TaskMetrics { transactions: Vec<TransactionMetrics> }
impl TaskMetrics { pub(crate) fn new(_b: Instant, _e: Instant, _r: u32, transactions: Vec<TransactionMetrics>) -> Self { TaskMetrics { transactions } } }
