"""The conversation of ../../expected.txt, by boto3. Endpoint, region and credentials come from the environment."""

import sys
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

name = sys.argv[1]
resource = boto3.resource("dynamodb")
client = resource.meta.client
table = resource.Table(name)


def code(call, **arguments):
    """The error that a call must end with."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "no error"


def numbers(items):
    return ",".join(str(item["s"]) for item in items)


def text_of(values):
    return ",".join(sorted(str(value) for value in values))


kinds = {
    "p": "kinds",
    "s": 1,
    "text": "x",
    "number": Decimal("1.5"),
    "bytes": b"\x00\x01\xff",
    "strings": {"b", "a"},
    "numbers": {2, 1},
    "yes": True,
    "nothing": None,
    "map": {"k": 42},
    "list": ["q", 7],
}
once = Attr("p").not_exists()
table.put_item(Item=kinds, ConditionExpression=once)
print("put ok")
print("put again", code(table.put_item, Item=kinds, ConditionExpression=once))

got = table.get_item(Key={"p": "kinds", "s": 1}, ConsistentRead=True)["Item"]
print(
    "get",
    got["text"],
    got["number"],
    len(got["bytes"].value),
    text_of(got["strings"]),
    text_of(got["numbers"]),
    str(got["yes"]).lower(),
    "none" if got["nothing"] is None else "something",
    got["map"]["k"],
    ",".join(str(value) for value in got["list"]),
)

for what, returned in [("add", "ALL_NEW"), ("add", "ALL_NEW"), ("old", "UPDATED_OLD")]:
    updated = table.update_item(
        Key={"p": "hits", "s": 1},
        UpdateExpression="ADD hits :two",
        ExpressionAttributeValues={":two": 2},
        ReturnValues=returned,
    )
    print(what, updated["Attributes"]["hits"])

written, unprocessed = 0, 0
for first in (1, 26):
    batch = [{"PutRequest": {"Item": {"p": "many", "s": n}}} for n in range(first, min(first + 25, 31))]
    answer = client.batch_write_item(RequestItems={name: batch})
    written += len(batch)
    unprocessed += len(answer["UnprocessedItems"].get(name, []))
print(f"batch {written} written, {unprocessed} unprocessed")

pages = list(
    client.get_paginator("query").paginate(
        TableName=name,
        KeyConditionExpression=Key("p").eq("many"),
        ScanIndexForward=False,
        PaginationConfig={"PageSize": 7},
    )
)
print("query", numbers(item for page in pages for item in page["Items"]), "in", len(pages), "pages")
found = table.query(KeyConditionExpression=Key("p").eq("many") & Key("s").between(11, 13))
print("between", numbers(found["Items"]))
found = table.query(IndexName="by-colour", KeyConditionExpression=Key("colour").eq("red"))
print("index", numbers(found["Items"]))
scan = client.get_paginator("scan")
pages = scan.paginate(TableName=name, FilterExpression=Attr("s").gt(20), PaginationConfig={"PageSize": 8})
print("filter", sum(len(page["Items"]) for page in pages))
print("count", sum(page["Count"] for page in scan.paginate(TableName=name, Select="COUNT")))

try:
    client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": name, "Item": {"p": "never", "s": 1}}},
            {
                "Put": {
                    "TableName": name,
                    "Item": {"p": "many", "s": 1},
                    "ConditionExpression": "attribute_not_exists(p)",
                }
            },
        ]
    )
except client.exceptions.TransactionCanceledException as error:
    reasons = error.response["CancellationReasons"]
    print("transaction refused", ",".join(reason["Code"] for reason in reasons))
for _ in range(2):
    client.transact_write_items(
        ClientRequestToken=f"{name}-token",
        TransactItems=[
            {
                "Update": {
                    "TableName": name,
                    "Key": {"p": "token", "s": 1},
                    "UpdateExpression": "ADD hits :one",
                    "ExpressionAttributeValues": {":one": 1},
                }
            }
        ],
    )
print("token", table.get_item(Key={"p": "token", "s": 1})["Item"]["hits"])

keys = [{"p": "many", "s": 1}, {"p": "kinds", "s": 1}, {"p": "seed", "s": 1}, {"p": "never", "s": 1}]
got = client.batch_get_item(RequestItems={name: {"Keys": keys}})
print("batch get", len(got["Responses"][name]))
deleted = table.delete_item(Key={"p": "kinds", "s": 1}, ReturnValues="ALL_OLD")
print("deleted", deleted["Attributes"]["text"])
print("gone" if "Item" not in table.get_item(Key={"p": "kinds", "s": 1}) else "still there")
print("missing", code(client.get_item, TableName=f"{name}-missing", Key={"p": "a", "s": 1}))
print("wrong", code(table.update_item, Key={"p": "a", "s": 1}, UpdateExpression="SET"))
table.put_item(Item={"p": "large", "s": 1, "text": "x" * 350_000})
print("large", len(table.get_item(Key={"p": "large", "s": 1})["Item"]["text"]))
