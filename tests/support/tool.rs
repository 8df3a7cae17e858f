//! The examples as programs: started in a directory, and looked at from outside.
//!
//! `cargo test` builds them before. `cargo test --test …` does not, and takes what there is.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// An example with arguments, to be run in a directory.
pub fn command(name: &str, directory: &Path, args: &[&str]) -> Command {
    let mut program = std::env::current_exe().expect("this program");
    program.pop();
    program.pop();
    let program = program.join("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build --example {name}", program.display());
    let mut command = Command::new(program);
    command.args(args).current_dir(directory).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// Runs it with something on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a child");
    // It may end without having read everything.
    let _ = child.stdin.take().expect("its standard input").write_all(input);
    child.wait_with_output().expect("its end")
}

/// What Ctrl-C does.
pub fn interrupt(child: &Child) {
    let done = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(done.expect("kill").success());
}

/// The exit code; -1 for a signal.
pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Standard output.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
