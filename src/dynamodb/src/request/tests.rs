//! What AWS says of requests before it looks for their tables: what public conformance suites
//! record of AWS's answers, and the errors seen in them.

use serde_json::{Value, json};

use super::Request;
use crate::operation::Operation;

fn said(operation: &str, body: &Value) -> String {
    let operation = Operation::named(operation).unwrap();
    match Request::decode(operation, body.as_object().unwrap()) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => format!("{}: {}", error.code.name(), error.message),
    }
}

#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
fn says(operation: &str, body: Value, expected: &str) {
    assert_eq!(said(operation, &body), expected, "{operation} {body:.200}");
}

#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
fn finds(operation: &str, body: Value, violations: &[&str]) {
    let plural = if violations.len() == 1 { "" } else { "s" };
    let count = violations.len();
    let listed: Vec<String> = violations
        .iter()
        .map(|violation| match violation.split_once(": ") {
            Some((value_at, what)) => {
                format!("Value {value_at} failed to satisfy constraint: Member must {what}")
            }
            None => (*violation).to_owned(),
        })
        .collect();
    says(
        operation,
        body,
        &format!(
            "ValidationException: {count} validation error{plural} detected: {}",
            listed.join("; ")
        ),
    );
}

#[test]
fn wrong_types_are_found_before_missing_members() {
    let cast = "SerializationException: class sun.reflect.generics.reflectiveObjects.\
                ParameterizedTypeImpl cannot be cast to class java.lang.Class \
                (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class \
                are in module java.base of loader 'bootstrap')";
    let of_model = "com.amazonaws.dynamodb.v20120810";
    for (operation, body, expected) in [
        ("UpdateItem", json!({"Key": 23}), "Unexpected field type"),
        ("PutItem", json!({"TableName": 23}), "NUMBER_VALUE cannot be converted to String"),
        ("PutItem", json!({"TableName": 2.5}), "DECIMAL_VALUE cannot be converted to String"),
        (
            "PutItem",
            json!({"TableName": []}),
            "Unrecognized collection type class java.lang.String",
        ),
        ("PutItem", json!({"Item": {"a": 1}}), "Unexpected value type in payload"),
        (
            "PutItem",
            json!({"Item": {"a": {"S": ""}, "b": {"N": 1}}}),
            "NUMBER_VALUE cannot be converted to String",
        ),
        ("PutItem", json!({"Expected": {"a": {"Value": 1}}}), "Unexpected field type"),
        (
            "PutItem",
            json!({"Expected": {"a": {"Exists": 1}}}),
            "NUMBER_VALUE cannot be converted to Boolean",
        ),
        ("Query", json!({"Limit": "1"}), "STRING_VALUE cannot be converted to Integer"),
        ("Query", json!({"Limit": true}), "TRUE_VALUE cannot be converted to Integer"),
        (
            "Query",
            json!({"QueryFilter": {"a": {"AttributeValueList": {}}}}),
            "Start of structure or map found where not expected",
        ),
        ("Scan", json!({"Segment": []}), "Unrecognized collection type class java.lang.Integer"),
        ("Scan", json!({"ConsistentRead": "maybe"}), "Unexpected token received from parser"),
        (
            "TransactWriteItems",
            json!({"TransactItems": {}}),
            "Start of structure or map found where not expected",
        ),
        ("TransactWriteItems", json!({"TransactItems": [1]}), "Unexpected value type in payload"),
        (
            "CreateTable",
            json!({"ProvisionedThroughput": {"ReadCapacityUnits": "1"}}),
            "STRING_VALUE cannot be converted to Long",
        ),
    ] {
        says(operation, body, &format!("SerializationException: {expected}"));
    }
    says("BatchGetItem", json!({"RequestItems": {"a": {"Keys": [1]}}}), cast);
    says("BatchWriteItem", json!({"RequestItems": {"a": "x"}}), cast);
    says(
        "GetItem",
        json!({"Key": []}),
        &format!(
            "SerializationException: Unrecognized collection type java.util.Map<java.lang.String, \
             {of_model}.AttributeValue>"
        ),
    );
    says(
        "BatchWriteItem",
        json!({"RequestItems": []}),
        &format!(
            "SerializationException: Unrecognized collection type java.util.Map<java.lang.String, \
             java.util.List<{of_model}.WriteRequest>>"
        ),
    );
}

#[test]
fn limits_are_listed_together() {
    finds(
        "GetItem",
        json!({"TableName": "abc;", "ReturnConsumedCapacity": "hi", "AttributesToGet": []}),
        &[
            "'hi' at 'returnConsumedCapacity': satisfy enum value set: [INDEXES, TOTAL, NONE]",
            "'[]' at 'attributesToGet': have length greater than or equal to 1",
            "null at 'key': not be null",
            "'abc;' at 'tableName': satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ],
    );
    finds(
        "Scan",
        json!({"TableName": "abc", "IndexName": "", "ScanFilter": {"a": {}}, "Limit": 0}),
        &[
            "'' at 'indexName': satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            "'' at 'indexName': have length greater than or equal to 3",
            "null at 'scanFilter.a.member.comparisonOperator': not be null",
            "'0' at 'limit': have value greater than or equal to 1",
        ],
    );
    // Fractions are dropped.
    for (limit, shown) in [(json!(-0.0), "0"), (json!(0.9), "0"), (json!(-1.5), "-2")] {
        let violation = format!("'{shown}' at 'limit': have value greater than or equal to 1");
        finds("Scan", json!({"TableName": "abc", "Limit": limit}), &[&violation]);
    }
    finds(
        "BatchWriteItem",
        json!({"RequestItems": {"abc": [{"DeleteRequest": {}, "PutRequest": {}}]}}),
        &[
            "null at 'requestItems.abc.member.1.member.deleteRequest.key': not be null",
            "null at 'requestItems.abc.member.1.member.putRequest.item': not be null",
        ],
    );
    // At most ten.
    let keys = vec![json!({}); 9];
    let said = said(
        "TransactGetItems",
        &json!({"TransactItems": keys.iter().map(|_| json!({"Get": {}})).collect::<Vec<_>>()}),
    );
    assert!(said.starts_with("ValidationException: 10 validation errors detected: "), "{said}");
}

#[test]
fn a_wrong_table_name_is_told_first_or_with_the_others() {
    let name = "a".repeat(256);
    let long = format!("'{name}' at 'tableName': have length less than or equal to 255");
    let pattern = "'a b' at 'tableName': satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
    finds("PutItem", json!({}), &["null at 'tableName': not be null"]);
    finds(
        "PutItem",
        json!({"TableName": ""}),
        &["'' at 'tableName': have length greater than or equal to 1"],
    );
    finds("UpdateItem", json!({"TableName": name}), &[&long]);
    finds("UpdateItem", json!({"TableName": "a b"}), &[pattern]);
    finds("DeleteItem", json!({"TableName": "a b"}), &[pattern, "null at 'key': not be null"]);
    // An ARN is decided elsewhere.
    let arn = "arn:aws:dynamodb:eu-west-1:1:table/t";
    says("PutItem", json!({"TableName": arn, "Item": {}}), "nothing");
    says("BatchGetItem", json!({"RequestItems": {arn: {"Keys": [{}]}}}), "nothing");
}

#[test]
fn batches_and_transactions_have_their_bounds() {
    let too_many = "ValidationException: Too many items requested for the Batch";
    let keys =
        |count: usize| (0..count).map(|n| json!({"id": {"N": n.to_string()}})).collect::<Vec<_>>();
    let puts = |count: usize| {
        keys(count).into_iter().map(|key| json!({"PutRequest": {"Item": key}})).collect::<Vec<_>>()
    };
    says("BatchGetItem", json!({"RequestItems": {"abc": {"Keys": keys(100)}}}), "nothing");
    says("BatchWriteItem", json!({"RequestItems": {"abc": puts(25)}}), "nothing");
    for operation in ["BatchGetItem", "BatchWriteItem"] {
        says(
            operation,
            json!({"RequestItems": {}}),
            &format!("ValidationException: The requestItems parameter is required for {operation}"),
        );
        finds(operation, json!({}), &["null at 'requestItems': not be null"]);
    }
    says(
        "BatchGetItem",
        json!({"RequestItems": {"abc": {"Keys": keys(60)}, "abd": {"Keys": keys(60)}}}),
        &format!("{too_many}GetItem call"),
    );
    says(
        "BatchWriteItem",
        json!({"RequestItems": {"abc": puts(20), "abd": puts(20)}}),
        &format!("{too_many}WriteItem call"),
    );
    says(
        "BatchGetItem",
        json!({"RequestItems": {"abc": {"Keys": keys(101)}}}),
        "ValidationException: 1 validation error detected: Value at \
         'RequestItems.abc.member.Keys' failed to satisfy constraint: Member must have length less \
         than or equal to 100",
    );
    let said_of =
        |count: usize| said("BatchWriteItem", &json!({"RequestItems": {"abc": puts(count)}}));
    for count in [0, 26] {
        let said = said_of(count);
        assert!(said.contains("detected: Value '{abc=["), "{said}");
        assert!(
            said.ends_with(
                "]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy \
                 constraint: [Member must have length less than or equal to 25, Member must have \
                 length greater than or equal to 1]"
            ),
            "{said}"
        );
    }
    for operation in ["TransactWriteItems", "TransactGetItems"] {
        finds(
            operation,
            json!({"TransactItems": []}),
            &["'[]' at 'transactItems': have length greater than or equal to 1"],
        );
    }
    says(
        "TransactWriteItems",
        json!({"TransactItems": [{}]}),
        "ValidationException: TransactItems can only contain one of Check, Put, Update or Delete",
    );
    let token = "t".repeat(37);
    let put = json!({"Put": {"TableName": "abc", "Item": {}}});
    finds(
        "TransactWriteItems",
        json!({"TransactItems": [put], "ClientRequestToken": token}),
        &[&format!("'{token}' at 'clientRequestToken': have length less than or equal to 36")],
    );
}

#[test]
fn expressions_are_read_before_the_table_is_looked_for() {
    let request = |members: Value| {
        let mut body = json!({"TableName": "abc", "Key": {"id": {"S": "a"}}});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let bad = "Syntax error; token: \"BAD\", near: \"BAD\"";
    let counted = "ValidationException: 1 validation error detected:";
    says(
        "UpdateItem",
        request(json!({"UpdateExpression": "BAD"})),
        &format!("{counted} Invalid UpdateExpression: {bad}"),
    );
    says(
        "GetItem",
        request(json!({"ProjectionExpression": ""})),
        "ValidationException: Invalid ProjectionExpression: The expression can not be empty;",
    );
    says(
        "UpdateItem",
        request(json!({"UpdateExpression": "SET a = b", "ExpressionAttributeNames": {"#u": "u"}})),
        &format!(
            "{counted} Value provided in ExpressionAttributeNames unused in expressions: keys: \
             {{#u}}"
        ),
    );
    says(
        "Query",
        json!({"TableName": "abc"}),
        "ValidationException: Either the KeyConditions or KeyConditionExpression parameter must be \
         specified in the request.",
    );
    says(
        "TransactGetItems",
        json!({"TransactItems": [{"Get": request(json!({"ProjectionExpression": "!!"}))}]}),
        "ValidationException: Invalid ProjectionExpression: Syntax error; token: \"!\", near: \
         \"!!\"",
    );
}

#[test]
fn writes_of_one_item_count_what_is_wrong_with_the_request_itself() {
    let put = |members: Value| {
        let mut body = json!({"TableName": "abc", "Item": {"id": {"S": "a"}}});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let counted = "ValidationException: 1 validation error detected: ";
    for (members, expected) in [
        (json!({"ReturnValues": "ALL_NEW"}), "ReturnValues can only be ALL_OLD or NONE"),
        (
            json!({"Item": {"a": {"SS": []}}}),
            "One or more parameter values were invalid: An string set  may not be empty",
        ),
        (
            json!({"Item": {"a": {"NULL": false}}}),
            "One or more parameter values were invalid: Null attribute value types must have the \
             value of true",
        ),
        (
            json!({"ExpressionAttributeValues": {":a": {"S": "a"}}}),
            "ExpressionAttributeValues can only be specified when using expressions: \
             ConditionExpression is null",
        ),
        (
            json!({"Item": {"a": {"N": "b"}}}),
            "The parameter cannot be converted to a numeric value: b",
        ),
        (
            json!({"ExpressionAttributeNames": {"#a": "a"}}),
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
    ] {
        says("PutItem", put(members), &format!("{counted}{expected}"));
    }
    let delete = json!({
        "TableName": "abc", "Key": {"id": {"S": "a"}}, "ConditionExpression": "a = :a",
    });
    says(
        "DeleteItem",
        delete,
        &format!(
            "{counted}Invalid ConditionExpression: An expression attribute value used in \
             expression is not defined; attribute value: :a"
        ),
    );
    for (members, expected) in [
        (
            json!({"Item": {"a": {}}}),
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            json!({"Item": {"a": {"S": "a".repeat(500_000)}}}),
            "Item size has exceeded the maximum allowed size",
        ),
    ] {
        says("PutItem", put(members), &format!("ValidationException: {expected}"));
    }
}

#[test]
fn a_selection_goes_with_what_is_listed() {
    let scan = |members: Value| {
        let mut body = json!({"TableName": "abc"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    for (members, expected) in [
        (
            json!({"Select": "COUNT", "ProjectionExpression": "a"}),
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            json!({"Select": "ALL_ATTRIBUTES", "AttributesToGet": ["a"]}),
            "Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES",
        ),
        (
            json!({"Select": "SPECIFIC_ATTRIBUTES"}),
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get \
             SPECIFIC_ATTRIBUTES",
        ),
        (
            json!({"Segment": 1, "TotalSegments": 1}),
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: \
             Segment: 1 is not less than TotalSegments: 1",
        ),
        (
            json!({"ExclusiveStartKey": {"a": {}}}),
            "The provided starting key is invalid: Supplied AttributeValue is empty, must contain \
             exactly one of the supported datatypes",
        ),
    ] {
        says("Scan", scan(members), &format!("ValidationException: {expected}"));
    }
}

#[test]
fn tables_are_named_before_anything_else() {
    for operation in ["CreateTable", "UpdateTable", "DeleteTable", "DescribeTable"] {
        says(
            operation,
            json!({}),
            "ValidationException: The parameter 'TableName' is required but was not present in the \
             request",
        );
    }
    says(
        "DeleteTable",
        json!({"TableName": "ab"}),
        "ValidationException: TableName must be at least 3 characters long and at most 255 \
         characters long",
    );
    finds(
        "CreateTable",
        json!({"TableName": "ab"}),
        &["'ab' at 'tableName': have length greater than or equal to 3"],
    );
    finds(
        "CreateTable",
        json!({
            "TableName": "abc",
            "BillingMode": "none",
            "KeySchema": [{"AttributeName": "a", "KeyType": "X"}],
            "GlobalSecondaryIndexes": [{"IndexName": "h;"}],
        }),
        &[
            "'none' at 'billingMode': satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]",
            "'X' at 'keySchema.1.member.keyType': satisfy enum value set: [HASH, RANGE]",
            "null at 'attributeDefinitions': not be null",
            "null at 'globalSecondaryIndexes.1.member.keySchema': not be null",
            "null at 'globalSecondaryIndexes.1.member.projection': not be null",
            "'h;' at 'globalSecondaryIndexes.1.member.indexName': satisfy regular expression \
             pattern: [a-zA-Z0-9_.-]+",
            "'h;' at 'globalSecondaryIndexes.1.member.indexName': have length greater than or \
             equal to 3",
        ],
    );
    let element = |name: &str| json!({"AttributeName": name, "KeyType": "HASH"});
    finds(
        "CreateTable",
        json!({
            "TableName": "abc",
            "AttributeDefinitions": [],
            "KeySchema": [element("a"), element("b"), element("c")],
        }),
        &["'[KeySchemaElement(attributeName=a, keyType=HASH), KeySchemaElement(attributeName=b, \
           keyType=HASH), KeySchemaElement(attributeName=c, keyType=HASH)]' at 'keySchema': have \
           length less than or equal to 2"],
    );
}

#[test]
fn members_of_statements_are_read_or_rejected() {
    let decoded = |members: Value| {
        let mut body = json!({"Statement": "SELECT * FROM t"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        match Request::decode(Operation::ExecuteStatement, body.as_object().unwrap()) {
            Ok(Request::Execute(execute)) => Ok((execute.limit, execute.one.consistent)),
            other => Err(other.unwrap_err().code.name()),
        }
    };
    assert_eq!(decoded(json!({})), Ok((None, false)));
    assert_eq!(decoded(json!({"Limit": 2, "ConsistentRead": "yes"})), Ok((Some(2), true)));
    assert_eq!(decoded(json!({"Limit": 1.5})), Ok((Some(1), false)));
    for wrong in [json!({"Limit": 1_u64 << 32}), json!({"Limit": "2"})] {
        assert_eq!(decoded(wrong.clone()), Err("SerializationException"), "{wrong}");
    }
}
