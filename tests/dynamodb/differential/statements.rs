//! Random PartiQL statements over the same few keys and values.

use serde_json::{Value, json};

use super::generate::{ATTRIBUTES, Generator, Step};

/// What stands in a statement, and the values of its `?`.
struct Text {
    words: String,
    parameters: Vec<Value>,
    /// The key of the item that it is about.
    key: String,
    /// Whether it is a DELETE with a condition.
    deletes_if: bool,
}

impl Text {
    fn new() -> Self {
        let (words, key) = (String::new(), String::new());
        Self { words, parameters: Vec::new(), key, deletes_if: false }
    }

    fn add(&mut self, text: impl AsRef<str>) {
        self.words.push_str(text.as_ref());
    }

    fn request(self) -> Value {
        let mut request = json!({"Statement": self.words});
        if !self.parameters.is_empty() {
            request["Parameters"] = self.parameters.into();
        }
        request
    }
}

/// A value as a statement writes it; binaries can only be parameters.
fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => format!("'{text}'"),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null => "null".to_owned(),
        Value::Array(elements) => {
            let elements: Option<Vec<String>> = elements.iter().map(literal).collect();
            format!("[{}]", elements?.join(", "))
        }
        Value::Object(members) => match members.iter().next() {
            Some((kind, Value::String(number))) if kind == "$N" => number.clone(),
            Some((kind, Value::Array(elements))) if kind == "$SS" => {
                let elements: Option<Vec<String>> = elements.iter().map(literal).collect();
                format!("<<{}>>", elements?.join(", "))
            }
            Some((kind, Value::Array(elements))) if kind == "$NS" => {
                let elements: Vec<&str> = elements.iter().filter_map(Value::as_str).collect();
                format!("<<{}>>", elements.join(", "))
            }
            Some((kind, _)) if kind.starts_with('$') => return None,
            _ => {
                let members: Option<Vec<String>> = members
                    .iter()
                    .map(|(name, value)| Some(format!("'{name}': {}", literal(value)?)))
                    .collect();
                format!("{{{}}}", members?.join(", "))
            }
        },
    })
}

impl Generator {
    /// One call with statements.
    pub fn statement_step(&mut self) -> Step {
        let mut step = self.statement_call();
        // DynamoDB Local tells no capacity of statements. Dynoxide counts statements of a batch
        // that failed only beside others that did not, and two partitions of a SELECT as one.
        let one = step.operation == "ExecuteTransaction"
            || step.order.is_none() && step.operation == "ExecuteStatement";
        if one {
            self.ask_of_read(&mut step.body);
        }
        step
    }

    fn statement_call(&mut self) -> Step {
        match self.random.below(16) {
            0..=4 => Self::call("ExecuteStatement", self.write().request()),
            5 | 6 => {
                let statements = self.several(Self::write);
                Self::call("BatchExecuteStatement", json!({"Statements": statements}))
            }
            7 => {
                let statements = self.several(Self::read_one);
                Self::call("BatchExecuteStatement", json!({"Statements": statements}))
            }
            8 | 9 => {
                let mut statements = self.several(Self::action_of_transaction);
                // dynoxide takes no EXISTS.
                if !self.database.is_dynoxide() && self.random.one_in(4) {
                    let exists = self.exists();
                    statements.push(exists.request());
                }
                Self::call("ExecuteTransaction", json!({"TransactStatements": statements}))
            }
            10 => {
                let statements = self.several(Self::read_one);
                Self::call("ExecuteTransaction", json!({"TransactStatements": statements}))
            }
            // A client of several reads in its own partition.
            _ if self.client > 0 => Self::call("ExecuteStatement", self.read_one().request()),
            _ => self.select(),
        }
    }

    fn several(&mut self, one: fn(&mut Self) -> Text) -> Vec<Value> {
        let mut statements: Vec<Text> = Vec::new();
        for _ in 0..=self.random.below(3) {
            let (table, mut statement) = self.of_either(one);
            statement.words = statement.words.replace("$T", table);
            statement.key = format!("{table} {}", statement.key);
            // DynamoDB Local writes an item twice before it refuses that.
            if statements.iter().all(|other| other.key != statement.key) {
                statements.push(statement);
            }
        }
        statements.into_iter().map(Text::request).collect()
    }

    fn put_value(&mut self, statement: &mut Text, value: &Value) {
        if let Some(text) = literal(value).filter(|_| self.random.one_in(2)) {
            statement.add(text);
        } else {
            statement.add("?");
            statement.parameters.push(value.clone());
        }
    }

    fn put_key(&mut self, statement: &mut Text) {
        let key = self.key();
        statement.key = format!("{} {}", key["id"], key["pos"]);
        for (at, (name, value)) in key.as_object().unwrap().iter().enumerate() {
            statement.add(if at == 0 { " WHERE " } else { " AND " });
            statement.add(name);
            statement.add(" = ");
            self.put_value(statement, value);
        }
    }

    fn read_one(&mut self) -> Text {
        let mut statement = Text::new();
        let mut list = self.list();
        // In batches and transactions dynoxide returns a place under its last name.
        if self.database.is_dynoxide() && list.contains(['.', '[']) {
            "id, n".clone_into(&mut list);
        }
        statement.add(format!("SELECT {list} FROM $T"));
        self.put_key(&mut statement);
        statement
    }

    fn exists(&mut self) -> Text {
        let mut statement = Text::new();
        statement.add("EXISTS(SELECT * FROM $T");
        self.put_key(&mut statement);
        statement.add(" AND ");
        self.put_condition(&mut statement, 1);
        statement.add(")");
        statement
    }

    fn list(&mut self) -> String {
        self.random.pick(&["*", "*", "id", "id, n", "n, s.x", "m.y, id", "q[0], k"]).to_owned()
    }

    fn write(&mut self) -> Text {
        let mut statement = self.action();
        let text = &statement.words;
        // Of a place in a document, DynamoDB Local returns the whole attribute.
        let whole = !text.contains('[') && !text.contains(".x");
        let returning: &[&str] = match text.as_bytes()[0] {
            b'U' if whole => &["ALL OLD", "ALL NEW", "MODIFIED OLD", "MODIFIED NEW"],
            b'U' => &["ALL OLD", "ALL NEW"],
            b'D' => &["ALL OLD"],
            _ => return statement,
        };
        if self.random.one_in(2) {
            statement.add(" RETURNING ");
            statement.add(self.random.pick(returning));
            statement.add(" *");
        }
        statement
    }

    /// In a transaction that is canceled, dynoxide calls the DELETE of a missing item a failed
    /// condition.
    fn action_of_transaction(&mut self) -> Text {
        loop {
            let action = self.action();
            if !(self.database.is_dynoxide() && action.deletes_if) {
                return action;
            }
        }
    }

    fn action(&mut self) -> Text {
        let mut statement = Text::new();
        match self.random.below(6) {
            0 | 1 => {
                statement.add("INSERT INTO $T VALUE {");
                let item = self.item();
                statement.key = format!("{} {}", item["id"], item["pos"]);
                for (at, (name, value)) in item.as_object().unwrap().iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    statement.add(format!("{comma}'{name}': "));
                    self.put_value(&mut statement, value);
                }
                statement.add("}");
                return statement;
            }
            2 => statement.add("DELETE FROM $T"),
            _ => {
                statement.add("UPDATE $T");
                if self.random.one_in(30) {
                    let sets = self.many_sets();
                    statement.add(sets);
                } else {
                    self.put_changes(&mut statement);
                }
            }
        }
        self.put_key(&mut statement);
        if self.random.one_in(3) {
            statement.add(" AND ");
            self.put_condition(&mut statement, 1);
            statement.deletes_if = statement.words.starts_with("DELETE");
        }
        statement
    }

    fn put_changes(&mut self, statement: &mut Text) {
        let mut names: Vec<&str> = ATTRIBUTES.to_vec();
        if self.table == "indexed" {
            names.extend(["g", "r", "l"]);
        }
        for _ in 0..=self.random.below(3) {
            let at = usize::try_from(self.random.below(names.len() as u64)).unwrap();
            let name = names.remove(at);
            if ["g", "r", "l"].contains(&name) {
                if self.random.one_in(3) {
                    statement.add(format!(" REMOVE {name}"));
                } else {
                    statement.add(format!(" SET {name} = "));
                    let value = self.index_value(name);
                    self.put_value(statement, &value);
                }
                continue;
            }
            let (before, value, after) = match self.random.below(9) {
                0 => (format!(" REMOVE {name}"), None, ""),
                1 => (format!(" REMOVE {name}[0]"), None, ""),
                2 => (format!(" SET {name} = {name} + "), Some(self.number()), ""),
                3 => {
                    let list = json!([self.value(0)]);
                    (format!(" SET {name} = list_append({name}, "), Some(list), ")")
                }
                4 => {
                    let sets = [json!({"$SS": ["y", "z"]}), json!({"$NS": ["2"]})];
                    let set = self.random.pick(&sets);
                    let function = self.random.pick(&["set_add", "set_delete"]);
                    (format!(" SET {name} = {function}({name}, "), Some(set), ")")
                }
                5 => (format!(" SET {name}.x = "), Some(self.value(1)), ""),
                6 => (format!(" SET {name}[1] = "), Some(self.value(0)), ""),
                _ => (format!(" SET {name} = "), Some(self.value(2)), ""),
            };
            statement.add(before);
            if let Some(value) = value {
                self.put_value(statement, &value);
            }
            statement.add(after);
        }
    }

    fn put_condition(&mut self, statement: &mut Text, depth: u32) {
        if depth > 0 && self.random.one_in(3) {
            let join = self.random.pick(&[" AND ", " OR "]);
            statement.add(if self.random.one_in(4) { "NOT (" } else { "(" });
            self.put_condition(statement, depth - 1);
            statement.add(join);
            self.put_condition(statement, depth - 1);
            statement.add(")");
            return;
        }
        let path = self.path();
        let (text, value, after) = match self.random.below(9) {
            0 => (format!("{path} IS MISSING"), None, ""),
            1 => (format!("{path} IS NOT MISSING"), None, ""),
            2 => {
                let text = self.random.pick(&["x", "y"]);
                (format!("begins_with({path}, "), Some(json!(text)), ")")
            }
            3 => {
                let value = self.random.pick(&[json!("x"), json!(1), json!("xy")]);
                (format!("contains({path}, "), Some(value), ")")
            }
            4 => {
                let operator = self.random.pick(&["=", "<", ">"]);
                let size = self.random.below(3);
                (format!("size({path}) {operator} "), Some(json!(size)), "")
            }
            5 => (format!("{path} BETWEEN 0 AND "), Some(json!(2)), ""),
            6 => (format!("{path} IN [1, 'x', "), Some(self.value(0)), "]"),
            7 => (format!("{path} <> "), Some(self.value(1)), ""),
            _ => {
                let operator = self.random.pick(&["=", "=", "<", "<=", ">", ">="]);
                let value = match operator {
                    "=" => self.value(1),
                    _ => self.random.pick(&[json!("x"), json!(1)]),
                };
                (format!("{path} {operator} "), Some(value), "")
            }
        };
        statement.add(text);
        if let Some(value) = value {
            self.put_value(statement, &value);
        }
        statement.add(after);
    }

    /// Adds which partitions are read, and returns the form: 0 all, 1 and 2 two, else one.
    fn put_partition(&mut self, statement: &mut Text, partition: &str) -> u64 {
        let values: [Value; 3] = match (partition, self.table) {
            ("id", "number") => [json!(1), json!(-1), json!({"$N": "1.5"})],
            ("id", "binary") => ["AA==", "eA==", "eHk="].map(|id| json!({"$B": id})),
            ("id", _) => ["a", "b", "c"].map(Value::from),
            _ => ["x", "y", "xy"].map(Value::from),
        };
        let shape = self.random.below(6);
        match shape {
            0 => {}
            // dynoxide refuses to read a partition twice.
            1 => {
                statement.add(format!(" WHERE {partition} IN ["));
                self.put_value(statement, &values[2]);
                statement.add(", ");
                self.put_value(statement, &values[0]);
                statement.add("]");
            }
            2 => {
                statement.add(format!(" WHERE ({partition} = "));
                self.put_value(statement, &values[2]);
                statement.add(format!(" OR {partition} = "));
                self.put_value(statement, &values[1]);
                statement.add(")");
            }
            _ => {
                let one = self.random.pick(&values);
                statement.add(format!(" WHERE {partition} = "));
                self.put_value(statement, &one);
            }
        }
        shape
    }

    fn select(&mut self) -> Step {
        let index = (self.table == "indexed" && self.random.one_in(2)).then(|| {
            self.random.pick(&["by-g", "by-g-r", "by-g-keys", "by-l", "by-r", "by-l-all"])
        });
        let (partition, sort) = match (index, self.is_simple()) {
            (None, true) => ("id", None),
            (None, false) => ("id", Some("pos")),
            (Some("by-g"), _) => ("g", None),
            (Some("by-g-r"), _) => ("g", Some("r")),
            (Some("by-g-keys"), _) => ("g", Some("pos")),
            (Some("by-r"), _) => ("id", Some("r")),
            (Some(_), _) => ("id", Some("l")),
        };
        let holds_all = index.is_none_or(|index| ["by-g", "by-l-all"].contains(&index));
        let mut statement = Text::new();
        let list = if holds_all { self.list() } else { "*".to_owned() };
        let from = index.map(|index| format!(".\"{index}\"")).unwrap_or_default();
        statement.add(format!("SELECT {list} FROM $T{from}"));
        let shape = self.put_partition(&mut statement, partition);
        let mut ranged = false;
        if let (Some(sort), 3..) = (sort, shape)
            && self.random.one_in(2)
        {
            let value = self.sort_value(sort);
            let operator = self.random.pick(&["=", "<", "<=", ">", ">="]);
            ranged = operator != "<" && operator != ">";
            statement.add(format!(" AND {sort} {operator} "));
            self.put_value(&mut statement, &value);
        }
        let filters = holds_all && self.random.one_in(3);
        if filters {
            statement.add(if shape == 0 { " WHERE " } else { " AND " });
            // An OR beside the key would make it another kind of read.
            statement.add("(");
            // Of a NOT over several conditions dynoxide returns an item for each.
            let depth = u32::from(!self.database.is_dynoxide());
            self.put_condition(&mut statement, depth);
            statement.add(")");
        }
        // Of attributes that are not listed, and without a sort key, DynamoDB Local fails to order.
        // Across partitions dynoxide orders by the partition key only, and takes an OR for several.
        let orders = if self.database.is_dynoxide() { shape >= 3 && !filters } else { shape != 0 };
        let ordered = list == "*" && sort.is_some() && orders && self.random.one_in(2);
        let mut descends = false;
        if ordered {
            let sort = sort.unwrap_or(partition);
            let direction = self.random.pick(&["", " ASC", " DESC"]);
            descends = direction == " DESC";
            statement.add(format!(" ORDER BY {sort}{direction}"));
        }
        let mut step = Self::call("ExecuteStatement", statement.request());
        // Scans have no order, and equal index keys none; of several partitions it is not
        // documented.
        step.order = Some((shape >= 3).then(|| sort.unwrap_or(partition).to_owned()));
        if index.is_none() && shape >= 3 {
            step.order = None;
        }
        if step.order.is_some() && list != "*" {
            step.order = Some(None);
        }
        // Where one reads by the key and the other scans, only all pages together are the same; at
        // the last key of a range DynamoDB Local loses some. It orders descending within each page
        // only. Through a table without a sort key dynoxide pages for ever, and with documents or
        // sets among the parameters it does not take its own token.
        let parameters = step.body["Parameters"].as_array().into_iter().flatten();
        let documents = parameters.filter(|value| value.is_array() || value.is_object()).count();
        let ends = !(self.database.is_dynoxide() && (self.is_simple() || documents > 0));
        if self.random.one_in(2) && !(ranged && index.is_some()) && !descends && ends {
            step.body["Limit"] = (1 + self.random.below(4)).into();
            step.pages = index.is_some() || shape < 3 || self.random.one_in(2);
        }
        step
    }

    fn sort_value(&mut self, sort: &str) -> Value {
        if sort == "pos" && self.table == "binaries" {
            self.random.pick(&[json!({"$B": "eA=="}), json!({"$B": "/w=="})])
        } else if sort == "l" || (sort == "pos" && self.table == "strings") {
            self.random.pick(&[json!("p"), json!("x"), json!("xy"), json!("q")])
        } else {
            self.number()
        }
    }
}
