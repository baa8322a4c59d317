//! The parameters that expressions have replaced.

use serde_json::{Value, json};

use super::generate::{ATTRIBUTES, Generator};

impl Generator {
    /// A write with Expected, and an update by AttributeUpdates.
    pub fn older_write(&mut self, kind: u64) -> Value {
        let mut body = json!({"TableName": "$T"});
        match kind {
            0 => body["Item"] = self.item(),
            1 => body["Key"] = self.key(),
            _ => {
                body["Key"] = self.key();
                body["AttributeUpdates"] = self.attribute_updates();
            }
        }
        if self.random.one_in(2) {
            let mut count = 1;
            let mut expected = json!({});
            if self.random.one_in(3) {
                let name = self.random.pick(&ATTRIBUTES);
                expected[name] = if self.random.one_in(2) {
                    json!({"Exists": false})
                } else {
                    json!({"Value": self.value(0)})
                };
            } else {
                (expected, count) = self.comparisons(&[]);
            }
            body["Expected"] = expected;
            self.operator(&mut body, count);
        }
        body
    }

    /// A filter of a scan or a query, and the attributes to get.
    pub fn older_filter(&mut self, body: &mut Value, name: &str, but: &[&str]) {
        if self.random.one_in(2) {
            let (filter, count) = self.comparisons(but);
            body[name] = filter;
            self.operator(body, count);
        }
        if self.random.one_in(3) {
            body["AttributesToGet"] = json!(["id", self.random.pick(&ATTRIBUTES)]);
        }
    }

    /// KeyConditions of a table.
    pub fn older_key(&mut self, body: &mut Value, id: Value, sort: Option<&str>) {
        let mut conditions =
            json!({"id": {"ComparisonOperator": "EQ", "AttributeValueList": [id]}});
        if let Some(sort) = sort
            && self.random.one_in(2)
        {
            let values = [self.key()[sort].clone()];
            let operator = self.random.pick(&["EQ", "LT", "LE", "GT", "GE"]);
            conditions[sort] =
                json!({"ComparisonOperator": operator, "AttributeValueList": values});
        }
        body["KeyConditions"] = conditions;
    }

    fn operator(&mut self, body: &mut Value, count: usize) {
        if count > 1 && self.random.one_in(2) {
            body["ConditionalOperator"] = self.random.pick(&["AND", "OR"]).into();
        }
    }

    fn comparisons(&mut self, but: &[&str]) -> (Value, usize) {
        let mut all = serde_json::Map::new();
        for _ in 0..=self.random.below(2) {
            let name = self.random.pick(&ATTRIBUTES);
            if but.contains(&name) {
                continue;
            }
            let comparison = self.comparison();
            all.insert(name.to_owned(), comparison);
        }
        let count = all.len();
        (all.into(), count)
    }

    fn comparison(&mut self) -> Value {
        let scalar = |generator: &mut Self| generator.random.pick(&[json!("x"), json!(1)]);
        let (operator, values) = match self.random.below(9) {
            0 => ("NULL", vec![]),
            1 => ("NOT_NULL", vec![]),
            2 => ("EQ", vec![self.value(1)]),
            3 => ("NE", vec![self.value(1)]),
            4 => (self.random.pick(&["LT", "LE", "GT", "GE"]), vec![scalar(self)]),
            // dynoxide finds NOT_CONTAINS true where the attribute is missing.
            5 if !self.database.is_dynoxide() => ("NOT_CONTAINS", vec![scalar(self)]),
            5 => ("CONTAINS", vec![scalar(self)]),
            6 => ("BEGINS_WITH", vec![json!("x")]),
            7 => ("BETWEEN", vec![json!(0), json!(2)]),
            // Of one type: AWS refuses others, dynoxide does not.
            _ => ("IN", vec![json!(1), json!(2)]),
        };
        if values.is_empty() {
            return json!({"ComparisonOperator": operator});
        }
        json!({"ComparisonOperator": operator, "AttributeValueList": values})
    }

    fn attribute_updates(&mut self) -> Value {
        if self.random.one_in(30) {
            return self.many_updates().into();
        }
        let mut updates = serde_json::Map::new();
        for _ in 0..=self.random.below(3) {
            let name = self.random.pick(&ATTRIBUTES);
            // DynamoDB Local ignores one without an action.
            let update = match self.random.below(5) {
                0 => json!({"Action": "DELETE"}),
                1 => json!({"Action": "DELETE", "Value": {"$SS": ["x"]}}),
                2 => {
                    let values = [json!(1), json!({"$SS": ["y", "z"]}), json!({"$NS": ["2"]})];
                    json!({"Action": "ADD", "Value": self.random.pick(&values)})
                }
                _ => json!({"Action": "PUT", "Value": self.value(2)}),
            };
            updates.insert(name.to_owned(), update);
        }
        // One that only removes creates no item at AWS, unlike in local databases.
        if updates.values().all(|update| update["Action"] == "DELETE") {
            updates.insert("touched".into(), json!({"Action": "PUT", "Value": 1}));
        }
        updates.into()
    }
}
