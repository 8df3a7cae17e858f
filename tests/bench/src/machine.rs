//! What the numbers were measured on.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The machine in a line: processor, how many of it, kernel, compiler.
pub fn describe() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let system = rustix::system::uname();
    format!(
        "{model}, {cores} cores; {} {}; {}",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        env!("BENCH_RUSTC")
    )
}

/// A thousand connections are more than the usual limit allows.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(16_384, |maximum| maximum.min(16_384));
    if limit.current.is_some_and(|current| current < wanted) {
        if let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
        {
            eprintln!("raising the limit of open files: {error}");
        }
    }
}
