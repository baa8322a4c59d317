//! kubectl, and everything it has to say of a namespace in which a test failed.

use std::process::{Command, Output};

/// What kubectl prints; it must succeed.
pub fn kubectl(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {}: {errors}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
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
