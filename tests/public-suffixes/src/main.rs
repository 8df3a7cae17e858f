//! Makes the table of public suffixes that is in the library, from the list as it is published. See
//! `docs/internals.md`.

#[allow(dead_code)]
#[path = "../../../src/proto/public_suffix/pack.rs"]
mod pack;

use std::process::ExitCode;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/proto/public_suffix/table.bin");

fn main() -> ExitCode {
    match run() {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(said) => {
            eprintln!("{said}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        return Err("usage: urlsession-public-suffixes public_suffix_list.dat".into());
    };
    let list = std::fs::read_to_string(&path).map_err(|error| format!("reading {path}: {error}"))?;
    let table = pack::pack(&list)
        .map_err(|nonsense| format!("{path} is no list of public suffixes: {nonsense:?}"))?;
    std::fs::write(TABLE, &table).map_err(|error| format!("writing {TABLE}: {error}"))?;
    let version =
        list.lines().find_map(|line| line.strip_prefix("// VERSION: ")).unwrap_or("unknown version");
    Ok(format!("{} bytes from the list of {version}", table.len()))
}
