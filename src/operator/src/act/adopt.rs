//! Whether an object of a name that we would give is what we would create: another controller's, or
//! an earlier attempt's, is; one that somebody put there is not.

use std::collections::HashSet;

use dm_contract::plan::CONTROL_TOKEN_ENV;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use parking_lot::Mutex;
use serde_json::Value;

use crate::act::error::{ActError, transient};
use crate::identified::Identified;
use crate::limits;

/// Uids of Jobs that this process created, or compared, and whose copies it created: they are
/// complete.
#[derive(Debug, Default)]
pub struct Created(Mutex<HashSet<String>>);

impl Created {
    pub fn note(&self, uid: &str) {
        let mut all = self.0.lock();
        // Whoever is forgotten is compared, which costs one request.
        if all.len() >= limits::CREATED_REMEMBERED_MAX {
            all.clear();
        }
        all.insert(uid.into());
    }

    /// Whether it is known to be complete.
    pub fn has(&self, job: &Identified<Job>) -> bool {
        let all = self.0.lock();
        all.contains(job.uid())
    }
}

/// Whether a Job that was not released yet is what we would create. The API server says what that
/// becomes with its defaults and admission webhooks.
pub async fn is_as_created(api: &Api<Job>, found: &Job, built: &Job) -> Result<bool, ActError> {
    let mut trial = built.clone();
    trial.metadata.name = None;
    trial.metadata.generate_name = Some("datamigration-compare-".into());
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let what = "comparing a Job with what would be created";
    let expected = api.create(&params, &trial).await.map_err(transient(what))?;
    Ok(found.metadata.finalizers == expected.metadata.finalizers
        && comparable(found) == comparable(&expected))
}

/// Whether a copy that was there already is what we would create.
pub fn is_same_copy(found: &ConfigMap, built: &ConfigMap) -> bool {
    let text = |map: &ConfigMap| map.data.clone().unwrap_or_default();
    let bytes = |map: &ConfigMap| map.binary_data.clone().unwrap_or_default();
    found.immutable == Some(true) && text(found) == text(built) && bytes(found) == bytes(built)
}

/// A Job's spec without what differs from one creation to the next.
fn comparable(job: &Job) -> Value {
    let mut spec = serde_json::json!(job.spec);
    if let Some(fields) = spec.as_object_mut() {
        // Made of the Job's uid. Whether it is suspended is looked at by itself.
        fields.remove("selector");
        fields.remove("suspend");
    }
    if let Some(labels) = spec["template"]["metadata"]["labels"].as_object_mut() {
        for name in ["controller-uid", "job-name"] {
            labels.remove(name);
            labels.remove(&format!("batch.kubernetes.io/{name}"));
        }
    }
    let pod = &mut spec["template"]["spec"];
    for list in ["initContainers", "containers"] {
        for container in pod[list].as_array_mut().into_iter().flatten() {
            for variable in container["env"].as_array_mut().into_iter().flatten() {
                // The token is another one each time, and the program's access key follows from it.
                let of_token = [CONTROL_TOKEN_ENV, "AWS_ACCESS_KEY_ID"];
                if variable["name"].as_str().is_some_and(|name| of_token.contains(&name)) {
                    variable["value"] = Value::Null;
                }
            }
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    fn job(changes: Value) -> Job {
        let spec = json!({"spec": {
            "suspend": true, "selector": {"matchLabels": {"controller-uid": "uid-j"}},
            "template": {
                "metadata": {"labels": {"datamigration.dev/run": "1", "job-name": "j"}},
                "spec": {"containers": [{"name": "program", "image": "cars:1", "env": [
                    {"name": CONTROL_TOKEN_ENV, "value": "secret"},
                    {"name": "MODE", "value": "fast"},
                ]}]},
            },
        }});
        samples::with(&samples::job(spec), changes)
    }

    #[test]
    fn only_what_runs_is_compared_and_all_of_it() {
        let same = [
            json!({"spec": {"selector": {"matchLabels": {"controller-uid": "uid-k"}}}}),
            json!({"spec": {"template": {"metadata": {"labels": {"job-name": "k"}}}}}),
            json!({"metadata": {"uid": "uid-k", "name": "k"}}),
        ];
        for changes in same {
            assert_eq!(comparable(&job(changes)), comparable(&job(json!({}))));
        }
        let pod = |changes: Value| json!({"spec": {"template": {"spec": changes}}});
        let container = |changes: Value| {
            let mut one = json!({"name": "program", "image": "cars:1"});
            one.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            pod(json!({"containers": [one]}))
        };
        for changes in [
            pod(json!({"hostNetwork": true})),
            pod(json!({"shareProcessNamespace": true})),
            pod(json!({"volumes": [{"name": "x", "secret": {"secretName": "aws"}}]})),
            pod(json!({"serviceAccountName": "other"})),
            container(json!({"image": "cars:2"})),
            container(json!({"env": [{"name": "MODE", "value": "slow"}]})),
            container(json!({"command": ["/bin/sh"]})),
            json!({"spec": {"backoffLimit": 6}}),
            json!({"spec": {"template": {"metadata": {"labels": {"datamigration.dev/run": "2"}}}}}),
        ] {
            let other = job(changes.clone());
            assert_ne!(comparable(&other), comparable(&job(json!({}))), "{changes}");
        }
    }

    #[test]
    fn a_copy_is_compared_whole() {
        let map = |value: Value| serde_json::from_value::<ConfigMap>(value).unwrap();
        let built = map(json!({"immutable": true, "binaryData": {"file-0": "YQ=="}}));
        assert!(is_same_copy(&built.clone(), &built));
        for other in [
            json!({"binaryData": {"file-0": "YQ=="}}),
            json!({"immutable": true, "binaryData": {"file-0": "Yg=="}}),
            json!({"immutable": true, "binaryData": {"file-0": "YQ==", "file-1": "YQ=="}}),
            json!({"immutable": true, "binaryData": {"file-0": "YQ=="}, "data": {"x": "y"}}),
        ] {
            assert!(!is_same_copy(&map(other.clone()), &built), "{other}");
        }
    }
}
