//! What is kept from one run to the next, in the files that the options name: cookies (`-b`, `-c`), and
//! who has asked for https (`--hsts`).

use crate::args::{Cookies, Options};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::requests::named;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;
use urlsession::{Configuration, CookieStorage, ErrorKind, HstsStorage, Request};

/// What is kept, and where it goes.
pub struct State {
    /// As curl has it: without `-c` or a file for `-b`, cookies are neither taken nor sent back.
    cookies: Option<CookieStorage>,
    hsts: Option<HstsStorage>,
}

impl State {
    /// What is in the files. That one is not there yet is no error: the first run makes it.
    pub fn read(options: &Options) -> Result<State, Failure> {
        let files = options.cookies.iter().filter_map(|cookies| match cookies {
            Cookies::File(path) => Some(path.as_path()),
            Cookies::Text(_) => None,
        });
        let mut cookies = options.cookie_jar.as_ref().map(|_| CookieStorage::in_memory());
        for path in files {
            read_cookies(cookies.get_or_insert_with(CookieStorage::in_memory), path)?;
        }
        let hsts = options.hsts.as_deref().map(read_hsts).transpose()?;
        Ok(State { cookies, hsts })
    }

    /// The configuration of a session that goes on with it.
    pub fn configure(&self, configuration: Configuration) -> Configuration {
        let configuration = configuration.cookie_storage(self.cookies.clone());
        match &self.hsts {
            Some(hsts) => configuration.hsts_storage(hsts.clone()),
            None => configuration,
        }
    }

    /// Writes it where the options say.
    pub fn write(&self, options: &Options) -> Result<(), Failure> {
        if let (Some(cookies), Some(path)) = (&self.cookies, &options.cookie_jar) {
            write_cookies(cookies, path)?;
        }
        if let (Some(hsts), Some(path)) = (&self.hsts, &options.hsts) {
            write_hsts(hsts, path)?;
        }
        Ok(())
    }
}

/// The cookies that `-b` gives as text, for a request.
pub fn with_cookies(request: Request, options: &Options) -> Request {
    let texts = options.cookies.iter().filter_map(|cookies| match cookies {
        Cookies::Text(text) => Some(text.0.as_str()),
        Cookies::File(_) => None,
    });
    let texts: Vec<_> = texts.collect();
    if texts.is_empty() { request } else { request.header("cookie", texts.join("; ")) }
}

fn read_cookies(cookies: &CookieStorage, path: &Path) -> Result<(), Failure> {
    // `-b ''` only has cookies kept.
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let read = match path.as_os_str() == "-" {
        true => cookies.import_netscape(io::stdin().lock()),
        false => cookies.import_netscape_file(path),
    };
    match read {
        Err(error) if error.kind() != ErrorKind::FileDoesNotExist => {
            Err(named(path, Exit::ReadInput, &error))
        }
        _ => Ok(()),
    }
}

fn write_cookies(cookies: &CookieStorage, path: &Path) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        let mut file = Vec::new();
        let written = cookies.export_netscape(&mut file);
        written.map_err(|error| Failure::from(&error))?;
        return output::print(&String::from_utf8_lossy(&file));
    }
    cookies.export_netscape_file(path).map(drop).map_err(|error| named(path, Exit::Write, &error))
}

fn read_hsts(path: &Path) -> Result<HstsStorage, Failure> {
    let hsts = HstsStorage::in_memory();
    if path.as_os_str().is_empty() {
        return Ok(hsts);
    }
    let read = File::open(path).and_then(|file| hsts.import(BufReader::new(file)));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new(Exit::ReadInput, format!("reading {}: {error}", path.display())))
        }
        _ => Ok(hsts),
    }
}

fn write_hsts(hsts: &HstsStorage, path: &Path) -> Result<(), Failure> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let mut bytes = Vec::new();
    let written = hsts.export(&mut bytes).and_then(|_| replace(path, &bytes));
    written.map_err(|error| Failure::write(&path.display().to_string(), &error))
}

/// Puts a file in the place of another in one step, so that what was there stays if that fails. What is no
/// file, such as `/dev/null`, is written to.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return File::options().write(true).open(path)?.write_all(bytes);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let replaced = options
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    }
    replaced
}
