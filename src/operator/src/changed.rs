//! Which events of a watch pass: those after which something is new to whoever they would wake.

use std::collections::{HashMap, HashSet};
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
    distinct(events, |object: &K| (object.meta().uid.clone(), object.meta().generation))
}

/// Passes on the first event of an object with the same news, and its deletion.
pub fn distinct<K, N>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    news: impl Fn(&K) -> N,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = ()> + 'static,
    N: PartialEq,
{
    let mut seen: HashMap<ObjectRef<K>, N> = HashMap::new();
    let mut listed = HashSet::new();
    events.try_filter(move |event| {
        ready(match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let new = news(object);
                listed.insert(object.to_object_ref(()));
                let is_same = seen.get(&object.to_object_ref(())) == Some(&new);
                seen.insert(object.to_object_ref(()), new);
                !is_same
            }
            Event::Delete(object) => {
                seen.remove(&object.to_object_ref(()));
                listed.remove(&object.to_object_ref(()));
                true
            }
            Event::Init => {
                listed.clear();
                true
            }
            // What a new list lacks is gone, and nothing tells of it.
            Event::InitDone => {
                seen.retain(|object, _| listed.contains(object));
                true
            }
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
        let mut target = MigrationTarget::clone(&crate::samples::target(json!({})));
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
            // It was away in the meantime.
            Event::Init,
            Event::InitDone,
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
        assert_eq!(passed, ["a 1", "-", "a 2", "gone", "b 2", "-", "-", "b 2"]);
    }
}
