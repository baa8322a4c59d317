//! A Python with boto3 for programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The system's, if it has boto3, or one in this folder of the build, made now if need be. Panics
/// where neither can be had: nothing that needs it can go on.
pub fn with_boto3(folder: &Path) -> PathBuf {
    let has_boto3 = |python: &Path| {
        let import = Command::new(python).args(["-c", "import boto3"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let system = PathBuf::from("python3");
    if has_boto3(&system) {
        return system;
    }
    let folder = folder.join("python");
    let python = folder.join("bin/python3");
    if !has_boto3(&python) {
        succeed(Command::new(system).args(["-m", "venv"]).arg(&folder));
        succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "boto3"]));
    }
    python
}

fn succeed(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
