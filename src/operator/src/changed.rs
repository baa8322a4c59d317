//! Which events of a watch are about a spec: a status that is written, or a label that changes, wakes nobody
//! who reads the spec only.

use std::collections::HashMap;
use std::future::ready;

use futures::{Stream, TryStreamExt as _};
use kube::Resource;
use kube::runtime::reflector::{Lookup as _, ObjectRef};
use kube::runtime::watcher::{self, Event};

/// Passes on the first event of each generation of an object, and its deletion.
pub fn specs<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = ()> + 'static,
{
    let mut seen: HashMap<ObjectRef<K>, (Option<String>, Option<i64>)> = HashMap::new();
    events.try_filter(move |event| {
        ready(match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let meta = object.meta();
                let version = (meta.uid.clone(), meta.generation);
                let last = seen.insert(object.to_object_ref(()), version.clone());
                last.as_ref() != Some(&version)
            }
            Event::Delete(object) => {
                seen.remove(&object.to_object_ref(()));
                true
            }
            Event::Init | Event::InitDone => true,
        })
    })
}

#[cfg(test)]
mod tests {
    use dm_api::MigrationTarget;
    use futures::StreamExt as _;
    use serde_json::json;

    use super::*;

    fn target(uid: &str, generation: i64, status: u32) -> MigrationTarget {
        let mut target = crate::samples::target(json!({}));
        target.metadata.uid = Some(uid.into());
        target.metadata.generation = Some(generation);
        let status = json!({"failedChecks": status});
        target.status = serde_json::from_value(status).unwrap();
        target
    }

    #[tokio::test]
    async fn a_status_that_is_written_passes_nothing_on() {
        let events = [
            Event::InitApply(target("a", 1, 0)),
            Event::InitDone,
            Event::Apply(target("a", 1, 1)),
            Event::Apply(target("a", 2, 1)),
            Event::Apply(target("a", 2, 2)),
            Event::Delete(target("a", 2, 2)),
            // Another object of the same name begins with the same generation.
            Event::Apply(target("b", 2, 0)),
        ];
        let passed = specs(futures::stream::iter(events.map(Ok)));
        let passed: Vec<String> = passed
            .map(|event| match event.unwrap() {
                Event::InitApply(one) | Event::Apply(one) => {
                    format!("{} {}", one.metadata.uid.unwrap(), one.metadata.generation.unwrap())
                }
                Event::Delete(_) => "gone".into(),
                Event::Init | Event::InitDone => "-".into(),
            })
            .collect()
            .await;
        assert_eq!(passed, ["a 1", "-", "a 2", "gone", "b 2"]);
    }
}
