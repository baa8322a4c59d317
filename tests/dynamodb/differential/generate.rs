//! Random programs over few keys and few values, so that their steps meet each other.

use serde_json::{Map, Value, json};

use super::random::Random;

/// A table's kind, its items at the start, and what is done.
#[derive(Clone, Debug)]
pub struct Program {
    pub table: &'static str,
    pub seeds: Vec<Value>,
    pub steps: Vec<Step>,
}

/// One call, or all pages of a read.
#[derive(Clone, Debug)]
pub struct Step {
    pub operation: &'static str,
    pub body: Value,
    pub pages: bool,
    /// Of answers without a defined order: the attribute they are ordered by, if by any.
    pub order: Option<Option<String>>,
}

/// The program of a seed.
pub fn program(seed: u64, statements: bool) -> Program {
    let mut random = Random(seed);
    let table = random.pick(&["hash", "range", "strings", "indexed", "indexed"]);
    let mut generator = Generator { random, table, statements, parameters: Map::new(), count: 0 };
    let seeds = (0..generator.random.below(12)).map(|_| generator.item()).collect();
    let steps = (0..5 + generator.random.below(25)).map(|_| generator.step()).collect();
    Program { table, seeds, steps }
}

pub struct Generator {
    pub random: Random,
    pub table: &'static str,
    /// Whether PartiQL statements are among the steps.
    statements: bool,
    /// ExpressionAttributeValues of the request being made.
    parameters: Map<String, Value>,
    count: u32,
}

pub const ATTRIBUTES: [&str; 8] = ["n", "s", "m", "q", "x", "z", "k", "w"];

impl Generator {
    pub fn key(&mut self) -> Value {
        let id = self.random.pick(&["a", "b", "c"]);
        match self.table {
            "hash" => json!({"id": self.random.pick(&["a", "b", "c", "d", "e", "f"])}),
            "strings" => {
                json!({"id": id, "pos": self.random.pick(&["", "p", "pq", "q", "é", "pqr"]).to_owned() + "-"})
            }
            _ => json!({"id": id, "pos": self.number()}),
        }
    }

    pub fn number(&mut self) -> Value {
        self.random.pick(&[
            json!(-2),
            json!(0),
            json!(1),
            json!(2),
            json!(10),
            json!({"$N": "1.5"}),
        ])
    }

    pub fn value(&mut self, depth: u32) -> Value {
        match self.random.below(if depth == 0 { 8 } else { 11 }) {
            0..=2 => self.number(),
            3 | 4 => self.random.pick(&[json!("x"), json!("y"), json!("xy"), json!("")]),
            5 => self.random.pick(&[json!(true), json!(false), json!(null)]),
            6 => self.random.pick(&[json!({"$SS": ["x"]}), json!({"$SS": ["x", "y"]})]),
            7 => self.random.pick(&[
                json!({"$NS": ["1"]}),
                json!({"$NS": ["1", "2"]}),
                json!({"$B": "eA=="}),
            ]),
            8 | 9 => json!([self.value(depth - 1), self.value(depth - 1)]),
            _ => json!({"x": self.value(depth - 1), "y": self.value(depth - 1)}),
        }
    }

    pub fn item(&mut self) -> Value {
        let mut item = self.key();
        for _ in 0..self.random.below(5) {
            let name = self.random.pick(&ATTRIBUTES);
            item[name] = self.value(2);
        }
        if self.table == "indexed" {
            for name in ["g", "r", "l"] {
                if !self.random.one_in(3) {
                    item[name] = self.index_value(name);
                }
            }
        }
        item
    }

    pub fn index_value(&mut self, name: &str) -> Value {
        match name {
            "r" => self.number(),
            _ => self.random.pick(&[json!("x"), json!("y"), json!("xy")]),
        }
    }

    /// A placeholder for a value in the request being made.
    fn placeholder(&mut self, value: Value) -> String {
        self.count += 1;
        let name = format!(":v{}", self.count);
        self.parameters.insert(name.clone(), value);
        name
    }

    fn finish(&mut self, mut body: Value) -> Value {
        let values = std::mem::take(&mut self.parameters);
        if !values.is_empty() {
            body["ExpressionAttributeValues"] = values.into();
        }
        self.count = 0;
        body
    }

    pub fn path(&mut self) -> String {
        let name = self.random.pick(&ATTRIBUTES);
        match self.random.below(8) {
            0 => format!("{name}.x"),
            1 => format!("{name}[0]"),
            2 => format!("{name}.y[1]"),
            _ => name.to_owned(),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        if depth > 0 && self.random.one_in(3) {
            let (left, right) = (self.condition(depth - 1), self.condition(depth - 1));
            return match self.random.below(3) {
                0 => format!("({left}) AND ({right})"),
                1 => format!("{left} OR {right}"),
                _ => format!("NOT ({left})"),
            };
        }
        let path = self.path();
        match self.random.below(9) {
            0 => format!("attribute_exists({path})"),
            1 => format!("attribute_not_exists({path})"),
            2 => {
                let kind = self.random.pick(&["S", "N", "SS", "L", "M", "NULL", "BOOL"]);
                format!("attribute_type({path}, {})", self.placeholder(kind.into()))
            }
            3 => {
                let text = self.random.pick(&["x", "y", ""]);
                format!("begins_with({path}, {})", self.placeholder(text.into()))
            }
            4 => {
                let value = self.random.pick(&[json!("x"), json!(1), json!("xy")]);
                format!("contains({path}, {})", self.placeholder(value))
            }
            5 => {
                let (low, high) = self.random.pick(&[(0, 1), (1, 2), (-2, 10)]);
                let (low, high) = (self.placeholder(low.into()), self.placeholder(high.into()));
                format!("{path} BETWEEN {low} AND {high}")
            }
            6 => {
                let operator = self.random.pick(&["=", "<", ">", "<>"]);
                let size = self.random.below(3);
                format!("size({path}) {operator} {}", self.placeholder(size.into()))
            }
            _ => {
                let operator = self.random.pick(&["=", "=", "<>", "<", "<=", ">", ">="]);
                // Only scalars have an order; others are refused by AWS, and not by dynoxide.
                let ordered = operator.contains(['<', '>']) && operator != "<>";
                let value =
                    if ordered { self.random.pick(&[json!("x"), json!(1)]) } else { self.value(1) };
                format!("{path} {operator} {}", self.placeholder(value))
            }
        }
    }

    fn update(&mut self) -> String {
        let mut names: Vec<&str> = ATTRIBUTES.to_vec();
        if self.table == "indexed" {
            names.extend(["g", "r", "l"]);
        }
        let (mut sets, mut removes, mut adds, mut deletes) = (vec![], vec![], vec![], vec![]);
        for _ in 0..=self.random.below(3) {
            let at = usize::try_from(self.random.below(names.len() as u64)).unwrap();
            let name = names.remove(at);
            if ["g", "r", "l"].contains(&name) {
                if self.random.one_in(3) {
                    removes.push(name.to_owned());
                } else {
                    let value = self.index_value(name);
                    sets.push(format!("{name} = {}", self.placeholder(value)));
                }
                continue;
            }
            match self.random.below(10) {
                0 => removes.push(name.to_owned()),
                1 => removes.push(format!("{name}[0]")),
                2 => {
                    let value = self.random.pick(&[
                        json!(1),
                        json!(-3),
                        json!({"$SS": ["y", "z"]}),
                        json!({"$NS": ["2"]}),
                    ]);
                    adds.push(format!("{name} {}", self.placeholder(value)));
                }
                3 => {
                    let value =
                        self.random.pick(&[json!({"$SS": ["y", "x"]}), json!({"$NS": ["1"]})]);
                    deletes.push(format!("{name} {}", self.placeholder(value)));
                }
                4 => {
                    let value = self.number();
                    let zero = self.placeholder(json!(0));
                    sets.push(format!(
                        "{name} = if_not_exists({name}, {zero}) + {}",
                        self.placeholder(value)
                    ));
                }
                5 => {
                    let list = json!([self.value(0)]);
                    let empty = self.placeholder(json!([]));
                    sets.push(format!(
                        "{name} = list_append(if_not_exists({name}, {empty}), {})",
                        self.placeholder(list)
                    ));
                }
                6 => {
                    let value = self.value(1);
                    sets.push(format!("{name}.x = {}", self.placeholder(value)));
                }
                7 => {
                    let value = self.value(0);
                    sets.push(format!("{name}[1] = {}", self.placeholder(value)));
                }
                _ => {
                    let value = self.value(2);
                    sets.push(format!("{name} = {}", self.placeholder(value)));
                }
            }
        }
        let clause = |word: &str, parts: Vec<String>| {
            if parts.is_empty() { String::new() } else { format!("{word} {} ", parts.join(", ")) }
        };
        let text = clause("SET", sets)
            + &clause("REMOVE", removes)
            + &clause("ADD", adds)
            + &clause("DELETE", deletes);
        text.trim_end().to_owned()
    }

    fn conditional(&mut self, body: &mut Value) {
        if self.random.one_in(3) {
            let condition = self.condition(2);
            body["ConditionExpression"] = condition.into();
            if self.random.one_in(2) {
                body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
            }
        }
    }

    fn write_parameters(&mut self, kind: u64) -> Value {
        let mut body = json!({"TableName": "$T"});
        match kind {
            0 => body["Item"] = self.item(),
            1 => body["Key"] = self.key(),
            _ => {
                body["Key"] = self.key();
                body["UpdateExpression"] = self.update().into();
            }
        }
        self.conditional(&mut body);
        self.finish(body)
    }

    pub fn call(operation: &'static str, body: Value) -> Step {
        Step { operation, body, pages: false, order: None }
    }

    fn step(&mut self) -> Step {
        if self.statements && self.random.one_in(2) {
            return self.statement_step();
        }
        match self.random.below(20) {
            0..=2 => {
                let mut body = self.write_parameters(0);
                body["ReturnValues"] = self.random.pick(&["NONE", "ALL_OLD"]).into();
                Self::call("PutItem", body)
            }
            3..=7 => {
                let mut body = self.write_parameters(2);
                // Not ALL_OLD: of an item that was not there, dynoxide returns the key.
                let values = ["NONE", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"];
                body["ReturnValues"] = self.random.pick(&values).into();
                // Of a place in a document, each database returns another part.
                let text = body["UpdateExpression"].as_str().unwrap_or_default();
                if text.contains('[') || text.contains(".x") {
                    body["ReturnValues"] = "ALL_NEW".into();
                }
                Self::call("UpdateItem", body)
            }
            8 | 9 => {
                let mut body = self.write_parameters(1);
                body["ReturnValues"] = "ALL_OLD".into();
                Self::call("DeleteItem", body)
            }
            10 => self.batch_write(),
            11 => self.transact_write(),
            12 => self.get(),
            13 => self.batch_get(),
            14 | 15 => self.scan(),
            _ => self.query(),
        }
    }

    fn batch_write(&mut self) -> Step {
        let mut requests: Vec<Value> = Vec::new();
        for _ in 0..=self.random.below(4) {
            requests.push(if self.random.one_in(3) {
                json!({"DeleteRequest": {"Key": self.key()}})
            } else {
                json!({"PutRequest": {"Item": self.item()}})
            });
        }
        Self::call("BatchWriteItem", json!({"RequestItems": {"$T": requests}}))
    }

    fn transact_write(&mut self) -> Step {
        let mut actions: Vec<Value> = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..=self.random.below(3) {
            let kind = self.random.below(3);
            let name = ["Put", "Delete", "Update"][usize::try_from(kind).unwrap()];
            let parameters = self.write_parameters(kind);
            let item = parameters.get("Item").unwrap_or(&parameters["Key"]);
            let key = format!("{} {}", item["id"], item["pos"]);
            // The same item twice is refused by AWS before anything else, and by DynamoDB Local after.
            if !keys.contains(&key) {
                keys.push(key);
                actions.push(json!({name: parameters}));
            }
        }
        Self::call("TransactWriteItems", json!({"TransactItems": actions}))
    }

    fn get(&mut self) -> Step {
        let mut body = json!({"TableName": "$T", "Key": self.key(), "ConsistentRead": true});
        self.project(&mut body);
        Self::call("GetItem", body)
    }

    fn batch_get(&mut self) -> Step {
        let mut keys: Vec<Value> = (0..=self.random.below(5)).map(|_| self.key()).collect();
        if !self.random.one_in(5) {
            keys.sort_by_key(Value::to_string);
            keys.dedup();
        }
        let of_table = json!({"Keys": keys, "ConsistentRead": true});
        let mut step = Self::call("BatchGetItem", json!({"RequestItems": {"$T": of_table}}));
        step.order = Some(None);
        step
    }

    fn project(&mut self, body: &mut Value) {
        if self.random.one_in(4) {
            let first = self.random.pick(&ATTRIBUTES);
            let second = self.random.pick(&["id", "n.x", "s[0]", "m.y[1]"]);
            if !second.starts_with(first) {
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
        if self.random.one_in(6) {
            body["Select"] = "COUNT".into();
        }
    }

    fn scan(&mut self) -> Step {
        let mut body = json!({"TableName": "$T"});
        if self.table == "indexed" && self.random.one_in(2) {
            body["IndexName"] = self
                .random
                .pick(&["by-g", "by-g-r", "by-g-keys", "by-l", "by-r", "by-l-all"])
                .into();
        }
        self.read_parameters(&mut body);
        let mut step = Self::call("Scan", Value::Null);
        step.order = Some(None);
        if self.random.one_in(2) && body.get("Select").is_none() {
            body["Limit"] = (1 + self.random.below(4)).into();
            step.pages = true;
        }
        step.body = self.finish(body);
        step
    }

    fn query(&mut self) -> Step {
        let mut body = json!({"TableName": "$T"});
        let index = (self.table == "indexed" && self.random.one_in(2)).then(|| {
            self.random.pick(&["by-g", "by-g-r", "by-g-keys", "by-l", "by-r", "by-l-all"])
        });
        let (partition, sort) = match (index, self.table) {
            (None, "hash") => ("id", None),
            (None, _) => ("id", Some("pos")),
            (Some("by-g"), _) => ("g", None),
            (Some("by-g-r"), _) => ("g", Some("r")),
            (Some("by-g-keys"), _) => ("g", Some("pos")),
            (Some("by-r"), _) => ("id", Some("r")),
            (Some(_), _) => ("id", Some("l")),
        };
        let value = if partition == "id" {
            self.random.pick(&["a", "b", "c"])
        } else {
            self.random.pick(&["x", "y", "xy"])
        };
        let mut condition = format!("{partition} = {}", self.placeholder(value.into()));
        if let Some(sort) = sort
            && self.random.one_in(2)
        {
            condition += " AND ";
            condition += &self.sort_condition(sort);
        }
        body["KeyConditionExpression"] = condition.into();
        // dynoxide pages backward through a table without sort key for ever.
        if self.table != "hash" && self.random.one_in(2) {
            body["ScanIndexForward"] = false.into();
        }
        if let Some(index) = index {
            body["IndexName"] = index.into();
        }
        self.read_parameters(&mut body);
        let mut step = Self::call("Query", Value::Null);
        if index.is_some() {
            step.order = Some(sort.map(str::to_owned));
        }
        // Of a partition of one item, dynoxide pages for ever, and the others disagree on the end.
        // Where several items have the last sort key of a range, DynamoDB Local loses some.
        let inclusive = ["BETWEEN", "<=", ">="]
            .iter()
            .any(|word| body["KeyConditionExpression"].as_str().unwrap().contains(word));
        let loses = index.is_some() && inclusive;
        let limits = self.table != "hash" && !loses && self.random.one_in(2);
        if limits && body.get("Select").is_none() {
            body["Limit"] = (1 + self.random.below(4)).into();
            step.pages = index.is_some() || self.random.one_in(2);
        }
        if body.get("Select").is_none() && index.is_none() {
            self.project(&mut body);
        }
        step.body = self.finish(body);
        step
    }

    fn sort_condition(&mut self, sort: &str) -> String {
        let text = sort == "l" || self.table == "strings";
        let value = |generator: &mut Self| {
            if text {
                generator.random.pick(&[json!("p"), json!("x"), json!("xy"), json!("q")])
            } else {
                generator.number()
            }
        };
        if text && self.random.one_in(3) {
            let prefix = self.random.pick(&["p", "x", "pq"]);
            return format!("begins_with({sort}, {})", self.placeholder(prefix.into()));
        }
        if self.random.one_in(3) {
            let (low, high) = if text { (json!("p"), json!("x")) } else { (json!(0), json!(2)) };
            let (low, high) = (self.placeholder(low), self.placeholder(high));
            return format!("{sort} BETWEEN {low} AND {high}");
        }
        let operator = self.random.pick(&["=", "<", "<=", ">", ">="]);
        let value = value(self);
        format!("{sort} {operator} {}", self.placeholder(value))
    }
}
