//! UpdateTimeToLive, UpdateContinuousBackups, TagResource and UntagResource in a dry run.

use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_dynamodb::request::control::{Tags, UpdateBackups, UpdateTimeToLive, check_tag_count};
use dm_dynamodb::table_name::plain_name;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::operation::{Operation, ReadOperation};
use crate::overlay::Overlay;
use crate::overlay::control::settings;

impl Overlay {
    pub async fn update_time_to_live(&self, asked: &UpdateTimeToLive) -> Result<Value, Fault> {
        let name = plain_name(&asked.table);
        let table = self.table_to_change(Operation::UpdateTimeToLive, name).await?;
        let before = self.time_to_live(name).await?;
        let next = settings::time_to_live(asked, &before)?;
        let to = settings::time_to_live_in_words(&next);
        let before = settings::time_to_live_in_words(&before).into();
        let changed = self.schemas().change(table, ("time to live", before), |shape, began| {
            shape.time_to_live = Some(next);
            shape.set("time to live", to, began);
        });
        self.settings_changed(name, changed)?;
        let UpdateTimeToLive { enabled, attribute, .. } = asked;
        let specification = json!({"Enabled": enabled, "AttributeName": attribute});
        Ok(json!({"TimeToLiveSpecification": specification}))
    }

    pub async fn update_backups(&self, asked: &UpdateBackups) -> Result<Value, Fault> {
        let name = plain_name(&asked.table);
        let table = self.table_to_change(Operation::UpdateContinuousBackups, name).await?;
        let now_s = self.circumstances(name).await?.now_s;
        let before = self.backups(name).await?;
        let next = settings::backups(asked, &before, now_s)?;
        let to = settings::backups_in_words(&next);
        let began = ("point-in-time recovery", settings::backups_in_words(&before).into());
        let changed = self.schemas().change(table, began, |shape, began| {
            shape.backups = Some(next.clone());
            shape.set("point-in-time recovery", to, began);
        });
        self.settings_changed(name, changed)?;
        Ok(json!({"ContinuousBackupsDescription": next}))
    }

    pub async fn change_tags(
        &self,
        resource: &str,
        add: Tags,
        remove: &[String],
    ) -> Result<(), Fault> {
        let name = plain_name(resource);
        let table = self.schemas().table(name).await.map_err(|fault| match fault {
            Fault::Service(error) if error.code == ErrorCode::ResourceNotFound => no_resource(),
            other => other,
        })?;
        let arn = table.schema.arn.clone().unwrap_or_default();
        let mut tags = self.tags(name, &arn).await?;
        let before = json!(tags);
        tags.extend(add);
        check_tag_count(&tags)?;
        tags.retain(|key, _| !remove.contains(key));
        let changed = self.schemas().change(table, ("tags", before), |shape, began| {
            if *began == json!(tags) {
                shape.settings.remove("tags");
            } else {
                shape.settings.insert("tags".into(), tags.len().to_string());
            }
            shape.tags = Some(tags);
        });
        self.settings_changed(name, changed)?;
        Ok(())
    }

    fn settings_changed(&self, name: &str, changed: bool) -> Result<(), Fault> {
        if changed {
            let mut state = self.state();
            self.keep_table(&mut state, name)?;
            state.table_changed(name);
        }
        Ok(())
    }

    /// The tags of a table as they are for the program.
    async fn tags(&self, name: &str, arn: &str) -> Result<Tags, Fault> {
        if let Some(tags) = self.schemas().shape(name).and_then(|(_, shape)| shape.tags) {
            return Ok(tags);
        }
        let mut tags = Tags::new();
        let mut token: Option<Value> = None;
        loop {
            let mut request = json!({"ResourceArn": arn});
            if let Some(token) = token {
                request["NextToken"] = token;
            }
            let mut answer = self.ask(ReadOperation::LIST_TAGS, &request).await?;
            for tag in answer.get("Tags").and_then(Value::as_array).into_iter().flatten() {
                let text = |member: &str| tag[member].as_str().unwrap_or_default().to_owned();
                tags.insert(text("Key"), text("Value"));
            }
            token = answer.remove("NextToken").filter(Value::is_string);
            if token.is_none() {
                return Ok(tags);
            }
        }
    }
}

fn no_resource() -> Fault {
    ServiceError::new(ErrorCode::ResourceNotFound, "Requested resource not found").into()
}
