//! The watches of a controller: they show what has changed on the scripted server since they were
//! asked last, or what was so some changes ago.

use std::collections::BTreeMap;

use dm_operator::cache::{Cache, Writers};
use dm_operator::cluster::Kept;
use dm_operator::context::Context;
use kube::runtime::reflector::Lookup;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::{Shared, lock};

/// Objects of one kind by their name.
type Shown = BTreeMap<String, Value>;

/// The watches of a controller, and what they have shown.
pub struct Watches {
    writers: Writers,
    shown: BTreeMap<&'static str, Shown>,
}

impl Watches {
    /// Watches that have shown nothing.
    pub fn new(writers: Writers) -> Self {
        Self { writers, shown: BTreeMap::new() }
    }

    /// Gives the writers away, to a controller with its own watches.
    pub fn into_writers(self) -> Writers {
        self.writers
    }

    /// Shows what has changed.
    pub fn catch_up(&mut self, context: &Context, server: &Shared) {
        let cache: &Cache = &context.cache;
        let migrations = self.changes("datamigrations", server);
        own(cache, &mut self.writers.migrations, migrations);
        for event in self.changes("migrationtargets", server) {
            self.writers.targets.apply_watcher_event(&event);
        }
        let jobs = self.changes("jobs", server);
        own(cache, &mut self.writers.jobs, jobs);
        let pods = self.changes("pods", server);
        own(cache, &mut self.writers.pods, pods);
        for event in self.changes("configmaps", server) {
            self.writers.config_maps.apply_watcher_event(&event);
        }
    }

    fn changes<K: DeserializeOwned>(
        &mut self,
        plural: &'static str,
        server: &Shared,
    ) -> Vec<Event<K>> {
        let now: Shown = lock(server).watched(plural);
        let parsed = |object: &Value| serde_json::from_value(object.clone()).unwrap();
        let Some(before) = self.shown.insert(plural, now.clone()) else {
            let all = now.values().map(|object| Event::InitApply(parsed(object)));
            return [Event::Init].into_iter().chain(all).chain([Event::InitDone]).collect();
        };
        let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
        let gone = gone.map(|(_, object)| Event::Delete(parsed(object)));
        let new = now.iter().filter(|(name, object)| before.get(*name) != Some(object));
        gone.chain(new.map(|(_, object)| Event::Apply(parsed(object)))).collect()
    }
}

fn own<K>(cache: &Cache, writer: &mut Writer<K>, events: Vec<Event<K>>)
where
    K: Kept + Lookup<DynamicType = ()>,
{
    for event in events {
        let event = event.modify(K::slim);
        writer.apply_watcher_event(&event);
        K::of(cache).seen(&event);
    }
}
