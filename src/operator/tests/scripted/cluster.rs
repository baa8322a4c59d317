//! A fake of the Job controller, the kubelet and the garbage collector, one move at a time. It
//! keeps to what the real ones promise about pods, their finalizers and the Job's conditions, and
//! notes each time a program was started.

use dm_contract::plan::{Mode, Plan};
use dm_contract::report::{Archived, ProgramResult, REPORT_VERSION};
use dm_contract::verdict::{LedgerVerdict, RunOutcome};
use dm_operator::objects::RECORD_OF_LABEL;
use serde_json::{Value, json};

use crate::api_server::{Objects, is_deleting};
use crate::job_controller::{
    TRACKING, count_pods, create_pod, drop_finalizer, index_of, is_tracked, job_moves,
};
use crate::ledger::Ledger;
pub use crate::moves::{Move, name};
use crate::results::{guard_result, of_part, restore_result, without_journal, without_requests};

/// One start of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub run: u32,
    /// What happens to its writes.
    pub mode: Mode,
    /// Of a restore or its preview: the run that it restores.
    pub restores: Option<u32>,
    /// Uid of the Job.
    pub job: String,
    /// Of a run that is split: the part.
    pub part: Option<u32>,
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
#[allow(clippy::struct_excessive_bools, reason = "each is a separate trouble")]
#[derive(Debug, Default)]
pub struct Cluster {
    /// Every start, in order.
    pub starts: Vec<Start>,
    /// Programs that write and ended with 0 without having been asked to stop.
    pub completed: usize,
    /// Runs that a restore has restored whole.
    pub restored: Vec<u32>,
    /// Starts of a program that applies over an earlier one that was not restored whole.
    pub laid_over: Vec<Start>,
    /// Exit code of programs that are not stopped.
    pub exit_code: i32,
    /// Whether programs send their guard no request.
    pub silent: bool,
    /// The part whose program alone ends with that code; the others end with 0.
    pub failing: Option<u32>,
    /// Whether programs run until they are stopped.
    pub endless: bool,
    /// Whether a stopped program ends with 0, as one with its own handler may.
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

    /// Ends the program of one pod, which is not the next in turn.
    pub fn end_program(&mut self, objects: &mut Objects, pod: &str) {
        self.end(objects, pod);
    }

    fn start(&mut self, objects: &mut Objects, pod: &str) {
        let at = objects.now().to_string();
        let object = objects.get("pods", pod).unwrap();
        if object["metadata"]["labels"][RECORD_OF_LABEL].is_string() {
            let container = &object["spec"]["containers"][0];
            let code = self.ledger.record(&plan_in(container), &container["args"]);
            let phase = if code == 0 { "Succeeded" } else { "Failed" };
            let end = status("record", &json!({"terminated": {"exitCode": code}}));
            let status = json!({"phase": phase, "containerStatuses": [end]});
            objects.change("pods", pod, |pod| pod["status"] = status);
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
            part: plan.parts.and_then(|_| index_of(object)),
        };
        let is_under = |earlier: &Start| {
            earlier.applies() && earlier.run != start.run && !self.restored.contains(&earlier.run)
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
        self.writing.0 -= usize::from(mode == Mode::Apply);
        let began = object["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
            .as_str()
            .map(str::to_owned);
        let shut_down = self.shut_down.filter(|_| plan.restore.is_none());
        let (exit_code, signal) = self.end_of_program(object, shut_down);
        let ended = |message: String, code: i32| {
            json!({"terminated": {
                "exitCode": code, "startedAt": began, "finishedAt": at, "message": message,
                "reason": if code == 0 { "Completed" } else { "Error" },
            }})
        };
        if let Some(restore) = plan.restore {
            return self.end_restore(objects, pod, (mode, restore.run), &ended);
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
            left_running: None,
            start_error: None,
            second_run: None,
            last_lines: vec!["all cars done".into()],
            log_problem: None,
        };
        let asked = has_ledger(object);
        let part = plan.parts.and_then(|_| index_of(object));
        let mut result_of_guard = of_part(guard_result(mode), part, code_of_pod);
        if self.silent {
            result_of_guard = without_requests(result_of_guard);
        }
        if asked && !mute {
            let accepts = plan.archive.as_ref().is_some_and(|archive| archive.expect_no_requests);
            let succeeded = code_of_pod == 0 && (accepts || !self.silent);
            let outcome = if succeeded { RunOutcome::Succeeded } else { RunOutcome::Failed };
            let completed = self.ledger.end(&plan, part, outcome).then_some(outcome);
            result_of_guard.archived = Some(Archived { completed, ..Archived::default() });
        }
        let guard = serde_json::to_string(&result_of_guard).unwrap();
        let program = match shut_down {
            Some(ShutDown::OwnEntrypoint) => String::new(),
            Some(ShutDown::BehindEntry) | None => serde_json::to_string(&result).unwrap(),
        };
        let mut inits = vec![status("guard", &ended(guard, 0))];
        inits.extend(asked.then(|| status("ledger", &let_through(&at))));
        objects.change("pods", pod, |pod| {
            let earlier = pod["status"]["conditions"].clone();
            pod["status"] = json!({
                "phase": if code_of_pod == 0 { "Succeeded" } else { "Failed" },
                "conditions": if shut_down.is_some() { disrupted(&at) } else { earlier },
                "initContainerStatuses": inits,
                "containerStatuses": [status("program", &ended(program, code_of_pod))],
            });
        });
    }

    /// Exit code and signal of a program that ends now.
    fn end_of_program(&self, object: &Value, shut_down: Option<ShutDown>) -> (i32, Option<i32>) {
        match (is_deleting(object), self.graceful) {
            _ if shut_down.is_some() => (0, None),
            (true, false) => (143, Some(15)),
            (true, true) => (0, None),
            (false, _) if self.failing.is_some_and(|part| index_of(object) != Some(part)) => {
                (0, None)
            }
            (false, _) => (self.exit_code, None),
        }
    }

    fn end_restore(
        &mut self,
        objects: &mut Objects,
        pod: &str,
        (mode, run): (Mode, u32),
        ended: &impl Fn(String, i32) -> Value,
    ) {
        let deleting = is_deleting(objects.get("pods", pod).unwrap());
        // It ends with 0 only where it has finished.
        let finished = !deleting && self.exit_code == 0 && !self.ledger.journals_gone;
        let said = restore_result(mode, run, finished);
        let said = if self.ledger.journals_gone { without_journal(said) } else { said };
        let code = i32::from(said.exit_code());
        if finished && mode == Mode::Apply {
            self.restored.push(run);
            self.ledger.restored.insert(run);
        }
        let said = said.to_message();
        objects.change("pods", pod, |pod| {
            pod["status"] = json!({
                "phase": if code == 0 { "Succeeded" } else { "Failed" },
                "conditions": pod["status"]["conditions"],
                "containerStatuses": [status("restore", &ended(said, code))],
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

fn disrupted(at: &str) -> Value {
    json!([{
        "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
        "lastTransitionTime": at,
        "message": "Pod was terminated in response to imminent node shutdown.",
    }])
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
        "name": name, "ready": true, "restartCount": 0, "image": "x", "imageID": "x",
        "state": state,
    })
}

fn label(object: &Value, label: &str) -> String {
    object["metadata"]["labels"][label].as_str().unwrap().to_owned()
}
