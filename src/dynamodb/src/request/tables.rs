//! The members of the operations on tables that a dry run simulates, in the order in which AWS
//! lists what is wrong with them. Others are not checked here: the database does.

use super::model::{INDEX_NAME, Member, Rule, Shape, TEXT, TEXTS, optional, required};

/// The table of a call on tables. That it is there, and its length, are checked before all others.
const TABLE: Member = optional("TableName", Shape::Text(&[Rule::NamePattern]));

const DEFINITION: Shape = Shape::Structure(
    "AttributeDefinition",
    &[
        required("AttributeName", TEXT),
        required("AttributeType", Shape::Text(&[Rule::OneOf(&["B", "N", "S"])])),
    ],
);

const KEY_ELEMENT: Shape = Shape::Structure(
    "KeySchemaElement",
    &[
        required("AttributeName", TEXT),
        required("KeyType", Shape::Text(&[Rule::OneOf(&["HASH", "RANGE"])])),
    ],
);

const TABLE_KEY: Member = required(
    "KeySchema",
    Shape::List(&KEY_ELEMENT, &[Rule::LengthAtLeast(1), Rule::LengthAtMost(2)]),
);

/// A global index may have four HASH and four RANGE elements.
const INDEX_KEY: Member = required(
    "KeySchema",
    Shape::List(&KEY_ELEMENT, &[Rule::LengthAtLeast(1), Rule::LengthAtMost(8)]),
);

const UNITS: Shape = Shape::Whole("Long", &[Rule::AtLeast(1)]);

const THROUGHPUT: Shape = Shape::Structure(
    "ProvisionedThroughput",
    &[required("WriteCapacityUnits", UNITS), required("ReadCapacityUnits", UNITS)],
);

const OPTIONAL_THROUGHPUT: Member = optional("ProvisionedThroughput", THROUGHPUT);

/// -1 takes a highest rate away, so the type has no limit.
const RATE: Shape = Shape::Whole("Long", &[]);

const HIGHEST: Member = optional(
    "OnDemandThroughput",
    Shape::Structure(
        "OnDemandThroughput",
        &[optional("MaxReadRequestUnits", RATE), optional("MaxWriteRequestUnits", RATE)],
    ),
);

const VIEWS: &[&str] = &["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"];

const STREAM: Member = optional(
    "StreamSpecification",
    Shape::Structure(
        "StreamSpecification",
        &[
            required("StreamEnabled", Shape::Flag),
            optional("StreamViewType", Shape::Text(&[Rule::OneOf(VIEWS)])),
        ],
    ),
);

/// Whether a key of the account can be used is not known here: KMSMasterKeyId is no member.
const ENCRYPTION: Member = optional(
    "SSESpecification",
    Shape::Structure(
        "SSESpecification",
        &[
            optional("Enabled", Shape::Flag),
            optional("SSEType", Shape::Text(&[Rule::OneOf(&["AES256", "KMS"])])),
        ],
    ),
);

const INCLUDED: Member =
    optional("NonKeyAttributes", Shape::List(&TEXT, &[Rule::LengthAtLeast(1)]));

const PROJECTION: Member = required(
    "Projection",
    Shape::Structure(
        "Projection",
        &[
            optional(
                "ProjectionType",
                Shape::Text(&[Rule::OneOf(&["ALL", "INCLUDE", "KEYS_ONLY"])]),
            ),
            INCLUDED,
        ],
    ),
);

const NAME_OF_INDEX: Member = required("IndexName", INDEX_NAME);

const BILLING: Member =
    optional("BillingMode", Shape::Text(&[Rule::OneOf(&["PROVISIONED", "PAY_PER_REQUEST"])]));

const CLASS: Member = optional(
    "TableClass",
    Shape::Text(&[Rule::OneOf(&["STANDARD", "STANDARD_INFREQUENT_ACCESS"])]),
);

const PROTECTION: Member = optional("DeletionProtectionEnabled", Shape::Flag);

const TAGS: Shape =
    Shape::List(&Shape::Structure("Tag", &[optional("Key", TEXT), optional("Value", TEXT)]), &[]);

pub const CREATE: &[Member] = &[
    optional("TableName", Shape::Text(&[])),
    BILLING,
    OPTIONAL_THROUGHPUT,
    TABLE_KEY,
    required("AttributeDefinitions", Shape::List(&DEFINITION, &[])),
    optional(
        "LocalSecondaryIndexes",
        Shape::List(
            &Shape::Structure("LocalSecondaryIndex", &[NAME_OF_INDEX, TABLE_KEY, PROJECTION]),
            &[],
        ),
    ),
    optional(
        "GlobalSecondaryIndexes",
        Shape::List(
            &Shape::Structure(
                "GlobalSecondaryIndex",
                &[INDEX_KEY, PROJECTION, NAME_OF_INDEX, OPTIONAL_THROUGHPUT, HIGHEST],
            ),
            &[],
        ),
    ),
    CLASS,
    PROTECTION,
    HIGHEST,
    STREAM,
    ENCRYPTION,
    optional("Tags", TAGS),
];

pub const UPDATE: &[Member] = &[
    TABLE,
    OPTIONAL_THROUGHPUT,
    BILLING,
    optional("AttributeDefinitions", Shape::List(&DEFINITION, &[])),
    optional(
        "GlobalSecondaryIndexUpdates",
        Shape::List(
            &Shape::Structure(
                "GlobalSecondaryIndexUpdate",
                &[
                    optional(
                        "Update",
                        Shape::Structure(
                            "UpdateGlobalSecondaryIndexAction",
                            &[NAME_OF_INDEX, OPTIONAL_THROUGHPUT, HIGHEST],
                        ),
                    ),
                    optional(
                        "Create",
                        Shape::Structure(
                            "CreateGlobalSecondaryIndexAction",
                            &[PROJECTION, NAME_OF_INDEX, OPTIONAL_THROUGHPUT, HIGHEST, INDEX_KEY],
                        ),
                    ),
                    optional(
                        "Delete",
                        Shape::Structure("DeleteGlobalSecondaryIndexAction", &[NAME_OF_INDEX]),
                    ),
                ],
            ),
            &[],
        ),
    ),
    CLASS,
    PROTECTION,
    HIGHEST,
    STREAM,
];

/// DeleteTable, DescribeTable, and others that name a table and nothing else.
pub const NAMED: &[Member] = &[TABLE];

pub const LIST: &[Member] = &[
    optional("Limit", Shape::Whole("Integer", &[Rule::AtLeast(1), Rule::AtMost(100)])),
    optional("ExclusiveStartTableName", INDEX_NAME),
];

pub const TAG: &[Member] = &[optional("ResourceArn", TEXT), optional("Tags", TAGS)];

pub const UNTAG: &[Member] = &[optional("ResourceArn", TEXT), optional("TagKeys", TEXTS)];

pub const LIST_TAGS: &[Member] = &[optional("ResourceArn", TEXT), optional("NextToken", TEXT)];

pub const TIME_TO_LIVE: &[Member] = &[
    TABLE,
    required(
        "TimeToLiveSpecification",
        Shape::Structure(
            "TimeToLiveSpecification",
            &[
                required("Enabled", Shape::Flag),
                required(
                    "AttributeName",
                    Shape::Text(&[Rule::LengthAtLeast(1), Rule::LengthAtMost(255)]),
                ),
            ],
        ),
    ),
];

pub const BACKUPS: &[Member] = &[
    TABLE,
    required(
        "PointInTimeRecoverySpecification",
        Shape::Structure(
            "PointInTimeRecoverySpecification",
            &[
                required("PointInTimeRecoveryEnabled", Shape::Flag),
                optional(
                    "RecoveryPeriodInDays",
                    Shape::Whole("Integer", &[Rule::AtLeast(1), Rule::AtMost(35)]),
                ),
            ],
        ),
    ),
];
