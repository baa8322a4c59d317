import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, ROUND_HALF_EVEN

import boto3
from botocore.config import Config

THREADS = 16
local = threading.local()


def table():
    if not hasattr(local, "table"):
        config = Config(max_pool_connections=THREADS)
        resource = boto3.session.Session().resource(
            "dynamodb", endpoint_url=sys.argv[1], region_name="eu-west-1", config=config
        )
        local.table = resource.Table("cars")
    return local.table


def change(car):
    exact = 12 * car["horsepower"] + car["weight"] / 2
    price = (exact / 50).quantize(Decimal(1), ROUND_HALF_EVEN) * 50
    table().update_item(
        Key={"id": car["id"]},
        UpdateExpression="SET price = :p",
        ConditionExpression="attribute_exists(id) AND attribute_not_exists(price)"
        " AND weight = :w AND horsepower = :h AND displacement = :d",
        ExpressionAttributeValues={
            ":p": price,
            ":w": car["weight"],
            ":h": car["horsepower"],
            ":d": car["displacement"],
        },
    )


def segment(number):
    start = {}
    while True:
        page = table().scan(Segment=number, TotalSegments=THREADS, **start)
        for car in page["Items"]:
            if "price" not in car and car["weight"] > 1000:
                change(car)
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


begun = time.perf_counter()
with ThreadPoolExecutor(THREADS) as pool:
    list(pool.map(segment, range(THREADS)))
print(time.perf_counter() - begun, flush=True)
sys.stdin.readline()
