//! Random condition and update expressions.

use serde_json::json;

use super::generate::{ATTRIBUTES, Generator};

/// Clauses of an update expression.
#[derive(Default)]
struct Actions {
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    deletes: Vec<String>,
}

impl Generator {
    pub fn condition(&mut self, depth: u32) -> String {
        if depth > 0 && self.random.one_in(3) {
            let left = self.condition(depth - 1);
            return match self.random.below(3) {
                0 => format!("({left}) AND ({})", self.condition(depth - 1)),
                1 => format!("{left} OR {}", self.condition(depth - 1)),
                _ => format!("NOT ({left})"),
            };
        }
        let name = self.random.pick(&ATTRIBUTES);
        let name = self.name(name);
        let path = self.place_in(&name);
        match self.random.below(11) {
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
            7 => {
                let values = [self.value(0), self.value(1), json!("x")];
                let listed = values.map(|value| self.placeholder(value)).join(", ");
                format!("{path} IN ({listed})")
            }
            8 => {
                let other = self.path();
                // The same place on both sides is refused by AWS, and not by dynoxide.
                if path.starts_with(&other[..1]) || path.contains(&format!("#{}", &other[..1])) {
                    return format!("attribute_exists({path})");
                }
                let operator = self.random.pick(&["=", "<>", "<", "<=", ">", ">="]);
                format!("{path} {operator} {other}")
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

    /// One action on an attribute.
    fn put_action(&mut self, name: &str, actions: &mut Actions) {
        match self.random.below(14) {
            0 => actions.removes.push(name.to_owned()),
            1 => actions.removes.push(format!("{name}[0]")),
            2 => {
                let value = self.random.pick(&[
                    json!(1),
                    json!(-3),
                    json!({"$SS": ["y", "z"]}),
                    json!({"$NS": ["2"]}),
                ]);
                actions.adds.push(format!("{name} {}", self.placeholder(value)));
            }
            3 => {
                let value = self.random.pick(&[json!({"$SS": ["y", "x"]}), json!({"$NS": ["1"]})]);
                actions.deletes.push(format!("{name} {}", self.placeholder(value)));
            }
            4 => {
                let value = self.number();
                let zero = self.placeholder(json!(0));
                actions.sets.push(format!(
                    "{name} = if_not_exists({name}, {zero}) + {}",
                    self.placeholder(value)
                ));
            }
            5 => {
                let list = json!([self.value(0)]);
                let empty = self.placeholder(json!([]));
                actions.sets.push(format!(
                    "{name} = list_append(if_not_exists({name}, {empty}), {})",
                    self.placeholder(list)
                ));
            }
            6 => {
                let value = self.value(1);
                actions.sets.push(format!("{name}.x = {}", self.placeholder(value)));
            }
            7 => {
                let value = self.value(0);
                actions.sets.push(format!("{name}[1] = {}", self.placeholder(value)));
            }
            8 => {
                let other = self.path();
                let value = self.value(1);
                actions
                    .sets
                    .push(format!("{name} = if_not_exists({other}, {})", self.placeholder(value)));
            }
            9 => {
                let (other, sign) = (self.path(), self.random.pick(&["+", "-"]));
                let value = self.number();
                actions.sets.push(format!("{name} = {other} {sign} {}", self.placeholder(value)));
            }
            10 => actions.sets.push(format!("{name} = {}", self.path())),
            11 => actions.removes.push(format!("{name}.x")),
            _ => {
                let value = self.value(2);
                actions.sets.push(format!("{name} = {}", self.placeholder(value)));
            }
        }
    }

    pub fn update(&mut self) -> String {
        let mut names: Vec<&str> = ATTRIBUTES.to_vec();
        if self.table == "indexed" {
            names.extend(["g", "r", "l"]);
        }
        let mut actions = Actions::default();
        for _ in 0..=self.random.below(3) {
            let at = usize::try_from(self.random.below(names.len() as u64)).unwrap();
            let name = names.remove(at);
            if ["g", "r", "l"].contains(&name) {
                if self.random.one_in(3) {
                    actions.removes.push(name.to_owned());
                } else {
                    let value = self.index_value(name);
                    actions.sets.push(format!("{name} = {}", self.placeholder(value)));
                }
                continue;
            }
            let name = &self.name(name);
            self.put_action(name, &mut actions);
        }
        // One that only removes creates no item at AWS, unlike in local databases.
        if actions.sets.is_empty() && actions.adds.is_empty() {
            actions.sets.push(format!("touched = {}", self.placeholder(json!(1))));
        }
        let clause = |word: &str, parts: Vec<String>| {
            if parts.is_empty() { String::new() } else { format!("{word} {} ", parts.join(", ")) }
        };
        let text = clause("SET", actions.sets)
            + &clause("REMOVE", actions.removes)
            + &clause("ADD", actions.adds)
            + &clause("DELETE", actions.deletes);
        text.trim_end().to_owned()
    }
}
