//! A working directory with files, and the entry program started in it.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use dm_contract::limits::TERMINATION_MESSAGE_BYTES_MAX;
use dm_contract::report::ProgramResult;

/// The program under test.
pub const ENTRY: &str = env!("CARGO_BIN_EXE_datamigration-entry");

/// A working directory, and a place for the termination message outside of it.
pub struct Pod {
    root: tempfile::TempDir,
}

/// What is seen of a run from outside.
pub struct Seen {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub result: ProgramResult,
}

impl Pod {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let pod = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(pod.path("work")).unwrap();
        for (name, content) in files {
            fs::write(pod.path("work").join(name), content).unwrap();
        }
        pod
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The entry program with its `run` flags; what follows them is still to be added.
    pub fn entry(&self) -> Command {
        let mut entry = Command::new(ENTRY);
        entry.arg("run").arg("--dir").arg(self.path("work"));
        entry.arg("--termination-log").arg(self.path("log"));
        entry.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        entry
    }

    pub fn script(&self, file: &str) -> Seen {
        self.seen(self.entry().args(["--script", file]).output().unwrap())
    }

    pub fn shell(&self, commands: &str) -> Seen {
        self.command(["sh", "-c", commands])
    }

    pub fn command(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Seen {
        self.seen(self.entry().arg("--").args(words).output().unwrap())
    }

    pub fn seen(&self, output: Output) -> Seen {
        let log = fs::read(self.path("log")).unwrap();
        assert!(log.len() <= TERMINATION_MESSAGE_BYTES_MAX, "{} bytes", log.len());
        Seen {
            code: output.status.code().unwrap(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
            result: serde_json::from_slice(&log).unwrap(),
        }
    }
}
