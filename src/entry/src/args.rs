//! The command line: two verbs with a few flags. It is written by the operator, so it is strict and
//! small; it reads no file and no environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
Usage:
  datamigration-entry prepare --bin DIR [--files DIR --work DIR [--digest DIGEST]]
      Copies this program to the --bin folder, and the program's files from --files to --work. \
      Fails if
      the files that it copied have another digest.

  datamigration-entry run --dir DIR [FLAGS] -- COMMAND [ARGUMENT...]
  datamigration-entry run --dir DIR [FLAGS] --script FILE [-- ARGUMENT...]
      Runs the command, or the script with the interpreter that its first line or its suffix asks
      for, in --dir.
        --termination-log FILE   gets the result as JSON; /dev/termination-log
        --log-dir DIR            gets the whole output and the result in files too
        --second-pass ADDR       after a success, reports it to the guard at that address, and runs
                                 the program again; only the first run counts. An absolute --dir is
                                 restored to its original files first; of another, and of temporary
                                 files, none may have changed
        --follow-pause ADDR      stops the program while the guard at that address is paused
      Ends with the program's exit code, 128 + n if signal n ended it, 127 or 126 if it was not
      found or could not be started, 125 for an error in these arguments.

  datamigration-entry transform --guard ADDR --dir DIR
      Has the guard at that address carry out the transform of the folder's transform.json, and ends
      with the exit code that stands for its end.

  datamigration-entry --version | --help
";

#[derive(Debug, PartialEq, Eq)]
pub enum Verb {
    /// Fill the pod's folders.
    Prepare(Prepare),
    Run(Run),
    /// Have a transform carried out.
    Transform(TransformArgs),
    /// Print [`USAGE`].
    Help,
    Version,
}

/// A transform and who carries it out.
#[derive(Debug, PartialEq, Eq)]
pub struct TransformArgs {
    /// Address of the guard.
    pub guard: String,
    /// Folder with the transform and its lookup files.
    pub dir: PathBuf,
}

/// The folders an init container fills.
#[derive(Debug, PartialEq, Eq)]
pub struct Prepare {
    /// Gets a copy of this program.
    pub bin: PathBuf,
    /// The program's files, for a script.
    pub files: Option<Files>,
}

/// Where the program's files come from and go to.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    pub from: PathBuf,
    /// The folder the program will run in.
    pub to: PathBuf,
    /// The digest that they must have.
    pub digest: Option<String>,
}

/// How to run the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub dir: PathBuf,
    /// Where the result goes.
    pub termination_log: PathBuf,
    /// Folder for the whole output and the result.
    pub log_dir: Option<PathBuf>,
    /// Address of the guard of a dry run, where the program is to run a second time.
    pub second_pass: Option<String>,
    /// Address of the guard with whose pauses the program is stopped.
    pub follow_pause: Option<String>,
    pub program: Program,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Program {
    /// A file in the working directory, whose interpreter has to be found.
    Script {
        /// Its path in the working directory.
        file: PathBuf,
        /// What it is given.
        args: Vec<OsString>,
    },
    /// A command as it is.
    Command {
        /// A name to look up in `PATH`, or a path, which may be relative to the working directory.
        name: OsString,
        /// What it is given.
        args: Vec<OsString>,
    },
}

/// Why the command line was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Nothing, or an unknown word, where the verb should be.
    #[error("the first argument must be prepare, run or transform")]
    Verb,
    /// A flag that the verb does not know.
    #[error("{0} is not a flag of this verb")]
    UnknownFlag(String),
    /// A flag at the end of the line, or twice.
    #[error("{0} takes one value")]
    Value(&'static str),
    /// A flag that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
}

/// Reads the command line, without the program's own name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Verb, ArgsError> {
    let mut args = args.into_iter();
    let verb = args.next().ok_or(ArgsError::Verb)?;
    match verb.to_str() {
        Some("prepare") => prepare(args).map(Verb::Prepare),
        Some("run") => run(args).map(Verb::Run),
        Some("transform") => transform(args).map(Verb::Transform),
        Some("help" | "--help" | "-h") => Ok(Verb::Help),
        Some("--version" | "-V") => Ok(Verb::Version),
        _ => Err(ArgsError::Verb),
    }
}

fn transform(args: impl Iterator<Item = OsString>) -> Result<TransformArgs, ArgsError> {
    let [guard, dir] = flags(args, ["--guard", "--dir"], None)?;
    let guard = guard.ok_or(ArgsError::Missing("--guard"))?.to_string_lossy().into_owned();
    Ok(TransformArgs { guard, dir: dir.ok_or(ArgsError::Missing("--dir"))?.into() })
}

fn prepare(args: impl Iterator<Item = OsString>) -> Result<Prepare, ArgsError> {
    let [bin, from, to, digest] = flags(args, ["--bin", "--files", "--work", "--digest"], None)?;
    let digest = digest.map(|digest| digest.to_string_lossy().into_owned());
    let files = match (from, to) {
        (Some(from), Some(to)) => Some(Files { from: from.into(), to: to.into(), digest }),
        (None, None) if digest.is_some() => return Err(ArgsError::Missing("--files")),
        (None, None) => None,
        (Some(_), None) => return Err(ArgsError::Missing("--work")),
        (None, Some(_)) => return Err(ArgsError::Missing("--files")),
    };
    Ok(Prepare { bin: bin.ok_or(ArgsError::Missing("--bin"))?.into(), files })
}

fn run(args: impl Iterator<Item = OsString>) -> Result<Run, ArgsError> {
    let mut rest = Vec::new();
    let names =
        ["--dir", "--termination-log", "--script", "--log-dir", "--second-pass", "--follow-pause"];
    let [dir, log, script, log_dir, second_pass, follow_pause] =
        flags(args, names, Some(&mut rest))?;
    let text = |value: Option<OsString>| value.map(|value| value.to_string_lossy().into_owned());
    let program = if let Some(file) = script {
        Program::Script { file: file.into(), args: rest }
    } else {
        let mut rest = rest.into_iter();
        let name = rest.next().ok_or(ArgsError::Missing("-- COMMAND or --script"))?;
        Program::Command { name, args: rest.collect() }
    };
    Ok(Run {
        dir: dir.ok_or(ArgsError::Missing("--dir"))?.into(),
        termination_log: log.unwrap_or_else(|| "/dev/termination-log".into()).into(),
        log_dir: log_dir.map(PathBuf::from),
        second_pass: text(second_pass),
        follow_pause: text(follow_pause),
        program,
    })
}

/// Reads `--name value` pairs up to the end, or up to `--` where a `rest` is taken.
fn flags<const N: usize>(
    mut args: impl Iterator<Item = OsString>,
    names: [&'static str; N],
    rest: Option<&mut Vec<OsString>>,
) -> Result<[Option<OsString>; N], ArgsError> {
    let mut values = [const { None }; N];
    while let Some(arg) = args.next() {
        if let Some(at) = names.iter().position(|name| arg == *name) {
            let value = args.next().ok_or(ArgsError::Value(names[at]))?;
            if values[at].replace(value).is_some() {
                return Err(ArgsError::Value(names[at]));
            }
        } else if let ("--", Some(rest)) = (arg.to_str().unwrap_or_default(), rest.as_ref()) {
            debug_assert!(rest.is_empty());
            break;
        } else {
            return Err(ArgsError::UnknownFlag(arg.to_string_lossy().into_owned()));
        }
    }
    if let Some(rest) = rest {
        rest.extend(args);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Verb, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn check(line: &str, expected: Verb) {
        assert_eq!(of(line), Ok(expected), "{line}");
    }

    fn check_refused(line: &str, expected: ArgsError) {
        assert_eq!(of(line), Err(expected), "{line}");
    }

    fn run_of(log: &str, program: Program) -> Verb {
        let (dir, termination_log) = ("/work".into(), log.into());
        Verb::Run(Run {
            dir,
            termination_log,
            log_dir: None,
            second_pass: None,
            follow_pause: None,
            program,
        })
    }

    #[test]
    fn the_verbs_take_their_flags() {
        check("prepare --bin /b", Verb::Prepare(Prepare { bin: "/b".into(), files: None }));
        check(
            "prepare --files /f --work /w --bin /b",
            Verb::Prepare(Prepare {
                bin: "/b".into(),
                files: Some(Files { from: "/f".into(), to: "/w".into(), digest: None }),
            }),
        );
        check(
            "prepare --files /f --work /w --bin /b --digest sha256:0",
            Verb::Prepare(Prepare {
                bin: "/b".into(),
                files: Some(Files {
                    from: "/f".into(),
                    to: "/w".into(),
                    digest: Some("sha256:0".into()),
                }),
            }),
        );
        let command =
            Program::Command { name: "node".into(), args: vec!["--dir".into(), "--".into()] };
        check("run --dir /work -- node --dir --", run_of("/dev/termination-log", command));
        let script = Program::Script { file: "main.py".into(), args: vec!["-v".into()] };
        check("run --script main.py --termination-log /t --dir /work -- -v", run_of("/t", script));
        let script = Program::Script { file: "a.sh".into(), args: vec![] };
        check("run --dir /work --script a.sh", run_of("/dev/termination-log", script));
        let program = Program::Command { name: "true".into(), args: vec![] };
        let run = Verb::Run(Run {
            dir: "/work".into(),
            termination_log: "/dev/termination-log".into(),
            log_dir: Some("/dm/log".into()),
            second_pass: Some("127.0.0.1:8000".into()),
            follow_pause: Some("127.0.0.1:8001".into()),
            program,
        });
        let line = "run --dir /work --log-dir /dm/log --second-pass 127.0.0.1:8000 \
                    --follow-pause 127.0.0.1:8001 -- true";
        check(line, run);
        check("--help", Verb::Help);
        check("--version", Verb::Version);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        check_refused("", ArgsError::Verb);
        check_refused("sleep", ArgsError::Verb);
        check_refused("prepare", ArgsError::Missing("--bin"));
        check_refused("prepare --bin /b --files /f", ArgsError::Missing("--work"));
        check_refused("prepare --bin /b --work /f", ArgsError::Missing("--files"));
        check_refused("prepare --bin /b --digest d", ArgsError::Missing("--files"));
        check_refused("prepare --bin /b --", ArgsError::UnknownFlag("--".into()));
        check_refused("prepare --bin", ArgsError::Value("--bin"));
        check_refused("prepare --bin a --bin b", ArgsError::Value("--bin"));
        check_refused("run --dir /w", ArgsError::Missing("-- COMMAND or --script"));
        check_refused("run --dir /w --", ArgsError::Missing("-- COMMAND or --script"));
        check_refused("run -- true", ArgsError::Missing("--dir"));
        check_refused("run --dir /w true", ArgsError::UnknownFlag("true".into()));
    }
}
