import http from 'node:http';
import { DynamoDBClient, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';

const TASKS = 64;
const agent = new http.Agent({ keepAlive: true, maxSockets: TASKS });
const client = new DynamoDBClient({
  endpoint: process.argv[2],
  region: 'eu-west-1',
  requestHandler: { httpAgent: agent },
});

function roundedHalfEven(number) {
  const whole = Math.floor(number);
  const rest = number - whole;
  return whole + (rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? 1 : 0);
}

async function change(car) {
  const price = 50 * roundedHalfEven((12 * car.horsepower.N + car.weight.N / 2) / 50);
  await client.send(new UpdateItemCommand({
    TableName: 'cars',
    Key: { id: car.id },
    UpdateExpression: 'SET price = :p',
    ConditionExpression: 'attribute_exists(id) AND attribute_not_exists(price)'
      + ' AND weight = :w AND horsepower = :h AND displacement = :d',
    ExpressionAttributeValues: {
      ':p': { N: String(price) }, ':w': car.weight, ':h': car.horsepower, ':d': car.displacement,
    },
  }));
}

async function segment(number) {
  let start;
  do {
    const page = await client.send(new ScanCommand({
      TableName: 'cars', Segment: number, TotalSegments: TASKS, ExclusiveStartKey: start,
    }));
    for (const car of page.Items) {
      if (!car.price && car.weight.N > 1000) await change(car);
    }
    start = page.LastEvaluatedKey;
  } while (start);
}

const begun = performance.now();
await Promise.all(Array.from({ length: TASKS }, (_, number) => segment(number)));
process.stdout.write(`${(performance.now() - begun) / 1000}\n`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
