"""Splits the name of every car into brand and model.

It takes for granted that a name has two words. Two of the 406 cars are called just "subaru", so it
ends half way with exit code 3: this is the example of a migration that fails.
"""

import sys

import boto3

cars = boto3.resource("dynamodb").Table("cars")


def every_car():
    """All cars, page by page."""
    answer = cars.scan()
    yield from answer["Items"]
    while "LastEvaluatedKey" in answer:
        answer = cars.scan(ExclusiveStartKey=answer["LastEvaluatedKey"])
        yield from answer["Items"]


def split(name):
    """Brand and model as attributes."""
    return dict(zip(("brand", "model"), name.split(maxsplit=1)))


def main():
    oldest_first = sorted(every_car(), key=lambda car: (str(car["year"]), car["id"]))
    print(f"{len(oldest_first)} cars read, the oldest first", flush=True)
    for count, car in enumerate(oldest_first):
        parts = split(car["name"])
        try:
            cars.update_item(
                Key={"id": car["id"]},
                UpdateExpression="SET brand = :brand, model = :model",
                ExpressionAttributeValues={":brand": parts["brand"], ":model": parts["model"]},
            )
        except KeyError as error:
            print(f"{count} names split", flush=True)
            print(f"KeyError: {error} ({car['id']})", file=sys.stderr)
            sys.exit(3)
    print(f"Done: {len(oldest_first)} names split")


if __name__ == "__main__":
    main()
