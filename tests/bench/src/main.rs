//! urlsession beside other clients: one command, one table a scenario. See README.md.

mod cache;
mod clients;
mod cookies;
mod machine;
mod measure;
mod pattern;
mod process;
mod scenarios;
mod server;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut quick = false;
    let mut only: Vec<&str> = Vec::new();
    for argument in &arguments {
        match argument.as_str() {
            "serve" => return server::serve(),
            "take-part" => return process::take_part(&arguments),
            "--quick" => quick = true,
            "--help" | "-h" => {
                println!("urlsession-bench [--quick] [scenario...]\n");
                scenarios::ALL
                    .iter()
                    .for_each(|scenario| println!("{:10} {}", scenario.name, scenario.title));
                println!("{:10} {}", cache::NAME, cache::TITLE);
                println!("{:10} {}", cookies::NAME, cookies::TITLE);
                return Ok(());
            }
            cache::NAME => only.push(cache::NAME),
            cookies::NAME => only.push(cookies::NAME),
            name if scenarios::ALL.iter().any(|scenario| scenario.name == name) => only.push(name),
            other => return Err(format!("what is {other:?}? --help lists the scenarios").into()),
        }
    }
    machine::raise_file_limit();
    let server = server::Server::start()?;
    println!("{}\n", machine::describe());
    for scenario in scenarios::ALL {
        if only.is_empty() || only.contains(&scenario.name) {
            scenarios::run(scenario, &server.target, quick)?;
        }
    }
    if only.is_empty() || only.contains(&cache::NAME) {
        cache::run(quick)?;
    }
    if only.is_empty() || only.contains(&cookies::NAME) {
        cookies::run(&server.target, quick)?;
    }
    Ok(())
}
