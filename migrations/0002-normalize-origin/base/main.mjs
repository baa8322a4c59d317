// Turns the origin of every car into a code of two letters: "USA" becomes "US", "Europe" "EU" and
// "Japan" "JP". A car that has a code already is left alone, so the program can be run again.

import { ConditionalCheckFailedException, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, UpdateCommand, paginateScan } from "@aws-sdk/lib-dynamodb";

const CODES = new Map([["USA", "US"], ["Europe", "EU"], ["Japan", "JP"]]);
const KNOWN = new Set(CODES.values());
const AT_ONCE = 8;

const client = DynamoDBDocumentClient.from(new DynamoDBClient());

/** Whether the car was changed; it is not if its origin is another one by now. */
async function normalize({ id, origin }) {
  try {
    await client.send(new UpdateCommand({
      TableName: "cars",
      Key: { id },
      UpdateExpression: "SET #origin = :code",
      ConditionExpression: "#origin = :origin",
      ExpressionAttributeNames: { "#origin": "origin" },
      ExpressionAttributeValues: { ":code": CODES.get(origin), ":origin": origin },
    }));
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}

const unknown = new Map();
let read = 0;
let changed = 0;

for await (const page of paginateScan({ client }, { TableName: "cars" })) {
  read += page.Items.length;
  const todo = [];
  for (const car of page.Items) {
    if (CODES.has(car.origin)) {
      todo.push(car);
    } else if (!KNOWN.has(car.origin)) {
      unknown.set(car.origin, (unknown.get(car.origin) ?? 0) + 1);
    }
  }
  while (todo.length > 0) {
    const results = await Promise.all(todo.splice(0, AT_ONCE).map(normalize));
    changed += results.filter(Boolean).length;
  }
  console.log(`${read} cars read, ${changed} origins changed`);
}

for (const [origin, count] of unknown) {
  console.error(`No code is known for the origin ${origin} of ${count} cars`);
}
if (unknown.size > 0) process.exitCode = 1;
