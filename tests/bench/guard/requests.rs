//! The requests that are measured, as an SDK sends them: its headers, its signature, an id of each
//! call. Their keys are numbered, so that each write meets an item that none has met before.

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    GetItem,
    /// An attribute of one item.
    UpdateItem,
    /// A page of 1 MB.
    Query,
    /// 25 items.
    BatchWriteItem,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::GetItem, Kind::UpdateItem, Kind::Query, Kind::BatchWriteItem];

    /// The operation.
    pub fn name(self) -> &'static str {
        match self {
            Kind::GetItem => "GetItem",
            Kind::UpdateItem => "UpdateItem",
            Kind::Query => "Query",
            Kind::BatchWriteItem => "BatchWriteItem",
        }
    }

    /// The request of this number.
    pub fn request(self, number: u64) -> Vec<u8> {
        let operation = self.name();
        let body = self.body(number);
        format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n\
             content-type: application/x-amz-json-1.0\r\n\
             x-amz-target: DynamoDB_20120810.{operation}\r\n\
             user-agent: Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux#6.1 md/arch#x86_64 \
             lang/python#3.12.4\r\n\
             x-amz-date: 20261201T000000Z\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=bench/20261201/\
             eu-west-1/dynamodb/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
             Signature=6f1d9c1e4f0a4a55c1c2b0f5d3a3c77a6f1d9c1e4f0a4a55c1c2b0f5d3a3c77a\r\n\
             amz-sdk-invocation-id: 6a1ff5b3-0a5c-4b8e-9d65-{number:012x}\r\n\
             amz-sdk-request: attempt=1\r\n\
             accept-encoding: identity\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    fn body(self, number: u64) -> String {
        match self {
            Kind::GetItem => format!(r#"{{"TableName":"items","Key":{{"id":{{"S":"car-{number:012}"}}}}}}"#),
            Kind::UpdateItem => format!(
                r##"{{"TableName":"items","Key":{{"id":{{"S":"car-{number:012}"}}}},"UpdateExpression":"SET price = :p, #s = :s","ConditionExpression":"attribute_not_exists(price)","ExpressionAttributeNames":{{"#s":"source"}},"ExpressionAttributeValues":{{":p":{{"N":"{number}"}},":s":{{"S":"list of 1970"}}}}}}"##
            ),
            Kind::Query => r##"{"TableName":"pages","KeyConditionExpression":"#l = :l","ExpressionAttributeNames":{"#l":"list"},"ExpressionAttributeValues":{":l":{"S":"a"}}}"##.into(),
            Kind::BatchWriteItem => {
                let puts: Vec<String> = (0..25)
                    .map(|at| format!(
                        r#"{{"PutRequest":{{"Item":{{"id":{{"S":"new-{number:010}{at:02}"}},"brand":{{"S":"audi"}},"model":{{"S":"100 ls"}},"price":{{"N":"{number}"}},"color":{{"S":"red"}}}}}}}}"#
                    ))
                    .collect();
                format!(r#"{{"RequestItems":{{"items":[{}]}}}}"#, puts.join(","))
            }
        }
    }
}
