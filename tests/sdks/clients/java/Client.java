// The conversation of ../../expected.txt, by the AWS SDK for Java v2. Endpoint, region and credentials come from
// the environment.

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.CancellationReason;
import software.amazon.awssdk.services.dynamodb.model.DynamoDbException;
import software.amazon.awssdk.services.dynamodb.model.GetItemResponse;
import software.amazon.awssdk.services.dynamodb.model.KeysAndAttributes;
import software.amazon.awssdk.services.dynamodb.model.PutItemRequest;
import software.amazon.awssdk.services.dynamodb.model.QueryResponse;
import software.amazon.awssdk.services.dynamodb.model.ReturnValue;
import software.amazon.awssdk.services.dynamodb.model.Select;
import software.amazon.awssdk.services.dynamodb.model.TransactWriteItem;
import software.amazon.awssdk.services.dynamodb.model.TransactionCanceledException;
import software.amazon.awssdk.services.dynamodb.model.WriteRequest;

public final class Client {
    private static String name;
    private static DynamoDbClient client;

    private Client() {}

    private static AttributeValue text(String value) {
        return AttributeValue.fromS(value);
    }

    private static AttributeValue number(Object value) {
        return AttributeValue.fromN(value.toString());
    }

    private static Map<String, AttributeValue> key(String p) {
        return Map.of("p", text(p), "s", number(1));
    }

    private static String numbers(Collection<Map<String, AttributeValue>> items) {
        return items.stream().map(item -> item.get("s").n()).collect(Collectors.joining(","));
    }

    private static String sorted(Collection<String> values) {
        return values.stream().sorted().collect(Collectors.joining(","));
    }

    private static void say(Object... words) {
        List<String> all = new ArrayList<>();
        for (Object word : words) {
            all.add(String.valueOf(word));
        }
        System.out.println(String.join(" ", all));
    }

    /** The error that a call must end with. */
    private static String code(Runnable call) {
        try {
            call.run();
            return "no error";
        } catch (DynamoDbException error) {
            return error.awsErrorDetails().errorCode();
        }
    }

    private static GetItemResponse get(String p) {
        return client.getItem(get -> get.tableName(name).key(key(p)).consistentRead(true));
    }

    private static void itemsAndWrites() {
        Map<String, AttributeValue> kinds = new HashMap<>(key("kinds"));
        kinds.put("text", text("x"));
        kinds.put("number", number("1.5"));
        kinds.put("bytes", AttributeValue.fromB(SdkBytes.fromByteArray(new byte[] {0, 1, -1})));
        kinds.put("strings", AttributeValue.fromSs(List.of("b", "a")));
        kinds.put("numbers", AttributeValue.fromNs(List.of("2", "1")));
        kinds.put("yes", AttributeValue.fromBool(true));
        kinds.put("nothing", AttributeValue.fromNul(true));
        kinds.put("map", AttributeValue.fromM(Map.of("k", number(42))));
        kinds.put("list", AttributeValue.fromL(List.of(text("q"), number(7))));
        PutItemRequest put = PutItemRequest.builder().tableName(name).item(kinds)
            .conditionExpression("attribute_not_exists(p)").build();
        client.putItem(put);
        say("put ok");
        say("put again", code(() -> client.putItem(put)));

        Map<String, AttributeValue> got = get("kinds").item();
        List<AttributeValue> list = got.get("list").l();
        say("get", got.get("text").s(), got.get("number").n(), got.get("bytes").b().asByteArray().length,
            sorted(got.get("strings").ss()), sorted(got.get("numbers").ns()), got.get("yes").bool(),
            got.get("nothing").nul() ? "none" : "something", got.get("map").m().get("k").n(),
            list.get(0).s() + "," + list.get(1).n());

        for (String what : List.of("add", "add", "old")) {
            ReturnValue returned = what.equals("add") ? ReturnValue.ALL_NEW : ReturnValue.UPDATED_OLD;
            say(what, client.updateItem(update -> update.tableName(name).key(key("hits"))
                .updateExpression("ADD hits :two")
                .expressionAttributeValues(Map.of(":two", number(2)))
                .returnValues(returned)).attributes().get("hits").n());
        }

        int written = 0;
        int unprocessed = 0;
        for (int first = 1; first <= 30; first += 25) {
            List<WriteRequest> batch = new ArrayList<>();
            for (int n = first; n < first + 25 && n <= 30; n++) {
                Map<String, AttributeValue> item = Map.of("p", text("many"), "s", number(n));
                batch.add(WriteRequest.builder().putRequest(one -> one.item(item)).build());
            }
            unprocessed += client.batchWriteItem(write -> write.requestItems(Map.of(name, batch)))
                .unprocessedItems().getOrDefault(name, List.of()).size();
            written += batch.size();
        }
        say("batch", written, "written,", unprocessed, "unprocessed");
    }

    private static void pagesAndIndexes() {
        List<Map<String, AttributeValue>> found = new ArrayList<>();
        int pages = 0;
        for (QueryResponse page : client.queryPaginator(query -> query.tableName(name)
                .keyConditionExpression("p = :p")
                .expressionAttributeValues(Map.of(":p", text("many")))
                .scanIndexForward(false).limit(7))) {
            found.addAll(page.items());
            pages++;
        }
        say("query", numbers(found), "in", pages, "pages");
        say("between", numbers(client.query(query -> query.tableName(name)
            .keyConditionExpression("p = :p AND s BETWEEN :low AND :high")
            .expressionAttributeValues(
                Map.of(":p", text("many"), ":low", number(11), ":high", number(13)))).items()));
        say("index", numbers(client.query(query -> query.tableName(name).indexName("by-colour")
            .keyConditionExpression("colour = :red")
            .expressionAttributeValues(Map.of(":red", text("red")))).items()));
        say("filter", client.scanPaginator(scan -> scan.tableName(name)
            .filterExpression("s > :twenty")
            .expressionAttributeValues(Map.of(":twenty", number(20)))
            .limit(8)).items().stream().count());
        say("count", client.scanPaginator(scan -> scan.tableName(name).select(Select.COUNT))
            .stream().mapToInt(page -> page.count()).sum());
    }

    private static void transactions() {
        try {
            client.transactWriteItems(write -> write.transactItems(
                TransactWriteItem.builder().put(put -> put.tableName(name).item(key("never"))).build(),
                TransactWriteItem.builder().put(put -> put.tableName(name).item(key("many"))
                    .conditionExpression("attribute_not_exists(p)")).build()));
        } catch (TransactionCanceledException error) {
            say("transaction refused", error.cancellationReasons().stream()
                .map(CancellationReason::code).collect(Collectors.joining(",")));
        }
        for (int time = 0; time < 2; time++) {
            client.transactWriteItems(write -> write.clientRequestToken(name + "-token").transactItems(
                TransactWriteItem.builder().update(update -> update.tableName(name).key(key("token"))
                    .updateExpression("ADD hits :one")
                    .expressionAttributeValues(Map.of(":one", number(1)))).build()));
        }
        say("token", get("token").item().get("hits").n());
    }

    private static void ends() {
        List<Map<String, AttributeValue>> keys =
            List.of(key("many"), key("kinds"), key("seed"), key("never"));
        say("batch get", client.batchGetItem(get -> get.requestItems(
            Map.of(name, KeysAndAttributes.builder().keys(keys).build()))).responses().get(name).size());
        say("deleted", client.deleteItem(delete -> delete.tableName(name).key(key("kinds"))
            .returnValues(ReturnValue.ALL_OLD)).attributes().get("text").s());
        say(get("kinds").hasItem() ? "still there" : "gone");
        say("missing", code(() -> client.getItem(get -> get.tableName(name + "-missing").key(key("a")))));
        say("wrong", code(() -> client.updateItem(update -> update.tableName(name).key(key("a"))
            .updateExpression("SET"))));
        Map<String, AttributeValue> large = new HashMap<>(key("large"));
        large.put("text", text("x".repeat(350_000)));
        client.putItem(put -> put.tableName(name).item(large));
        say("large", get("large").item().get("text").s().length());
    }

    public static void main(String[] arguments) {
        name = arguments[0];
        client = DynamoDbClient.create();
        itemsAndWrites();
        pagesAndIndexes();
        transactions();
        ends();
    }
}
