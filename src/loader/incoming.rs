//! Where the body of a response comes from: an exchange on a connection, or something local. One
//! front for those who take it.

use super::Pause;
use super::local::Local;
use crate::error::Result;
use crate::exchange::http1::{Body, Exchange};
use crate::sync::Arc;
use crate::sys::{Interest, Patience, Socket, Splice};
use bytes::Bytes;
use http::HeaderMap;
use std::time::Instant;

/// See the module's documentation.
pub(super) enum Incoming {
    Http1(Box<Exchange>),
    Local(Local),
}

impl Incoming {
    /// The exchange whose request may still be on its way out.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        match self {
            Incoming::Http1(exchange) => Some(exchange),
            Incoming::Local(_) => None,
        }
    }

    /// The socket it comes from, and what has to happen to it for the body to go on.
    pub(super) fn source(&self) -> Option<(&Arc<Socket>, Interest)> {
        match self {
            Incoming::Http1(exchange) => Some((exchange.connection().socket(), exchange.interest()?)),
            Incoming::Local(_) => None,
        }
    }

    /// What there is to wait for when nothing comes.
    pub(super) fn pause(&self) -> Pause {
        match self {
            Incoming::Http1(exchange) if exchange.is_starved() => Pause::Listen { idle: exchange.is_done() },
            Incoming::Http1(_) => Pause::Io,
            Incoming::Local(local) => local.pause(),
        }
    }

    /// Everything, if it is in memory as a whole.
    pub(super) fn take_whole(&mut self) -> Option<Bytes> {
        match self {
            Incoming::Http1(_) => None,
            Incoming::Local(local) => local.take_whole(),
        }
    }

    /// Sees to it that there is a piece, receiving once if need be.
    pub(super) fn receive_piece(&mut self, patience: Patience) -> Result<Body> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_piece(patience),
            Incoming::Local(local) => local.receive_piece(patience),
        }
    }

    /// The piece of the body that was received and not taken.
    pub(super) fn piece(&self) -> &[u8] {
        match self {
            Incoming::Http1(exchange) => exchange.piece(),
            Incoming::Local(local) => local.piece(),
        }
    }

    /// Takes bytes from the front of the piece.
    pub(super) fn take(&mut self, count: usize) {
        match self {
            Incoming::Http1(exchange) => exchange.take(count),
            Incoming::Local(local) => local.take(count),
        }
    }

    /// How many bytes may be received straight to where they belong.
    pub(super) fn direct(&self) -> u64 {
        match self {
            Incoming::Http1(exchange) => exchange.direct(),
            Incoming::Local(local) => local.direct(),
        }
    }

    /// How many bytes are still to come, as far as is known, and 0 if it is not.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Incoming::Http1(exchange) => exchange.remaining(),
            Incoming::Local(local) => local.remaining(),
        }
    }

    /// Receives to the end of a vector, so much at the most as [`direct`](Incoming::direct) says.
    pub(super) fn receive_vec(&mut self, target: &mut Vec<u8>, patience: Patience) -> Result<(Body, usize)> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_vec(target, patience),
            Incoming::Local(local) => local.receive_vec(target, patience),
        }
    }

    /// Whether it may be received by [`receive_file`](Incoming::receive_file).
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Incoming::Http1(exchange) => exchange.is_plain(),
            Incoming::Local(_) => false,
        }
    }

    /// Receives by the kernel's copy path, so much at the most as [`direct`](Incoming::direct) says.
    /// `drain` takes it out. The second result says that it is of no use to try that again.
    pub(super) fn receive_file(
        &mut self,
        patience: Patience,
        drain: &mut dyn FnMut(&mut Splice) -> Result<()>,
    ) -> Result<(Body, bool)> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_file(patience, drain),
            Incoming::Local(_) => Ok((Body::Nothing, true)),
        }
    }

    /// Receives into a slice, so much at the most as [`direct`](Incoming::direct) says.
    pub(super) fn receive_slice(&mut self, target: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_slice(target, patience),
            Incoming::Local(local) => local.receive_slice(target, patience),
        }
    }

    /// Whether all of the body was taken, as far as is known.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Incoming::Http1(exchange) => exchange.is_done(),
            Incoming::Local(local) => local.is_done(),
        }
    }

    /// Whether anything was received since this was asked last.
    pub(super) fn take_received(&mut self) -> bool {
        match self {
            Incoming::Http1(exchange) => exchange.take_received(),
            Incoming::Local(local) => local.take_received(),
        }
    }

    /// Bytes of the body so far.
    pub(super) fn body_received(&self) -> u64 {
        match self {
            Incoming::Http1(exchange) => exchange.body_received(),
            Incoming::Local(local) => local.body_received(),
        }
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Incoming::Http1(exchange) => exchange.take_trailers(),
            Incoming::Local(_) => None,
        }
    }

    /// Before it waits for long: buffers that hold nothing are given back.
    pub(super) fn rest(&mut self) {
        match self {
            Incoming::Http1(exchange) => exchange.rest(),
            Incoming::Local(_) => {}
        }
    }

    /// All of it was taken. `reusable`: its connection may serve another exchange.
    pub(super) fn finish(self, reusable: bool, now: Instant) {
        match self {
            Incoming::Http1(mut exchange) => {
                exchange.persistent &= reusable;
                exchange.finish(now);
            }
            Incoming::Local(_) => {}
        }
    }
}
