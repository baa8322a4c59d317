//! Random programs over few keys and few values, so that their steps meet each other.

use serde_json::{Map, Value, json};

use super::Leg;
use super::database::Database;
use super::random::Random;
use super::reads::LOCAL;
use super::tables::is_simple;

/// A table's kind, the items at the start of it and of the other table, and what is done.
#[derive(Clone, Debug)]
pub struct Program {
    pub table: &'static str,
    pub seeds: Vec<Value>,
    pub other_seeds: Vec<Value>,
    pub steps: Vec<Step>,
}

/// Every program has a second table, of this kind: `$U` in requests, as the first is `$T`.
pub const OTHER: &str = "hash";

/// One call, or all pages of a read.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub operation: &'static str,
    pub body: Value,
    pub pages: bool,
    /// Of a scan: this many segments, all pages of each.
    pub segments: Option<u64>,
    /// Of answers without a defined order: the attribute they are ordered by, if by any.
    pub order: Option<Option<String>>,
    /// Which of several clients does it, at the same time as the others do theirs; 0 is alone.
    pub client: u8,
}

/// Clients of a program that has several.
pub const CLIENTS: u8 = 3;

/// The program of a seed.
pub fn program(seed: u64, statements: bool, leg: Leg, database: Database) -> Program {
    let mut random = Random(seed);
    let table = random.pick(&[
        "hash", "range", "range", "strings", "number", "binary", "binaries", "indexed", "indexed",
        "indexed",
    ]);
    let several = random.one_in(4);
    let mut generator = Generator {
        random,
        table,
        in_other: false,
        database,
        leg,
        statements,
        client: 0,
        parameters: Map::new(),
        names: Map::new(),
        count: 0,
    };
    let seeds = (0..generator.random.below(12)).map(|_| generator.item()).collect();
    let others = generator.random.below(4);
    let other_seeds = (0..others).map(|_| generator.of_other(Generator::item)).collect();
    let mut steps = Vec::new();
    for _ in 0..5 + generator.random.below(25) {
        if !several && generator.random.one_in(12) {
            steps.extend(generator.sweep());
            continue;
        }
        if several {
            generator.client = u8::try_from(generator.random.below(8)).unwrap_or(0).min(CLIENTS);
        }
        let mut step = generator.step();
        step.client = generator.client;
        // A program may send a transaction again: the token makes it happen once.
        if step.body.get("ClientRequestToken").is_some() && generator.random.one_in(2) {
            steps.push(step.clone());
        }
        steps.push(step);
    }
    Program { table, seeds, other_seeds, steps }
}

pub struct Generator {
    pub random: Random,
    pub table: &'static str,
    /// Whether a step of the other table is being made.
    in_other: bool,
    /// What is avoided, because this one departs from AWS there.
    pub database: Database,
    /// How it is run beside the database.
    pub leg: Leg,
    /// Whether PartiQL statements are among the steps.
    statements: bool,
    /// Whose step is being made. Each client has its own partitions, so that its answers do not
    /// depend on the others'.
    pub client: u8,
    /// ExpressionAttributeValues of the request being made.
    parameters: Map<String, Value>,
    /// ExpressionAttributeNames of the request being made.
    names: Map<String, Value>,
    count: u32,
}

pub const ATTRIBUTES: [&str; 8] = ["n", "s", "m", "q", "x", "z", "k", "w"];

impl Generator {
    /// Whether writes reach the database on both sides, so that its departures are on both.
    fn applied(&self) -> bool {
        self.leg != Leg::DryRun
    }

    /// Whether the guard may compute what an update returns: with a journal, it does where it asks
    /// the database for the old image instead.
    pub fn computes(&self) -> bool {
        matches!(self.leg, Leg::DryRun | Leg::Journaled(_))
    }

    /// Whether the table has no sort key.
    pub fn is_simple(&self) -> bool {
        is_simple(self.table)
    }

    pub fn key(&mut self) -> Value {
        let id = self.id();
        match self.table {
            "hash" | "number" | "binary" => json!({"id": id}),
            "strings" => {
                json!({"id": id,
                    "pos": self.random.pick(&["", "p", "pq", "q", "é", "pqr"]).to_owned() + "-"})
            }
            "binaries" => {
                json!({"id": id,
                    "pos": self.random.pick(&[json!({"$B": "eA=="}), json!({"$B": "eHg="}),
                        json!({"$B": "/w=="}), json!({"$B": "AA=="})])})
            }
            _ => json!({"id": id, "pos": self.number()}),
        }
    }

    /// A partition, of the client's own where there are several.
    pub fn id(&mut self) -> Value {
        let all: [Value; 6] = match self.table {
            "number" => [
                json!(1),
                json!(-1),
                json!(0),
                json!({"$N": "1.5"}),
                json!(10),
                json!({"$N": "1e2"}),
            ],
            "binary" => {
                ["eA==", "eQ==", "eHk=", "/w==", "AA==", "eHh4"].map(|id| json!({"$B": id}))
            }
            _ => ["a", "b", "c", "d", "e", "f"].map(Value::from),
        };
        let several = self.is_simple();
        match usize::from(self.client) {
            0 if several => self.random.pick(&all),
            0 => self.random.pick(&all[..3]),
            client if several => {
                self.random.pick(&[all[client - 1].clone(), all[client + 2].clone()])
            }
            client => all[client - 1].clone(),
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
                json!({"$BS": ["eA==", "eQ=="]}),
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
        self.widen(&mut item);
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
    pub fn placeholder(&mut self, value: Value) -> String {
        self.count += 1;
        // At times such as others could use for theirs.
        let prefix = self.random.pick(&["v", "v", "v", "m", "m1_"]);
        let name = format!(":{prefix}{}", self.count);
        self.parameters.insert(name.clone(), value);
        name
    }

    /// An attribute's name in the request being made: itself, or a placeholder.
    pub fn name(&mut self, name: &str) -> String {
        if !self.random.one_in(4) {
            return name.to_owned();
        }
        self.names.insert(format!("#{name}"), name.into());
        format!("#{name}")
    }

    /// The request, with what its placeholders stand for.
    pub fn finish(&mut self, mut body: Value) -> Value {
        let values = std::mem::take(&mut self.parameters);
        if !values.is_empty() {
            body["ExpressionAttributeValues"] = values.into();
        }
        let names = std::mem::take(&mut self.names);
        if !names.is_empty() {
            body["ExpressionAttributeNames"] = names.into();
        }
        self.count = 0;
        body
    }

    pub fn path(&mut self) -> String {
        let name = self.random.pick(&ATTRIBUTES);
        self.place_in(name)
    }

    /// An attribute, or a place in it.
    pub fn place_in(&mut self, name: &str) -> String {
        match self.random.below(8) {
            0 => format!("{name}.x"),
            1 => format!("{name}[0]"),
            2 => format!("{name}.y[1]"),
            _ => name.to_owned(),
        }
    }

    /// Something of the other table.
    pub fn of_other<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        let table = std::mem::replace(&mut self.table, OTHER);
        let before = std::mem::replace(&mut self.in_other, true);
        let of_other = make(self);
        (self.table, self.in_other) = (table, before);
        of_other
    }

    /// Something of the table, or at times of the other one; and which, as requests name it.
    pub fn of_either<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> (&'static str, T) {
        if self.also_other(4) { ("$U", self.of_other(make)) } else { ("$T", make(self)) }
    }

    /// Whether a call is about the other table too, once in this many.
    pub fn also_other(&mut self, n: u64) -> bool {
        !self.in_other && self.random.one_in(n)
    }

    /// At times asks what a read consumes. Of DynamoDB Local see tests/README.md.
    pub fn ask_of_read(&mut self, body: &mut Value) {
        if self.random.one_in(4) && self.database.is_dynoxide() {
            let level = self.random.pick(&["TOTAL", "INDEXES", "NONE"]);
            // Of a scan of a local index, dynoxide tells that the table was read.
            let local = body["IndexName"].as_str().is_some_and(|index| LOCAL.contains(&index));
            let level = if local { "TOTAL" } else { level };
            body["ReturnConsumedCapacity"] = level.into();
        }
    }

    /// At times asks what a write of one item consumes, and of its item collection.
    pub fn ask_of_one(&mut self, body: &mut Value) {
        if self.applied() || self.database.is_dynoxide() {
            self.ask(body);
        }
    }

    /// The same of several writes, which a journal sends one by one.
    pub fn ask_of_several(&mut self, body: &mut Value) {
        if self.database.is_dynoxide() {
            self.ask(body);
        }
    }

    fn ask(&mut self, body: &mut Value) {
        if self.random.one_in(4) {
            let level = self.random.pick(&["TOTAL", "INDEXES", "NONE"]);
            body["ReturnConsumedCapacity"] = level.into();
        }
        if self.random.one_in(6) {
            let metrics = self.random.pick(&["SIZE", "SIZE", "NONE"]);
            body["ReturnItemCollectionMetrics"] = metrics.into();
        }
    }

    pub fn call(operation: &'static str, body: Value) -> Step {
        Step { operation, body, ..Step::default() }
    }

    fn step(&mut self) -> Step {
        if !self.random.one_in(10) {
            return self.step_of_table();
        }
        let mut step = self.of_other(Self::step_of_table);
        let text = step.body.to_string().replace("$T", "$U");
        step.body = serde_json::from_str(&text).unwrap();
        step
    }

    fn step_of_table(&mut self) -> Step {
        if self.statements && self.random.one_in(2) {
            return self.statement_step();
        }
        match self.random.below(24) {
            0..=2 => self.put(),
            3..=7 => self.update_item(),
            8 | 9 => self.delete(),
            10 => self.batch_write(),
            11 | 12 => self.transact_write(),
            13 => self.get(),
            14 => self.batch_get(),
            15 => self.transact_get(),
            16 if self.client > 0 => self.count_together(),
            16 => self.wrong(),
            17..=19 if self.client == 0 => self.scan(),
            _ => self.query(),
        }
    }
}
