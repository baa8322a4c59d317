//! What every watch goes through before the cache holds it or a reconcile is woken by it.

use std::future::ready;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::reconnect::reconnect;

/// Returns the API of a kind in one namespace, or in all.
pub fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Watches a kind of ours. An object that this version cannot read is logged and left out: read as
/// a part of a list it would end the list, and with it every other migration.
pub fn readable<K>(
    client: &Client,
    namespace: Option<&str>,
    config: Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Send,
{
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    watcher(api, config).try_filter_map(|event| ready(Ok(read(event))))
}

fn read<K>(event: Event<DynamicObject>) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let parse = |object: DynamicObject| {
        let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone());
        let parsed = object.try_parse::<K>();
        parsed
            .inspect_err(|error| {
                let kind = K::kind(&());
                let what = "an object cannot be read; correct or delete it";
                tracing::error!(%kind, namespace, name, %error, "{what}");
            })
            .ok()
    };
    Some(match event {
        Event::Apply(object) => Event::Apply(parse(object)?),
        Event::Delete(object) => Event::Delete(parse(object)?),
        Event::InitApply(object) => Event::InitApply(parse(object)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

/// Has a watch that broke tried again after a while. Its errors are logged and end here: a
/// controller that sees one stops all of its watches for a while.
pub fn lasting<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    events.backoff(reconnect()).filter_map(|event| {
        let event =
            event.inspect_err(|error| tracing::warn!(%error, "a watch broke; it is retried"));
        ready(event.ok().map(Ok))
    })
}

/// Holds back the objects of a list until the store has them. A store shows a list when it is
/// complete: whoever is woken before finds no object, and is not woken again.
pub fn after_lists<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let mut listed = Vec::new();
    let whole = events.map_ok(move |event| {
        let now = match event {
            Event::InitApply(object) => {
                listed.push(Event::InitApply(object));
                Vec::new()
            }
            Event::InitDone => {
                listed.push(Event::InitDone);
                std::mem::take(&mut listed)
            }
            Event::Init => {
                listed.clear();
                vec![Event::Init]
            }
            Event::Apply(_) | Event::Delete(_) => vec![event],
        };
        stream::iter(now.into_iter().map(Ok))
    });
    whole.try_flatten()
}

#[cfg(test)]
mod tests {
    use dm_api::DataMigration;
    use futures::FutureExt as _;
    use futures::channel::mpsc;
    use kube::ResourceExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn words(events: Vec<Event<String>>) -> Vec<String> {
        let word = |event| match event {
            Event::Init => "begin".to_owned(),
            Event::InitApply(name) => format!("list {name}"),
            Event::InitDone => "end".to_owned(),
            Event::Apply(name) => format!("apply {name}"),
            Event::Delete(name) => format!("delete {name}"),
        };
        events.into_iter().map(word).collect()
    }

    #[tokio::test]
    async fn an_object_of_a_list_is_passed_on_when_the_list_is_complete() {
        let (send, receive) = mpsc::unbounded::<watcher::Result<Event<String>>>();
        let mut passed = Box::pin(after_lists(receive));
        let mut now = |events: Vec<Event<String>>| {
            for event in events {
                send.unbounded_send(Ok(event)).unwrap();
            }
            let mut got = Vec::new();
            while let Some(Some(event)) = passed.next().now_or_never() {
                got.push(event.unwrap());
            }
            words(got)
        };
        let listed = |name: &str| Event::InitApply(name.to_owned());
        assert_eq!(now(vec![Event::Init, listed("a"), listed("b")]), ["begin"]);
        assert_eq!(now(vec![listed("c"), Event::InitDone]), ["list a", "list b", "list c", "end"]);
        assert_eq!(now(vec![Event::Apply("d".into())]), ["apply d"]);
        // A list that broke off is read again from its start.
        assert_eq!(now(vec![Event::Init, listed("e")]), ["begin"]);
        assert_eq!(
            now(vec![Event::Init, listed("f"), Event::InitDone]),
            ["begin", "list f", "end"]
        );
        assert_eq!(now(vec![Event::Delete("f".into())]), ["delete f"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_of_a_watch_ends_there_and_what_follows_comes_soon() {
        let broken = || Err(watcher::Error::NoResourceVersion);
        let events: [watcher::Result<Event<u8>>; 4] =
            [broken(), Ok(Event::Apply(1)), broken(), Ok(Event::Apply(2))];
        let begun = tokio::time::Instant::now();
        let passed: Vec<_> = lasting(stream::iter(events)).collect().await;
        assert!(matches!(passed[..], [Ok(Event::Apply(1)), Ok(Event::Apply(2))]), "{passed:?}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    fn object(spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration",
            "metadata": {"name": "m", "namespace": "team"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn an_object_that_cannot_be_read_is_left_out() {
        let good = json!(crate::samples::migration(json!({})).spec);
        let mut bad = good.clone();
        bad["startAt"] = json!("9999-12-31T23:59:59Z");
        let name = |event: Option<Event<DataMigration>>| match event {
            Some(Event::InitApply(one) | Event::Apply(one)) => Some(one.name_any()),
            _ => None,
        };
        assert_eq!(name(read(Event::InitApply(object(&good)))).as_deref(), Some("m"));
        assert_eq!(name(read(Event::InitApply(object(&bad)))), None);
        assert_eq!(name(read(Event::Apply(object(&bad)))), None);
        assert!(matches!(read::<DataMigration>(Event::InitDone), Some(Event::InitDone)));
    }
}
