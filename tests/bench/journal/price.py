"""Reads a table and gives every item a price: the same for all, or one of its own for each."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

table, threads, change, salt = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
client = boto3.client("dynamodb", config=Config(max_pool_connections=threads))


def update(item):
    number = int(item["number"]["N"]) if change == "computed" else 0
    client.update_item(
        TableName=table,
        Key={"id": item["id"]},
        UpdateExpression="SET price = :price",
        ExpressionAttributeValues={":price": {"N": str(salt + number + 1)}},
    )


client.describe_table(TableName=table)
items = 0
begun = time.monotonic()
with ThreadPoolExecutor(threads) as pool:
    for page in client.get_paginator("scan").paginate(TableName=table):
        if threads == 1:
            for item in page["Items"]:
                update(item)
        else:
            list(pool.map(update, page["Items"]))
        items += len(page["Items"])
print(json.dumps({"items": items, "seconds": time.monotonic() - begun}))
