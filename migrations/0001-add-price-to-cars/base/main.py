"""Gives every car a price, so that the next release can require one.

The price is estimated from power, weight and year. A car that has a price already keeps it, so the
program can be run again.
"""

from decimal import Decimal

import boto3
from botocore.exceptions import ClientError

cars = boto3.resource("dynamodb").Table("cars")


def every_car():
    """All cars, page by page."""
    page = {}
    while True:
        answer = cars.scan(**page)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def estimated_price(car):
    """In dollars, rounded to fifty."""
    weight = car["weight"]
    # Some cars have no horsepower; half the displacement is close to it in all the others.
    horsepower = car.get("horsepower", car["displacement"] / 2)
    year = int(str(car["year"])[:4])
    dollars = 12 * horsepower + weight / 2 + 75 * (year - 1970)
    return Decimal(50 * round(dollars / 50))


def add_price(car):
    """Whether the car got a price; it does not if somebody else was quicker."""
    try:
        cars.update_item(
            Key={"id": car["id"]},
            UpdateExpression="SET price = :price",
            ConditionExpression="attribute_exists(id) AND attribute_not_exists(price)",
            ExpressionAttributeValues={":price": estimated_price(car)},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def main():
    seen = added = 0
    for car in every_car():
        seen += 1
        if "price" not in car and add_price(car):
            added += 1
        if seen % 100 == 0:
            print(f"{seen} cars read, {added} prices added", flush=True)
    print(f"Done: {seen} cars read, {added} prices added, {seen - added} left as they were")


if __name__ == "__main__":
    main()
