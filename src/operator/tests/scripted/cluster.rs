//! A fake of the Job controller, the kubelet and the garbage collector, one move at a time. It
//! keeps to what the real ones promise about pods, their finalizers and the Job's conditions, and
//! notes each time a program was started.

use dm_contract::plan::{Mode, Plan};
use dm_contract::report::{Archived, ProgramResult, REPORT_VERSION};
use dm_contract::verdict::{LedgerVerdict, RunOutcome};
use dm_operator::objects::RECORD_OF_LABEL;
use serde_json::{Value, json};

use crate::api_server::{Objects, finalizers, is_deleting};
use crate::ledger::Ledger;
use crate::results::{guard_result, restore_result, without_journal};

/// The Job controller's own finalizer on pods that it has not counted yet.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";

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

/// One start of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The run's number.
    pub run: u32,
    /// What happens to its writes.
    pub mode: Mode,
    /// Of a restore or its preview: the run that it takes back.
    pub restores: Option<u32>,
    /// Uid of the Job.
    pub job: String,
}

/// A node that shuts down: it asks its pods' programs to end and deletes no pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutDown {
    /// The program runs behind the entry program, which knows that it was asked.
    BehindEntry,
    /// The image's own entrypoint runs: only the kubelet knows.
    OwnEntrypoint,
}

/// What ran, and how programs end here.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Every start, in order.
    pub starts: Vec<Start>,
    /// Programs that write and ended with 0 without having been asked to stop.
    pub completed: usize,
    /// Runs that a restore has taken back whole.
    pub taken_back: Vec<u32>,
    /// Starts of a program that applies over an earlier one that was not taken back whole.
    pub laid_over: Vec<Start>,
    /// Exit code of programs that are not stopped.
    pub exit_code: i32,
    /// Whether programs run until they are stopped.
    pub endless: bool,
    /// Whether a stopped program ends with 0, as one with a handler of its own may.
    pub graceful: bool,
    /// Whether nodes shut down while programs run, which then end with 0 half way.
    pub shut_down: Option<ShutDown>,
    /// The ledger of the target's archive, if it has one.
    pub ledger: Ledger,
    /// Whether guards die before they have noted their run's end there.
    pub mute: bool,
    /// Programs that write and are running, and the most that ever were.
    pub writing: (usize, usize),
}

impl Cluster {
    /// Everything the cluster would do now.
    pub fn moves(&self, objects: &Objects) -> Vec<Move> {
        let mut moves = Vec::new();
        for job in objects.all("jobs") {
            moves.extend(job_moves(objects, job));
        }
        for pod in objects.all("pods") {
            moves.extend(self.pod_move(pod));
        }
        for plural in ["jobs", "pods", "configmaps"] {
            for object in objects.all(plural) {
                if !is_orphan(objects, object) {
                    continue;
                }
                if plural == "pods" && is_tracked(object) {
                    moves.push(Move::Untrack(name(object)));
                } else if !is_deleting(object) {
                    moves.push(Move::Collect(plural.to_owned(), name(object)));
                }
            }
        }
        moves
    }

    /// Makes a move.
    pub fn make(&mut self, objects: &mut Objects, step: &Move) {
        objects.pass_seconds(1);
        match step {
            Move::CreatePod(job) => create_pod(objects, job),
            Move::StopPod(pod) => {
                // It takes its finalizer off first, so that the pod is not counted as failed
                // (pkg/controller/job/job_controller.go, deleteJobPods).
                objects.change("pods", pod, |pod| drop_finalizer(pod, TRACKING));
                objects.delete("pods", pod);
            }
            Move::CountPods(job) => count_pods(objects, job),
            Move::StartProgram(pod) => self.start(objects, pod),
            Move::EndProgram(pod) => self.end(objects, pod),
            Move::GiveUpPod(pod) => {
                objects.change("pods", pod, |pod| pod["status"]["phase"] = json!("Failed"));
            }
            Move::Untrack(pod) => {
                objects.change("pods", pod, |pod| drop_finalizer(pod, TRACKING));
            }
            Move::Collect(plural, name) => objects.delete(plural, name),
        }
    }

    fn pod_move(&self, pod: &Value) -> Option<Move> {
        let stopping = is_deleting(pod);
        match pod["status"]["phase"].as_str()? {
            "Pending" if stopping => Some(Move::GiveUpPod(name(pod))),
            "Pending" => Some(Move::StartProgram(name(pod))),
            "Running" if stopping || !self.endless => Some(Move::EndProgram(name(pod))),
            _ => None,
        }
    }

    fn start(&mut self, objects: &mut Objects, pod: &str) {
        let at = objects.now().to_string();
        let object = objects.get("pods", pod).unwrap();
        if object["metadata"]["labels"][RECORD_OF_LABEL].is_string() {
            let container = &object["spec"]["containers"][0];
            let told = self.ledger.record(&plan_in(container), &container["args"]);
            let phase = if told { "Succeeded" } else { "Failed" };
            objects.change("pods", pod, |pod| pod["status"] = json!({"phase": phase}));
            return;
        }
        let plan = plan_of(object);
        if has_ledger(object) {
            let verdict = self.ledger.ask(&plan);
            if verdict.exit_code() != 0 {
                refuse(objects, pod, &verdict);
                return;
            }
        }
        if plan.mode == Mode::Apply {
            self.writing.0 += 1;
            self.writing.1 = self.writing.1.max(self.writing.0);
        }
        let start = Start {
            run: label(object, dm_api::RUN_LABEL).parse().unwrap(),
            mode: plan.mode,
            restores: plan.restore.map(|restore| restore.run),
            job: object["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap().to_owned(),
        };
        let is_under = |earlier: &Start| {
            earlier.applies() && earlier.run != start.run && !self.taken_back.contains(&earlier.run)
        };
        if start.applies() && self.starts.iter().any(is_under) {
            self.laid_over.push(start.clone());
        }
        self.starts.push(start);
        objects.change("pods", pod, |pod| {
            let running = json!({"running": {"startedAt": at}});
            let mut inits = vec![status("guard", &running)];
            inits.extend(has_ledger(pod).then(|| status("ledger", &let_through(&at))));
            pod["spec"]["nodeName"] = json!("node-1");
            pod["status"] = if plan.restore.is_some() {
                json!({"phase": "Running", "containerStatuses": [status("restore", &running)]})
            } else {
                json!({
                    "phase": "Running",
                    "initContainerStatuses": inits,
                    "containerStatuses": [status("program", &running)],
                })
            };
        });
    }

    fn end(&mut self, objects: &mut Objects, pod: &str) {
        let at = objects.now().to_string();
        let object = objects.get("pods", pod).unwrap();
        let plan = plan_of(object);
        let mode = plan.mode;
        if mode == Mode::Apply {
            self.writing.0 -= 1;
        }
        let began = object["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
            .as_str()
            .map(str::to_owned);
        let shut_down = self.shut_down.filter(|_| plan.restore.is_none());
        let (exit_code, signal) = match (is_deleting(object), self.graceful) {
            _ if shut_down.is_some() => (0, None),
            (true, false) => (143, Some(15)),
            (true, true) => (0, None),
            (false, _) => (self.exit_code, None),
        };
        let ended = |message: String, code: i32| {
            json!({"terminated": {
                "exitCode": code, "startedAt": began, "finishedAt": at, "message": message,
                "reason": if code == 0 { "Completed" } else { "Error" },
            }})
        };
        if let Some(restore) = plan.restore {
            // It ends with 0 only where it has finished.
            let finished =
                !is_deleting(object) && self.exit_code == 0 && !self.ledger.journals_gone;
            let said = restore_result(mode, restore.run, finished);
            let said = if self.ledger.journals_gone { without_journal(said) } else { said };
            let code = i32::from(said.exit_code());
            if finished && mode == Mode::Apply {
                self.taken_back.push(restore.run);
                self.ledger.restored.insert(restore.run);
            }
            let said = said.to_message();
            objects.change("pods", pod, |pod| {
                pod["status"] = json!({
                    "phase": if code == 0 { "Succeeded" } else { "Failed" },
                    "conditions": pod["status"]["conditions"],
                    "containerStatuses": [status("restore", &ended(said, code))],
                });
            });
            return;
        }
        if exit_code == 0 && mode == Mode::Apply && !is_deleting(object) && shut_down.is_none() {
            self.completed += 1;
        }
        let behind_entry = shut_down == Some(ShutDown::BehindEntry);
        // The entry program does not pass off as complete what was asked to end.
        let code_of_pod = if behind_entry { 143 } else { exit_code };
        let mute = self.mute || shut_down == Some(ShutDown::OwnEntrypoint);
        let result = ProgramResult {
            version: REPORT_VERSION,
            started_at: began.clone(),
            finished_at: Some(at.clone()),
            exit_code: signal.is_none().then_some(exit_code),
            signal,
            asked_to_end: behind_entry.then_some(15),
            start_error: None,
            second_run: None,
            last_lines: vec!["all cars done".into()],
            log_problem: None,
        };
        let asked = has_ledger(object);
        let mut result_of_guard = guard_result(mode);
        if asked && !mute {
            let outcome = if code_of_pod == 0 { RunOutcome::Succeeded } else { RunOutcome::Failed };
            let completed = self.ledger.complete(plan.run.number, outcome).then_some(outcome);
            result_of_guard.archived = Some(Archived { completed, ..Archived::default() });
        }
        let guard = serde_json::to_string(&result_of_guard).unwrap();
        let program = match shut_down {
            Some(ShutDown::OwnEntrypoint) => String::new(),
            Some(ShutDown::BehindEntry) | None => serde_json::to_string(&result).unwrap(),
        };
        let disrupted = json!([{
            "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
            "lastTransitionTime": at,
            "message": "Pod was terminated in response to imminent node shutdown.",
        }]);
        let mut inits = vec![status("guard", &ended(guard, 0))];
        inits.extend(asked.then(|| status("ledger", &let_through(&at))));
        objects.change("pods", pod, |pod| {
            let earlier = pod["status"]["conditions"].clone();
            pod["status"] = json!({
                "phase": if code_of_pod == 0 { "Succeeded" } else { "Failed" },
                "conditions": if shut_down.is_some() { disrupted } else { earlier },
                "initContainerStatuses": inits,
                "containerStatuses": [status("program", &ended(program, code_of_pod))],
            });
        });
    }
}

impl Start {
    /// Whether the author's program was started, and its writes reached the database.
    pub fn applies(&self) -> bool {
        self.mode == Mode::Apply && self.restores.is_none()
    }
}

fn job_moves(objects: &Objects, job: &Value) -> Vec<Move> {
    if is_deleting(job) || has_ended(job) {
        return Vec::new();
    }
    let pods = pods_of(objects, job);
    let over =
        |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let mut moves = Vec::new();
    if pods.iter().any(|pod| over(pod) && is_tracked(pod)) {
        moves.push(Move::CountPods(name(job)));
    } else if job["spec"]["suspend"] == true {
        let active = pods.iter().filter(|pod| !over(pod) && !is_deleting(pod));
        moves.extend(active.map(|pod| Move::StopPod(name(pod))));
    } else if pods.iter().all(over) {
        // podReplacementPolicy Failed: not before every other pod has ended.
        moves.push(Move::CreatePod(name(job)));
    }
    moves
}

fn create_pod(objects: &mut Objects, job: &str) {
    let job = objects.get("jobs", job).unwrap().clone();
    let template = &job["spec"]["template"];
    let is_recorder = job["metadata"]["labels"][RECORD_OF_LABEL].is_string();
    assert!(is_recorder || job["spec"]["podReplacementPolicy"] == "Failed");
    let mut held = finalizers(template);
    held.push(TRACKING.into());
    let number = objects.version();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{}-{number}", name(&job)),
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "finalizers": held,
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": name(&job),
                "uid": job["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    });
    objects.insert("pods", pod);
}

fn count_pods(objects: &mut Objects, job: &str) {
    let job_object = objects.get("jobs", job).unwrap().clone();
    let rules = job_object["spec"]["podFailurePolicy"]["rules"].as_array();
    let disruption = |rule: &&Value| rule["onPodConditions"][0]["type"] == "DisruptionTarget";
    let rule = rules.into_iter().flatten().find(disruption).cloned().unwrap_or_default();
    let codes = rules.into_iter().flatten().find(|rule| rule["onExitCodes"].is_object()).cloned();
    let mut failed = job_object["status"]["failed"].as_i64().unwrap_or(0);
    let mut end = None;
    let counted: Vec<Value> =
        pods_of(objects, &job_object).into_iter().filter(|pod| is_tracked(pod)).cloned().collect();
    for pod in &counted {
        match pod["status"]["phase"].as_str().unwrap() {
            "Succeeded" => end = Some(("Complete", "CompletionsReached")),
            "Failed" if is_disrupted(pod) && rule["action"] == "Ignore" => {}
            "Failed" if is_disrupted(pod) => end = Some(("Failed", "PodFailurePolicy")),
            "Failed" if codes.as_ref().is_some_and(|rule| is_of(rule, pod)) => {
                end = Some(("Failed", "PodFailurePolicy"));
            }
            "Failed" => failed += 1,
            _ => continue,
        }
        objects.change("pods", &name(pod), |pod| drop_finalizer(pod, TRACKING));
    }
    if end.is_none() && failed > job_object["spec"]["backoffLimit"].as_i64().unwrap() {
        end = Some(("Failed", "BackoffLimitExceeded"));
    }
    objects.change("jobs", job, |job| {
        job["status"]["failed"] = json!(failed);
        if let Some((type_, reason)) = end {
            job["status"]["conditions"] =
                json!([{"type": type_, "status": "True", "reason": reason}]);
        }
    });
}

/// Whether a Job has ended.
pub fn has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Complete" || c["type"] == "Failed")
}

fn pods_of<'a>(objects: &'a Objects, job: &Value) -> Vec<&'a Value> {
    let uid = &job["metadata"]["uid"];
    let owned = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["uid"] == *uid;
    objects.all("pods").into_iter().filter(owned).collect()
}

fn is_orphan(objects: &Objects, object: &Value) -> bool {
    let owner = &object["metadata"]["ownerReferences"][0];
    let Some(uid) = owner["uid"].as_str() else { return false };
    let plural = match owner["kind"].as_str().unwrap() {
        "DataMigration" => "datamigrations",
        "Job" => "jobs",
        other => panic!("nothing of ours is owned by a {other}"),
    };
    !objects.all(plural).iter().any(|owner| owner["metadata"]["uid"] == uid)
}

fn is_tracked(pod: &Value) -> bool {
    finalizers(pod).iter().any(|finalizer| finalizer == TRACKING)
}

fn is_disrupted(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "DisruptionTarget")
}

fn drop_finalizer(object: &mut Value, finalizer: &str) {
    let rest: Vec<String> = finalizers(object).into_iter().filter(|f| f != finalizer).collect();
    object["metadata"]["finalizers"] = json!(rest);
}

/// Whether a rule of the failure policy speaks of this pod's exit code.
fn is_of(rule: &Value, pod: &Value) -> bool {
    let codes = &rule["onExitCodes"];
    let statuses = ["initContainerStatuses", "containerStatuses"];
    let statuses = statuses.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    statuses.filter(|status| status["name"] == codes["containerName"]).any(|status| {
        let code = &status["state"]["terminated"]["exitCode"];
        codes["values"].as_array().unwrap().contains(code)
    })
}

fn has_ledger(pod: &Value) -> bool {
    let inits = pod["spec"]["initContainers"].as_array();
    inits.into_iter().flatten().any(|container| container["name"] == "ledger")
}

fn let_through(at: &str) -> Value {
    json!({"terminated": {"exitCode": 0, "startedAt": at, "finishedAt": at}})
}

/// The ledger's container ends, and the pod with it.
fn refuse(objects: &mut Objects, pod: &str, verdict: &LedgerVerdict) {
    let at = objects.now().to_string();
    let end = json!({"terminated": {
        "exitCode": verdict.exit_code(), "startedAt": at, "finishedAt": at,
        "message": verdict.to_message(),
    }});
    objects.change("pods", pod, |pod| {
        pod["spec"]["nodeName"] = json!("node-1");
        pod["status"] =
            json!({"phase": "Failed", "initContainerStatuses": [status("ledger", &end)]});
    });
}

/// The plan in a container's environment.
fn plan_in(container: &Value) -> Plan {
    serde_json::from_str(container["env"][0]["value"].as_str().unwrap()).unwrap()
}

/// The plan of the guard, or of the restore.
fn plan_of(pod: &Value) -> Plan {
    let containers = [&pod["spec"]["initContainers"], &pod["spec"]["containers"]];
    let mut all = containers.into_iter().filter_map(Value::as_array).flatten();
    let ours = |container: &&Value| container["name"] == "guard" || container["name"] == "restore";
    plan_in(all.find(ours).unwrap())
}

fn status(name: &str, state: &Value) -> Value {
    json!({
        "name": name, "ready": true, "restartCount": 0, "image": "x", "imageID": "x", "state": state,
    })
}

fn label(object: &Value, label: &str) -> String {
    object["metadata"]["labels"][label].as_str().unwrap().to_owned()
}

/// An object's name.
pub fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}
