//! The objects of one kind that a watch holds, and over them what this process itself has written
//! since: the answer to a write is known some time before the watch shows it.

use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::{Lookup as _, ObjectRef, Store};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

/// The newest objects of a kind that this process knows.
pub struct Latest<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store: Store<K>,
    written: Mutex<HashMap<ObjectRef<K>, Written<K>>>,
}

/// What this process has written of an object.
struct Written<K> {
    object: Arc<K>,
    /// The versions that it replaced, of a created object none: the watch may still show one of
    /// them.
    over: Vec<Option<String>>,
}

impl<K> Latest<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// One over the store of a watch.
    pub fn new(store: Store<K>) -> Self {
        Self { store, written: Mutex::default() }
    }

    /// Returns what the watch alone holds.
    pub const fn store(&self) -> &Store<K> {
        &self.store
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = ObjectRef::new(name).within(namespace);
        let written = self.written.lock().get(&key).map(|written| Arc::clone(&written.object));
        written.or_else(|| self.store.get(&key))
    }

    /// Returns the objects of a namespace, in no order.
    pub fn all(&self, namespace: &str) -> Vec<Arc<K>> {
        let is_in = |object: &Arc<K>| object.meta().namespace.as_deref() == Some(namespace);
        let written = self.written.lock();
        let stored = self.store.state().into_iter().filter(is_in);
        let is_older = |object: &Arc<K>| written.contains_key(&object.to_object_ref(()));
        let mut all: Vec<Arc<K>> = stored.filter(|object| !is_older(object)).collect();
        let own = written.values().map(|written| Arc::clone(&written.object));
        all.extend(own.filter(is_in));
        all
    }

    /// Keeps the answer to a write until the watch shows it. `over` is the version that was
    /// replaced; a created object has replaced none. An answer is dropped that comes after the
    /// watch has shown something else.
    pub fn note(&self, over: Option<&str>, object: K) {
        let key = object.to_object_ref(());
        let meta = object.meta();
        let is_gone =
            meta.deletion_timestamp.is_some() && meta.finalizers.as_ref().is_none_or(Vec::is_empty);
        // Held until the end: `seen`, which follows each change of the store, comes before or after
        // it.
        let mut written = self.written.lock();
        let mut versions = written.remove(&key).map(|before| before.over).unwrap_or_default();
        versions.push(over.map(str::to_owned));
        let shown = self.store.get(&key).and_then(|shown| shown.meta().resource_version.clone());
        if !is_gone && versions.contains(&shown) {
            written.insert(key, Written { object: Arc::new(object), over: versions });
        }
    }

    /// Drops what was written of an object: the API server has said that it is no more so.
    pub fn forget(&self, object: &K) {
        self.written.lock().remove(&object.to_object_ref(()));
    }

    /// Drops all that was written.
    pub fn forget_all(&self) {
        self.written.lock().clear();
    }

    /// Takes note of what the watch has put into its store: what is as new as an own write replaces
    /// it.
    pub fn seen(&self, event: &Event<K>) {
        match event {
            Event::Apply(object) => {
                let key = object.to_object_ref(());
                let mut written = self.written.lock();
                let is_older =
                    |own: &Written<K>| own.over.contains(&object.meta().resource_version);
                if !written.get(&key).is_some_and(is_older) {
                    written.remove(&key);
                }
            }
            Event::Delete(object) => self.forget(object),
            // A list that was read after a break of the watch shows the own writes, too.
            Event::InitDone => self.forget_all(),
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use kube::runtime::reflector::{self, store::Writer};
    use serde_json::json;

    use super::*;
    use crate::samples;

    fn job(version: &str) -> Job {
        Job::clone(&samples::job(json!({"metadata": {"resourceVersion": version}})))
    }

    struct Bed(Latest<Job>, Writer<Job>);

    impl Bed {
        fn new() -> Self {
            let (store, writer) = reflector::store();
            Self(Latest::new(store), writer)
        }

        fn watch(&mut self, event: &Event<Job>) {
            self.1.apply_watcher_event(event);
            self.0.seen(event);
        }

        fn version(&self) -> Option<String> {
            let name = job("1").metadata.name.unwrap();
            let found = self.0.get("team", &name);
            let all = self.0.all("team");
            assert_eq!(found.as_ref(), all.first(), "one object, however it is asked for");
            assert!(all.len() < 2 && self.0.all("other").is_empty());
            found.and_then(|found| found.metadata.resource_version.clone())
        }
    }

    #[test]
    fn an_own_write_is_read_until_the_watch_shows_it_or_what_came_later() {
        let mut bed = Bed::new();
        bed.0.note(None, job("1"));
        assert_eq!(bed.version().as_deref(), Some("1"), "created");
        bed.0.note(Some("1"), job("2"));
        bed.watch(&Event::Apply(job("1")));
        assert_eq!(bed.version().as_deref(), Some("2"), "the watch is behind");
        bed.watch(&Event::Apply(job("2")));
        bed.watch(&Event::Apply(job("3")));
        assert_eq!(bed.version().as_deref(), Some("3"), "another has written since");
        bed.0.note(Some("3"), job("5"));
        bed.watch(&Event::Apply(job("6")));
        assert_eq!(bed.version().as_deref(), Some("6"), "the watch has left one out");
        bed.0.note(Some("5"), job("6"));
        bed.watch(&Event::Apply(job("7")));
        bed.0.note(Some("6"), job("7"));
        assert_eq!(bed.version().as_deref(), Some("7"), "the answer came after the watch");
    }

    #[test]
    fn nothing_is_kept_of_an_object_that_is_gone() {
        let gone = samples::with(
            &job("2"),
            json!({"metadata": {"deletionTimestamp": samples::time(9), "finalizers": []}}),
        );
        let mut bed = Bed::new();
        bed.watch(&Event::Apply(job("1")));
        bed.watch(&Event::Delete(gone.clone()));
        bed.0.note(Some("1"), gone.clone());
        assert_eq!(bed.version(), None, "its last finalizer went with the write");
        bed.0.note(Some("1"), job("2"));
        assert_eq!(bed.version(), None, "another has deleted it since");
        bed.0.note(None, job("1"));
        bed.watch(&Event::Delete(gone));
        assert_eq!(bed.version(), None);
        bed.0.note(None, job("1"));
        bed.watch(&Event::Init);
        bed.watch(&Event::InitDone);
        assert_eq!(bed.version(), None, "a new list shows what there is");
    }
}
