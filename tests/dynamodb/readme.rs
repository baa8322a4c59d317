//! The README's commands, run as they are printed: in a folder that holds what a clone holds of
//! them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const README: &str = include_str!("../../README.md");

/// The recording, which `cargo xtask demo --laptop --record` makes.
const RECORDING: &str = include_str!("../../docs/laptop.svg");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder").to_owned()
}

/// The lines that begin with `$ ` in its blocks of a console.
fn commands() -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        match line.strip_prefix("```") {
            Some(kind) => inside = kind == "console",
            None if inside => found.extend(line.strip_prefix("$ ")),
            None => {}
        }
    }
    found
}

/// A folder with the migrations, and the program under the name that readers use.
fn clone() -> tempfile::TempDir {
    let clone = tempfile::tempdir().unwrap();
    let from = root().join("migrations");
    assert!(Command::new("cp").arg("-r").arg(from).arg(clone.path()).status().unwrap().success());
    // What a reader's own runs have left there.
    for folder in std::fs::read_dir(clone.path().join("migrations")).unwrap() {
        std::fs::remove_dir_all(folder.unwrap().path().join(".datamigration")).ok();
    }
    std::fs::create_dir(clone.path().join("bin")).unwrap();
    let program = env!("CARGO_BIN_EXE_datamigration-under-test");
    std::os::unix::fs::symlink(program, clone.path().join("bin/datamigration")).unwrap();
    clone
}

fn shell(clone: &Path, line: &str) -> Command {
    let python = dm_tests::python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref());
    let python = python.parent().unwrap_or(Path::new("")).display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(clone)
        .env_clear()
        .env("HOME", clone)
        .env("PATH", format!("{}:{python}:{path}", clone.join("bin").display()))
        .stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn every_command_of_the_readme_works_as_it_is_printed() {
    let clone = clone();
    let commands = commands();
    let verbs =
        ["run", "restore", "new", "lint", "local"].map(|verb| format!("datamigration {verb} "));
    for verb in &verbs {
        assert!(commands.iter().any(|line| line.starts_with(verb)), "{verb} is not shown");
    }
    for line in commands {
        if line.starts_with("cargo ") {
            // This very build; what it names has to exist.
            let words: Vec<&str> = line.split(' ').collect();
            let after = |flag: &str| {
                words
                    .iter()
                    .position(|word| *word == flag)
                    .and_then(|at| words.get(at + 1))
                    .copied()
            };
            let manifest = root().join(after("--path").unwrap()).join("Cargo.toml");
            assert!(
                std::fs::read_to_string(manifest).unwrap().contains("name = \"datamigration\"")
            );
            let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
            assert!(workspace.contains(&format!("[profile.{}]", after("--profile").unwrap())));
        } else if line.starts_with("datamigration local ") {
            serves(clone.path(), line);
        } else {
            let output = shell(clone.path(), line).output().unwrap();
            assert!(output.status.success(), "{line}\n{}", text(&output));
        }
    }
}

/// A database serves until it is asked to stop.
fn serves(clone: &Path, line: &str) {
    use std::io::{BufRead as _, BufReader};
    // The port of the README may be in use here.
    let line = format!("exec {line} --listen 127.0.0.1:0");
    let mut child = shell(clone, &line).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let served = lines.map_while(Result::ok).any(|line| line.starts_with("DynamoDB at http://"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(served, "{line} did not serve");
}

/// What of a line does not depend on when and where it was printed.
fn stable(line: &str) -> Option<String> {
    let line = line.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let changes = ["digest", "about ", "http://", "e.g.", ".datamigration", "run:"];
    (!line.trim().is_empty() && !changes.iter().any(|part| line.contains(part))).then_some(line)
}

#[test]
fn the_recording_shows_what_the_commands_print_today() {
    let clone = clone();
    let texts = RECORDING.split("<text ").skip(1);
    let lines = texts.filter_map(|text| text.split_once('>')?.1.split_once("</text>"));
    let lines: Vec<&str> = lines.map(|(line, _)| line).collect();
    let mut printed = String::new();
    let mut compared = 0;
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            let output = shell(clone.path(), command).output().unwrap();
            assert!(output.status.success(), "{command}\n{}", text(&output));
            printed = text(&output);
        } else if let Some(line) = stable(line) {
            // A long line is cut in the picture.
            assert!(printed.lines().any(|found| found.starts_with(&line)), "{line}\n{printed}");
            compared += 1;
        }
    }
    assert!(compared > 10, "{compared} lines were compared");
}
