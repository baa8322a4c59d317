"""Gives every product a status, so that the next release can require one.

A product that has a status keeps it, so the program can be run again.
"""

import boto3
from botocore.exceptions import ClientError

# Without endpoint, region and credentials: they come from the environment.
# EDIT: the table
products = boto3.resource("dynamodb").Table("products")


def every_product():
    """All products, page by page."""
    page = {}
    while True:
        answer = products.scan(**page)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def migrate(product):
    """Whether the product changed. It does not if somebody else gave it a status first."""
    # EDIT: which items, and what changes in them
    if "status" in product:
        return False
    try:
        products.update_item(
            Key={"id": product["id"]},
            UpdateExpression="SET #status = :status",
            ConditionExpression="attribute_exists(id) AND attribute_not_exists(#status)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": "active"},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def main():
    read = changed = 0
    for product in every_product():
        read += 1
        changed += migrate(product)
        if read % 1000 == 0:
            print(f"{read} products read, {changed} changed", flush=True)
    print(f"Done: {read} products read, {changed} changed")


if __name__ == "__main__":
    main()
