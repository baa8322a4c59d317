//! `datamigration completion`: what a shell needs to complete verbs and flags.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::print;

/// Flags of `datamigration completion`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(datamigration completion bash)
  datamigration completion zsh > \"${fpath[1]}/_datamigration\"
  datamigration completion fish > ~/.config/fish/completions/datamigration.fish";

#[derive(Debug, thiserror::Error)]
#[error("writing the completion")]
pub struct CompletionError(#[from] io::Error);

/// Prints the shell's script for the command of this name.
pub fn completion(flags: &Flags, name: &str, command: &mut Command) -> Result<u8, CompletionError> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, command, name, &mut script);
    print::answer(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::flags::{self, NAME};

    #[test]
    fn every_shells_completion_lists_all_verbs() {
        for shell in Shell::value_variants() {
            let mut command = flags::Flags::command();
            let verbs: Vec<String> =
                command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
            assert!(verbs.len() > 15, "{verbs:?}");
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            let lost: Vec<&String> = verbs.iter().filter(|verb| !script.contains(*verb)).collect();
            assert!(lost.is_empty(), "{shell}: {lost:?}");
        }
    }
}
