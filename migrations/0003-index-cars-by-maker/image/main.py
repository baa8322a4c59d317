"""Fills the table makers from the table cars: one item for each maker, with how many cars we have of
it and from which years.

The brands in cars were typed by hand, so spellings are brought together first. An item that is
already right is not written, so the program can be run again, also after cars have changed.
"""

from collections import defaultdict

import boto3

SPELLINGS = {
    "chevroelt": "chevrolet",
    "chevy": "chevrolet",
    "hi": "international harvester",
    "maxda": "mazda",
    "mercedes": "mercedes-benz",
    "toyouta": "toyota",
    "vokswagen": "volkswagen",
    "vw": "volkswagen",
}

client = boto3.client("dynamodb")


def every_car():
    """What we need of all cars, page by page."""
    pages = client.get_paginator("scan").paginate(
        TableName="cars",
        ProjectionExpression="brand, #year",
        ExpressionAttributeNames={"#year": "year"},
    )
    for page in pages:
        yield from page["Items"]


def text(value):
    """The content of a string or a number."""
    return value.get("S") or value.get("N")


def makers():
    """One item for each maker, by its name."""
    years = defaultdict(list)
    for car in every_car():
        brand = text(car["brand"]).lower()
        years[SPELLINGS.get(brand, brand)].append(int(text(car["year"])[:4]))
    return {
        maker: {
            "maker": {"S": maker},
            "cars": {"N": str(len(found))},
            "first_year": {"N": str(min(found))},
            "last_year": {"N": str(max(found))},
        }
        for maker, found in years.items()
    }


def main():
    written = unchanged = 0
    for maker, item in sorted(makers().items()):
        present = client.get_item(TableName="makers", Key={"maker": {"S": maker}}).get("Item")
        if present == item:
            unchanged += 1
            continue
        client.put_item(TableName="makers", Item=item)
        written += 1
        print(f"{maker}: {item['cars']['N']} cars", flush=True)
    print(f"Done: {written} makers written, {unchanged} left as they were")


if __name__ == "__main__":
    main()
