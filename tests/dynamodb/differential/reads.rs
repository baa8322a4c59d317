//! Random reads: of one item, several, a partition, a table, an index.

use serde_json::{Value, json};

use super::generate::{ATTRIBUTES, Generator, Step};

/// Indexes, and whether they hold all attributes.
const GLOBAL: [&str; 3] = ["by-g", "by-g-r", "by-g-keys"];
pub const LOCAL: [&str; 3] = ["by-l", "by-r", "by-l-all"];

impl Generator {
    pub fn get(&mut self) -> Step {
        let mut body = json!({"TableName": "$T", "Key": self.key(), "ConsistentRead": true});
        self.project(&mut body);
        self.ask_of_read(&mut body);
        Self::call("GetItem", self.finish(body))
    }

    pub fn batch_get(&mut self) -> Step {
        let mut asked = json!({"$T": self.keys_and_projection(5)});
        if self.also_other(3) {
            asked["$U"] = self.of_other(|generator| generator.keys_and_projection(3));
        }
        let mut body = json!({"RequestItems": asked});
        self.ask_of_read(&mut body);
        let mut step = Self::call("BatchGetItem", body);
        step.order = Some(None);
        step
    }

    fn keys_and_projection(&mut self, most: u64) -> Value {
        let mut keys: Vec<Value> = (0..=self.random.below(most)).map(|_| self.key()).collect();
        if !self.random.one_in(5) {
            keys.sort_by_key(Value::to_string);
            keys.dedup();
        }
        let mut of_table = json!({"Keys": keys, "ConsistentRead": true});
        self.project(&mut of_table);
        self.finish(of_table)
    }

    fn project(&mut self, body: &mut Value) {
        if self.random.one_in(4) {
            let first = self.random.pick(&ATTRIBUTES);
            let second = self.random.pick(&["id", "n.x", "s[0]", "m.y[1]"]);
            if !second.starts_with(first) && self.random.one_in(3) {
                body["AttributesToGet"] = json!([first, "id"]);
            } else if !second.starts_with(first) {
                let first = self.name(first);
                body["ProjectionExpression"] = format!("{first}, {second}").into();
            }
        }
    }

    fn read_parameters(&mut self, body: &mut Value) {
        // By attributes that an index does not hold, the databases filter each in its own way.
        let holds_all =
            body["IndexName"].as_str().is_none_or(|index| ["by-g", "by-l-all"].contains(&index));
        if holds_all && self.random.one_in(3) {
            let filter = self.condition(2);
            body["FilterExpression"] = filter.into();
        }
        match (self.random.below(12), body["IndexName"].as_str()) {
            (0 | 1, _) => body["Select"] = "COUNT".into(),
            (2, None) => body["Select"] = "ALL_ATTRIBUTES".into(),
            (2, Some(_)) => body["Select"] = "ALL_PROJECTED_ATTRIBUTES".into(),
            _ => {}
        }
        if self.random.one_in(4) {
            body["ConsistentRead"] = true.into();
        }
    }

    pub fn scan(&mut self) -> Step {
        let mut body = json!({"TableName": "$T"});
        if let Some(index) = self.index() {
            body["IndexName"] = index.into();
        }
        let older = self.random.one_in(5) && body.get("IndexName").is_none();
        if older {
            self.older_filter(&mut body, "ScanFilter", &[]);
        } else {
            self.read_parameters(&mut body);
        }
        let mut step = Self::call("Scan", Value::Null);
        step.order = Some(None);
        if self.random.one_in(4) && body.get("Select").is_none() {
            step.segments = Some(1 + self.random.below(4));
            step.pages = true;
        } else if self.random.one_in(2) && body.get("Select").is_none() {
            body["Limit"] = (1 + self.random.below(4)).into();
            step.pages = true;
        }
        self.ask_of_read(&mut body);
        step.body = self.finish(body);
        step
    }

    pub fn query(&mut self) -> Step {
        let mut body = json!({"TableName": "$T"});
        let index = self.index();
        let (partition, sort) = match (index, self.is_simple()) {
            (None, true) => ("id", None),
            (None, _) => ("id", Some("pos")),
            (Some("by-g"), _) => ("g", None),
            (Some("by-g-r"), _) => ("g", Some("r")),
            (Some("by-g-keys"), _) => ("g", Some("pos")),
            (Some("by-r"), _) => ("id", Some("r")),
            (Some(_), _) => ("id", Some("l")),
        };
        let value =
            if partition == "id" { self.id() } else { self.random.pick(&["x", "y", "xy"]).into() };
        let older = index.is_none() && self.random.one_in(5);
        if older {
            self.older_key(&mut body, value, sort);
        } else {
            let partition = self.name(partition);
            let mut condition = format!("{partition} = {}", self.placeholder(value));
            if let Some(sort) = sort
                && self.random.one_in(2)
            {
                condition += " AND ";
                condition += &self.sort_condition(sort);
            }
            body["KeyConditionExpression"] = condition.into();
        }
        // dynoxide pages backward through a table without sort key for ever.
        if !self.is_simple() && self.random.one_in(2) {
            body["ScanIndexForward"] = false.into();
        }
        if let Some(index) = index {
            body["IndexName"] = index.into();
        }
        if older {
            let keys: &[&str] = if sort.is_some() { &["id", "pos"] } else { &["id"] };
            self.older_filter(&mut body, "QueryFilter", keys);
        } else {
            self.read_parameters(&mut body);
        }
        let mut step = Self::call("Query", Value::Null);
        if index.is_some() {
            step.order = Some(sort.map(str::to_owned));
        }
        // Of a partition of one item, dynoxide pages for ever, and the others disagree on the end.
        // Where several items have the last sort key of a range, DynamoDB Local loses some.
        let inclusive = ["BETWEEN", "<=", ">="].iter().any(|word| {
            body["KeyConditionExpression"].as_str().is_some_and(|all| all.contains(word))
        });
        let loses = index.is_some() && inclusive;
        let limits = !self.is_simple() && !loses && self.random.one_in(2);
        if limits && body.get("Select").is_none() {
            body["Limit"] = (1 + self.random.below(4)).into();
            step.pages = index.is_some() || self.random.one_in(2);
        }
        if body.get("Select").is_none() && index.is_none() && !older {
            self.project(&mut body);
            // Either all are older ones, or none is.
            body.as_object_mut().unwrap().remove("AttributesToGet");
        }
        self.start_anywhere(&mut body, index, inclusive || older);
        self.ask_of_read(&mut body);
        step.body = self.finish(body);
        step
    }

    /// At times a query begins behind a key of the program's own making. Where index keys are
    /// equal, what is behind one is not defined; and at the last key of a range DynamoDB Local
    /// takes none.
    fn start_anywhere(&mut self, body: &mut Value, index: Option<&str>, ranged: bool) {
        let defined = index.is_none() && !self.is_simple();
        let takes_all = self.database.is_dynoxide() || !ranged;
        if defined && takes_all && self.random.one_in(6) {
            body["ExclusiveStartKey"] = self.key();
        }
    }

    fn sort_condition(&mut self, sort: &str) -> String {
        let text = sort == "l" || self.table == "strings";
        let binary = self.table == "binaries";
        let value = |generator: &mut Self| {
            if binary {
                generator.random.pick(&[json!({"$B": "eA=="}), json!({"$B": "/w=="})])
            } else if text {
                generator.random.pick(&[json!("p"), json!("x"), json!("xy"), json!("q")])
            } else {
                generator.number()
            }
        };
        if text && self.random.one_in(3) {
            let prefix = self.random.pick(&["p", "x", "pq"]);
            return format!("begins_with({sort}, {})", self.placeholder(prefix.into()));
        }
        if binary && self.random.one_in(3) {
            let prefix = self.placeholder(json!({"$B": "eA=="}));
            return format!("begins_with({sort}, {prefix})");
        }
        if self.random.one_in(3) && !binary {
            let (low, high) = if text { (json!("p"), json!("x")) } else { (json!(0), json!(2)) };
            let (low, high) = (self.placeholder(low), self.placeholder(high));
            return format!("{sort} BETWEEN {low} AND {high}");
        }
        let operator = self.random.pick(&["=", "<", "<=", ">", ">="]);
        let value = value(self);
        format!("{sort} {operator} {}", self.placeholder(value))
    }

    pub fn transact_get(&mut self) -> Step {
        let mut keys: Vec<(&str, Value)> =
            (0..=self.random.below(4)).map(|_| self.of_either(Self::key)).collect();
        keys.sort_by_key(|(table, key)| (*table, key.to_string()));
        keys.dedup();
        let mut gets: Vec<Value> = Vec::new();
        for (table, key) in keys {
            let mut get = json!({"TableName": table, "Key": key});
            // dynoxide adds the key to a projection.
            if !self.database.is_dynoxide() {
                self.project(&mut get);
            }
            gets.push(json!({"Get": self.finish(get)}));
        }
        let mut body = json!({"TransactItems": gets});
        self.ask_of_read(&mut body);
        Self::call("TransactGetItems", body)
    }

    /// An index of the table, at times; one client of several looks into those of its partition.
    fn index(&mut self) -> Option<&'static str> {
        if self.table != "indexed" || self.random.one_in(2) {
            return None;
        }
        let of_all = self.client == 0 && self.random.one_in(2);
        Some(self.random.pick(if of_all { &GLOBAL } else { &LOCAL }))
    }
}
