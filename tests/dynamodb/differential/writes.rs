//! Random writes, one item, several, in a batch, in a transaction; and wrong ones.

use serde_json::{Value, json};

use super::generate::{Generator, Step};

impl Generator {
    fn conditional(&mut self, body: &mut Value) {
        if self.random.one_in(3) {
            let condition = self.written_condition(2);
            body["ConditionExpression"] = condition.into();
            if self.random.one_in(2) {
                body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
            }
        }
    }

    /// Of a write that stands alone: at times with the older parameters.
    fn write_parameters(&mut self, kind: u64) -> Value {
        if self.random.one_in(5) { self.older_write(kind) } else { self.write_action(kind) }
    }

    /// Of a Put, a Delete, an Update or a ConditionCheck.
    fn write_action(&mut self, kind: u64) -> Value {
        let mut body = json!({"TableName": "$T"});
        match kind {
            0 => body["Item"] = self.item(),
            1 => body["Key"] = self.key(),
            2 => {
                body["Key"] = self.key();
                body["UpdateExpression"] = self.update().into();
            }
            _ => {
                body["Key"] = self.key();
                body["ConditionExpression"] = self.written_condition(1).into();
                return self.finish(body);
            }
        }
        self.conditional(&mut body);
        self.finish(body)
    }

    pub fn batch_write(&mut self) -> Step {
        let mut asked = json!({"$T": self.requests(4)});
        if self.also_other(3) {
            asked["$U"] = self.of_other(|generator| generator.requests(3)).into();
        }
        let mut body = json!({"RequestItems": asked});
        self.ask_of_several(&mut body);
        Self::call("BatchWriteItem", body)
    }

    fn requests(&mut self, most: u64) -> Vec<Value> {
        let mut requests: Vec<Value> = Vec::new();
        for _ in 0..=self.random.below(most) {
            requests.push(if self.random.one_in(3) {
                json!({"DeleteRequest": {"Key": self.key()}})
            } else {
                json!({"PutRequest": {"Item": self.item()}})
            });
        }
        requests
    }

    pub fn transact_write(&mut self) -> Step {
        let mut actions: Vec<Value> = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..=self.random.below(3) {
            let kind = self.random.below(4);
            let name =
                ["Put", "Delete", "Update", "ConditionCheck"][usize::try_from(kind).unwrap()];
            let (table, mut parameters) = self.of_either(|generator| generator.write_action(kind));
            parameters["TableName"] = table.into();
            let item = parameters.get("Item").unwrap_or(&parameters["Key"]);
            let key = format!("{table} {} {}", item["id"], item["pos"]);
            // The same item twice is refused by AWS before anything else, and by DynamoDB Local
            // after.
            if !keys.contains(&key) {
                keys.push(key);
                actions.push(json!({name: parameters}));
            }
        }
        let mut body = json!({"TransactItems": actions});
        if self.random.one_in(4) {
            // Of this run and client: the database remembers tokens for ten minutes.
            body["ClientRequestToken"] =
                format!("$R-{}-{}", self.client, self.random.below(3)).into();
        }
        self.ask_of_several(&mut body);
        // Of a transaction dynoxide tells none.
        body.as_object_mut().unwrap().remove("ReturnItemCollectionMetrics");
        Self::call("TransactWriteItems", body)
    }

    pub fn put(&mut self) -> Step {
        let mut body = self.write_parameters(0);
        body["ReturnValues"] = self.random.pick(&["NONE", "ALL_OLD"]).into();
        self.ask_of_one(&mut body);
        Self::call("PutItem", body)
    }

    pub fn delete(&mut self) -> Step {
        let mut body = self.write_parameters(1);
        body["ReturnValues"] = self.random.pick(&["NONE", "ALL_OLD"]).into();
        self.ask_of_one(&mut body);
        Self::call("DeleteItem", body)
    }

    pub fn update_item(&mut self) -> Step {
        let mut body = self.write_parameters(2);
        let mut values = vec!["NONE", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"];
        // Of an item that was not there, dynoxide returns the key.
        if !self.database.is_dynoxide() {
            values.push("ALL_OLD");
        }
        body["ReturnValues"] = self.random.pick(&values).into();
        // Of a place in a document, each database returns another part.
        let text = body["UpdateExpression"].as_str().unwrap_or_default();
        if self.computes() && (text.contains('[') || text.contains(".x")) {
            body["ReturnValues"] = "ALL_NEW".into();
        }
        self.ask_of_one(&mut body);
        Self::call("UpdateItem", body)
    }

    /// All clients add to one item; who comes first is not said.
    pub fn count_together(&mut self) -> Step {
        let client = std::mem::take(&mut self.client);
        let mut key = self.key();
        self.client = client;
        key["id"] = match self.table {
            "number" => json!(1000),
            "binary" => json!({"$B": "c2hhcmVk"}),
            _ => json!("shared"),
        };
        let value = self.number();
        let text = format!("ADD n {}", self.placeholder(value));
        let body = json!({"TableName": "$T", "Key": key, "UpdateExpression": text});
        Self::call("UpdateItem", self.finish(body))
    }

    /// What is refused before anything is looked at.
    pub fn wrong(&mut self) -> Step {
        let (key, mut item) = (self.key(), self.item());
        let get = |key: Value| Self::call("GetItem", json!({"TableName": "$T", "Key": key}));
        match self.random.below(9) {
            0 => get(json!({})),
            1 => get(json!({"id": [1]})),
            2 => {
                let mut key = key;
                key["other"] = "x".into();
                get(key)
            }
            3 => {
                item.as_object_mut().unwrap().remove("id");
                Self::call("PutItem", json!({"TableName": "$T", "Item": item}))
            }
            4 => {
                let text = "SET id = :v";
                let body = json!({"TableName": "$T", "Key": key, "UpdateExpression": text,
                    "ExpressionAttributeValues": {":v": "x"}});
                Self::call("UpdateItem", body)
            }
            5 => {
                let requests =
                    [json!({"PutRequest": {"Item": key}}), json!({"DeleteRequest": {"Key": key}})];
                Self::call("BatchWriteItem", json!({"RequestItems": {"$T": requests}}))
            }
            6 => {
                let body = json!({"TableName": "$T", "Key": key, "UpdateExpression": "SET n = :v"});
                Self::call("UpdateItem", body)
            }
            7 => {
                let body = json!({"TableName": "$T", "Key": key, "ReturnValues": "ALL_NEW"});
                Self::call("DeleteItem", body)
            }
            _ => {
                let values = json!({":v": 1, ":unused": 2});
                let body = json!({"TableName": "$T", "Item": item,
                    "ConditionExpression": "n = :v", "ExpressionAttributeValues": values});
                Self::call("PutItem", body)
            }
        }
    }
}
