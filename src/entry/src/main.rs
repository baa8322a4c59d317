//! `datamigration-entry`: flags and wiring, nothing else.

use std::env;
use std::process::ExitCode;

use dm_contract::error_chain::chain;
use dm_entry::args::{self, USAGE, Verb};
use dm_entry::{prepare, run, transform};

/// The command line was not understood: no code that a shell or a started program would give first.
const EXIT_USAGE: u8 = 125;

fn main() -> ExitCode {
    match args::parse(env::args_os().skip(1)) {
        Ok(Verb::Run(args)) => ExitCode::from(run::run(&args)),
        Ok(Verb::Prepare(args)) => match prepare::prepare(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("datamigration-entry: {}", chain(&error));
                ExitCode::FAILURE
            }
        },
        Ok(Verb::Transform(args)) => match transform::transform(&args) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                eprintln!("datamigration-entry: {}", chain(&error));
                ExitCode::FAILURE
            }
        },
        Ok(Verb::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Verb::Version) => {
            println!("datamigration-entry {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("datamigration-entry: {error}\n\n{USAGE}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
