//! Requests as libraries write them, and near DynamoDB's limits: what is put beside them must
//! neither break their grammar nor exceed what they are allowed.

use serde_json::{Map, Value, json};

use super::generate::{ATTRIBUTES, Generator, Step};

/// Most operators of an expression, and most bytes.
const OPERATORS_MAX: usize = 300;
const EXPRESSION_BYTES_MAX: usize = 4096;

/// Attributes of a wide item: more than a condition can compare.
const WIDE: usize = 170;

impl Generator {
    /// A condition as programs write it.
    pub fn written_condition(&mut self, depth: u32) -> String {
        match self.random.below(12) {
            0..=2 => self.of_library(depth),
            3 => format!("( {} )", self.condition(depth)),
            4 => self.repeated(),
            _ => self.condition(depth),
        }
    }

    /// Every pair in parentheses, the outermost too: boto3, PynamoDB.
    fn of_library(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.condition(0);
        }
        let left = self.of_library(depth - 1);
        match self.random.below(4) {
            0 | 1 => format!("({left} AND {})", self.of_library(depth - 1)),
            2 => format!("({left} OR {})", self.of_library(depth - 1)),
            _ => format!("(NOT {left})"),
        }
    }

    /// One that uses up an expression's operators, or its bytes.
    fn repeated(&mut self) -> String {
        let length = self.random.pick(&[1, 31]);
        let name = self.random.pick(&ATTRIBUTES).repeat(length);
        let clause = match self.random.below(3) {
            0 => format!("attribute_not_exists({name}_)"),
            1 => format!("attribute_exists({name})"),
            _ => format!("{name} <> {}", self.placeholder("never".into())),
        };
        let join = self.random.pick(&[" AND ", " OR "]);
        // Each with what joins it.
        let most = (OPERATORS_MAX / 2).min(EXPRESSION_BYTES_MAX / (clause.len() + join.len()));
        let fewer = usize::try_from(self.random.below(10)).unwrap();
        vec![clause; most.saturating_sub(fewer).max(1)].join(join)
    }

    /// At times more attributes than a condition can compare.
    pub fn widen(&mut self, item: &mut Value) {
        if self.random.one_in(30) {
            for at in 0..WIDE {
                item[wide(at)] = 1.into();
            }
        }
    }

    /// Older updates of more attributes than an expression can name.
    pub fn many_updates(&mut self) -> Map<String, Value> {
        let action = self.random.pick(&["PUT", "ADD"]);
        let update = |at| (wide(at), json!({"Action": action, "Value": 1}));
        (0..2 * WIDE).map(update).collect()
    }

    /// A statement's changes of as many.
    pub fn many_sets(&mut self) -> String {
        let more = self.random.pick(&[WIDE, 2 * WIDE]);
        (0..more).map(|at| format!(" SET {} = 2", wide(at))).collect()
    }

    /// A program's loop: it reads the table and does the same to one item after the other.
    pub fn sweep(&mut self) -> Vec<Step> {
        let mut steps = vec![self.scan_of_all()];
        let mut update = self.update_item();
        for _ in 0..3 + self.random.below(5) {
            update.body["Key"] = self.key();
            steps.push(update.clone());
        }
        steps
    }

    #[allow(clippy::unused_self)] // as the generator's other steps
    fn scan_of_all(&mut self) -> Step {
        let mut step = Self::call("Scan", json!({"TableName": "$T"}));
        step.order = Some(None);
        step
    }
}

fn wide(at: usize) -> String {
    format!("a{at:03}")
}
