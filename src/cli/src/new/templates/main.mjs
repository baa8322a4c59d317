// Gives every product a status, so that the next release can require one. A product that has a status
// keeps it, so the program can be run again.

import { ConditionalCheckFailedException, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, UpdateCommand, paginateScan } from "@aws-sdk/lib-dynamodb";

// EDIT: the table
const TableName = "products";

// Without endpoint, region and credentials: they come from the environment.
const client = DynamoDBDocumentClient.from(new DynamoDBClient());

/** Whether the product changed. It does not if somebody else gave it a status first. */
async function migrate(product) {
  // EDIT: which items, and what changes in them
  if (product.status !== undefined) return false;
  try {
    await client.send(new UpdateCommand({
      TableName,
      Key: { id: product.id },
      UpdateExpression: "SET #status = :status",
      ConditionExpression: "attribute_exists(id) AND attribute_not_exists(#status)",
      ExpressionAttributeNames: { "#status": "status" },
      ExpressionAttributeValues: { ":status": "active" },
    }));
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}

let read = 0;
let changed = 0;
for await (const page of paginateScan({ client }, { TableName })) {
  for (const product of page.Items) {
    read += 1;
    if (await migrate(product)) changed += 1;
  }
  console.log(`${read} products read, ${changed} changed`);
}
