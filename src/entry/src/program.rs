//! Finds what to start: the interpreter of a script, or a command, in the container's `PATH`.
//! It looks at files and starts nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dm_contract::interpreters;

use crate::args::Program;
use crate::limits::SHEBANG_BYTES_MAX;
use crate::shebang::{self, Interpreter};

/// What `PATH` means where it is not set: what runc and Docker give.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A file to execute, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// Path of the file.
    pub file: PathBuf,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
}

/// Why a program could not be started. The messages are read by users in the status.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such working directory.
    #[error("the working directory {0} is not a folder")]
    Dir(PathBuf),
    /// There is no such script.
    #[error("there is no script {file} among the program's files: {listing}")]
    NoScript {
        /// The script asked for.
        file: PathBuf,
        /// What there is instead.
        listing: String,
    },
    /// The script is there and cannot be read.
    #[error("the script {file} cannot be read")]
    Unreadable {
        /// The script asked for.
        file: PathBuf,
        source: io::Error,
    },
    /// Neither first line nor suffix tells what runs the script.
    #[error(
        "what runs {0} is not known: it has no #! line, and its suffix is none of {suffixes}; give \
         a command",
        suffixes = interpreters::suffixes()
    )]
    UnknownSuffix(PathBuf),
    /// The image has no interpreter for the script.
    #[error(
        "this image has no interpreter for {file}: looked for {wanted} in {path}; choose an image \
         that has one, or give a command"
    )]
    NoInterpreter {
        /// The script to be run.
        file: PathBuf,
        /// The interpreters looked for.
        wanted: String,
        path: String,
    },
    /// The command's name is not in `PATH`.
    #[error("there is no program {name} in {path}{hint}")]
    NotInPath {
        /// The name looked for.
        name: String,
        path: String,
        /// What may have been meant.
        hint: String,
    },
    /// The command's path leads nowhere.
    #[error("there is no program {0}")]
    NoFile(PathBuf),
    /// The command's path leads to what cannot be executed.
    #[error("{0} is not an executable file")]
    NotExecutable(PathBuf),
    /// The system refused to execute the file.
    #[error("{file} could not be started{hint}")]
    Refused {
        /// The file that was to be executed.
        file: PathBuf,
        source: io::Error,
        /// What that means for a file that is there.
        hint: &'static str,
    },
    /// This program itself could not get what it needs for it.
    #[error("pipes and threads for the program could not be made")]
    Setup(#[source] io::Error),
}

impl StartError {
    /// The exit code a shell would give: 127 where nothing was found, else 126.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoScript { .. }
            | Self::NoInterpreter { .. }
            | Self::NotInPath { .. }
            | Self::NoFile(_) => 127,
            Self::Dir(_)
            | Self::Unreadable { .. }
            | Self::UnknownSuffix(_)
            | Self::NotExecutable(_)
            | Self::Refused { .. }
            | Self::Setup(_) => 126,
        }
    }

    /// What to say of an error of the system when it executes a file that was found.
    pub fn refused(file: &Path, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::NotFound => "; the file exists, its interpreter or loader does not",
            io::ErrorKind::ExecutableFileBusy => "; another process is still writing it",
            _ if source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                "; a script needs a #! line or its interpreter in the command, a binary must be \
                 built for this architecture"
            }
            _ => "",
        };
        Self::Refused { file: file.to_owned(), source, hint }
    }
}

/// Finds what to start in the folder `dir`, with names looked up in `path` (`PATH`'s value).
pub fn resolve(dir: &Path, program: &Program, path: Option<&OsStr>) -> Result<Start, StartError> {
    if !dir.is_dir() {
        return Err(StartError::Dir(dir.to_owned()));
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    match program {
        Program::Script { file, args } => script(dir, file, args, path),
        Program::Command { name, args } => {
            Ok(Start { file: command(dir, name, path)?, args: args.clone() })
        }
    }
}

fn script(dir: &Path, file: &Path, args: &[OsString], path: &OsStr) -> Result<Start, StartError> {
    let head = head(dir, file)?;
    let asked = shebang::of_first_line(&head);
    let candidates = asked.map_or_else(|| shebang::of_suffix(file), |asked| vec![asked]);
    if candidates.is_empty() {
        return Err(StartError::UnknownSuffix(file.to_owned()));
    }
    for Interpreter { name, args: first } in &candidates {
        let Some(found) = find_interpreter(dir, name, path) else { continue };
        // A name that begins with a dash would be read as a flag.
        let dashed = file.as_os_str().as_encoded_bytes().starts_with(b"-");
        let file = if dashed { Path::new(".").join(file) } else { file.to_owned() };
        let before = first.iter().map(OsString::from).chain([file.into()]);
        return Ok(Start { file: found, args: before.chain(args.iter().cloned()).collect() });
    }
    let wanted: Vec<_> = candidates.iter().map(|wanted| wanted.name.as_str()).collect();
    Err(StartError::NoInterpreter {
        file: file.to_owned(),
        wanted: wanted.join(", "),
        path: path.to_string_lossy().into_owned(),
    })
}

fn head(dir: &Path, file: &Path) -> Result<Vec<u8>, StartError> {
    let read = |file: &Path| {
        let mut head = Vec::new();
        fs::File::open(file)?.take(SHEBANG_BYTES_MAX as u64).read_to_end(&mut head)?;
        io::Result::Ok(head)
    };
    read(&dir.join(file)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StartError::NoScript { file: file.to_owned(), listing: listing(dir) }
        }
        _ => StartError::Unreadable { file: file.to_owned(), source },
    })
}

/// The first names in a folder, for a message.
fn listing(dir: &Path) -> String {
    let Ok(entries) = fs::read_dir(dir) else { return String::new() };
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    if names.is_empty() {
        return "there are none".into();
    }
    let more = if names.len() > 10 { ", …" } else { "" };
    names.truncate(10);
    format!("there are {}{more}", names.join(", "))
}

/// A path as it is; where that is absolute and missing, or a bare name, what `PATH` has. Images
/// keep their interpreters in different folders, which a script written elsewhere cannot know.
fn find_interpreter(dir: &Path, name: &str, path: &OsStr) -> Option<PathBuf> {
    let own = dir.join(name);
    if name.contains('/') && is_executable(&own) {
        return Some(own);
    }
    let name = Path::new(name);
    let bare = if name.is_absolute() { name.file_name()? } else { name.as_os_str() };
    in_path(bare, path)
}

fn command(dir: &Path, name: &OsStr, path: &OsStr) -> Result<PathBuf, StartError> {
    if name.as_encoded_bytes().contains(&b'/') {
        let file = dir.join(name);
        return match fs::metadata(&file) {
            Err(_) => Err(StartError::NoFile(file)),
            Ok(_) if !is_executable(&file) => Err(StartError::NotExecutable(file)),
            Ok(_) => Ok(file),
        };
    }
    in_path(name, path).ok_or_else(|| StartError::NotInPath {
        name: name.to_string_lossy().into_owned(),
        path: path.to_string_lossy().into_owned(),
        hint: if dir.join(name).is_file() {
            format!("; for the file in the working directory write ./{}", name.to_string_lossy())
        } else {
            String::new()
        },
    })
}

/// The first executable file of this name in the absolute folders of `path`.
fn in_path(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if name.is_empty() || name.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A working directory and one folder of programs.
    struct Image {
        root: tempfile::TempDir,
    }

    impl Image {
        fn new(programs: &[&str], files: &[(&str, &str)]) -> Self {
            let root = tempfile::tempdir().unwrap();
            for folder in ["bin", "work", "work/lib"] {
                fs::create_dir(root.path().join(folder)).unwrap();
            }
            for program in programs {
                let file = root.path().join("bin").join(program);
                fs::write(&file, "").unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
            for (name, content) in files {
                fs::write(root.path().join("work").join(name), content).unwrap();
            }
            Self { root }
        }

        /// The command line found, or the message, with this image's folder left out.
        fn resolve(&self, program: &Program) -> String {
            let root = format!("{}/", self.root.path().display());
            let path = self.root.path().join("bin");
            let found = resolve(&self.root.path().join("work"), program, Some(path.as_os_str()));
            let text = match found {
                Ok(start) => {
                    let words: Vec<_> = std::iter::once(start.file.into_os_string())
                        .chain(start.args)
                        .map(|word| word.to_string_lossy().into_owned())
                        .collect();
                    words.join(" ")
                }
                Err(error) => {
                    format!("{}: {}", error.exit_code(), dm_contract::error_chain::chain(&error))
                }
            };
            text.replace(&root, "")
        }

        fn check_script(&self, file: &str, args: &[&str], expected: &str) {
            let args = args.iter().map(OsString::from).collect();
            let program = Program::Script { file: file.into(), args };
            assert_eq!(self.resolve(&program), expected, "{file}");
        }

        fn check_command(&self, name: &str, expected: &str) {
            let program = Program::Command { name: name.into(), args: vec!["-x".into()] };
            assert_eq!(self.resolve(&program), expected, "{name}");
        }
    }

    #[test]
    fn a_script_gets_its_interpreter() {
        let image = Image::new(
            &["python", "node", "bash", "deno"],
            &[
                ("main.py", "print()"),
                ("a.py", "#!/opt/nowhere/bash -e\n"),
                ("b", "#!/usr/bin/env -S node --no-warnings\n"),
                ("c.ts", ""),
                ("-d.js", ""),
                ("lib/e.js", ""),
            ],
        );
        image.check_script("main.py", &["1", "-v"], "bin/python main.py 1 -v");
        image.check_script("a.py", &[], "bin/bash -e a.py");
        image.check_script("b", &[], "bin/node --no-warnings b");
        image.check_script("c.ts", &[], "bin/deno run --allow-all c.ts");
        image.check_script("-d.js", &[], "bin/node ./-d.js");
        image.check_script("lib/e.js", &[], "bin/node lib/e.js");
    }

    #[test]
    fn what_keeps_a_script_from_starting_is_named() {
        let image = Image::new(&[], &[("main.py", ""), ("q.sql", ""), ("own", "#!./lib/x\n")]);
        image.check_script(
            "main.py",
            &[],
            "127: this image has no interpreter for main.py: looked for python3, python in bin; \
             choose an image that has one, or give a command",
        );
        image.check_script(
            "own",
            &[],
            "127: this image has no interpreter for own: looked for ./lib/x in bin; choose an \
             image that has one, or give a command",
        );
        image.check_script(
            "q.sql",
            &[],
            "126: what runs q.sql is not known: it has no #! line, and its suffix is none of .py \
             .js .mjs .cjs .ts .mts .cts .sh .bash .rb .pl .php; give a command",
        );
        image.check_script(
            "main.js",
            &[],
            "127: there is no script main.js among the program's files: there are lib, main.py, \
             own, q.sql",
        );
        image.check_script(
            "lib",
            &[],
            "126: the script lib cannot be read: Is a directory (os error 21)",
        );
    }

    #[test]
    fn a_command_is_found_as_a_shell_would() {
        let image = Image::new(&["tool"], &[("tool.py", "")]);
        image.check_command("tool", "bin/tool -x");
        image.check_command("../bin/tool", "work/../bin/tool -x");
        image.check_command("./gone", "127: there is no program work/./gone");
        image.check_command("./tool.py", "126: work/./tool.py is not an executable file");
        image.check_command("./lib", "126: work/./lib is not an executable file");
        image.check_command("none", "127: there is no program none in bin");
        image.check_command(
            "tool.py",
            "127: there is no program tool.py in bin; for the file in the working directory write \
             ./tool.py",
        );
    }

    #[test]
    fn a_missing_folder_is_named() {
        let program = Program::Command { name: "true".into(), args: vec![] };
        let error = resolve(Path::new("/no/such"), &program, None).unwrap_err();
        assert_eq!(error.to_string(), "the working directory /no/such is not a folder");
    }
}
