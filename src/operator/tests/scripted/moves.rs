//! What the fake of the cluster can do, one move at a time.

use serde_json::Value;

/// One thing that the cluster does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// The Job controller creates a pod.
    CreatePod(String),
    /// The Job controller stops a suspended Job's pod.
    StopPod(String),
    /// The Job controller counts ended pods, and says how the Job ended.
    CountPods(String),
    /// The kubelet starts the program.
    StartProgram(String),
    /// The program ends, by itself or because its pod is deleted.
    EndProgram(String),
    /// A pod is given up before anything ran in it.
    GiveUpPod(String),
    /// The Job controller takes its finalizer off a pod whose Job is gone.
    Untrack(String),
    /// The garbage collector deletes an object (plural, name) whose owner is gone.
    Collect(String, String),
}

pub fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}
