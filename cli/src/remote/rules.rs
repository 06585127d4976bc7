//! Rules that were stored with plans.

use proto::domain::record::LegacyEntityMapping;
use proto::pb;
use proto::pb::rules_service_client::RulesServiceClient;

use super::page::{Listed, pages};
use super::{ANSWER_LIMIT, Remote, record, records};
use crate::stop::Stop;

impl Remote {
    /// One version of an entity's rules, the newest where none is named.
    pub async fn rules_of(
        &self,
        plan: &str,
        entity: &str,
        version: Option<&str>,
    ) -> Result<LegacyEntityMapping, Stop> {
        let request = pb::GetLegacyEntityMappingRequest {
            plan_name: plan.to_owned(),
            entity: entity.to_owned(),
            version: version.unwrap_or_default().to_owned(),
        };
        let answer = self
            .connection
            .call(
                "GetLegacyEntityMapping",
                request,
                |channel, request| async move {
                    RulesServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_LIMIT)
                        .get_legacy_entity_mapping(request)
                        .await
                },
            )
            .await?;
        record(answer.legacy_entity_mapping)
    }

    /// Every version of a plan's rules, or of all plans'.
    pub async fn rules(
        &self,
        plan: Option<&str>,
        limit: u32,
    ) -> Result<Listed<LegacyEntityMapping>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListLegacyEntityMappingsRequest {
                plan_name: plan.unwrap_or_default().to_owned(),
                page_size,
                page_token,
            };
            let answer = self
                .connection
                .call(
                    "ListLegacyEntityMappings",
                    request,
                    |channel, request| async move {
                        RulesServiceClient::new(channel)
                            .max_decoding_message_size(ANSWER_LIMIT)
                            .list_legacy_entity_mappings(request)
                            .await
                    },
                )
                .await?;
            Ok((
                records(answer.legacy_entity_mappings)?,
                answer.next_page_token,
            ))
        })
        .await
    }
}
