//! The rules of a private cache (RFC 9111), without storage, sockets or clocks: what may be kept, what a
//! kept response may answer, and what is to be asked before it does. Knows no particular store.
//!
//! ```text
//!              ┌ Serve: what is stored is the answer ──────────────────────▶ (refresh beside it)
//! request ─▶ decide ─ Ask: with conditions, if what is stored has any ─▶ 304 ─▶ by_304 ─▶ what is stored
//!              │   └▶ to_store ─▶ a writer of the store               5xx ─▶ may_stand_in
//!              └ Missing, GatewayTimeout: nothing may be asked
//! ```

mod decision;
mod directives;
mod fields;
mod freshness;
mod policy;
mod ranges;
mod status;
pub(crate) mod stored;
mod storing;
mod updating;
mod vary;

pub(crate) use decision::{
    Ask, Conditions, Decision, Presented, conditions, decide, freshness, head_of, is_failure, may_stand_in,
    selects,
};
pub(crate) use fields::RequestFields;
pub(crate) use freshness::Freshness;
pub use policy::CachePolicy;
pub(crate) use ranges::{Portion, portion};
pub(crate) use status::Detail;
pub use status::{CacheStatus, ForwardReason};
pub(crate) use storing::{Received, invalidated, to_store};
pub(crate) use updating::{By304, ByHead, by_304, by_head};
pub(crate) use vary::{USER, matches as is_selected, selecting, value};

#[cfg(test)]
mod tests;
