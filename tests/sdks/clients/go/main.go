// The conversation of ../../expected.txt, by the AWS SDK for Go v2. Endpoint, region and credentials come from
// the environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

type item = map[string]types.AttributeValue

var (
	ctx    = context.Background()
	client *dynamodb.Client
	name   *string
)

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(value int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.Itoa(value)}
}

func key(p string) item { return item{"p": text(p), "s": number(1)} }

func numberOf(value types.AttributeValue) string { return value.(*types.AttributeValueMemberN).Value }

func textOf(value types.AttributeValue) string { return value.(*types.AttributeValueMemberS).Value }

func numbers(items []item) string {
	var all []string
	for _, one := range items {
		all = append(all, numberOf(one["s"]))
	}
	return strings.Join(all, ",")
}

func sorted(values []string) string {
	sort.Strings(values)
	return strings.Join(values, ",")
}

// must ends the conversation where it goes another way.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// code is the error that a call must end with.
func code(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return fmt.Sprint("no answer: ", err)
}

func itemsAndWrites() {
	kinds := &dynamodb.PutItemInput{
		TableName: name,
		Item: item{
			"p":       text("kinds"),
			"s":       number(1),
			"text":    text("x"),
			"number":  &types.AttributeValueMemberN{Value: "1.5"},
			"bytes":   &types.AttributeValueMemberB{Value: []byte{0, 1, 255}},
			"strings": &types.AttributeValueMemberSS{Value: []string{"b", "a"}},
			"numbers": &types.AttributeValueMemberNS{Value: []string{"2", "1"}},
			"yes":     &types.AttributeValueMemberBOOL{Value: true},
			"nothing": &types.AttributeValueMemberNULL{Value: true},
			"map":     &types.AttributeValueMemberM{Value: item{"k": number(42)}},
			"list":    &types.AttributeValueMemberL{Value: []types.AttributeValue{text("q"), number(7)}},
		},
		ConditionExpression: aws.String("attribute_not_exists(p)"),
	}
	must(client.PutItem(ctx, kinds))
	fmt.Println("put ok")
	_, err := client.PutItem(ctx, kinds)
	fmt.Println("put again", code(err))

	got := must(client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: name, Key: key("kinds"), ConsistentRead: aws.Bool(true),
	})).Item
	nothing := "something"
	if got["nothing"].(*types.AttributeValueMemberNULL).Value {
		nothing = "none"
	}
	list := got["list"].(*types.AttributeValueMemberL).Value
	fmt.Println(
		"get",
		textOf(got["text"]),
		numberOf(got["number"]),
		len(got["bytes"].(*types.AttributeValueMemberB).Value),
		sorted(got["strings"].(*types.AttributeValueMemberSS).Value),
		sorted(got["numbers"].(*types.AttributeValueMemberNS).Value),
		got["yes"].(*types.AttributeValueMemberBOOL).Value,
		nothing,
		numberOf(got["map"].(*types.AttributeValueMemberM).Value["k"]),
		textOf(list[0])+","+numberOf(list[1]),
	)

	for _, step := range []struct {
		what     string
		returned types.ReturnValue
	}{{"add", types.ReturnValueAllNew}, {"add", types.ReturnValueAllNew}, {"old", types.ReturnValueUpdatedOld}} {
		updated := must(client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:                 name,
			Key:                       key("hits"),
			UpdateExpression:          aws.String("ADD hits :two"),
			ExpressionAttributeValues: item{":two": number(2)},
			ReturnValues:              step.returned,
		}))
		fmt.Println(step.what, numberOf(updated.Attributes["hits"]))
	}

	written, unprocessed := 0, 0
	for _, bounds := range [][2]int{{1, 25}, {26, 30}} {
		var batch []types.WriteRequest
		for n := bounds[0]; n <= bounds[1]; n++ {
			put := &types.PutRequest{Item: item{"p": text("many"), "s": number(n)}}
			batch = append(batch, types.WriteRequest{PutRequest: put})
		}
		answer := must(client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{*name: batch},
		}))
		written += len(batch)
		unprocessed += len(answer.UnprocessedItems[*name])
	}
	fmt.Printf("batch %d written, %d unprocessed\n", written, unprocessed)
}

func pagesAndIndexes() {
	query := dynamodb.NewQueryPaginator(client, &dynamodb.QueryInput{
		TableName:                 name,
		KeyConditionExpression:    aws.String("p = :p"),
		ExpressionAttributeValues: item{":p": text("many")},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(7),
	})
	var found []item
	pages := 0
	for query.HasMorePages() {
		page := must(query.NextPage(ctx))
		found = append(found, page.Items...)
		pages++
	}
	fmt.Println("query", numbers(found), "in", pages, "pages")

	between := must(client.Query(ctx, &dynamodb.QueryInput{
		TableName:              name,
		KeyConditionExpression: aws.String("p = :p AND s BETWEEN :low AND :high"),
		ExpressionAttributeValues: item{
			":p": text("many"), ":low": number(11), ":high": number(13),
		},
	}))
	fmt.Println("between", numbers(between.Items))
	index := must(client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 name,
		IndexName:                 aws.String("by-colour"),
		KeyConditionExpression:    aws.String("colour = :red"),
		ExpressionAttributeValues: item{":red": text("red")},
	}))
	fmt.Println("index", numbers(index.Items))

	filtered := 0
	scan := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{
		TableName:                 name,
		FilterExpression:          aws.String("s > :twenty"),
		ExpressionAttributeValues: item{":twenty": number(20)},
		Limit:                     aws.Int32(8),
	})
	for scan.HasMorePages() {
		filtered += len(must(scan.NextPage(ctx)).Items)
	}
	fmt.Println("filter", filtered)
	var count int32
	scan = dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: name, Select: types.SelectCount})
	for scan.HasMorePages() {
		count += must(scan.NextPage(ctx)).Count
	}
	fmt.Println("count", count)
}

func transactions() {
	_, err := client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: name, Item: key("never")}},
			{Put: &types.Put{
				TableName: name, Item: key("many"), ConditionExpression: aws.String("attribute_not_exists(p)"),
			}},
		},
	})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		log.Fatal("the transaction was not cancelled: ", err)
	}
	var reasons []string
	for _, reason := range canceled.CancellationReasons {
		reasons = append(reasons, *reason.Code)
	}
	fmt.Println("transaction refused", strings.Join(reasons, ","))

	for range 2 {
		must(client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: aws.String(*name + "-token"),
			TransactItems: []types.TransactWriteItem{{Update: &types.Update{
				TableName:                 name,
				Key:                       key("token"),
				UpdateExpression:          aws.String("ADD hits :one"),
				ExpressionAttributeValues: item{":one": number(1)},
			}}},
		}))
	}
	token := must(client.GetItem(ctx, &dynamodb.GetItemInput{TableName: name, Key: key("token")}))
	fmt.Println("token", numberOf(token.Item["hits"]))
}

func ends() {
	keys := []item{key("many"), key("kinds"), key("seed"), key("never")}
	batch := must(client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
		RequestItems: map[string]types.KeysAndAttributes{*name: {Keys: keys}},
	}))
	fmt.Println("batch get", len(batch.Responses[*name]))
	deleted := must(client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: name, Key: key("kinds"), ReturnValues: types.ReturnValueAllOld,
	}))
	fmt.Println("deleted", textOf(deleted.Attributes["text"]))
	if must(client.GetItem(ctx, &dynamodb.GetItemInput{TableName: name, Key: key("kinds")})).Item == nil {
		fmt.Println("gone")
	}
	_, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(*name + "-missing"), Key: key("a"),
	})
	fmt.Println("missing", code(err))
	_, err = client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: name, Key: key("a"), UpdateExpression: aws.String("SET"),
	})
	fmt.Println("wrong", code(err))
	large := key("large")
	large["text"] = text(strings.Repeat("x", 350_000))
	must(client.PutItem(ctx, &dynamodb.PutItemInput{TableName: name, Item: large}))
	got := must(client.GetItem(ctx, &dynamodb.GetItemInput{TableName: name, Key: key("large")}))
	fmt.Println("large", len(textOf(got.Item["text"])))
}

func main() {
	name = aws.String(os.Args[1])
	client = dynamodb.NewFromConfig(must(config.LoadDefaultConfig(ctx)))
	itemsAndWrites()
	pagesAndIndexes()
	transactions()
	ends()
}
