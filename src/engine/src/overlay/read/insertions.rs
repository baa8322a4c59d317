//! The insertions of a query or scan. Those that the program has created since a scan began, and
//! those of other segments, are passed over by what is stored of their places: their items are not
//! read.

use std::time::Instant;

use dm_dynamodb::expression::KeyRange;
use dm_dynamodb::value::Item;

use crate::fault::Fault;
use crate::limits;
use crate::overlay::Overlay;
use crate::overlay::read::page_request::PageRequest;
use crate::overlay::read::walk::Walk;
use crate::overlay::state::entries::{From, State, damaged};
use crate::overlay::state::table::Place;

/// What comes next in a scan.
#[derive(Debug)]
pub enum NextOfScan {
    Returned(Place, Item),
    /// Nothing within the time of the page. This one was passed over last.
    PassedOver(Place, Item),
    End,
}

/// A segment of a parallel scan, and how many there are.
type Segment = Option<(u32, u32)>;

impl Overlay {
    /// The next insertion of a query.
    pub(in crate::overlay::read) fn next_of_query(
        &self,
        page: &PageRequest,
        range: &KeyRange,
        walk: &mut Walk,
    ) -> Result<Option<(Place, Item)>, Fault> {
        let (view, direction, state) = (page.view(), page.direction(), self.state());
        loop {
            let next = state.next_insertion(view, Some(range), &walk.from, direction)?;
            let Some((place, item, _)) = next else { return Ok(None) };
            if !begins_behind(page, &place) {
                return Ok(Some((place, item)));
            }
            walk.from = From::Behind(place);
        }
    }

    /// The next insertion of a scan. Other calls proceed between the parts that it reads, of which
    /// each is larger than the one before.
    pub(in crate::overlay::read) async fn next_of_scan(
        &self,
        page: &PageRequest,
        segment: Segment,
        walk: &mut Walk,
    ) -> Result<NextOfScan, Fault> {
        let (mut bytes, mut passed) = (1, None);
        loop {
            {
                let state = self.state();
                let part = state.insertions_from(page.view(), &walk.from, bytes)?;
                if part.is_empty() {
                    return Ok(NextOfScan::End);
                }
                for (place, number) in part {
                    let returned = judge(&state, page, segment, walk, (&place, number))?;
                    if let Judged::Returned(item) = returned {
                        return Ok(NextOfScan::Returned(place, item));
                    }
                    if matches!(returned, Judged::PassedOver) {
                        passed = Some(place.clone());
                    }
                    walk.from = From::Behind(place);
                }
                if Instant::now() >= walk.until
                    && let Some(place) = passed.take()
                    && let Some(item) = state.inserted(page.view(), &place)?
                {
                    return Ok(NextOfScan::PassedOver(place, item));
                }
            }
            bytes = (bytes * 2).min(limits::INSERTIONS_READ_BYTES);
            tokio::task::yield_now().await;
        }
    }
}

/// What becomes of an insertion.
enum Judged {
    Returned(Item),
    PassedOver,
    /// It is another segment's.
    Others,
}

fn judge(
    state: &State,
    page: &PageRequest,
    segment: Segment,
    walk: &mut Walk,
    (place, number): (&Place, u64),
) -> Result<Judged, Fault> {
    if segment.is_some_and(|(segment, total)| place.segment(total) != segment) {
        return Ok(Judged::Others);
    }
    let is_new = number >= walk.began;
    if !is_new && !begins_behind(page, place) {
        let item = state.inserted(page.view(), place)?.ok_or_else(damaged)?;
        return Ok(Judged::Returned(item));
    }
    if is_new && !walk.passed_over {
        walk.passed_over = page.filter.is_none() || {
            let item = state.inserted(page.view(), place)?.ok_or_else(damaged)?;
            page.passes(&as_held(page, &item))
        };
    }
    Ok(Judged::PassedOver)
}

/// Whether the page before ended with an insertion, when the database still had it there.
fn begins_behind(page: &PageRequest, place: &Place) -> bool {
    page.start.as_ref().is_some_and(|start| start.place == *place)
}

/// An item of the overlay as the view holds it.
pub fn as_held(page: &PageRequest, item: &Item) -> Item {
    match page.view().index_schema() {
        Some(index) if !page.fetches => index.project(&page.table.schema, item),
        Some(_) | None => item.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dm_dynamodb::request::Request;
    use serde_json::{Value, json};

    use super::*;
    use crate::call::Call;
    use crate::operation::Operation;
    use crate::overlay::read::page_answer::PageAnswer;
    use crate::upstream::ReadOnly;

    async fn call(overlay: &Overlay, operation: Operation, body: Value) {
        let Value::Object(body) = body else { unreachable!() };
        overlay.handle(Call::new(operation, body)).await.unwrap();
    }

    async fn with_cars() -> Overlay {
        let overlay = Overlay::new(ReadOnly::nothing("eu-west-1"), Arc::default());
        let table = json!({
            "TableName": "cars",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        call(&overlay, Operation::CreateTable, table).await;
        overlay
    }

    async fn put(overlay: &Overlay, ids: impl Iterator<Item = String>) {
        for id in ids {
            let item = json!({"id": {"S": id}, "color": {"S": "red"}});
            call(overlay, Operation::PutItem, json!({"TableName": "cars", "Item": item})).await;
        }
    }

    async fn scan(overlay: &Overlay, parameters: Value) -> PageRequest {
        let Value::Object(mut body) = parameters else { unreachable!() };
        body.insert("TableName".into(), "cars".into());
        let Ok(Request::Page(asked)) = Request::decode(Operation::Scan, &body) else {
            unreachable!()
        };
        let table = overlay.schemas().table_of_items("cars").await.unwrap();
        PageRequest::of(Operation::Scan, asked, table).unwrap()
    }

    /// The items of a whole scan, whose pages have no time to pass over anything, and how many
    /// pages there were.
    async fn scanned_late(overlay: &Overlay, parameters: Value, began: u64) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut parameters) = (Vec::new(), 0, parameters);
        loop {
            pages += 1;
            let page = scan(overlay, parameters.clone()).await;
            let mut start = overlay.begin_of(&page).await.unwrap();
            start.insertions = began;
            let mut walk = Walk::of(&page, &start);
            walk.until = Instant::now();
            let mut answer = PageAnswer::default();
            overlay.merge(&page, &mut answer, &start, &mut walk).await.unwrap();
            let mut answer = answer.into_json(&page);
            if let Value::Array(of_page) = answer["Items"].take() {
                items.extend(of_page);
            }
            match answer["LastEvaluatedKey"].take() {
                Value::Null => return (items, pages),
                last => parameters["ExclusiveStartKey"] = last,
            }
        }
    }

    #[tokio::test]
    async fn pages_that_pass_over_too_much_end_early_and_together_return_what_was_there() {
        let overlay = with_cars().await;
        // New ones before, between and behind those that were there.
        put(&overlay, (0..20).map(|i| format!("{i:02}5"))).await;
        let began = overlay.state().insertions();
        put(&overlay, (0..200).map(|i| format!("{i:03}-new"))).await;
        let (found, pages) = scanned_late(&overlay, json!({}), began).await;
        assert_eq!(found.len(), 20);
        assert!(pages > 20, "{pages}");
        let mut of_segments = 0;
        for segment in 0..4 {
            let parameters = json!({"Segment": segment, "TotalSegments": 4});
            of_segments += scanned_late(&overlay, parameters, began).await.0.len();
        }
        assert_eq!(of_segments, 20);
    }

    #[tokio::test]
    async fn what_is_passed_over_is_not_read_unless_a_filter_has_to_see_it() {
        let overlay = with_cars().await;
        let began = overlay.state().insertions();
        put(&overlay, (0..500).map(|i| format!("{i:03}"))).await;
        overlay.state().lose_entries();
        let filter = json!({"FilterExpression": "color = :c",
            "ExpressionAttributeValues": {":c": {"S": "blue"}}});
        for (parameters, is_read) in [(json!({}), false), (filter, true)] {
            let page = scan(&overlay, parameters).await;
            let mut start = overlay.begin_of(&page).await.unwrap();
            start.insertions = began;
            let mut walk = Walk::of(&page, &start);
            let next = overlay.next_of_scan(&page, None, &mut walk).await;
            assert_eq!(next.is_err(), is_read);
            assert_eq!(walk.passed_over, !is_read);
        }
    }
}
