//! Immutable copies of the ConfigMaps that a program's volumes and variables refer to: what the kubelet mounts
//! is what was hashed, whatever happens to the originals. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dm_api::DataMigration;
use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapKeySelector, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::digest::short_hash;
use crate::objects::{FILES_VOLUME, PROGRAM_CONTAINER, parts};
use crate::runnable::Runnable;

/// Hexadecimal digits at the end of a copy's name.
const HASH_CHARS: usize = 8;

/// Builds the copies of a run. Their names follow from the run and from their content.
pub fn build(migration: &DataMigration, record: &RunRecord, runnable: &Runnable) -> Vec<ConfigMap> {
    let found = runnable.config_maps.iter().filter_map(|(name, map)| Some((name, map.as_ref()?)));
    let copy = |(name, map): (&String, &ConfigMap)| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name_of(&record.job, name, Some(map))),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(parts::labels(migration, record)),
            annotations: Some(parts::annotations(migration, record)),
            owner_references: Some(vec![parts::owner(migration)]),
            ..ObjectMeta::default()
        },
        data: map.data.clone(),
        binary_data: map.binary_data.clone(),
        immutable: Some(true),
    };
    found.map(copy).collect()
}

/// Points a pod's references at the copies. A ConfigMap that is optional and was absent stays absent: its
/// reference gets a name that nothing has.
pub fn refer_to_copies(pod: &mut PodSpec, job: &str, runnable: &Runnable) {
    let maps = &runnable.config_maps;
    for volume in pod.volumes.iter_mut().flatten().filter(|volume| volume.name != FILES_VOLUME) {
        if let Some(source) = &mut volume.config_map {
            let is_optional = source.optional == Some(true);
            rename(&mut source.name, is_optional, job, maps);
        }
    }
    let programs = pod.containers.iter_mut().filter(|one| one.name == PROGRAM_CONTAINER);
    for variable in programs.flat_map(|program| program.env.iter_mut().flatten()) {
        let from = variable.value_from.as_mut();
        if let Some(ConfigMapKeySelector { name, optional, .. }) =
            from.and_then(|from| from.config_map_key_ref.as_mut())
        {
            let is_optional = *optional == Some(true);
            rename(name, is_optional, job, maps);
        }
    }
}

fn rename(
    name: &mut String,
    is_optional: bool,
    job: &str,
    maps: &BTreeMap<String, Option<ConfigMap>>,
) {
    match maps.get(name) {
        Some(Some(map)) => *name = name_of(job, name, Some(map)),
        Some(None) if is_optional => *name = name_of(job, name, None),
        // The pod waits for it, and the migration for a new digest.
        Some(None) | None => {}
    }
}

/// Names of the copies that a run's Job refers to.
pub fn names_in(job: &Job) -> BTreeSet<String> {
    let Some(pod) = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()) else {
        return BTreeSet::new();
    };
    let volumes = pod.volumes.iter().flatten().filter_map(|volume| volume.config_map.as_ref());
    let env = pod.containers.iter().flat_map(|container| container.env.iter().flatten());
    let keys = env.filter_map(|one| one.value_from.as_ref()?.config_map_key_ref.as_ref());
    let names = volumes.map(|map| &map.name).chain(keys.map(|key| &key.name));
    let own = job.metadata.name.as_deref().unwrap_or_default();
    names.filter(|name| is_copy(own, name)).cloned().collect()
}

fn is_copy(job: &str, name: &str) -> bool {
    let hash = name.strip_prefix(job).and_then(|rest| rest.strip_prefix('-'));
    hash.is_some_and(|hash| {
        hash.len() == HASH_CHARS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn name_of(job: &str, name: &str, map: Option<&ConfigMap>) -> String {
    // Serializing maps of strings and bytes cannot fail.
    let content = serde_json::json!([name, map.map(|map| (&map.data, &map.binary_data))]);
    format!("{job}-{}", short_hash(&content.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::names;
    use crate::samples;
    use dm_api::status::RunKind;

    fn map(data: &Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": "rates"}, "data": data})).unwrap()
    }

    fn runnable(data: &Value) -> Runnable {
        let maps = [("rates".to_owned(), Some(map(data))), ("gone".to_owned(), None)];
        Runnable { config_maps: maps.into(), ..samples::runnable() }
    }

    fn record() -> RunRecord {
        samples::record(RunKind::Apply)
    }

    /// A pod with every kind of reference.
    fn pod() -> PodSpec {
        let key = |name: &str, optional: bool| json!({"configMapKeyRef": {"name": name, "key": "k", "optional": optional}});
        serde_json::from_value(json!({
            "volumes": [
                {"name": "a", "configMap": {"name": "rates", "items": [{"key": "k", "path": "p"}]}},
                {"name": "b", "configMap": {"name": "gone"}},
                {"name": "c", "configMap": {"name": "gone", "optional": true}},
                {"name": FILES_VOLUME, "configMap": {"name": "rates"}},
                {"name": "d", "emptyDir": {}},
            ],
            "containers": [
                {"name": "program", "env": [
                    {"name": "A", "valueFrom": key("rates", false)},
                    {"name": "B", "valueFrom": key("gone", true)},
                    {"name": "C", "value": "rates"},
                ]},
                {"name": "guard", "env": [{"name": "A", "valueFrom": key("rates", false)}]},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_copy_has_the_content_and_a_name_that_follows_from_it() {
        let migration = samples::migration(json!({}));
        let copies = |data| build(&migration, &record(), &runnable(&data));
        let [one] = copies(json!({"k": "v"})).try_into().unwrap();
        assert_eq!(one.immutable, Some(true));
        assert_eq!(one.data, map(&json!({"k": "v"})).data);
        let owner = one.metadata.owner_references.clone().unwrap().remove(0);
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("DataMigration", "uid-m"));
        let name = one.metadata.name.clone().unwrap();
        assert!(is_copy("0001-cars-1-apply", &name), "{name}");
        assert_eq!(copies(json!({"k": "v"})), [one], "the same content has the same name");
        let other = copies(json!({"k": "w"})).remove(0).metadata.name.unwrap();
        assert_ne!(other, name);
        let fits = names::job(&"x".repeat(63), u32::MAX, RunKind::RestorePreview).len() + 9;
        assert!(fits <= 253, "a ConfigMap's name has at most 253 characters");
    }

    #[test]
    fn every_reference_of_the_program_is_rewritten_and_nothing_else() {
        let runnable = runnable(&json!({"k": "v"}));
        let mut rewritten = pod();
        refer_to_copies(&mut rewritten, &record().job, &runnable);
        let copy = name_of(&record().job, "rates", runnable.config_maps["rates"].as_ref());
        let absent = name_of(&record().job, "gone", None);
        let mut expected = pod();
        let volumes = expected.volumes.as_mut().unwrap();
        volumes[0].config_map.as_mut().unwrap().name.clone_from(&copy);
        volumes[2].config_map.as_mut().unwrap().name.clone_from(&absent);
        let env = expected.containers[0].env.as_mut().unwrap();
        let mut refer = |index: usize, name: &str| {
            let from = env[index].value_from.as_mut().unwrap();
            from.config_map_key_ref.as_mut().unwrap().name = name.to_owned();
        };
        refer(0, &copy);
        refer(1, &absent);
        assert_eq!(rewritten, expected);
        assert_ne!(copy, absent);
    }

    #[test]
    fn the_copies_of_a_job_are_found_by_their_names() {
        let runnable = runnable(&json!({"k": "v"}));
        let mut pod = pod();
        refer_to_copies(&mut pod, "0001-cars-1-apply", &runnable);
        let job: Job = samples::job(json!({"spec": {"template": {"spec": pod}}}));
        let built = build(&samples::migration(json!({})), &record(), &runnable);
        let copy = built[0].metadata.name.clone().unwrap();
        let found = names_in(&job);
        assert!(found.contains(&copy) && !found.contains("gone") && !found.contains("rates"));
        for other in ["0001-cars-1-apply", "0001-cars-1-apply-rates", "0001-cars-2-apply-0a1b2c3d"]
        {
            assert!(!is_copy("0001-cars-1-apply", other), "{other}");
        }
    }
}
