//! Where bodies go: files and standard output. Knows the name a file gets, and what must not be
//! written to a terminal.

use crate::args::{Output, Target};
use crate::exit::{Exit, Failure};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Component, Path, PathBuf};
use urlsession::Url;

/// How an output is opened.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Whether what comes goes behind what is there.
    pub append: bool,
    /// Whether directories that are missing are made.
    pub create_dirs: bool,
    /// The name that the server gives the file, in place of the URL's. It takes nobody's place.
    pub name: Option<String>,
}

/// An open output.
pub struct Sink {
    place: Place,
    written: u64,
    /// Whether what comes first is to be looked at: binary data makes a mess of a terminal.
    careful: bool,
}

enum Place {
    Stdout,
    File(File, PathBuf),
}

impl Sink {
    /// Opens the output of a target; a file is made, or made empty unless it is appended to.
    pub fn open(target: &Target, opening: &Opening) -> Result<Sink, Failure> {
        let careful = target.output == Output::Stdout && io::stdout().is_terminal();
        let place = match (&opening.name, file_name(target)) {
            (Some(name), _) if target.output == Output::RemoteName => {
                let path = PathBuf::from(name);
                let made = OpenOptions::new().write(true).create_new(true).open(&path);
                Place::File(made.map_err(|error| Failure::write(name, &error))?, path)
            }
            (_, path) => match path? {
                None => Place::Stdout,
                Some(path) => {
                    let made = make(&path, opening);
                    let file = made.map_err(|error| Failure::write(&path.display().to_string(), &error))?;
                    Place::File(file, path)
                }
            },
        };
        Ok(Sink { place, written: 0, careful })
    }

    /// Writes text that is ours or the server's head: never binary.
    pub fn write_text(&mut self, text: &str) -> Result<(), Failure> {
        self.put(text.as_bytes())
    }

    /// Writes a piece of the body.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if std::mem::take(&mut self.careful) && piece.contains(&0) {
            let message = "the body is binary and would make a mess of the terminal; \
                           -o FILE saves it, and -o - prints it anyhow";
            return Err(Failure::new(Exit::Write, message));
        }
        self.put(piece)?;
        self.written += piece.len() as u64;
        Ok(())
    }

    /// How much of the body was written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The output's name for messages.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Stdout => "standard output".to_owned(),
            Place::File(_, path) => path.display().to_string(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let result = match &mut self.place {
            // Flushed piece by piece, so that a reader sees what is there.
            Place::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Place::File(file, _) => file.write_all(bytes),
        };
        result.map_err(|error| Failure::write(&self.name(), &error))
    }
}

/// Writes to standard output what belongs to no body.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let result = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    result.map_err(|error| Failure::write("standard output", &error))
}

/// Whether the body of that target does not show on the screen: there is room for a progress bar.
pub fn is_out_of_sight(target: &Target) -> bool {
    match target.output {
        Output::Stdout | Output::StdoutAnyhow => stdout_is_file(),
        Output::File(_) | Output::RemoteName => true,
    }
}

/// How much there is of a target's body.
pub fn present(target: &Target) -> u64 {
    let path = file_name(target).ok().flatten();
    path.and_then(|path| path.metadata().ok()).filter(|found| found.is_file()).map_or(0, |found| found.len())
}

fn make(path: &Path, opening: &Opening) -> io::Result<File> {
    if let (true, Some(directory)) = (opening.create_dirs, path.parent()) {
        fs::create_dir_all(directory)?;
    }
    match opening.append {
        true => OpenOptions::new().append(true).create(true).open(path),
        false => File::create(path),
    }
}

/// The file that a target's body goes to; `None` for standard output.
fn file_name(target: &Target) -> Result<Option<PathBuf>, Failure> {
    match &target.output {
        Output::Stdout | Output::StdoutAnyhow => Ok(None),
        Output::File(path) => Ok(Some(path.clone())),
        Output::RemoteName => remote_name(&target.url).map(Some),
    }
}

/// The last part of the path of a URL as it was given, as curl has it: not decoded, not from where
/// a redirect led, and never out of the working directory.
pub fn remote_name(url: &str) -> Result<PathBuf, Failure> {
    let refused = |why: String| Err(Failure::new(Exit::Write, format!("-O: {why}; give a name with -o")));
    let Ok(parsed) = Url::parse(url) else {
        return Err(Failure::new(Exit::MalformedUrl, "-O: the URL is malformed"));
    };
    let name = parsed.path().rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        return refused("the URL's path has no last part to name the file after".to_owned());
    }
    let path = Path::new(name);
    let mut components = path.components();
    let alone = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if !alone || name.contains(['\\', ':']) && cfg!(windows) {
        return refused(format!("{name:?} is no name for a file"));
    }
    // A link would have the body written elsewhere.
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return refused(format!("{name} is a symbolic link"));
    }
    Ok(path.to_owned())
}

#[cfg(unix)]
fn stdout_is_file() -> bool {
    use std::os::fd::AsFd;
    let copy = io::stdout().as_fd().try_clone_to_owned();
    copy.and_then(|copy| File::from(copy).metadata()).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(not(unix))]
fn stdout_is_file() -> bool {
    false
}
