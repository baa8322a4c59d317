"""The conversation of ../../expected.txt, by aioboto3: as boto3's, but calls that may go together do."""

import asyncio
import sys
from decimal import Decimal

import aioboto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

name = sys.argv[1]


async def code(call):
    """The error that a call must end with."""
    try:
        await call
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "no error"


def numbers(items):
    return ",".join(str(item["s"]) for item in items)


def text_of(values):
    return ",".join(sorted(str(value) for value in values))


async def items_and_writes(client, table):
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
    await table.put_item(Item=kinds, ConditionExpression=once)
    print("put ok")
    print("put again", await code(table.put_item(Item=kinds, ConditionExpression=once)))
    got = (await table.get_item(Key={"p": "kinds", "s": 1}, ConsistentRead=True))["Item"]
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
        updated = await table.update_item(
            Key={"p": "hits", "s": 1},
            UpdateExpression="ADD hits :two",
            ExpressionAttributeValues={":two": 2},
            ReturnValues=returned,
        )
        print(what, updated["Attributes"]["hits"])
    batches = [
        [{"PutRequest": {"Item": {"p": "many", "s": n}}} for n in range(first, min(first + 25, 31))]
        for first in (1, 26)
    ]
    answers = await asyncio.gather(
        *(client.batch_write_item(RequestItems={name: batch}) for batch in batches)
    )
    unprocessed = sum(len(answer["UnprocessedItems"].get(name, [])) for answer in answers)
    print(f"batch {sum(map(len, batches))} written, {unprocessed} unprocessed")


async def pages_and_indexes(client, table):
    query = client.get_paginator("query").paginate(
        TableName=name,
        KeyConditionExpression=Key("p").eq("many"),
        ScanIndexForward=False,
        PaginationConfig={"PageSize": 7},
    )
    pages = [page async for page in query]
    print("query", numbers(item for page in pages for item in page["Items"]), "in", len(pages), "pages")
    between, index = await asyncio.gather(
        table.query(KeyConditionExpression=Key("p").eq("many") & Key("s").between(11, 13)),
        table.query(IndexName="by-colour", KeyConditionExpression=Key("colour").eq("red")),
    )
    print("between", numbers(between["Items"]))
    print("index", numbers(index["Items"]))
    scan = client.get_paginator("scan")
    pages = scan.paginate(TableName=name, FilterExpression=Attr("s").gt(20), PaginationConfig={"PageSize": 8})
    print("filter", sum([len(page["Items"]) async for page in pages]))
    print("count", sum([page["Count"] async for page in scan.paginate(TableName=name, Select="COUNT")]))


async def transactions(client, table):
    refused = {
        "TableName": name,
        "Item": {"p": "many", "s": 1},
        "ConditionExpression": "attribute_not_exists(p)",
    }
    try:
        await client.transact_write_items(
            TransactItems=[{"Put": {"TableName": name, "Item": {"p": "never", "s": 1}}}, {"Put": refused}]
        )
    except client.exceptions.TransactionCanceledException as error:
        reasons = error.response["CancellationReasons"]
        print("transaction refused", ",".join(reason["Code"] for reason in reasons))
    update = {
        "TableName": name,
        "Key": {"p": "token", "s": 1},
        "UpdateExpression": "ADD hits :one",
        "ExpressionAttributeValues": {":one": 1},
    }
    for _ in range(2):
        await client.transact_write_items(
            ClientRequestToken=f"{name}-token", TransactItems=[{"Update": update}]
        )
    print("token", (await table.get_item(Key={"p": "token", "s": 1}))["Item"]["hits"])


async def ends(client, table):
    keys = [{"p": "many", "s": 1}, {"p": "kinds", "s": 1}, {"p": "seed", "s": 1}, {"p": "never", "s": 1}]
    got = await client.batch_get_item(RequestItems={name: {"Keys": keys}})
    print("batch get", len(got["Responses"][name]))
    deleted = await table.delete_item(Key={"p": "kinds", "s": 1}, ReturnValues="ALL_OLD")
    print("deleted", deleted["Attributes"]["text"])
    gone = "Item" not in await table.get_item(Key={"p": "kinds", "s": 1})
    print("gone" if gone else "still there")
    print("missing", await code(client.get_item(TableName=f"{name}-missing", Key={"p": "a", "s": 1})))
    print("wrong", await code(table.update_item(Key={"p": "a", "s": 1}, UpdateExpression="SET")))
    await table.put_item(Item={"p": "large", "s": 1, "text": "x" * 350_000})
    print("large", len((await table.get_item(Key={"p": "large", "s": 1}))["Item"]["text"]))


async def main():
    async with aioboto3.Session().resource("dynamodb") as resource:
        table, client = await resource.Table(name), resource.meta.client
        for part in (items_and_writes, pages_and_indexes, transactions, ends):
            await part(client, table)


asyncio.run(main())
