"""Writes in every plain way, reads its own writes back in every way, and says so if one is not there."""

import boto3
from boto3.dynamodb.conditions import Attr, Key

things = boto3.resource("dynamodb").Table("things")


def ids(items):
    return sorted(item["id"] for item in items)


def get(id_, kind="a"):
    return things.get_item(Key={"kind": kind, "id": id_}, ConsistentRead=True).get("Item")


assert ids(things.scan()["Items"]) == ["1", "2", "3", "4", "5"], "as it was seeded"

things.put_item(Item={"kind": "a", "id": "new", "weight": 1})
assert get("new") == {"kind": "a", "id": "new", "weight": 1}

things.put_item(Item={"kind": "a", "id": "1", "weight": 10})
assert get("1") == {"kind": "a", "id": "1", "weight": 10}, "replaced, with what is not in it gone"

answer = things.update_item(
    Key={"kind": "a", "id": "2"},
    UpdateExpression="SET price = :price ADD weight :one",
    ConditionExpression=Attr("price").not_exists(),
    ExpressionAttributeValues={":price": 7, ":one": 1},
    ReturnValues="ALL_NEW",
)
assert answer["Attributes"] == {"kind": "a", "id": "2", "weight": 3, "colour": "red", "price": 7}, answer
assert get("2") == answer["Attributes"]

try:
    things.update_item(
        Key={"kind": "a", "id": "2"},
        UpdateExpression="SET price = :price",
        ConditionExpression=Attr("price").not_exists(),
        ExpressionAttributeValues={":price": 8},
    )
    raise SystemExit("a condition on its own write was not seen")
except things.meta.client.exceptions.ConditionalCheckFailedException:
    pass

things.delete_item(Key={"kind": "a", "id": "3"})
assert get("3") is None

with things.batch_writer() as batch:
    for number in range(30):
        batch.put_item(Item={"kind": "b", "id": f"batch-{number:02}", "weight": number})
    batch.delete_item(Key={"kind": "a", "id": "4"})

assert ids(things.query(KeyConditionExpression=Key("kind").eq("a"))["Items"]) == ["1", "2", "5", "new"]
found = things.query(
    KeyConditionExpression=Key("kind").eq("b") & Key("id").begins_with("batch-1"), Limit=4
)
assert ids(found["Items"]) == ["batch-10", "batch-11", "batch-12", "batch-13"], found
page, seen = {}, []
while True:
    answer = things.scan(Limit=7, **page)
    seen += answer["Items"]
    if "LastEvaluatedKey" not in answer:
        break
    page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
assert len(seen) == 34, len(seen)
assert things.scan(FilterExpression=Attr("price").exists())["Count"] == 1
print("every write was read back")
