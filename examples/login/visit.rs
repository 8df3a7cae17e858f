//! What the program does on the server: it looks at two pages, logs in where it is sent to a form, and
//! proves the password where it is challenged. Tells everything that happens.

use crate::{Result, prompt};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use urlsession::{
    Bytes, Challenge, ChallengeDisposition, Credential, Delegate, Persistence, RedirectDecision, Request,
    Response, ResponseHead, Session, TaskEvent,
};

/// How often one may be wrong.
const TRIES: u32 = 3;

/// Who visits the server, and the delegate of the session.
#[derive(Clone)]
pub struct Visitor(Arc<Mutex<State>>);

struct State {
    /// What was given or typed, so that nobody is asked twice.
    known: Option<(String, String)>,
    /// Whether somebody can be asked again.
    is_given: bool,
    /// Why nobody could be asked.
    error: Option<io::Error>,
}

impl Visitor {
    /// Somebody whose name and password are known, or are to be asked for.
    pub fn new(user: Option<(String, String)>) -> Visitor {
        let is_given = user.is_some();
        Visitor(Arc::new(Mutex::new(State { known: user, is_given, error: None })))
    }

    /// Looks at everything.
    pub fn visit(&self, session: &Session, server: &str) -> Result<()> {
        let page = self.get(session, &format!("{server}/account"))?;
        if page.url().path() == "/login" {
            self.log_in(session, &format!("{server}/login"))?;
        }
        // The cookie is sent to this page, too; but it wants more.
        let page = self.get(session, &format!("{server}/vault"))?;
        match (self.with(|state| state.error.take()), page.status().as_u16()) {
            (Some(error), _) => Err(not_asked(&error)),
            (None, 200) => Ok(()),
            (None, status) => Err(format!("the server answered {status} to /vault").into()),
        }
    }

    fn log_in(&self, session: &Session, url: &str) -> Result<()> {
        for tries in 1..=TRIES {
            let (user, password) = self.who(tries)?;
            println!("POST /login as {user}");
            let form = Request::post(url).form([("user", user), ("password", password)]);
            let page = told(session.data_task(form).wait()?)?;
            match (page.status().as_u16(), page.url().path()) {
                (403, _) => self.was_wrong()?,
                (_, "/login") => return Err("the server gave a login, and it was not kept".into()),
                _ => return Ok(()),
            }
        }
        Err(format!("that was wrong {TRIES} times").into())
    }

    fn get(&self, session: &Session, url: &str) -> Result<Response<Bytes>> {
        let request = Request::get(url);
        println!("GET {}", request.get_url().map_or("", |url| url.path()));
        told(session.data_task(request).wait()?)
    }

    /// Name and password.
    fn who(&self, tries: u32) -> Result<(String, String)> {
        if tries > 1 {
            println!("Try again.");
        }
        if let Some(known) = self.with(|state| state.known.clone()) {
            return Ok(known);
        }
        let asked = prompt::line("User: ").and_then(|user| Ok((user, prompt::password("Password: ")?)));
        let asked = asked.map_err(|error| not_asked(&error))?;
        self.with(|state| state.known = Some(asked.clone()));
        Ok(asked)
    }

    /// What was known is of no use.
    fn was_wrong(&self) -> Result<()> {
        self.with(|state| {
            state.known = None;
            if state.is_given {
                Err("the server does not take that name and password".into())
            } else {
                Ok(())
            }
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Delegate for Visitor {
    fn will_redirect(
        &self,
        _: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        println!("  {}, to {}", response.status(), request.get_url().map_or("", |url| url.path()));
        RedirectDecision::Follow(request)
    }

    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        let space = challenge.protection_space();
        let failures = challenge.previous_failure_count();
        println!(
            "  asked for {:?} in {}",
            space.authentication_method(),
            space.realm().unwrap_or("no realm")
        );
        if let (Some(credential), 0) = (challenge.proposed_credential(), failures) {
            println!("  the credential of {} is remembered", credential.user().unwrap_or("nobody"));
            return ChallengeDisposition::PerformDefaultHandling;
        }
        if failures > 0 && self.was_wrong().is_err() || failures >= TRIES {
            return ChallengeDisposition::PerformDefaultHandling;
        }
        match self.who(failures + 1) {
            Ok((user, password)) => {
                let credential = Credential::new(user, password, Persistence::Permanent);
                ChallengeDisposition::UseCredential(Some(credential))
            }
            Err(error) => {
                self.with(|state| state.error = Some(io::Error::other(error.to_string())));
                ChallengeDisposition::PerformDefaultHandling
            }
        }
    }
}

fn told(response: Response<Bytes>) -> Result<Response<Bytes>> {
    println!("  {}: {}", response.status(), response.text()?.trim_end());
    Ok(response)
}

fn not_asked(error: &io::Error) -> Box<dyn std::error::Error> {
    format!("nobody can be asked for a name and a password ({error}): give them with -u").into()
}
