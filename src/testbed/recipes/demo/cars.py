"""The demo's table: loads the cars, digests the table, shows an item, counts an attribute, and changes
cars as somebody does by hand.

    python3 cars.py load cars.json | digest [IGNORED…] | show ID | count ATTRIBUTE
                    | change HOW_MANY ATTRIBUTE VALUE

It speaks DynamoDB's own JSON with nothing but Python's library. The database is the DynamoDB Local at
DYNAMODB_ENDPOINT, which takes any signature and keeps a database per access key and region.
"""

import hashlib
import json
import os
import re
import sys
import urllib.error
import urllib.request

ACCESS_KEY = "demo"
REGION = "eu-west-1"
TABLE = "cars"
# What one BatchWriteItem takes.
BATCH_ITEMS_MAX = 25
# Attributes by the names that the data has for them. Numbers stay the text they are.
NUMBERS = {
    "mpg": "Miles_per_Gallon",
    "cylinders": "Cylinders",
    "displacement": "Displacement",
    "horsepower": "Horsepower",
    "weight": "Weight_in_lbs",
    "acceleration": "Acceleration",
}


def call(operation, **request):
    """One request to DynamoDB."""
    scope = f"{ACCESS_KEY}/20260101/{REGION}/dynamodb/aws4_request"
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    endpoint = os.environ["DYNAMODB_ENDPOINT"]
    body = json.dumps(request).encode()
    # The database is on this machine: no proxy is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(endpoint, body, headers), timeout=30) as answer:
        return json.load(answer)


def items(path):
    """The cars as DynamoDB's items. What is unknown of a car is left out."""
    with open(path, encoding="utf-8") as file:
        cars = json.load(file, parse_float=str, parse_int=str)
    same = {}
    for car in cars:
        year = car["Year"][:4]
        slug = re.sub(r"[^a-z0-9]+", "-", car["Name"].lower()).strip("-")
        same[slug, year] = same.get((slug, year), 0) + 1
        item = {
            "id": {"S": f"{slug}-{year}-{same[slug, year]}"},
            "name": {"S": car["Name"]},
            "brand": {"S": car["Name"].split()[0]},
            "year": {"N": year},
            "origin": {"S": car["Origin"]},
        }
        for name, theirs in NUMBERS.items():
            if car.get(theirs) is not None:
                item[name] = {"N": car[theirs]}
        yield item


def load(path):
    """A new table with every car in it."""
    try:
        call("DeleteTable", TableName=TABLE)
    except urllib.error.HTTPError as error:
        if b"ResourceNotFoundException" not in error.read():
            raise
    call(
        "CreateTable",
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    puts = [{"PutRequest": {"Item": item}} for item in items(path)]
    for start in range(0, len(puts), BATCH_ITEMS_MAX):
        batch = {TABLE: puts[start : start + BATCH_ITEMS_MAX]}
        while batch:
            batch = call("BatchWriteItem", RequestItems=batch)["UnprocessedItems"]
    print(f"{len(puts)} cars loaded")


def scan():
    """Every item, sorted by key."""
    found = []
    page = {}
    while True:
        answer = call("Scan", TableName=TABLE, ConsistentRead=True, **page)
        found += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return sorted(found, key=lambda item: item["id"]["S"])
        page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def digest(*ignored):
    """One line that is equal only if the whole table is, but for the attributes ignored."""
    found = [{k: v for k, v in item.items() if k not in ignored} for item in scan()]
    text = json.dumps(found, sort_keys=True).encode()
    print(f"{len(found)} items, sha256 {hashlib.sha256(text).hexdigest()}")


def show(key):
    """One item, a line per attribute."""
    item = call("GetItem", TableName=TABLE, Key={"id": {"S": key}}, ConsistentRead=True)["Item"]
    for name, value in sorted(item.items()):
        print(f"{name:14}{next(iter(value.values()))}")


def count(attribute):
    """How many items have an attribute."""
    print(sum(attribute in item for item in scan()))


def change(how_many, attribute, value):
    """Gives the first cars another value of an attribute."""
    for item in scan()[: int(how_many)]:
        call(
            "UpdateItem",
            TableName=TABLE,
            Key={"id": item["id"]},
            UpdateExpression="SET #a = :v",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":v": {"N" if value.isdigit() else "S": value}},
        )
        print(f"{item['id']['S']}: {attribute} is {value} now")


if __name__ == "__main__":
    verbs = {"load": load, "digest": digest, "show": show, "count": count, "change": change}
    verbs[sys.argv[1]](*sys.argv[2:])
