//! What a final response says about an upload, and what is to be done then: one function for each kind of
//! request, and what they have in common.

use super::fields::{self, Limits};
use super::{MAX_REDIRECTS, Next, Phase, Upload};
use crate::error::ErrorKind;
use http::{HeaderMap, StatusCode};

impl Upload {
    pub(super) fn created(&mut self, status: StatusCode, headers: &HeaderMap) -> Next {
        self.learn_limits(headers);
        if is_complete(headers) == Some(true) || self.resource.is_none() {
            return self.deliver();
        }
        let length = self.total.unwrap_or(self.sent);
        if status.is_server_error() || self.was_too_large(status, Some(length)) {
            return self.retry_after(status);
        }
        self.deliver()
    }

    pub(super) fn queried(&mut self, status: StatusCode, headers: &HeaderMap) -> Next {
        if let Some(step) = self.follow(status, headers) {
            return step;
        }
        if status.is_server_error() {
            return match self.try_again() {
                Some(step) => step,
                None => self.fail(&format!("answered {status} when asked how far the upload is")),
            };
        }
        if !status.is_success() {
            let message = format!("answered {status} when asked how far the upload is; begin it anew");
            let failed = self.fail(&message);
            if matches!(status.as_u16(), 404 | 410) {
                self.resource = None;
            }
            return failed;
        }
        self.learn_limits(headers);
        let Ok(Some(offset)) = fields::offset(headers) else {
            return self.fail("does not say how far the upload is (Upload-Offset)");
        };
        if let (Ok(Some(said)), Some(total)) = (fields::length(headers), self.total) {
            if said != total {
                return self.give_up(&format!("takes the upload for {said} bytes long, and it has {total}"));
            }
        }
        if let Err(step) = self.acknowledge(offset) {
            return *step;
        }
        if is_complete(headers) != Some(true) {
            return self.append(offset);
        }
        if self.total != Some(offset) {
            return self.fail(&format!("takes the upload for complete with {offset} bytes of it"));
        }
        match self.failed_with {
            // The body of that response is gone, and it was not a success.
            Some(status) => self
                .fail(&format!("has the whole upload and answered {status}; that is not known to be undone")),
            None => self.deliver(),
        }
    }

    pub(super) fn appended(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        offset: u64,
        length: Option<u64>,
        complete: bool,
    ) -> Next {
        self.learn_limits(headers);
        if is_complete(headers) == Some(true) {
            if !complete && status.is_success() {
                return self.give_up("takes the upload for complete, of which there is more to come");
            }
            return self.deliver();
        }
        if let Some(step) = self.follow(status, headers) {
            return step;
        }
        if status.is_success() {
            return self.took_a_part(headers, offset, length, complete);
        }
        if status.is_server_error() || self.was_too_large(status, length) {
            return self.retry_after(status);
        }
        // Section 4.4.2: the offset we had is not that of the resource.
        if status == StatusCode::CONFLICT && !self.conflicted {
            self.conflicted = true;
            return self.query();
        }
        self.deliver()
    }

    /// A success that does not complete the upload.
    fn took_a_part(&mut self, headers: &HeaderMap, from: u64, length: Option<u64>, complete: bool) -> Next {
        let whole = length.map(|length| from.saturating_add(length));
        let said = fields::offset(headers).ok().flatten();
        let ended = self.total == Some(self.sent) || whole == Some(self.sent);
        let offset = said.or(if ended && !complete { Some(self.sent) } else { None });
        match offset {
            // More than was sent can be, but then not without asking.
            Some(offset) if !complete && offset > from && offset <= self.sent => {
                match self.acknowledge(offset) {
                    Ok(()) => self.append(offset),
                    Err(step) => *step,
                }
            }
            _ => self
                .try_again()
                .unwrap_or_else(|| self.fail("takes the rest of the upload and does not complete it")),
        }
    }

    /// Notes what the server says it has; with a step if that cannot be.
    pub(super) fn acknowledge(&mut self, offset: u64) -> Result<(), Box<Next>> {
        if offset < self.acknowledged {
            let acknowledged = self.acknowledged;
            let message = format!("had {acknowledged} bytes of the upload and says now it has {offset}");
            return Err(Box::new(self.give_up(&message)));
        }
        // Without a known length nothing can be skipped: what comes next is what was not sent yet.
        let most = self.total.unwrap_or(self.reached);
        if offset > most {
            let message = format!("says it has {offset} bytes of an upload that has no more than {most}");
            return Err(Box::new(self.give_up(&message)));
        }
        if offset > self.acknowledged {
            self.acknowledged = offset;
            self.attempts = 0;
            self.redirects = 0;
            self.conflicted = false;
        }
        Ok(())
    }

    fn append(&mut self, offset: u64) -> Next {
        if let Err(step) = self.check_size() {
            return *step;
        }
        let Limits { max_append_size: most, min_append_size: least, .. } = self.limits;
        let left = self.total.map(|total| total.saturating_sub(offset));
        let (length, complete) = match (left, most) {
            (None, None) => (None, true),
            (Some(left), None) => (Some(left), true),
            (Some(left), Some(most)) if left <= most => (Some(left), true),
            (_, Some(most)) => (Some(most), false),
        };
        if !complete && (length == Some(0) || length < least) {
            return self.give_up("allows no request that is large enough to go on with the upload");
        }
        let Some(url) = self.target() else { return self.fail("named no upload resource") };
        self.phase = Phase::Appending { offset, length, complete };
        self.sent = offset;
        self.failed_with = None;
        Next::Append { url, offset, length, complete }
    }

    /// Whether the body is of a size that the server takes at all.
    pub(super) fn check_size(&mut self) -> Result<(), Box<Next>> {
        let Some(total) = self.total else { return Ok(()) };
        let (relation, limit) = match self.limits {
            Limits { max_size: Some(most), .. } if total > most => ("more", most),
            Limits { min_size: Some(least), .. } if total < least => ("less", least),
            _ => return Ok(()),
        };
        let message = format!("takes no upload of {relation} than {limit} bytes, and this one has {total}");
        let error = self.error(ErrorKind::DataLengthExceedsMaximum, &message);
        Err(Box::new(self.cannot_supply(error)))
    }

    /// Follows 307 and 308 of the upload resource (sections 4.3.1 and 4.4.1). The offset is asked for
    /// at the new place first, in an append's case too.
    fn follow(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Next> {
        if !matches!(status.as_u16(), 307 | 308) {
            return None;
        }
        self.redirects += 1;
        let to = self.target().and_then(|from| fields::resource(&from, headers));
        let Some(to) = to.filter(|_| self.redirects <= MAX_REDIRECTS) else {
            return Some(self.fail(&format!("answered {status} and leads nowhere")));
        };
        if status == StatusCode::PERMANENT_REDIRECT {
            self.resource = Some(to.clone());
        }
        self.moved = Some(to);
        Some(self.query())
    }

    /// Whether 413 can be helped by smaller requests (section 4.1.4).
    fn was_too_large(&self, status: StatusCode, length: Option<u64>) -> bool {
        status == StatusCode::PAYLOAD_TOO_LARGE
            && self.limits.max_append_size.is_some_and(|most| length.is_none_or(|length| most < length))
    }
}

fn is_complete(headers: &HeaderMap) -> Option<bool> {
    fields::complete(headers).ok().flatten()
}
