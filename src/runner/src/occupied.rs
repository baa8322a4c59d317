//! Items whose new key another item has, and which wait until that one has moved.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use serde_json::Value;

use crate::limits::FAILED_KEYS_MAX;

/// Items that wait for the places of others.
#[derive(Debug, Default)]
pub(crate) struct Occupied(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Keys of items, by the key that they wait for.
    by_place: HashMap<String, Vec<Value>>,
    keys: HashSet<String>,
    /// Whether none waits any longer.
    is_over: bool,
}

impl Occupied {
    /// Has an item wait for a place; whether it does. With too many, or at the end, it fails.
    pub fn wait(&self, key: &Value, place: &Value) -> bool {
        let mut waiting = self.0.lock();
        if waiting.is_over || waiting.keys.len() >= FAILED_KEYS_MAX {
            return false;
        }
        if waiting.keys.insert(key.to_string()) {
            waiting.by_place.entry(place.to_string()).or_default().push(key.clone());
        }
        true
    }

    /// Those that wait for this place; they no longer do. None while its own item waits.
    pub fn called_to(&self, place: &Value) -> Vec<Value> {
        let (mut waiting, place) = (self.0.lock(), place.to_string());
        if waiting.keys.contains(&place) {
            return Vec::new();
        }
        let called = waiting.by_place.remove(&place).unwrap_or_default();
        for key in &called {
            waiting.keys.remove(&key.to_string());
        }
        called
    }

    /// All of them; they no longer wait.
    pub fn all(&self) -> Vec<Value> {
        let mut waiting = self.0.lock();
        waiting.keys.clear();
        waiting.by_place.drain().flat_map(|(_, keys)| keys).collect()
    }

    /// Has none wait any longer.
    pub fn end(&self) {
        self.0.lock().is_over = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_item_is_called_when_the_one_in_its_place_has_left() {
        let occupied = Occupied::default();
        let [a, b, c] = ["a", "b", "c"].map(|id| json!({"id": {"S": id}}));
        assert!(occupied.wait(&a, &b) && occupied.wait(&b, &c));
        assert_eq!(occupied.called_to(&b), Vec::<Value>::new(), "b waits itself");
        assert_eq!(occupied.called_to(&c), std::slice::from_ref(&b));
        assert_eq!(occupied.called_to(&b), std::slice::from_ref(&a));
        assert!(occupied.wait(&a, &b));
        assert_eq!(occupied.all(), std::slice::from_ref(&a));
        occupied.end();
        assert!(!occupied.wait(&a, &b));
    }
}
