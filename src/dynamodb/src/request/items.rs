//! The members of the operations on items, in the order in which AWS lists what is wrong with them.

use super::model::{INDEX_NAME, ITEM, Member, NAMES, Rule, Shape, TABLE, TEXT, optional, required};

const CAPACITY: Member =
    optional("ReturnConsumedCapacity", Shape::Text(&[Rule::OneOf(&["INDEXES", "TOTAL", "NONE"])]));

const COLLECTION_METRICS: Member =
    optional("ReturnItemCollectionMetrics", Shape::Text(&[Rule::OneOf(&["SIZE", "NONE"])]));

const RETURN_VALUES: Member = optional(
    "ReturnValues",
    Shape::Text(&[Rule::OneOf(&["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"])]),
);

const ON_FAILURE: Member = optional(
    "ReturnValuesOnConditionCheckFailure",
    Shape::Text(&[Rule::OneOf(&["ALL_OLD", "NONE"])]),
);

const CONDITIONAL_OPERATOR: Member =
    optional("ConditionalOperator", Shape::Text(&[Rule::OneOf(&["OR", "AND"])]));

const COMPARISON: Shape = Shape::Text(&[Rule::OneOf(&[
    "IN",
    "NULL",
    "BETWEEN",
    "LT",
    "NOT_CONTAINS",
    "EQ",
    "GT",
    "NOT_NULL",
    "NE",
    "LE",
    "BEGINS_WITH",
    "GE",
    "CONTAINS",
])]);

const VALUE_LIST: Member = optional("AttributeValueList", Shape::List(&Shape::Attribute, &[]));

const CONDITIONS: Shape = Shape::Map(
    "com.amazonaws.dynamodb.v20120810.Condition",
    &Shape::Structure("Condition", &[VALUE_LIST, required("ComparisonOperator", COMPARISON)]),
    &[],
);

const EXPECTED: Member = optional(
    "Expected",
    Shape::Map(
        "com.amazonaws.dynamodb.v20120810.ExpectedAttributeValue",
        &Shape::Structure(
            "ExpectedAttributeValue",
            &[
                VALUE_LIST,
                optional("ComparisonOperator", COMPARISON),
                optional("Exists", Shape::Flag),
                optional("Value", Shape::Attribute),
            ],
        ),
        &[],
    ),
);

const ATTRIBUTE_UPDATES: Member = optional(
    "AttributeUpdates",
    Shape::Map(
        "com.amazonaws.dynamodb.v20120810.AttributeValueUpdate",
        &Shape::Structure(
            "AttributeValueUpdate",
            &[optional("Action", TEXT), optional("Value", Shape::Attribute)],
        ),
        &[],
    ),
);

const ATTRIBUTES_TO_GET: Member = optional(
    "AttributesToGet",
    Shape::List(&TEXT, &[Rule::LengthAtLeast(1), Rule::LengthAtMost(255)]),
);

const ATTRIBUTE_NAMES: Member = optional("ExpressionAttributeNames", NAMES);
const ATTRIBUTE_VALUES: Member = optional("ExpressionAttributeValues", ITEM);
const CONDITION: Member = optional("ConditionExpression", TEXT);
const FILTER: Member = optional("FilterExpression", TEXT);
const PROJECTION: Member = optional("ProjectionExpression", TEXT);
const CONSISTENT: Member = optional("ConsistentRead", Shape::Flag);
const INDEX: Member = optional("IndexName", INDEX_NAME);
const START_KEY: Member = optional("ExclusiveStartKey", ITEM);

const SELECT: Member = optional(
    "Select",
    Shape::Text(&[Rule::OneOf(&[
        "SPECIFIC_ATTRIBUTES",
        "COUNT",
        "ALL_ATTRIBUTES",
        "ALL_PROJECTED_ATTRIBUTES",
    ])]),
);

/// Up to 36 characters (API Reference, TransactWriteItems).
const TOKEN: Member =
    optional("ClientRequestToken", Shape::Text(&[Rule::LengthAtLeast(1), Rule::LengthAtMost(36)]));

pub const PUT: &[Member] = &[
    TABLE,
    CAPACITY,
    required("Item", ITEM),
    CONDITIONAL_OPERATOR,
    EXPECTED,
    RETURN_VALUES,
    COLLECTION_METRICS,
    CONDITION,
    ATTRIBUTE_VALUES,
    ATTRIBUTE_NAMES,
    ON_FAILURE,
];

pub const UPDATE: &[Member] = &[
    TABLE,
    CAPACITY,
    COLLECTION_METRICS,
    RETURN_VALUES,
    required("Key", ITEM),
    CONDITIONAL_OPERATOR,
    EXPECTED,
    ATTRIBUTE_UPDATES,
    CONDITION,
    optional("UpdateExpression", TEXT),
    ATTRIBUTE_VALUES,
    ATTRIBUTE_NAMES,
    ON_FAILURE,
];

pub const DELETE: &[Member] = &[
    CAPACITY,
    TABLE,
    RETURN_VALUES,
    COLLECTION_METRICS,
    required("Key", ITEM),
    CONDITIONAL_OPERATOR,
    EXPECTED,
    CONDITION,
    ATTRIBUTE_VALUES,
    ATTRIBUTE_NAMES,
    ON_FAILURE,
];

pub const GET: &[Member] = &[
    CAPACITY,
    ATTRIBUTES_TO_GET,
    required("Key", ITEM),
    TABLE,
    CONSISTENT,
    PROJECTION,
    ATTRIBUTE_NAMES,
];

pub const QUERY: &[Member] = &[
    SELECT,
    INDEX,
    CAPACITY,
    optional("QueryFilter", CONDITIONS),
    TABLE,
    CONDITIONAL_OPERATOR,
    ATTRIBUTES_TO_GET,
    optional("Limit", Shape::Whole("Integer", &[Rule::QueryLimit])),
    optional("KeyConditions", CONDITIONS),
    START_KEY,
    CONSISTENT,
    optional("ScanIndexForward", Shape::Flag),
    optional("KeyConditionExpression", TEXT),
    FILTER,
    PROJECTION,
    ATTRIBUTE_VALUES,
    ATTRIBUTE_NAMES,
];

pub const SCAN: &[Member] = &[
    SELECT,
    INDEX,
    optional(
        "TotalSegments",
        Shape::Whole("Integer", &[Rule::AtLeast(1), Rule::AtMost(1_000_000)]),
    ),
    CAPACITY,
    TABLE,
    CONDITIONAL_OPERATOR,
    optional("ScanFilter", CONDITIONS),
    optional("Segment", Shape::Whole("Integer", &[Rule::AtLeast(0), Rule::AtMost(999_999)])),
    optional("Limit", Shape::Whole("Integer", &[Rule::AtLeast(1)])),
    ATTRIBUTES_TO_GET,
    START_KEY,
    CONSISTENT,
    FILTER,
    PROJECTION,
    ATTRIBUTE_VALUES,
    ATTRIBUTE_NAMES,
];

pub const BATCH_GET: &[Member] = &[
    CAPACITY,
    required(
        "RequestItems",
        Shape::Map(
            "com.amazonaws.dynamodb.v20120810.KeysAndAttributes",
            &Shape::Structure(
                "KeysAndAttributes",
                &[
                    required(
                        "Keys",
                        Shape::List(&ITEM, &[Rule::LengthAtLeast(1), Rule::BatchKeysAtMost(100)]),
                    ),
                    ATTRIBUTES_TO_GET,
                    CONSISTENT,
                    PROJECTION,
                    ATTRIBUTE_NAMES,
                ],
            ),
            &[Rule::TableKeys],
        ),
    ),
];

pub const BATCH_WRITE: &[Member] = &[
    CAPACITY,
    COLLECTION_METRICS,
    required(
        "RequestItems",
        Shape::Map(
            "java.util.List<com.amazonaws.dynamodb.v20120810.WriteRequest>",
            &Shape::List(
                &Shape::Structure(
                    "WriteRequest",
                    &[
                        optional(
                            "DeleteRequest",
                            Shape::Structure("DeleteRequest", &[required("Key", ITEM)]),
                        ),
                        optional(
                            "PutRequest",
                            Shape::Structure("PutRequest", &[required("Item", ITEM)]),
                        ),
                    ],
                ),
                &[],
            ),
            &[Rule::TableKeys, Rule::ListLengths(1, 25)],
        ),
    ),
];

const fn action(name: &'static str, kind: &'static str, members: &'static [Member]) -> Member {
    optional(name, Shape::Structure(kind, members))
}

pub const TRANSACT_WRITE: &[Member] = &[
    CAPACITY,
    COLLECTION_METRICS,
    TOKEN,
    required(
        "TransactItems",
        Shape::List(
            &Shape::Structure(
                "TransactWriteItem",
                &[
                    action(
                        "ConditionCheck",
                        "ConditionCheck",
                        &[
                            required("Key", ITEM),
                            TABLE,
                            required("ConditionExpression", TEXT),
                            ATTRIBUTE_NAMES,
                            ATTRIBUTE_VALUES,
                            ON_FAILURE,
                        ],
                    ),
                    action(
                        "Put",
                        "Put",
                        &[
                            required("Item", ITEM),
                            TABLE,
                            CONDITION,
                            ATTRIBUTE_NAMES,
                            ATTRIBUTE_VALUES,
                            ON_FAILURE,
                        ],
                    ),
                    action(
                        "Delete",
                        "Delete",
                        &[
                            required("Key", ITEM),
                            TABLE,
                            CONDITION,
                            ATTRIBUTE_NAMES,
                            ATTRIBUTE_VALUES,
                            ON_FAILURE,
                        ],
                    ),
                    action(
                        "Update",
                        "Update",
                        &[
                            required("Key", ITEM),
                            required("UpdateExpression", TEXT),
                            TABLE,
                            CONDITION,
                            ATTRIBUTE_NAMES,
                            ATTRIBUTE_VALUES,
                            ON_FAILURE,
                        ],
                    ),
                ],
            ),
            &[Rule::LengthAtLeast(1), Rule::LengthAtMost(100)],
        ),
    ),
];

pub const TRANSACT_GET: &[Member] = &[
    CAPACITY,
    required(
        "TransactItems",
        Shape::List(
            &Shape::Structure(
                "TransactGetItem",
                &[required(
                    "Get",
                    Shape::Structure(
                        "Get",
                        &[required("Key", ITEM), TABLE, PROJECTION, ATTRIBUTE_NAMES],
                    ),
                )],
            ),
            &[Rule::LengthAtLeast(1), Rule::LengthAtMost(100)],
        ),
    ),
];

/// 1 to 8,192 characters (API Reference, ExecuteStatement).
const STATEMENT: Member =
    required("Statement", Shape::Text(&[Rule::LengthAtLeast(1), Rule::LengthAtMost(8192)]));

const PARAMETERS: Member = optional("Parameters", Shape::List(&Shape::Attribute, &[]));

pub const STATEMENT_ALONE: &[Member] = &[
    STATEMENT,
    PARAMETERS,
    CONSISTENT,
    optional("NextToken", TEXT),
    CAPACITY,
    optional("Limit", Shape::Whole("Integer", &[Rule::AtLeast(1)])),
    ON_FAILURE,
];

/// BatchExecuteStatement. How many statements there may be is checked with their kinds.
pub const STATEMENTS: &[Member] = &[
    required(
        "Statements",
        Shape::List(
            &Shape::Structure(
                "BatchStatementRequest",
                &[STATEMENT, PARAMETERS, CONSISTENT, ON_FAILURE],
            ),
            &[],
        ),
    ),
    CAPACITY,
];

pub const STATEMENTS_TOGETHER: &[Member] = &[
    required(
        "TransactStatements",
        Shape::List(
            &Shape::Structure("ParameterizedStatement", &[STATEMENT, PARAMETERS, ON_FAILURE]),
            &[],
        ),
    ),
    TOKEN,
    CAPACITY,
];
