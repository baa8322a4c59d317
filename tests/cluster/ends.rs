//! Each way in which a program ends has a reason, a message that says what state the data is in,
//! the program's last lines, and what to do now.

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunResult};
use dm_tests::cluster::{Bed, Written, condition, failure, ready, status, variable};
use serde_json::json;

#[tokio::test]
async fn a_program_that_succeeds() {
    let bed = Bed::new("succeeds").await;
    bed.database.table("things", "id").await;
    let program = "import boto3, time\n\
                   boto3.resource('dynamodb').Table('things').put_item(Item={'id': 'a'})\n\
                   time.sleep(2)\n";
    bed.submit(&Written::python("m", program).applied()).await;
    let applied = bed.phase("m", Phase::Applied).await;
    assert_eq!(condition(&applied, types::READY).unwrap().status, "True");
    assert!(condition(&applied, types::RECONCILING).is_none());
    let status = status(&applied);
    let run = &status.runs[0];
    assert_eq!((run.reason, run.exit_code), (Some(Reason::Applied), Some(0)));
    let (start, end) =
        (run.execution_time.clone().unwrap(), run.finalization_time.clone().unwrap());
    assert!(end.0.duration_since(start.0).as_secs() >= 2, "the program slept: {start:?} {end:?}");
    let recorded = run.recorded_at.as_ref().unwrap();
    assert!(run.requested_at <= start && end <= *recorded, "{run:?}");
    assert_eq!((&status.execution_time, &status.finalization_time), (&Some(start), &Some(end)));
    assert_eq!(status.progress.as_ref().unwrap().text.as_deref(), Some("100%"));
    assert!(bed.database.item("things", "id", "a").await["id"].is_object());
    bed.done().await;
}

#[tokio::test]
async fn an_exit_code_a_data_file_and_output_in_other_scripts() {
    let bed = Bed::new("exit-code").await;
    let program = "import sys, time\n\
                   time.sleep(1)\n\
                   print('Städte:', open('städte.txt', encoding='utf-8').read().strip())\n\
                   print('日本語 — ✓', file=sys.stderr)\n\
                   sys.exit(3)\n";
    let migration = Written::python("m", program)
        .file("cities.txt", "Köln, Łódź, 東京\n")
        .set(
            "script.configMap.items",
            json!([{"key": "main.py", "path": "main.py"},
                {"key": "cities.txt", "path": "städte.txt"}]),
        )
        .applied();
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!((failure.reason, failure.exit_code), (Reason::ProgramFailed, Some(3)));
    assert_eq!(failure.last_lines, ["Städte: Köln, Łódź, 東京", "日本語 — ✓"]);
    let message = &failure.message;
    assert!(message.starts_with("The program ended with exit code 3 after "), "{message}");
    assert!(message.contains("no item was written"), "{message}");
    assert!(failure.what_now.contains("set spec.retry to 1"), "{}", failure.what_now);
    let status = status(&failed);
    assert!(status.execution_time.as_ref().unwrap() < status.finalization_time.as_ref().unwrap());
    assert_eq!(condition(&failed, types::STALLED).unwrap().reason, "ProgramFailed");
    let (reason, message) = ready(&failed);
    assert_eq!(reason, "ProgramFailed");
    assert!(message.contains("exit code 3") && message.contains("spec.retry"), "{message}");
    bed.done().await;
}

#[tokio::test]
async fn a_program_that_a_signal_ends() {
    let bed = Bed::new("signal").await;
    bed.submit(&Written::shell("m", "echo before\nkill -9 $$\n").applied()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!((failure.reason, failure.signal), (Reason::ProgramKilled, Some(9)));
    assert_eq!(failure.last_lines, ["before"]);
    assert!(failure.message.contains("signal 9"), "{}", failure.message);
    bed.done().await;
}

#[tokio::test]
async fn a_program_whose_worker_outlives_it() {
    let bed = Bed::new("outlived").await;
    bed.database.table("things", "id").await;
    // The worker ignores that its parent has ended, and has not written all that it was to write.
    let program = "import boto3, os, time\n\
                   table = boto3.resource('dynamodb').Table('things')\n\
                   table.put_item(Item={'id': 'parent'})\n\
                   if os.fork() == 0:\n\
                   \x20   for i in range(600):\n\
                   \x20       table.put_item(Item={'id': f'worker-{i}'})\n\
                   \x20       time.sleep(0.1)\n";
    bed.submit(&Written::python("m", program).applied()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::ProcessesLeftRunning, "{failure:?}");
    let message = &failure.message;
    assert!(message.contains("a process that it had started still ran (python"), "{message}");
    assert!(message.contains("items were written"), "{message}");
    assert!(failure.what_now.contains("wait for the processes"), "{}", failure.what_now);
    // One that waits for its worker has succeeded.
    let program = program.replace("range(600)", "range(3)") + "else:\n    os.wait()\n";
    bed.submit(&Written::python("waits", &program).applied()).await;
    bed.phase("waits", Phase::Applied).await;
    bed.done().await;
}

#[tokio::test]
async fn a_program_that_needs_more_memory_than_it_may_have() {
    let bed = Bed::new("memory").await;
    let program = "print('filling', flush=True)\n\
                   memory = []\n\
                   while True:\n\
                   \x20   memory.append(bytearray(8 * 1024 * 1024))\n";
    let migration = Written::python("m", program)
        .set("podTemplate.resources", json!({"limits": {"memory": "64Mi"}}))
        .applied();
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::OutOfMemory, "{failure:?}");
    assert!(failure.what_now.contains("spec.podTemplate.resources.limits.memory"), "{failure:?}");
    assert!(failure.message.contains("more memory than its limit"), "{failure:?}");
    bed.done().await;
}

#[tokio::test]
async fn a_program_whose_child_needs_more_memory_than_it_may_have() {
    let bed = Bed::new("memory-child").await;
    let program = "import subprocess, sys\n\
                   child = 'a = []\\nwhile True: a.append(bytearray(8 * 1024 * 1024))'\n\
                   sys.exit(subprocess.run([sys.executable, '-c', child]).returncode and 5)\n";
    let migration = Written::python("m", program)
        .set("podTemplate.resources", json!({"limits": {"memory": "64Mi"}}))
        .applied();
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    // The kernel ends all of a container's processes or one of them; both learn as they are.
    let reason = failure(&failed).reason;
    assert!(matches!(reason, Reason::OutOfMemory | Reason::ProgramFailed), "{reason:?}");
    bed.done().await;
}

#[tokio::test]
async fn a_program_without_its_interpreter() {
    let bed = Bed::new("interpreter").await;
    bed.submit(&Written::shell("m", "#!/usr/bin/env elixir\n").applied()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::ProgramNotStarted, "{failure:?}");
    assert!(failure.message.contains("elixir"), "{failure:?}");
    assert!(failure.message.contains("nothing was written"), "{failure:?}");
    assert!(failure.what_now.contains("Correct the command, the file or the image"), "{failure:?}");
    bed.done().await;
}

#[tokio::test]
async fn a_script_that_is_not_among_the_files() {
    let bed = Bed::new("file").await;
    bed.submit(&Written::shell("m", "echo here\n").set("script.file", json!("other.sh"))).await;
    let message = bed.reason("m", Reason::InvalidSpec).await;
    assert_eq!(message, "spec.script.file: there is no file other.sh; there are main.sh");
    assert!(bed.jobs().await.is_empty());
    bed.patch("m", &json!({"spec": {"script": {"file": "main.sh"}}})).await;
    bed.phase("m", Phase::DryRunOk).await;
    bed.done().await;
}

#[tokio::test]
async fn a_run_that_takes_longer_than_it_may() {
    let bed = Bed::new("deadline").await;
    let program = "trap 'echo told to stop; exit 0' TERM\necho begun\nsleep 120 & wait\n";
    let migration = Written::shell("m", program).set("activeDeadlineSeconds", json!(10)).applied();
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::DeadlineExceeded, "{failure:?}");
    assert_eq!(failure.last_lines, ["begun", "told to stop"]);
    assert!(failure.what_now.contains("spec.activeDeadlineSeconds"), "{failure:?}");
    assert!(status(&failed).finalization_time.is_some(), "the program's end");
    bed.done().await;
}

#[tokio::test]
async fn a_program_in_an_image_behind_its_command() {
    let bed = Bed::new("command").await;
    let container = json!({
        "image": variable("DM_IMAGE_PYTHON"),
        "command": ["sh", "-c", "echo $1 in $PWD as $WHO; exit 7", "sh"],
        "args": ["argument"],
        "env": [{"name": "WHO", "value": "me"}],
        "workingDir": "/tmp",
    });
    bed.submit(&Written::container("m", &container).applied()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!((failure.reason, failure.exit_code), (Reason::ProgramFailed, Some(7)));
    assert_eq!(failure.last_lines, ["argument in /tmp as me"]);
    bed.done().await;
}

#[tokio::test]
async fn a_program_in_an_image_that_starts_it() {
    let bed = Bed::new("entrypoint").await;
    let container = json!({"image": variable("DM_IMAGE_PROGRAM")});
    bed.submit(&Written::container("m", &container).applied()).await;
    // The image's program reads a table that is not there yet.
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!((failure.reason, failure.exit_code), (Reason::ProgramFailed, Some(1)));
    let last = failure.last_lines.last().expect("last lines");
    assert!(last.contains("ResourceNotFoundException"), "{failure:?}");

    bed.database.table("cars", "id").await;
    bed.database.table("makers", "maker").await;
    let car = json!({"id": {"S": "1"}, "brand": {"S": "vw"}, "year": {"N": "1970"}});
    bed.database.put("cars", &[car]).await;
    bed.patch("m", &json!({"spec": {"retry": 1}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let maker = bed.database.item("makers", "maker", "volkswagen").await;
    assert_eq!(maker["cars"]["N"], "1");
    let run = &status(&applied).runs[0];
    assert_eq!(run.result, RunResult::Succeeded);
    assert!(run.execution_time <= run.finalization_time && run.execution_time.is_some());
    bed.done().await;
}
