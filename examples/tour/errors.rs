//! The chapter about errors: what messages say when something is wrong.

use crate::print::Printer;
use crate::support::{Certs, Refused, Reply, Server, Tls};
use crate::{Outcome, Stage, expect};
use std::time::Duration;
use urlsession::{Configuration, ErrorKind, Request, Session};

pub fn what_went_wrong(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("What went wrong", "eprintln!(\"{error}\");");
    let secure = Session::new(Stage::configuration(&stage.secure).redirect_limit(5));
    let strict = Session::new(Configuration::ephemeral());
    let with = |certs: Certs| Server::builder().tls(Tls::new().certs(certs)).start(|_| Reply::ok(""));
    let (wrong_name, expired) = (with(Certs::wrong_name()), with(Certs::expired()));
    let (self_signed, refused) = (with(Certs::self_signed()), Refused::new());
    let impatient = |url: String| Request::get(url).resource_timeout(Duration::from_millis(100));
    use ErrorKind::*;
    let cases = [
        (
            "a certificate for another name",
            &secure,
            Request::get(wrong_name.url("/")),
            ServerCertificateUntrusted,
        ),
        ("one that has expired", &secure, Request::get(expired.url("/")), ServerCertificateHasBadDate),
        ("one that is self-signed", &secure, Request::get(self_signed.url("/")), ServerCertificateUntrusted),
        (
            "an authority nobody knows",
            &strict,
            Request::get(stage.secure.url("/hello")),
            ServerCertificateHasUnknownRoot,
        ),
        ("nobody listens", &secure, Request::get(refused.url("/")), CannotConnectToHost),
        ("no answer for 0.1 s", &secure, impatient(stage.plain.url("/stuck")), TimedOut),
        ("a body that is cut short", &secure, Request::get(stage.secure.url("/cut")), NetworkConnectionLost),
        ("a damaged body", &secure, Request::get(stage.secure.url("/damaged")), CannotDecodeContentData),
        ("a loop of redirects", &secure, Request::get(stage.secure.url("/loop")), HttpTooManyRedirects),
        ("a URL without a scheme", &secure, Request::get("example.com/x?token=secret"), BadUrl),
        (
            "a header that ends a line",
            &secure,
            Request::get(stage.plain.url("/")).header("x-name", "a\r\nx-admin: 1"),
            BadUrl,
        ),
    ];
    let mut others = Vec::new();
    for (what, session, request, kind) in cases {
        match session.data_task(request).wait() {
            Err(error) if error.kind() == kind => printer.message(what, &error.to_string()),
            Err(error) => others.push(format!("{what}: {error}, which is not {kind}")),
            Ok(response) => others.push(format!("{what}: {}, and no error", response.status())),
        }
    }
    secure.finish_tasks_and_invalidate();
    strict.finish_tasks_and_invalidate();
    expect(others.is_empty(), &others.join("; "))
}
