//! A scheme that authenticates connections, as NTLM does, and the server's side of it.

use super::{Received, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use urlsession::http::HeaderValue;
use urlsession::{
    AuthenticatingRequest, AuthenticationExchange, AuthenticationScheme, AuthenticationStep, Credential,
    ProtectionSpace, Result,
};

/// Two messages over one connection: `one`, and then the password with what the server says to that.
#[derive(Clone, Default)]
pub struct TwoSteps {
    /// How often it was begun.
    pub begun: Arc<AtomicUsize>,
}

struct Steps(String);

impl AuthenticationScheme for TwoSteps {
    fn name(&self) -> &str {
        "NTLM"
    }

    fn binds_to_connection(&self) -> bool {
        true
    }

    fn begin(
        &self,
        _: &ProtectionSpace,
        credential: Option<&Credential>,
    ) -> Result<Box<dyn AuthenticationExchange>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Steps(credential.and_then(Credential::password).unwrap_or_default().to_owned())))
    }
}

impl AuthenticationExchange for Steps {
    fn respond(
        &mut self,
        challenge: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep> {
        let message = match challenge {
            None | Some("") => "NTLM one".to_owned(),
            Some("refused") => return Ok(AuthenticationStep::GiveUp),
            Some(nonce) => format!("NTLM {}-{nonce}", self.0),
        };
        Ok(AuthenticationStep::authorize(request, HeaderValue::try_from(message).expect("a value")))
    }
}

/// Lets in who has the password `secret` and answers on the connection that it was asked on.
pub fn by_connection(request: &Received) -> Reply {
    let asks = |what: &str| Reply::status(401).header("WWW-Authenticate", what).body("who are you?");
    match request.header("authorization") {
        Some("NTLM one") => asks(&format!("NTLM nonce{}", request.connection)),
        Some(answer) if answer == format!("NTLM secret-nonce{}", request.connection) => {
            Reply::ok(format!("welcome{}", request.text()))
        }
        Some(_) => asks("NTLM refused"),
        None => asks("NTLM"),
    }
}
