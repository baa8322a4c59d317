//! The pod of a run: restricted, without credentials where the program is, and with files as they
//! were written.

use dm_api::condition::Reason;
use dm_api::status::Phase;
use dm_tests::cluster::{Bed, Written, effects, failure, status, target};
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// Prints what a program could find of credentials, and fails if it found any.
const LOOKS_FOR_CREDENTIALS: &str = r#"
import os, sys

found = []
for folder, _, files in os.walk("/var/run/secrets"):
    found += [os.path.join(folder, file) for file in files]
for name, value in sorted(os.environ.items()):
    if sys.argv[1] in value or "TOKEN" in name:
        found.append(name)
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{process}/environ") as file:
            if sys.argv[1] in file.read():
                found.append(f"process {process}")
    except OSError:
        pass
print("uid", os.getuid(), "sees", found)
with open("/proc/self/status") as file:
    for line in file:
        if line.startswith(("CapEff", "NoNewPrivs", "Seccomp:")):
            print(line.strip())
sys.exit(bool(found) or os.getuid() == 0)
"#;

#[tokio::test]
async fn the_program_has_no_credentials() {
    let bed = Bed::new("pods-secrets").await;
    let migration = Written::python("m", LOOKS_FOR_CREDENTIALS)
        .set("script.args", json!([bed.access_key]))
        .applied();
    bed.submit(&migration).await;
    bed.phase("m", Phase::Applied).await;
    let logs = bed.kubectl(&["logs", "job/m-1-apply", "--container", "program"]);
    assert!(logs.contains("uid 65532 sees []"), "{logs}");
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(logs.contains(line), "{line}: {logs}");
    }
    bed.done().await;
}

#[tokio::test]
async fn every_container_is_restricted_and_only_the_guard_has_the_secret() {
    let bed = Bed::new("pods-restricted").await;
    // The namespace enforces Pod Security's restricted profile: the pod's being there is the proof.
    let namespace = bed.kubectl(&["get", "namespace", &bed.namespace, "--output", "json"]);
    let namespace: Value = serde_json::from_str(&namespace).unwrap();
    let labels = &namespace["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    bed.submit(&Written::shell("m", "echo done\n")).await;
    bed.phase("m", Phase::DryRunOk).await;
    let pod = bed.pods().await.pop().unwrap();
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    let containers: Vec<_> =
        spec.init_containers.iter().flatten().chain(&spec.containers).collect();
    assert_eq!(containers.len(), 3);
    for container in containers {
        let secret = serde_json::to_string(&container.env).unwrap().contains("secretKeyRef");
        assert_eq!(secret, container.name == "guard", "{}", container.name);
        let token = serde_json::to_string(&container.volume_mounts).unwrap();
        assert!(!token.contains("serviceaccount"), "{}: {token}", container.name);
    }
    bed.done().await;
}

#[tokio::test]
async fn past_the_guard_worthless_credentials_reach_nothing() {
    let bed = Bed::new("pods-past").await;
    bed.database.table("things", "id").await;
    // The database is open to the pod's network here; its tables are not open to other credentials.
    let program = "import boto3, os, sys\n\
                   past = boto3.client('dynamodb', endpoint_url=sys.argv[1])\n\
                   print('past the guard', past.list_tables()['TableNames'])\n\
                   print('through the guard', \
                   boto3.client('dynamodb').list_tables()['TableNames'])\n\
                   sys.exit(1)\n";
    let endpoint = dm_tests::cluster::variable("DYNAMODB_ENDPOINT_IN_CLUSTER");
    let migration = Written::python("m", program).set("script.args", json!([endpoint])).applied();
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).last_lines, ["past the guard []", "through the guard ['things']"]);
    bed.done().await;
}

#[tokio::test]
async fn a_table_that_the_target_does_not_allow_is_refused() {
    let bed = Bed::new("pods-policy").await;
    for table in ["cars", "customers"] {
        bed.database.table(table, "id").await;
    }
    let policy = json!({"policy": {"tables": ["car*"]}});
    bed.apply(&target("cars-only", &policy)).await;
    let program = "import boto3\n\
                   dynamodb = boto3.resource('dynamodb')\n\
                   dynamodb.Table('cars').put_item(Item={'id': '1'})\n\
                   dynamodb.Table('customers').put_item(Item={'id': '1'})\n";
    let migration = Written::python("m", program).set("target.name", json!("cars-only"));
    bed.submit(&migration).await;
    let tried = bed.phase("m", Phase::DryRunFailed).await;
    let remarks = &effects(&tried).remarks;
    assert!(
        remarks.iter().any(|r| r.operation == "PutItem" && r.why.contains("customers")),
        "the status says what was refused: {remarks:?}"
    );

    bed.patch("m", &json!({"spec": {"dryRun": false, "retry": 1}})).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let failure = failure(&failed);
    assert_eq!(failure.reason, Reason::ProgramFailed);
    let last = failure.last_lines.last().unwrap();
    assert!(last.contains("AccessDenied") && last.contains("customers"), "{last}");
    let report = status(&failed).applied.as_ref().unwrap().effects.as_ref().unwrap();
    let refused = report.remarks.iter().any(|remark| remark.why.contains("customers"));
    assert!(refused, "{:?}", report.remarks);
    assert!(failure.message.contains("1 item was written"), "{}", failure.message);
    assert_eq!(bed.database.items("customers").await, [""; 0]);
    assert_eq!(bed.database.items("cars").await.len(), 1);
    bed.done().await;
}

#[tokio::test]
async fn binary_files_arrive_byte_for_byte_in_their_folders() {
    let bed = Bed::new("pods-files").await;
    let program = "import hashlib\n\
                   data = open('data/deep/bytes.bin', 'rb').read()\n\
                   assert data == bytes(range(256)), data\n\
                   print(hashlib.sha256(data).hexdigest(), open('data/text.txt').read())\n\
                   open('data/written-beside', 'w').write('the folder is writable')\n\
                   raise SystemExit(1)\n";
    // The 256 bytes from 0 to 255.
    let bytes = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7\
                 PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3\
                 eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKz\
                 tLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v\
                 8PHy8/T19vf4+fr7/P3+/w==";
    let mut files = dm_tests::cluster::files_of(
        "m",
        &json!({"main.py": program, "text": "no newline at the end"}),
    );
    files["binaryData"] = json!({"bytes": bytes});
    bed.apply(&files).await;
    let migration = Written::python("m", program).applied().set(
        "script.configMap.items",
        json!([
            {"key": "main.py", "path": "main.py"},
            {"key": "bytes", "path": "data/deep/bytes.bin"},
            {"key": "text", "path": "data/text.txt"},
        ]),
    );
    bed.apply(&migration.object).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(
        failure(&failed).last_lines,
        ["40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880 no newline at the end"]
    );
    bed.done().await;
}

#[tokio::test]
async fn settings_of_the_pod_arrive() {
    let bed = Bed::new("pods-settings").await;
    bed.apply(&dm_tests::cluster::files_of("extra", &json!({"note": "from a volume"}))).await;
    let migration = Written::shell("m", "id -u; cat /extra/note; exit 1\n")
        .set("podTemplate.metadata", json!({"labels": {"team": "cars"}, "annotations": {"a": "b"}}))
        .set("podTemplate.runAsUser", json!(4321))
        .set(
            "podTemplate.resources",
            json!({"requests": {"cpu": "5m"}, "limits": {"memory": "100Mi"}}),
        )
        .set("podTemplate.volumes", json!([{"name": "extra", "configMap": {"name": "extra"}}]))
        .set("podTemplate.volumeMounts", json!([{"name": "extra", "mountPath": "/extra"}]))
        .set("podTemplate.tolerations", json!([{"key": "batch", "operator": "Exists"}]))
        .applied();
    bed.submit(&migration).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).last_lines, ["4321", "from a volume"]);
    let pod = bed.pods().await.pop().unwrap();
    assert_eq!(pod.labels()["team"], "cars");
    assert_eq!(pod.annotations()["a"], "b");
    let memory =
        &pod.spec.unwrap().containers[0].resources.clone().unwrap().limits.unwrap()["memory"];
    assert_eq!(memory.0, "100Mi");
    bed.done().await;
}
