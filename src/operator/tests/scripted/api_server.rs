//! A mock of the API server: objects in memory, with the parts of its semantics that the
//! controller leans on (resource versions, conflicts, finalizers, deletion). It is no API server:
//! it validates nothing and collects no garbage by itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::merge::merge;

pub const NAMESPACE: &str = "team";

/// When every test begins, in seconds since the epoch: 2026-11-02T10:00:00Z.
const BEGINNING: i64 = 1_793_613_600;

/// Seconds a pod has between the request to stop and the kill.
pub const GRACE_SECONDS: i64 = 30;

/// Kind (plural) and name.
pub type Key = (String, String);

/// One request, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    pub method: String,
    /// Plural of the kind.
    pub plural: String,
    /// Name, unless it lists or creates.
    pub name: Option<String>,
    /// `status` or another subresource.
    pub subresource: Option<String>,
    pub selector: Option<String>,
    /// Of a list: objects of one page, and how many earlier pages had.
    pub page: Option<(usize, usize)>,
    /// Whether nothing is to be kept of it.
    pub dry_run: bool,
    pub body: Value,
}

impl Call {
    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.dry_run
    }

    /// In a few words.
    pub fn text(&self) -> String {
        let created = self.body["metadata"]["name"].as_str();
        let name = self.name.as_deref().or(created.filter(|_| self.is_write())).unwrap_or("*");
        let path = format!("{} {}/{name}", self.method, self.plural);
        self.subresource.as_ref().map_or_else(|| path.clone(), |sub| format!("{path}/{sub}"))
    }
}

/// A status code and a body.
pub type Answer = (u16, Value);

/// Everything the server holds.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    items: BTreeMap<Key, Value>,
    version: u64,
    uids: u64,
    seconds: i64,
    /// Events, in the order they were told; a repeated one is merged.
    pub events: Vec<Value>,
    /// Creations that are refused: plural, code, message.
    pub refused: Option<(String, u16, String)>,
}

impl Objects {
    pub fn get(&self, plural: &str, name: &str) -> Option<&Value> {
        self.items.get(&(plural.to_owned(), name.to_owned()))
    }

    /// All objects of a kind.
    pub fn all(&self, plural: &str) -> Vec<&Value> {
        self.items.iter().filter(|(key, _)| key.0 == plural).map(|(_, object)| object).collect()
    }

    /// Names of all objects of a kind.
    pub fn names(&self, plural: &str) -> Vec<String> {
        self.items.keys().filter(|key| key.0 == plural).map(|key| key.1.clone()).collect()
    }

    /// What the clock shows; it moves when the cluster does.
    pub fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(BEGINNING + self.seconds).unwrap()
    }

    pub fn pass_seconds(&mut self, seconds: i64) {
        self.seconds += seconds;
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the namespace is being deleted: nothing is created there any more.
    pub fn is_ending(&self) -> bool {
        self.get("namespaces", NAMESPACE).is_some_and(is_deleting)
    }

    /// Changes an object behind the API's back, as another controller or a person does.
    pub fn change(&mut self, plural: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let key = (plural.to_owned(), name.to_owned());
        let Some(mut object) = self.items.get(&key).cloned() else { return };
        let before = object.clone();
        change(&mut object);
        if object != before {
            if object["spec"] != before["spec"] {
                let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
                object["metadata"]["generation"] = json!(generation + 1);
            }
            self.put(key, object);
        }
    }

    /// Creates an object; panics if its name is taken.
    pub fn insert(&mut self, plural: &str, object: Value) {
        let (code, answer) = self.create(plural, object);
        assert_eq!(code, 201, "{answer}");
    }

    /// Deletes an object as `kubectl delete` does, with its finalizers respected.
    pub fn delete(&mut self, plural: &str, name: &str) {
        self.remove(plural, name, &Value::Null);
    }

    /// Removes an object whatever its finalizers say.
    pub fn force_remove(&mut self, plural: &str, name: &str) {
        self.version += 1;
        self.items.remove(&(plural.to_owned(), name.to_owned()));
    }

    /// Answers a request that only reads.
    pub fn read(&self, call: &Call) -> Answer {
        match &call.name {
            // What would be created: this server has neither defaults nor webhooks.
            None if call.dry_run => (201, call.body.clone()),
            Some(name) => {
                let found = self.get(&call.plural, name);
                found.map_or_else(|| not_found(call), |object| (200, object.clone()))
            }
            None => (200, self.list(&call.plural, call.selector.as_deref(), call.page)),
        }
    }

    /// Answers a request that writes.
    pub fn write(&mut self, call: &Call) -> Answer {
        let name = call.name.as_deref().unwrap_or_default();
        match (call.method.as_str(), call.plural.as_str(), &call.name) {
            ("POST", "events", _) => {
                self.events.push(call.body.clone());
                (201, call.body.clone())
            }
            ("PATCH", "events", _) => {
                let event = self.events.iter_mut().find(|e| e["metadata"]["name"] == name);
                let Some(event) = event else { return not_found(call) };
                merge(event, &call.body);
                (200, event.clone())
            }
            ("POST", plural, _) => self.create(plural, call.body.clone()),
            ("PUT", plural, _) => self.replace_status(plural, name, &call.body),
            ("PATCH", plural, _) => self.patch(plural, name, &call.body),
            ("DELETE", plural, _) => self.remove(plural, name, &call.body),
            _ => error(405, "MethodNotAllowed", &call.text()),
        }
    }

    fn list(&self, plural: &str, selector: Option<&str>, page: Option<(usize, usize)>) -> Value {
        let matches = |object: &&Value| match selector.map(|s| s.split_once('=').ok_or(s)) {
            None => true,
            Some(Ok((key, value))) => object["metadata"]["labels"][key] == value,
            Some(Err(key)) => object["metadata"]["labels"][key].is_string(),
        };
        let items: Vec<&Value> = self.all(plural).into_iter().filter(matches).collect();
        let (size, start) = page.unwrap_or((items.len(), 0));
        let end = (start + size).min(items.len());
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if end < items.len() {
            metadata["continue"] = json!(end.to_string());
        }
        json!({"metadata": metadata, "items": items[start.min(end)..end]})
    }

    fn create(&mut self, plural: &str, mut object: Value) -> Answer {
        if let Some((refused, code, message)) = &self.refused
            && refused == plural
        {
            return error(*code, "Forbidden", message);
        }
        if self.is_ending() {
            return error(403, "Forbidden", "the namespace is being terminated");
        }
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let key = (plural.to_owned(), name.clone());
        if self.items.contains_key(&key) {
            return error(409, "AlreadyExists", &format!("{plural} \"{name}\" already exists"));
        }
        self.uids += 1;
        let now = self.now().to_string();
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(format!("uid-{}", self.uids));
        metadata["namespace"] = json!(NAMESPACE);
        metadata["creationTimestamp"] = json!(now);
        metadata["generation"] = json!(1);
        (201, self.put(key, object))
    }

    fn replace_status(&mut self, plural: &str, name: &str, body: &Value) -> Answer {
        let key = (plural.to_owned(), name.to_owned());
        let Some(mut object) = self.items.get(&key).cloned() else {
            return error(404, "NotFound", name);
        };
        if let Some(conflict) = conflict(&object, &body["metadata"]) {
            return conflict;
        }
        if object["status"] != body["status"] {
            object["status"] = body["status"].clone();
            object = self.put(key, object);
        }
        (200, object)
    }

    fn patch(&mut self, plural: &str, name: &str, patch: &Value) -> Answer {
        let key = (plural.to_owned(), name.to_owned());
        let Some(before) = self.items.get(&key).cloned() else {
            return error(404, "NotFound", name);
        };
        if let Some(conflict) = conflict(&before, &patch["metadata"]) {
            return conflict;
        }
        let mut after = before.clone();
        merge(&mut after, patch);
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        let added = finalizers(&after).into_iter().any(|f| !finalizers(&before).contains(&f));
        if is_deleting(&before) && added {
            return error(422, "Invalid", "no new finalizers can be added while it is deleted");
        }
        if after == before {
            return (200, after);
        }
        (200, self.put(key, after))
    }

    fn remove(&mut self, plural: &str, name: &str, options: &Value) -> Answer {
        let key = (plural.to_owned(), name.to_owned());
        let Some(mut object) = self.items.get(&key).cloned() else {
            return error(404, "NotFound", name);
        };
        if let Some(uid) = options["preconditions"]["uid"].as_str()
            && object["metadata"]["uid"] != uid
        {
            return error(409, "Conflict", "the UID in the precondition is another");
        }
        if !is_deleting(&object) {
            // The time at which it is killed at the latest.
            let grace = if plural == "pods" { GRACE_SECONDS } else { 0 };
            let at = self.now().checked_add(jiff::SignedDuration::from_secs(grace)).unwrap();
            object["metadata"]["deletionTimestamp"] = json!(at.to_string());
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            object = self.put(key, object);
        }
        (200, object)
    }

    /// Stores an object under a new version; drops it when nothing holds it any more.
    fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if may_vanish(&key.0, &object) {
            self.items.remove(&key);
        } else {
            self.items.insert(key, object.clone());
        }
        object
    }
}

/// Whether an object is being deleted.
pub fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// The finalizers of an object.
pub fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().map(|f| f.as_str().unwrap().to_owned()).collect()
}

/// A deleted object goes with its last finalizer; a pod that runs is taken off its node first.
fn may_vanish(plural: &str, object: &Value) -> bool {
    let runs = plural == "pods" && object["status"]["phase"] == "Running";
    is_deleting(object) && finalizers(object).is_empty() && !runs
}

fn conflict(object: &Value, metadata: &Value) -> Option<Answer> {
    let differs =
        |field: &str| metadata[field].is_string() && metadata[field] != object["metadata"][field];
    (differs("resourceVersion") || differs("uid"))
        .then(|| error(409, "Conflict", "the object has been modified"))
}

fn not_found(call: &Call) -> Answer {
    error(404, "NotFound", &format!("{} not found", call.text()))
}

fn error(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, body)
}
