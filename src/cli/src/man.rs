//! `datamigration man`: the man pages, made from the same descriptions as the help texts.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, Command};

/// Flags of `datamigration man`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The folder for the pages; it is created
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  datamigration man ~/.local/share/man/man1
  man datamigration-exec";

/// A folder or page that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("writing the man pages to {}", folder.display())]
pub struct ManError {
    folder: PathBuf,
    source: io::Error,
}

/// Writes the pages of a command and of its verbs.
pub fn man(flags: &Flags, command: Command) -> Result<u8, ManError> {
    let folder = &flags.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|source| ManError { folder: folder.clone(), source })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::flags;

    #[test]
    fn every_verb_has_a_page_that_describes_it() {
        let folder = tempfile::tempdir().unwrap();
        let pages = Flags { folder: folder.path().join("man1") };
        man(&pages, flags::Flags::command()).unwrap();
        let read = |name: &str| fs::read_to_string(pages.folder.join(name)).unwrap();
        for verb in flags::Flags::command().get_subcommands() {
            let page = read(&format!("datamigration-{}.1", verb.get_name()));
            let about = verb.get_about().unwrap().to_string();
            let begin = about.split(['-', '\'', ':']).next().unwrap();
            assert!(page.contains(begin), "{}: {begin}", verb.get_name());
        }
        assert!(read("datamigration-archive-ls.1").contains("archive"));
        assert!(read("datamigration.1").contains("datamigration\\-exec(1)"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let flags = Flags { folder: file.path().join("man1") };
        let error = man(&flags, crate::flags::Flags::command()).unwrap_err();
        assert!(error.to_string().contains("man1"), "{error}");
    }
}
