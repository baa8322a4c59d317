// The conversation of ../../expected.txt, by the AWS SDK for JavaScript v3. Endpoint, region and credentials
// come from the environment.

import { createRequire } from "node:module";
import { argv, env } from "node:process";

// The packages are where the test put them, not beside this file.
const load = createRequire(`${env.SDK_MODULES}/`);
const { DynamoDBClient } = load("@aws-sdk/client-dynamodb");
const dynamo = load("@aws-sdk/lib-dynamodb");

const name = argv[2];
const documents = dynamo.DynamoDBDocumentClient.from(new DynamoDBClient({}));
const send = (command, input) => documents.send(new dynamo[command](input));
const say = (...words) => console.log(words.join(" "));

/** The error that a call must end with. */
async function code(command, input) {
  try {
    await send(command, input);
    return "no error";
  } catch (error) {
    return error.name;
  }
}

const numbers = (items) => items.map((item) => item.s).join(",");
const textOf = (values) => [...values].map(String).sort().join(",");
const inTable = (input) => ({ TableName: name, ...input });
const key = (p) => inTable({ Key: { p, s: 1 } });

const kinds = inTable({
  Item: {
    p: "kinds",
    s: 1,
    text: "x",
    number: 1.5,
    bytes: new Uint8Array([0, 1, 255]),
    strings: new Set(["b", "a"]),
    numbers: new Set([2, 1]),
    yes: true,
    nothing: null,
    map: { k: 42 },
    list: ["q", 7],
  },
  ConditionExpression: "attribute_not_exists(p)",
});
await send("PutCommand", kinds);
say("put ok");
say("put again", await code("PutCommand", kinds));

const got = (await send("GetCommand", { ...key("kinds"), ConsistentRead: true })).Item;
say(
  "get",
  got.text,
  got.number,
  got.bytes.length,
  textOf(got.strings),
  textOf(got.numbers),
  got.yes,
  got.nothing === null ? "none" : "something",
  got.map.k,
  got.list.join(","),
);

for (const [what, returned] of [["add", "ALL_NEW"], ["add", "ALL_NEW"], ["old", "UPDATED_OLD"]]) {
  const updated = await send("UpdateCommand", {
    ...key("hits"),
    UpdateExpression: "ADD hits :two",
    ExpressionAttributeValues: { ":two": 2 },
    ReturnValues: returned,
  });
  say(what, updated.Attributes.hits);
}

let written = 0;
let unprocessed = 0;
for (const [first, last] of [[1, 25], [26, 30]]) {
  const batch = [];
  for (let n = first; n <= last; n += 1) {
    batch.push({ PutRequest: { Item: { p: "many", s: n } } });
  }
  const answer = await send("BatchWriteCommand", { RequestItems: { [name]: batch } });
  written += batch.length;
  unprocessed += (answer.UnprocessedItems[name] ?? []).length;
}
say(`batch ${written} written, ${unprocessed} unprocessed`);

const many = {
  KeyConditionExpression: "p = :p",
  ExpressionAttributeValues: { ":p": "many" },
};
const found = [];
let pages = 0;
for await (const page of dynamo.paginateQuery(
  { client: documents, pageSize: 7 },
  inTable({ ...many, ScanIndexForward: false }),
)) {
  found.push(...page.Items);
  pages += 1;
}
say("query", numbers(found), "in", pages, "pages");
const between = await send("QueryCommand", inTable({
  KeyConditionExpression: "p = :p AND s BETWEEN :low AND :high",
  ExpressionAttributeValues: { ":p": "many", ":low": 11, ":high": 13 },
}));
say("between", numbers(between.Items));
const index = await send("QueryCommand", inTable({
  IndexName: "by-colour",
  KeyConditionExpression: "colour = :red",
  ExpressionAttributeValues: { ":red": "red" },
}));
say("index", numbers(index.Items));
let filtered = 0;
for await (const page of dynamo.paginateScan({ client: documents, pageSize: 8 }, inTable({
  FilterExpression: "s > :twenty",
  ExpressionAttributeValues: { ":twenty": 20 },
}))) {
  filtered += page.Items.length;
}
say("filter", filtered);
let count = 0;
for await (const page of dynamo.paginateScan({ client: documents }, inTable({ Select: "COUNT" }))) {
  count += page.Count;
}
say("count", count);

try {
  await send("TransactWriteCommand", {
    TransactItems: [
      { Put: inTable({ Item: { p: "never", s: 1 } }) },
      { Put: inTable({ Item: { p: "many", s: 1 }, ConditionExpression: "attribute_not_exists(p)" }) },
    ],
  });
} catch (error) {
  say("transaction refused", error.CancellationReasons.map((reason) => reason.Code).join(","));
}
for (let time = 0; time < 2; time += 1) {
  await send("TransactWriteCommand", {
    ClientRequestToken: `${name}-token`,
    TransactItems: [{
      Update: {
        ...key("token"),
        UpdateExpression: "ADD hits :one",
        ExpressionAttributeValues: { ":one": 1 },
      },
    }],
  });
}
say("token", (await send("GetCommand", key("token"))).Item.hits);

const keys = ["many", "kinds", "seed", "never"].map((p) => ({ p, s: 1 }));
const batch = await send("BatchGetCommand", { RequestItems: { [name]: { Keys: keys } } });
say("batch get", batch.Responses[name].length);
const deleted = await send("DeleteCommand", { ...key("kinds"), ReturnValues: "ALL_OLD" });
say("deleted", deleted.Attributes.text);
say((await send("GetCommand", key("kinds"))).Item === undefined ? "gone" : "still there");
say("missing", await code("GetCommand", { ...key("a"), TableName: `${name}-missing` }));
say("wrong", await code("UpdateCommand", { ...key("a"), UpdateExpression: "SET" }));
await send("PutCommand", inTable({ Item: { p: "large", s: 1, text: "x".repeat(350_000) } }));
say("large", (await send("GetCommand", key("large"))).Item.text.length);
