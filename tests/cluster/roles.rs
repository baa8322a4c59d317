//! What the chart's roles and admission policies allow, as the API server applies them.

use dm_api::DataMigration;
use dm_api::status::Phase;
use dm_tests::cluster::{Bed, OPERATOR_NAMESPACE, REGION, TARGET, try_kubectl, variable};
use serde_json::{Value, json};

/// What every car gets.
const ADD_WHEELS: &str = "import boto3\n\
    cars = boto3.resource('dynamodb').Table('cars')\n\
    for car in cars.scan()['Items']:\n\
    \x20   cars.update_item(Key={'id': car['id']}, UpdateExpression='SET wheels = :four',\n\
    \x20       ConditionExpression='attribute_not_exists(wheels)',\n\
    \x20       ExpressionAttributeValues={':four': 4})\n\
    print('wheels are on')\n";

/// Somebody who uses kubectl in the namespace of a test.
struct User<'a> {
    bed: &'a Bed,
    account: String,
}

impl<'a> User<'a> {
    /// An account of the namespace that has one of the chart's roles there.
    async fn with_role(bed: &'a Bed, role: &str) -> Self {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role},
        });
        bed.apply(&account).await;
        let subject = json!({"kind": "ServiceAccount", "name": role, "namespace": bed.namespace});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": format!("datamigration-{role}"),
            },
            "subjects": [subject],
        });
        bed.apply(&binding).await;
        Self { bed, account: format!("system:serviceaccount:{}:{role}", bed.namespace) }
    }

    /// The operator itself.
    fn operator(bed: &'a Bed) -> Self {
        Self { bed, account: format!("system:serviceaccount:{OPERATOR_NAMESPACE}:datamigration") }
    }

    fn try_kubectl(&self, arguments: &str, input: &Value) -> Result<String, String> {
        let mut all = vec!["--namespace", &self.bed.namespace, "--as", &self.account];
        all.extend(arguments.split_whitespace());
        try_kubectl(&all, &input.to_string())
    }

    fn kubectl(&self, arguments: &str) -> String {
        self.try_kubectl(arguments, &Value::Null)
            .unwrap_or_else(|error| panic!("{}: kubectl {arguments}: {error}", self.account))
    }

    /// Whether the API server would let the user do this.
    fn may(&self, verb_and_resource: &str) -> bool {
        let answer = self.try_kubectl(&format!("auth can-i {verb_and_resource}"), &Value::Null);
        answer.is_ok_and(|answer| answer.trim() == "yes")
    }
}

#[tokio::test]
async fn an_author_takes_every_step_of_a_first_migration() {
    let bed = Bed::new("role-author").await;
    bed.database.table("cars", "id").await;
    bed.database.put("cars", &[json!({"id": {"S": "a"}})]).await;
    let author = User::with_role(&bed, "author").await;

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("main.py");
    std::fs::write(&program, ADD_WHEELS).unwrap();
    author.kubectl(&format!("create configmap add-wheels --from-file={}", program.display()));
    let migration = json!({
        "apiVersion": "datamigration.dev/v1alpha1",
        "kind": "DataMigration",
        "metadata": {"name": "add-wheels"},
        "spec": {
            "description": "Every car gets the number of its wheels.",
            "target": {"name": TARGET},
            "script": {"configMap": {"name": "add-wheels"}, "image": variable("DM_IMAGE_PYTHON")},
        },
    });
    author.try_kubectl("apply --filename -", &migration).unwrap();
    bed.phase("add-wheels", Phase::DryRunOk).await;
    assert!(author.kubectl("get datamigrations").contains("DryRunOK"));
    assert!(author.kubectl("get migrationtargets").contains(REGION));
    assert!(
        author.kubectl("describe datamigration add-wheels").contains("would update 1 item in cars")
    );
    let promote =
        "patch datamigration add-wheels --type merge --patch {\"spec\":{\"dryRun\":false}}";
    author.kubectl(promote);
    bed.phase("add-wheels", Phase::Applied).await;
    let described = author.kubectl("describe datamigration add-wheels");
    assert!(described.contains("Applied") && described.contains("Events:"), "{described}");
    let log = author.kubectl("logs job/add-wheels-2-apply --container program");
    assert!(log.contains("wheels are on"), "{log}");
    assert!(author.kubectl("get jobs,pods").contains("add-wheels-2-apply"));
    assert!(author.kubectl("get events").contains("add-wheels"));
    author.kubectl("delete datamigration add-wheels");
    bed.gone::<DataMigration>("add-wheels").await;
    bed.done().await;
}

#[tokio::test]
async fn no_role_reaches_credentials_or_starts_pods() {
    let bed = Bed::new("role-limits").await;
    let author = User::with_role(&bed, "author").await;
    let viewer = User::with_role(&bed, "viewer").await;
    let owner = User::with_role(&bed, "target-owner").await;
    let nobodys = [
        "get secrets",
        "list secrets",
        "create jobs.batch",
        "patch jobs.batch",
        "create pods",
        "create pods --subresource=exec",
        "delete pods",
        "patch datamigrations --subresource=status",
        "patch migrationtargets --subresource=status",
        "create rolebindings",
        "create serviceaccounts --subresource=token",
    ];
    for user in [&author, &viewer, &owner] {
        for what in nobodys {
            assert!(!user.may(what), "{} may {what}", user.account);
        }
        for what in ["get datamigrations", "watch migrationtargets"] {
            assert!(user.may(what), "{} may not {what}", user.account);
        }
    }
    for what in ["patch migrationtargets", "create migrationtargets"] {
        assert!(owner.may(what) && !author.may(what) && !viewer.may(what), "{what}");
    }
    for what in ["create datamigrations", "patch datamigrations", "create configmaps"] {
        assert!(author.may(what) && !owner.may(what) && !viewer.may(what), "{what}");
    }
    bed.done().await;
}

/// A ConfigMap, with the label of a run or without.
fn config_map(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels}, "data": {"key": "value"},
    })
}

#[tokio::test]
async fn the_operators_account_touches_only_objects_of_its_own() {
    let bed = Bed::new("role-operator").await;
    let operator = User::operator(&bed);
    let own = json!({"datamigration.dev/migration-uid": "1"});
    bed.apply(&config_map("theirs", &json!({"app": "shop"}))).await;
    operator.try_kubectl("create --filename -", &config_map("own", &own)).unwrap();
    operator.kubectl("delete configmap own");

    let refused = |arguments: &str, input: &Value, expected: &str| {
        let error = operator.try_kubectl(arguments, input).expect_err(arguments);
        assert!(error.contains(expected), "{arguments}: {error}");
    };
    let writes = "the operator writes objects with the label datamigration.dev/migration-uid";
    let changes = "the operator changes and deletes objects with the label";
    refused("create --filename -", &config_map("new", &json!({})), writes);
    refused("create --filename -", &config_map("new", &json!({"app": "shop"})), writes);
    refused("delete configmap theirs", &Value::Null, changes);
    let patch = "patch configmap theirs --type merge --patch";
    refused(&format!("{patch} {{\"data\":{{\"key\":\"other\"}}}}"), &Value::Null, writes);
    // It cannot make something its own, either.
    let label = "{\"metadata\":{\"labels\":{\"datamigration.dev/migration-uid\":\"1\"}}}";
    refused(&format!("{patch} {label}"), &Value::Null, changes);
    for beyond in ["get secrets", "create pods", "patch deployments.apps", "create rolebindings"] {
        assert!(!operator.may(beyond), "the operator may {beyond}");
    }
    bed.done().await;
}

/// The Job of a run as the policies let it pass.
fn job() -> Value {
    let context = json!({"allowPrivilegeEscalation": false});
    let secret = json!({"secretKeyRef": {"name": "credentials", "key": "AWS_ACCESS_KEY_ID"}});
    let guard = json!({
        "name": "guard", "image": "guard:1", "restartPolicy": "Always", "securityContext": context,
        "env": [{"name": "AWS_ACCESS_KEY_ID", "valueFrom": secret}],
        "volumeMounts": [{"name": "dm-archive", "mountPath": "/archive"}],
    });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "j", "labels": {"datamigration.dev/migration-uid": "1"}},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "initContainers": [guard],
            "containers": [{"name": "program", "image": "program:1", "securityContext": context}],
            "volumes": [{"name": "dm-archive", "persistentVolumeClaim": {"claimName": "archive"}}],
        }}},
    })
}

#[tokio::test]
async fn a_job_that_would_give_its_program_more_is_rejected() {
    let bed = Bed::new("role-jobs").await;
    let operator = User::operator(&bed);
    let create = "create --dry-run=server --filename -";
    operator.try_kubectl(create, &job()).unwrap();

    let of_credentials = json!({"secretKeyRef": {"name": "credentials", "key": "k"}});
    let variables = json!([{"name": "X", "valueFrom": of_credentials}]);
    let volume = |volume: Value| json!([job()["spec"]["template"]["spec"]["volumes"][0], volume]);
    let changes = [
        ("/hostNetwork", json!(true), "shares no namespace with its node"),
        ("/hostPID", json!(true), "shares no namespace with its node"),
        ("/shareProcessNamespace", json!(true), "its containers no processes"),
        ("/automountServiceAccountToken", json!(true), "no token of its ServiceAccount"),
        ("/automountServiceAccountToken", Value::Null, "no token of its ServiceAccount"),
        ("/containers/0/securityContext", Value::Null, "no container of a run has privileges"),
        (
            "/containers/0/securityContext",
            json!({"privileged": true}),
            "no container of a run has privileges",
        ),
        ("/volumes", volume(json!({"name": "host", "hostPath": {"path": "/"}})), "volumes are"),
        (
            "/volumes",
            volume(json!({"name": "token", "projected": {"sources": []}})),
            "volumes are ConfigMaps, Secrets, claims and empty folders",
        ),
        ("/containers/0/env", variables, "no Secret of the guard's in its variables"),
        (
            "/containers/0/envFrom",
            json!([{"secretRef": {"name": "credentials"}}]),
            "no Secret of the guard's in its variables",
        ),
        (
            "/volumes",
            volume(json!({"name": "s", "secret": {"secretName": "credentials"}})),
            "no volume has a Secret of the guard's",
        ),
        (
            "/containers/0/volumeMounts",
            json!([{"name": "dm-archive", "mountPath": "/a"}]),
            "neither the archive nor the guard's state",
        ),
        (
            "/volumes",
            volume(json!({"name": "more", "persistentVolumeClaim": {"claimName": "archive"}})),
            "the archive's claim is mounted as the archive only",
        ),
    ];
    for (field, value, expected) in changes {
        let mut wrong = job();
        let (parent, name) = field.rsplit_once('/').unwrap();
        let pod = &mut wrong["spec"]["template"]["spec"];
        let parent = pod.pointer_mut(parent).unwrap();
        parent[name] = value.clone();
        let error = operator.try_kubectl(create, &wrong).expect_err(field);
        assert!(error.contains(expected), "{field} = {value}: {error}");
    }
    bed.done().await;
}
