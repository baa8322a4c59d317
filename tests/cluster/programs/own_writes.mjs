// Writes in every plain way, reads its own writes back in every way, and says so if one is not there.

import assert from "node:assert/strict";
import {
  BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand,
  UpdateCommand, paginateScan,
} from "@aws-sdk/lib-dynamodb";
import { ConditionalCheckFailedException, DynamoDBClient } from "@aws-sdk/client-dynamodb";

const client = DynamoDBDocumentClient.from(new DynamoDBClient());
const TableName = "things";
const key = (id) => ({ kind: "a", id });
const get = async (id) => (await client.send(new GetCommand({ TableName, Key: key(id) }))).Item;
const ids = (items) => items.map((item) => item.id).sort();
const query = async () => ids((await client.send(new QueryCommand({
  TableName,
  KeyConditionExpression: "kind = :a",
  ExpressionAttributeValues: { ":a": "a" },
}))).Items);

assert.deepEqual(await query(), ["1", "2", "3", "4", "5"]);

await client.send(new PutCommand({ TableName, Item: { ...key("new"), weight: 1 } }));
assert.deepEqual(await get("new"), { kind: "a", id: "new", weight: 1 });

await client.send(new PutCommand({ TableName, Item: { ...key("1"), weight: 10 } }));

const update = (price) => client.send(new UpdateCommand({
  TableName,
  Key: key("2"),
  UpdateExpression: "SET price = :price ADD weight :one",
  ConditionExpression: "attribute_not_exists(price)",
  ExpressionAttributeValues: { ":price": price, ":one": 1 },
  ReturnValues: "ALL_NEW",
}));
const { Attributes } = await update(7);
assert.deepEqual(Attributes, { kind: "a", id: "2", weight: 3, colour: "red", price: 7 });
await assert.rejects(update(8), ConditionalCheckFailedException);

await client.send(new DeleteCommand({ TableName, Key: key("3") }));
assert.equal(await get("3"), undefined);

for (const start of [0, 15]) {
  const puts = Array.from({ length: 15 }, (_, n) => ({
    PutRequest: { Item: { kind: "b", id: `batch-${String(start + n).padStart(2, "0")}`, weight: n } },
  }));
  const deletes = start === 0 ? [{ DeleteRequest: { Key: key("4") } }] : [];
  await client.send(new BatchWriteCommand({ RequestItems: { [TableName]: [...puts, ...deletes] } }));
}

assert.deepEqual(await query(), ["1", "2", "5", "new"]);
const seen = [];
for await (const page of paginateScan({ client, pageSize: 7 }, { TableName })) {
  seen.push(...page.Items);
}
assert.equal(seen.length, 34);
console.log("every write was read back");
