"""Gives every car its fuel economy in litres per 100 km, with the class that our shops show.

The classes are in classes.csv, beside this program. Cars without mpg are skipped and counted. The
result follows from the data alone, so the program can be run again.
"""

import csv
from decimal import Decimal

import boto3

# One US gallon is 3.785411784 litres, one mile 1.609344 km.
MPG_TIMES_LITRES_PER_100_KM = 100 * Decimal("3.785411784") / Decimal("1.609344")

cars = boto3.resource("dynamodb").Table("cars")


def read_classes():
    """Pairs of bound and class, the most economical first; the last one has no bound."""
    with open("classes.csv", newline="", encoding="utf-8") as file:
        return [
            (Decimal(row["up_to_litres_per_100_km"] or "Infinity"), row["class"])
            for row in csv.DictReader(file)
        ]


def every_car():
    """All cars, page by page."""
    answer = cars.scan()
    yield from answer["Items"]
    while "LastEvaluatedKey" in answer:
        answer = cars.scan(ExclusiveStartKey=answer["LastEvaluatedKey"])
        yield from answer["Items"]


def main():
    classes = read_classes()
    print(f"{len(classes)} classes read from classes.csv")
    updated = unchanged = skipped = 0
    for car in every_car():
        if "mpg" not in car:
            print(f"{car['id']} has no mpg")
            skipped += 1
            continue
        litres = (MPG_TIMES_LITRES_PER_100_KM / car["mpg"]).quantize(Decimal("0.1"))
        label = next(label for bound, label in classes if litres <= bound)
        if car.get("litres_per_100_km") == litres and car.get("fuel_class") == label:
            unchanged += 1
            continue
        cars.update_item(
            Key={"id": car["id"]},
            UpdateExpression="SET litres_per_100_km = :litres, fuel_class = :class",
            # The consumption was computed from this mpg; if it is another one by now, stop.
            ConditionExpression="mpg = :mpg",
            ExpressionAttributeValues={":litres": litres, ":class": label, ":mpg": car["mpg"]},
        )
        updated += 1
    print(f"Done: {updated} cars updated, {unchanged} left as they were, {skipped} without mpg")


if __name__ == "__main__":
    main()
