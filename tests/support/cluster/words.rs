//! kubectl, and everything it has to say of a namespace in which a test failed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// What kubectl prints; it must succeed.
pub fn kubectl(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {}: {errors}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What kubectl prints when it reads this, or what it says of an error.
pub fn try_kubectl(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("kubectl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("kubectl on the PATH");
    // It may end without reading it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("kubectl's output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Prints a namespace's migrations, pods with their logs, and events.
pub fn everything(namespace: &str) {
    eprintln!("\n===== what is in namespace {namespace}, which stays to be looked at =====");
    tell(&["--namespace", namespace, "get", "datamigrations", "--output", "yaml"]);
    tell(&["--namespace", namespace, "get", "jobs,pods,configmaps", "--output", "wide"]);
    tell(&[
        "--namespace",
        namespace,
        "get",
        "events",
        "--sort-by",
        ".metadata.creationTimestamp",
        "--output",
        "custom-columns=KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,\
         MESSAGE:.message",
    ]);
    let names = run(&["--namespace", namespace, "get", "pods", "--output", "name"]);
    for pod in String::from_utf8_lossy(&names.stdout).lines() {
        tell(&["--namespace", namespace, "logs", pod, "--all-containers", "--prefix", "--tail=40"]);
        let statuses = "jsonpath={.status}";
        tell(&["--namespace", namespace, "get", pod, "--output", statuses]);
    }
    eprintln!("===== end of namespace {namespace} =====\n");
}

fn tell(arguments: &[&str]) {
    let output = run(arguments);
    eprintln!(
        "$ kubectl {}\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn run(arguments: &[&str]) -> Output {
    let output = Command::new("kubectl").args(arguments).output();
    output.expect("kubectl on the PATH; `cargo xtask test cluster` puts it there")
}
